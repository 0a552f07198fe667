package collect

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// LabelTarget on a pod says which target it is: open, guarded or host.
const LabelTarget = "remediate.dev/target"

// TargetHost is the value of [LabelTarget] of the twin in the node's own network.
// The others are the contract's.
const TargetHost = "host"

const (
	// labelZone is a well-known label of Kubernetes.
	labelZone = "topology.kubernetes.io/zone"
	// dnsLabel and dnsApp are on the Service of cluster DNS: kubeadm, k3s, RKE2 and
	// the large providers keep kube-dns' label for CoreDNS.
	dnsLabel, dnsApp = "k8s-app", "kube-dns"
	// dnsName is a name that every cluster has, unless its domain is another; then
	// the answer that there is no such name is an answer as well.
	dnsName = "kubernetes.default.svc.cluster.local."
	dnsPort = 53
	// dnsPods bounds how many pods of cluster DNS are asked directly, per family.
	dnsPods = 2
)

// Membership is who takes part in the mesh, from the objects that say so: the
// probes' pods, the nodes, the Services of the guarded targets and of cluster DNS, and
// that one's EndpointSlices. Other objects are passed over. Pods that are being
// deleted, have ended or have no address yet are left out, and so are nodes that are
// being deleted; of two pods of one kind on a node, the ready one counts, then the
// younger. The order of the objects makes no difference.
func Membership(pods []*corev1.Pod, nodes []*corev1.Node, services []*corev1.Service, slicesOf []*discoveryv1.EndpointSlice) mesh.Membership {
	out := mesh.Membership{Version: 1}
	byNode := targetsByNode(pods)
	for _, n := range nodes {
		if n.DeletionTimestamp != nil {
			continue
		}
		t := byNode[n.Name]
		out.Members = append(out.Members, mesh.Member{
			Node: n.Name, Zone: n.Labels[labelZone], NodeIPs: internalIPs(n),
			Open: t["open"].target(), Guarded: t["guarded"].target(), Host: t[TargetHost].target(),
		})
	}
	slices.SortFunc(out.Members, func(a, b mesh.Member) int { return strings.Compare(a.Node, b.Node) })
	services = slices.SortedFunc(slices.Values(services), func(a, b *corev1.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range services {
		// The open targets ask: a Service that selects them may lead back.
		if s.Spec.Selector[LabelTarget] == "guarded" && s.DeletionTimestamp == nil {
			out.Services = append(out.Services, clusterIPs(s)...)
		}
	}
	out.Services = perFamily(out.Services)
	out.DNS = dnsOf(services, slicesOf)
	return out
}

// chosen is the pod that stands for a target of a node.
type chosen struct{ pod *corev1.Pod }

func (c chosen) target() *mesh.Target {
	if c.pod == nil {
		return nil
	}
	return &mesh.Target{Namespace: c.pod.Namespace, Pod: c.pod.Name, IPs: podIPs(c.pod)}
}

func targetsByNode(pods []*corev1.Pod) map[string]map[string]chosen {
	out := map[string]map[string]chosen{}
	for _, p := range pods {
		kind := p.Labels[LabelTarget]
		if kind == "" || !takesPart(p) || (kind == TargetHost) != p.Spec.HostNetwork {
			continue
		}
		at := out[p.Spec.NodeName]
		if at == nil {
			at = map[string]chosen{}
			out[p.Spec.NodeName] = at
		}
		if c := at[kind]; c.pod == nil || better(p, c.pod) {
			at[kind] = chosen{p}
		}
	}
	return out
}

func takesPart(p *corev1.Pod) bool {
	ended := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	return p.DeletionTimestamp == nil && !ended && p.Spec.NodeName != "" && len(podIPs(p)) > 0
}

// better orders pods of one kind on one node: ready, then young, then by name.
func better(a, b *corev1.Pod) bool {
	if ra, rb := podReady(a), podReady(b); ra != rb {
		return ra
	}
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c > 0
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name)) < 0
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func podIPs(p *corev1.Pod) []netip.Addr {
	var out []netip.Addr
	for _, ip := range p.Status.PodIPs {
		out = appendAddr(out, ip.IP)
	}
	if len(out) == 0 {
		out = appendAddr(out, p.Status.PodIP)
	}
	return perFamily(out)
}

func internalIPs(n *corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out = appendAddr(out, a.Address)
		}
	}
	return perFamily(out)
}

func clusterIPs(s *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, ip := range s.Spec.ClusterIPs {
		out = appendAddr(out, ip)
	}
	if len(out) == 0 {
		out = appendAddr(out, s.Spec.ClusterIP)
	}
	return out
}

// dnsOf takes the Service of cluster DNS, the one of kube-system first, and the
// pods behind it.
func dnsOf(services []*corev1.Service, slicesOf []*discoveryv1.EndpointSlice) mesh.DNS {
	var found *corev1.Service
	for _, s := range services {
		if isDNS(s) && (found == nil || dnsRank(s) < dnsRank(found)) {
			found = s
		}
	}
	if found == nil {
		return mesh.DNS{}
	}
	out := mesh.DNS{Services: perFamily(clusterIPs(found)), Name: dnsName}
	for _, s := range slicesOf {
		if s.Namespace == found.Namespace && s.Labels[discoveryv1.LabelServiceName] == found.Name {
			out.Pods = append(out.Pods, readyAddrs(s)...)
		}
	}
	slices.SortFunc(out.Pods, netip.Addr.Compare)
	out.Pods = firstOfFamily(slices.Compact(out.Pods), dnsPods)
	if len(out.Services) == 0 {
		return mesh.DNS{}
	}
	return out
}

func dnsRank(s *corev1.Service) string {
	if s.Namespace == "kube-system" {
		return " " + s.Name
	}
	return s.Namespace + "/" + s.Name
}

func isDNS(s *corev1.Service) bool {
	return s.Labels[dnsLabel] == dnsApp && s.DeletionTimestamp == nil &&
		slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == dnsPort })
}

func readyAddrs(s *discoveryv1.EndpointSlice) []netip.Addr {
	var out []netip.Addr
	for _, e := range s.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		for _, a := range e.Addresses {
			out = appendAddr(out, a)
		}
	}
	return out
}

// appendAddr leaves out what is no address: "None" and "" of headless Services.
func appendAddr(list []netip.Addr, s string) []netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.IsValid() {
		return list
	}
	return append(list, a.Unmap())
}

// perFamily keeps the first address of each family.
func perFamily(list []netip.Addr) []netip.Addr { return firstOfFamily(list, 1) }

// firstOfFamily keeps the first n addresses of each family.
func firstOfFamily(list []netip.Addr, n int) []netip.Addr {
	var out []netip.Addr
	have := map[bool]int{}
	for _, a := range list {
		if have[a.Is4()] < n {
			out = append(out, a)
			have[a.Is4()]++
		}
	}
	return out
}
