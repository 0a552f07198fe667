package remediate

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/natural"
	"github.com/remediate-dev/remediate/internal/report"
)

// conclude puts together what was found, what was seen and what was not checked.
func (p *probing) conclude() error {
	l, out := p.listener, p.out
	judgement := l.judge(p.in)
	out.Result.Findings, out.Result.Pending = judgement.Findings, judgement.Pending
	out.Result.Reports = l.matrix.Reports()
	l.mu.Lock()
	defer l.mu.Unlock()
	out.Heard, out.Probes = l.probes(), runningProbes(p.watch.Facts())
	out.Took = p.opts.Now().Sub(l.first)
	out.Grids = l.grids(l.latest)
	if l.write != nil {
		p.notChecked("pairs with probes that came late: " + l.write.Error())
	}
	if p.watch.SeesDNS() && len(l.latest.DNS.Services) == 0 {
		p.notChecked("cluster DNS: no Service in " + deploy.DNSNamespace + " has the label " + deploy.DNSLabel)
	}
	p.unheard()
	p.unchecked(judgement.Suppressed)
	p.limits()
	return p.untried(l.coverage(out.Grids, l.latest))
}

// unheard names the probes of which nothing was heard.
func (p *probing) unheard() {
	l := p.listener
	silent := l.matrix.Silent(p.opts.Now())
	slices.SortStableFunc(silent, func(a, b collect.Silence) int { return natural.Compare(a.Probe.Node, b.Probe.Node) })
	for _, s := range silent {
		p.notChecked("what " + nodeName(s.Probe.Target) + " experiences: " + s.Text)
	}
	for _, node := range p.progress.Excused {
		p.notChecked("what " + node + " experiences: the node is not ready")
	}
	var without []string
	for _, probe := range l.matrix.Probes() {
		if l.heard[probe.Key] == nil && !probe.Heard.IsZero() {
			without = append(without, probe.Node)
		}
	}
	if len(without) > 0 {
		slices.SortFunc(without, natural.Compare)
		p.notChecked("peers of " + some(slices.Compact(without)) + ": the probes there run and do not know the members yet")
	}
}

func nodeName(t collect.Target) string {
	if t.HostNetwork {
		return t.Node + " (host network)"
	}
	return t.Node
}

// some is a list of names, cut to a few.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// unchecked gathers why checks were not made, the most frequent first, and what
// confirmed causes suppressed.
func (p *probing) unchecked(suppressed []v1alpha1.Finding) {
	why, starved := map[string]int{}, map[string]bool{}
	for _, o := range p.listener.matrix.Observations() {
		if o.Outcome == v1alpha1.OutcomeNotChecked && o.Reason != "" {
			why[strings.TrimSpace(o.Family+" "+o.Protocol+" "+o.Via)+": "+o.Reason]++
		}
		if o.Unreliable {
			starved[o.From.Node] = true
		}
	}
	texts := slices.SortedFunc(maps.Keys(why), func(a, b string) int { return cmp.Or(cmp.Compare(why[b], why[a]), cmp.Compare(a, b)) })
	for _, t := range texts {
		p.notChecked(fmt.Sprintf("%s (%d)", t, why[t]))
	}
	if len(starved) > 0 {
		p.notChecked("some exchanges of " + some(slices.SortedFunc(maps.Keys(starved), natural.Compare)) + ": the probe itself was starved of CPU, which confirms nothing")
	}
	for _, f := range suppressed {
		p.notChecked(fmt.Sprintf("%s on its own account: %s explains it", f.Signature, f.CausedBy))
	}
}

// mostInGrid bounds the nodes of a matrix: nobody reads a larger one, and that of
// 5,000 nodes has 25 million cells.
const mostInGrid = 500

// gridNodes are the members in natural order; of too many those that most is said of.
func gridNodes(members mesh.Membership, observations []v1alpha1.Observation) []string {
	said := map[string]int{}
	for _, o := range observations {
		said[o.From.Node]++
		said[o.To.Node]++
	}
	var nodes []string
	for _, m := range members.Members {
		nodes = append(nodes, m.Node)
	}
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Or(cmp.Compare(said[b], said[a]), natural.Compare(a, b)) })
	nodes = nodes[:min(len(nodes), mostInGrid)]
	slices.SortFunc(nodes, natural.Compare)
	return nodes
}

// grids are the matrices of what was heard.
func (l *listener) grids(members mesh.Membership) []report.Grid {
	observations := l.matrix.Observations()
	nodes := gridNodes(members, observations)
	covered := l.covered(nodes)
	var out []report.Grid
	for _, family := range []string{cidr.IPv6, cidr.IPv4} {
		if !hasFamily(members, family) {
			continue
		}
		pods := cells(observations, covered, family, fromPods)
		out = append(out, square(podTitle(family), nodes, pods))
		host := cells(observations, covered, family, toNodes)
		if g := square(family+" · to the nodes' own network", nodes, host); g.Bad() {
			out = append(out, g)
		}
	}
	if own := l.ownGrid(nodes); len(own.Columns) > 0 {
		out = append(out, own)
	}
	return out
}

