package remediate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/report"
)

// countGrids counts the pairs of nodes by the matrices that people see.
func countGrids(l *listener) Pairs {
	tried, broken := map[[2]string]bool{}, map[[2]string]bool{}
	for _, g := range l.grids(l.latest) {
		for r, row := range g.Cells {
			for c, m := range row {
				if len(g.Columns) != len(g.Rows) || r == c {
					continue
				}
				at := [2]string{g.Rows[r], g.Columns[c]}
				if m != 0 && m != report.MarkUnknown && m != report.MarkNotChecked {
					tried[at] = true
				}
				if m.Bad() {
					broken[at] = true
				}
			}
		}
	}
	n := len(l.latest.Members)
	return Pairs{Nodes: n, Broken: len(broken), Unknown: n*(n-1) - len(tried)}
}

// The pairs are counted as the matrices show them, at the times at which the ring has
// gone through whole rounds.
func TestPairs(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 25} {
		for _, heard := range []time.Duration{0, mesh.Round, mesh.CoverTime(25), 24 * time.Hour} {
			t.Run(fmt.Sprintf("%d nodes, %s", n, heard), func(t *testing.T) {
				m := meshOf(n)
				l := newHearing(t, m)
				hear(l, m, heard)
				got, want := l.pairs(), countGrids(l)
				if n > 11 && heard == mesh.Round { // the round that a line falls into may have begun before
					want.Unknown = got.Unknown
				}
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			})
		}
	}
}

// hear has every probe of a mesh say that it lives, for a while.
func hear(l *listener, m mesh.Membership, lasted time.Duration) {
	for i := range m.Members {
		for at := time.Duration(0); at < lasted; at += probe.Heartbeat {
			l.line(targetOn(m, i), beatOf(m.Hash(), noon.Add(at)))
		}
		l.line(targetOn(m, i), beatOf(m.Hash(), noon.Add(lasted)))
	}
}

func TestBrokenPairs(t *testing.T) {
	m := meshOf(3)
	l := newHearing(t, m)
	hear(l, m, mesh.CoverTime(3))
	lost := func(from, to int) {
		at := noon.Format(time.RFC3339)
		l.matrix.Put(targetOn(m, from), noon)
		o := v1alpha1.Observation{From: v1alpha1.Endpoint{Namespace: "p", Pod: m.Members[from].Node, Node: m.Members[from].Node, IP: m.Members[from].Open.IPs[0].String()},
			To:  v1alpha1.Endpoint{Namespace: "p", Pod: m.Members[to].Node, Node: m.Members[to].Node, IP: m.Members[to].Open.IPs[0].String(), Port: 9971},
			Via: mesh.ViaPodIP, Family: "IPv4", Protocol: mesh.TCP, Target: v1alpha1.TargetOpen, Outcome: v1alpha1.OutcomeTimeout, At: at}
		l.matrix.Add(targetOn(m, from).Key, probe.Line{Version: 1, Boot: "b", Seq: uint64(to + 1), At: noon, Observations: []v1alpha1.Observation{o}}, "", noon)
	}
	lost(0, 1)
	lost(2, 0)
	got := l.pairs()
	if want := (Pairs{Nodes: 3, Broken: 2}); got != want || got != countGrids(l) {
		t.Errorf("%+v, want %+v, and the matrices show %+v", got, want, countGrids(l))
	}
}

// A large cluster's matrices hold the nodes that most is said of, and neither they
// nor the count grow with the time that probes were heard.
func TestGridsAreBounded(t *testing.T) {
	m := mesh.Membership{Version: 1}
	for i := range 2 * mostInGrid {
		node := fmt.Sprintf("n%d", i)
		m.Members = append(m.Members, mesh.Member{Node: node, Open: &mesh.Target{Namespace: "p", Pod: node, IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}}})
	}
	last := m.Members[len(m.Members)-1].Node
	nodes := gridNodes(m, []v1alpha1.Observation{{From: v1alpha1.Endpoint{Node: last}, To: v1alpha1.Endpoint{Node: "n900"}}})
	if len(nodes) != mostInGrid || nodes[0] != "n0" || nodes[mostInGrid-1] != last || nodes[mostInGrid-2] != "n900" {
		t.Errorf("%d nodes, the last %v", len(nodes), nodes[len(nodes)-3:])
	}
	l := newHearing(t, m)
	hash := m.Hash()
	for day := range 1000 {
		l.heard[targetOn(m, 0).Key] = &hearing{target: targetOn(m, 0), spans: []span{{hash, noon.AddDate(0, 0, -day), noon}}}
	}
	if got, most := len(l.covered(nodes)), mostInGrid; got > most || got < mostInGrid-1 {
		t.Errorf("%d pairs of one prober among %d nodes", got, most)
	}
}
