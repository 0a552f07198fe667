package signature

import (
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// kind is the shape of a failure: what of the pairs of nodes it takes.
type kind int

const (
	cutAll     kind = iota // every pair
	cutGroups              // every pair of two groups of nodes, none within
	cutNode                // every pair of one node
	cutPair                // one pair
	cutWay                 // one direction, of a pair or a node
	masked                 // packets arrive with another source
	denied                 // with the pod's own source, and guarded targets are silent
	unfiltered             // guarded targets answer who has no right
	sizes                  // small packets pass and large ones do not
	services               // ClusterIPs fail, pods' addresses work
	names                  // cluster DNS fails, all else works
	lossy                  // some exchanges fail, everywhere or around one node
	refuses                // one target refuses
	blocked                // same node as well, in all families: nothing to do with nodes
)

// verdict is a failure that the probes show.
type verdict struct {
	kind   kind
	family string
	// about tells verdicts of a kind and family apart: a node, a pair, a group.
	about string
	// groups that are apart, of cutGroups; the node or the pair otherwise.
	groups [][]string
	// nodePath says whether the nodes' own network works there, and noWay that a
	// router said that it knows no way.
	nodePath snapshot.Tri
	noWay    bool
	// untold: it is not known yet whether requests of one direction arrive; wayElsewhere:
	// over the other family they are known to.
	untold, wayElsewhere bool
	// untried: of a direction, whether the nodes' own network carries it.
	untried bool
	// heard: all the nodes are still heard from since it began.
	heard bool
	// sameNode: pods of one node do not reach each other either.
	sameNode bool
	// otherWorks: the other family works between nodes.
	otherWorks bool
	// twins: probes in the nodes' own network exist, so that nodePath will be known.
	twins   bool
	share   float64
	seen    string // an example of the source that was seen
	pairs   []pairKey
	support Support
}

// cutInfo is what a family's pairs look like: lost ones and those known to work
// since the losses began.
type cutInfo struct {
	lost  []pairKey
	alive map[pairKey]bool
	onset time.Time
}

func (f *family) info() cutInfo {
	var c cutInfo
	var since []time.Time
	for _, k := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		if p := f.pairs[k]; p.lost() {
			c.lost = append(c.lost, k)
			since = append(since, p.since())
		}
	}
	if len(since) > 0 {
		slices.SortFunc(since, time.Time.Compare)
		c.onset = since[len(since)/2]
	}
	c.alive = map[pairKey]bool{}
	for k, p := range f.pairs {
		if t := p.alive(); !t.IsZero() && !t.Before(c.onset) {
			c.alive[k] = true
		}
	}
	return c
}

// forgive takes back losses around a node whose pods answered after a row of
// them: what was lost before has to fail again to count. A probe looks at a flow
// that failed again only when it has its turn.
func (f *family) forgive() {
	healed := f.healed()
	for k, p := range f.pairs {
		at := healed[k.from]
		if healed[k.to].After(at) {
			at = healed[k.to]
		}
		p.open.forgive(at)
		p.guarded.forgive(at)
	}
}

func (f *family) healed() map[string]time.Time {
	out := map[string]time.Time{}
	for k, p := range f.pairs {
		for _, t := range []time.Time{p.open.healed, p.guarded.healed} {
			for _, n := range []string{k.from, k.to} {
				if t.After(out[n]) {
					out[n] = t
				}
			}
		}
	}
	return out
}

// judge finds what explains a family's failures. Of cuts there is at most one
// shape, the one that explains all of them; failures without a shape are none.
func (r *Reach) judge(f *family) {
	f.forgive()
	if v, ok := r.lossy(f); ok {
		r.verdicts = append(r.verdicts, v)
	}
	c := f.info()
	if len(c.lost) > 0 {
		cuts := r.cuts(f, c)
		f.cut = len(cuts) > 0
		r.verdicts = append(r.verdicts, cuts...)
	}
	r.verdicts = append(r.verdicts, r.partial(f, c)...)
}

