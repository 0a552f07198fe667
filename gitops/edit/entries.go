package edit

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// addEntry adds a key to a mapping that has entries, in block style below note.
func (e *editor) addEntry(s slot, key string, v *yaml.Node, note []string) {
	m := s.node
	after, related := place(m, key)
	hint := e.style().hint(v.Value)
	if sibling := m.Content[2*max(after, 0)+1]; related && sibling.Kind == yaml.ScalarNode && sibling.ShortTag() == "!!str" {
		hint = sibling.Style
	}
	w := e.writer()
	w.quoteKeys = keyStyle(m)
	if s.flow || m.Style&yaml.FlowStyle != 0 {
		at := e.entry(s, 2*max(after, 0))
		if w.quoteKeys != 0 {
			hint = w.quoteKeys
		}
		e.insertFlow(e.start(at.key), e.pairEnd(at), []string{w.pair(key, v, hint)})
		return
	}
	lines := slices.Concat(note, w.entry(key, v, hint))
	indent := m.Content[0].Column - 1
	spaced := e.spaced(s, len(lines) > len(note)+1)
	if after < 0 && e.prepend(m, lines, indent, spaced) {
		return
	}
	if after < 0 {
		after = len(m.Content)/2 - 1
	}
	if spaced {
		lines = append([]string{""}, lines...)
	}
	e.insertLines(e.end(m.Content[2*after+1], indent), lines, indent)
}

// prepend adds lines above the first entry, unless a comment stands there,
// which may be the file's.
func (e *editor) prepend(m *yaml.Node, lines []string, indent int, spaced bool) bool {
	first := e.start(m.Content[0])
	start := e.src.lineStart(first)
	if !e.src.leads(first) || start == 0 || e.src.at(e.src.skip(e.src.lineStart(start-1), " \t")) == '#' {
		return false
	}
	if spaced {
		lines = append(lines, "")
	}
	eol := e.src.ending(first)
	e.splice(start, start, strings.Join(indented(lines, indent), eol)+eol)
	return true
}

// keyStyle is how the keys of a mapping are quoted: as the first one.
func keyStyle(m *yaml.Node) yaml.Style {
	if m.Kind != yaml.MappingNode || len(m.Content) == 0 {
		return 0
	}
	return m.Content[0].Style & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle)
}

// spaced reports that blank lines separate the entries of a mapping: those of
// several lines in most cases, or all of them.
func (e *editor) spaced(s slot, several bool) bool {
	m := s.node
	indent := m.Content[0].Column - 1
	total, blank := 0, 0
	before := e.end(m.Content[1], indent)
	for i := 2; i+1 < len(m.Content); i += 2 {
		start, end := e.start(m.Content[i]), e.end(m.Content[i+1], indent)
		if !several || e.src.line(start) != e.src.line(end) {
			total++
			if e.blankBetween(before, start) {
				blank++
			}
		}
		before = end
	}
	if several {
		return 2*blank > total
	}
	return total >= 2 && blank == total
}

func (e *editor) blankBetween(a, b int) bool {
	for at := e.src.nextLine(a); at < b; at = e.src.nextLine(at) {
		if e.src.blank(at) {
			return true
		}
	}
	return false
}

// insertItems adds items to a sequence that has some, before item i and in
// block style below note.
func (e *editor) insertItems(s slot, i int, items []*yaml.Node, note []string) {
	seq := s.node
	w := e.writer()
	neighbour := seq.Content[max(i-1, 0)]
	hint := func(v *yaml.Node) yaml.Style {
		if neighbour.Kind == yaml.ScalarNode && neighbour.ShortTag() == "!!str" {
			return neighbour.Style
		}
		return e.style().hint(v.Value)
	}
	if s.flow || seq.Style&yaml.FlowStyle != 0 {
		e.insertFlowItems(s, i, items, hint)
		return
	}
	var lines []string
	indent := e.src.column(e.firstDash(seq))
	apart := i > 1 && e.blankBetween(e.end(seq.Content[i-2], indent), e.dash(seq, i-1))
	for _, item := range items {
		if apart {
			lines = append(lines, "")
		}
		lines = append(append(lines, note...), w.item(item, hint(item))...)
	}
	if i > 0 {
		e.insertLines(e.end(neighbour, indent), lines, indent)
		return
	}
	first := e.firstDash(seq)
	margin := e.src.ending(first) + strings.Repeat(" ", indent)
	e.splice(first, first, strings.Join(lines, margin)+margin)
}

