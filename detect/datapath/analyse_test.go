package datapath

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// drawConfig picks among the settings that the packet path depends on.
func drawConfig(t *rapid.T, label string) []string {
	pick := func(key string, values ...string) []string {
		return []string{key, rapid.SampledFrom(values).Draw(t, label+key)}
	}
	changes := slices.Concat(
		pick("ipv6-native-routing-cidr", "fd00:101::/48", "fd00:101::/32", "fd00:101:2000::/64", "fd00:101:2000::/62"),
		pick("ipv4-native-routing-cidr", "10.101.0.0/16", "10.0.0.0/8", "10.128.0.0/24"),
		pick("enable-bpf-masquerade", "true", "false"),
		pick("enable-ipv6-masquerade", "true", "false"),
		pick("enable-endpoint-routes", "true", "false"),
		pick("auto-direct-node-routes", "true", "false"),
		pick("enable-policy", "default", "always", "never"),
		pick("bpf-lb-sock-hostns-only", "true", "false"),
	)
	if rapid.Bool().Draw(t, label+"tunnel") {
		changes = append(changes, "routing-mode", "tunnel", "auto-direct-node-routes", "", "ipv6-native-routing-cidr", "")
	}
	return changes
}

// drawAgent is a drawn configuration, with an ip-masq-agent's list or without.
func drawAgent(t *rapid.T, label string) cilium.Config {
	changes := drawConfig(t, label)
	lists := []string{"", "fd00:101::/48, fd00:101:2000::/63", "10.0.0.0/8", "fd00:101:2000::/64, 10.128.0.0/25, 10.101.0.0/16"}
	list := rapid.SampledFrom(lists).Draw(t, label+"list")
	if list == "" {
		return config(changes...)
	}
	cfg := config(append(changes, "enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true")...)
	file := "nonMasqueradeCIDRs: [" + list + "]\n"
	cfg.MasqAgent = &file
	return cfg
}

func drawCluster(t *rapid.T) (*snapshot.Snapshot, Topology) {
	namespaces := []string{"open", "one-guarded", "two-guarded", "egress"}
	s := cluster(rapid.IntRange(1, 5).Draw(t, "nodes"), rapid.IntRange(0, 5).Draw(t, "pods"), namespaces...)
	if rapid.Bool().Draw(t, "egress policy") {
		s.Policies = append(s.Policies, egressToOwn("egress"))
	}
	for i := range s.Nodes {
		s.Nodes[i].APIServer = snapshot.Tri(rapid.IntRange(0, 2).Draw(t, "api"))
		if rapid.Bool().Draw(t, "second segment") {
			s.Nodes[i].InternalIPs = addrs(fmt.Sprintf("fd00:101:9::%d", i+1), fmt.Sprintf("10.101.9.%d", i+1))
		}
	}
	for i := range s.Pods {
		if rapid.IntRange(0, 9).Draw(t, "foreign pod") == 0 {
			s.Pods[i].IPs = addrs(fmt.Sprintf("fd00:101:2fff::%d", i+1), fmt.Sprintf("10.200.0.%d", i+1))
		}
	}
	topo := Topology{RouterHasPodRoutes: snapshot.Tri(rapid.IntRange(0, 2).Draw(t, "router"))}
	if rapid.Bool().Draw(t, "links known") {
		topo.OnLink = prefixes("10.101.0.0/24", "10.101.9.0/24")
	}
	return s, topo
}

func (h destination) end() End { return End{Kind: EndOutside, Addr: h.addr} }

func egressToOwn(namespace string) snapshot.Policy {
	return snapshot.Policy{
		Kind: "NetworkPolicy", Namespace: namespace, Name: "out", Source: "NetworkPolicy " + namespace + "/out",
		Kubernetes: &networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}},
		},
	}
}

// outcomes counts flows by what happens to them.
type outcomes map[string]int64

func (o outcomes) add(kind, family string, r *Result, n int64) {
	o[fmt.Sprintf("%s %s %s/%s %q %q %q %s %s", kind, family, r.Delivered, r.IfRouted, r.Source, r.Identity, r.MasqueradeBy, r.Route, r.DropReason)] += n
}

// TestAnalysisIsEveryFlow: the classes of an analysis are the flows of the
// cluster, each counted once, with the outcome that tracing it alone gives.
func TestAnalysisIsEveryFlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, topo := drawCluster(t)
		per := map[string]cilium.Config{}
		if rapid.Bool().Draw(t, "per node") {
			per["node-0000"] = drawAgent(t, "per node ")
		}
		m, err := New(Input{Config: drawAgent(t, ""), PerNode: per, Snapshot: s, Topology: topo})
		if err != nil {
			t.Fatal(err)
		}
		got, wanted := outcomes{}, outcomes{}
		for _, c := range m.Analyse().Classes {
			if c.Kind == KindPodPod || c.Kind == KindPodNode || c.Kind == KindNodePod {
				got.add(c.Kind, c.Family, &c.Result, c.Count)
			}
		}
		everyFlow(m, s, wanted)
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Fatalf("flows traced one by one (-) and analysed in classes (+):\n%s", diff)
		}
	})
}

