package source

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// fromBuild looks for the object among those that the Kustomization builds.
func (r *resolver) fromBuild(p *part) bool {
	for _, o := range r.objs {
		if o.id.kind != p.Kind || o.id.name != p.Name {
			continue
		}
		if ns := o.id.namespace; ns != "" && ns != r.namespace {
			continue
		}
		if o.object["sops"] != nil {
			p.File, p.Why = o.origin.Path, "it is encrypted"
			return false
		}
		sub, err := r.vars.object(o.object)
		if err != nil {
			p.Why = err.Error()
			return false
		}
		key := p.ref.GetValuesKey()
		raw, ok := dataKey(o.object, key)
		if !ok {
			p.Why = "it has no such key"
			return false
		}
		p.raw = raw
		p.data, _ = dataKey(sub, key)
		if p.secret && looksEncrypted([]byte(raw)) {
			p.Why = "it is encrypted"
			return false
		}
		r.locate(p, o, key)
		if p.secret && p.Writable {
			p.Writable, p.Why = false, "it is a Secret, which is never edited"
		}
		return true
	}
	return false
}

// dataKey reads a key of a ConfigMap or Secret.
func dataKey(obj map[string]any, key string) (string, bool) {
	for _, field := range []string{"stringData", "data"} {
		m, _ := obj[field].(map[string]any)
		v, ok := m[key].(string)
		if !ok {
			continue
		}
		if field == "data" && obj["kind"] == "Secret" {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v))
			return string(b), err == nil
		}
		return v, true
	}
	return "", false
}

// locate finds the file that a built ConfigMap's or Secret's key comes from.
func (r *resolver) locate(p *part, o built, key string) {
	if o.origin.Path != "" {
		r.locateManifest(p, o, key)
		return
	}
	for _, u := range slices.Backward(r.g.closure(r.eff.path, r.eff.extra...)) {
		if r.locateGenerated(p, u, o, key) && p.Writable {
			return
		}
	}
	// The units nearest the top come last in merge order.
	for _, u := range r.g.closure(r.eff.path, r.eff.extra...) {
		if r.locateGenerated(p, u, o, key) {
			return
		}
	}
}

func (r *resolver) locateManifest(p *part, o built, key string) {
	d, ok := r.find(o)
	if !ok {
		p.File, p.Why = o.origin.Path, "its document was not found again"
		return
	}
	for _, field := range []string{"stringData", "data"} {
		n := lookup(d.node, field, key)
		if n == nil {
			continue
		}
		p.File, p.Document, p.Line = d.file, d.index, keyLine(d.node, field, key)
		p.YAMLPath, p.Block = []string{field, key}, true
		p.Writable = text(n) == p.raw
		if !p.Writable {
			r.locatePatch(p, o, field, key)
		}
		return
	}
	p.File, p.Line = d.file, d.line
	r.locatePatch(p, o, "data", key)
}

// locatePatch finds the patch that gives a ConfigMap its string.
func (r *resolver) locatePatch(p *part, o built, field, key string) {
	p.Why, p.patched = "a patch that could not be traced replaces the string", true
	for _, c := range r.g.patches(r.k, r.eff) {
		n := lookup(c.node, field, key)
		if text(child(c.node, "kind")) != o.id.kind || n == nil || text(n) != p.raw {
			continue
		}
		p.File, p.Document, p.Line = c.at.file, c.at.doc, c.lines+keyLine(c.node, field, key)
		p.YAMLPath, p.Block = []string{field, key}, true
		p.patched, p.Writable, p.Why = false, !c.block, ""
		if c.block {
			p.Why = "a patch written inside another file replaces the whole string; take the patch to a file of its own"
		}
	}
}

// locateGenerated looks for the generator entry that gives a key.
func (r *resolver) locateGenerated(p *part, u *unit, o built, key string) bool {
	field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[o.id.kind]
	for _, gen := range items(child(u.node, field)) {
		if !o.madeFrom(text(child(gen, "name"))) {
			continue
		}
		for _, n := range items(child(gen, "files")) {
			k, file := generatorFile(text(n))
			f, ok := join(u.dir, file)
			if k != key || !ok {
				continue
			}
			src, err := r.t.read(f)
			p.Name = text(child(gen, "name"))
			p.File, p.Line, p.YAMLPath, p.Block = r.t.real(f), 1, nil, false
			p.Writable, p.Why = err == nil && string(src) == p.raw, ""
			if !p.Writable {
				p.Why = "another generator or a patch replaces the text"
			}
			return true
		}
		for _, n := range items(child(gen, "literals")) {
			if k, _, _ := strings.Cut(text(n), "="); k == key {
				p.File, p.Line, p.Writable, p.Why = u.kfile, n.Line, false, "it is a literal of a generator"
				return true
			}
		}
	}
	return false
}

// fromTree looks for an object that another Kustomization applies.
func (r *resolver) fromTree(p *part) bool {
	if p.Why != "" {
		return false
	}
	key := p.ref.GetValuesKey()
	if d, ok := r.t.object(r.ix.configs, p.Kind, r.namespace, p.Name); ok {
		if isEncrypted(d.node) {
			p.File, p.Line, p.Why = d.file, d.line, fmt.Sprintf("it is encrypted (%s:%d)", d.file, d.line)
			return false
		}
		obj := map[string]any{}
		if decode(d.node, &obj) != nil {
			return false
		}
		raw, ok := dataKey(obj, key)
		if !ok {
			p.Why = "it has no such key"
			return false
		}
		p.raw = raw
		r.locateManifest(p, built{id: d.id, origin: origin{Path: d.file}}, key)
		return r.substituteText(p)
	}
	for _, dir := range r.g.known() {
		if r.locateGenerated(p, r.g.unit(dir), built{id: objectID{kind: p.Kind, name: p.Name}}, key) && p.YAMLPath == nil && p.File != "" {
			src, err := r.t.read(p.File)
			if err != nil || p.Why == "it is a literal of a generator" {
				continue
			}
			if looksEncrypted(src) {
				p.Why = fmt.Sprintf("it is encrypted (%s)", p.File)
				return false
			}
			p.raw, p.Writable, p.Why = string(src), true, ""
			return r.substituteText(p)
		}
	}
	return false
}

func (r *resolver) substituteText(p *part) bool {
	data, err := r.vars.text(p.raw)
	if err != nil {
		p.Why = err.Error()
		return false
	}
	p.data = data
	return true
}
