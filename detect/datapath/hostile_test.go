package datapath

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// hostile draws snapshots, configurations and flows that hang together badly.
type hostile struct{ *rapid.T }

func (h hostile) one(list ...string) string { return rapid.SampledFrom(list).Draw(h.T, "one of") }

func (h hostile) often() bool { return rapid.IntRange(0, 3).Draw(h.T, "often") > 0 }

func (h hostile) number(n int) int { return rapid.IntRange(0, n).Draw(h.T, "number") }

func (h hostile) tri() snapshot.Tri { return snapshot.Tri(h.number(2)) }

func (h hostile) addr() netip.Addr {
	a, _ := netip.ParseAddr(h.one("", "10.0.0.1", "10.1.0.9", "255.255.255.255", "0.0.0.0", "fd00:101::21", "fd00:101:2000::9",
		"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::1"))
	return a
}

func (h hostile) prefix() netip.Prefix {
	a := h.addr().WithZone("")
	if !a.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(h.T, "bits"))
}

func several[T any](h hostile, n int, draw func() T) []T {
	var out []T
	for range h.number(n) {
		out = append(out, draw())
	}
	return out
}

func (h hostile) node() string { return h.one("", "n0", "n1", "n2", "gone") }

func (h hostile) namespace() string { return h.one("", "a", "b-guarded", GuardedNamespace) }

func (h hostile) labels() map[string]string {
	return []map[string]string{nil, {"app": "x"}, {"reserved": "host"}}[h.number(2)]
}

func (h hostile) config() cilium.Config {
	values := map[string]string{}
	for _, kv := range [][]string{
		{"enable-ipv4", "true", "false", "?"}, {"enable-ipv6", "true", "false"}, {"routing-mode", "native", "tunnel", "direct"},
		{"auto-direct-node-routes", "true", "false"}, {"enable-ipv4-masquerade", "true", "false"}, {"enable-ipv6-masquerade", "true", "false"},
		{"enable-bpf-masquerade", "true", "false"}, {"ipam", "kubernetes", "cluster-pool", "multi-pool", "eni"}, {"enable-ip-masq-agent", "true", "false"},
		{"ipv4-native-routing-cidr", "10.0.0.0/8", "10.0.0.0/33", "fd00::/8"}, {"ipv6-native-routing-cidr", "fd00:101::/48", "::/0", "10.0.0.0/8"},
		{"egress-masquerade-interfaces", "eth0", "eth+ [", ","}, {"devices", "eth0 eth1", " , "}, {"enable-masquerade-to-route-source", "true"},
		{"enable-endpoint-routes", "true"}, {"enable-host-firewall", "true"}, {"enable-wireguard", "true"}, {"enable-ipsec", "true"},
		{"enable-policy", "always", "never"}, {"enable-ipv4-egress-gateway", "true"}, {"bpf-lb-sock-hostns-only", "true"}, {"mtu", "1500", "-1"},
	} {
		if h.often() {
			values[kv[0]] = h.one(kv[1:]...)
		}
	}
	cfg := cilium.Config{Version: h.one("", "1.18.6", "1.19.0", "x"), Values: values}
	if file := h.one("", "nonMasqueradeCIDRs: [10.0.0.0/8, 'fd00::/8', bad]", "nonMasqueradeCIDRs: [fd00:101::/48]", ":"); file != "" {
		cfg.MasqAgent = &file
	}
	return cfg
}

func (h hostile) snapshot() *snapshot.Snapshot {
	s := &snapshot.Snapshot{ReadKinds: map[string]bool{"Pod": h.often(), "NetworkPolicy": h.often()}}
	s.Nodes = several(h, 3, func() snapshot.Node {
		return snapshot.Node{
			Name: h.node(), InternalIPs: several(h, 2, h.addr), ExternalIPs: several(h, 1, h.addr), CiliumInternalIPs: several(h, 2, h.addr),
			PodCIDRs: several(h, 3, h.prefix), CiliumPodCIDRs: several(h, 2, h.prefix), APIServer: h.tri(), MTU: h.number(2000) - 100,
		}
	})
	s.Pods = several(h, 6, func() snapshot.Pod {
		return snapshot.Pod{Namespace: h.namespace(), Name: h.one("", "p", "q"), Node: h.node(), Labels: h.labels(),
			IPs: several(h, 3, h.addr), HostNetwork: !h.often()}
	})
	s.Services = several(h, 2, func() snapshot.Service {
		return snapshot.Service{Namespace: h.namespace(), Name: "s", ClusterIPs: several(h, 2, h.addr), Endpoints: several(h, 3, h.addr)}
	})
	s.Policies = several(h, 2, func() snapshot.Policy {
		if h.often() {
			return sameNamespace(h.namespace())
		}
		return egressToOwn(h.namespace())
	})
	pool := func() snapshot.CIDR { return snapshot.CIDR{Prefix: h.prefix()} }
	s.PodPools, s.ServiceCIDRs = several(h, 2, pool), several(h, 2, pool)
	return s
}

