package datapath

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with testdata/name, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not as it was; look, then run with -update:\n%s", path, diff)
	}
}

// flagship is six nodes whose pods' /60 is outside the native routing /48.
func flagship() *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		ReadKinds:    map[string]bool{"Pod": true, "NetworkPolicy": true},
		Policies:     []snapshot.Policy{sameNamespace("flux-system")},
		PodPools:     []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:224::/60")}},
		ServiceCIDRs: []snapshot.CIDR{{Prefix: netip.MustParsePrefix("fd00:101:96::/108")}},
	}
	for i := range 6 {
		name := fmt.Sprintf("node-%d", i)
		s.Nodes = append(s.Nodes, snapshot.Node{
			Name: name, InternalIPs: addrs(fmt.Sprintf("fd00:101::2%d", i)), APIServer: snapshot.TriOf(i < 3),
			PodCIDRs: prefixes(fmt.Sprintf("fd00:101:224:%d::/64", i)),
		})
		for j, ns := range []string{"flux-system", "kube-system"} {
			s.Pods = append(s.Pods, snapshot.Pod{
				Namespace: ns, Name: fmt.Sprintf("pod-%d", i), Node: name,
				IPs: addrs(fmt.Sprintf("fd00:101:224:%d::%d", i, j+16)),
			})
		}
	}
	s.Services = []snapshot.Service{{
		Namespace: "flux-system", Name: "source-controller", ClusterIPs: addrs("fd00:101:96::9"),
		Endpoints: addrs("fd00:101:224:2::16"),
	}}
	return s
}

// TestCompareFlagship: the candidates of the incident and what they do.
func TestCompareFlagship(t *testing.T) {
	base := []string{"enable-ipv4", "false", "ipv4-native-routing-cidr", ""}
	agentFile := func(cidrs string) *string {
		text := "nonMasqueradeCIDRs: [" + cidrs + "]\n"
		return &text
	}
	masqAgent := []string{"enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true"}
	var out strings.Builder
	for _, tc := range []struct {
		name    string
		changes []string
		file    *string
	}{
		{"the smallest covering prefix", []string{"ipv6-native-routing-cidr", "fd00:101::/38"}, nil},
		{"the pods exactly", []string{"ipv6-native-routing-cidr", "fd00:101:224::/60"}, nil},
		{"half of the pods", []string{"ipv6-native-routing-cidr", "fd00:101:224::/62"}, nil},
		{"BPF masquerade alone", []string{"enable-bpf-masquerade", "true"}, nil},
		{"ip-masq-agent with the report's number", masqAgent, agentFile("fd00:101::/48")},
		{"ip-masq-agent with the pods", masqAgent, agentFile("fd00:101::/48, fd00:101:224::/60")},
		{"masquerading off", []string{"enable-ipv6-masquerade", "false"}, nil},
		{"tunnel", []string{"routing-mode", "tunnel", "auto-direct-node-routes", ""}, nil},
		{"direct routes off", []string{"auto-direct-node-routes", "false"}, nil},
		{"socket load balancer for the host only", []string{"bpf-lb-sock-hostns-only", "true"}, nil},
	} {
		before := newModel(t, Input{Config: config(base...), Snapshot: flagship()})
		cfg := config(append(base, tc.changes...)...)
		cfg.MasqAgent = tc.file
		after := newModel(t, Input{Config: cfg, Snapshot: flagship()})
		describe(&out, tc.name, Compare(before.Analyse(), after.Analyse()))
	}
	golden(t, "flagship.golden", out.String())
}

func describe(out *strings.Builder, name string, d Delta) {
	fmt.Fprintf(out, "%s: fixed %d (%d flows), broken %d (%d), unchanged %d (%d), unknown %d (%d), conditional %d\n",
		name, d.Fixed, d.FixedFlows, d.Broken, d.BrokenFlows, d.Unchanged, d.UnchangedFlows, d.Unknown, d.UnknownFlows, d.Conditional)
	for _, e := range d.FixedExamples {
		fmt.Fprintf(out, "  fixed %s -> %s: %s => %s (%d)\n", e.From, e.To, e.Before, e.After, e.Flows)
	}
	for _, e := range d.BrokenExamples {
		fmt.Fprintf(out, "  broken %s -> %s: %s => %s (%d)\n", e.From, e.To, e.Before, e.After, e.Flows)
	}
	for _, m := range d.Masquerade {
		fmt.Fprintf(out, "  %s (%s): %s => %s\n", m.Destination, m.What, m.Before, m.After)
	}
}

// TestCompareSame: a configuration compared with itself changes nothing.
func TestCompareSame(t *testing.T) {
	a := newModel(t, Input{Config: config(), Snapshot: flagship()}).Analyse()
	d := Compare(a, a)
	if d.Fixed+d.Broken+d.Unknown != 0 || d.Unchanged == 0 || len(d.Masquerade) != 0 {
		t.Errorf("%+v", d)
	}
}

