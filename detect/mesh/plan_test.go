package mesh

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// turns of a plan in many rounds.
func turns(p *Plan, rounds int64) []Turn {
	start := SlotAt(epoch)
	var out []Turn
	for s := start; s < start+rounds*roundSlots; s++ {
		if t := p.At(s); !t.Idle() {
			out = append(out, t)
		}
	}
	return out
}

// reasons are the checks that are not made, by what stands in their way.
func reasons(all []Turn) map[string]int {
	out := map[string]int{}
	for _, t := range all {
		if t.NotChecked != "" {
			out[t.NotChecked]++
		}
	}
	return out
}

func TestPlanOfHealthyCluster(t *testing.T) {
	m := cluster(5)
	m.External = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")}
	seen := map[string]int{}
	p := plans(m)[0]
	for _, turn := range turns(p, 20) {
		if turn.NotChecked != "" {
			t.Errorf("%s is not checked: %s", brief(turn.Check), turn.NotChecked)
		}
		seen[brief(turn.Check)]++
		if turn.Check.From.Node != "node-0" || turn.Check.From.IP == "" || turn.Check.To.IP == "" {
			t.Fatalf("a check without ends: %+v", turn.Check)
		}
	}
	for _, want := range []string{
		"PodIP IPv6 TCP open node-1", "PodIP IPv4 TCP open node-1", "PodIP IPv6 TCP guarded node-1",
		"PodIP IPv6 UDP open node-1 1500", "PodIP IPv6 UDP open node-1 1500 back", "PodIP IPv4 HTTP open node-4",
		"PodIP IPv4 ICMP open node-4", "NodeIP IPv6 TCP node-3", "PodIP IPv6 TCP guarded node-0", "PodIP IPv6 TCP open node-0",
		"ClusterIP IPv6 TCP open fd00:102::9", "ClusterIP IPv4 UDP open 10.96.0.9", "NodeIP IPv6 TCP node-0",
		"DNS IPv6 UDP fd00:102::a", "DNS IPv4 TCP 10.96.0.10", "DNS IPv6 UDP fd00:101:224:1::14",
		"External IPv4 TCP 192.0.2.1", "External IPv6 TCP 2001:db8::1",
	} {
		if seen[want] == 0 {
			t.Errorf("never checked: %s", want)
		}
		delete(seen, want)
	}
}

func TestPorts(t *testing.T) {
	m := cluster(3)
	m.Members[1].Host = &Target{Namespace: "remediate-probe-host", Pod: "host-1", IPs: m.Members[1].NodeIPs}
	want := map[string]int{TCP: Port, UDP: Port, HTTP: HTTPPort, ICMP: 0}
	for _, turn := range turns(plans(m)[0], 20) {
		c, port := turn.Check, want[turn.Check.Protocol]
		switch {
		case c.Via == ViaDNS:
			port = DNSPort
		case c.Via == ViaNodeIP && c.To.Node == "node-1":
			if c.To.Pod != "host-1" {
				t.Errorf("%s does not go to the host-network twin", brief(c))
			}
		case c.Via == ViaNodeIP:
			port = KubeletPort
		}
		if c.To.Port != port {
			t.Errorf("%s goes to port %d, want %d", brief(c), c.To.Port, port)
		}
	}
}

