package mesh

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// find is a check of the plan's in a few words.
func find(t *testing.T, p *Plan, words string) Check {
	t.Helper()
	for _, turn := range turns(p, 60) {
		if brief(turn.Check) == words && turn.NotChecked == "" {
			return turn.Check
		}
	}
	t.Fatalf("the plan has no %q", words)
	return Check{}
}

func briefs(checks []Check) []string {
	var out []string
	for _, c := range checks {
		out = append(out, brief(c))
	}
	return out
}

func TestDifferential(t *testing.T) {
	tests := []struct{ failed, want string }{
		{"PodIP IPv6 TCP guarded node-1", `
			PodIP IPv6 TCP guarded node-1
			PodIP IPv6 TCP guarded node-1
			PodIP IPv6 TCP open node-1
			PodIP IPv4 TCP guarded node-1
			PodIP IPv6 TCP guarded node-0
			PodIP IPv6 TCP guarded node-5
			PodIP IPv6 TCP guarded node-6
			NodeIP IPv6 TCP node-1
			PodIP IPv6 UDP open node-1
			PodIP IPv6 ICMP open node-1
			PodIP IPv6 HTTP open node-1
			ClusterIP IPv6 TCP open fd00:102::9
			ClusterIP IPv6 UDP open fd00:102::9
			PodIP IPv6 UDP open node-1 1500
			PodIP IPv6 UDP open node-1 1500 back
			PodIP IPv4 TCP open node-1
			NodeIP IPv4 TCP node-1`},
		{"PodIP IPv4 UDP open node-1 1500", `
			PodIP IPv4 UDP open node-1 1500
			PodIP IPv4 UDP open node-1 1500
			PodIP IPv4 UDP open node-1
			PodIP IPv4 UDP guarded node-1
			PodIP IPv6 UDP open node-1 1500
			PodIP IPv4 UDP guarded node-0 1500
			PodIP IPv4 UDP open node-5 1500
			PodIP IPv4 UDP open node-6 1500
			NodeIP IPv4 TCP node-1
			PodIP IPv4 TCP open node-1`},
		{"PodIP IPv6 TCP guarded node-0", `
			PodIP IPv6 TCP guarded node-0
			PodIP IPv6 TCP guarded node-0
			PodIP IPv6 TCP open node-0
			PodIP IPv4 TCP guarded node-0
			PodIP IPv6 TCP guarded node-4
			PodIP IPv6 TCP guarded node-3
			NodeIP IPv6 TCP node-0`},
		{"NodeIP IPv6 TCP node-1", `
			NodeIP IPv6 TCP node-1
			NodeIP IPv6 TCP node-1
			PodIP IPv6 TCP open node-1
			NodeIP IPv4 TCP node-1
			PodIP IPv4 TCP open node-1
			NodeIP IPv6 TCP node-5
			NodeIP IPv6 TCP node-6
			NodeIP IPv6 TCP node-0
			PodIP IPv6 TCP open node-5
			PodIP IPv6 TCP open node-6`},
		{"ClusterIP IPv4 TCP open 10.96.0.9", `
			ClusterIP IPv4 TCP open 10.96.0.9
			ClusterIP IPv4 TCP open 10.96.0.9
			ClusterIP IPv4 UDP open 10.96.0.9
			ClusterIP IPv4 HTTP open 10.96.0.9
			PodIP IPv4 TCP open node-4
			PodIP IPv4 TCP open node-3
			PodIP IPv4 TCP guarded node-0
			ClusterIP IPv6 TCP open fd00:102::9
			ClusterIP IPv6 UDP open fd00:102::9
			DNS IPv4 UDP 10.101.0.20`},
		{"DNS IPv6 UDP fd00:102::a", `
			DNS IPv6 UDP fd00:102::a
			DNS IPv6 UDP fd00:102::a
			DNS IPv6 UDP fd00:101:224::14
			DNS IPv6 UDP fd00:101:224:1::14
			DNS IPv6 TCP fd00:101:224::14
			DNS IPv6 TCP fd00:101:224:1::14
			DNS IPv6 TCP fd00:102::a
			ClusterIP IPv6 TCP open fd00:102::9
			ClusterIP IPv6 UDP open fd00:102::9`},
		{"External IPv4 TCP 192.0.2.1", `
			External IPv4 TCP 192.0.2.1
			External IPv4 TCP 192.0.2.1
			External IPv6 TCP 2001:db8::1
			PodIP IPv4 TCP open node-4`},
	}
	m := cluster(8)
	m.External = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")}
	p := plans(m)[0]
	for _, tt := range tests {
		t.Run(tt.failed, func(t *testing.T) {
			got := p.Differential(find(t, p, tt.failed))
			want := strings.Fields(strings.ReplaceAll(strings.TrimSpace(tt.want), " ", "_"))
			have := strings.Fields(strings.ReplaceAll(strings.Join(briefs(got), "\n"), " ", "_"))
			if !slices.Equal(have[:min(len(have), len(want))], want) {
				t.Errorf("begins with\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
			}
			if len(got) > BurstRate*3 {
				t.Errorf("%d checks: more than three seconds of a burst", len(got))
			}
			for i, c := range got {
				if !c.Differential {
					t.Errorf("%s is not marked", brief(c))
				}
				if i > 1 && slices.Contains(got[:i], c) {
					t.Errorf("%s is in it twice", brief(c))
				}
			}
		})
	}
}

// TestDifferentialKnowsRacks: the neighbour is of the target's rack, the other
// node is not.
func TestDifferentialKnowsRacks(t *testing.T) {
	m := cluster(40)
	ring := NewRing(m)
	for _, self := range m.Members[:8] {
		p := ring.Plan(selfOf(self))
		for i := range ring.nodes {
			target := &ring.nodes[i]
			near, far := p.nearAndFar(target)
			if near == nil || near.Zone != target.Zone || near.Node == target.Node || near.Node == self.Node {
				t.Errorf("neighbour of %s (%s) is %+v", target.Node, target.Zone, near)
			}
			if far == nil || far.Zone == target.Zone || far.Node == self.Node {
				t.Errorf("other than %s (%s) is %+v", target.Node, target.Zone, far)
			}
		}
	}
}

func TestDifferentialLeavesOutWhatCannotBe(t *testing.T) {
	m := cluster(2)
	m.Services, m.DNS = nil, DNS{}
	m.Members[0].Guarded, m.Members[1].Guarded = nil, nil
	m.Members[1].Open.IPs = cidr.AddrsOfFamily(m.Members[1].Open.IPs, cidr.IPv6)
	m.Members[1].NodeIPs = nil
	p := plans(m)[0]
	got := briefs(p.Differential(find(t, p, "PodIP IPv6 TCP open node-1")))
	want := []string{
		"PodIP IPv6 TCP open node-1", "PodIP IPv6 TCP open node-1", "PodIP IPv6 TCP open node-0",
		"PodIP IPv6 UDP open node-1", "PodIP IPv6 ICMP open node-1", "PodIP IPv6 HTTP open node-1",
		"PodIP IPv6 UDP open node-1 1500", "PodIP IPv6 UDP open node-1 1500 back",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	gone := Check{Via: ViaPodIP, Family: cidr.IPv6, Protocol: TCP, Target: v1alpha1.TargetOpen, To: v1alpha1.Endpoint{Node: "left"}}
	if got := p.Differential(gone); len(got) != 2 {
		t.Errorf("of a node that left: %v, want only the check itself", briefs(got))
	}
}
