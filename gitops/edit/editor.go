package edit

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// editor collects the splices of one change to one text.
type editor struct {
	src     *text
	root    *yaml.Node // of the document
	look    *style     // once it was needed
	note    []string   // the lines of the comment to write
	splices []splice
	whole   bool  // write a changed mapping or list anew instead of entry by entry
	err     error // the first position that could not be found
}

func (e *editor) splice(start, end int, text string) {
	e.splices = append(e.splices, splice{start, end, text})
}

func (e *editor) writer() *writer {
	end := len(e.src.bytes)
	return &writer{editor: e, noLiteral: end > 0 && e.src.lineStart(end) != end}
}

func (e *editor) write(g goal) error {
	at := g.passed[len(g.passed)-1]
	switch {
	case g.remove && len(g.rest) > 0:
	case g.remove:
		e.remove(g.passed[len(g.passed)-2], at)
	case len(g.rest) == 0:
		e.set(at, g.v)
		e.explain(g.passed)
	default:
		if err := e.add(at, g.rest, g.v); err != nil {
			return err
		}
		if len(at.node.Content) == 0 || at.flow || at.node.Style&yaml.FlowStyle != 0 {
			e.explain(g.passed)
		}
	}
	return e.err
}

// set gives the node in s the value v.
func (e *editor) set(s slot, v *yaml.Node) {
	n := s.node
	switch {
	case same(n, v):
	case e.whole || n.Kind != v.Kind || len(n.Content) == 0 || len(v.Content) == 0:
		e.replace(s, v)
	case n.Kind == yaml.MappingNode:
		e.setMapping(s, v)
	default:
		e.setSequence(s, v)
	}
}

func (e *editor) setMapping(s slot, v *yaml.Node) {
	m := s.node
	kept := 0
	for i := 0; i+1 < len(m.Content); i += 2 {
		if j := find(v, m.Content[i].Value); j >= 0 && m.Content[i].Kind == yaml.ScalarNode {
			kept++
		}
	}
	if kept == 0 {
		e.replace(s, v)
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if find(v, m.Content[i].Value) < 0 {
			e.removeEntry(s, i)
		}
	}
	for j := 0; j+1 < len(v.Content); j += 2 {
		if i := find(m, v.Content[j].Value); i >= 0 {
			e.set(e.entry(s, i), v.Content[j+1])
		} else {
			e.addEntry(s, v.Content[j].Value, v.Content[j+1], nil)
		}
	}
}

// setSequence leaves the items at both ends that stay, changes those between
// pairwise, and then removes or inserts.
func (e *editor) setSequence(s slot, v *yaml.Node) {
	have, want := s.node.Content, v.Content
	head := 0
	for head < len(have) && head < len(want) && same(have[head], want[head]) {
		head++
	}
	tail := 0
	for tail < len(have)-head && tail < len(want)-head && same(have[len(have)-1-tail], want[len(want)-1-tail]) {
		tail++
	}
	i, j := head, head
	for ; i < len(have)-tail && j < len(want)-tail; i, j = i+1, j+1 {
		e.set(e.item(s, i), want[j])
	}
	for ; i < len(have)-tail; i++ {
		e.removeItem(s, i)
	}
	if j < len(want)-tail {
		e.insertItems(s, i, want[j:len(want)-tail], nil)
	}
}

// add writes v under rest, of which nothing exists, into the node of s.
func (e *editor) add(s slot, rest []string, v *yaml.Node) error {
	n := s.node
	if len(n.Content) == 0 {
		added, err := nest(rest, v)
		if err != nil {
			return err
		}
		if !isNull(n) && added.Kind != n.Kind {
			return refuse(ErrPath, n.Line, "%s does not fit what stands there", rest[0])
		}
		e.replace(s, added)
		return nil
	}
	added, err := nest(rest[1:], v)
	if err != nil {
		return err
	}
	if n.Kind == yaml.SequenceNode {
		e.insertItems(s, len(n.Content), []*yaml.Node{added}, e.note)
	} else {
		e.addEntry(s, rest[0], added, e.note)
	}
	return nil
}

// replace writes v where the node of s stands.
func (e *editor) replace(s slot, v *yaml.Node) {
	block := len(s.node.Content) > 0 && s.node.Style&yaml.FlowStyle == 0
	switch {
	case s.flow:
		e.replaceFlow(s, v)
	case s.key == nil && s.parent.Kind == yaml.DocumentNode:
		e.replaceRoot(s, v)
	case s.key == nil:
		e.replaceItem(s, v)
	case block:
		e.replaceBlock(s, v)
	default:
		e.replaceInline(s, v)
	}
}

// hint is the style for a scalar in the place of n.
func (e *editor) hint(n, v *yaml.Node) yaml.Style {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		return n.Style
	}
	return e.style().hint(v.Value)
}

// extent is where the text of an inline node begins and ends, and what of its
// anchor has to be written again. An explicit tag goes with the value.
func (e *editor) extent(s slot) (start, end int, prefix string) {
	n := s.node
	start, end = e.content(n), e.end(n, s.indent)
	if hasTag(n) {
		start = e.start(n)
		if n.Anchor != "" {
			prefix = "&" + n.Anchor + " "
		}
	}
	return start, end, prefix
}

