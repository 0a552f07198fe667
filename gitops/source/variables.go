package source

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// variable is one post-build variable and where it is set.
type variable struct {
	value string
	at    location
	from  string // "ConfigMap flux-system/cluster-settings", "Kustomization …"
	// why says why the place where it is set cannot be edited, "" if it can.
	why    string
	secret bool
}

// location is a place in a file where a value can be written.
type location struct {
	file string
	doc  int
	path []string
	line int
	// block is the path of the string that holds the YAML text in which path
	// lies, nil for the document itself.
	block []string
	// env is the key in a file of KEY=value lines.
	env string
	// format is how the value stands there, "%s" being the value.
	format string
}

func (l location) String() string { return fmt.Sprintf("%s:%d", l.file, l.line) }

// same compares places, not how a value is written there.
func (l location) same(o location) bool {
	return l.file == o.file && l.doc == o.doc && l.line == o.line && l.env == o.env && slices.Equal(l.path, o.path)
}

// variables are those that one Flux Kustomization substitutes.
type variables struct {
	byName map[string]variable
	// opaque are the sources that could not be read, so that a name that is
	// not in byName may still be set.
	opaque []string
	// files are those that variables come from.
	files []string
}

// maxVariableDepth bounds how often the sources of variables are themselves
// looked up with variables: a Kustomization's parents, say.
const maxVariableDepth = 8

// variablesOf reads the variables of a Kustomization in Flux's order:
// substituteFrom as listed, then substitute.
func (b *builder) variablesOf(ix *index, k *flux) *variables { return b.variablesAt(ix, k, 0) }

// variablesAt remembers its answers.
func (b *builder) variablesAt(ix *index, k *flux, depth int) *variables {
	at := variablesKey{k, depth}
	vs, ok := b.vars[at]
	if !ok {
		vs = b.readVariables(ix, k, depth)
		b.vars[at] = vs
	}
	return vs
}

type variablesKey struct {
	k     *flux
	depth int
}

func (b *builder) readVariables(ix *index, k *flux, depth int) *variables {
	vs := &variables{byName: map[string]variable{}}
	post, _ := k.spec["postBuild"].(map[string]any)
	if post == nil || depth > maxVariableDepth {
		return vs
	}
	for _, r := range anyList(post["substituteFrom"]) {
		m, _ := r.(map[string]any)
		ref := variableRef{kind: stringAt(m, "kind"), namespace: k.namespace(), name: stringAt(m, "name")}
		optional, _ := m["optional"].(bool)
		if b.substituteFrom(ix, vs, k, ref, depth) {
			continue
		}
		said := ref.String() + " is not in the repository"
		if optional {
			said = "optional " + said
		}
		vs.opaque = append(vs.opaque, said)
	}
	own, _ := post["substitute"].(map[string]any)
	for name, v := range own {
		vs.byName[name] = b.substituted(ix, k, name, fmt.Sprint(v), depth)
	}
	return vs
}

// variableRef names a source of variables.
type variableRef struct{ kind, namespace, name string }

func (r variableRef) String() string { return fmt.Sprintf("%s %s/%s", r.kind, r.namespace, r.name) }

// substituted is a variable of postBuild.substitute.
func (b *builder) substituted(ix *index, k *flux, name, value string, depth int) variable {
	path := []string{"spec", "postBuild", "substitute", name}
	v := variable{value: strings.ReplaceAll(value, "\n", ""), from: k.String()}
	v.at = location{file: k.doc.file, doc: k.doc.index, path: k.doc.path(path...), line: keyLine(k.doc.node, path...)}
	n := lookup(k.doc.node, path...)
	if n != nil && text(n) == value {
		return v
	}
	if n != nil && k.parent != nil && strings.Contains(text(n), "${") {
		up := v
		up.follow(text(n), b.variablesAt(ix, k.parent, depth+1))
		if up.value == v.value {
			return up
		}
	}
	v.at.line, v.why = k.doc.line, "it is set by a patch on "+k.String()
	return v
}

