package source

import "fmt"

// effective is a Kustomization as its parents apply it: with their patches,
// namespaces and variables. Without a parent, or when a parent does not build,
// it is what its file says. It remembers its answers.
func (b *builder) effective(ix *index, k *flux) *flux {
	if e, ok := b.effs[k]; ok {
		return e
	}
	b.effs[k] = k // what applies itself in a cycle is taken as its file says
	if k.parent == nil || k.doc.node == nil {
		return k
	}
	parent := b.effective(ix, k.parent)
	objs, err := b.childrenOf(ix, parent, k.doc.file)
	if err != nil {
		b.note(k, fmt.Sprintf("%v; %s is taken as its file says", err, k))
		return k
	}
	for _, o := range objs {
		if !o.madeFrom(k.doc.id.name) || o.origin.Path != k.doc.file || o.id.group() != k.doc.id.group() {
			continue
		}
		e := *k
		e.spec, _ = o.object["spec"].(map[string]any)
		e.doc.id.name, e.doc.id.namespace = o.id.name, o.id.namespace
		e.parent = parent
		if e.locate(b.t) == nil && e.path != "" {
			b.effs[k] = &e
			break
		}
	}
	return b.effs[k]
}

// notesOn says what was left out of building a Kustomization and its parents.
func (b *builder) notesOn(k, eff *flux) []string {
	var out []string
	for _, p := range append(eff.lineage(), k) {
		out = append(out, b.notes[p]...)
	}
	return out
}

// manyChildren is how many Kustomizations of one parent are built one by one; it
// pays to build all of them when more are asked for.
const manyChildren = 4

// children are the Kustomizations that a parent applies, as far as they were
// asked for.
type children struct {
	byFile map[string]*sibling
	asked  int
}

// sibling is what one build of a parent gave for some files.
type sibling struct {
	objs []built
	err  error
}

// childrenOf are the Kustomizations in a file as a parent applies them, and
// maybe others.
func (b *builder) childrenOf(ix *index, parent *flux, file string) ([]built, error) {
	c := b.applied[parent]
	if c == nil {
		c = &children{byFile: map[string]*sibling{}}
		b.applied[parent] = c
	}
	if s := c.byFile[file]; s != nil {
		return s.objs, s.err
	}
	c.asked++
	files := map[string]bool{file: true}
	for f := range b.alike(file, c.asked) {
		if b.g.applies(parent, f) {
			files[f] = true
		}
	}
	s := b.buildChildren(ix, parent, func(f string) bool { return files[f] })
	for f := range files {
		c.byFile[f] = s
	}
	return s.objs, s.err
}

// alike are the files that are worth building together with one.
func (b *builder) alike(file string, asked int) map[string]bool {
	switch {
	case b.wanted[file]:
		return b.wanted
	case asked < manyChildren:
		return nil
	}
	all := map[string]bool{}
	for _, o := range b.all {
		all[o.doc.file] = true
	}
	return all
}

// buildChildren builds the Kustomizations of some files, variables substituted.
func (b *builder) buildChildren(ix *index, parent *flux, keep func(file string) bool) *sibling {
	objs, err := b.build(parent, keep)
	if err != nil {
		return &sibling{err: err}
	}
	vars := b.variablesOf(ix, parent)
	s := &sibling{}
	for _, o := range objs {
		if o.id.kind != "Kustomization" {
			continue
		}
		if o.object, err = vars.object(o.object); err == nil {
			s.objs = append(s.objs, o)
		}
	}
	return s
}

type singleKey struct {
	k    *flux
	file string
}

// alone is what a Kustomization applies of one file, before substitution; none
// when it does not build.
func (b *builder) alone(k *flux, file string) []built {
	at := singleKey{k, file}
	objs, ok := b.single[at]
	if !ok {
		objs, _ = b.build(k, func(f string) bool { return b.t.real(f) == file })
		b.single[at] = objs
	}
	return objs
}