func (r *Reach) cuts(f *family, c cutInfo) []verdict {
	if v, ok := r.all(f, c); ok {
		return []verdict{v}
	}
	if f.noise(c) {
		return nil
	}
	if v, ok := r.groups(f, c); ok {
		return []verdict{v}
	}
	if vs, ok := r.stars(f, c); ok {
		return vs
	}
	return r.single(f, c)
}

// noise: exchanges fail and succeed by turns, around more than one node, so that a
// run of failures may be chance.
func (f *family) noise(c cutInfo) bool {
	const most, span = 3, 30 * time.Second
	var last time.Time
	for _, k := range c.lost {
		if t := f.pairs[k].lastLost(); t.After(last) {
			last = t
		}
	}
	var turns []pairKey
	for k, p := range f.pairs {
		for _, t := range slices.Concat(p.open.recovered, p.guarded.recovered) {
			if last.Sub(t) < span {
				turns = append(turns, k)
			}
		}
	}
	flapping, _ := busiest(turns)
	return len(without(turns, flapping)) > most
}

// takingTurns: exchanges that had failed succeeded again and again until lately. Then
// that all fail now may be chance.
func (f *family) takingTurns(c cutInfo) bool {
	const most, span = 2, 20 * time.Second
	var last time.Time
	for _, k := range c.lost {
		if t := f.pairs[k].lastLost(); t.After(last) {
			last = t
		}
	}
	n := 0
	for _, p := range f.pairs {
		for _, t := range slices.Concat(p.open.recovered, p.guarded.recovered) {
			if last.Sub(t) < span {
				n++
			}
		}
	}
	return n > most
}

// all: nothing is known to work between any nodes since it began, and no two
// nodes are what all the failures have in common.
func (r *Reach) all(f *family, c cutInfo) (verdict, bool) {
	n := len(r.nodes)
	if len(c.alive)*20 > len(c.lost) || f.answersSince(c.onset) || f.takingTurns(c) || f.getAcross(c.lost) {
		return verdict{}, false
	}
	undirected := edges(c.lost)
	switch {
	case n < 2 || len(undirected) == 0:
		return verdict{}, false
	case n == 3 && len(undirected) < 3, n > 3 && (!oddCycle(undirected) || coveredByTwo(undirected)):
		return verdict{}, false
	case r.withinZone(c.lost) == snapshot.No:
		return verdict{}, false
	}
	v := r.cutVerdict(f, cutAll, c.lost)
	v.support.crossed()
	v.sameNode = r.sameNodeLost(f, c.onset)
	other := r.other(f)
	v.otherWorks = other != nil && !other.anyLost()
	if v.sameNode && other != nil && r.sameNodeLost(other, c.onset) {
		v.kind = blocked
	}
	return v, true
}

// getAcross: requests of several lost pairs arrived since, so that it is by chance that
// no answer did.
func (f *family) getAcross(lost []pairKey) bool {
	const most = 2
	n := 0
	for _, k := range lost {
		if f.pairs[k].arrived() > 0 {
			n++
		}
	}
	return n > most
}

// crossed sets Both for a fault of many pairs when [crossing] nodes say so and are
// said of.
func (s *Support) crossed() {
	n := 0
	for _, node := range s.Probers {
		if slices.Contains(s.Targets, node) {
			n++
		}
	}
	s.Both = s.Both || n >= crossing
}

// withinZone is no when zones with several nodes are known and not one lost pair
// lies within a zone: then the zones may be what is apart.
func (r *Reach) withinZone(lost []pairKey) snapshot.Tri {
	size := map[string]int{}
	for _, n := range r.nodes {
		size[r.zones[n]]++
	}
	several := 0
	for zone, n := range size {
		if zone != "" && n > 1 {
			several++
		}
	}
	if several == 0 || len(size) < 2 {
		return snapshot.Unknown
	}
	return snapshot.TriOf(slices.ContainsFunc(lost, func(k pairKey) bool { return r.zones[k.from] == r.zones[k.to] }))
}