// TestCompareGrain: ranges that only one configuration names split the classes
// of both, so that a change that helps some pods only is seen as such.
func TestCompareGrain(t *testing.T) {
	s := flagship()
	before := newModel(t, Input{Config: config(), Snapshot: s}).Analyse()
	after := newModel(t, Input{Config: config("ipv6-native-routing-cidr", "fd00:101:224::/63"), Snapshot: s}).Analyse()
	d := Compare(before, after)
	if d.Fixed == 0 || d.Broken != 0 {
		t.Fatalf("fixed %d, broken %d", d.Fixed, d.Broken)
	}
	// Guarded pods of nodes 0 and 1 become reachable from the guarded pods of all
	// other nodes, and through no service.
	if d.FixedFlows != 2*5 {
		t.Errorf("%d flows fixed, want 10", d.FixedFlows)
	}
}

// TestComparePerNode: one node with a configuration of its own is told apart.
func TestComparePerNode(t *testing.T) {
	s := flagship()
	before := newModel(t, Input{Config: config(), Snapshot: s}).Analyse()
	cured := map[string]cilium.Config{"node-4": config("ipv6-native-routing-cidr", "fd00:101::/38")}
	d := Compare(before, newModel(t, Input{Config: config(), PerNode: cured, Snapshot: s}).Analyse())
	// The guarded pod of node-4 reaches those of five other nodes, and the service.
	if d.FixedFlows != 5+1 || d.Broken != 0 {
		t.Errorf("%d flows fixed and %d broken, want 6 and 0", d.FixedFlows, d.Broken)
	}
}

// TestCompareConditional: where nobody says whether the network between segments
// carries pods' packets, the fix holds on that condition.
func TestCompareConditional(t *testing.T) {
	s := flagship()
	for i := range s.Nodes {
		s.Nodes[i].InternalIPs = addrs(fmt.Sprintf("fd00:101:0:%d::1", i))
	}
	before := newModel(t, Input{Config: config(), Snapshot: s})
	after := newModel(t, Input{Config: config("ipv6-native-routing-cidr", "fd00:101::/38"), Snapshot: s})
	d := Compare(before.Analyse(), after.Analyse())
	if d.Fixed == 0 || d.Broken != 0 || d.Conditional < d.Fixed {
		t.Errorf("fixed %d, broken %d, conditional %d", d.Fixed, d.Broken, d.Conditional)
	}
}

// TestWalks draws the packet's way step by step.
func TestWalks(t *testing.T) {
	service := End{Kind: EndService, Namespace: "team-guarded", Name: "svc"}
	var out strings.Builder
	for _, tc := range []struct {
		name     string
		config   []string
		topo     Topology
		from, to End
		size     int
	}{
		{"flagship", nil, Topology{}, pod("a"), service, 0},
		{"flagship, cured", []string{"ipv6-native-routing-cidr", "fd00:101::/32"}, Topology{}, pod("a"), service, 0},
		{"per packet", []string{"ipv6-native-routing-cidr", "fd00:101::/32", "bpf-lb-sock-hostns-only", "true"}, Topology{}, pod("a"), service, 0},
		{"BPF", []string{"enable-bpf-masquerade", "true"}, Topology{}, pod("a"), pod("d"), 0},
		{"tunnel", []string{"routing-mode", "tunnel", "auto-direct-node-routes", ""}, Topology{}, pod("a"), pod("b"), 0},
		{"same node, endpoint routes", []string{"enable-endpoint-routes", "true"}, Topology{}, pod("a"), pod("a2"), 0},
		{"no routes", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: no}, pod("a"), pod("b"), 0},
		{"no way back", []string{"auto-direct-node-routes", "false"}, Topology{RouterHasPodRoutes: no}, pod("a"), toNode("node-0001"), 0},
		{"egress denied", []string{"enable-policy", "always"}, Topology{}, pod("c"), pod("d"), 0},
		{"stalls", []string{"enable-bpf-masquerade", "true"}, Topology{DeviceMTU: 1450, PodMTU: 1500}, pod("a"), pod("d"), 1 << 20},
		{"own node", nil, Topology{}, toNode("node-0001"), pod("b"), 0},
		{"from outside", nil, Topology{RouterHasPodRoutes: yes}, outside("2001:db8::1"), pod("d"), 0},
		{"nothing known", []string{"enable-masquerade-to-route-source", "true"}, Topology{SameSegment: func(a, b string) snapshot.Tri { return snapshot.Unknown }}, pod("a"), pod("b"), 0},
	} {
		m := newModel(t, Input{Config: config(tc.config...), Snapshot: lab(), Topology: tc.topo})
		r := m.Trace(Flow{From: tc.from, To: tc.to, Family: "IPv6", Protocol: "TCP", Size: tc.size})
		fmt.Fprintf(&out, "%s: %s\n", tc.name, r.Outcome())
		for _, s := range r.Steps {
			mark := " "
			if s.Bad {
				mark = "!"
			}
			fmt.Fprintf(&out, "%s %s | %s | %s | %s\n", mark, s.Where, s.What, s.Why, s.Source)
		}
	}
	golden(t, "walks.golden", out.String())
}
