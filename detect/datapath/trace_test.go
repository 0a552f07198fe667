package datapath

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// lab is two nodes on one segment: a and b are in a namespace that admits its
// own pods only, c and d in one without policies; a and c on node-0000.
func lab() *snapshot.Snapshot {
	s := cluster(2, 0, "team-guarded", "open")
	for i := range s.Nodes {
		s.Nodes[i].APIServer = snapshot.No
		s.Nodes[i].CiliumInternalIPs = []netip.Addr{podV6(i, 1), v4(10<<24 | 128<<16 | i<<7 | 1)}
	}
	s.Services = []snapshot.Service{{
		Namespace: "team-guarded", Name: "svc", ClusterIPs: addrs("fd00:101:96::50", "10.96.0.50"),
		Endpoints: []netip.Addr{podV6(1, 9), v4(10<<24 | 128<<16 | 1<<7 | 9)},
	}}
	s.Pods = []snapshot.Pod{
		{Namespace: "team-guarded", Name: "b", Node: "node-0001", IPs: []netip.Addr{podV6(1, 9), v4(10<<24 | 128<<16 | 1<<7 | 9)}},
	}
	return s
}

func pod(name string) End {
	ends := map[string]End{
		"a":  {Kind: EndPod, Namespace: "team-guarded", Name: "a", Node: "node-0000"},
		"a2": {Kind: EndPod, Namespace: "team-guarded", Name: "a2", Node: "node-0000"},
		"b":  {Kind: EndPod, Namespace: "team-guarded", Name: "b", Node: "node-0001"},
		"c":  {Kind: EndPod, Namespace: "open", Name: "c", Node: "node-0000"},
		"d":  {Kind: EndPod, Namespace: "open", Name: "d", Node: "node-0001"},
	}
	return ends[name]
}

func toNode(name string) End { return End{Kind: EndNode, Node: name} }

func outside(a string) End { return End{Kind: EndOutside, Addr: netip.MustParseAddr(a)} }

// want is what a trace must say; empty fields are not compared.
type want struct {
	delivered snapshot.Tri
	source    SourceKind
	identity  string
	masq      cilium.Masquerade
	route     string
	drop      string
	reason    string // part of Reason
	why       string // part of MasqueradeWhy
}

func (w want) check(t *testing.T, r Result) {
	t.Helper()
	if r.Delivered != w.delivered {
		t.Errorf("delivered %s (%s), want %s", r.Delivered, r.Reason, w.delivered)
	}
	if w.source != "" && r.Source != w.source {
		t.Errorf("source %q, want %q", r.Source, w.source)
	}
	if w.identity != "" && r.Identity != w.identity {
		t.Errorf("identity %q, want %q", r.Identity, w.identity)
	}
	if w.masq != "" && r.MasqueradeBy != w.masq {
		t.Errorf("masqueraded by %q (%s), want %q", r.MasqueradeBy, r.MasqueradeWhy, w.masq)
	}
	if w.route != "" && r.Route != w.route {
		t.Errorf("route %q, want %q", r.Route, w.route)
	}
	if r.DropReason != w.drop {
		t.Errorf("drop reason %q, want %q", r.DropReason, w.drop)
	}
	if !strings.Contains(r.Reason, w.reason) {
		t.Errorf("reason %q lacks %q", r.Reason, w.reason)
	}
	if !strings.Contains(r.MasqueradeWhy, w.why) {
		t.Errorf("masqueraded because %q, want %q in it", r.MasqueradeWhy, w.why)
	}
}

const (
	yes = snapshot.Yes
	no  = snapshot.No
	ipt = cilium.MasqueradeIPTables
	bpf = cilium.MasqueradeBPF
	off = cilium.MasqueradeOff
)

