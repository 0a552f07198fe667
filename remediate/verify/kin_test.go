package verify

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func classOf(via, family, protocol, target string) Class {
	return Class{Via: via, Family: family, Protocol: protocol, Target: target}
}

func sameNodeOf(c Class) Class { c.SameNode = true; return c }

// before puts a class into the baseline.
func before(in *Input, c Class, n Count) {
	in.Baseline.Classes = append(slices.DeleteFunc(in.Baseline.Classes, func(x ClassCount) bool { return x.Class == c }), ClassCount{c, n})
}

// since puts a class into what some senders counted, or takes it out when it is zero.
func since(in *Input, c Class, n Count, senders ...int) {
	for _, i := range senders {
		s := &in.Probes.Senders[i]
		s.Counts = slices.DeleteFunc(s.Counts, func(x ClassCount) bool { return x.Class == c })
		if n == (Count{}) {
			continue
		}
		if n.OK > 0 {
			n.LastOK = s.Heard
		}
		if n.Lost+n.Masked > 0 {
			n.FirstBad, n.LastBad = after(6*time.Minute+5*time.Second), s.Heard
		}
		s.Counts = append(s.Counts, ClassCount{c, n})
	}
}

// What has to be tried anew, and what may stand for it.
func TestWhatStandsForWhat(t *testing.T) {
	var (
		udp6     = classOf("PodIP", "IPv6", "UDP", "open")
		guardUDP = classOf("PodIP", "IPv6", "UDP", "guarded")
		icmp6    = classOf("PodIP", "IPv6", "ICMP", "open")
		guardWeb = classOf("PodIP", "IPv6", "HTTP", "guarded")
		dnsTCP   = classOf("DNS", "IPv6", "TCP", "")
		service4 = classOf("ClusterIP", "IPv4", "TCP", "open")
		udp4     = classOf("ClusterIP", "IPv4", "UDP", "open")
		web4     = classOf("ClusterIP", "IPv4", "HTTP", "open")
		node4    = classOf("NodeIP", "IPv4", "TCP", "")
		ownOpen  = sameNodeOf(classOf("PodIP", "IPv4", "TCP", "open"))
		ownGuard = sameNodeOf(classOf("PodIP", "IPv4", "TCP", "guarded"))
		all      = []int{0, 1, 2}
		ok, none = Count{OK: 8}, Count{}
	)
	tests := []struct {
		name    string
		change  func(*Input)
		verdict Verdict
		text    string
	}{
		{"a protocol that failed with another is not tried yet", func(in *Input) { before(in, guardUDP, Count{Lost: 30}) }, Verified, ""},
		{"it is tried from one node, and fails", func(in *Input) {
			before(in, guardUDP, Count{Lost: 30})
			since(in, guardUDP, Count{Lost: 2}, 1)
		}, Pending, "n2: IPv6 UDP PodIP guarded, other node is not answered"},
		{"only the other protocol is tried from one node", func(in *Input) {
			before(in, guardUDP, Count{Lost: 30})
			since(in, guarded6, none, 1)
			since(in, guardUDP, ok, 1)
		}, Verified, ""},
		{"neither is tried from one node", func(in *Input) {
			before(in, guardUDP, Count{Lost: 30})
			since(in, guarded6, none, 1)
		}, Pending, "n2: IPv6 TCP PodIP guarded, other node was not tried yet"},
		{"another node's word does not stand for a node", func(in *Input) {
			since(in, guarded6, none, 2)
			since(in, guarded6, Count{OK: 900}, 0, 1)
		}, Pending, "n3: IPv6 TCP PodIP guarded, other node was not tried yet"},
		{"an open target does not stand for a guarded one that failed", func(in *Input) {
			since(in, guarded6, none, all...)
		}, Pending, "n1, n2, n3: IPv6 TCP PodIP guarded, other node was not tried yet"},
		{"nor does a guarded one for an open one that failed", func(in *Input) {
			since(in, open6, none, all...)
		}, Pending, "IPv6 TCP PodIP open, other node was not tried yet"},
		{"the same node does not stand for another", func(in *Input) {
			since(in, guarded6, none, 0)
			since(in, sameNodeOf(guarded6), ok, 0)
		}, Pending, "n1: IPv6 TCP PodIP guarded, other node was not tried yet"},
		{"what worked does not stand for what failed: full-size datagrams", func(in *Input) {
			in.Planned.EndsMasquerade, in.Planned.Causes = false, []Cause{{Signature: "mtu-too-large"}}
			in.Baseline.Classes = []ClassCount{{open6, Count{OK: 40}}, {udp6, Count{OK: 20, Lost: 20}}, {guarded4, Count{OK: 40}}}
		}, Pending, "n1, n2, n3: IPv6 UDP PodIP open, other node was not tried yet"},
		{"full-size datagrams, tried from each", func(in *Input) {
			in.Planned.EndsMasquerade, in.Planned.Causes = false, []Cause{{Signature: "mtu-too-large"}}
			in.Baseline.Classes = []ClassCount{{open6, Count{OK: 40}}, {udp6, Count{OK: 20, Lost: 20}}, {guarded4, Count{OK: 40}}}
			since(in, udp6, ok, all...)
		}, Verified, ""},
		{"what failed can be tried from nowhere any more", func(in *Input) {
			since(in, guarded6, Count{NotChecked: 5}, all...)
		}, Pending, "what failed before: IPv6 TCP PodIP guarded, other node could not be tried"},
		{"one protocol cannot be tried, the other works", func(in *Input) {
			before(in, guardUDP, Count{Lost: 30})
			since(in, guarded6, Count{NotChecked: 5}, all...)
			since(in, guardUDP, ok, all...)
		}, Verified, ""},
		{"one protocol cannot be tried, the other is to come", func(in *Input) {
			before(in, guardUDP, Count{Lost: 30})
			since(in, guarded6, Count{NotChecked: 5}, all...)
		}, Pending, "IPv6 UDP PodIP guarded, other node was not tried yet"},
		{"failed once, and is not tried yet", func(in *Input) {
			before(in, open6, Count{OK: 40})
			before(in, icmp6, Count{Lost: 1})
		}, Pending, "what failed before: IPv6 ICMP PodIP open, other node was not tried yet"},
		{"failed once, and one node has seen it work", func(in *Input) {
			before(in, open6, Count{OK: 40})
			before(in, icmp6, Count{Lost: 1})
			since(in, icmp6, ok, 1)
		}, Verified, ""},
		{"failed when a failure was looked into, and is never tried again", func(in *Input) { before(in, guardWeb, Count{Lost: 30}) }, Verified, ""},
		{"was tried again, and still fails", func(in *Input) {
			before(in, guardWeb, Count{Lost: 30})
			since(in, guardWeb, Count{Lost: 1}, 0)
		}, Pending, "n1: IPv6 HTTP PodIP guarded, other node is not answered"},
		{"nothing failed but what is never tried again: all between nodes has to work", func(in *Input) {
			before(in, open6, Count{OK: 40})
			before(in, guarded6, Count{OK: 40})
			before(in, guardWeb, Count{Lost: 30})
			since(in, open6, Count{Lost: 2}, 2)
		}, Pending, "n3: IPv6 TCP PodIP open, other node is not answered"},

		{"one node has not reached others by IPv4 yet", func(in *Input) { since(in, guarded4, none, 0) },
			Pending, "n1: IPv4 between nodes, which worked before, was not seen to work yet"},
		{"one node cannot try others by IPv4", func(in *Input) { since(in, guarded4, Count{NotChecked: 4}, 0) }, Verified, ""},
		{"one node has lost what it tried by IPv4", func(in *Input) {
			since(in, guarded4, Count{OK: 90}, 1, 2)
			since(in, guarded4, Count{Lost: 1}, 0)
		}, Pending, "n1: IPv4 between nodes, which worked before, was not seen to work yet"},
		{"DNS by TCP worked, and is not tried yet: UDP stands for it", func(in *Input) { before(in, dnsTCP, Count{OK: 30}) }, Verified, ""},
		{"DNS worked, and neither is tried yet", func(in *Input) {
			before(in, dnsTCP, Count{OK: 30})
			since(in, dns6, none, all...)
		}, Pending, "what worked before: IPv6 UDP DNS was not tried yet"},
		{"DNS by TCP is tried, and fails", func(in *Input) {
			before(in, dnsTCP, Count{OK: 30})
			since(in, dnsTCP, Count{Lost: 2}, 1)
		}, Pending, "what worked before: IPv6 TCP DNS is not answered"},
		{"a service worked, and is not tried yet", func(in *Input) { before(in, service4, Count{OK: 30}) }, Pending, "what worked before: IPv4 TCP ClusterIP open was not tried yet"},
		{"its datagrams are", func(in *Input) {
			before(in, service4, Count{OK: 30})
			before(in, udp4, Count{OK: 30})
			since(in, udp4, ok, 2)
		}, Verified, ""},
		{"datagrams that failed before do not stand for it", func(in *Input) {
			before(in, service4, Count{OK: 30})
			before(in, udp4, Count{Lost: 30})
			since(in, udp4, ok, 2)
		}, Pending, "what worked before: IPv4 TCP ClusterIP open was not tried yet"},
		{"a service by HTTP is tried only to look into a failure", func(in *Input) { before(in, web4, Count{OK: 30}) }, Verified, ""},
		{"nodes' addresses have nothing that stands for them", func(in *Input) { before(in, node4, Count{OK: 30}) }, Pending, "what worked before: IPv4 TCP NodeIP was not tried yet"},
		{"what worked can be tried from nowhere any more", func(in *Input) {
			before(in, node4, Count{OK: 30})
			since(in, node4, Count{NotChecked: 3}, all...)
		}, Verified, ""},
		{"a guarded target stands for an open one that worked", func(in *Input) {
			before(in, ownOpen, Count{OK: 30})
			before(in, ownGuard, Count{OK: 30})
			since(in, ownGuard, ok, 1)
		}, Verified, ""},
		{"but not the other way round", func(in *Input) {
			before(in, ownOpen, Count{OK: 30})
			before(in, ownGuard, Count{OK: 30})
			since(in, ownOpen, ok, 1)
		}, Pending, "what worked before: IPv4 TCP PodIP guarded, same node was not tried yet"},
		{"nor one that failed before", func(in *Input) {
			before(in, ownOpen, Count{OK: 30})
			before(in, ownGuard, Count{Lost: 30})
			since(in, ownGuard, ok, 1)
		}, Pending, "what worked before: IPv4 TCP PodIP open, same node was not tried yet"},
		{"nor one that fails", func(in *Input) {
			before(in, ownOpen, Count{OK: 30})
			before(in, ownGuard, Count{OK: 30})
			since(in, ownGuard, Count{Lost: 2}, 1)
		}, Pending, "what worked before: IPv4 TCP PodIP guarded, same node is not answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			stage := StageRolledOut
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, Judge(in), stage, tt.verdict, tt.text)
		})
	}
}

// Classes are put together by all but their protocol, in their order.
func TestKinds(t *testing.T) {
	a, b := classOf("PodIP", "IPv6", "TCP", "open"), classOf("PodIP", "IPv6", "UDP", "open")
	others := []Class{classOf("PodIP", "IPv4", "TCP", "open"), classOf("PodIP", "IPv6", "TCP", "guarded"), classOf("ClusterIP", "IPv6", "TCP", "open"), sameNodeOf(a)}
	want := [][]Class{{a, b}}
	for _, c := range others {
		want = append(want, []Class{c})
	}
	if d := cmp.Diff(want, kinds(append([]Class{a}, append(others, b)...))); d != "" {
		t.Error(d)
	}
	if kinds(nil) != nil {
		t.Error("nothing has no kinds")
	}
}
