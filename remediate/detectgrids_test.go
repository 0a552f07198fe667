package remediate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/report"
)

var noon = time.Date(2026, 2, 12, 12, 0, 0, 0, time.UTC)

// meshOf has n nodes with an open and a guarded target of one family each.
func meshOf(n int) mesh.Membership {
	m := mesh.Membership{Version: 1}
	for i := range n {
		node := "n" + string(rune('a'+i))
		target := func(third byte) *mesh.Target {
			return &mesh.Target{Namespace: "p", Pod: node, IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, third, byte(i + 1)})}}
		}
		m.Members = append(m.Members, mesh.Member{Node: node, Open: target(0), Guarded: target(1), NodeIPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	return m
}

func targetOn(m mesh.Membership, i int) collect.Target {
	o := m.Members[i].Open
	return collect.Target{Key: collect.Key{Namespace: o.Namespace, Pod: o.Pod}, UID: "1", Node: m.Members[i].Node, IPs: o.IPs, Phase: "Running"}
}

func beatOf(members string, at time.Time, tallies ...probe.Tally) probe.Line {
	return probe.Line{Version: 1, Boot: "b", At: at, Members: members, Nodes: 3, Beat: true, Tallies: tallies}
}

// nodes are the latest members'.
func (l *listener) nodes() []string { return gridNodes(l.latest, nil) }

func newHearing(t *testing.T, m mesh.Membership) *listener {
	t.Helper()
	l := newListener(func() time.Time { return noon })
	l.matrix = collect.NewMatrix(collect.Limits{})
	l.membership(m)
	return l
}

// A pair counts as tried once the ring's time for it has passed between two lines of
// its prober, and not before.
func TestCovered(t *testing.T) {
	const n = 25
	m := meshOf(n)
	tests := []struct {
		name   string
		heard  time.Duration
		other  bool // the lines are of another membership
		want   int
		atMost int
	}{
		{"one line says nothing about time", 0, false, 0, 0},
		{"a round meets ten peers, or parts of two rounds others", mesh.Round, false, mesh.Peers, 2*mesh.Peers + 1},
		{"the cover time meets all", mesh.CoverTime(n), false, n - 1, n},
		{"a membership that nobody knows", mesh.CoverTime(n), true, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newHearing(t, m)
			hash := m.Hash()
			if tt.other {
				hash = "other"
			}
			l.line(targetOn(m, 0), beatOf(hash, noon))
			for at := probe.Heartbeat; at < tt.heard; at += probe.Heartbeat {
				l.line(targetOn(m, 0), beatOf(hash, noon.Add(at)))
			}
			l.line(targetOn(m, 0), beatOf(hash, noon.Add(tt.heard)))
			if got := len(l.covered(l.nodes())); got < tt.want || got > tt.atMost {
				t.Errorf("%d pairs, want %d to %d", got, tt.want, tt.atMost)
			}
		})
	}
}

