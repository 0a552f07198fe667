package source

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// flux is one Flux Kustomization: what applies a directory. The pseudo
// Kustomization of a FluxInstance, or of a tree without any, has no document.
type flux struct {
	doc    document
	path   string // relative to the root, "." for the root
	spec   map[string]any
	parent *flux
	live   bool
	extra  []string // directories of spec.components
	// base is the directory of the repository to which spec.path is relative, "" for the root.
	base string
	// bound: only parent applies it, in this form.
	bound bool
	// doubt says why its source may be another repository; usually empty.
	doubt string
	// only restricts a tree without Flux Kustomizations to one file.
	only string
}

func (k *flux) String() string {
	if k.doc.node == nil {
		return k.doc.id.kind + " " + k.path
	}
	return k.doc.id.kind + " " + k.namespace() + "/" + k.doc.id.name
}

func (k *flux) namespace() string {
	if k.doc.id.namespace == "" {
		return "flux-system"
	}
	return k.doc.id.namespace
}

// describe is the form for people: what, where it stands, what it applies.
func (k *flux) describe() string {
	if k.doc.file == "" {
		return fmt.Sprintf("%s (spec.path %s)", k, k.path)
	}
	return fmt.Sprintf("%s (%s:%d, spec.path %s)", k, k.doc.file, k.doc.line, k.path)
}

func (k *flux) str(fields ...string) string {
	var v any = k.spec
	for _, f := range fields {
		m, _ := v.(map[string]any)
		v = m[f]
	}
	s, _ := v.(string)
	return s
}

// newFlux reads a Flux Kustomization. It returns nil when the path is not one
// of this repository.
func newFlux(t *tree, d document) (*flux, error) {
	k := &flux{doc: d, spec: map[string]any{}}
	if err := decode(child(d.node, "spec"), &k.spec); err != nil {
		return nil, atLine(d.file, err)
	}
	return k, k.locate(t)
}

// locate derives path and extra from spec; an unusable path leaves path empty.
func (k *flux) locate(t *tree) error {
	k.path, k.extra = "", nil
	p, inside := join(firstOf(k.base, "."), strings.TrimPrefix(k.str("path"), "/"))
	if !inside {
		return fmt.Errorf("%s:%d: spec.path %q %w", k.doc.file, k.doc.line, k.str("path"), ErrOutside)
	}
	if p == "." && !k.ours() || !t.isDir(p) {
		return nil
	}
	k.path = p
	comps, _ := k.spec["components"].([]any)
	for _, c := range comps {
		s, _ := c.(string)
		if d, ok := join(p, s); ok && t.isDir(d) {
			k.extra = append(k.extra, d)
		}
	}
	return nil
}

// ours tells this repository from others for a path that every repository has.
func (k *flux) ours() bool {
	kind, name := k.str("sourceRef", "kind"), k.str("sourceRef", "name")
	return (kind == "GitRepository" || kind == "OCIRepository") && name == "flux-system"
}

// fluxes reads all Flux Kustomizations and finds which are live.
func fluxes(t *tree, ix *index, g *graph) []*flux {
	var all []*flux
	for _, d := range ix.fluxes {
		k, err := newFlux(t, d)
		if err != nil {
			ix.broken[d.file] = err
			continue
		}
		all = append(all, k)
	}
	synced := syncRoots(t, ix)
	all, lost := locateAll(t, all)
	all = dropCircular(ix, g, dropForeign(t, ix, g, all))
	placed, overlays, left := place(t, ix, g, all, synced, lost)
	all = append(all, placed...)
	for _, k := range left {
		ix.foreign = append(ix.foreign, k.notHere(ix, g))
	}
	settle(g, all, append(synced, overlays...))
	return all
}

// syncRoots are the paths that FluxInstances synchronise.
func syncRoots(t *tree, ix *index) []*flux {
	var roots []*flux
	for _, d := range ix.syncs {
		sync := lookup(d.node, "spec", "sync")
		p, ok := join(".", text(child(sync, "path")))
		base := ""
		if ok && sync != nil && !t.isDir(p) && text(child(sync, "kind")) != "GitRepository" {
			if base = t.base(p, d.file); base != "" {
				p, ok = join(base, p)
			}
		}
		if ok && sync != nil && t.isDir(p) {
			roots = append(roots, &flux{doc: d, path: p, base: base, spec: map[string]any{}, live: true})
		}
	}
	return roots
}

// isArchive reports whether a path says of itself that it is not in use.
func isArchive(p string) bool {
	for _, seg := range strings.Split(p, "/") {
		switch strings.Trim(strings.ToLower(seg), "._-") {
		case "archive", "archived", "archives", "old", "deprecated", "disabled", "unused", "backup", "attic", "legacy", "examples", "example", "templates", "rendered", "manifests-rendered":
			return true
		}
	}
	return false
}

// lineage is the chain of Kustomizations from the entry point to k.
func (k *flux) lineage() []*flux {
	var chain []*flux
	for p := k; p != nil && len(chain) < 16; p = p.parent {
		chain = append(chain, p)
	}
	slices.Reverse(chain)
	return chain
}

// standIn makes a Kustomization for a release that none applies: the highest
// kustomization that includes the file, else the file alone.
func standIn(g *graph, file string) *flux {
	k := &flux{doc: document{id: objectID{kind: "directory"}}, spec: map[string]any{}, path: path.Dir(file), only: file}
	for d := path.Dir(file); ; d = path.Dir(d) {
		if g.kfile(d) != "" && g.set(d)[file] {
			k.path, k.only = d, ""
		}
		if d == "." {
			return k
		}
	}
}
