package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxLineage bounds how deep Kustomizations apply each other, maxVariants
	// by how many ways one is reached.
	maxLineage  = 16
	maxVariants = 16
)

// world is one state of the repository with what Flux applies in it.
type world struct {
	*search
	subjects []subject
	outs     map[*flux]*outcome
	resolved map[*flux][]*Release
}

// outcome is what building one Kustomization gave.
type outcome struct {
	eff       *flux
	raw, objs []built // before and after variables are substituted
	releases  []*Release
	err       error
}

// subject is one Kustomization, as one of its parents applies it.
type subject struct {
	k *flux
	// several: it is applied in other ways besides.
	several bool
}

// key tells a subject from others by what is written, before it is built.
func (s subject) key() string {
	entry := s.k.lineage()[0].doc
	return strings.Join([]string{s.k.String(), entry.file, entry.id.name, s.k.doc.file, s.k.doc.id.namespace, s.k.doc.id.name}, "\x00")
}

// name is that of [Release.Affects].
func (w *world) name(s subject) string {
	name := w.effective(s.k).String()
	if s.several || w.hasNamesake(s.k) {
		return fmt.Sprintf("%s (applied from %s)", name, s.k.lineage()[0].path)
	}
	return name
}

func newWorld(s *search) *world {
	s.b = newBuilder(s.t, s.g, s.all)
	return &world{search: s, outs: map[*flux]*outcome{}, resolved: map[*flux][]*Release{}}
}

// world is the repository as the release was found in it.
func (r *Release) world() *world {
	if r.at.before == nil {
		s := &search{t: r.at.t, ix: r.at.ix, g: r.at.g, all: r.at.all, opts: r.at.opts}
		r.at.before = newWorld(s)
		// The release's own Kustomization and its parents are known already.
		for k, e := r.at.k, r.at.eff; k != nil && e != nil && e != k; k, e = k.parent, e.parent {
			s.b.effs[k] = e
		}
		r.at.before.subjects = subjectsOf(s, r.at.k)
	}
	return r.at.before
}

// subjectsOf lists all that Flux applies, in order of key, and own if it is not one of
// the repository's Kustomizations.
func subjectsOf(s *search, own *flux) []subject {
	all := slices.Concat(s.all, syncRoots(s.t, s.ix))
	var out []subject
	found := own == nil
	w := &ways{search: s, all: all, known: map[*flux][]*flux{}}
	for _, k := range all {
		list := w.of(k)
		for _, way := range list {
			found = found || sameFlux(way, own)
			out = append(out, subject{k: way, several: len(list) > 1})
		}
	}
	if !found {
		out = append(out, subject{k: own})
	}
	slices.SortStableFunc(out, func(a, b subject) int { return strings.Compare(a.key(), b.key()) })
	return out
}

// ways gives each Kustomization once for each way in which it is applied, first
// as it is.
type ways struct {
	*search
	all []*flux
	// known is nil for a Kustomization that is being looked at: where they apply
	// each other in a cycle, one way around is enough.
	known map[*flux][]*flux
}

func (w *ways) of(k *flux) []*flux {
	if known, ok := w.known[k]; ok {
		return known
	}
	w.known[k] = nil
	out := []*flux{k}
	for _, p := range w.all {
		if k.parent == nil || k.bound || p == k || !p.live || !w.g.applies(p, k.doc.file) {
			continue
		}
		for _, way := range w.of(p) {
			if way == k.parent || cyclic(way, k) || len(out) >= maxVariants {
				continue
			}
			next := *k
			next.parent = way
			out = append(out, &next)
		}
	}
	w.known[k] = out
	return out
}

// cyclic reports whether k is among the ancestors of p.
func cyclic(p, k *flux) bool {
	for range maxLineage {
		if p == nil {
			return false
		}
		if p.doc.file == k.doc.file && p.doc.index == k.doc.index {
			return true
		}
		p = p.parent
	}
	return true
}

// effective is a Kustomization as its parents apply it.
func (w *world) effective(k *flux) *flux { return w.b.effective(w.ix, k) }

// wantAll says that every Kustomization will be asked for.
func (w *world) wantAll() {
	for _, k := range w.all {
		w.b.wanted[k.doc.file] = true
	}
}

// outcome builds a Kustomization in full and reads its Cilium releases.
func (w *world) outcome(ctx context.Context, k *flux) *outcome {
	if o, ok := w.outs[k]; ok {
		return o
	}
	o := w.make(ctx, k)
	w.outs[k] = o
	return o
}

func (w *world) make(ctx context.Context, k *flux) *outcome {
	eff := w.effective(k)
	raw, err := w.b.build(eff, nil)
	if err != nil {
		return &outcome{err: err}
	}
	return w.substitute(ctx, k, eff, raw)
}

// substitute finishes what kustomize built.
func (w *world) substitute(ctx context.Context, k, eff *flux, raw []built) *outcome {
	vars := w.b.variablesOf(w.ix, eff)
	out := &outcome{eff: eff, raw: raw}
	for _, o := range raw {
		next := o
		var err error
		if next.object, err = vars.object(o.object); err != nil {
			return &outcome{err: fmt.Errorf("%s: %w", o.id, err)}
		}
		out.objs = append(out.objs, next)
	}
	out.releases, out.err = w.read(ctx, k, eff, vars, raw)
	return out
}

func (o *outcome) release(like *Release) *Release {
	for _, r := range o.releases {
		if r.Namespace == like.Namespace && r.Name == like.Name {
			return r
		}
	}
	return nil
}