// What a probe says of its clock and of who takes part costs a bounded amount, and
// makes no pair count as tried that had no time.
func TestSpansAreBounded(t *testing.T) {
	const n = 25
	m := meshOf(n)
	tests := []struct {
		name string
		line func(i int) probe.Line
	}{
		{"memberships by turns", func(i int) probe.Line {
			return beatOf([]string{m.Hash(), "other"}[i%2], noon.Add(time.Duration(i)*time.Second))
		}},
		{"a new membership in each line", func(i int) probe.Line { return beatOf(fmt.Sprint("m", i), noon) }},
		{"a clock that jumps to and fro", func(i int) probe.Line { return beatOf(m.Hash(), noon.AddDate(200*(i%2), 0, 0)) }},
		{"a clock that runs a hundred times as fast", func(i int) probe.Line { return beatOf(m.Hash(), noon.Add(time.Duration(i)*1000*time.Second)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newHearing(t, m)
			from := targetOn(m, 0)
			for i := range 5000 {
				l.line(from, tt.line(i))
			}
			if got := len(l.heard[from.Key].spans); got > mostSpans {
				t.Errorf("%d spans are kept", got)
			}
			if got := len(l.covered(l.nodes())); got > 0 {
				t.Errorf("%d pairs count as tried", got)
			}
		})
	}
	l := newHearing(t, m)
	for i := range 100 {
		m.Members = slices.Clone(m.Members)
		m.Members[0].Zone = fmt.Sprint(i)
		l.membership(m)
	}
	if len(l.known) > mostMemberships || l.known[m.Hash()].Version == 0 {
		t.Errorf("%d memberships are kept", len(l.known))
	}
}

// Nodes stand as people count them.
func TestGridsAreInNaturalOrder(t *testing.T) {
	m := meshOf(12)
	for i := range m.Members {
		m.Members[i].Node = fmt.Sprintf("node-%d", i+1)
	}
	slices.SortFunc(m.Members, func(a, b mesh.Member) int { return strings.Compare(a.Node, b.Node) })
	for _, g := range newHearing(t, m).grids(m) {
		if g.Rows[1] != "node-2" || g.Rows[9] != "node-10" {
			t.Errorf("%s: %v", g.Title, g.Rows)
		}
	}
}

// A line without members is heard of nobody who took part.
func TestLineWithoutMembers(t *testing.T) {
	l := newHearing(t, meshOf(3))
	line := beatOf("", noon)
	line.Nodes = 0
	l.line(targetOn(meshOf(3), 0), line)
	if heard, first, _ := l.state(); heard != 0 || !first.IsZero() {
		t.Errorf("heard %d, first %s", heard, first)
	}
}

func TestGrids(t *testing.T) {
	m := meshOf(3)
	l := newHearing(t, m)
	tally := func(via string, ok, lost int) probe.Tally {
		return probe.Tally{Via: via, Family: "IPv4", Protocol: "TCP", OK: ok, Lost: lost}
	}
	same := probe.Tally{Via: mesh.ViaPodIP, Family: "IPv4", Protocol: "UDP", SameNode: true, NotChecked: 2}
	peers := probe.Tally{Via: mesh.ViaPodIP, Family: "IPv4", Protocol: "UDP", OK: 7}
	l.line(targetOn(m, 0), beatOf(m.Hash(), noon, tally(mesh.ViaClusterIP, 4, 0), tally(mesh.ViaDNS, 0, 3), same, peers))
	l.line(targetOn(m, 0), beatOf(m.Hash(), noon.Add(mesh.CoverTime(3)), tally(mesh.ViaClusterIP, 1, 1)))
	l.line(targetOn(m, 1), beatOf(m.Hash(), noon, tally(mesh.ViaClusterIP, 2, 0)))
	grids := l.grids(m)
	if len(grids) != 2 {
		t.Fatalf("%d grids: one family and the nodes' own are expected", len(grids))
	}
	pods, own := grids[0], grids[1]
	if want := "IPv4 · from pods (rows) to pods (columns)"; pods.Title != want || string(marksOf(pods, 0)) != "..." && string(marksOf(pods, 0)) != "-.." {
		t.Errorf("%s: %s", pods.Title, marksOf(pods, 0))
	}
	if string(marksOf(pods, 1)) != "---" {
		t.Errorf("a prober that was heard once: %s", marksOf(pods, 1))
	}
	if want := []string{"dns v4", "same node v4", "service v4"}; !slices.Equal(own.Columns, want) {
		t.Errorf("columns %v, want %v", own.Columns, want)
	}
	for i, want := range []string{"X?x", "--.", "---"} {
		if got := string(marksOf(own, i)); got != want {
			t.Errorf("%s: %s, want %s", own.Rows[i], got, want)
		}
	}
}

func marksOf(g report.Grid, row int) []byte {
	var out []byte
	for _, m := range g.Cells[row] {
		if m == 0 {
			m = report.MarkUnknown
		}
		out = append(out, byte(m))
	}
	return out
}

// Only the probes that were heard before are silent; why the others are not heard is
// said elsewhere.
func TestSilences(t *testing.T) {
	heard := collect.Probe{Target: collect.Target{Key: collect.Key{Namespace: "p", Pod: "a"}, Node: "na"}, Heard: noon}
	never := collect.Probe{Target: collect.Target{Node: "nb"}}
	got := silences([]collect.Silence{
		{Probe: heard, Reason: collect.ReasonSilent, Since: noon, Text: "says nothing"},
		{Probe: heard, Reason: collect.ReasonNodeNotReady},
		{Probe: never, Reason: collect.ReasonSilent},
	})
	if len(got) != 2 || !got[0].Running || got[0].Pod != "p/a" || got[0].Why != "says nothing" || got[1].Running {
		t.Errorf("got %+v", got)
	}
}

func TestReportsOfASnapshot(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/reports.yaml", `
apiVersion: remediate.dev/v1alpha1
kind: ProbeReport
metadata: {name: node-1}
observations:
- {from: {node: node-1}, to: {node: node-2}, via: PodIP, family: IPv4, protocol: TCP, target: open, outcome: OK}
- {from: {node: node-1}, to: {node: node-2}, via: PodIP, family: IPv4, protocol: TCP, target: guarded, outcome: Timeout}
---
apiVersion: remediate.dev/v1alpha1
kind: ProbeReport
metadata: {name: node-2}
observations:
- {from: {node: node-2}, to: {node: node-1}, via: PodIP, family: IPv4, protocol: UDP, target: open, outcome: OK}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
`)
	d, err := Detect(t.Context(), DetectOptions{Options: Options{Snapshot: dir}, Probes: ProbeOptions{None: true}})
	if err != nil {
		t.Fatal(err)
	}
	got := d.Result.Reports
	if len(got) != 2 || got[0].Metadata.Name != "node-1" || len(got[0].Observations) != 2 || got[1].Metadata.Name != "node-2" || got[0].Observations[1].Outcome != v1alpha1.OutcomeTimeout {
		t.Errorf("got %+v", got)
	}
}

// What failed stands in the matrix before a heartbeat has counted it, and what had no
// time is told apart from what is well.
func TestFailuresBeforeTheFirstHeartbeat(t *testing.T) {
	m := meshOf(3)
	l := newHearing(t, m)
	from := targetOn(m, 0)
	failed := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: "p", Pod: from.Pod, Node: from.Node, IP: from.IPs[0].String()}, To: v1alpha1.Endpoint{IP: "10.96.0.7"},
		Via: mesh.ViaClusterIP, Family: "IPv4", Protocol: "TCP", Target: v1alpha1.TargetOpen, Outcome: v1alpha1.OutcomeTimeout, Sent: 1, At: noon.Format(time.RFC3339Nano),
	}
	peer := failed
	peer.Via, peer.To = mesh.ViaPodIP, v1alpha1.Endpoint{Node: "nb", IP: "10.0.0.2"}
	line := probe.Line{Version: 1, Boot: "b", At: noon, Members: m.Hash(), Nodes: 3, Observations: []v1alpha1.Observation{failed, peer}}
	l.line(from, line)
	l.matrix.Put(from, noon)
	l.matrix.Add(from.Key, line, collect.PathFollow, noon)
	grids := l.grids(m)
	own := grids[len(grids)-1]
	if !slices.Equal(own.Columns, []string{"service v4"}) || own.Cells[0][0] != report.MarkLost {
		t.Errorf("columns %v, marks %q", own.Columns, own.Cells)
	}
	want := []coverage{{family: "IPv4", tried: 1, pairs: 2}}
	if got := l.coverage(grids, m); !slices.Equal(got, want) {
		t.Errorf("covered %+v, want %+v", got, want)
	}
}

// A run that tried no pair found nothing out; one that has something to tell, did.
func TestUntried(t *testing.T) {
	tests := []struct {
		name    string
		all     []coverage
		pending bool
		want    int // lines of what was not checked
		nothing bool
	}{
		{"all", []coverage{{"IPv6", 6, 6}, {"IPv4", 6, 6}}, false, 0, false},
		{"a part", []coverage{{"IPv6", 2, 6}, {"IPv4", 6, 6}}, false, 1, false},
		{"none", []coverage{{"IPv6", 0, 6}, {"IPv4", 0, 6}}, false, 2, true},
		{"none, and services fail", []coverage{{"IPv6", 0, 6}}, true, 1, false},
		{"nobody has an address yet", nil, false, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &detection{out: &report.Detection{}, opts: DetectOptions{For: 3 * time.Second}}
			if tt.pending {
				d.out.Result.Pending = []v1alpha1.Finding{{Signature: "x"}}
			}
			p := &probing{detection: d, listener: newHearing(t, meshOf(3))}
			err := p.untried(tt.all)
			if errors.Is(err, ErrNothingChecked) != tt.nothing || len(d.out.Result.NotChecked) != tt.want {
				t.Errorf("%v; not checked %q", err, d.out.Result.NotChecked)
			}
		})
	}
	for mark, nothing := range map[report.Mark]bool{report.MarkUnknown: true, report.MarkWell: false} {
		d := &detection{out: &report.Detection{Grids: []report.Grid{{Cells: [][]report.Mark{{mark}}}}}, opts: DetectOptions{For: 3 * time.Second}}
		err := (&probing{detection: d, listener: newHearing(t, meshOf(1))}).untried([]coverage{{"IPv6", 0, 0}})
		if errors.Is(err, ErrNothingChecked) != nothing || len(d.out.Result.NotChecked) != 1 {
			t.Errorf("one node, %c: %v; not checked %q", mark, err, d.out.Result.NotChecked)
		}
	}
}
