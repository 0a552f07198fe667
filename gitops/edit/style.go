package edit

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// style is how the author of a document writes: what an edit has to look like.
type style struct {
	width    int // spaces per level of mappings
	list     int // spaces before the "-" of a list, from its key
	ranges   quoting
	strings  quoting
	flowList bool // lists of scalars are written [a, b]
	pad      bool // flow mappings are written { a: b }
}

// quoting counts how strings are written.
type quoting struct{ plain, single, double int }

func (q *quoting) add(s yaml.Style) {
	switch {
	case s&yaml.DoubleQuotedStyle != 0:
		q.double++
	case s&yaml.SingleQuotedStyle != 0:
		q.single++
	case s&(yaml.LiteralStyle|yaml.FoldedStyle) == 0:
		q.plain++
	}
}

// quotes is the kind to use where quotes are needed.
func (q quoting) quotes() yaml.Style {
	if q.single > q.double {
		return yaml.SingleQuotedStyle
	}
	return yaml.DoubleQuotedStyle
}

// usual is how most are written, 0 for plain.
func (q quoting) usual() yaml.Style {
	if q.single+q.double > q.plain {
		return q.quotes()
	}
	return 0
}

// rangeLike reports that value looks like an address or a range of addresses.
func rangeLike(value string) bool {
	address, length, _ := strings.Cut(value, "/")
	return strings.ContainsAny(address, ".:") && strings.Trim(address, "0123456789abcdefABCDEF.:") == "" &&
		strings.Trim(length, "0123456789") == ""
}

type tally map[int]int

// most gives the commonest key, the smallest of equals, or none.
func (t tally) most(none int) int {
	best, count := none, 0
	for k, n := range t {
		if n > count || n == count && k < best {
			best, count = k, n
		}
	}
	return best
}

// style is that of the document, found when it is first asked for.
func (e *editor) style() *style {
	if e.look == nil {
		e.look = &style{}
		e.detectStyle(e.root)
	}
	return e.look
}

func (e *editor) detectStyle(root *yaml.Node) {
	widths, lists := tally{}, tally{}
	flow, block, padded, tight := 0, 0, 0, 0
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		isFlow := n.Style&yaml.FlowStyle != 0
		switch {
		case n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.ScalarNode:
			if isFlow {
				flow++
			} else {
				block++
			}
		case n.Kind == yaml.MappingNode && isFlow && len(n.Content) > 0:
			if e.padded(n) {
				padded++
			} else {
				tight++
			}
		}
		for i, child := range n.Content {
			isKey := n.Kind == yaml.MappingNode && i%2 == 0
			if child.Kind == yaml.ScalarNode && !isKey && child.ShortTag() == "!!str" {
				e.look.class(child.Value).add(child.Style)
			}
			if n.Kind == yaml.MappingNode && !isFlow && !isKey {
				measure(n.Content[0].Column, child, widths, lists)
			}
			visit(child)
		}
	}
	visit(root)
	e.look.width = min(max(widths.most(2), 1), 8)
	e.look.list = min(max(lists.most(e.look.width), 0), 8)
	e.look.flowList = flow > block
	e.look.pad = padded > tight
}

func measure(column int, value *yaml.Node, widths, lists tally) {
	if value.Style&yaml.FlowStyle != 0 || len(value.Content) == 0 {
		return
	}
	switch value.Kind {
	case yaml.MappingNode:
		widths[value.Content[0].Column-column]++
	case yaml.SequenceNode:
		if value.Anchor == "" && !hasTag(value) {
			lists[value.Column-column]++
		}
	}
}

func (s *style) class(value string) *quoting {
	if rangeLike(value) {
		return &s.ranges
	}
	return &s.strings
}

// hint is the style of a new string: that of its kind in this file, else that
// of strings in general.
func (s *style) hint(value string) yaml.Style {
	q := *s.class(value)
	if q == (quoting{}) {
		q = s.strings
	}
	return q.usual()
}

func (s *style) quotes() yaml.Style {
	return quoting{
		single: s.ranges.single + s.strings.single,
		double: s.ranges.double + s.strings.double,
	}.quotes()
}

// padded reports a blank after the opening brace.
func (e *editor) padded(m *yaml.Node) bool {
	c := e.src.at(e.content(m) + 1)
	return c == ' '
}

// place chooses the entry of m after which key is best added: its entry number,
// or -1 for before the first. related reports that the two belong together.
func place(m *yaml.Node, key string) (after int, related bool) {
	var keys []string
	for i := 0; i+1 < len(m.Content); i += 2 {
		keys = append(keys, m.Content[i].Value)
	}
	last := len(keys) - 1
	if i := mostRelated(keys, key); i >= 0 {
		return i, true
	}
	if len(keys) < 4 || !slices.IsSortedFunc(keys, compareFold) {
		return last, false
	}
	i, _ := slices.BinarySearchFunc(keys, key, compareFold)
	return i - 1, false
}

func compareFold(a, b string) int {
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

// mostRelated finds the sibling that differs from key in the address family
// only, else the last one that shares at least two words at its beginning or
// end; -1 if there is none.
func mostRelated(keys []string, key string) int {
	want := words(key)
	best, score := -1, 1
	for i, k := range keys {
		have := words(k)
		if slices.Equal(have, want) {
			return i
		}
		if n := max(common(have, want, false), common(have, want, true)); n >= max(score, 2) {
			best, score = i, n
		}
	}
	return best
}

// words splits a key where its case changes, in lower case; both address
// families are the same word.
func words(key string) []string {
	all := make([]string, 0, 8)
	for key != "" {
		n := wordLen(key)
		switch word := strings.ToLower(key[:n]); word {
		case "ipv4", "ipv6":
			all = append(all, "ipvx")
		case "":
			n = 1
		default:
			all = append(all, word)
		}
		key = key[n:]
	}
	return all
}

// wordLen is the length of the word at the beginning of key: an address family,
// or capitals, then small letters and digits.
func wordLen(key string) int {
	if len(key) >= 4 && strings.EqualFold(key[:3], "ipv") && (key[3] == '4' || key[3] == '6') {
		return 4
	}
	n := 0
	for n < len(key) && key[n] >= 'A' && key[n] <= 'Z' {
		n++
	}
	for n < len(key) && (key[n] >= 'a' && key[n] <= 'z' || key[n] >= '0' && key[n] <= '9') {
		n++
	}
	return n
}

// common counts the words that a and b share at their beginning or at their end.
func common(a, b []string, atEnd bool) int {
	n := 0
	for n < len(a) && n < len(b) {
		i, j := n, n
		if atEnd {
			i, j = len(a)-1-n, len(b)-1-n
		}
		if a[i] != b[j] {
			break
		}
		n++
	}
	return n
}
