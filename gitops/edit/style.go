package edit

import (
	"regexp"
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

var rangeLike = regexp.MustCompile(`^[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*(/[0-9]+)?$`)

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
				e.style.class(child.Value).add(child.Style)
			}
			if n.Kind == yaml.MappingNode && !isFlow && !isKey {
				measure(n.Content[0].Column, child, widths, lists)
			}
			visit(child)
		}
	}
	visit(root)
	e.style.width = min(max(widths.most(2), 1), 8)
	e.style.list = min(max(lists.most(e.style.width), 0), 8)
	e.style.flowList = flow > block
	e.style.pad = padded > tight
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
	if rangeLike.MatchString(value) {
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

var word = regexp.MustCompile(`[iI][pP][vV][46]|[A-Z]+[a-z0-9]*|[a-z0-9]+`)

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

func words(key string) []string {
	all := word.FindAllString(key, -1)
	for i, w := range all {
		all[i] = strings.ToLower(w)
		if all[i] == "ipv4" || all[i] == "ipv6" {
			all[i] = "ipvx"
		}
	}
	return all
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