// follow substitutes a variable's own text. Where that is one variable, the
// place is where that one is set.
func (v *variable) follow(raw string, vars *variables) {
	if !strings.Contains(raw, "${") {
		return
	}
	out, err := vars.text(raw)
	if err != nil {
		v.why = err.Error()
		return
	}
	v.value = strings.ReplaceAll(out, "\n", "")
	if m := wholeVariable.FindStringSubmatch(strings.TrimSpace(raw)); m != nil {
		if set, ok := vars.byName[m[1]]; ok {
			*v = set
			return
		}
		if m[2] != "" && len(vars.opaque) == 0 {
			v.at.format = "${" + m[1] + m[2] + "%s}"
			return
		}
	}
	if out != raw {
		v.why = "it is put together of other variables: " + raw
	}
}

// substituteFrom adds the data of one ConfigMap or Secret, and reports whether
// it was found. What the cluster in question applies comes first: several
// clusters of a repository have a ConfigMap of the same name.
func (b *builder) substituteFrom(ix *index, vs *variables, k *flux, ref variableRef, depth int) bool {
	d, found := b.object(ix.configs, k, ref.kind, ref.namespace, ref.name)
	if found && d.near {
		b.substituteManifest(ix, vs, d, ref, depth)
		return true
	}
	if b.substituteGenerated(vs, k, ref) {
		return true
	}
	if found {
		b.substituteManifest(ix, vs, d, ref, depth)
	}
	return found
}

// substituteManifest adds the data of a manifest as what applies it makes it.
func (b *builder) substituteManifest(ix *index, vs *variables, d manifest, ref variableRef, depth int) {
	vs.files = append(vs.files, d.file)
	if isEncrypted(d.node) {
		vs.opaque = append(vs.opaque, fmt.Sprintf("%s in %s:%d is encrypted", ref, d.file, d.line))
		return
	}
	var owned *variables
	if d.owner != nil {
		owned = b.variablesAt(ix, d.owner, depth+1)
	}
	patched := b.patchedData(d)
	for _, field := range []string{"data", "stringData"} {
		for _, e := range pairs(child(d.node, field)) {
			v := variable{value: text(e.value), from: ref.String(), secret: ref.kind == "Secret"}
			v.at = location{file: d.file, doc: d.index, path: d.path(field, e.key), line: e.line}
			if v.secret && field == "data" {
				plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v.value))
				if err != nil {
					continue
				}
				v.value = string(plain)
			}
			vs.byName[e.key] = b.finish(v, owned)
		}
	}
	for _, key := range sortedKeys(patched) {
		if v, ok := vs.byName[key]; !ok || v.from != ref.String() || v.value != patched[key].value {
			set := patched[key]
			set.from, set.secret = ref.String(), ref.kind == "Secret"
			vs.byName[key] = b.finish(set, owned)
		}
	}
}

// finish drops line breaks, as Flux does, and follows variables.
func (b *builder) finish(v variable, owned *variables) variable {
	raw := v.value
	v.value = strings.ReplaceAll(raw, "\n", "")
	if owned != nil && len(owned.byName)+len(owned.opaque) > 0 {
		v.follow(raw, owned)
	}
	return v
}

// pair is one entry of a mapping.
type pair struct {
	key   string
	value *yaml.Node
	line  int
}

// pairs are the entries of a mapping, those of its merge keys included.
func pairs(n *yaml.Node) []pair {
	n = target(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var merged, own []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			for _, m := range mergeSources(n.Content[i+1]) {
				merged = append(pairs(m), merged...)
			}
			continue
		}
		own = append(own, pair{n.Content[i].Value, n.Content[i+1], n.Content[i].Line})
	}
	return append(merged, own...)
}

// substituteGenerated reads a ConfigMap or Secret that a generator makes of
// literals, env files or files.
func (b *builder) substituteGenerated(vs *variables, k *flux, ref variableRef) bool {
	field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[ref.kind]
	for _, dir := range b.nearDirs(k) {
		u := b.g.unit(dir)
		for i, gen := range items(child(u.node, field)) {
			if text(child(gen, "name")) != ref.name {
				continue
			}
			b.generatedData(vs, u, gen, ref, []string{field, "[" + itoa(i) + "]"})
			vs.files = append(vs.files, u.kfile)
			return true
		}
	}
	return false
}

