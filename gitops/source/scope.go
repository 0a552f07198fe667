package source

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// manifest is one of the repository, and what applies it.
type manifest struct {
	document
	// owner is the Kustomization that applies it, nil when none was found.
	owner *flux
	// near: what applies it belongs to the same cluster as who asks.
	near bool
}

// object finds a manifest by kind and name in files that mention its kind. What
// the asking Kustomization or its parents apply goes before what others of the
// same entry point apply, and that before the rest of the repository; an archive
// comes last. A namespace that matches is preferred to one left open.
func (b *builder) object(files []string, k *flux, kind, namespace, name string) (manifest, bool) {
	var best manifest
	bestRank := -1
	for _, d := range b.g.objects(files, kind, namespace, name) {
		o := manifest{document: d}
		var rank int
		o.owner, rank = b.nearest(k, d.file)
		o.near = o.owner != nil && rank >= scopeCluster
		rank *= 4
		if !isArchive(d.file) {
			rank += 2
		}
		if d.id.namespace == namespace {
			rank++
		}
		if rank > bestRank {
			best, bestRank = o, rank
		}
	}
	best.file = b.t.real(best.file)
	return best, bestRank >= 0
}

const (
	scopeElsewhere = iota
	scopeOther     // applied by a Kustomization of another entry point
	scopeCluster   // applied by one of the same entry point
	scopeLineage   // applied by the asking one or a parent
)

// nearest is the Kustomization closest to k that applies a file.
func (b *builder) nearest(k *flux, file string) (*flux, int) {
	chain := k.lineage()
	for _, p := range slices.Backward(chain) {
		if b.g.applies(p, file) {
			return p, scopeLineage
		}
	}
	var other *flux
	for _, o := range b.all {
		if !b.g.applies(o, file) {
			continue
		}
		if o.lineage()[0].sameAs(chain[0]) {
			return o, scopeCluster
		}
		if other == nil {
			other = o
		}
	}
	if other != nil {
		return other, scopeOther
	}
	return nil, scopeElsewhere
}

// sameAs compares by what is written: an effective Kustomization is a copy.
func (k *flux) sameAs(o *flux) bool {
	same := k == o || k.doc.file == o.doc.file && k.doc.index == o.doc.index && k.path == o.path
	return same && (!k.bound || !o.bound || k.parent.sameAs(o.parent))
}

// applies reports whether a Kustomization reads a file.
func (g *graph) applies(k *flux, file string) bool {
	if g.set(k.path)[file] {
		return true
	}
	return slices.ContainsFunc(k.extra, func(d string) bool { return g.set(d)[file] })
}

// nearDirs lists the directories of kustomizations, those of k's cluster first.
func (b *builder) nearDirs(k *flux) []string {
	var dirs []string
	add := func(o *flux) {
		for _, u := range b.g.closure(o.path, o.extra...) {
			dirs = append(dirs, u.dir)
		}
	}
	chain := k.lineage()
	for _, p := range slices.Backward(chain) {
		add(p)
	}
	for _, o := range b.all {
		if o.lineage()[0].sameAs(chain[0]) {
			add(o)
		}
	}
	dirs = append(dirs, b.g.known()...)
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(d string) bool {
		was := seen[d]
		seen[d] = true
		return was
	})
}

// objects lists the manifests of a kind and name whose namespace matches or is
// left open, in order of path. It remembers them.
func (g *graph) objects(files []string, kind, namespace, name string) []document {
	key := kind + "/" + namespace + "/" + name
	if docs, ok := g.found[key]; ok {
		return docs
	}
	docs := g.t.objects(files, kind, namespace, name)
	g.found[key] = docs
	return docs
}

func (t *tree) objects(files []string, kind, namespace, name string) []document {
	var out []document
	for _, f := range files {
		src, err := t.read(f)
		if err != nil || !bytes.Contains(src, []byte(name)) || !bytes.Contains(src, []byte(kind)) {
			continue
		}
		docs, err := t.documents(f)
		if err != nil {
			continue
		}
		for _, d := range docs {
			if d.id.kind == kind && d.id.name == name && (namespace == "" || d.id.namespace == "" || d.id.namespace == namespace) {
				out = append(out, d)
			}
		}
	}
	return out
}

// patchedData is what patches of the Kustomization that applies a manifest make
// of its data, with the place of each; nil when there are none.
func (b *builder) patchedData(d manifest) map[string]variable {
	if d.owner == nil || d.id.kind != "ConfigMap" || !b.transforms(d.owner) {
		return nil
	}
	objs := b.alone(d.owner, d.file)
	for _, o := range objs {
		if o.id.kind != d.id.kind || !o.madeFrom(d.id.name) || b.t.real(o.origin.Path) != d.file {
			continue
		}
		out := map[string]variable{}
		data, _ := o.object["data"].(map[string]any)
		for key := range data {
			s, ok := data[key].(string)
			if ok && d.id.kind == "ConfigMap" && text(lookup(d.node, "data", key)) != s {
				out[key] = b.patchedKey(d, o, key, s)
			}
		}
		return out
	}
	return nil
}

// patchedKey is the place of the patch that gives a key of a ConfigMap.
func (b *builder) patchedKey(d manifest, o built, key, value string) variable {
	v := variable{value: value, at: location{file: d.file, doc: d.index, line: d.line}, why: "a patch that could not be traced sets it"}
	for _, p := range b.g.patches(d.owner, d.owner) {
		full, n := p.find(o, []string{"data", key})
		if n != nil && text(n) == value {
			v.at, v.why = p.location(full, n), ""
		}
	}
	return v
}

// transforms reports whether a build can change the data of a manifest.
func (b *builder) transforms(k *flux) bool {
	if len(anyList(k.spec["patches"])) > 0 {
		return true
	}
	return slices.ContainsFunc(b.g.closure(k.path, k.extra...), func(u *unit) bool {
		return slices.ContainsFunc([]string{"patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "transformers"}, func(f string) bool {
			return child(u.node, f) != nil
		})
	})
}

// mergeSources are the mappings that a merge key takes in, in its order.
func mergeSources(n *yaml.Node) []*yaml.Node {
	if t := target(n); t != nil && t.Kind == yaml.SequenceNode {
		return t.Content
	}
	return []*yaml.Node{n}
}

// usesVariable reports whether a text holds a variable.
func usesVariable(src []byte, name string) bool {
	for rest := string(src); ; {
		at := strings.Index(rest, "${"+name)
		if at < 0 {
			return false
		}
		rest = rest[at+2+len(name):]
		if rest == "" || !isNameByte(rest[0]) {
			return true
		}
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
