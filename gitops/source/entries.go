package source

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// applying is which Flux Kustomization applies which.
type applying struct {
	g   *graph
	all []*flux
	// given are the Kustomizations that a directory applies, once asked for, and
	// bound those that one applies alone.
	given   map[string][]*flux
	bound   []*flux
	reached map[*flux]bool
	// doubtful: those whose source may be another repository count too.
	doubtful bool
}

func newApplying(g *graph, all []*flux) *applying {
	a := &applying{g: g, all: all, given: map[string][]*flux{}, reached: map[*flux]bool{}}
	for _, k := range all {
		if k.bound {
			a.bound = append(a.bound, k)
		}
	}
	return a
}

// settle finds which Kustomizations are live, and what applies each. Those of
// which it is not known whether they apply this repository at all are asked
// last: they get what nothing else applies.
func settle(g *graph, all, synced []*flux) {
	a := newApplying(g, all)
	a.adopt(synced, true)
	a.round(len(synced) > 0)
	if !slices.ContainsFunc(all, func(k *flux) bool { return k.doubt != "" }) {
		return
	}
	a.doubtful = true
	for _, k := range all {
		if a.reached[k] && k.doubt != "" {
			a.adopt([]*flux{k}, k.live)
		}
	}
	a.round(slices.ContainsFunc(all, func(k *flux) bool { return k.live }))
}

// maxCompared bounds how many Kustomizations are compared each with each.
const maxCompared = 200

// round adopts from the entry points of what was not reached yet. Those that
// hold themselves are entry points for sure. One that does not is applied by
// hand or from elsewhere; where there are others, which reach more, it may be
// left over, and is not live.
func (a *applying) round(entered bool) {
	sure, likely := a.entries()
	live := !entered && !slices.ContainsFunc(sure, (*flux).bootstraps)
	if live && len(sure) > 0 {
		held := len(a.reach(sure...))
		live = slices.ContainsFunc(likely[:min(len(likely), maxCompared)], func(k *flux) bool { return len(a.reach(k)) > held })
	}
	if live {
		a.adopt(likely, true)
	}
	a.adopt(sure, true)
	a.adopt(likely, live)
}

// gives lists what a Kustomization applies, itself too if its directory holds
// it.
func (a *applying) gives(p *flux) []*flux {
	if p.doubt != "" && !a.doubtful {
		return nil
	}
	key := p.path + "\x00" + strings.Join(p.extra, "\x00")
	list, ok := a.given[key]
	if !ok {
		for _, k := range a.all {
			if !k.bound && a.g.applies(p, k.doc.file) {
				list = append(list, k)
			}
		}
		a.given[key] = list
	}
	for _, k := range a.bound {
		if k.parent.sameAs(p) {
			list = append(slices.Clip(list), k)
		}
	}
	return list
}

// adopt marks everything that the roots reach and notes its parent.
func (a *applying) adopt(roots []*flux, live bool) {
	var queue []*flux
	for _, r := range roots {
		if !a.reached[r] {
			a.reached[r], r.live = true, live
		}
		queue = append(queue, r)
	}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for _, k := range a.gives(parent) {
			if a.reached[k] {
				continue
			}
			a.reached[k] = true
			k.live, k.parent = parent.live, parent
			queue = append(queue, k)
		}
	}
}

// reach is what some Kustomizations apply, and what that applies, as far as it
// was not reached before. The Kustomizations are among it.
func (a *applying) reach(from ...*flux) map[*flux]bool {
	seen := map[*flux]bool{}
	queue := slices.Clone(from)
	for len(queue) > 0 {
		k := queue[0]
		queue = queue[1:]
		if seen[k] || a.reached[k] {
			continue
		}
		seen[k] = true
		queue = append(queue, a.gives(k)...)
	}
	return seen
}

// entries are the entry points of what was not reached yet: those for sure,
// which hold themselves or stand in a cycle, and those that nothing applies. One
// that lies elsewhere and applies the directory of one that holds itself is a
// copy of it.
func (a *applying) entries() (sure, likely []*flux) {
	applied, entered := map[*flux]bool{}, map[string]bool{}
	for _, p := range a.all {
		for _, k := range a.gives(p) {
			entered[p.path] = entered[p.path] || p == k
			applied[k] = applied[k] || p.path != k.path
		}
	}
	var first []*flux
	for _, k := range a.all {
		holds := slices.Contains(a.gives(k), k)
		switch {
		case a.reached[k] || k.bound || isArchive(k.doc.file) || isArchive(k.path):
			continue
		case !a.doubtful && a.waits(k):
			continue
		case holds && (!applied[k] || k.bootstraps()):
			sure = append(sure, k)
		case !applied[k] && !entered[k.path]:
			likely = append(likely, k)
		default:
			continue
		}
		first = append(first, k)
	}
	return append(sure, a.cycles(a.reach(first...))...), likely
}

// waits reports whether one of which it is in doubt whether it applies this
// repository may apply k.
func (a *applying) waits(k *flux) bool {
	return !k.bootstraps() && slices.ContainsFunc(a.all, func(p *flux) bool {
		return p != k && p.doubt != "" && a.g.applies(p, k.doc.file)
	})
}

// cycles gives one entry point for each circle of Kustomizations that apply each
// other and that nothing outside applies.
func (a *applying) cycles(outside map[*flux]bool) []*flux {
	var rest []*flux
	for _, k := range a.all {
		if !outside[k] && !a.reached[k] && !k.bound && (a.doubtful || !a.waits(k)) && !isArchive(k.doc.file) && !isArchive(k.path) {
			rest = append(rest, k)
		}
	}
	slices.SortStableFunc(rest, byEntry)
	if len(rest) > maxCompared {
		return a.greedy(rest)
	}
	reach := map[*flux]map[*flux]bool{}
	for _, k := range rest {
		reach[k] = a.reach(a.gives(k)...)
	}
	var out []*flux
	for _, k := range rest {
		above := slices.ContainsFunc(rest, func(o *flux) bool { return reach[o][k] && !reach[k][o] })
		again := slices.ContainsFunc(out, func(o *flux) bool { return reach[o][k] })
		if reach[k][k] && !above && !again {
			out = append(out, k)
		}
	}
	return out
}

// greedy takes one Kustomization after the other of which none before it reaches
// this one.
func (a *applying) greedy(rest []*flux) []*flux {
	var out []*flux
	covered := map[*flux]bool{}
	for _, k := range rest {
		if covered[k] {
			continue
		}
		out = append(out, k)
		for queue := []*flux{k}; len(queue) > 0; queue = queue[1:] {
			if !covered[queue[0]] {
				covered[queue[0]] = true
				queue = append(queue, a.gives(queue[0])...)
			}
		}
	}
	return out
}

// bootstraps reports whether a Kustomization is the one that Flux's bootstrap
// writes.
func (k *flux) bootstraps() bool {
	return k.doc.id.name == "flux-system" || path.Base(k.doc.file) == "gotk-sync.yaml"
}

// byEntry orders by how likely a Kustomization is the entry point of a circle.
func byEntry(a, b *flux) int {
	rank := func(k *flux) int {
		switch {
		case k.bootstraps():
			return -1
		case k.doubt != "":
			return 1000
		}
		return strings.Count(k.path, "/")
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.path, b.path), strings.Compare(a.doc.file, b.doc.file), cmp.Compare(a.doc.index, b.doc.index))
}