func TestWhatCannotBeChecked(t *testing.T) {
	only := func(t *Target, family string) { t.IPs = cidr.AddrsOfFamily(t.IPs, family) }
	tests := []struct {
		name   string
		change func(m *Membership)
		self   func(s *Self)
		want   string // "" means that everything can be
	}{
		{"no guarded target", func(m *Membership) { m.Members[1].Guarded = nil }, nil, "guarded target of node-1 has no IPv6 address"},
		{"no pods at all", func(m *Membership) { m.Members[1].Guarded, m.Members[1].Open = nil, nil }, nil, "open target of node-1 has no IPv4 address"},
		{"a pod without addresses", func(m *Membership) { m.Members[2].Open.IPs = nil }, nil, "open target of node-2 has no IPv6 address"},
		{"a node without a family", func(m *Membership) { only(m.Members[1].Open, cidr.IPv4); only(m.Members[1].Guarded, cidr.IPv4) }, nil, ""},
		{"a node of another family", func(m *Membership) { only(m.Members[1].Open, cidr.IPv6); only(m.Members[1].Guarded, cidr.IPv6) },
			func(s *Self) { s.IPs = s.IPs[1:] }, "open target of node-1 has no IPv4 address"},
		{"two pods with one address", func(m *Membership) { m.Members[1].Open.IPs[0] = m.Members[2].Guarded.IPs[0] }, nil, "address fd00:101:224:2::b belongs to several members"},
		{"two nodes with one address", func(m *Membership) { m.Members[1].NodeIPs[1] = m.Members[2].NodeIPs[1] }, nil, "address 192.168.0.2 belongs to several members"},
		{"a pod with a node's address", func(m *Membership) { m.Members[1].Open.IPs[1] = m.Members[1].NodeIPs[1] }, nil, "address 192.168.0.1 belongs to several members"},
		{"a twin shares its node's address", func(m *Membership) {
			m.Members[1].Host = &Target{Namespace: "h", Pod: "h", IPs: m.Members[1].NodeIPs}
		}, nil, ""},
		{"no node address", func(m *Membership) { m.Members[1].NodeIPs = nil }, nil, "node node-1 has no IPv6 address"},
		{"no MTU", nil, func(s *Self) { s.MTU = 0 }, "the MTU of this probe's device is not known"},
		{"healthy", nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := cluster(4)
			if tt.change != nil {
				tt.change(&m)
			}
			self := selfOf(m.Members[0])
			if tt.self != nil {
				tt.self(&self)
			}
			got := reasons(turns(NewRing(m).Plan(self), 10))
			if (tt.want == "") != (len(got) == 0) || (tt.want != "" && got[tt.want] == 0) {
				t.Errorf("not checked: %v, want %q", got, tt.want)
			}
		})
	}
}

func TestPlanWithoutPlaceInTheRing(t *testing.T) {
	m := cluster(4)
	self := selfOf(member(9))
	p := NewRing(m).Plan(self)
	if p.InRing() {
		t.Error("a node that is no member is in the ring")
	}
	for _, turn := range turns(p, 10) {
		if isRing(turn.Check) || turn.Check.Via == ViaPodIP {
			t.Errorf("a node that is no member has the turn %s", brief(turn.Check))
		}
	}
	if len(turns(p, 1)) == 0 {
		t.Error("a node that is no member does not check services")
	}
	if got := turns(NewRing(Membership{}).Plan(self), 1); len(got) != 0 {
		t.Errorf("an empty membership has turns: %v", got)
	}
	if got := turns(NewRing(m).Plan(Self{Node: "node-1"}), 1); len(got) != 0 {
		t.Errorf("a probe without addresses has turns: %v", got)
	}
	for _, turn := range turns(NewRing(cluster(1)).Plan(selfOf(member(0))), 10) {
		if isRing(turn.Check) {
			t.Errorf("a lonely node has the turn %s", brief(turn.Check))
		}
	}
}

func TestHolds(t *testing.T) {
	m := cluster(4)
	m.External = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")}
	p := plans(m)[0]
	every := turns(p, 20)
	for _, turn := range every {
		if !p.Holds(turn.Check) {
			t.Errorf("its own plan does not hold %s", brief(turn.Check))
		}
	}
	other := cluster(4)
	other.Members[1].Open.Pod = "another"
	other.Members[2].Guarded.IPs[0] = addr6(2, 99)
	other.Members[3].NodeIPs = nil
	other.Services = other.Services[:1]
	other.DNS.Pods = nil
	q := NewRing(other).Plan(p.self)
	for _, turn := range every {
		c := brief(turn.Check)
		gone := strings.HasSuffix(c, "IPv4 TCP open 10.96.0.9") || strings.HasPrefix(c, "External") || strings.HasPrefix(c, "NodeIP") && strings.HasSuffix(c, "node-3") ||
			turn.Check.To.Pod == "probe-1-10" || strings.HasPrefix(c, "PodIP IPv6") && strings.Contains(c, "guarded node-2") ||
			strings.HasPrefix(c, "DNS") && !strings.Contains(c, "fd00:102::a") && !strings.Contains(c, "10.96.0.10") || c == "ClusterIP IPv4 UDP open 10.96.0.9"
		if q.Holds(turn.Check) == gone {
			t.Errorf("Holds(%s) = %t", c, !gone)
		}
	}
	self := p.self
	self.IPs = []netip.Addr{addr6(0, 77), addr4(0, 77)}
	if NewRing(m).Plan(self).Holds(every[0].Check) {
		t.Error("a plan of another address holds the old one's check")
	}
}

