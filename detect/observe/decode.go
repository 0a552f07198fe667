package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// typeMeta is what an object says it is.
type typeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// itemType is what the items of a typed list are that do not say it
// themselves: a NodeList holds Nodes. Empty for "List".
func (t typeMeta) itemType() typeMeta {
	kind := strings.TrimSuffix(t.Kind, "List")
	if kind == "" || kind == t.Kind {
		return typeMeta{}
	}
	return typeMeta{t.APIVersion, kind}
}

// chunk is a piece of text with one object or one whole document.
type chunk struct {
	text []byte
	// line of the file at which the text starts, counted from 1.
	line int
	json bool
	// item: the text is one element of a sequence; list is the type of its list.
	item bool
	list typeMeta
}

// decoded is what a chunk holds: objects that a snapshot needs, and the kinds
// that were there, needed or not.
type decoded struct {
	items []item
	kinds []string
	count int

	lim  limits
	conv converter
}

// decode reads a chunk. Errors are lineErrors with the file's line.
func (c *chunk) decode(lim limits) (decoded, error) {
	if c.json {
		return c.decodeJSON(lim)
	}
	if out, ok := c.decodePlain(lim); ok {
		return out, nil
	}
	root, err := parseYAML(c.text)
	if err == nil && root != nil && c.item {
		if root.Kind != yaml.SequenceNode || len(root.Content) != 1 {
			err = onLine(1, "not one item of a list")
		} else {
			root = root.Content[0]
		}
	}
	if err != nil {
		return decoded{}, c.shift(err)
	}
	out := decoded{lim: lim, conv: converter{lim: lim}}
	if root == nil {
		return out, nil
	}
	err = out.fromNode(root, c.list.itemType())
	return out, c.shift(err)
}

// decodePlain reads text that is plain enough for the fast converter. Where
// anything is wrong it leaves the text, and the error, to the full parser.
func (c *chunk) decodePlain(lim limits) (decoded, bool) {
	raw, ok := plainToJSON(c.text)
	if !ok {
		return decoded{}, false
	}
	var doc struct {
		typeMeta
		Items []json.RawMessage `json:"items"`
	}
	if c.item {
		// An item is written as a sequence of one.
		raw = raw[1 : len(raw)-1]
	}
	if json.Unmarshal(raw, &doc) != nil {
		return decoded{}, false
	}
	if !strings.HasSuffix(doc.Kind, "List") {
		one := chunk{text: raw, json: true, item: c.item, list: c.list}
		out, err := one.decodeJSON(lim)
		return out, err == nil
	}
	out := decoded{}
	out.noteList(doc.typeMeta)
	for _, item := range doc.Items {
		one := chunk{text: item, json: true, item: true, list: doc.typeMeta}
		more, err := one.decodeJSON(lim)
		if err != nil {
			return decoded{}, false
		}
		out.items, out.kinds = append(out.items, more.items...), append(out.kinds, more.kinds...)
		out.count += more.count
	}
	return out, true
}

// shift turns lines of the chunk into lines of the file.
func (c *chunk) shift(err error) error {
	if err == nil {
		return nil
	}
	var le *lineError
	if errors.As(err, &le) {
		return &lineError{le.line + c.line - 1, le.err}
	}
	return &lineError{c.line, err}
}

// fromNode reads one object, or the objects of a list.
func (d *decoded) fromNode(n *yaml.Node, implied typeMeta) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	t := typeOfNode(n, implied)
	items := valueOf(n, "items")
	if strings.HasSuffix(t.Kind, "List") && items != nil && items.Kind == yaml.SequenceNode {
		return d.fromList(items, t)
	}
	if d.count++; d.count > d.lim.objects {
		return onLine(n.Line, "more than %d objects", d.lim.objects)
	}
	o := newItem(nameOf(t.APIVersion, t.Kind))
	if o == nil {
		return nil
	}
	raw, err := d.conv.convert(n)
	if err != nil {
		return err
	}
	return d.add(raw, o, t, func(path []any) int { return lineOf(n, path) })
}

func (d *decoded) fromList(items *yaml.Node, t typeMeta) error {
	d.noteList(t)
	for _, child := range items.Content {
		if child.Kind == yaml.AliasNode {
			child = child.Alias
		}
		if child.Kind == yaml.MappingNode && valueOf(child, "items") != nil {
			return onLine(child.Line, "a list within a list")
		}
		if err := d.fromNode(child, t.itemType()); err != nil {
			return err
		}
	}
	return nil
}

