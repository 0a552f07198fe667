package source

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// home is a source that can take a new key.
type home struct {
	at     Place // without Path
	values map[string]any
	shared bool
}

// placeNew chooses the home of a key that no source sets.
func (r *Release) placeNew(p Place, segs []string) Place {
	r.at.mu.Lock()
	homes := r.homes(segs)
	r.at.mu.Unlock()
	best, score := -1, -1
	for i, h := range homes {
		if s := h.fit(segs); s >= score {
			best, score = i, s
		}
	}
	if best < 0 {
		for _, part := range r.at.parts {
			if part.Why != "" {
				return p.refuse(part.Why)
			}
		}
		return p.refuse("no source of the values is in the repository")
	}
	to := homes[best].at
	to.Path = p.Path
	to.Chain = append([]string{fmt.Sprintf("no source sets it; %s takes it", to.File)}, r.Where(p.Path).Chain...)
	return to
}

// homes lists the writable sources in merge order, the patches of spec.values
// after spec.values itself.
func (r *Release) homes(segs []string) []home {
	var out []home
	for _, part := range r.at.parts {
		if !part.found || !part.Writable || part.TargetPath != "" {
			continue
		}
		h := home{at: Place{File: part.File, Document: part.Document, YAMLPath: segs}, values: part.Values, shared: r.shared(part.File)}
		switch {
		case part.Kind == "HelmRelease":
			h.at.YAMLPath = append(slices.Clone(part.YAMLPath), segs...)
			if part.patched {
				h.values = map[string]any{}
				_ = decode(lookup(r.at.doc.node, "spec", "values"), &h.values)
			}
		case part.Block:
			h.at.Block = part.YAMLPath
		}
		out = append(out, h)
		if part.Kind == "HelmRelease" && part.patched {
			out = append(out, r.patchHomes(segs)...)
		}
	}
	return out
}

// patchHomes are the patches that set spec.values of this HelmRelease, as far as
// their form takes another key: strategic merge patches, which name or select
// this one object.
func (r *Release) patchHomes(segs []string) []home {
	var out []home
	for _, c := range r.at.g.patches(r.at.k, r.at.eff) {
		values := lookup(c.node, "spec", "values")
		if c.node.Kind != yaml.MappingNode || !c.fits(r.at.release) || r.at.t.notOurs(c.at.file) != "" || isRemotePath(c.at.file) {
			continue
		}
		h := home{at: Place{File: c.at.file, Document: c.at.doc, YAMLPath: append([]string{"spec", "values"}, segs...)}, shared: r.shared(c.at.file)}
		if c.block {
			h.at.Block = c.at.path
		}
		if decode(values, &h.values) == nil && len(h.values) > 0 && c.selects(r) {
			out = append(out, h)
		}
	}
	return out
}

// selects reports whether a patch is meant for the release alone: it names it,
// in itself or in its target.
func (p patch) selects(r *Release) bool {
	if p.target != nil {
		return matches(text(child(p.target, "kind")), "HelmRelease") && r.at.release.madeFrom(text(child(p.target, "name")))
	}
	return r.at.release.madeFrom(text(lookup(p.node, "metadata", "name")))
}

// shared reports whether another release, or a Kustomization that does not lead
// to this one, reads a file: a change of it may reach another cluster.
func (r *Release) shared(file string) bool {
	chain := r.at.eff.lineage()
	for _, o := range r.at.peers {
		same := o == r || o.Namespace == r.Namespace && o.Name == r.Name && o.at.eff.lineage()[0].sameAs(chain[0])
		if !same && (slices.ContainsFunc(o.at.eff.lineage(), func(k *flux) bool { return r.at.g.applies(k, file) }) ||
			slices.ContainsFunc(o.at.parts, func(p part) bool { return p.File == file })) {
			return true
		}
	}
	for _, k := range r.at.all {
		leads := slices.ContainsFunc(chain, k.sameAs)
		if k.live && !leads && r.at.g.applies(k, file) && !k.lineage()[0].sameAs(chain[0]) {
			return true
		}
	}
	return r.at.g.applies(r.at.eff, file) && len(r.entries(r.at.k)) > 1
}

// fit scores a source for a new key: that it is this release's own counts most,
// then the depth of the parents that it has, then how many networking keys it
// sets.
func (h home) fit(segs []string) int {
	score := 0
	if !h.shared {
		score = 1_000_000
	}
	for i := 1; i < len(segs); i++ {
		if v, ok := valueAt(h.values, segs[:i]); ok && isMap(v) {
			score += 100
		}
	}
	for _, k := range networking {
		if _, ok := h.values[k]; ok {
			score++
		}
	}
	return score
}