func hasFamily(m mesh.Membership, family string) bool {
	return slices.ContainsFunc(m.Members, func(m mesh.Member) bool {
		for _, t := range []*mesh.Target{m.Open, m.Guarded} {
			if t != nil && slices.ContainsFunc(t.IPs, func(a netip.Addr) bool { return cidr.Family(a) == family }) {
				return true
			}
		}
		return false
	})
}

// nodePair is an ordered pair of nodes and an address family.
type nodePair struct{ from, to, family string }

// covered are the pairs that the ring brought together while their probers were
// heard, whatever became of it: a healthy exchange is counted and not told. A probe
// acts by its own clock, and so do its lines.
func (l *listener) covered(nodes []string) map[nodePair]bool {
	rings := map[string]*mesh.Ring{}
	for hash, m := range l.known {
		rings[hash] = mesh.NewRing(m)
	}
	among := map[string]bool{}
	for _, n := range nodes {
		among[n] = true
	}
	out := map[nodePair]bool{}
	for _, h := range l.heard {
		for _, s := range h.spans {
			if ring := rings[s.members]; ring != nil && among[h.target.Node] && !h.target.HostNetwork {
				s.cover(ring, h.target, among, out)
			}
		}
	}
	return out
}

// cover adds the pairs of a span. What is older than the time that covers all pairs
// adds none.
func (s span) cover(ring *mesh.Ring, t collect.Target, among map[string]bool, out map[nodePair]bool) {
	plan := ring.Plan(mesh.Self{Namespace: t.Namespace, Pod: t.Pod, Node: t.Node, IPs: t.IPs, HostNetwork: t.HostNetwork})
	end := mesh.SlotAt(s.last)
	enough := int64((mesh.KindsCoverTime(ring.Len()) + mesh.Round) / mesh.Slot)
	for slot := max(mesh.SlotAt(s.first), end-enough); slot < end; slot++ {
		turn := plan.At(slot)
		if turn.Idle() || turn.NotChecked != "" || !among[turn.Check.To.Node] || turn.Check.Via != mesh.ViaPodIP {
			continue
		}
		out[nodePair{t.Node, turn.Check.To.Node, turn.Check.Family}] = true
	}
}

// seen counts what became of the exchanges of a pair.
type seen struct {
	ok, masked, refused, unsure     int
	lostOpen, lostGuarded, lostFull int
}

func (s *seen) add(o v1alpha1.Observation) {
	switch {
	case o.Outcome == v1alpha1.OutcomeNotChecked || o.Unreliable:
		s.unsure++
	case o.Outcome == v1alpha1.OutcomeOK && o.SourceSeen != "" && o.From.IP != "" && o.SourceSeen != o.From.IP && !o.HostNetwork && o.Via == mesh.ViaPodIP:
		s.masked++
	case o.Outcome == v1alpha1.OutcomeOK:
		s.ok++
	case o.Outcome == v1alpha1.OutcomeRefused && o.Via == mesh.ViaNodeIP:
		s.ok++ // a node that refuses was reached
	case o.Outcome == v1alpha1.OutcomeRefused:
		s.refused++
	case o.Bytes > fullSize:
		s.lostFull++
	case o.Target == v1alpha1.TargetGuarded:
		s.lostGuarded++
	default:
		s.lostOpen++
	}
}

// fullSize is above every size that each path must carry, in bytes (RFC 8200,
// section 5: 1,280 for IPv6).
const fullSize = 1280

// mark is the letter for a pair; covered says that the ring brought it together.
func (s seen) mark(covered bool) report.Mark {
	lost := s.lostOpen + s.lostGuarded + s.lostFull
	switch {
	case s.masked > 0:
		return report.MarkMasked
	case lost == 0 && s.refused > 0:
		return report.MarkRefused
	case lost == 0 && (s.ok > 0 || covered):
		return report.MarkWell
	case lost == 0 && s.unsure > 0:
		return report.MarkNotChecked
	case lost == 0:
		return report.MarkUnknown
	case s.lostFull == lost && s.ok > 0:
		return report.MarkFull
	case s.lostGuarded == lost && s.ok > 0:
		return report.MarkGuarded
	case s.ok > 0:
		return report.MarkSome
	}
	return report.MarkLost
}

func cells(observations []v1alpha1.Observation, covered map[nodePair]bool, family string, counts func(v1alpha1.Observation) bool) map[nodePair]report.Mark {
	all := map[nodePair]*seen{}
	for _, o := range observations {
		if o.Family != family || o.To.Node == "" || !counts(o) {
			continue
		}
		k := nodePair{o.From.Node, o.To.Node, family}
		if all[k] == nil {
			all[k] = &seen{}
		}
		all[k].add(o)
	}
	out := map[nodePair]report.Mark{}
	for k := range covered {
		if k.family == family {
			out[k] = report.MarkWell
		}
	}
	for k, s := range all {
		out[k] = s.mark(covered[k])
	}
	return out
}

func square(title string, nodes []string, marks map[nodePair]report.Mark) report.Grid {
	g := report.Square(title, nodes)
	at := map[string]int{}
	for i, n := range nodes {
		at[n] = i
	}
	for k, m := range marks {
		row, okRow := at[k.from]
		column, okColumn := at[k.to]
		if okRow && okColumn {
			g.Cells[row][column] = m
		}
	}
	return g
}
