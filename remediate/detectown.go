package remediate

import (
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/report"
)

// ownGrid is what each node found out besides its peers: services, names, outside,
// and targets on the same node. Its columns are what was tried at all.
func (l *listener) ownGrid(nodes []string) report.Grid {
	marks := map[string]map[string]probe.Tally{}
	var columns []string
	add := func(node, column string, t probe.Tally) {
		if marks[node] == nil {
			marks[node] = map[string]probe.Tally{}
		}
		marks[node][column] = addTally(marks[node][column], t)
		columns = append(columns, column)
	}
	for _, h := range l.heard {
		for _, sum := range h.sums {
			if column := ownColumn(sum); column != "" && !h.target.HostNetwork {
				add(h.target.Node, column, sum)
			}
		}
	}
	for _, o := range l.matrix.Observations() {
		kind := probe.Tally{Via: o.Via, Family: o.Family, SameNode: o.From.Node == o.To.Node}
		if column := ownColumn(kind); column != "" && !o.HostNetwork {
			add(o.From.Node, column, tallyOf(o))
		}
	}
	slices.Sort(columns)
	g := report.Grid{Title: "each node · services, names and its own pods", Rows: nodes, Columns: slices.Compact(columns)}
	for _, n := range nodes {
		row := make([]report.Mark, len(g.Columns))
		for i, c := range g.Columns {
			row[i] = tallyMark(marks[n][c])
		}
		g.Cells = append(g.Cells, row)
	}
	return g
}

// ownColumn names a kind of check that has no peer; empty for the others.
func ownColumn(t probe.Tally) string {
	short := "v" + strings.TrimPrefix(t.Family, "IPv")
	switch {
	case t.Via == mesh.ViaClusterIP:
		return "service " + short
	case t.Via == mesh.ViaDNS:
		return "dns " + short
	case t.Via == mesh.ViaExternal:
		return "outside " + short
	case t.Via == mesh.ViaPodIP && t.SameNode:
		return "same node " + short
	}
	return ""
}

// tallyOf is one exchange. Most failures are told in a line of their own before a
// heartbeat counts them.
func tallyOf(o v1alpha1.Observation) probe.Tally {
	switch {
	case o.Outcome == v1alpha1.OutcomeNotChecked:
		return probe.Tally{NotChecked: 1}
	case o.Unreliable:
		return probe.Tally{Unreliable: 1}
	case o.Outcome == v1alpha1.OutcomeOK:
		return probe.Tally{OK: 1}
	}
	return probe.Tally{Lost: 1}
}

func addTally(a, b probe.Tally) probe.Tally {
	a.OK += b.OK
	a.Masked += b.Masked
	a.Lost += b.Lost
	a.Unreliable += b.Unreliable
	a.NotChecked += b.NotChecked
	return a
}

// tallyMark: what a service shows as source is not judged, as its translation may
// change it.
func tallyMark(t probe.Tally) report.Mark {
	answered := t.OK + t.Masked
	switch {
	case t.Lost > 0 && answered > 0:
		return report.MarkSome
	case t.Lost > 0:
		return report.MarkLost
	case answered > 0:
		return report.MarkWell
	case t.Unreliable+t.NotChecked > 0:
		return report.MarkNotChecked
	}
	return report.MarkUnknown
}
