package datapath

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// TestRules are decisions that depend on more than flags: devices, routes,
// address roles and IPAM modes.
func TestRules(t *testing.T) {
	onLink := prefixes("10.101.0.0/24", "fd00:101::/64")
	for _, tc := range []struct {
		name   string
		config []string
		topo   Topology
		change func(*snapshot.Snapshot)
		to     End
		family string
		by     cilium.Masquerade
		why    string
	}{
		{"egress interface matches", []string{"egress-masquerade-interfaces", "eth0"}, Topology{Devices: []string{"eth0"}}, nil, pod("d"), "IPv6", ipt, "outside"},
		{"egress interface pattern", []string{"egress-masquerade-interfaces", "eth+"}, Topology{Devices: []string{"eth0", "eth1"}}, nil, pod("d"), "IPv6", ipt, "outside"},
		{"egress interface is another", []string{"egress-masquerade-interfaces", "eth1"}, Topology{Devices: []string{"eth0"}}, nil, pod("d"), "IPv6", off, "none of the egress-masquerade-interfaces"},
		{"egress interface, device unknown", []string{"egress-masquerade-interfaces", "eth0"}, Topology{}, nil, pod("d"), "IPv6", "", "not known"},
		{"egress interface, one device of two", []string{"egress-masquerade-interfaces", "eth0"}, Topology{Devices: []string{"eth0", "eth1"}}, nil, pod("d"), "IPv6", "", "not known"},
		{"egress interface, device configured", []string{"egress-masquerade-interfaces", "eth0", "devices", "eth0"}, Topology{}, nil, pod("d"), "IPv6", ipt, "outside"},
		{"egress interface and a local pod", []string{"egress-masquerade-interfaces", "eth0", "enable-endpoint-routes", "true"}, Topology{Devices: []string{"eth0"}}, nil, pod("a2"), "IPv6", off, "none of the egress"},
		{"egress interface, remote node", []string{"egress-masquerade-interfaces", "eth0", "ipv6-native-routing-cidr", "fd00:9::/64"}, Topology{Devices: []string{"eth0"}}, nil, toNode("node-0001"), "IPv6", off, "cilium_node_set"},

		{"route source, default route without", []string{"enable-masquerade-to-route-source", "true"}, Topology{OnLink: onLink, DefaultRouteSource: no}, nil, pod("d"), "IPv6", off, "no route to the destination"},
		{"route source, default route with", []string{"enable-masquerade-to-route-source", "true"}, Topology{OnLink: onLink, DefaultRouteSource: yes}, nil, pod("d"), "IPv6", ipt, "default route"},
		{"route source, default route with, inside", []string{"enable-masquerade-to-route-source", "true", "ipv6-native-routing-cidr", "fd00:101::/32"}, Topology{OnLink: onLink, DefaultRouteSource: yes}, nil, pod("d"), "IPv6", off, "inside"},
		{"route source, nothing known", []string{"enable-masquerade-to-route-source", "true"}, Topology{}, nil, pod("d"), "IPv6", "", "not known"},
		{"route source, connected IPv4 route", []string{"enable-masquerade-to-route-source", "true"}, Topology{OnLink: onLink, DefaultRouteSource: no}, nil, outside("10.101.0.99"), "IPv4", ipt, "connected route 10.101.0.0/24"},
		{"route source, connected route is the CIDR", []string{"enable-masquerade-to-route-source", "true", "ipv4-native-routing-cidr", "10.101.0.0/24"}, Topology{OnLink: onLink, DefaultRouteSource: no}, nil, outside("10.101.0.99"), "IPv4", off, "inside"},
		{"route source, connected IPv6 route has none", []string{"enable-masquerade-to-route-source", "true"}, Topology{OnLink: onLink, DefaultRouteSource: no}, nil, outside("fd00:101::99"), "IPv6", off, "inside"},

		{"ExternalIP, iptables", []string{"ipv6-native-routing-cidr", "fd00:101::/32"}, Topology{}, withExternal, End{Kind: EndNode, Node: "node-0001", Addr: netip.MustParseAddr("fd00:b::22")}, "IPv6", ipt, "outside"},
		{"ExternalIP, BPF", []string{"enable-bpf-masquerade", "true"}, Topology{}, withExternal, End{Kind: EndNode, Node: "node-0001", Addr: netip.MustParseAddr("fd00:b::22")}, "IPv6", off, "remote node"},
		{"address that Kubernetes does not know, BPF", []string{"enable-bpf-masquerade", "true"}, Topology{}, nil, End{Kind: EndNode, Node: "node-0001", Addr: netip.MustParseAddr("fd00:b::22")}, "IPv6", bpf, "outside"},
		{"Node object without IPv6", []string{"ipv6-native-routing-cidr", "fd00:9::/64"}, Topology{}, onlyIPv4, toNode("node-0001"), "IPv6", off, "cilium_node_set"},
		{"Node object without IPv6, BPF", []string{"ipv6-native-routing-cidr", "fd00:9::/64", "enable-bpf-masquerade", "true"}, Topology{}, onlyIPv4, toNode("node-0001"), "IPv6", off, "remote node"},
		{"Node object without IPv6, tunnel", []string{"routing-mode", "tunnel", "auto-direct-node-routes", ""}, Topology{}, onlyIPv4, toNode("node-0001"), "IPv6", "", "no IPv6 address"},

		{"remote node in a tunnel, BPF", []string{"routing-mode", "tunnel", "auto-direct-node-routes", "", "ipv6-native-routing-cidr", "", "enable-bpf-masquerade", "true"}, Topology{}, nil, toNode("node-0001"), "IPv6", bpf, "own pod CIDR"},
		{"multi-pool, iptables", []string{"ipam", "multi-pool"}, Topology{}, nil, pod("d"), "IPv6", "", "multi-pool"},
		{"multi-pool, BPF", []string{"ipam", "multi-pool", "enable-bpf-masquerade", "true"}, Topology{}, nil, pod("d"), "IPv6", bpf, "outside"},
		{"ENI without a CIDR", []string{"ipam", "eni", "ipv4-native-routing-cidr", ""}, Topology{}, nil, pod("d"), "IPv4", "", "detected"},
		{"egress gateway and a pod", []string{"enable-bpf-masquerade", "true", "enable-ipv4-egress-gateway", "true"}, Topology{}, nil, pod("d"), "IPv6", bpf, "outside"},
		{"egress gateway and outside", []string{"enable-bpf-masquerade", "true", "enable-ipv4-egress-gateway", "true"}, Topology{}, nil, outside("2001:db8::1"), "IPv6", "", "egress gateway"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := lab()
			if tc.change != nil {
				tc.change(s)
			}
			m := newModel(t, Input{Config: config(tc.config...), Snapshot: s, Topology: tc.topo})
			r := m.Trace(Flow{From: pod("a"), To: tc.to, Family: tc.family, Protocol: "TCP"})
			want{delivered: r.Delivered, masq: tc.by, why: tc.why}.check(t, r)
			if r.MasqueradeBy != tc.by {
				t.Errorf("masqueraded by %q, want %q", r.MasqueradeBy, tc.by)
			}
		})
	}
}