func typeOfNode(n *yaml.Node, implied typeMeta) typeMeta {
	t := implied
	if v := valueOf(n, "apiVersion"); v != nil && v.Kind == yaml.ScalarNode {
		t.APIVersion = v.Value
	}
	if v := valueOf(n, "kind"); v != nil && v.Kind == yaml.ScalarNode {
		t.Kind = v.Value
	}
	return t
}

// valueOf is the value of a mapping's key, merged mappings included.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	const merges = 10 // followed one after the other
	for range merges {
		var merged *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
			if n.Content[i].ShortTag() == "!!merge" {
				merged = n.Content[i+1]
			}
		}
		if merged != nil && merged.Kind == yaml.AliasNode {
			merged = merged.Alias
		}
		if merged == nil || merged.Kind != yaml.MappingNode {
			return nil
		}
		n = merged
	}
	return nil
}

// lineOf is the line of the value that a path leads to, or of the last step
// that is there.
func lineOf(n *yaml.Node, path []any) int {
	line := n.Line
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			if n.Kind == yaml.MappingNode {
				next = valueOf(n, step)
			}
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next = n.Content[step]
			}
		}
		if next == nil {
			return line
		}
		n, line = next, next.Line
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
	}
	return line
}

// decodeJSON reads one object; lists were cut into their items before.
func (c *chunk) decodeJSON(lim limits) (decoded, error) {
	var out decoded
	if len(c.text) == 0 {
		out.noteList(c.list)
		return out, nil
	}
	var t typeMeta
	if err := json.Unmarshal(c.text, &t); err != nil {
		if text := bytes.TrimSpace(c.text); len(text) > 0 && text[0] != '{' {
			return out, nil
		}
		return out, c.shift(fieldMessage(err))
	}
	if t.Kind == "" {
		t = c.list.itemType()
	}
	if c.item && strings.HasSuffix(t.Kind, "List") {
		return out, c.shift(errors.New("a list within a list"))
	}
	if err := checkDepth(c.text, lim.depth); err != nil {
		return out, c.shift(err)
	}
	out.count++
	o := newItem(nameOf(t.APIVersion, t.Kind))
	if o == nil {
		return out, nil
	}
	err := out.add(c.text, o, t, func([]any) int { return 1 })
	return out, c.shift(err)
}

// checkDepth refuses JSON that is nested deeper than any Kubernetes object.
func checkDepth(text []byte, most int) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case quoted && ch == '\\':
			i++
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '{' || ch == '[':
			if depth++; depth > most {
				return onLine(1+bytes.Count(text[:i], []byte{'\n'}), "nested more than %d deep", most)
			}
		case ch == '}' || ch == ']':
			depth--
		}
	}
	return nil
}

// add decodes, reduces and keeps an object.
func (d *decoded) add(raw []byte, o item, t typeMeta, line func(path []any) int) error {
	if err := json.Unmarshal(raw, o); err != nil {
		return onLine(line(nil), "%s %s: %w", t.Kind, nameIn(raw), fieldMessage(err))
	}
	h := o.head()
	h.APIVersion, h.Kind = t.APIVersion, t.Kind
	if h.Metadata.Name == "" {
		return onLine(line([]any{"metadata"}), "%s without metadata.name", t.Kind)
	}
	d.kinds = append(d.kinds, t.Kind)
	needed, err := o.reduce()
	if err != nil {
		var fe *fieldError
		errors.As(err, &fe)
		var path []any
		if fe != nil {
			path = fe.path
		}
		return onLine(line(path), "%s: %w", clip(h.source()), err)
	}
	if needed {
		d.items = append(d.items, o)
	}
	return nil
}

// noteList notes that a typed list says of its kind which objects there are,
// even when there are none.
func (d *decoded) noteList(t typeMeta) {
	it := t.itemType()
	if it.Kind != "" && newItem(nameOf(it.APIVersion, it.Kind)) != nil {
		d.kinds = append(d.kinds, it.Kind)
	}
}

func nameIn(raw []byte) string {
	var o struct {
		Metadata struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if json.Unmarshal(raw, &o) != nil || o.Metadata.Name == "" {
		return "(without a name)"
	}
	if o.Metadata.Namespace != "" {
		return clip(o.Metadata.Namespace + "/" + o.Metadata.Name)
	}
	return clip(o.Metadata.Name)
}

// fieldMessage says a type mismatch in YAML's words, without Go's type names.
func fieldMessage(err error) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) && te.Field != "" {
		return fmt.Errorf("%s: a %s does not belong here", te.Field, te.Value)
	}
	return err
}