// answersSince: some prober counted an answer of another node's pod after.
func (f *family) answersSince(onset time.Time) bool {
	return slices.ContainsFunc(f.totals, func(t Total) bool { return t.OK+t.Masked > 0 && t.From.After(onset) })
}

func (f *family) anyLost() bool {
	for _, p := range f.pairs {
		if p.lost() {
			return true
		}
	}
	return false
}

func (r *Reach) other(f *family) *family {
	for name, o := range r.families {
		if name != f.name {
			return o
		}
	}
	return nil
}

// sameNodeLost: on most nodes where it was tried since, pods of one node do not
// reach each other.
func (r *Reach) sameNodeLost(f *family, onset time.Time) bool {
	bad, good := 0, 0
	for _, s := range f.same {
		if s.tail >= 2 {
			bad++
		} else if s.works(onset) {
			good++
		}
	}
	return bad > good && bad >= min(2, len(r.nodes))
}

// groups: the nodes fall into two parts, zones where zones are known, between
// which all is lost and within which nothing is.
func (r *Reach) groups(f *family, c cutInfo) (verdict, bool) {
	for _, side := range r.sides(c) {
		if v, ok := r.apart(f, c, side); ok {
			return v, true
		}
	}
	return verdict{}, false
}

// sides are the sets of nodes that may be cut off from the rest: each zone, and
// each part that the working pairs hold together.
func (r *Reach) sides(c cutInfo) []map[string]bool {
	var out []map[string]bool
	byZone := map[string]map[string]bool{}
	for _, n := range r.nodes {
		if z := r.zones[n]; z != "" {
			if byZone[z] == nil {
				byZone[z] = map[string]bool{}
			}
			byZone[z][n] = true
		}
	}
	for _, z := range slices.Sorted(maps.Keys(byZone)) {
		out = append(out, byZone[z])
	}
	return append(out, components(c)...)
}

// arrives: requests of lost pairs get across in both directions, or the sides lose
// exchanges within as well, so that what is lost is lost by chance.
func (f *family) arrives(lost []pairKey, side map[string]bool) bool {
	in, out := 0, 0
	for _, k := range lost {
		if n := f.pairs[k].arrived(); side[k.to] {
			in += n
		} else {
			out += n
		}
	}
	return in > 1 && out > 1 || f.restless(side)
}

// restless: exchanges within the two sides fail and succeed by turns as well.
func (f *family) restless(side map[string]bool) bool {
	const most, span = 2, 30 * time.Second
	now, n := f.latest(), 0
	for k, p := range f.pairs {
		for _, t := range slices.Concat(p.open.recovered, p.guarded.recovered) {
			if side[k.from] == side[k.to] && now.Sub(t) < span {
				n++
			}
		}
	}
	return n > most
}

func (r *Reach) apart(f *family, c cutInfo, side map[string]bool) (verdict, bool) {
	if len(side) < 2 || len(r.nodes)-len(side) < 2 {
		return verdict{}, false
	}
	inside, outside := map[string]bool{}, map[string]bool{}
	for _, k := range c.lost {
		if side[k.from] == side[k.to] {
			return verdict{}, false
		}
		for _, n := range []string{k.from, k.to} {
			if side[n] {
				inside[n] = true
			} else {
				outside[n] = true
			}
		}
	}
	for k := range c.alive {
		if side[k.from] != side[k.to] {
			return verdict{}, false
		}
	}
	if len(inside) < 2 || len(outside) < 2 || len(inside)*2 < len(side) || f.arrives(c.lost, side) {
		return verdict{}, false
	}
	v := r.cutVerdict(f, cutGroups, c.lost)
	v.support.crossed()
	rest := map[string]bool{}
	for _, n := range r.nodes {
		if !side[n] {
			rest[n] = true
		}
	}
	v.groups = [][]string{sortedKeys(side), sortedKeys(rest)}
	slices.SortFunc(v.groups, func(a, b []string) int { return len(a) - len(b) })
	v.about = shorten(v.groups[0], 6)
	return v, true
}