func TestTraceMasquerade(t *testing.T) {
	service := End{Kind: EndService, Namespace: "team-guarded", Name: "svc"}
	for _, tc := range []struct {
		name     string
		config   []string
		from, to End
		family   string
		want     want
	}{
		{"outside the CIDR, iptables", nil, pod("a"), pod("b"), "IPv6",
			want{no, SourceNode, policy.RemoteNode, ipt, "direct", PolicyDenied, "ingress policy", "outside ipv6-native-routing-cidr fd00:101::/48"}},
		{"outside the CIDR, BPF", []string{"enable-bpf-masquerade", "true"}, pod("a"), pod("b"), "IPv6",
			want{no, SourceNode, policy.RemoteNode, bpf, "direct", PolicyDenied, "ingress policy", "outside"}},
		{"open target", nil, pod("a"), pod("d"), "IPv6", want{yes, SourceNode, policy.RemoteNode, ipt, "direct", "", "", ""}},
		{"inside the CIDR", []string{"ipv6-native-routing-cidr", "fd00:101::/32"}, pod("a"), pod("b"), "IPv6",
			want{yes, SourcePod, "pod", off, "direct", "", "", "inside fd00:101::/32"}},
		{"another namespace is refused", []string{"ipv6-native-routing-cidr", "fd00:101::/32"}, pod("c"), pod("b"), "IPv6",
			want{no, SourcePod, "pod", off, "direct", PolicyDenied, "ingress policy", ""}},
		{"masquerading off", []string{"enable-ipv6-masquerade", "false"}, pod("a"), pod("b"), "IPv6",
			want{yes, SourcePod, "pod", off, "direct", "", "", "masquerading is off"}},
		{"same node", nil, pod("a"), pod("a2"), "IPv6", want{yes, SourcePod, "pod", off, "local", "", "", "one node"}},
		{"same node, endpoint routes, IPv6", []string{"enable-endpoint-routes", "true"}, pod("a"), pod("a2"), "IPv6",
			want{yes, SourceRouter, "pod", ipt, "local", "", "", ""}},
		{"same node, endpoint routes, IPv4", []string{"enable-endpoint-routes", "true", "ipv4-native-routing-cidr", "10.101.0.0/24"}, pod("a"), pod("a2"), "IPv4",
			want{yes, SourceNode, "pod", ipt, "local", "", "", ""}},
		{"same node, endpoint routes, BPF", []string{"enable-endpoint-routes", "true", "enable-bpf-masquerade", "true"}, pod("a"), pod("a2"), "IPv6",
			want{yes, SourcePod, "pod", off, "local", "", "", ""}},
		{"remote node, iptables", nil, pod("a"), toNode("node-0001"), "IPv6",
			want{yes, SourcePod, "pod", off, "default gateway", "", "", "cilium_node_set"}},
		{"remote node outside the CIDR", []string{"ipv6-native-routing-cidr", "fd00:101:2000::/36"}, pod("a"), toNode("node-0001"), "IPv6",
			want{yes, SourcePod, "pod", off, "", "", "", "cilium_node_set"}},
		{"remote node outside the CIDR, BPF", []string{"ipv6-native-routing-cidr", "fd00:101:2000::/36", "enable-bpf-masquerade", "true"}, pod("a"), toNode("node-0001"), "IPv6",
			want{yes, SourcePod, "pod", off, "", "", "", "remote node"}},
		{"own node", nil, pod("a"), toNode("node-0000"), "IPv6", want{yes, SourcePod, "pod", off, "local", "", "", "not forwarded"}},
		{"service", nil, pod("a"), service, "IPv6", want{no, SourceNode, policy.RemoteNode, ipt, "direct", PolicyDenied, "", ""}},
		{"internet", nil, pod("a"), outside("2001:db8::1"), "IPv6", want{yes, SourceNode, "", ipt, "default gateway", "", "", ""}},
		{"internet, not masqueraded", []string{"enable-ipv6-masquerade", "false"}, pod("a"), outside("2001:db8::1"), "IPv6",
			want{no, SourcePod, "", off, "", "", "private address", ""}},
		{"ip-masq-agent without a file, IPv6", []string{"enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true", "ipv6-native-routing-cidr", ""}, pod("a"), pod("b"), "IPv6",
			want{no, SourceNode, policy.RemoteNode, bpf, "", PolicyDenied, "", "ip-masq-agent exempts no range"}},
		{"ip-masq-agent without a file, IPv4", []string{"enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true", "ipv4-native-routing-cidr", ""}, pod("a"), pod("b"), "IPv4",
			want{yes, SourcePod, "pod", off, "", "", "", "ip-masq-agent exempts 10.0.0.0/8"}},
		{"tunnel to a pod", []string{"routing-mode", "tunnel", "auto-direct-node-routes", "", "ipv6-native-routing-cidr", ""}, pod("a"), pod("b"), "IPv6",
			want{yes, SourcePod, "pod", off, "tunnel", "", "", "tunnel"}},
		{"tunnel to a node", []string{"routing-mode", "tunnel", "auto-direct-node-routes", "", "ipv6-native-routing-cidr", ""}, pod("a"), toNode("node-0001"), "IPv6",
			want{yes, SourceNode, policy.RemoteNode, ipt, "default gateway", "", "", "own pod CIDR"}},
		{"tunnel, node to pod", []string{"routing-mode", "tunnel", "auto-direct-node-routes", ""}, toNode("node-0000"), pod("d"), "IPv6",
			want{yes, SourceRouter, policy.RemoteNode, off, "tunnel", "", "", ""}},
		{"node to its own pod", nil, toNode("node-0001"), pod("b"), "IPv6", want{yes, SourceRouter, policy.Host, off, "local", "", "", ""}},
		{"node to its own pod, endpoint routes, IPv4", []string{"enable-endpoint-routes", "true"}, toNode("node-0001"), pod("b"), "IPv4",
			want{yes, SourceNode, policy.Host, off, "local", "", "", ""}},
		{"node to a remote pod", nil, toNode("node-0000"), pod("b"), "IPv6", want{no, SourceNode, policy.RemoteNode, off, "direct", PolicyDenied, "", ""}},
		{"family off", []string{"enable-ipv6", "false"}, pod("a"), pod("b"), "IPv6", want{drop: UnsupportedFamily, delivered: no, route: "none", reason: "IPv6 is off"}},
		{"enforcement always", []string{"enable-policy", "always"}, pod("c"), pod("d"), "IPv6",
			want{delivered: no, masq: off, drop: PolicyDenied, reason: "egress policy"}},
		{"enforcement never", []string{"enable-policy", "never"}, pod("c"), pod("b"), "IPv6", want{yes, SourceNode, policy.RemoteNode, ipt, "", "", "", ""}},
		{"from outside to a pod", nil, outside("2001:db8::1"), pod("b"), "IPv6",
			want{delivered: no, drop: PolicyDenied, source: SourceOutside, identity: policy.World, masq: off}},
		{"from outside to a node", nil, outside("2001:db8::1"), toNode("node-0001"), "IPv6",
			want{delivered: yes, source: SourceOutside, identity: policy.World, masq: off}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(t, Input{Config: config(tc.config...), Snapshot: lab()})
			tc.want.check(t, m.Trace(Flow{From: tc.from, To: tc.to, Family: tc.family, Protocol: "TCP"}))
		})
	}
}

