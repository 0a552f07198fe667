package source

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

var (
	variableName = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)
	variableUse  = regexp.MustCompile(`\$\{([_a-zA-Z][_a-zA-Z0-9]*)([^}]*)\}`)
)

const substituteKey = "kustomize.toolkit.fluxcd.io/substitute"

// variable is one post-build variable and where it is set.
type variable struct {
	value string
	at    location
	from  string // "ConfigMap flux-system/cluster-settings", "Kustomization …"
	// why says why the place where it is set cannot be edited, "" if it can.
	why    string
	secret bool
}

// location is a node of a YAML file.
type location struct {
	file string
	doc  int
	path []string
	line int
}

func (l location) String() string { return fmt.Sprintf("%s:%d", l.file, l.line) }

// variables are those that one Flux Kustomization substitutes.
type variables struct {
	byName map[string]variable
	// opaque are the sources that could not be read, so that a name that is
	// not in byName may still be set.
	opaque []string
	// files are those that variables come from.
	files []string
}

// variablesOf reads the variables of a Kustomization in Flux's order:
// substituteFrom as listed, then substitute.
func (b *builder) variablesOf(ix *index, k *flux) *variables {
	vs := &variables{byName: map[string]variable{}}
	post, _ := k.spec["postBuild"].(map[string]any)
	refs, _ := post["substituteFrom"].([]any)
	for _, r := range refs {
		m, _ := r.(map[string]any)
		kind, _ := m["kind"].(string)
		name, _ := m["name"].(string)
		optional, _ := m["optional"].(bool)
		if !b.substituteFrom(ix, vs, k, kind, name) && !optional {
			vs.opaque = append(vs.opaque, fmt.Sprintf("%s %s/%s is not in the repository", kind, k.namespace(), name))
		}
	}
	own, _ := post["substitute"].(map[string]any)
	for name, v := range own {
		path := []string{"spec", "postBuild", "substitute", name}
		s := strings.ReplaceAll(fmt.Sprint(v), "\n", "")
		set := variable{value: s, from: k.String(), at: location{k.doc.file, k.doc.index, path, keyLine(k.doc.node, path...)}}
		if n := lookup(k.doc.node, path...); n == nil || text(n) != fmt.Sprint(v) {
			set.at.line = k.doc.line
			set.why = "it is set by a patch on " + k.String()
		}
		vs.byName[name] = set
	}
	return vs
}

// substituteFrom adds the data of one ConfigMap or Secret, and reports whether
// it was found.
func (b *builder) substituteFrom(ix *index, vs *variables, k *flux, kind, name string) bool {
	from := fmt.Sprintf("%s %s/%s", kind, k.namespace(), name)
	d, ok := b.t.object(ix.configs, kind, k.namespace(), name)
	if !ok {
		return kind == "ConfigMap" && b.substituteFromEnv(vs, from, name)
	}
	vs.files = append(vs.files, d.file)
	if isEncrypted(d.node) {
		vs.opaque = append(vs.opaque, fmt.Sprintf("%s in %s:%d is encrypted", from, d.file, d.line))
		return true
	}
	for _, field := range []string{"data", "stringData"} {
		m := target(child(d.node, field))
		if m == nil || m.Kind != yaml.MappingNode || kind == "Secret" && field == "data" {
			continue
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, val := m.Content[i], m.Content[i+1]
			vs.byName[key.Value] = variable{
				value: strings.ReplaceAll(text(val), "\n", ""), from: from, secret: kind == "Secret",
				at: location{d.file, d.index, []string{field, key.Value}, key.Line},
			}
		}
	}
	return true
}

// substituteFromEnv reads a ConfigMap that a generator makes of an env file.
func (b *builder) substituteFromEnv(vs *variables, from, name string) bool {
	for _, dir := range b.g.known() {
		u := b.g.unit(dir)
		for _, gen := range items(child(u.node, "configMapGenerator")) {
			if text(child(gen, "name")) != name {
				continue
			}
			envs := append(slices.Clone(items(child(gen, "envs"))), child(gen, "env"))
			for _, n := range envs {
				if p, ok := join(dir, text(n)); ok && text(n) != "" {
					b.readEnv(vs, from, p)
				}
			}
			for _, n := range items(child(gen, "literals")) {
				key, val, _ := strings.Cut(text(n), "=")
				vs.byName[key] = variable{value: strings.Trim(val, `"'`), from: from, at: location{u.kfile, 0, nil, n.Line}, why: "it is a literal of a configMapGenerator"}
			}
			vs.files = append(vs.files, u.kfile)
			return true
		}
	}
	return false
}

func (b *builder) readEnv(vs *variables, from, file string) {
	src, err := b.t.read(file)
	if err != nil {
		vs.opaque = append(vs.opaque, err.Error())
		return
	}
	vs.files = append(vs.files, file)
	for i, line := range strings.Split(string(src), "\n") {
		key, val, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && variableName.MatchString(key) {
			vs.byName[key] = variable{value: val, from: from, at: location{file, 0, nil, i + 1}, why: "it stands in an env file, which is not YAML"}
		}
	}
}