func (e *editor) insertFlowItems(s slot, i int, items []*yaml.Node, hint func(*yaml.Node) yaml.Style) {
	w := e.writer()
	var texts []string
	for _, item := range items {
		if item.Kind == yaml.ScalarNode {
			texts = append(texts, w.scalar(item, hint(item), true))
			continue
		}
		if w.quoteKeys = keyStyle(s.node.Content[0]); w.quoteKeys == 0 {
			w.quoteKeys = keyStyle(s.parent)
		}
		texts = append(texts, w.flow(item))
	}
	if i == 0 {
		first := e.start(s.node.Content[0])
		e.splice(first, first, strings.Join(texts, ", ")+", ")
		return
	}
	at := e.item(s, i-1)
	e.insertFlow(e.start(at.node), e.end(at.node, -1), texts)
}

// insertFlow adds entries behind the one from start to end: on the same line,
// or on lines of their own where that one has a line of its own.
func (e *editor) insertFlow(start, end int, texts []string) {
	if !e.src.leads(start) {
		e.splice(end, end, ", "+strings.Join(texts, ", "))
		return
	}
	margin := e.src.ending(start) + string(e.src.bytes[e.src.lineStart(start):start])
	text := margin + strings.Join(texts, ","+margin)
	next := e.src.skipTrivia(end)
	comma := e.src.at(next) == ','
	if comma {
		end, text = next+1, text+","
	}
	lineEnd := e.src.lineEnd(end)
	if rest := e.src.skip(end, " \t"); rest != lineEnd && e.src.at(rest) != '#' {
		lineEnd = end
	}
	if !comma {
		e.splice(end, end, ",")
	}
	e.splice(lineEnd, lineEnd, text)
}

// pairEnd is the end of an entry of a flow mapping, which may lack its value or
// its colon too.
func (e *editor) pairEnd(s slot) int {
	if !empty(s.node) {
		return e.end(s.node, -1)
	}
	end := e.end(s.key, -1)
	if colon := e.src.skipTrivia(end); e.src.at(colon) == ':' {
		return colon + 1
	}
	return end
}

// remove deletes the entry or item at; the last one leaves {} or [].
func (e *editor) remove(s, at slot) {
	switch {
	case at.key != nil && len(s.node.Content) == 2:
		e.replace(s, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	case at.key != nil:
		e.removeEntry(s, at.index-1)
	case len(s.node.Content) == 1:
		e.replace(s, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
	default:
		e.removeItem(s, at.index)
	}
}

// removeEntry deletes the entry of a mapping whose key is Content[i].
func (e *editor) removeEntry(s slot, i int) {
	m := s.node
	at := e.entry(s, i)
	start, end := e.start(at.key), e.pairEnd(at)
	if !at.flow {
		end = e.end(at.node, at.indent)
	}
	next, before := -1, -1
	if i+2 < len(m.Content) {
		next = e.start(m.Content[i+2])
	}
	if i > 0 {
		before = e.pairEnd(e.entry(s, i-2))
	}
	e.cut(start, end, before, next, at.flow)
}

func (e *editor) removeItem(s slot, i int) {
	seq := s.node
	at := e.item(s, i)
	next, before := -1, -1
	if at.flow {
		if i+1 < len(seq.Content) {
			next = e.start(seq.Content[i+1])
		}
		if i > 0 {
			before = e.end(seq.Content[i-1], -1)
		}
		e.cut(e.start(at.node), e.end(at.node, -1), before, next, true)
		return
	}
	if i+1 < len(seq.Content) {
		next = e.dash(seq, i+1)
	}
	e.cut(e.dash(seq, i), e.end(at.node, at.indent), before, next, false)
}

// cut deletes an entry: its lines in block style, with a comma in flow style.
// before is the end of the entry before and next the start of the one behind, or -1.
func (e *editor) cut(start, end, before, next int, flow bool) {
	switch {
	case !flow && e.src.leads(start):
		e.deleteLines(e.src.lineStart(start), e.src.lineEnd(end))
	case next >= 0:
		e.splice(start, next, "")
	case flow && before >= 0:
		e.splice(before, end, "")
	default:
		if e.err == nil {
			e.err = refuse(ErrRefused, e.src.line(start)+1, "the entry cannot be cut out: remove it by hand")
		}
	}
}