// TestTraceUnmodelled: what the model does not know is unknown, with a reason.
func TestTraceUnmodelled(t *testing.T) {
	for _, tc := range []struct {
		name     string
		config   []string
		from, to End
		reason   string
	}{
		{"no such node", nil, pod("a"), End{Kind: EndPod, Namespace: "x", Name: "y", Node: "nowhere"}, "is not in the snapshot"},
		{"no such kind", nil, pod("a"), End{Kind: "x"}, "unknown kind"},
		{"no address outside", nil, pod("a"), End{Kind: EndOutside}, "needs an address"},
		{"no such service", nil, pod("a"), End{Kind: EndService, Namespace: "x", Name: "y"}, "service x/y"},
		{"outside to outside", nil, outside("2001:db8::1"), outside("2001:db8::2"), "does not touch the cluster"},
		{"outside to a service", nil, outside("2001:db8::1"), End{Kind: EndService, Namespace: "team-guarded", Name: "svc"}, "not modelled"},
		{"WireGuard and masquerading", []string{"enable-wireguard", "true"}, pod("a"), pod("d"), "encryption"},
		{"host firewall", []string{"enable-host-firewall", "true"}, pod("a"), toNode("node-0001"), "host firewall"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(t, Input{Config: config(tc.config...), Snapshot: lab()})
			want{delivered: snapshot.Unknown, reason: tc.reason}.check(t, m.Trace(Flow{From: tc.from, To: tc.to, Family: "IPv6", Protocol: "TCP"}))
		})
	}
}

// TestTraceAPIServer: a control-plane node is seen as kube-apiserver, and when
// its role is not known only a policy that tells the two apart is unknown.
func TestTraceAPIServer(t *testing.T) {
	s := lab()
	s.Nodes[0].APIServer = snapshot.Yes
	flow := Flow{From: pod("a"), To: pod("d"), Family: "IPv6", Protocol: "TCP"}
	want{yes, SourceNode, policy.KubeAPIServer, ipt, "direct", "", "", ""}.check(t, newModel(t, Input{Config: config(), Snapshot: s}).Trace(flow))

	s.Nodes[0].APIServer = snapshot.Unknown
	flow.To = pod("b")
	want{delivered: no, drop: PolicyDenied}.check(t, newModel(t, Input{Config: config(), Snapshot: s}).Trace(flow))

	s.Policies = append(s.Policies, snapshot.Policy{
		Kind: "CiliumNetworkPolicy", Namespace: "team-guarded", Name: "api", Source: "CiliumNetworkPolicy team-guarded/api",
		Cilium: []map[string]any{{
			"endpointSelector": map[string]any{},
			"ingress":          []any{map[string]any{"fromEntities": []any{"kube-apiserver"}}},
		}},
	})
	want{delivered: snapshot.Unknown, reason: "which identity is seen"}.check(t, newModel(t, Input{Config: config(), Snapshot: s}).Trace(flow))
}

// TestTracePerNode: the sender's configuration decides about masquerading.
func TestTracePerNode(t *testing.T) {
	wide, narrow := config("ipv6-native-routing-cidr", "fd00:101::/32"), config()
	flow := Flow{From: pod("a"), To: pod("b"), Family: "IPv6", Protocol: "TCP"}
	sender := newModel(t, Input{Config: narrow, PerNode: map[string]cilium.Config{"node-0000": wide}, Snapshot: lab()})
	want{yes, SourcePod, "pod", off, "direct", "", "", ""}.check(t, sender.Trace(flow))
	receiver := newModel(t, Input{Config: narrow, PerNode: map[string]cilium.Config{"node-0001": wide}, Snapshot: lab()})
	want{no, SourceNode, policy.RemoteNode, ipt, "direct", PolicyDenied, "", ""}.check(t, receiver.Trace(flow))
	if got := receiver.Settings("node-0001").NativeRoutingCIDR["IPv6"].String(); got != "fd00:101::/32" {
		t.Errorf("settings of node-0001 have %s", got)
	}
}

func TestNewNeedsSnapshot(t *testing.T) {
	if _, err := New(Input{}); err == nil || !strings.Contains(err.Error(), "no snapshot") {
		t.Errorf("error %v, want one that names the snapshot", err)
	}
}