// text substitutes as kustomize-controller does without its strict mode: an
// unknown variable becomes its default or "". Only when a source of variables
// could not be read, an unknown one without default is left as it stands.
func (vs *variables) text(s string) (string, error) {
	if len(vs.byName) == 0 && len(vs.opaque) == 0 || !strings.Contains(s, "${") {
		return s, nil
	}
	if len(vs.opaque) > 0 {
		s = variableUse.ReplaceAllStringFunc(s, func(use string) string {
			m := variableUse.FindStringSubmatch(use)
			if _, ok := vs.byName[m[1]]; ok || m[2] != "" {
				return use
			}
			return "$" + use
		})
	}
	out, err := envsubst.Eval(s, func(name string) (string, bool) { return vs.byName[name].value, true })
	if err != nil {
		return "", fmt.Errorf("substitute variables: %w", err)
	}
	return out, nil
}

// object substitutes in a whole object, as text, so that a variable can change
// a value's type.
func (vs *variables) object(obj map[string]any) (map[string]any, error) {
	if disabled(obj) {
		return obj, nil
	}
	src, err := sigsyaml.Marshal(obj)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(src, []byte("${")) {
		return obj, nil
	}
	out, err := vs.text(string(src))
	if err != nil {
		return nil, err
	}
	var next map[string]any
	if err := sigsyaml.Unmarshal([]byte(out), &next); err != nil {
		return nil, fmt.Errorf("after substitution of variables: %w", err)
	}
	return next, nil
}

func disabled(obj map[string]any) bool {
	meta, _ := obj["metadata"].(map[string]any)
	for _, f := range []string{"labels", "annotations"} {
		m, _ := meta[f].(map[string]any)
		if m[substituteKey] == "disabled" {
			return true
		}
	}
	return false
}

// unknown lists the variables that a text uses, that are not set, and that a
// source which could not be read may set.
func (vs *variables) unknown(s string) []string {
	if len(vs.opaque) == 0 {
		return nil
	}
	var names []string
	for _, m := range variableUse.FindAllStringSubmatch(s, -1) {
		if _, ok := vs.byName[m[1]]; !ok && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// effective is a Kustomization as its parent applies it: with the parent's
// patches, namespace and variables. Without a parent, or when the parent does
// not build, it is what its file says.
func (b *builder) effective(ix *index, k *flux) *flux {
	if k.doc.node == nil || k.parent == nil {
		return k
	}
	parent := b.effective(ix, k.parent)
	objs, err := b.build(parent, func(f string) bool { return f == k.doc.file })
	if err != nil {
		b.note(k, fmt.Sprintf("%v; %s is taken as its file says", err, k))
		return k
	}
	vars := b.variablesOf(ix, parent)
	for _, o := range objs {
		if o.id.kind != "Kustomization" || o.id.group() != k.doc.id.group() || !o.madeFrom(k.doc.id.name) || o.origin.Path != k.doc.file {
			continue
		}
		obj, err := vars.object(o.object)
		if err != nil {
			continue
		}
		e := *k
		e.spec, _ = obj["spec"].(map[string]any)
		e.doc.id.name, e.doc.id.namespace = o.id.name, o.id.namespace
		e.parent = parent
		if e.locate(b.t) == nil && e.path != "" {
			return &e
		}
	}
	return k
}

// Unresolved is a value that holds a variable nobody in the repository sets,
// while a source of variables cannot be read.
type Unresolved struct {
	// Path is the Helm value's path.
	Path string
	// Variables are the names, sorted.
	Variables []string
	// Why says which sources cannot be read.
	Why string
}

// unresolved lists the values that hold an unknown variable, sorted by path.
func (vs *variables) unresolved(values map[string]any) []Unresolved {
	if len(vs.opaque) == 0 {
		return nil
	}
	var out []Unresolved
	why := strings.Join(vs.opaque, "; ")
	walkStrings(values, nil, func(path []string, s string) {
		if names := vs.unknown(s); len(names) > 0 {
			slices.Sort(names)
			out = append(out, Unresolved{Path: joinPath(path), Variables: names, Why: why})
		}
	})
	return out
}

// walkStrings visits every string below v in the order of the keys.
func walkStrings(v any, path []string, visit func(path []string, s string)) {
	at := func(seg string) []string { return append(slices.Clone(path), seg) }
	switch x := v.(type) {
	case string:
		visit(path, x)
	case map[string]any:
		for _, k := range sortedKeys(x) {
			walkStrings(x[k], at(k), visit)
		}
	case []any:
		for i, e := range x {
			walkStrings(e, at("["+itoa(i)+"]"), visit)
		}
	}
}
