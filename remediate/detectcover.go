package remediate

import (
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/report"
)

func podTitle(family string) string { return family + " · from pods (rows) to pods (columns)" }

// coverage is how many of a family's ordered pairs of nodes were tried at all, of
// those whose prober was heard.
type coverage struct {
	family       string
	tried, pairs int
}

func (l *listener) coverage(grids []report.Grid, members mesh.Membership) []coverage {
	hears := map[string]bool{}
	for _, h := range l.heard {
		hears[h.target.Node] = true
	}
	var out []coverage
	for _, family := range []string{cidr.IPv6, cidr.IPv4} {
		i := slices.IndexFunc(grids, func(g report.Grid) bool { return g.Title == podTitle(family) })
		if i < 0 {
			continue
		}
		has := map[string]bool{}
		for _, m := range members.Members {
			has[m.Node] = hasFamily(mesh.Membership{Members: []mesh.Member{m}}, family)
		}
		c := coverage{family: family}
		for row, from := range grids[i].Rows {
			for column, to := range grids[i].Columns {
				if row == column || !hears[from] || !has[from] || !has[to] {
					continue
				}
				c.pairs++
				if m := grids[i].Cells[row][column]; m != 0 && m != report.MarkUnknown {
					c.tried++
				}
			}
		}
		out = append(out, c)
	}
	return out
}

// targets is how many nodes can be reached as far as the probes were told.
func (l *listener) targets() int {
	n := 0
	for _, m := range l.latest.Members {
		if m.Open != nil && len(m.Open.IPs) > 0 {
			n++
		}
	}
	return n
}

// marks is how many cells of all matrices have been tried.
func (p *probing) marks() int {
	n := 0
	for _, g := range p.out.Grids {
		for _, row := range g.Cells {
			for _, m := range row {
				if m != 0 && m != report.MarkUnknown {
					n++
				}
			}
		}
	}
	return n
}

// untried says which part of the pairs nobody tried. A run that tried none checked
// nothing, unless something else is wrong.
func (p *probing) untried(all []coverage) error {
	tried, what := 0, "no pair of nodes"
	cover := mesh.CoverTime(len(p.listener.latest.Members)).Round(time.Second)
	for _, c := range all {
		tried += c.tried
		if missing := c.pairs - c.tried; missing > 0 {
			p.notChecked(fmt.Sprintf("%d of %d pairs of nodes over %s: not tried in the time; all of them take %s (--for)", missing, c.pairs, c.family, cover))
		}
	}
	if p.listener.targets() == 1 {
		p.notChecked("traffic between nodes: one node has a probe")
		tried, what = p.marks(), "nothing"
	}
	if tried > 0 || len(p.out.Result.Findings)+len(p.out.Result.Pending) > 0 {
		return nil
	}
	return withHint(fmt.Errorf("%w: %s was tried within %s", ErrNothingChecked, what, p.opts.For), fmt.Sprintf("give --for %s or more", max(cover, DefaultListen)))
}
