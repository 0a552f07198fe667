package source

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
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
		if why, unread := unreadText(raw); unread {
			p.Why = why
			return false
		}
		p.raw = raw
		p.data, _ = dataKey(sub, key)
		r.locate(p, o, key)
		if p.secret && looksEncrypted([]byte(raw)) {
			p.Writable, p.Why = false, fmt.Sprintf("it is encrypted (%s)", p.File)
			return false
		}
		p.neverSecret()
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
	// An overlay's generator comes before that of its base.
	units := r.g.closure(r.eff.path, r.eff.extra...)
	for _, u := range units {
		if r.locateGenerated(p, u, o, key) && p.Writable {
			return
		}
	}
	for _, u := range units {
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
		p.YAMLPath, p.Block = d.path(field, key), true
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
		full, n := c.find(o, []string{field, key})
		if n == nil || text(n) != p.raw {
			continue
		}
		at := c.location(full, n)
		p.File, p.Document, p.Line = at.file, at.doc, at.line
		p.YAMLPath, p.Block = at.path, true
		p.patched, p.Writable, p.Why = false, !c.block, ""
		if c.block {
			p.Why = "a patch written inside another file replaces the whole string; take the patch to a file of its own"
		}
	}
}

// made is what a generator makes a key of.
type made struct {
	name, text string
	at         location
	// whole: the key's text is a file.
	whole bool
	err   error
}

// generated finds the generator entry of a unit that gives a key.
func (r *resolver) generated(u *unit, kind, key string, named func(name string) bool) (made, bool) {
	field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[kind]
	for i, gen := range items(child(u.node, field)) {
		if !named(text(child(gen, "name"))) {
			continue
		}
		at := []string{field, "[" + itoa(i) + "]"}
		if m, ok := r.generatedKey(u, gen, key, at); ok {
			m.name = text(child(gen, "name"))
			return m, true
		}
	}
	return made{}, false
}

func (r *resolver) generatedKey(u *unit, gen *yaml.Node, key string, at []string) (made, bool) {
	for _, n := range items(child(gen, "files")) {
		k, file := generatorFile(text(n))
		if k == key && isRemote(file) {
			return made{text: unreadMark + remoteRead{address: file, line: n.Line}.why(u), at: location{file: u.kfile, line: n.Line}}, true
		}
		if f, ok := join(u.dir, file); ok && k == key {
			src, err := r.t.read(f)
			return made{text: string(src), whole: true, err: err, at: location{file: r.t.real(f), line: 1}}, true
		}
	}
	for j, n := range items(child(gen, "literals")) {
		k, at := literal(u, n, append(slices.Clone(at), "literals", "["+itoa(j)+"]"))
		_, val, _ := strings.Cut(text(n), "=")
		if k == key {
			return made{text: strings.Trim(val, `"'`), at: at}, true
		}
	}
	for _, n := range envFiles(gen) {
		f, ok := join(u.dir, text(n))
		src, err := r.t.read(f)
		if !ok || err != nil {
			continue
		}
		for _, l := range envLines(src) {
			if l.key == key {
				return made{text: l.value, at: location{file: r.t.real(f), line: l.line, env: key}}, true
			}
		}
	}
	return made{}, false
}

// locateGenerated notes the generator entry of a unit that gives a key.
func (r *resolver) locateGenerated(p *part, u *unit, o built, key string) bool {
	m, ok := r.generated(u, o.id.kind, key, o.madeFrom)
	if !ok {
		return false
	}
	p.comesFrom(m)
	if p.Writable && m.text != p.raw {
		p.Writable, p.Why = false, "another generator or a patch replaces the text"
	}
	return true
}

func (p *part) comesFrom(m made) {
	p.Name, p.File, p.Line, p.YAMLPath, p.Block = m.name, m.at.file, m.at.line, m.at.path, false
	p.Document, p.env, p.format = m.at.doc, m.at.env, m.at.format
	p.Writable, p.Why = m.err == nil, ""
	switch {
	case m.err != nil:
		p.Why = m.err.Error()
	case !m.whole && p.TargetPath == "":
		p.Writable, p.Why = false, "the values are one line of a generator; take them to a file and name it under files"
	}
}

// fromTree looks for an object that another Kustomization applies.
func (r *resolver) fromTree(p *part) bool {
	if p.Why != "" {
		return false
	}
	d, found := r.b.object(r.ix.configs, r.eff, p.Kind, r.namespace, p.Name)
	if found && d.near {
		return r.fromManifest(p, d)
	}
	m, generated := r.fromGenerator(p)
	why, unread := unreadText(m.text)
	switch {
	case generated && unread:
		p.Why = why
		return false
	case generated && looksEncrypted([]byte(m.text)):
		p.File, p.Why = m.at.file, fmt.Sprintf("it is encrypted (%s)", m.at.file)
		return false
	case generated:
		p.comesFrom(m)
		p.raw = m.text
		p.neverSecret()
		return r.substituteText(p)
	}
	return found && r.fromManifest(p, d)
}

func (r *resolver) fromManifest(p *part, d manifest) bool {
	key := p.ref.GetValuesKey()
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
	if d.owner != nil && !d.owner.sameAs(r.eff) {
		p.vars = r.b.variablesOf(r.ix, d.owner)
	}
	r.locateManifest(p, built{id: d.id, origin: origin{Path: d.file}}, key)
	p.neverSecret()
	return r.substituteText(p)
}

// fromGenerator looks for a ConfigMap or Secret that another Kustomization
// generates, under its plain name.
func (r *resolver) fromGenerator(p *part) (made, bool) {
	for _, dir := range r.b.nearDirs(r.eff) {
		m, ok := r.generated(r.g.unit(dir), p.Kind, p.ref.GetValuesKey(), func(name string) bool { return name == p.Name })
		if ok && m.err == nil {
			return m, true
		}
	}
	return made{}, false
}

// neverSecret keeps Secrets from being edited.
func (p *part) neverSecret() {
	if p.secret && p.Writable {
		p.Writable, p.Why = false, "it is a Secret, which is never edited"
	}
}

func (r *resolver) substituteText(p *part) bool {
	vars := r.vars
	if p.vars != nil {
		vars = p.vars
	}
	data, err := vars.text(p.raw)
	if err != nil {
		p.Why = err.Error()
		return false
	}
	p.data = data
	return true
}