func everyFlow(m *Model, s *snapshot.Snapshot, count outcomes) {
	trace := func(kind string, from, to any) {
		for fi, family := range families() {
			r := m.Trace(Flow{From: anyEnd(from, fi), To: anyEnd(to, fi), Family: family, Protocol: "TCP"})
			count.add(kind, family, &r, 1)
		}
	}
	for i := range s.Pods {
		for j := range s.Pods {
			if i != j {
				trace(KindPodPod, &s.Pods[i], &s.Pods[j])
			}
		}
		for _, n := range s.Nodes {
			trace(KindPodNode, &s.Pods[i], n.Name)
			trace(KindNodePod, n.Name, &s.Pods[i])
		}
	}
}

// anyEnd is a pod with its address of the family, or a node by name.
func anyEnd(v any, fi int) End {
	if p, ok := v.(*snapshot.Pod); ok {
		return podEnd(p, p.IPs[1-fi])
	}
	return toNode(v.(string))
}

// TestCompareIsEveryFlow: what a Delta counts as fixed and broken is what
// tracing each pair of pods under both configurations says.
func TestCompareIsEveryFlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, topo := drawCluster(t)
		topo.RouterHasPodRoutes = snapshot.TriOf(rapid.Bool().Draw(t, "router known"))
		topo.OnLink = prefixes("10.101.0.0/24", "10.101.9.0/24")
		for i := range s.Nodes {
			s.Nodes[i].APIServer = snapshot.No
		}
		before, _ := New(Input{Config: drawAgent(t, "before "), Snapshot: s, Topology: topo})
		after, _ := New(Input{Config: drawAgent(t, "after "), Snapshot: s, Topology: topo})
		d := Compare(before.Analyse(), after.Analyse())
		var fixed, broken int64
		count := func(from, to any) {
			for fi, family := range families() {
				f := Flow{From: anyEnd(from, fi), Family: family, Protocol: "TCP"}
				if f.To = internetHosts()[fi].end(); to != Internet {
					f.To = anyEnd(to, fi)
				}
				switch x, y := before.Trace(f).Delivered, after.Trace(f).Delivered; {
				case x == no && y == yes:
					fixed++
				case x == yes && y == no:
					broken++
				}
			}
		}
		for i := range s.Pods {
			for j := range s.Pods {
				if i != j {
					count(&s.Pods[i], &s.Pods[j])
				}
			}
			for _, n := range s.Nodes {
				count(&s.Pods[i], n.Name)
				count(n.Name, &s.Pods[i])
			}
			count(&s.Pods[i], Internet)
		}
		if d.FixedFlows != fixed || d.BrokenFlows != broken {
			t.Fatalf("fixed %d (%d classes), broken %d (%d classes); traced: %d and %d", d.FixedFlows, d.Fixed, d.BrokenFlows, d.Broken, fixed, broken)
		}
		back := Compare(after.Analyse(), before.Analyse())
		if back.Fixed != d.Broken || back.Broken != d.Fixed || back.Unchanged != d.Unchanged {
			t.Fatalf("the way back is not the reverse: %+v and %+v", d, back)
		}
	})
}

