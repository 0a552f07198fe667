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
	effs     map[*flux]*flux
	applied  map[*flux][]built
	asked    map[*flux]int
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
	name string
	k    *flux
}

func (s subject) key() string {
	return strings.Join([]string{s.name, s.k.doc.file, s.k.doc.id.namespace, s.k.doc.id.name}, "\x00")
}

func newWorld(s *search) *world {
	s.b = &builder{t: s.t, g: s.g, notes: map[string][]string{}, all: s.all}
	return &world{search: s, outs: map[*flux]*outcome{}, effs: map[*flux]*flux{}, applied: map[*flux][]built{}, asked: map[*flux]int{}, resolved: map[*flux][]*Release{}}
}

// world is the repository as the release was found in it.
func (r *Release) world() *world {
	if r.at.before == nil {
		s := &search{t: r.at.t, ix: r.at.ix, g: r.at.g, all: r.at.all, opts: r.at.opts}
		r.at.before = newWorld(s)
		r.at.before.subjects = subjectsOf(s, r.at.k)
	}
	return r.at.before
}

// subjectsOf lists all that Flux applies, by name, and own if it is not one of
// the repository's Kustomizations.
func subjectsOf(s *search, own *flux) []subject {
	all := slices.Concat(s.all, syncRoots(s.t, s.ix))
	var out []subject
	found := own == nil
	w := &ways{search: s, all: all, known: map[*flux][]*flux{}}
	for _, k := range all {
		list := w.of(k)
		for _, way := range list {
			name := k.String()
			if len(list) > 1 || k.live && k.hasNamesake(s.all) {
				name = fmt.Sprintf("%s (applied from %s)", k, way.lineage()[0].path)
			}
			found = found || sameFlux(way, own)
			out = append(out, subject{name: name, k: way})
		}
	}
	if !found {
		out = append(out, subject{name: own.String(), k: own})
	}
	slices.SortStableFunc(out, func(a, b subject) int { return strings.Compare(a.name, b.name) })
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
		if k.parent == nil || p == k || !p.live || !w.g.applies(p, k.doc.file) {
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

// effective is a Kustomization as its parents apply it; each parent is built
// once, with all the Kustomizations that it applies.
func (w *world) effective(k *flux) *flux {
	if e, ok := w.effs[k]; ok {
		return e
	}
	w.effs[k] = k
	if k.parent == nil || k.doc.node == nil {
		return k
	}
	parent := w.effective(k.parent)
	objs := w.applies(parent, k.doc.file)
	for _, o := range objs {
		if !o.madeFrom(k.doc.id.name) || o.origin.Path != k.doc.file || o.id.group() != k.doc.id.group() {
			continue
		}
		e := *k
		e.spec, _ = o.object["spec"].(map[string]any)
		e.doc.id.name, e.doc.id.namespace = o.id.name, o.id.namespace
		e.parent = parent
		if e.locate(w.t) == nil && e.path != "" {
			w.effs[k] = &e
			break
		}
	}
	return w.effs[k]
}

// manyChildren is how many children of one parent are built one by one; it pays
// to build all of them when more are asked for.
const manyChildren = 4

// applies are the Kustomizations in a file as a parent applies them, and maybe
// others.
func (w *world) applies(parent *flux, file string) []built {
	if objs, ok := w.applied[parent]; ok {
		return objs
	}
	if w.asked[parent]++; w.asked[parent] < manyChildren {
		return w.children(parent, func(f string) bool { return f == file })
	}
	files := map[string]bool{}
	for _, o := range w.all {
		files[o.doc.file] = true
	}
	w.applied[parent] = w.children(parent, func(f string) bool { return files[f] })
	return w.applied[parent]
}

// children are the Kustomizations that a parent applies, variables substituted.
// A parent that does not build leaves its children as their files say.
func (w *world) children(parent *flux, keep func(file string) bool) []built {
	objs, err := w.b.build(parent, keep)
	if err != nil {
		return nil
	}
	vars := w.b.variablesOf(w.ix, parent)
	var out []built
	for _, o := range objs {
		if o.id.kind != "Kustomization" {
			continue
		}
		if o.object, err = vars.object(o.object); err == nil {
			out = append(out, o)
		}
	}
	return out
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
