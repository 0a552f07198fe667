package signature

import (
	"slices"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// stars: one node, or very few, are part of all that is lost, and what they have
// to do with others since is lost. What is left over must be single pairs.
func (r *Reach) stars(f *family, c cutInfo) ([]verdict, bool) {
	var out []verdict
	left := c.lost
	for len(out) <= len(r.nodes)/10+1 {
		hub, spokes := busiest(left)
		if spokes < 2 {
			break
		}
		v, ok := r.star(f, c, hub)
		if !ok {
			return nil, false
		}
		out = append(out, v)
		left = without(left, hub)
	}
	if len(out) == 0 || len(left) > 0 {
		return nil, false
	}
	return out, true
}

// busiest is the node that takes part in pairs with most others.
func busiest(pairs []pairKey) (node string, others int) {
	next := neighbours(edges(pairs))
	for n, list := range next {
		if len(list) > others || len(list) == others && n < node {
			node, others = n, len(list)
		}
	}
	return node, others
}

// star judges a node: all of its pairs, or those of one direction.
func (r *Reach) star(f *family, c cutInfo, hub string) (verdict, bool) {
	var pairs []pairKey
	in, out := 0, 0
	for _, k := range c.lost {
		switch hub {
		case k.to:
			in++
		case k.from:
			out++
		default:
			continue
		}
		pairs = append(pairs, k)
	}
	aliveIn, aliveOut, elsewhere := 0, 0, f.answersSince(c.onset)
	for k := range c.alive {
		switch hub {
		case k.to:
			aliveIn++
		case k.from:
			aliveOut++
		default:
			elsewhere = true
		}
	}
	if !elsewhere {
		return verdict{}, false
	}
	v := r.cutVerdict(f, cutNode, pairs)
	v.groups, v.about = [][]string{{hub}}, hub
	v.heard = r.lastHeard(hub).Sub(v.support.First) > unheardAfter
	if out == 0 && aliveIn == 0 {
		if f.losesSince(hub, v.support.First) {
			return verdict{}, false // and may lose everything
		}
		switch f.mute(hub, v.support.First) {
		case snapshot.No: // it tells of no loss
			v.kind, v.about = cutWay, "to "+hub
			return v, true
		case snapshot.Unknown:
			return verdict{}, false
		}
	}
	switch {
	case aliveIn == 0 && aliveOut == 0:
		way, hint := f.brokenWay(pairs, hub)
		if way != "" {
			v.kind, v.about = cutWay, way
		}
		v.untold = v.kind != cutWay && v.heard && (hint || !f.told(pairs, hub, 2))
		return v, true
	case aliveOut == 0 && in == 0:
		v.kind, v.about = cutWay, "from "+hub
		return v, true
	}
	return verdict{}, false
}

// losesSince: something that a node tried of another was lost, if only once.
func (f *family) losesSince(node string, since time.Time) bool {
	for k, p := range f.pairs {
		if k.from == node && p.tail() > 0 && !p.lastLost().Before(since) {
			return true
		}
	}
	return false
}

// compareWays marks what is said of a node of which the other family loses one
// direction only.
func (r *Reach) compareWays() {
	for i := range r.verdicts {
		v := &r.verdicts[i]
		v.wayElsewhere = v.kind == cutNode && slices.ContainsFunc(r.verdicts, func(o verdict) bool {
			return o.kind == cutWay && o.family != v.family && len(o.groups) == 1 && slices.Equal(o.groups[0], v.groups[0])
		})
	}
}

// mute: nothing was heard of a node since a moment, though a heartbeat was due.
// A node that is heard loses something by then, if it loses anything.
func (f *family) mute(node string, since time.Time) snapshot.Tri {
	const soon, due = 4 * time.Second, 15 * time.Second
	last := f.heard[node]
	for _, t := range f.totals {
		if t.Node == node && t.To.After(last) {
			last = t.To
		}
	}
	switch {
	case last.Sub(since) > soon:
		return snapshot.No
	case f.latest().Sub(since) > due:
		return snapshot.Yes
	}
	return snapshot.Unknown
}

// brokenWay tells the direction from requests that arrived though their answers
// were lost: they came by the way that works. One alone is a hint.
func (f *family) brokenWay(pairs []pairKey, hub string) (way string, hint bool) {
	arrivedAt, arrivedFrom := 0, 0
	for _, k := range pairs {
		arrived := f.pairs[k].arrived()
		if k.to == hub {
			arrivedAt += arrived
		} else {
			arrivedFrom += arrived
		}
	}
	switch {
	case arrivedAt >= 2 && arrivedFrom == 0:
		return "from " + hub, false
	case arrivedFrom >= 2 && arrivedAt == 0:
		return "to " + hub, false
	}
	return "", arrivedAt+arrivedFrom == 1
}

// told: of both directions, from a node and to it, some pairs would have told if
// requests arrived.
func (f *family) told(pairs []pairKey, hub string, enough int) bool {
	at, from := 0, 0
	for _, k := range pairs {
		switch {
		case !f.pairs[k].wouldTell(f.pairs[pairKey{k.to, k.from}]):
		case k.to == hub:
			at++
		default:
			from++
		}
	}
	return at >= enough && from >= enough
}

// single: pairs that have nothing to do with each other, each of two nodes that
// reach others.
func (r *Reach) single(f *family, c cutInfo) []verdict {
	const most = 16
	undirected := edges(c.lost)
	if len(undirected) > min(max(1, len(r.nodes)/2), most) || len(r.nodes) < 3 {
		return nil
	}
	lostPair := func(k pairKey) bool { return slices.Contains(c.lost, k) }
	var out []verdict
	for _, e := range undirected {
		back := pairKey{e.to, e.from}
		var both []pairKey
		for _, k := range []pairKey{e, back} {
			if lostPair(k) {
				both = append(both, k)
			}
		}
		v := r.cutVerdict(f, cutPair, both)
		v.groups, v.about = [][]string{{e.from}, {e.to}}, e.from+" and "+e.to
		way, chance := f.pairWay(c, e, back, both)
		if chance {
			continue
		}
		if way != "" && v.nodePath != snapshot.Yes && !v.noWay {
			v.kind, v.about = cutWay, way
			v.untried = f.untried(both, way)
		}
		v.untold = v.kind != cutWay && v.heard && len(both) == 2 && !f.told(both, e.from, 1)
		out = append(out, v)
	}
	return out
}

// untried: of the direction that is lost nobody tried the other node's own address
// since. Where a route is missing it answers, where packets are lost it does not.
func (f *family) untried(pairs []pairKey, direction string) bool {
	return !slices.ContainsFunc(pairs, func(k pairKey) bool {
		p := f.pairs[k]
		return k.way() == direction && slices.ContainsFunc([]*run{&p.node, &p.toNode}, func(r *run) bool { return r.last != nil && !r.last.Time.Before(p.since()) })
	})
}

func (k pairKey) way() string { return "from " + k.from + " to " + k.to }

// pairWay is the direction that is broken, if it is one. When requests arrive in both
// it is by chance that no answer did.
func (f *family) pairWay(c cutInfo, there, back pairKey, lost []pairKey) (broken string, chance bool) {
	arrived := func(k pairKey) int {
		if p := f.pairs[k]; p != nil {
			return p.arrived()
		}
		return 0
	}
	switch {
	case len(lost) == 1 && c.alive[pairKey{lost[0].to, lost[0].from}]:
		return lost[0].way(), false
	case len(lost) < 2:
		return "", false
	case arrived(there) > 0 && arrived(back) > 0:
		return "", true
	case arrived(there) > 0:
		return back.way(), false
	case arrived(back) > 0:
		return there.way(), false
	}
	return "", false
}

// cutVerdict gathers what is known about lost pairs.
func (r *Reach) cutVerdict(f *family, k kind, pairs []pairKey) verdict {
	v := verdict{kind: k, family: f.name, pairs: pairs}
	probers, targets, ends := map[string]bool{}, map[string]bool{}, map[string]bool{}
	noWay, tail := 0, 0
	var counted []pairKey
	v.support.First, v.support.Last = f.stretch(pairs)
	for _, key := range pairs {
		p := f.pairs[key]
		if p.lastLost().Before(v.support.First) {
			continue // of an earlier failure, and not tried again since
		}
		counted = append(counted, key)
		probers[key.from], targets[key.to] = true, true
		ends[key.from], ends[key.to] = true, true
		noWay, tail = noWay+p.open.unreachable+p.guarded.unreachable, tail+p.tail()
		v.support.Pairs++
	}
	v.support.Probers, v.support.Targets = sortedKeys(probers), sortedKeys(targets)
	v.support.Exchanges, v.support.Both = tail, bothWays(counted)
	v.noWay = noWay*2 > tail
	v.nodePath, v.twins = f.nodePath(pairs), r.twins
	if v.nodePath == snapshot.Unknown && v.twins && !v.undecided() {
		v.nodePath = snapshot.Yes // the twins try all the time, and would tell of failures
	}
	heard := 0
	for n := range ends {
		if r.lastHeard(n).Sub(v.support.First) > unheardAfter {
			heard++
		}
	}
	// Among all nodes there may be some that are slow.
	v.heard = heard == len(ends) || k == cutAll && 2*heard > len(ends)
	v.support.Decided = f.differential(pairs)
	return v
}

// stretch is the time over which pairs lost exchanges without a pause: even what
// is tried seldom is tried again in less, once it failed.
func (f *family) stretch(pairs []pairKey) (first, last time.Time) {
	pause := 12 * time.Second
	if len(edges(pairs)) == 1 {
		pause = 20 * time.Second
	}
	var times []time.Time
	for _, k := range pairs {
		for _, r := range []*run{&f.pairs[k].open, &f.pairs[k].guarded} {
			times = append(times, r.losses[len(r.losses)-r.tail:]...)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	if len(times) == 0 {
		return first, last
	}
	first, last = times[len(times)-1], times[len(times)-1]
	for _, t := range slices.Backward(times) {
		if first.Sub(t) > pause {
			break
		}
		first = t
	}
	return first, last
}

// lastHeard is when a node's probe last said anything, whatever it was of.
func (r *Reach) lastHeard(node string) time.Time { return r.said[node] }

// unheardAfter a node that loses everything has had failures of its own to tell.
const unheardAfter = 4 * time.Second

func (s *Support) include(first, last time.Time) {
	if s.First.IsZero() || first.Before(s.First) {
		s.First = first
	}
	if last.After(s.Last) {
		s.Last = last
	}
}

// nodePath says whether the nodes of lost pairs reach each other by their own
// addresses. A pod that reaches a node proves it, and one that does not proves
// nothing, because the answer needs a way back to the pod.
func (f *family) nodePath(pairs []pairKey) snapshot.Tri {
	works, fails := 0, 0
	for _, k := range pairs {
		for _, way := range []pairKey{k, {k.to, k.from}} {
			p := f.pairs[way]
			if p == nil {
				continue
			}
			since := f.pairs[k].since()
			switch {
			case p.node.works(since), p.toNode.works(since):
				works++
			case p.node.tail > 0 && !p.node.lastLost.Before(since):
				fails++
			}
		}
	}
	switch {
	case works > 0 && works >= fails:
		return snapshot.Yes
	case fails >= min(2, len(pairs)):
		return snapshot.No
	}
	return snapshot.Unknown
}

// podsReachNode counts tries of pods to reach the other node's own address.
func (f *family) podsReachNode(pairs []pairKey) (tried, reached int) {
	for _, k := range pairs {
		if p := f.pairs[k]; p.toNode.last != nil && !p.toNode.last.Time.Before(p.since()) {
			tried++
			if p.toNode.tail == 0 {
				reached++
			}
		}
	}
	return tried, reached
}