// A twin in the node's own network tells the nodes' path: it tries other nodes and
// their open targets in both families, ten in a round. A policy that admits pods of a
// namespace is no matter of its, nor are Services and DNS, whatever failed.
func TestTwinTriesNodesAndOpenTargets(t *testing.T) {
	const rounds = 80
	for _, n := range []int{2, 3, 6, 12, 40} {
		m := cluster(n)
		ring := NewRing(m)
		for _, member := range m.Members {
			p := ring.Plan(Self{Namespace: "remediate-probe-host", Pod: "host-" + member.Node, Node: member.Node, IPs: member.NodeIPs, HostNetwork: true, MTU: 1500})
			seen, made := map[string]bool{}, turns(p, rounds)
			for _, turn := range made {
				if turn.Check.To.Node == member.Node || turn.Check.Via != ViaNodeIP && turn.Check.Target != "open" {
					t.Fatalf("%s has a turn at %q", member.Node, brief(turn.Check))
				}
				for _, c := range append(p.Differential(turn.Check), turn.Check) {
					if c.Target == "guarded" || !c.HostNetwork {
						t.Fatalf("after %q: %q, host network %t", brief(turn.Check), brief(c), c.HostNetwork)
					}
				}
				seen[turn.Check.Via+turn.Check.To.Node+turn.Check.Family] = true
			}
			if want := 4 * (n - 1); len(seen) != want || len(made) != Peers*rounds {
				t.Errorf("%d nodes: %s makes %d exchanges in %d rounds of %d kinds, want %d of %d", n, member.Node, len(made), rounds, len(seen), Peers*rounds, want)
			}
		}
	}
}

// A node's own probes are asked for by the plan's kind: pods' or the nodes' network.
func TestProber(t *testing.T) {
	m := Membership{Version: 1, Members: []Member{
		{Node: "a", Open: &Target{Pod: "open-a"}, Host: &Target{Pod: "host-a"}},
		{Node: "b", Guarded: &Target{Pod: "guarded-b"}},
	}}
	pods, hosts := NewRing(m).Plan(Self{Node: "a"}), NewRing(m).Plan(Self{Node: "a", HostNetwork: true})
	for _, tt := range []struct {
		plan       *Plan
		node, want string
	}{{pods, "a", "open-a"}, {hosts, "a", "host-a"}, {pods, "b", ""}, {hosts, "b", ""}, {pods, "elsewhere", ""}} {
		if got := tt.plan.Prober(tt.node); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.node, got, tt.want)
		}
	}
}

// Services and DNS have their turns spread over a node's own: in a small cluster the
// next failure is not left to the others.
func TestOwnTurnsAreSpread(t *testing.T) {
	for via, most := range map[string]int{ViaClusterIP: 4, ViaDNS: 3} {
		for _, p := range plans(cluster(5)) {
			last, n := 0, 0
			for slot := SlotAt(epoch); n < 100; slot++ {
				if own, _, _ := IsOwn(slot); !own {
					continue
				}
				n++
				if p.At(slot).Check.Via != via {
					continue
				}
				if n-last > most {
					t.Fatalf("%s: %d own turns from one of %s to the next, at most %d", p.self.Node, n-last, via, most)
				}
				last = n
			}
			if last == 0 {
				t.Errorf("%s: no turn of %s", p.self.Node, via)
			}
		}
	}
}
