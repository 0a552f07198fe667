package edit

import (
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// ParsePath reads the dotted form of a path: `spec.values.a`, `list[0].name`,
// `data.values\.yaml` with a backslash before a dot, bracket or backslash that
// belongs to the key.
func ParsePath(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var path []string
	var seg strings.Builder
	open := true // a key is expected or under way
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i == len(s) || !open {
				return nil, refuse(ErrPath, 0, "%q: a backslash stands before the character it escapes", s)
			}
			seg.WriteByte(s[i])
		case '.':
			if open && seg.Len() == 0 {
				return nil, refuse(ErrPath, 0, "%q: empty segment", s)
			}
			path, open = flush(path, &seg), true
		case '[':
			path, open = flush(path, &seg), false
			end := strings.IndexByte(s[i:], ']')
			if end < 0 {
				return nil, refuse(ErrPath, 0, "%q: missing ]", s)
			}
			index := s[i : i+end+1]
			if _, ok := itemIndex(index); !ok {
				return nil, refuse(ErrPath, 0, "%q: %s is not an index", s, index)
			}
			path = append(path, index)
			i += end
		default:
			if !open {
				return nil, refuse(ErrPath, 0, "%q: a dot belongs after ]", s)
			}
			seg.WriteByte(c)
		}
	}
	if open && seg.Len() == 0 {
		return nil, refuse(ErrPath, 0, "%q: empty segment at the end", s)
	}
	return flush(path, &seg), nil
}

func flush(path []string, seg *strings.Builder) []string {
	if seg.Len() > 0 {
		path = append(path, seg.String())
		seg.Reset()
	}
	return path
}

var escapes = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `[`, `\[`)

// FormatPath is the inverse of [ParsePath]. A mapping key that looks like an
// index is taken for an index.
func FormatPath(path []string) string {
	var b strings.Builder
	for _, seg := range path {
		if _, ok := itemIndex(seg); ok {
			b.WriteString(seg)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(escapes.Replace(seg))
	}
	return b.String()
}

// itemIndex reads "[3]".
func itemIndex(seg string) (int, bool) {
	digits, ok := strings.CutPrefix(seg, "[")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, "]")
	if !ok || len(digits) > 9 || strings.TrimLeft(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// slot is a place in the tree: a node and what holds it.
type slot struct {
	parent *yaml.Node // document, mapping or sequence
	key    *yaml.Node // when the parent is a mapping
	node   *yaml.Node
	index  int  // of node in parent.Content
	indent int  // spaces before the entries of the block collection around node, -1 at the root
	flow   bool // inside a flow collection
}

// walk follows path from the root of doc as far as it exists. It returns the
// slots passed, the root first, and the segments that are left.
func (e *editor) walk(doc *yaml.Node, path []string) ([]slot, []string, error) {
	at := slot{parent: doc, node: doc.Content[0], indent: -1}
	passed := []slot{at}
	for i, seg := range path {
		next, ok, err := e.child(at, seg)
		if err != nil {
			err.Detail = FormatPath(path[:i+1]) + ": " + err.Detail
			return nil, nil, err
		}
		if !ok {
			return passed, path[i:], nil
		}
		at = next
		passed = append(passed, at)
	}
	return passed, nil, nil
}

func (e *editor) child(at slot, seg string) (slot, bool, *Error) {
	n := at.node
	switch {
	case n.Kind == yaml.AliasNode:
		return slot{}, false, refuse(ErrAliased, n.Line, "the value is *%s; change it where &%s stands, line %d", n.Value, n.Value, n.Alias.Line)
	case n.Kind == yaml.MappingNode:
		i := find(n, seg)
		if i < 0 {
			return slot{}, false, nil
		}
		return e.entry(at, i), true, nil
	case n.Kind == yaml.SequenceNode:
		i, ok := itemIndex(seg)
		if !ok || i > len(n.Content) {
			return slot{}, false, refuse(ErrPath, n.Line, "a list of %d items stands there", len(n.Content))
		}
		if i == len(n.Content) {
			return slot{}, false, nil
		}
		return e.item(at, i), true, nil
	case isNull(n):
		return slot{}, false, nil
	}
	return slot{}, false, refuse(ErrPath, n.Line, "a scalar stands there")
}

// entry is the slot of the value whose key is at.node.Content[i].
func (e *editor) entry(at slot, i int) slot {
	m := at.node
	flow := at.flow || m.Style&yaml.FlowStyle != 0
	s := slot{parent: m, key: m.Content[i], node: m.Content[i+1], index: i + 1, indent: at.indent, flow: flow}
	if !flow {
		s.indent = m.Content[0].Column - 1
	}
	return s
}

// item is the slot of the i-th item of the sequence at.node.
func (e *editor) item(at slot, i int) slot {
	seq := at.node
	flow := at.flow || seq.Style&yaml.FlowStyle != 0
	s := slot{parent: seq, node: seq.Content[i], index: i, indent: at.indent, flow: flow}
	if !flow {
		s.indent = e.src.column(e.firstDash(seq))
	}
	return s
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