func (e *editor) replaceFlow(s slot, v *yaml.Node) {
	w := e.writer()
	text := ""
	if v.Kind == yaml.ScalarNode {
		text = w.scalar(v, e.hint(s.node, v), true)
	} else {
		w.quoteKeys = keyStyle(s.parent)
		text = w.flow(v)
	}
	if s.key != nil && empty(s.node) {
		end := e.pairEnd(s)
		if e.src.at(end-1) != ':' {
			text = ":" + " " + text
		} else {
			text = " " + text
		}
		e.splice(end, end, text)
		return
	}
	start, end, prefix := e.extent(s)
	e.splice(start, end, prefix+text)
}

// empty reports a null of which nothing is written.
func empty(n *yaml.Node) bool {
	return isNull(n) && n.Value == "" && n.Anchor == "" && !hasTag(n)
}

// replaceInline replaces a scalar, alias or flow collection behind "key:".
func (e *editor) replaceInline(s slot, v *yaml.Node) {
	w := e.writer()
	inline, below := w.value(v, e.hint(s.node, v))
	start, end, prefix := e.extent(s)
	switch {
	case inline == "" && prefix == "":
		for start > 0 && (e.src.at(start-1) == ' ' || e.src.at(start-1) == '\t') {
			start--
		}
	case start == end: // a null of which nothing is written
		prefix = " " + prefix
	}
	e.splice(start, end, prefix+inline)
	e.insertLines(end, below, s.indent)
}

// replaceBlock replaces the block collection below "key:".
func (e *editor) replaceBlock(s slot, v *yaml.Node) {
	n := s.node
	first, last := e.content(n), e.end(n, s.indent)
	head := e.propsEnd(n)
	if n.Anchor == "" {
		head = e.colon(s)
	}
	if !e.src.leads(first) || hasTag(n) || e.src.line(head) == e.src.line(first) {
		e.lost(n)
		return
	}
	inline, below := e.writer().value(v, e.style().hint(v.Value))
	if v.Kind == n.Kind && inline == "" {
		below = indented(e.writer().block(v), e.src.column(first)-s.indent)
	}
	if inline != "" {
		e.splice(head, head, " "+inline)
	}
	start := e.src.lineStart(first)
	text := strings.Join(indented(below, s.indent), e.src.eol)
	if end := e.src.lineEnd(last); len(below) > 0 {
		e.splice(start, end, text)
	} else {
		e.deleteLines(start, end)
	}
}

// replaceItem replaces what stands behind a dash.
func (e *editor) replaceItem(s slot, v *yaml.Node) {
	start, end, prefix := e.extent(s)
	column := e.src.column(start)
	if empty(s.node) {
		prefix, column = " ", column+1
	}
	lines := e.writer().body(v, e.hint(s.node, v))
	e.splice(start, end, prefix+lines[0])
	e.insertLinesAt(end, indented(lines[1:], column))
}

// replaceRoot fills an empty document, or empties one.
func (e *editor) replaceRoot(s slot, v *yaml.Node) {
	n := s.node
	if empty(n) {
		end := len(e.src.bytes)
		if e.src.skipTrivia(e.start(n)) != end {
			e.lost(n)
			return
		}
		e.insertLinesAt(end, slices.Concat(e.note, e.writer().block(v)))
		return
	}
	start, end, prefix := e.extent(s)
	if !e.src.leads(start) || len(v.Content) == 0 {
		e.splice(start, end, prefix+e.writer().flow(v))
		return
	}
	lines := e.writer().block(v)
	e.splice(start, end, prefix+lines[0])
	e.insertLinesAt(end, indented(lines[1:], e.src.column(start)))
}

// insertLines adds lines at an indentation below the line of off, and below
// the comments there that are indented deeper: they belong to what ends at off.
func (e *editor) insertLines(off int, lines []string, indent int) {
	for at := e.src.nextLine(off); at < len(e.src.bytes); at = e.src.nextLine(at) {
		spaces := e.src.leading(at)
		comment := e.src.at(at+spaces) == '#'
		if comment && spaces > indent {
			off = at
		}
		if !e.src.blank(at) && !(comment && spaces > indent) {
			break
		}
	}
	e.insertLinesAt(off, indented(lines, indent))
}

// insertLinesAt adds lines as they are below the line of off.
func (e *editor) insertLinesAt(off int, lines []string) {
	if len(lines) == 0 {
		return
	}
	eol := e.src.ending(off)
	text := strings.Join(lines, eol)
	if end := e.src.lineEnd(off); breakAt(e.src.bytes, end) == 0 && e.src.lineStart(off) < end {
		e.splice(end, end, eol+text)
		return
	}
	next := e.src.nextLine(off)
	e.splice(next, next, text+eol)
}

// deleteLines removes the lines from start up to and with the one that ends at end.
func (e *editor) deleteLines(start, end int) {
	e.splice(start, end+breakAt(e.src.bytes, end), "")
}
