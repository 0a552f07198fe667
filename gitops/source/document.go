package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth and maxNodes bound a document after its aliases are expanded;
	// the chart's own values.yaml has depth 9 and some 6,000 nodes.
	maxDepth = 100
	maxNodes = 500_000
)

// document is one YAML document of a file.
type document struct {
	file  string
	index int
	node  *yaml.Node // a mapping
	line  int
	id    objectID
	// base leads from the document to node: nil, or [items [0]] in a List.
	base []string
}

// path is the way to a field of the object, from the document's root.
func (d document) path(segs ...string) []string { return append(slices.Clone(d.base), segs...) }

type objectID struct{ apiVersion, kind, namespace, name string }

// group is the API group without the version.
func (id objectID) group() string {
	g, _, ok := strings.Cut(id.apiVersion, "/")
	if !ok {
		return ""
	}
	return g
}

// parse reads all documents of a file that are mappings, and the items of those
// that are Lists. Documents that are empty or of another kind are passed over,
// but counted.
func parse(file string, src []byte) ([]document, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var docs []document
	for i := 0; ; i++ {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, explainYAML(file, src, err)
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) == 0 || n.Content[0].Kind != yaml.MappingNode {
			continue
		}
		root := n.Content[0]
		if err := guard(file, root); err != nil {
			return nil, err
		}
		d := document{file: file, index: i, node: root, line: root.Line, id: identify(root)}
		docs = append(append(docs, d), d.items()...)
	}
}

// items are the objects of a List, such as kubectl prints, which Flux applies
// one by one.
func (d document) items() []document {
	if !strings.HasSuffix(d.id.kind, "List") {
		return nil
	}
	var docs []document
	for i, n := range items(child(d.node, "items")) {
		if n = target(n); n.Kind == yaml.MappingNode {
			docs = append(docs, document{file: d.file, index: d.index, node: n, line: n.Line, id: identify(n), base: []string{"items", "[" + itoa(i) + "]"}})
		}
	}
	return docs
}

// explainYAML adds the likely reason when a template was mistaken for YAML.
func explainYAML(file string, src []byte, err error) error {
	err = atLine(file, err)
	if bytes.Contains(src, []byte("{{")) || bytes.Contains(src, []byte("{%")) {
		return fmt.Errorf("%w (the file looks like a template: render it first, remediate edits only plain YAML)", err)
	}
	return err
}

func identify(n *yaml.Node) objectID {
	return objectID{
		apiVersion: text(child(n, "apiVersion")),
		kind:       text(child(n, "kind")),
		name:       text(lookup(n, "metadata", "name")),
		namespace:  text(lookup(n, "metadata", "namespace")),
	}
}

// guard refuses documents that would grow or nest without bound.
func guard(file string, n *yaml.Node) error {
	g := guardian{sizes: map[*yaml.Node]int{}}
	if _, err := g.size(n, 0); err != nil {
		return fmt.Errorf("%s:%d: %w", file, n.Line, err)
	}
	return nil
}

type guardian struct {
	sizes map[*yaml.Node]int // of anchored nodes: what one alias stands for
}

func (g *guardian) size(n *yaml.Node, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("nested deeper than %d levels (line %d)", maxDepth, n.Line)
	}
	if n.Kind == yaml.AliasNode {
		size, ok := g.sizes[n.Alias]
		if !ok {
			return 0, fmt.Errorf("the anchor %q contains itself (line %d)", n.Value, n.Line)
		}
		return size, nil
	}
	total := 1
	for _, c := range n.Content {
		size, err := g.size(c, depth+1)
		if err != nil {
			return 0, err
		}
		if total += size; total > maxNodes {
			return 0, fmt.Errorf("more than %d nodes once aliases are expanded (line %d)", maxNodes, c.Line)
		}
	}
	if n.Anchor != "" {
		g.sizes[n] = total
	}
	return total, nil
}

// child returns the value of a key of a mapping, looking through an alias, or
// nil. Merge keys are honoured; the mapping's own keys win.
func child(n *yaml.Node, key string) *yaml.Node {
	n = target(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		for _, m := range mergeSources(n.Content[i+1]) {
			if c := child(m, key); c != nil {
				return c
			}
		}
	}
	return nil
}

func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lookup follows a path of mapping keys and "[i]" sequence indexes.
func lookup(n *yaml.Node, path ...string) *yaml.Node {
	for _, seg := range path {
		if n = step(n, seg); n == nil {
			return nil
		}
	}
	return n
}

func step(n *yaml.Node, seg string) *yaml.Node {
	n = target(n)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.SequenceNode {
		i, err := strconv.Atoi(strings.Trim(seg, "[]"))
		if err != nil || i < 0 || i >= len(n.Content) {
			return nil
		}
		return n.Content[i]
	}
	return child(n, seg)
}

// keyLine is the line of the key that leads to a path, or of the item for a
// sequence; 0 when there is none.
func keyLine(n *yaml.Node, path ...string) int {
	if len(path) == 0 {
		return 0
	}
	last := path[len(path)-1]
	parent := target(lookup(n, path[:len(path)-1]...))
	if parent == nil {
		return 0
	}
	if parent.Kind == yaml.MappingNode {
		for _, p := range slices.Backward(pairs(parent)) {
			if p.key == last {
				return p.line
			}
		}
	}
	if v := step(parent, last); v != nil {
		return v.Line
	}
	return 0
}

// text is the value of a scalar, or "".
func text(n *yaml.Node) string {
	if n = target(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// decode converts a node that guard has passed.
func decode(n *yaml.Node, into any) error {
	if n == nil {
		return nil
	}
	return n.Decode(into)
}

// isEncrypted reports whether a document was encrypted with SOPS: it then has
// a top-level key sops with a mac.
func isEncrypted(n *yaml.Node) bool {
	return lookup(n, "sops", "mac") != nil
}

// looksEncrypted is the same for text that may not be YAML.
func looksEncrypted(src []byte) bool {
	return bytes.Contains(src, []byte("ENC[AES256_GCM")) && bytes.Contains(src, []byte("sops"))
}

// splitPath cuts a Helm value's path at its dots; "\." is a dot in a key, and
// "a[0]" an index.
func splitPath(p string) []string {
	var segs []string
	var cur strings.Builder
	flush := func() {
		if cur.Len() > 0 {
			segs = append(segs, cur.String())
			cur.Reset()
		}
	}
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\' && i+1 < len(p):
			i++
			cur.WriteByte(p[i])
		case p[i] == '.':
			flush()
		case p[i] == '[':
			flush()
			cur.WriteByte(p[i])
		default:
			cur.WriteByte(p[i])
		}
	}
	flush()
	return segs
}

// joinPath is the inverse of splitPath.
func joinPath(segs []string) string {
	var b strings.Builder
	for i, s := range segs {
		index := strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]")
		if i > 0 && !index {
			b.WriteByte('.')
		}
		if index {
			b.WriteString(s)
			continue
		}
		b.WriteString(strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`).Replace(s))
	}
	return b.String()
}