// TestForeignSource: the iptables rules name the node's own pod CIDR as source.
func TestForeignSource(t *testing.T) {
	from := pod("a")
	from.Addr = netip.MustParseAddr("fd00:77::1")
	flow := Flow{From: from, To: pod("d"), Family: "IPv6", Protocol: "TCP"}
	want{yes, SourcePod, "pod", off, "direct", "", "", "outside its node's pod CIDR"}.check(t,
		newModel(t, Input{Config: config(), Snapshot: lab()}).Trace(flow))
	want{yes, SourceNode, "", bpf, "direct", "", "", "outside"}.check(t,
		newModel(t, Input{Config: config("enable-bpf-masquerade", "true"), Snapshot: lab()}).Trace(flow))
}

func withExternal(s *snapshot.Snapshot) { s.Nodes[1].ExternalIPs = addrs("fd00:b::22") }

func onlyIPv4(s *snapshot.Snapshot) {
	for i := range s.Nodes {
		s.Nodes[i].InternalIPs = s.Nodes[i].InternalIPs[1:]
	}
}

// TestUnknownSource: a source that is not known does not matter where no policy
// tells the alternatives apart.
func TestUnknownSource(t *testing.T) {
	m := newModel(t, Input{Config: config("enable-masquerade-to-route-source", "true"), Snapshot: lab()})
	flow := Flow{From: pod("a"), To: pod("d"), Family: "IPv6", Protocol: "TCP"}
	if r := m.Trace(flow); r.Delivered != yes || r.Source != SourceUnknown {
		t.Errorf("open target: %s from %q (%s), want delivered from an unknown source", r.Delivered, r.Source, r.Reason)
	}
	flow.To = pod("b")
	if r := m.Trace(flow); r.Delivered != snapshot.Unknown {
		t.Errorf("guarded target: %s, want unknown", r.Delivered)
	}
}

