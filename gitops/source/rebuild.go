package source

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rebuild returns the merged values as they would be if the given files of the
// repository had the given contents; nil content stands for a file that does
// not exist. When only files that hold values as a whole change, nothing is
// built again. The Release itself does not change. It is safe for concurrent
// use.
func (r *Release) Rebuild(files map[string][]byte) (map[string]any, error) {
	clean := make(map[string][]byte, len(files))
	for f, b := range files {
		clean[path.Clean(f)] = b
	}
	if parts, ok, err := r.swap(clean); ok || err != nil {
		if err != nil {
			return nil, err
		}
		own := map[string]any{}
		if err := convert(r.ownValues(), &own); err != nil {
			return nil, err
		}
		return merge(context.Background(), r.Namespace, r.Name, own, parts)
	}
	next, err := r.again(clean)
	if err != nil {
		return nil, err
	}
	return next.Values, nil
}

func (r *Release) ownValues() map[string]any {
	for _, p := range r.at.parts {
		if p.Kind == "HelmRelease" {
			return p.Values
		}
	}
	return map[string]any{}
}

// swap replaces the texts of whole-file sources. ok is false when a changed
// file plays another part in the build.
func (r *Release) swap(files map[string][]byte) (parts []part, ok bool, err error) {
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	parts = slices.Clone(r.at.parts)
	for f, content := range files {
		whole := false
		for i := range parts {
			p := &parts[i]
			if p.File != f || p.YAMLPath != nil || p.env != "" || !p.found || p.Kind == "HelmRelease" || !p.Writable {
				continue
			}
			if content == nil {
				return nil, false, nil
			}
			whole = true
			p.raw = string(content)
			if p.data, err = r.varsOf(i).text(p.raw); err != nil {
				return nil, false, fmt.Errorf("%s: %w", f, err)
			}
			if err := p.read(); err != nil {
				return nil, false, err
			}
		}
		if !whole && r.uses(f, content) {
			return nil, false, nil
		}
	}
	return parts, true, nil
}

// uses reports whether a file can matter to the build at all.
func (r *Release) uses(f string, content []byte) bool {
	for _, k := range r.at.eff.lineage() {
		if k.doc.file == f || r.at.g.set(k.path)[f] {
			return true
		}
		for _, d := range k.extra {
			if r.at.g.set(d)[f] {
				return true
			}
		}
	}
	for _, p := range r.at.parts {
		if p.File == f {
			return true
		}
	}
	if slices.Contains(r.at.vars.files, f) || strings.HasPrefix(r.Chart.Source, f+":") {
		return true
	}
	// A new file can hold an object that was missing, or be picked up by a
	// directory that lists everything below it.
	return !r.at.t.isFile(f) && content != nil && isYAMLName(f) && (bytes.Contains(content, []byte("kind:")) || slices.Contains(kustomizationNames, path.Base(f)))
}

// again resolves the release in the tree as changed.
func (r *Release) again(files map[string][]byte) (*Release, error) {
	t := r.at.t.with(files)
	ix := r.at.ix.with(t, files)
	r.at.mu.Lock()
	g := r.at.g.with(t, files)
	r.at.mu.Unlock()
	s := &search{t: t, ix: ix, g: g, all: r.at.all, opts: r.at.opts, b: newBuilder(t, g, r.at.all)}
	k, err := s.refresh(r.at.k)
	if err != nil {
		return nil, err
	}
	if k.path == "" {
		return nil, fmt.Errorf("%s no longer applies a directory of the repository", k)
	}
	rs, err := s.resolveAll(context.Background(), k)
	if err != nil {
		return nil, err
	}
	for _, n := range rs {
		if n.Namespace == r.Namespace && n.Name == r.Name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%w: %s/%s is not applied by %s with these files", ErrNoRelease, r.Namespace, r.Name, k)
}

// refresh reads a Kustomization and its parents from the changed tree.
func (s *search) refresh(k *flux) (*flux, error) {
	if k == nil {
		return nil, nil
	}
	next := *k
	parent, err := s.refresh(k.parent)
	if err != nil {
		return nil, err
	}
	next.parent = parent
	if k.doc.id.kind != "Kustomization" {
		return &next, nil
	}
	src, err := s.t.read(k.doc.file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	docs, err := parse(k.doc.file, src)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if d.id.kind == "Kustomization" && d.id.name == k.doc.id.name {
			fresh, err := newFlux(s.t, d)
			if err != nil {
				return nil, err
			}
			return fresh, fresh.keep(s.t, k, parent)
		}
	}
	return nil, fmt.Errorf("%s is no longer in %s", k, k.doc.file)
}
