package verify

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// meshOf is a cluster of n nodes with both families, services and DNS, as probes see
// it.
func meshOf(n int) mesh.Membership {
	at := func(format string, args ...any) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(format, args...)) }
	m := mesh.Membership{Version: 1, Services: []netip.Addr{at("fd00:102::9"), at("10.96.0.9")},
		DNS: mesh.DNS{Services: []netip.Addr{at("fd00:102::a"), at("10.96.0.10")}, Name: "kubernetes.default.svc.cluster.local."}}
	for i := range n {
		target := func(last int) *mesh.Target {
			return &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("probe-%d-%d", i, last), IPs: []netip.Addr{at("fd00:101:224:%x::%x", i, last), at("10.101.%d.%d", i, last)}}
		}
		m.Members = append(m.Members, mesh.Member{Node: fmt.Sprintf("n%d", i+1), Open: target(10), Guarded: target(11),
			NodeIPs: []netip.Addr{at("fd00:101::%x", i+1), at("192.168.0.%d", i+1)}})
	}
	return m
}

// prober is a probe that keeps to its plan and tells every ten seconds what it saw.
type prober struct {
	node string
	plan *mesh.Plan
	slot int64
	beat time.Time
	seen map[Class]Count
}

// heartbeat is how often a probe tells what it counted.
const heartbeat = 10 * time.Second

func probersOf(n int, from time.Time, phase time.Duration) []*prober {
	m := meshOf(n)
	ring := mesh.NewRing(m)
	var out []*prober
	for i, x := range m.Members {
		self := mesh.Self{Namespace: x.Open.Namespace, Pod: x.Open.Pod, Node: x.Node, IPs: x.Open.IPs, MTU: 1500}
		out = append(out, &prober{node: x.Node, plan: ring.Plan(self), slot: mesh.SlotAt(from), seen: map[Class]Count{},
			beat: from.Add((phase + time.Duration(i)*heartbeat/time.Duration(n)) % heartbeat)})
	}
	return out
}

// until makes all exchanges before a moment; those of IPv6 between pods of two nodes
// fail while it is broken.
func (p *prober) until(now time.Time, broken bool, tell func(at time.Time, node string, counts ...ClassCount)) {
	for ; mesh.SlotTime(p.slot).Before(now); p.slot++ {
		if at := mesh.SlotTime(p.slot); !at.Before(p.beat) {
			var counts []ClassCount
			for c, n := range p.seen {
				counts = append(counts, ClassCount{c, n})
			}
			tell(at, p.node, counts...)
			p.seen, p.beat = map[Class]Count{}, p.beat.Add(heartbeat)
		}
		t := p.plan.At(p.slot)
		if t.Idle() {
			continue
		}
		c := Class{Via: t.Check.Via, Family: t.Check.Family, Protocol: t.Check.Protocol, Target: t.Check.Target, SameNode: t.Check.To.Node == p.node}
		n := p.seen[c]
		switch {
		case t.NotChecked != "":
			n.NotChecked++
		case broken && c.Family == "IPv6" && c.Via == podIP && !c.SameNode && c.Target == "guarded":
			n.Lost++
		case broken && c.Family == "IPv6" && c.Via == podIP && !c.SameNode:
			n.Masked++
		default:
			n.OK++
		}
		p.seen[c] = n
	}
}

