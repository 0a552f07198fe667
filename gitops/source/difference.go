package source

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Difference is one field that an edit changes in an object that Flux applies.
type Difference struct {
	// Object is KIND NAMESPACE/NAME, or KIND NAME where no namespace is written.
	Object string
	// Path leads to the field, as in [ValuesSource.Path]. A string that holds a
	// YAML mapping is looked into: "data.values\.yaml.ipv6NativeRoutingCIDR".
	// Empty: the whole object is new (From nil) or gone (To nil), and the other
	// side is true.
	Path string
	// From and To are JSON values; nil for a field that is not there. Those of a
	// Secret are [NotShown], and text of several lines is named by its length.
	From, To any
}

// NotShown stands for the data of a Secret.
const NotShown = "(not shown)"

// maxDifferences bounds what is told of one Kustomization.
const maxDifferences = 20

func (id objectID) String() string {
	if id.namespace == "" {
		return id.kind + " " + id.name
	}
	return id.kind + " " + id.namespace + "/" + id.name
}

// hashed is the name of a generated object: kustomize adds a hash of ten
// letters and digits.
var hashed = regexp.MustCompile(`^(.+)-[a-z0-9]{10}$`)

// stem is the name without the hash that kustomize gives generated objects.
func (b built) stem() string {
	m := hashed.FindStringSubmatch(b.id.name)
	if m == nil || b.id.kind != "ConfigMap" && b.id.kind != "Secret" || b.origin.ConfiguredIn == "" {
		return b.id.name
	}
	return m[1]
}

func (b built) key() string {
	return strings.Join([]string{b.id.group(), b.id.kind, b.id.namespace, b.stem()}, "\x00")
}

// comparison compares two builds of one Kustomization.
type comparison struct {
	before, after map[string]built
	// renamed maps the old hashed names to the new ones: the data has changed,
	// and the name that follows from it is no change of its own.
	renamed map[string]string
	found   []Difference
}

// compareObjects lists the differences by object and path.
func compareObjects(before, after []built) []Difference {
	c := &comparison{before: byKey(before), after: byKey(after), renamed: map[string]string{}}
	for k, b := range c.before {
		if a, ok := c.after[k]; ok && a.id.name != b.id.name {
			c.renamed[b.id.name] = a.id.name
		}
	}
	keys := append(sortedKeys(c.before), sortedKeys(c.after)...)
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		c.object(k)
	}
	return c.found
}

// byKey gives objects that share a key, which kustomize refuses, names of their
// own by their order.
func byKey(objs []built) map[string]built {
	m := make(map[string]built, len(objs))
	for _, o := range objs {
		k := o.key()
		for i := 2; ; i++ {
			if _, taken := m[k]; !taken {
				break
			}
			k = o.key() + "\x00" + itoa(i)
		}
		m[k] = o
	}
	return m
}

func (c *comparison) object(key string) {
	b, had := c.before[key]
	a, has := c.after[key]
	switch {
	case !had:
		c.add(a.label(), nil, nil, true)
	case !has:
		c.add(b.label(), nil, true, nil)
	default:
		secret := a.id.kind == "Secret"
		c.compare(a.label(), nil, throughJSON(b.object), throughJSON(a.object), secret)
	}
}

func (b built) label() string {
	id := b.id
	id.name = b.stem()
	return id.String()
}

func (c *comparison) add(object string, path []string, from, to any) {
	c.found = append(c.found, Difference{Object: object, Path: joinPath(path), From: brief(from), To: brief(to)})
}

func (c *comparison) compare(object string, path []string, from, to any, secret bool) {
	if c.same(from, to) {
		return
	}
	at := func(seg string) []string { return append(slices.Clone(path), seg) }
	f, fok := structure(from)
	t, tok := structure(to)
	if fok && tok {
		keys := append(sortedKeys(f), sortedKeys(t)...)
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			hide := secret && (len(path) > 0 || k == "data" || k == "stringData")
			c.compare(object, at(k), f[k], t[k], hide)
		}
		return
	}
	fl, fok := from.([]any)
	tl, tok := to.([]any)
	if fok && tok && len(fl) == len(tl) {
		for i := range fl {
			c.compare(object, at("["+itoa(i)+"]"), fl[i], tl[i], secret)
		}
		return
	}
	if secret && len(path) > 0 && path[0] != "metadata" {
		from, to = veil(from), veil(to)
	}
	c.add(object, path, from, to)
}

func veil(v any) any {
	if v == nil {
		return nil
	}
	return NotShown
}

// same folds the new names of generated objects.
func (c *comparison) same(from, to any) bool {
	if s, ok := from.(string); ok && c.renamed[s] != "" && c.renamed[s] == to {
		return true
	}
	return reflect.DeepEqual(from, to)
}

// structure is a mapping, or the mapping that a text of several lines holds.
func structure(v any) (map[string]any, bool) {
	switch x := v.(type) {
	case map[string]any:
		return x, true
	case string:
		if !strings.Contains(x, "\n") {
			return nil, false
		}
		docs, err := parse("text", []byte(x))
		if err != nil || len(docs) != 1 || strings.Contains(x, "\n---") {
			return nil, false
		}
		var m map[string]any
		if docs[0].node.Decode(&m) != nil {
			return nil, false
		}
		m, ok := throughJSON(m).(map[string]any)
		return m, ok
	}
	return nil, false
}

// brief names text of several lines by its length.
func brief(v any) any {
	s, ok := v.(string)
	if !ok || !strings.Contains(strings.TrimSuffix(s, "\n"), "\n") {
		return v
	}
	return fmt.Sprintf("(a text of %d lines)", strings.Count(strings.TrimSuffix(s, "\n"), "\n")+1)
}

// compareValues lists the differences of two releases' merged values.
func compareValues(object string, before, after map[string]any) []Difference {
	c := &comparison{}
	c.compare(object, nil, orEmpty(before), orEmpty(after), false)
	return c.found
}

func orEmpty(m map[string]any) any {
	if v := throughJSON(m); v != nil {
		return v
	}
	return map[string]any{}
}
