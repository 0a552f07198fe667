package source

import (
	"slices"
	"strings"
)

// An artifact of an OCIRepository or a Bucket can be made of a directory of the
// repository, as with flux push artifact --path=./deploy. The paths of
// Kustomizations are then relative to that directory, its base.

// fromArtifact reports whether a Kustomization's source can have a base.
func (k *flux) fromArtifact() bool {
	kind := k.str("sourceRef", "kind")
	return (kind == "OCIRepository" || kind == "Bucket") && k.str("sourceRef", "name") == "flux-system"
}

// locateAll places the Kustomizations whose path is not one of the repository's
// root below their artifact's base, and returns those that it could not place.
// Where one of them shows the base, it holds for all.
func locateAll(t *tree, all []*flux) (here, lost []*flux) {
	for _, k := range all {
		if k.path == "" && k.fromArtifact() {
			k.locateBelow(t, t.base(k.str("path"), k.doc.file))
		}
	}
	base := commonBase(all)
	for _, k := range all {
		if base != "" && k.base == "" && k.fromArtifact() {
			k.locateBelow(t, base)
		}
		if k.path == "" {
			lost = append(lost, k)
		} else {
			here = append(here, k)
		}
	}
	return here, lost
}

// locateBelow takes a base if the Kustomization's path exists there.
func (k *flux) locateBelow(t *tree, base string) {
	if base == "" {
		return
	}
	was := *k
	k.base = base
	if k.locate(t) != nil || k.path == "" {
		*k = was
	}
}

// commonBase is the only base that Kustomizations have, or "".
func commonBase(all []*flux) string {
	var bases []string
	for _, k := range all {
		if k.base != "" && !slices.Contains(bases, k.base) {
			bases = append(bases, k.base)
		}
	}
	if len(bases) != 1 {
		return ""
	}
	return bases[0]
}

// base is the only directory below the root that has a path in it; of several,
// the only one that holds the file too. It is "" when that does not decide.
func (t *tree) base(p, file string) string {
	p, inside := join(".", strings.TrimPrefix(p, "/"))
	if !inside || p == "." {
		return ""
	}
	var found, near []string
	for _, f := range t.yamls {
		dir, _, ok := strings.Cut(f, "/"+p+"/")
		if !ok || slices.Contains(found, dir) {
			continue
		}
		found = append(found, dir)
		if strings.HasPrefix(file, dir+"/") {
			near = append(near, dir)
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(near) == 1:
		return near[0]
	}
	return ""
}

// keep takes over from an earlier state what a Kustomization's file alone does
// not tell.
func (k *flux) keep(t *tree, was, parent *flux) error {
	k.parent, k.live, k.bound, k.base, k.doubt = parent, was.live, was.bound, was.base, was.doubt
	if err := k.locate(t); err != nil {
		return err
	}
	if k.path == "" && k.bound {
		k.path = was.path
	}
	return nil
}

// place gives the Kustomizations whose path their file does not tell, as
// "clusters/CLUSTER", one form for each that applies them or, where none does,
// for each overlay that holds them. Those of which nothing came are returned.
func place(t *tree, ix *index, g *graph, here, synced, lost []*flux) (placed, overlays, left []*flux) {
	var tops []string
	b := newBuilder(t, g, nil)
	for _, k := range lost {
		b.wanted[k.doc.file] = true
	}
	for _, k := range lost {
		var parents []*flux
		for _, p := range slices.Concat(synced, here) {
			if g.applies(p, k.doc.file) {
				parents = append(parents, p)
			}
		}
		if len(parents) == 0 && k.str("sourceRef", "name") == "flux-system" {
			if tops == nil {
				tops = g.tops()
			}
			parents = overlaysOf(g, tops, k.doc.file, &overlays)
		}
		found := k.through(b, ix, parents)
		placed = append(placed, found...)
		if len(found) == 0 {
			left = append(left, k)
		}
	}
	return placed, overlays, left
}

// through is a Kustomization as each of some parents applies it.
func (k *flux) through(b *builder, ix *index, parents []*flux) []*flux {
	var out []*flux
	for _, p := range parents {
		objs, _ := b.childrenOf(ix, p, k.doc.file)
		for _, o := range objs {
			if !o.madeFrom(k.doc.id.name) || o.origin.Path != k.doc.file {
				continue
			}
			e := *k
			e.spec, _ = o.object["spec"].(map[string]any)
			e.parent, e.bound, e.base = p, true, p.base
			if e.locate(b.t) != nil || e.path == "" && e.fromArtifact() {
				e.base = ""
				e.locateBelow(b.t, b.t.base(e.str("path"), firstOf(p.doc.file, p.path+"/")))
			}
			if e.path != "" {
				out = append(out, &e)
			}
		}
	}
	return out
}

// overlaysOf are the overlays that hold a file; each is made once.
func overlaysOf(g *graph, tops []string, file string, made *[]*flux) []*flux {
	var out []*flux
	for _, dir := range tops {
		if !g.set(dir)[file] {
			continue
		}
		i := slices.IndexFunc(*made, func(k *flux) bool { return k.path == dir })
		if i < 0 {
			i = len(*made)
			*made = append(*made, &flux{doc: document{id: objectID{kind: "directory", name: dir}}, spec: map[string]any{}, path: dir})
		}
		out = append(out, (*made)[i])
	}
	return out
}

// tops are the directories with a kustomization file that no other lists.
func (g *graph) tops() []string {
	listed := map[string]bool{}
	dirs := g.kustomized()
	for _, dir := range dirs {
		for _, e := range g.unit(dir).entries {
			if e.dir {
				listed[e.path] = true
			}
		}
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return listed[d] || isArchive(d) || g.kfile(d) == "" })
}
