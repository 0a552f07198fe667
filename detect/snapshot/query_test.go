package snapshot

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreUnexported(Snapshot{}),
}

func prefixes(values ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, v := range values {
		out = append(out, netip.MustParsePrefix(v))
	}
	return out
}

func addrs(values ...string) []netip.Addr {
	var out []netip.Addr
	for _, v := range values {
		out = append(out, netip.MustParseAddr(v))
	}
	return out
}

func cidrs(source string, values ...string) []CIDR {
	var out []CIDR
	for _, v := range values {
		out = append(out, CIDR{Prefix: netip.MustParsePrefix(v), Source: source})
	}
	return out
}

func TestNodePodCIDRs(t *testing.T) {
	both := Node{
		Name: "a", Source: "Node a",
		PodCIDRs: prefixes("fd00:1::/64", "10.1.0.0/24"), CiliumPodCIDRs: prefixes("fd00:2::/64"),
	}
	tests := []struct {
		name string
		node *Node
		ipam string
		want []netip.Prefix
		from string
	}{
		{"kubernetes takes the Node's", &both, "kubernetes", both.PodCIDRs, "Node a"},
		{"cluster-pool takes the CiliumNode's", &both, "cluster-pool", both.CiliumPodCIDRs, "CiliumNode a"},
		{"multi-pool takes the CiliumNode's", &both, "multi-pool", both.CiliumPodCIDRs, "CiliumNode a"},
		{"unknown mode prefers the CiliumNode's", &both, "", both.CiliumPodCIDRs, "CiliumNode a"},
		{
			"unknown mode with the Node's only", &Node{Source: "Node b", PodCIDRs: prefixes("10.1.0.0/24")},
			"", prefixes("10.1.0.0/24"), "Node b",
		},
		{
			"kubernetes without a Node object", &Node{Name: "c", Source: "CiliumNode c", CiliumPodCIDRs: prefixes("10.1.0.0/24")},
			"kubernetes", prefixes("10.1.0.0/24"), "CiliumNode c",
		},
		{
			"cluster-pool never falls back to the Node's", &Node{Source: "Node d", PodCIDRs: prefixes("10.1.0.0/24")},
			"cluster-pool", nil, "",
		},
		{"eni has none", &both, "eni", nil, ""},
		{"no node", nil, "kubernetes", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Snapshot{}
			if tt.node != nil {
				s.Nodes = []Node{*tt.node}
			}
			if diff := cmp.Diff(tt.want, s.NodePodCIDRs(tt.node, tt.ipam), compare); diff != "" {
				t.Errorf("NodePodCIDRs (-want +got):\n%s", diff)
			}
			for _, family := range []string{"IPv4", "IPv6"} {
				for _, c := range s.PodCIDRs(tt.ipam, family) {
					if c.Source != tt.from {
						t.Errorf("PodCIDRs source = %q, want %q", c.Source, tt.from)
					}
				}
			}
		})
	}
}

