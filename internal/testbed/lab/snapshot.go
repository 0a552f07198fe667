//go:build linux

package lab

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const source = "lab"

// guardLabel marks guarded pods, so that a policy can select them.
const guardLabel = "lab.remediate.dev/guarded"

// Snapshot is what the model would read of this cluster.
func (l *Lab) Snapshot() *snapshot.Snapshot {
	s := &snapshot.Snapshot{Origin: source, ReadKinds: map[string]bool{"NetworkPolicy": true, "Pod": true, "Node": true, "Service": true}}
	for _, n := range l.Nodes {
		s.Nodes = append(s.Nodes, n.snapshot())
	}
	guarded := map[string][]int{}
	namespaces := map[string]bool{}
	for _, p := range l.Pods() {
		s.Pods = append(s.Pods, p.snapshot())
		namespaces[p.Namespace] = true
		if p.Guarded {
			guarded[p.Namespace] = append(guarded[p.Namespace], p.OpenPorts...)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(namespaces)) {
		s.Namespaces = append(s.Namespaces, snapshot.Namespace{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}})
		if open, ok := guarded[ns]; ok {
			s.Policies = append(s.Policies, guard(ns, open))
		}
	}
	for _, svc := range l.Services() {
		s.Services = append(s.Services, svc.snapshot())
	}
	return s
}

func (n *Node) snapshot() snapshot.Node {
	out := snapshot.Node{
		Name: n.Name, Source: source, InternalIPs: n.IPs(), PodCIDRs: n.PodCIDRs(),
		Ready: snapshot.Yes, APIServer: snapshot.No, MTU: n.lab.spec.MTU,
	}
	for _, family := range n.lab.spec.families() {
		out.CiliumInternalIPs = append(out.CiliumInternalIPs, n.RouterIP(family))
	}
	return out
}

func (p *Pod) snapshot() snapshot.Pod {
	labels := maps.Clone(p.Labels)
	if p.Guarded {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[guardLabel] = "true"
	}
	return snapshot.Pod{Namespace: p.Namespace, Name: p.Name, Node: p.Node.Name, IPs: p.IPs(), Labels: labels, Source: source}
}

// guard is the NetworkPolicy that [PodSpec.Guarded] stands for.
// [PodSpec.OpenPorts] of one guarded pod are those of all of its namespace.
func guard(namespace string, open []int) snapshot.Policy {
	var everybody []networkingv1.NetworkPolicyIngressRule
	slices.Sort(open)
	for _, number := range slices.Compact(open) {
		port, tcp, udp := intstr.FromInt(number), corev1.ProtocolTCP, corev1.ProtocolUDP
		everybody = append(everybody, networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{
			{Protocol: &tcp, Port: &port}, {Protocol: &udp, Port: &port},
		}})
	}
	return snapshot.Policy{
		Kind: "NetworkPolicy", Namespace: namespace, Name: "guard", Source: source,
		Kubernetes: &networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{guardLabel: "true"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: append(everybody, networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}),
		},
	}
}

func (s Service) snapshot() snapshot.Service {
	out := snapshot.Service{
		Namespace: s.Namespace, Name: s.Name, Source: source,
		ClusterIPs: slices.Clone(s.ClusterIPs), Endpoints: slices.Clone(s.Endpoints),
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, snapshot.ServicePort{Port: p.Port, TargetPort: p.target(), Protocol: p.Protocol})
	}
	return out
}

// Topology is what the model needs to know of the wire.
func (l *Lab) Topology() datapath.Topology {
	t := datapath.Topology{
		SameSegment: func(a, b string) snapshot.Tri {
			x, y := l.Node(a), l.Node(b)
			if x == nil || y == nil {
				return snapshot.Unknown
			}
			return snapshot.TriOf(x.Segment == y.Segment)
		},
		RouterHasPodRoutes: snapshot.TriOf(l.spec.RouterHasPodRoutes),
		DeviceMTU:          l.spec.MTU, PodMTU: l.spec.MTU, PathMTU: l.spec.MTU,
		Devices:            []string{uplink},
		DefaultRouteSource: snapshot.No,
	}
	for segment := range l.spec.Segments {
		for _, family := range l.spec.families() {
			t.OnLink = append(t.OnLink, gatewayPrefix(family, segment).Masked())
		}
	}
	return t
}

// Model is detect/datapath's model of this lab as it is configured now. It knows
// nothing of faults.
func (l *Lab) Model() (*datapath.Model, error) {
	in := datapath.Input{
		Config: l.Nodes[0].Config(), PerNode: map[string]cilium.Config{},
		Snapshot: l.Snapshot(), Topology: l.Topology(),
	}
	for _, n := range l.Nodes {
		in.PerNode[n.Name] = n.Config()
	}
	return datapath.New(in)
}

// End is the pod as the model names it.
func (p *Pod) End(addr netip.Addr) datapath.End {
	return datapath.End{Kind: datapath.EndPod, Namespace: p.Namespace, Name: p.Name, Labels: p.snapshot().Labels, Node: p.Node.Name, Addr: addr}
}
