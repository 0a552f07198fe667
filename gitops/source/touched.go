package source

import (
	"bytes"
	"context"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// touched reports whether an input of the Kustomization changes.
func (v *verifier) touched(p *twin) bool {
	if t, ok := v.touches[p.before]; ok {
		return t
	}
	v.r.at.mu.Lock()
	defer v.r.at.mu.Unlock()
	return v.isTouched(p.before, p.after)
}

func (v *verifier) isTouched(b, a *flux) bool {
	if t, ok := v.touches[b]; ok {
		return t
	}
	v.touches[b] = true // what applies itself has this as its own input
	v.rebuilt[b] = v.filesTouch(b, a) || v.specTouched(b, a)
	v.touches[b] = v.rebuilt[b] || v.variablesTouch(b, a)
	return v.touches[b]
}

func (v *verifier) filesTouch(b, a *flux) bool {
	for _, side := range []struct {
		g *graph
		k *flux
	}{{v.before.g, b}, {v.after.g, a}} {
		for _, dir := range append([]string{side.k.path}, side.k.extra...) {
			if touches(side.g.set(dir), v.changed) {
				return true
			}
		}
	}
	return false
}

// specTouched compares what the parents make of the Kustomization.
func (v *verifier) specTouched(b, a *flux) bool {
	_, own := v.changed[b.doc.file]
	switch {
	case b == a && b.parent == nil && !own:
		return false
	case b.parent != nil && a.parent != nil && !own && !v.isTouched(b.parent, a.parent):
		return false
	}
	eb, ea := v.effective(b, a)
	return eb.path != ea.path || !reflect.DeepEqual(throughJSON(eb.spec), throughJSON(ea.spec))
}

// effective is a Kustomization in both states. Where neither its own manifest
// nor a parent's input changes, it is the same.
func (v *verifier) effective(b, a *flux) (eb, ea *flux) {
	eb = v.before.effective(b)
	_, own := v.changed[b.doc.file]
	if a == b && !own && (b.parent == nil || !v.isTouched(b.parent, a.parent)) {
		v.after.b.effs[a] = eb
	}
	return eb, v.after.effective(a)
}

// variablesTouch reports whether a variable changes whose name can occur in
// what is built.
func (v *verifier) variablesTouch(b, a *flux) bool {
	if len(v.variables) == 0 {
		return false
	}
	eb, ea := v.effective(b, a)
	if !substitutes(eb, v.variables) && !substitutes(ea, v.variables) {
		return false
	}
	x, y := v.before.b.variablesOf(v.before.ix, eb), v.after.b.variablesOf(v.after.ix, ea)
	if !slices.Equal(x.opaque, y.opaque) {
		return true
	}
	names := changedVariables(x, y)
	return len(names) > 0 && v.after.mayUse(ea, names)
}

func changedVariables(x, y *variables) [][]byte {
	var names [][]byte
	for _, name := range sortedKeys(x.byName) {
		if other, ok := y.byName[name]; !ok || other.value != x.byName[name].value {
			names = append(names, []byte(name))
		}
	}
	for _, name := range sortedKeys(y.byName) {
		if _, ok := x.byName[name]; !ok {
			names = append(names, []byte(name))
		}
	}
	return names
}

// escapes are YAML's ways to write a letter so that it cannot be searched for.
var escapes = regexp.MustCompile(`\\[xuU\r\n]`)

// mayUse reports whether one of the names can occur in what k applies.
func (w *world) mayUse(k *flux, names [][]byte) bool {
	holds := func(src []byte) bool {
		return escapes.Match(src) || slices.ContainsFunc(names, func(n []byte) bool { return bytes.Contains(src, n) })
	}
	if holds([]byte(asYAML(k.spec))) {
		return true
	}
	for _, dir := range append([]string{k.path}, k.extra...) {
		for _, f := range sortedKeys(w.g.set(dir)) {
			if src, err := w.t.read(f); err == nil && holds(src) {
				return true
			}
		}
	}
	return false
}

// dataObjects are the ConfigMaps and Secrets, as KIND/NAME, that stand in the
// changed files or are generated from them.
func dataObjects(before, after *search, changed map[string][]byte) map[string]bool {
	found := map[string]bool{}
	for _, s := range []*search{before, after} {
		for f := range changed {
			s.dataObjects(f, found)
		}
	}
	return found
}

// variableObjects are those from which something can substitute.
func variableObjects(before, after *search, objects map[string]bool) map[string]bool {
	found := map[string]bool{}
	for key := range objects {
		if before.mentionsObject(key) || after.mentionsObject(key) {
			found[key] = true
		}
	}
	return found
}

func (s *search) mentionsObject(key string) bool {
	_, name, _ := strings.Cut(key, "/")
	return s.mentions(name)
}

// mentions reports whether a file that mentions substituteFrom, or a patch that
// is not named as YAML, holds a name or a variable in its place.
func (s *search) mentions(name string) bool {
	holds := func(f string) bool {
		src, err := s.t.read(f)
		return err == nil && (bytes.Contains(src, []byte(name)) || substitutedName.Match(src) || escapes.Match(src))
	}
	if slices.ContainsFunc(s.ix.froms, holds) {
		return true
	}
	return slices.ContainsFunc(s.g.known(), func(dir string) bool {
		return slices.ContainsFunc(s.g.unit(dir).reads, func(f string) bool {
			src, err := s.t.read(f)
			return !isYAMLName(f) && err == nil && bytes.Contains(src, []byte("substituteFrom")) && holds(f)
		})
	})
}

var substitutedName = regexp.MustCompile(`name["']?\s*:[^\n]*\$\{`)

func (s *search) dataObjects(file string, found map[string]bool) {
	if slices.Contains(s.ix.configs, file) {
		docs, _ := s.t.documents(file)
		for _, d := range docs {
			if d.id.kind == "ConfigMap" || d.id.kind == "Secret" {
				found[d.id.kind+"/"+d.id.name] = true
			}
		}
	}
	for _, dir := range s.g.known() {
		u := s.g.unit(dir)
		if u.kfile != file && !slices.Contains(u.reads, file) {
			continue
		}
		for field, kind := range map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"} {
			for _, gen := range items(child(u.node, field)) {
				found[kind+"/"+text(child(gen, "name"))] = true
			}
		}
	}
}

// feeds reports whether a Cilium release that a Kustomization applies takes
// values from a changed file which another Kustomization applies.
func (v *verifier) feeds(ctx context.Context, p *twin) bool {
	v.r.at.mu.Lock()
	defer v.r.at.mu.Unlock()
	if len(v.objects) == 0 || !v.before.holdsRelease(p.before) {
		return false
	}
	rs, ok := v.before.resolved[p.before]
	if !ok {
		rs, _ = v.before.resolveAll(ctx, p.before)
		v.before.resolved[p.before] = rs
	}
	for _, r := range rs {
		for _, part := range r.at.parts {
			_, changed := v.changed[part.File]
			if changed || v.objects[part.Kind+"/"+part.Name] {
				return true
			}
		}
	}
	return false
}

func (w *world) holdsRelease(k *flux) bool {
	for f := range w.suspects().docs {
		if w.g.applies(k, f) {
			return true
		}
	}
	return false
}