func TestRoutes(t *testing.T) {
	segments := func(answer snapshot.Tri) func(a, b string) snapshot.Tri {
		return func(a, b string) snapshot.Tri { return answer }
	}
	wide := []string{"ipv6-native-routing-cidr", "fd00:101::/32"}
	for _, tc := range []struct {
		name      string
		config    []string
		topo      Topology
		change    func(*snapshot.Snapshot)
		to        End
		delivered snapshot.Tri
		ifRouted  snapshot.Tri
		route     string
		reason    string
	}{
		{"one /64", nil, Topology{}, nil, pod("b"), yes, yes, "direct", ""},
		{"two /64s", nil, Topology{}, secondSegment, pod("b"), snapshot.Unknown, yes, "unknown", "behind a gateway"},
		{"two /64s, routed", nil, Topology{RouterHasPodRoutes: yes}, secondSegment, pod("b"), yes, yes, "default gateway", ""},
		{"two /64s, not routed", nil, Topology{RouterHasPodRoutes: no}, secondSegment, pod("b"), no, no, "none", "no route to pods"},
		{"two /64s, skipped", []string{"direct-routing-skip-unreachable", "true"}, Topology{RouterHasPodRoutes: no}, secondSegment, pod("b"), no, no, "none", "debug level only"},
		{"told to share a segment", nil, Topology{SameSegment: segments(yes)}, secondSegment, pod("b"), yes, yes, "direct", ""},
		{"told not to know", nil, Topology{SameSegment: segments(snapshot.Unknown)}, nil, pod("b"), snapshot.Unknown, yes, "unknown", "is not known"},
		{"one known link", nil, Topology{OnLink: prefixes("fd00:100::/30")}, secondSegment, pod("b"), yes, yes, "direct", ""},
		{"no routes", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: no}, nil, pod("b"), no, no, "none", "auto-direct-node-routes is off"},
		{"no routes, routed", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: yes}, nil, pod("b"), yes, yes, "default gateway", ""},
		{"no routes, to a node", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: no}, nil, toNode("node-0001"), no, no, "default gateway", "no way back"},
		{"no routes, tunnel", []string{"auto-direct-node-routes", "", "routing-mode", "tunnel"}, Topology{RouterHasPodRoutes: no}, nil, pod("b"), yes, yes, "tunnel", ""},
		{"no routes, same node", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: no}, nil, pod("a2"), yes, yes, "local", ""},
		{"Node object without an address of the family", nil, Topology{}, onlyIPv4, pod("b"), yes, yes, "direct", ""},
		{"LAN host, routed", nil, Topology{RouterHasPodRoutes: yes}, nil, outside("fd00:101::99"), yes, yes, "default gateway", ""},
		{"LAN host, nothing known", nil, Topology{}, nil, outside("fd00:101::99"), snapshot.Unknown, yes, "default gateway", "no way back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := lab()
			if tc.change != nil {
				tc.change(s)
			}
			m := newModel(t, Input{Config: config(append(wide, tc.config...)...), Snapshot: s, Topology: tc.topo})
			r := m.Trace(Flow{From: pod("a"), To: tc.to, Family: "IPv6", Protocol: "TCP"})
			want{delivered: tc.delivered, route: tc.route, reason: tc.reason}.check(t, r)
			if r.IfRouted != tc.ifRouted {
				t.Errorf("if routed %s, want %s", r.IfRouted, tc.ifRouted)
			}
		})
	}
}

func secondSegment(s *snapshot.Snapshot) {
	s.Nodes[1].InternalIPs = addrs("fd00:101:1::22", "10.102.1.22")
}

