package edit

import (
	"slices"
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
	// Remove deletes the entry at Path; Value and Comment are ignored.
	Remove bool
	// Comment is written above what changes, in the file's way to write comments:
	// above the key, item or line that holds it. It is left out when nothing
	// changes, when it stands there already, and where no comment can stand (JSON).
	Comment string
	// Shared allows a change that aliases carry elsewhere: the anchored value is
	// changed, also where Path leads through an alias to it.
	Shared bool
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
		return fill(src, c, v)
	}
	doc, err := document(docs, c.Document)
	if err != nil {
		return result{}, err
	}
	if err := duplicate(doc); err != nil {
		return result{}, err
	}
	path := c.Path
	if c.Shared {
		if path, err = unshare(doc, path, false); err != nil {
			return result{}, err
		}
	}
	e := &editor{src: newText(src), root: doc.Content[0]}
	passed, rest, err := e.walk(doc, path)
	if err != nil {
		return result{}, err
	}
	g := goal{passed: passed, rest: rest, v: v, remove: c.Remove}
	if g.met() {
		return result{src: src, docs: docs}, nil
	}
	if err := e.check(doc, passed, rest, c.Shared); err != nil {
		return result{}, err
	}
	if g.note, err = e.comment(c.Comment, doc.Content[0]); err != nil {
		return result{}, err
	}
	return e.attempt(docs, g)
}

// goal is a change with its place in the tree.
type goal struct {
	passed []slot
	rest   []string
	v      *yaml.Node
	remove bool
	note   []string
}

// met reports that there is nothing to do.
func (g goal) met() bool {
	if g.remove {
		return len(g.rest) > 0
	}
	at := *g.passed[len(g.passed)-1].node
	at.Anchor = ""
	return len(g.rest) == 0 && same(&at, g.v)
}

// ways to write a change, tried in this order: entry by entry, or the whole
// value anew, and each of them without the comment.
var ways = []struct{ whole, silent bool }{{false, false}, {true, false}, {false, true}, {true, true}}

// attempt tries to write the change until the text means what was intended.
func (e *editor) attempt(docs []*yaml.Node, g goal) (result, error) {
	var refusal error
	for _, way := range ways {
		if way.silent && len(g.note) == 0 {
			break
		}
		e.splices, e.err, e.whole, e.note = nil, nil, way.whole, g.note
		if way.silent {
			e.note = nil
		}
		if err := e.write(g); err != nil {
			if refusal == nil {
				refusal = err
			}
			continue
		}
		r, ok, err := e.verify(docs, g)
		if ok || err != nil {
			return r, err
		}
		refusal = refuse(ErrRefused, g.passed[len(g.passed)-1].node.Line, "writing it there would change something else: change it by hand")
	}
	return result{}, refusal
}

// verify makes the splices and reports whether the text means what was
// intended. If so, docs has become what was intended.
func (e *editor) verify(docs []*yaml.Node, g goal) (result, bool, error) {
	out, ok := spliceAll(e.src.bytes, e.splices)
	if !ok {
		return result{}, false, nil
	}
	undo, err := intend(g)
	if err != nil {
		undo()
		return result{}, false, err
	}
	parsed, err := Documents(out)
	if err != nil || !sameDocuments(docs, parsed) {
		undo()
		return result{}, false, nil
	}
	return result{e.splices, out, parsed}, true, nil
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
		if first, again := twice(n.Content); again != nil {
			return refuse(ErrDuplicateKey, again.Line, "%q is on line %d too: remove one of them", again.Value, first.Line)
		}
	}
	for _, c := range n.Content {
		if err := duplicate(c); err != nil {
			return err
		}
	}
	return nil
}

// few entries are compared with each other; more of them go through a map.
const few = 16

// twice finds a scalar key that is there again.
func twice(entries []*yaml.Node) (first, again *yaml.Node) {
	if len(entries) <= 2*few {
		for i := 2; i < len(entries); i += 2 {
			for j := 0; j < i && entries[i].Kind == yaml.ScalarNode; j += 2 {
				if entries[j].Kind == yaml.ScalarNode && entries[j].Value == entries[i].Value {
					return entries[j], entries[i]
				}
			}
		}
		return nil, nil
	}
	seen := make(map[string]*yaml.Node, len(entries)/2)
	for i := 0; i < len(entries); i += 2 {
		k := entries[i]
		if k.Kind != yaml.ScalarNode {
			continue
		}
		if first := seen[k.Value]; first != nil {
			return first, k
		}
		seen[k.Value] = k
	}
	return nil, nil
}

// fill writes the first entry of a text that holds nothing but comments.
func fill(src []byte, c Change, v *yaml.Node) (result, error) {
	if c.Remove {
		return result{src: src}, nil
	}
	t := newText(src)
	root, err := nest(c.Path, v)
	if err != nil {
		return result{}, err
	}
	if root.Kind != yaml.MappingNode {
		return result{}, refuse(ErrPath, 0, "the file is empty: a mapping key is expected first")
	}
	e := &editor{src: t, root: root}
	note, err := e.comment(c.Comment, root)
	if err != nil {
		return result{}, err
	}
	w := &writer{look: &style{width: 2, list: 2}}
	text := strings.Join(slices.Concat(note, w.block(root)), t.eol) + t.eol
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
