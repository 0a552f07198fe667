package edit

import (
	"bytes"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// The parser gives the start of each node, never its end. The functions here
// find ends from the starts and from what the parser made of the text. Where
// text and node do not agree, the editor's sticky error is set.

// start is the offset of n, its anchor and tag included.
func (e *editor) start(n *yaml.Node) int {
	off, ok := e.src.offset(n.Line, n.Column)
	if !ok {
		e.lost(n)
	}
	return off
}

func (e *editor) lost(n *yaml.Node) {
	if e.err == nil {
		e.err = refuse(ErrRefused, n.Line, "cannot tell where the value ends: write it in a simpler style, or change it by hand")
	}
}

func hasTag(n *yaml.Node) bool { return n.Style&yaml.TaggedStyle != 0 }

// propsEnd is the offset after the anchor and the tag of n.
func (e *editor) propsEnd(n *yaml.Node) int {
	off := e.start(n)
	end := off
	for {
		c := e.src.at(off)
		if !(c == '&' && n.Anchor != "" || c == '!') {
			return end
		}
		for off < len(e.src.bytes) && breakAt(e.src.bytes, off) == 0 && e.src.at(off) != ' ' && e.src.at(off) != '\t' {
			off++
		}
		end = off
		off = e.src.skipTrivia(off)
	}
}

// content is the offset of n after its anchor and tag.
func (e *editor) content(n *yaml.Node) int {
	end := e.propsEnd(n)
	if end == e.start(n) || isNull(n) && n.Value == "" {
		return end
	}
	return e.src.skipTrivia(end)
}

// end is the offset after the last byte of n. indent is that of the block
// collection around it.
func (e *editor) end(n *yaml.Node, indent int) int {
	off := e.content(n)
	switch {
	case e.err != nil:
		return off
	case n.Kind == yaml.AliasNode:
		return off + 1 + len(n.Value)
	case n.Kind == yaml.ScalarNode:
		return e.scalarEnd(n, off, indent)
	case n.Style&yaml.FlowStyle != 0:
		return e.flowEnd(n, off)
	case len(n.Content) == 0:
		e.lost(n)
		return off
	case n.Kind == yaml.MappingNode:
		indent = n.Content[0].Column - 1
	default:
		indent = e.src.column(off)
	}
	return e.end(n.Content[len(n.Content)-1], indent)
}

func (e *editor) flowEnd(n *yaml.Node, off int) int {
	open := e.src.at(off)
	last := off + 1
	if open != '{' && open != '[' { // the single pair of [a: b]
		last = off
	}
	if len(n.Content) > 0 {
		last = e.end(n.Content[len(n.Content)-1], -1)
	}
	if open != '{' && open != '[' {
		return last
	}
	for {
		last = e.src.skipTrivia(last)
		switch e.src.at(last) {
		case ',', ':':
			last++
		case open + 2: // } and ] follow { and [ by two in ASCII
			return last + 1
		default:
			e.lost(n)
			return last
		}
	}
}

func (e *editor) scalarEnd(n *yaml.Node, off, indent int) int {
	var end int
	var ok bool
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end, ok = quotedEnd(e.src.bytes, off, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		end, ok = quotedEnd(e.src.bytes, off, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return e.blockAt(off, indent).end
	default:
		end, ok = plainEnd(e.src.bytes, off, n.Value)
	}
	if !ok {
		e.lost(n)
	}
	return end
}

func quotedEnd(src []byte, off int, quote byte) (int, bool) {
	if off >= len(src) || src[off] != quote {
		return off, false
	}
	for i := off + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && quote == '"':
			i++
		case src[i] == quote && quote == '\'' && i+1 < len(src) && src[i+1] == quote:
			i++
		case src[i] == quote:
			return i + 1, true
		}
	}
	return off, false
}

// plainEnd follows value through the text: the same runes, but for line folds,
// where one break stands for a space and n+1 breaks for n.
func plainEnd(src []byte, off int, value string) (int, bool) {
	for len(value) > 0 {
		if breaks, next := fold(src, off); breaks > 0 {
			for want := breaks; want > 0; want-- {
				sep, size := utf8.DecodeRuneInString(value)
				switch {
				case breaks == 1 && sep == ' ':
				case breaks > 1 && want == 1:
					size = 0
				case breaks > 1 && size > 0 && breakAt([]byte(value[:size]), 0) > 0:
				default:
					return off, false
				}
				value = value[size:]
			}
			off = next
			continue
		}
		_, size := utf8.DecodeRuneInString(value)
		if !bytes.HasPrefix(src[off:], []byte(value[:size])) {
			return off, false
		}
		off += size
		value = value[size:]
	}
	return off, true
}

// fold counts the line breaks in the white space at off and gives its end.
func fold(src []byte, off int) (breaks, next int) {
	for off < len(src) {
		if n := breakAt(src, off); n > 0 {
			breaks++
			off += n
			continue
		}
		if src[off] != ' ' && src[off] != '\t' {
			break
		}
		off++
	}
	return breaks, off
}

// block is where the content of a literal or folded scalar stands.
type block struct {
	indent      int // spaces before the content
	first, last int // offsets of the start of the first and after the end of the last content line
	end         int // after the scalar: last without its break, or after the kept blank lines
}

// blockAt reads the block scalar whose indicator stands at off, inside a block
// collection of the given indentation (-1 at the root).
func (e *editor) blockAt(off, indent int) block {
	keep, explicit := false, 0
	i := off + 1
	for ; bytes.IndexByte([]byte("+-123456789"), e.src.at(i)) >= 0 && e.src.at(i) != 0; i++ {
		switch c := e.src.at(i); {
		case c == '+':
			keep = true
		case c != '-':
			explicit = int(c - '0')
		}
	}
	header := e.src.lineEnd(i)
	b := block{first: e.src.nextLine(i), last: e.src.nextLine(i), end: header, indent: max(indent+1, 1)}
	if explicit > 0 {
		b.indent = max(indent, 0) + explicit
	}
	measured := explicit > 0
	for at := b.first; at < len(e.src.bytes); at = e.src.nextLine(at) {
		spaces := e.src.leading(at)
		if at+spaces == e.src.lineEnd(at) && (!measured || spaces <= b.indent) {
			if keep {
				b.end = e.src.lineEnd(at)
			}
			continue
		}
		if !measured {
			b.indent, measured = max(b.indent, spaces), true
		}
		if spaces < b.indent {
			break
		}
		b.last, b.end = e.src.nextLine(at), e.src.lineEnd(at)
	}
	return b
}

// firstDash is the offset of the first "-" of a block sequence.
func (e *editor) firstDash(seq *yaml.Node) int {
	off := e.content(seq)
	if e.src.at(off) != '-' {
		e.lost(seq)
	}
	return off
}

// dash is the offset of the "-" before item i of a block sequence.
func (e *editor) dash(seq *yaml.Node, i int) int {
	off := e.firstDash(seq)
	if i > 0 {
		off = e.src.skipTrivia(e.end(seq.Content[i-1], e.src.column(off)))
	}
	if e.src.at(off) != '-' {
		e.lost(seq)
	}
	return off
}

// colon is the offset after the ":" that follows a key.
func (e *editor) colon(s slot) int {
	off := e.src.skipTrivia(e.end(s.key, s.indent))
	if e.src.at(off) != ':' {
		e.lost(s.key)
	}
	return off + 1
}