// TestIPv4Segments: two IPv4 /24s may be one wider link, so that nothing is
// certain unless the links are stated.
func TestIPv4Segments(t *testing.T) {
	s := lab()
	secondSegment(s)
	flow := Flow{From: pod("a"), To: pod("d"), Family: "IPv4", Protocol: "TCP"}
	if r := newModel(t, Input{Config: config(), Snapshot: s}).Trace(flow); r.Route != "unknown" {
		t.Errorf("route %q, want unknown", r.Route)
	}
	topo := Topology{OnLink: prefixes("10.101.0.0/24", "10.102.1.0/24"), RouterHasPodRoutes: no}
	if r := newModel(t, Input{Config: config(), Snapshot: s, Topology: topo}).Trace(flow); r.Route != "none" {
		t.Errorf("route %q, want none", r.Route)
	}
}

func TestSizes(t *testing.T) {
	legacy := []string{"ipv6-native-routing-cidr", "fd00:101::/32"}
	bpfRouting := append(legacy, "enable-bpf-masquerade", "true")
	tunnel := []string{"routing-mode", "tunnel", "auto-direct-node-routes", ""}
	for _, tc := range []struct {
		name     string
		config   []string
		topo     Topology
		to       End
		protocol string
		size     int
		want     snapshot.Tri
		source   SourceKind
	}{
		{"fits", legacy, Topology{DeviceMTU: 1500, PodMTU: 1500}, pod("b"), "ICMP", 1500, yes, SourcePod},
		{"pod too small", legacy, Topology{DeviceMTU: 1500, PodMTU: 1450}, pod("b"), "ICMP", 1451, no, SourceUnknown},
		{"pod too small for one packet, same node", legacy, Topology{DeviceMTU: 1500, PodMTU: 1450}, pod("a2"), "ICMP", 1451, no, SourceUnknown},
		{"TCP adapts to the pod", legacy, Topology{DeviceMTU: 1500, PodMTU: 1450}, pod("b"), "TCP", 1 << 20, yes, SourcePod},
		{"MTU configured", append(legacy, "mtu", "1450"), Topology{DeviceMTU: 1500}, pod("b"), "ICMP", 1451, no, SourceUnknown},
		{"device too small, legacy", legacy, Topology{DeviceMTU: 1450, PodMTU: 1500}, pod("b"), "TCP", 1 << 20, yes, SourcePod},
		{"device too small, BPF", bpfRouting, Topology{DeviceMTU: 1450, PodMTU: 1500}, pod("b"), "TCP", 1 << 20, no, SourcePod},
		{"device too small, one packet", legacy, Topology{DeviceMTU: 1450, PodMTU: 1500}, pod("b"), "ICMP", 1500, no, SourceUnknown},
		{"path silent", legacy, Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1450, PathAnswersTooBig: no}, pod("b"), "TCP", 1 << 20, no, SourcePod},
		{"path answers", legacy, Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1450, PathAnswersTooBig: yes}, pod("b"), "TCP", 1 << 20, no, SourcePod},
		{"path unknown", legacy, Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1450}, pod("b"), "TCP", 1 << 20, snapshot.Unknown, SourcePod},
		{"path does not matter on one node", legacy, Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1280, PathAnswersTooBig: no}, pod("a2"), "TCP", 1 << 20, yes, SourcePod},
		{"nothing known", legacy, Topology{}, pod("b"), "ICMP", 1500, snapshot.Unknown, SourcePod},
		{"tunnel, detected", tunnel, Topology{DeviceMTU: 1500}, pod("b"), "ICMP", 1450, yes, SourcePod},
		{"tunnel, detected, too big", tunnel, Topology{DeviceMTU: 1500}, pod("b"), "ICMP", 1451, no, SourceUnknown},
		{"tunnel, IPv6 underlay", append(tunnel, "underlay-protocol", "ipv6"), Topology{DeviceMTU: 1500}, pod("b"), "ICMP", 1431, no, SourceUnknown},
		{"tunnel, too big for the pod's route on one node", tunnel, Topology{DeviceMTU: 1500}, pod("a2"), "UDP", 1451, no, SourceUnknown},
		{"tunnel, MTU configured", append(tunnel, "mtu", "1450"), Topology{DeviceMTU: 1500}, pod("b"), "ICMP", 1401, no, SourceUnknown},
		{"tunnel, MTU configured, TCP adapts", append(tunnel, "mtu", "1450"), Topology{DeviceMTU: 1500}, pod("b"), "TCP", 1 << 20, yes, SourcePod},
		{"tunnel, outside", tunnel, Topology{DeviceMTU: 1500}, End{Kind: EndOutside, Addr: netip.MustParseAddr("2001:db8::9")}, "ICMP", 1451, no, SourceUnknown},
		{"tunnel, pods of full size", tunnel, Topology{DeviceMTU: 1500, PodMTU: 1500}, pod("b"), "ICMP", 1451, no, SourceUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(t, Input{Config: config(tc.config...), Snapshot: lab(), Topology: tc.topo})
			r := m.Trace(Flow{From: pod("a"), To: tc.to, Family: "IPv6", Protocol: tc.protocol, Size: tc.size})
			want{delivered: tc.want}.check(t, r)
			if r.Source != tc.source {
				t.Errorf("source %q, want %q", r.Source, tc.source)
			}
		})
	}
}