func (h hostile) topology() Topology {
	t := Topology{
		RouterHasPodRoutes: h.tri(), OnLink: several(h, 2, h.prefix), PathAnswersTooBig: h.tri(), DefaultRouteSource: h.tri(),
		DeviceMTU: h.number(2000) - 1, PodMTU: h.number(2000) - 1, PathMTU: h.number(2000) - 1,
	}
	if !h.often() {
		answer := h.tri()
		t.SameSegment = func(a, b string) snapshot.Tri { return answer }
	}
	return t
}

func (h hostile) end(depth int) End {
	e := End{Kind: EndKind(h.one("pod", "node", "service", "outside", "")), Namespace: h.namespace(), Name: h.one("s", "p"),
		Labels: h.labels(), Node: h.node(), Addr: h.addr()}
	if depth > 0 && h.often() {
		backend := h.end(depth - 1)
		e.Backend = &backend
	}
	return e
}

func (h hostile) input() Input {
	in := Input{Config: h.config(), Snapshot: h.snapshot(), Topology: h.topology(), Ranges: several(h, 12, h.prefix)}
	in.PerNode = h.perNode()
	return in
}

func (h hostile) perNode() map[string]cilium.Config {
	out := map[string]cilium.Config{}
	for range h.number(2) {
		out[h.node()] = h.config()
	}
	return out
}

// TestHostile: whatever the configurations, the snapshot and the question, there
// is an answer, and the counts of a comparison add up.
func TestHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hostile{t}
		m, err := New(h.input())
		if err != nil {
			t.Fatal(err)
		}
		other, err := m.WithPerNode(h.config(), h.perNode())
		if err != nil {
			t.Fatal(err)
		}
		before, after := m.Analyse(), other.AnalyseWith(several(h, 12, h.prefix))
		for _, d := range []Delta{Compare(before, after), CompareModels(m, other, nil), Compare(after, before)} {
			if d.Fixed < 0 || d.FixedFlows < int64(d.Fixed) || d.BrokenFlows < int64(d.Broken) {
				t.Fatalf("%+v", d)
			}
		}
		seen := map[string]bool{}
		for _, c := range before.Classes {
			if seen[c.ID] || c.Count <= 0 {
				t.Fatalf("class %s twice, or of %d flows", c.ID, c.Count)
			}
			seen[c.ID] = true
		}
		for range 4 {
			r := m.Trace(Flow{From: h.end(2), To: h.end(2), Family: h.one("", "IPv4", "IPv6", "x"), Protocol: h.one("TCP", "UDP", "ICMP", ""),
				Port: h.number(70000) - 1, Size: h.number(100000) - 1})
			if r.Delivered == snapshot.Unknown && r.Reason == "" {
				t.Fatalf("not known, and no reason: %+v", r)
			}
		}
	})
}

// TestFamilySettings: every pair of families that two configurations and the
// objects have is compared without a panic.
func TestFamilySettings(t *testing.T) {
	toggles := [][]string{{"enable-ipv4", "true", "enable-ipv6", "true"}, {"enable-ipv4", "false"}, {"enable-ipv6", "false"}, {"enable-ipv6", ""},
		{"enable-ipv4", "false", "enable-ipv6", "false"}}
	for _, only := range []string{"both", "IPv4", "IPv6"} {
		for kind, s := range map[string]*snapshot.Snapshot{"nodes": dualNodes(), "pods": cluster(3, 2, "a", "b-guarded")} {
			keepFamily(s, only)
			for i, x := range toggles {
				for j, y := range toggles {
					t.Run(fmt.Sprintf("%s %s %d %d", only, kind, i, j), func(t *testing.T) {
						m := newModel(t, Input{Config: config(x...), Snapshot: s, PerNode: map[string]cilium.Config{"node-0001": config(y...)}})
						n, err := m.With(config(y...))
						if err != nil {
							t.Fatal(err)
						}
						if a := Compare(m.Analyse(), m.Analyse()); a.Fixed+a.Broken != 0 {
							t.Errorf("the same configuration fixes %d and breaks %d", a.Fixed, a.Broken)
						}
						CompareModels(m, n, nil)
					})
				}
			}
		}
	}
}

// keepFamily takes the addresses of the other family out of nodes and pods.
func keepFamily(s *snapshot.Snapshot, only string) {
	if only == "both" {
		return
	}
	keep := func(a netip.Addr) bool { return a.Is4() == (only == "IPv4") }
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.InternalIPs = filter(n.InternalIPs, keep)
		n.PodCIDRs = filter(n.PodCIDRs, func(p netip.Prefix) bool { return keep(p.Addr()) })
	}
	for i := range s.Pods {
		s.Pods[i].IPs = filter(s.Pods[i].IPs, keep)
	}
}

func filter[T any](list []T, keep func(T) bool) []T {
	var out []T
	for _, v := range list {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}
