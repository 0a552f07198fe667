package edit

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Change sets or removes one value.
//
// Setting replaces the value at Path, or adds it under the deepest mapping or
// list that exists. A value that is there already is left alone, byte for byte;
// of a mapping or list only the entries that differ are touched. Removing
// leaves the comments above the entry; a path that is not there is no error.
type Change struct {
	// Document counts from 0 within the file; -1 when only one is expected.
	Document int
	// Path as the package comment describes it; not empty.
	Path []string
	// Value is a scalar, []string, []any, map[string]any (written sorted,
	// "enabled" first), []KV (written in its order) or *yaml.Node; nil is null.
	Value any
	// Remove deletes the entry at Path; Value is ignored.
	Remove bool
}

// Apply makes the changes, one after the other, and returns the new text. The
// error is an [*Error]; then nothing has been changed.
func Apply(src []byte, changes ...Change) ([]byte, error) {
	docs, err := Documents(src)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		var done result
		if done, err = step(src, docs, c); err != nil {
			return nil, err
		}
		src, docs = done.src, done.docs
	}
	return src, nil
}

// result of one change: the splices, and the text and tree that they lead to.
type result struct {
	splices []splice
	src     []byte
	docs    []*yaml.Node
}

// strategies to write a change, tried in order: entry by entry, or the whole value anew.
var strategies = []bool{false, true}

// step makes one change. It modifies docs.
func step(src []byte, docs []*yaml.Node, c Change) (result, error) {
	v, err := toNode(c.Value)
	if err != nil && !c.Remove {
		return result{}, err
	}
	if len(c.Path) == 0 {
		return result{}, refuse(ErrPath, 0, "the path is empty")
	}
	if len(docs) == 0 && c.Document <= 0 {
		return fill(src, c.Path, v, c.Remove)
	}
	doc, err := document(docs, c.Document)
	if err != nil {
		return result{}, err
	}
	if err := duplicate(doc); err != nil {
		return result{}, err
	}
	e := &editor{src: newText(src)}
	e.detectStyle(doc.Content[0])
	passed, rest, err := e.walk(doc, c.Path)
	if err != nil {
		return result{}, err
	}
	if err := e.check(doc, passed, rest); err != nil {
		return result{}, err
	}
	return e.attempt(docs, goal{passed, rest, v, c.Remove})
}

// goal is a change with its place in the tree.
type goal struct {
	passed []slot
	rest   []string
	v      *yaml.Node
	remove bool
}

// attempt tries to write the change until the text means what was intended.
func (e *editor) attempt(docs []*yaml.Node, g goal) (result, error) {
	var results []result
	var refusal error
	for _, whole := range strategies {
		e.splices, e.err, e.whole = nil, nil, whole
		if refusal = e.write(g); refusal != nil {
			continue
		}
		out, ok := spliceAll(e.src.bytes, e.splices)
		if ok {
			results = append(results, result{splices: e.splices, src: out})
		}
	}
	if len(results) == 0 && refusal != nil {
		return result{}, refusal
	}
	if err := intend(g); err != nil {
		return result{}, err
	}
	for _, r := range results {
		parsed, err := Documents(r.src)
		if err == nil && sameDocuments(docs, parsed) {
			r.docs = parsed
			return r, nil
		}
	}
	at := g.passed[len(g.passed)-1].node
	return result{}, refuse(ErrRefused, at.Line, "writing it there would change something else: change it by hand")
}

// document picks the document of that number, or the only one with content.
func document(docs []*yaml.Node, number int) (*yaml.Node, error) {
	if number >= len(docs) {
		return nil, refuse(ErrPath, 0, "document %d is asked for, the file has %d", number, len(docs))
	}
	if number >= 0 {
		return docs[number], nil
	}
	var only *yaml.Node
	for _, d := range docs {
		if isNull(d.Content[0]) && len(docs) > 1 {
			continue
		}
		if only != nil {
			return nil, refuse(ErrPath, d.Line, "one document was expected, here begins another")
		}
		only = d
	}
	if only == nil {
		return nil, refuse(ErrPath, 0, "every document is empty")
	}
	return only, nil
}

// duplicate refuses a document in which a mapping has the same key twice: which
// of them counts differs between readers.
func duplicate(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				continue
			}
			if first, ok := seen[k.Value]; ok {
				return refuse(ErrDuplicateKey, k.Line, "%q is on line %d too: remove one of them", k.Value, first)
			}
			seen[k.Value] = k.Line
		}
	}
	for _, c := range n.Content {
		if err := duplicate(c); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the first entry of a text that holds nothing but comments.
func fill(src []byte, path []string, v *yaml.Node, remove bool) (result, error) {
	if remove {
		return result{src: src}, nil
	}
	t := newText(src)
	e := &editor{src: t, style: style{width: 2, list: 2}}
	root, err := nest(path, v)
	if err != nil {
		return result{}, err
	}
	if root.Kind != yaml.MappingNode {
		return result{}, refuse(ErrPath, 0, "the file is empty: a mapping key is expected first")
	}
	lines := e.writer().block(root)
	text := strings.Join(lines, t.eol) + t.eol
	if end := len(src); end > t.lines[0] && t.lineStart(end) != end {
		text = t.eol + text
	}
	s := []splice{{len(src), len(src), text}}
	out, _ := spliceAll(src, s)
	parsed, err := Documents(out)
	want := []*yaml.Node{{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}}
	if err != nil || !sameDocuments(want, parsed) {
		return result{}, refuse(ErrRefused, 0, "the file holds no values to add to: write the first one by hand")
	}
	return result{s, out, parsed}, nil
}

// nest builds the tree that holds v at path.
func nest(path []string, v *yaml.Node) (*yaml.Node, error) {
	for i := len(path) - 1; i >= 0; i-- {
		index, ok := itemIndex(path[i])
		switch {
		case !ok:
			v = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{scalar("!!str", path[i]), v}}
		case index == 0:
			v = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{v}}
		default:
			return nil, refuse(ErrPath, 0, "%s: a new list begins with [0]", FormatPath(path[:i+1]))
		}
	}
	return v, nil
}
