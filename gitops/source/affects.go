package source

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Affects names everything in the repository that reads a file: the Flux
// Kustomizations that build from it or take variables from it, those of other
// clusters included, and helmfiles that name it. Sorted.
func (r *Release) Affects(file string) []string {
	file = path.Clean(file)
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	var out []string
	vars := r.variableSources(file)
	maps.DeleteFunc(vars, func(key string, _ bool) bool { return !r.world().mentionsObject(key) })
	if len(vars) > 0 {
		r.world().wantAll()
	}
	var readers []*flux
	for _, k := range r.at.all {
		if r.reads(k, file) || len(vars) > 0 && (substitutes(k, vars) || substitutes(r.applied(k), vars)) {
			readers = append(readers, k)
		}
	}
	for _, k := range readers {
		out = append(out, r.perCluster(k)...)
	}
	if !r.reads(r.at.eff, file) && slices.ContainsFunc(r.at.parts, func(p part) bool { return p.File == file }) {
		out = append(out, fmt.Sprintf("HelmRelease %s/%s", r.Namespace, r.Name))
	}
	out = append(out, r.helmfiles(file)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// perCluster names a Kustomization, as its parents apply it, once for each entry
// point from which it is applied, when there are several, or when another one
// has its name: the same file then serves several clusters.
func (r *Release) perCluster(k *flux) []string {
	entries := r.entries(k)
	name := r.applied(k).String()
	if len(entries) < 2 && !r.world().hasNamesake(k) || len(entries) == 0 {
		return []string{name}
	}
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s (applied from %s)", name, e))
	}
	return out
}

// hasNamesake reports whether another live Kustomization is applied under the
// same name, as that of another cluster is.
func (w *world) hasNamesake(k *flux) bool {
	return k.live && slices.ContainsFunc(w.all, func(o *flux) bool {
		return o.live && !o.sameAs(k) && o.doc.id.name == k.doc.id.name && w.effective(o).String() == w.effective(k).String()
	})
}

// entries are the paths from which Flux reaches a Kustomization, sorted: those
// of its ancestors that no other one applies.
func (r *Release) entries(k *flux) []string {
	all := append(slices.Clone(r.at.all), syncRoots(r.at.t, r.at.ix)...)
	found := map[string]bool{}
	seen := map[*flux]bool{k: true}
	queue := []*flux{k}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		top := true
		candidates := all
		if at.bound {
			candidates = []*flux{at.parent}
		}
		for _, p := range candidates {
			if p.doubt != "" && p != at.parent {
				continue
			}
			if p == at || p.doc.file == at.doc.file && p.doc.index == at.doc.index || at.doc.node == nil || !p.live || !r.reads(p, at.doc.file) {
				continue
			}
			top = false
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
		if (top || at.parent == nil) && at.live {
			found[at.path] = true
		}
	}
	return sortedKeys(found)
}

// applied is a Kustomization as its parents apply it.
func (r *Release) applied(k *flux) *flux { return r.world().effective(k) }

func (r *Release) reads(k *flux, file string) bool {
	if r.at.g.set(k.path)[file] {
		return true
	}
	return slices.ContainsFunc(k.extra, func(d string) bool { return r.at.g.set(d)[file] })
}

// variableSources are the ConfigMaps and Secrets that stand in a file, or that
// a generator makes of it.
func (r *Release) variableSources(file string) map[string]bool {
	found := map[string]bool{}
	if src, err := r.at.t.read(file); err == nil && slices.Contains(r.at.ix.configs, file) {
		docs, _ := parse(file, src)
		for _, d := range docs {
			if d.id.kind == "ConfigMap" || d.id.kind == "Secret" {
				found[d.id.kind+"/"+d.id.name] = true
			}
		}
	}
	for _, dir := range r.at.g.known() {
		u := r.at.g.unit(dir)
		if u.kfile != file && !slices.Contains(u.reads, file) {
			continue
		}
		for _, field := range []string{"configMapGenerator", "secretGenerator"} {
			for _, gen := range items(child(u.node, field)) {
				if u.kfile == file && child(gen, "literals") != nil || generatedFrom(dir, gen, file) {
					found[map[string]string{"configMapGenerator": "ConfigMap/", "secretGenerator": "Secret/"}[field]+text(child(gen, "name"))] = true
				}
			}
		}
	}
	return found
}

// generatedFrom reports whether a generator reads a file.
func generatedFrom(dir string, gen *yaml.Node, file string) bool {
	names := []string{}
	for _, n := range envFiles(gen) {
		names = append(names, text(n))
	}
	for _, n := range items(child(gen, "files")) {
		_, name := generatorFile(text(n))
		names = append(names, name)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		p, ok := join(dir, name)
		return ok && p == file
	})
}

func substitutes(k *flux, sources map[string]bool) bool {
	post, _ := k.spec["postBuild"].(map[string]any)
	refs, _ := post["substituteFrom"].([]any)
	for _, ref := range refs {
		m, _ := ref.(map[string]any)
		if sources[fmt.Sprintf("%v/%v", m["kind"], m["name"])] {
			return true
		}
	}
	return false
}

// helmfiles lists the helmfiles that name the file among their values.
func (r *Release) helmfiles(file string) []string {
	var out []string
	for _, hf := range r.at.ix.helmfile {
		src, err := r.at.t.read(hf)
		if err != nil {
			continue
		}
		docs, err := parse(hf, src)
		if err != nil {
			if strings.Contains(string(src), file) {
				out = append(out, "helmfile "+hf)
			}
			continue
		}
		for _, d := range docs {
			if names(d.node, path.Dir(hf), file) {
				out = append(out, "helmfile "+hf)
			}
		}
	}
	return out
}

// names reports whether a scalar of the tree is the file's path.
func names(n *yaml.Node, dir, file string) bool {
	if n.Kind == yaml.ScalarNode {
		p, ok := join(dir, n.Value)
		return ok && p == file
	}
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return names(c, dir, file) })
}