func (b *builder) generatedData(vs *variables, u *unit, gen *yaml.Node, ref variableRef, at []string) {
	for _, n := range envFiles(gen) {
		if isRemote(text(n)) {
			vs.opaque = append(vs.opaque, fmt.Sprintf("%s: %s", ref, remoteRead{address: text(n), line: n.Line}.why(u)))
		} else if p, ok := join(u.dir, text(n)); ok {
			b.readEnv(vs, ref, p)
		}
	}
	for _, n := range items(child(gen, "files")) {
		key, file := generatorFile(text(n))
		if isRemote(file) {
			vs.opaque = append(vs.opaque, fmt.Sprintf("%s: %s", ref, remoteRead{address: file, line: n.Line}.why(u)))
			continue
		}
		p, ok := join(u.dir, file)
		src, err := b.t.read(p)
		if !ok || err != nil || !variableName.MatchString(key) {
			continue
		}
		vs.files = append(vs.files, p)
		vs.byName[key] = variable{value: strings.ReplaceAll(string(src), "\n", ""), from: ref.String(), secret: ref.kind == "Secret",
			at: location{file: p, line: 1}, why: "the whole file is its value"}
	}
	for j, n := range items(child(gen, "literals")) {
		key, at := literal(u, n, append(slices.Clone(at), "literals", "["+itoa(j)+"]"))
		_, val, _ := strings.Cut(text(n), "=")
		vs.byName[key] = variable{value: strings.Trim(val, `"'`), from: ref.String(), at: at, secret: ref.kind == "Secret"}
	}
}

// literal is the place of a generator's KEY=value; quotes around the value,
// which kustomize takes away, stay.
func literal(u *unit, n *yaml.Node, path []string) (key string, at location) {
	key, val, _ := strings.Cut(text(n), "=")
	quote := ""
	if bare := strings.Trim(val, `"'`); len(val) == len(bare)+2 && val[0] == val[len(val)-1] {
		quote = val[:1]
	}
	return key, location{file: u.kfile, doc: u.doc, path: path, line: n.Line, format: key + "=" + quote + "%s" + quote}
}

// envFiles are the env files of a generator.
func envFiles(gen *yaml.Node) []*yaml.Node {
	list := slices.Clone(items(child(gen, "envs")))
	if n := child(gen, "env"); text(n) != "" {
		list = append(list, n)
	}
	return list
}

// envLine is one KEY=value of an env file.
type envLine struct {
	key, value string
	line       int
}

// envLines reads an env file as kustomize does (api/internal/kv): the value is
// the rest of the line, quotes included; a line that starts with # is a comment.
func envLines(src []byte) []envLine {
	var out []envLine
	for i, line := range strings.Split(strings.TrimPrefix(string(src), "\uFEFF"), "\n") {
		line = strings.TrimLeftFunc(strings.TrimSuffix(line, "\r"), unicode.IsSpace)
		key, val, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") {
			out = append(out, envLine{key, val, i + 1})
		}
	}
	return out
}

func (b *builder) readEnv(vs *variables, ref variableRef, file string) {
	src, err := b.t.read(file)
	if err != nil {
		vs.opaque = append(vs.opaque, err.Error())
		return
	}
	file = b.t.real(file)
	vs.files = append(vs.files, file)
	if looksEncrypted(src) {
		vs.opaque = append(vs.opaque, fmt.Sprintf("%s, made of %s, is encrypted", ref, file))
		return
	}
	for _, l := range envLines(src) {
		if variableName.MatchString(l.key) {
			vs.byName[l.key] = variable{value: l.value, from: ref.String(), secret: ref.kind == "Secret",
				at: location{file: file, line: l.line, env: l.key}}
		}
	}
}