// verdictAfter plays a change that cures: how long after the hold time it is
// verified, when it is looked every three seconds.
func verdictAfter(t *testing.T, nodes int, hold, phase time.Duration) time.Duration {
	t.Helper()
	const look = 3 * time.Second
	from, cured := merged.Add(phase*7), merged.Add(phase*7+2*time.Minute)
	probers := probersOf(nodes, from, phase)
	in := story()
	in.Hold, in.Nodes, in.Agents.Pods, in.Before.RolledOut = hold, nil, nil, cured
	in.Agents.Desired, in.Agents.Updated, in.Agents.Available = nodes, nodes, nodes
	in.Config.Changed = from
	in.Before.Reconciled = from
	var r Recorder
	beat := func(at time.Time, node string, counts ...ClassCount) { r.Beat(at, at, node, counts...) }
	r.Reset(from)
	for _, p := range probers {
		in.Nodes = append(in.Nodes, Node{Name: p.node, Ready: snapshot.Yes})
		made := cured.Add(-10 * time.Second)
		in.Agents.Pods = append(in.Agents.Pods, Pod{Name: "cilium-" + p.node, Node: p.node, Created: made, Configured: snapshot.Yes, Ready: snapshot.Yes})
		p.until(cured, true, beat)
	}
	base := r.Baseline(cured, []Cause{cause})
	in.Baseline = &base
	r.Reset(cured)
	for now := cured; ; now = now.Add(look) {
		for _, p := range probers {
			p.until(now, false, beat)
		}
		in.Now, in.Probes = now, r.Probes(nil, nil)
		s := Judge(in)
		if s.Verdict == Verified {
			return now.Sub(cured) - hold
		}
		if now.Sub(cured) > 5*time.Minute {
			t.Fatalf("no verdict:\n%s", dump(s))
		}
	}
}

// What the judge adds to the hold time: probes that keep to their plan, told of
// every ten seconds and looked at every three. A hold time that is shorter than what
// probes take to try all kinds is waited out: to nodes' own addresses, five nodes do
// not go for 28 s.
func TestVerdictComesSoon(t *testing.T) {
	tests := []struct {
		nodes int
		hold  time.Duration
		most  time.Duration
	}{
		{1, DefaultHold, 15 * time.Second}, {2, DefaultHold, 15 * time.Second}, {3, DefaultHold, 15 * time.Second}, {4, DefaultHold, 15 * time.Second},
		{5, DefaultHold, 18 * time.Second}, {7, DefaultHold, 15 * time.Second}, {30, DefaultHold, 15 * time.Second},
		{2, 10 * time.Second, 26 * time.Second}, {3, 10 * time.Second, 26 * time.Second}, {5, 10 * time.Second, 38 * time.Second},
		{30, 10 * time.Second, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d nodes, hold %s", tt.nodes, tt.hold), func(t *testing.T) {
			var worst, sum time.Duration
			const phases = 10
			for i := range phases {
				took := verdictAfter(t, tt.nodes, tt.hold, time.Duration(i)*980*time.Millisecond)
				worst, sum = max(worst, took), sum+took
			}
			t.Logf("on average %s, at most %s", sum/phases, worst)
			if worst > tt.most {
				t.Errorf("the verdict came %s after the hold time, want %s at most", worst, tt.most)
			}
		})
	}
}

// What probes try by turns, and what only to look into a failure, is their plan's to
// say.
func TestByTurns(t *testing.T) {
	began := time.Unix(0, 0)
	for _, nodes := range []int{2, 3, 12} {
		planned := map[Class]bool{}
		record := func(_ time.Time, _ string, counts ...ClassCount) {
			for _, c := range counts {
				planned[c.Class] = true
			}
		}
		for _, p := range probersOf(nodes, began, 0) {
			p.until(began.Add(10*time.Minute), false, record)
		}
		for c := range planned {
			if !c.byTurns() {
				t.Errorf("%d nodes: %s is tried by turns", nodes, c)
			}
		}
		for _, via := range []string{podIP, clusterIP} {
			for _, target := range []string{"open", guarded} {
				for _, protocol := range []string{tcp, udp, "HTTP", "ICMP"} {
					for _, same := range []bool{false, true} {
						c := Class{Via: via, Family: "IPv6", Protocol: protocol, Target: target, SameNode: same}
						if via == clusterIP && (same || target == guarded) {
							continue
						}
						if c.byTurns() && !planned[c] {
							t.Errorf("%d nodes: %s is not tried by turns", nodes, c)
						}
					}
				}
			}
		}
	}
}