// A path's "too big" reaches the sender of IPv6 only past its ingress policies.
func TestPathAnswers(t *testing.T) {
	spec := func(ingress string) func(*snapshot.Snapshot) {
		var rule map[string]any
		if err := json.Unmarshal([]byte(`{"endpointSelector":{},"ingress":[`+ingress+`]}`), &rule); err != nil {
			t.Fatal(err)
		}
		return func(s *snapshot.Snapshot) {
			s.Policies = append(s.Policies, snapshot.Policy{Kind: "CiliumNetworkPolicy", Namespace: "team-guarded", Name: "more", Source: "CiliumNetworkPolicy team-guarded/more",
				Cilium: []map[string]any{rule}})
		}
	}
	for _, tc := range []struct {
		name, from, family string
		policy             func(*snapshot.Snapshot)
		want               snapshot.Tri
		reason             string
	}{
		{"IPv4 comes in by itself", "a", "IPv4", nil, yes, ""},
		{"no policy selects the sender", "c", "IPv6", nil, yes, ""},
		{"the sender's namespace only", "a", "IPv6", nil, no, "sender's policies"},
		{"the world may", "a", "IPv6", spec(`{"fromEntities":["world"]}`), yes, ""},
		{"too big may", "a", "IPv6", spec(`{"fromEntities":["all"],"icmps":[{"fields":[{"family":"IPv6","type":2}]}]}`), yes, ""},
		{"echo may", "a", "IPv6", spec(`{"fromEntities":["all"],"icmps":[{"fields":[{"family":"IPv6","type":128}]}]}`), no, "sender's policies"},
		{"some range may", "a", "IPv6", spec(`{"fromCIDR":["2001:db8::/32"]}`), snapshot.Unknown, "is not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := lab()
			if tc.policy != nil {
				tc.policy(s)
			}
			topo := Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1450, PathAnswersTooBig: yes}
			m := newModel(t, Input{Config: config("ipv6-native-routing-cidr", "fd00:101::/32", "enable-ipv4-masquerade", "false"), Snapshot: s, Topology: topo})
			to := "b"
			if tc.from == "c" {
				to = "d"
			}
			want{delivered: tc.want, reason: tc.reason}.check(t, m.Trace(Flow{From: pod(tc.from), To: pod(to), Family: tc.family, Protocol: "TCP", Size: 1 << 20}))
		})
	}
}

func TestTranslation(t *testing.T) {
	service := End{Kind: EndService, Namespace: "team-guarded", Name: "svc"}
	for _, tc := range []struct {
		name   string
		config []string
		from   End
		want   string
	}{
		{"socket", nil, pod("a"), "socket"},
		{"host namespace only, pod", []string{"bpf-lb-sock-hostns-only", "true"}, pod("a"), "per packet"},
		{"host namespace only, node", []string{"bpf-lb-sock-hostns-only", "true"}, toNode("node-0000"), "socket"},
		{"kube-proxy", []string{"kube-proxy-replacement", "false"}, pod("a"), "kube-proxy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(t, Input{Config: config(tc.config...), Snapshot: lab()})
			r := m.Trace(Flow{From: tc.from, To: service, Family: "IPv6", Protocol: "TCP"})
			if r.Translated != tc.want {
				t.Errorf("translated %q, want %q", r.Translated, tc.want)
			}
			if len(r.Steps) == 0 || r.Steps[0].What != "service team-guarded/svc becomes pod team-guarded/b (fd00:101:2000:1::9)" {
				t.Errorf("first step %+v does not name the backend", r.Steps)
			}
		})
	}
}