func TestPodCIDRsByFamily(t *testing.T) {
	s := &Snapshot{Nodes: []Node{
		{Name: "a", Source: "Node a", PodCIDRs: prefixes("fd00:0:0:1::/64", "10.0.1.0/24")},
		{Name: "b", Source: "Node b", PodCIDRs: prefixes("fd00:0:0:2::/64", "10.0.2.0/24")},
	}}
	want := []CIDR{
		{Prefix: netip.MustParsePrefix("10.0.1.0/24"), Source: "Node a"},
		{Prefix: netip.MustParsePrefix("10.0.2.0/24"), Source: "Node b"},
	}
	if diff := cmp.Diff(want, s.PodCIDRs("kubernetes", "IPv4"), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPool(t *testing.T) {
	nodes := []Node{{Name: "a", Source: "Node a", PodCIDRs: prefixes("10.0.1.0/24")}}
	kcm := CIDR{Prefix: netip.MustParsePrefix("10.0.0.0/16"), Source: "kube-controller-manager --cluster-cidr", IPAM: "kubernetes"}
	pool := CIDR{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Source: "ConfigMap", IPAM: "cluster-pool"}
	flag := CIDR{Prefix: netip.MustParsePrefix("10.0.0.0/16"), Source: "--pod-cidr"}
	observed := []CIDR{{Prefix: netip.MustParsePrefix("10.0.1.0/24"), Source: "Node a", ObservedOnly: true}}
	tests := []struct {
		name         string
		pools        []CIDR
		ipam, family string
		want         []CIDR
		observedOnly bool
	}{
		{"stated", []CIDR{kcm}, "kubernetes", "IPv4", []CIDR{kcm}, false},
		{"of the mode only", []CIDR{kcm, pool}, "cluster-pool", "IPv4", []CIDR{pool}, false},
		{"mode unknown: all", []CIDR{kcm, pool}, "", "IPv4", []CIDR{kcm, pool}, false},
		{"without a mode: any", []CIDR{flag}, "cluster-pool", "IPv4", []CIDR{flag}, false},
		{"the same range twice counts once", []CIDR{kcm, flag}, "kubernetes", "IPv4", []CIDR{kcm}, false},
		{"not stated: observed", nil, "kubernetes", "IPv4", observed, true},
		{"stated for another mode: observed", []CIDR{pool}, "kubernetes", "IPv4", observed, true},
		{"nothing known of the family", nil, "kubernetes", "IPv6", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Snapshot{Nodes: nodes, PodPools: tt.pools}
			got, observedOnly := s.Pool(tt.ipam, tt.family)
			if diff := cmp.Diff(tt.want, got, compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if observedOnly != tt.observedOnly {
				t.Errorf("observedOnly = %v, want %v", observedOnly, tt.observedOnly)
			}
		})
	}
}

func TestAddressesAndServiceRange(t *testing.T) {
	s := &Snapshot{
		Nodes: []Node{
			{Name: "a", Source: "Node a", InternalIPs: addrs("10.0.0.1", "fd00::1"), ExternalIPs: addrs("192.0.2.1"), CiliumInternalIPs: addrs("10.1.0.1")},
			{Name: "b", Source: "CiliumNode b", InternalIPs: addrs("fd00::2")},
		},
		ServiceCIDRs: append(cidrs("flag", "10.96.0.0/12"), cidrs("flag", "fd00:96::/108")...),
	}
	want := []CIDR{
		{Prefix: netip.MustParsePrefix("fd00::1/128"), Source: "Node a"},
		{Prefix: netip.MustParsePrefix("fd00::2/128"), Source: "CiliumNode b"},
	}
	if diff := cmp.Diff(want, s.NodeAddresses("IPv6"), compare); diff != "" {
		t.Errorf("NodeAddresses IPv6 (-want +got):\n%s", diff)
	}
	want = cidrs("Node a", "10.0.0.1/32", "192.0.2.1/32")
	if diff := cmp.Diff(want, s.NodeAddresses("IPv4"), compare); diff != "" {
		t.Errorf("NodeAddresses IPv4 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(cidrs("flag", "10.96.0.0/12"), s.ServiceRange("IPv4"), compare); diff != "" {
		t.Errorf("ServiceRange (-want +got):\n%s", diff)
	}
}

func TestNamespaceLabels(t *testing.T) {
	plain := &Snapshot{Namespaces: []Namespace{{Name: "flux-system", Labels: map[string]string{"team": "net"}}}}
	for name, s := range map[string]*Snapshot{"walked": plain, "indexed": plain.Indexed()} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{"team": "net", NamespaceNameLabel: "flux-system"}
			if diff := cmp.Diff(want, s.NamespaceLabels("flux-system")); diff != "" {
				t.Errorf("known (-want +got):\n%s", diff)
			}
			want = map[string]string{NamespaceNameLabel: "unseen"}
			if diff := cmp.Diff(want, s.NamespaceLabels("unseen")); diff != "" {
				t.Errorf("unknown (-want +got):\n%s", diff)
			}
		})
	}
	if len(plain.Namespaces[0].Labels) != 1 {
		t.Errorf("the snapshot's own labels changed: %v", plain.Namespaces[0].Labels)
	}
}

func TestNilSnapshot(t *testing.T) {
	var s *Snapshot
	if s.NodeByName("a") != nil || s.PodByName("a", "b") != nil || s.PodCIDRs("", "IPv4") != nil ||
		s.NodeAddresses("IPv4") != nil || s.ServiceRange("IPv4") != nil || s.Read("Node") {
		t.Error("a nil snapshot knows something")
	}
	if got := s.NamespaceLabels("x")[NamespaceNameLabel]; got != "x" {
		t.Errorf("implied label = %q, want x", got)
	}
}

// An index answers as a walk does, and never for a copy that was extended.
func TestIndexAgreesWithWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		s := &Snapshot{}
		for i := range rapid.IntRange(0, 6).Draw(t, "objects") {
			s.Pods = append(s.Pods, Pod{Namespace: name.Draw(t, "namespace"), Name: name.Draw(t, "pod"), Source: fmt.Sprint(i)})
			s.Nodes = append(s.Nodes, Node{Name: name.Draw(t, "node"), Source: fmt.Sprint(i)})
		}
		indexed := s.Indexed()
		extended := *indexed
		extended.Pods = append(slices.Clone(extended.Pods), Pod{Namespace: "new", Name: "new"})
		for _, ns := range []string{"a", "b", "c", "d"} {
			for _, pod := range []string{"a", "b", "c", "d"} {
				want := s.PodByName(ns, pod)
				if got := indexed.PodByName(ns, pod); got != want {
					t.Fatalf("PodByName(%s, %s) = %v, want %v", ns, pod, got, want)
				}
				if got := extended.PodByName(ns, pod); (got == nil) != (want == nil) || got != nil && got.Source != want.Source {
					t.Fatalf("extended PodByName(%s, %s) = %v, want %v", ns, pod, got, want)
				}
			}
			if got, want := indexed.NodeByName(ns), s.NodeByName(ns); got != want {
				t.Fatalf("NodeByName(%s) = %v, want %v", ns, got, want)
			}
		}
		if extended.PodByName("new", "new") == nil {
			t.Fatal("a pod that was added after indexing is not found")
		}
	})
}