func TestAnalysisServices(t *testing.T) {
	s := cluster(2, 2, "team-guarded")
	for i := range s.Nodes {
		s.Nodes[i].APIServer = snapshot.No
	}
	s.Services = []snapshot.Service{
		{Namespace: "team-guarded", Name: "svc", ClusterIPs: addrs("fd00:101:96::1"), Endpoints: s.Pods[3].IPs},
		{Namespace: "team-guarded", Name: "headless", Endpoints: s.Pods[3].IPs},
		{Namespace: "team-guarded", Name: "api", ClusterIPs: addrs("fd00:101:96::2"), Endpoints: s.Nodes[0].InternalIPs},
	}
	var got []string
	for _, c := range newModel(t, Input{Config: config(), Snapshot: s}).Analyse().Classes {
		if c.Kind == KindPodService {
			got = append(got, fmt.Sprintf("%s %s %s %d: %s, %s", c.Family, c.Relation, c.To.Name, c.Count, c.Result.Translated, c.Result.Outcome()))
		}
	}
	want := []string{"IPv6 same segment svc 4: socket, dropped: Policy denied, seen as remote-node"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnalysisPorts: ports that policies name are classes of their own.
func TestAnalysisPorts(t *testing.T) {
	s := cluster(2, 1, "open")
	port := intstr.FromInt32(9090)
	p := sameNamespace("open")
	p.Kubernetes.Ingress[0].Ports = []networkingv1.NetworkPolicyPort{{Port: &port}}
	s.Policies = append(s.Policies, p, snapshot.Policy{
		Kind: "CiliumNetworkPolicy", Namespace: "open", Name: "dns", Source: "CiliumNetworkPolicy open/dns",
		Cilium: []map[string]any{{"endpointSelector": map[string]any{}, "ingress": []any{map[string]any{
			"fromEntities": []any{"all"},
			"toPorts":      []any{map[string]any{"ports": []any{map[string]any{"port": "53", "protocol": "UDP"}, map[string]any{"port": "web"}}}},
		}}}},
	})
	m := newModel(t, Input{Config: config("ipv6-native-routing-cidr", "fd00:101::/32"), Snapshot: s})
	got := map[string]string{}
	for _, c := range m.Analyse().Classes {
		if c.Kind == KindPodPod && c.Family == "IPv6" {
			got[fmt.Sprintf("%s/%d", c.Protocol, c.Port)] = c.Result.Delivered.String()
		}
	}
	if diff := cmp.Diff(map[string]string{"TCP/0": "no", "TCP/9090": "yes", "UDP/53": "yes"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnalysisExamples: the two ends that stand for a class are in its relation.
func TestAnalysisExamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, topo := drawCluster(t)
		m, err := New(Input{Config: config(), Snapshot: s, Topology: topo})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range m.Analyse().Classes {
			if c.Kind != KindPodPod {
				continue
			}
			if (c.From.Node == c.To.Node) != (c.Relation == "same node") || c.From.Name == c.To.Name {
				t.Errorf("%s: %s and %s are not on the %s", c.ID, endWords(c.From), endWords(c.To), c.Relation)
			}
		}
	})
}

// TestAnalysisAssumed: two nodes with pod CIDRs and addresses are enough to see
// the flagship failure.
func TestAnalysisAssumed(t *testing.T) {
	s := cluster(2, 0, "x")
	s.ReadKinds, s.Policies = nil, nil
	a := newModel(t, Input{Config: config(), Snapshot: s}).Analyse()
	if !a.Assumed {
		t.Error("the pods are not said to be assumed")
	}
	found := slices.ContainsFunc(a.Classes, func(c Class) bool {
		return c.Kind == KindPodPod && c.From.Namespace == GuardedNamespace && c.To.Namespace == GuardedNamespace &&
			c.Family == "IPv6" && c.Relation == "same segment" && c.Result.DropReason == PolicyDenied
	})
	if !found {
		t.Error("no class shows the drop between guarded pods")
	}
	s.ReadKinds = map[string]bool{"Pod": true, "NetworkPolicy": true}
	if a := newModel(t, Input{Config: config(), Snapshot: s}).Analyse(); a.Assumed || len(a.Classes) > 0 {
		t.Errorf("a cluster that is known to have no pods has %d classes", len(a.Classes))
	}
}

// TestAnalysisOrder: the order in which a snapshot was read does not show.
func TestAnalysisOrder(t *testing.T) {
	s := cluster(4, 6, "open", "one-guarded")
	want := newModel(t, Input{Config: config(), Snapshot: s}).Analyse()
	reversed := *s
	reversed.Pods, reversed.Nodes = slices.Clone(s.Pods), slices.Clone(s.Nodes)
	slices.Reverse(reversed.Pods)
	slices.Reverse(reversed.Nodes)
	got := newModel(t, Input{Config: config(), Snapshot: &reversed}).Analyse()
	if diff := cmp.Diff(want.Classes, got.Classes, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestAnalysisHostile: odd objects are passed over, not believed.
func TestAnalysisHostile(t *testing.T) {
	s := cluster(2, 2, "open")
	s.Nodes = append(s.Nodes, snapshot.Node{Name: ""}, snapshot.Node{Name: "bare", PodCIDRs: []netip.Prefix{{}}, InternalIPs: []netip.Addr{{}}})
	s.Pods = append(s.Pods,
		snapshot.Pod{Name: "nowhere", IPs: addrs("fd00::1")},
		snapshot.Pod{Name: "unknown node", Node: "missing", IPs: addrs("fd00::2", "::ffff:10.0.0.1")},
		snapshot.Pod{Name: "no address", Node: "bare"},
		snapshot.Pod{Name: "zero", Node: "bare", IPs: []netip.Addr{{}}},
	)
	s.Services = []snapshot.Service{{Name: "x", ClusterIPs: []netip.Addr{{}}, Endpoints: []netip.Addr{{}}}}
	for i := range 200 {
		s.PodPools = append(s.PodPools, snapshot.CIDR{})
		_ = i
	}
	in := Input{Config: config(), Snapshot: s}
	for i := range 100 {
		in.Ranges = append(in.Ranges, netip.PrefixFrom(podV6(i, 0), 64+i%60))
	}
	a := newModel(t, in).Analyse()
	if len(a.Classes) == 0 || len(a.Notes) != 1 {
		t.Errorf("%d classes with notes %q, want some and one note on ranges", len(a.Classes), a.Notes)
	}
}
