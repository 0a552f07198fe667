package edit

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"
)

// text is a file with its lines, broken where the YAML parser breaks them.
type text struct {
	bytes []byte
	lines []int // offset of the first byte of each line
	eol   string
}

var byteOrderMark = []byte("\xef\xbb\xbf")

func newText(src []byte) *text {
	t := &text{bytes: src, lines: []int{0}, eol: "\n"}
	if bytes.HasPrefix(src, byteOrderMark) {
		t.lines[0] = len(byteOrderMark)
	}
	t.lines = slices.Grow(t.lines, bytes.Count(src, []byte("\n")))
	for i := t.nextBreak(0); i < len(src); i = t.nextBreak(i) {
		n := breakAt(src, i)
		if len(t.lines) == 1 {
			t.eol = string(src[i : i+n])
		}
		i += n
		t.lines = append(t.lines, i)
	}
	return t
}

// nextBreak is the offset of the first line break at or behind off, or the end.
func (t *text) nextBreak(off int) int {
	rest := t.bytes[off:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	end := off + len(rest)
	for i, c := range rest {
		if (c == '\r' || c >= 0xc2) && breakAt(t.bytes, off+i) > 0 {
			return off + i
		}
	}
	return end
}

// breakAt is the length of the line break at src[i], 0 if there is none. YAML
// 1.1, which the parser follows, also breaks lines at NEL, LS and PS.
func breakAt(src []byte, i int) int {
	rest := src[i:]
	switch {
	case len(rest) == 0:
		return 0
	case rest[0] == '\n':
		return 1
	case rest[0] == '\r':
		if len(rest) > 1 && rest[1] == '\n' {
			return 2
		}
		return 1
	case bytes.HasPrefix(rest, []byte("\u0085")):
		return 2
	case bytes.HasPrefix(rest, []byte("\u2028")), bytes.HasPrefix(rest, []byte("\u2029")):
		return 3
	}
	return 0
}

// offset of a 1-based line and a 1-based column that counts runes.
func (t *text) offset(line, column int) (int, bool) {
	if line < 1 || line > len(t.lines) {
		return 0, false
	}
	off := t.lines[line-1]
	for ; column > 1; column-- {
		if off >= len(t.bytes) {
			return 0, false
		}
		_, n := utf8.DecodeRune(t.bytes[off:])
		off += n
	}
	return off, true
}

// line is the 0-based line of an offset.
func (t *text) line(off int) int {
	i := sort.SearchInts(t.lines, off+1) - 1
	return max(i, 0)
}

func (t *text) lineStart(off int) int { return t.lines[t.line(off)] }

// nextLine is the start of the following line, or the end of the text.
func (t *text) nextLine(off int) int {
	if i := t.line(off) + 1; i < len(t.lines) {
		return t.lines[i]
	}
	return len(t.bytes)
}

// lineEnd is the offset of the break that ends the line, or the end of the text.
func (t *text) lineEnd(off int) int {
	return t.nextBreak(t.lineStart(off))
}

// ending is the break of the line at off, or the file's usual one.
func (t *text) ending(off int) string {
	end := t.lineEnd(off)
	if n := breakAt(t.bytes, end); n > 0 {
		return string(t.bytes[end : end+n])
	}
	return t.eol
}

// column is the number of runes before off on its line.
func (t *text) column(off int) int {
	return utf8.RuneCount(t.bytes[t.lineStart(off):off])
}

// leads reports that only blanks precede off on its line.
func (t *text) leads(off int) bool {
	return len(bytes.Trim(t.bytes[t.lineStart(off):off], " \t")) == 0
}

// leading counts the spaces that begin the line at off.
func (t *text) leading(off int) int {
	start := t.lineStart(off)
	return t.skip(start, " ") - start
}

func (t *text) blank(off int) bool {
	return len(bytes.Trim(t.bytes[t.lineStart(off):t.lineEnd(off)], " \t")) == 0
}

func (t *text) skip(off int, chars string) int {
	for off < len(t.bytes) && bytes.IndexByte([]byte(chars), t.bytes[off]) >= 0 {
		off++
	}
	return off
}

// skipTrivia passes blanks, line breaks and comments.
func (t *text) skipTrivia(off int) int {
	for off < len(t.bytes) {
		switch n := breakAt(t.bytes, off); {
		case n > 0:
			off += n
		case t.bytes[off] == ' ' || t.bytes[off] == '\t':
			off++
		case t.bytes[off] == '#':
			off = t.lineEnd(off)
		default:
			return off
		}
	}
	return off
}

func (t *text) at(off int) byte {
	if off < 0 || off >= len(t.bytes) {
		return 0
	}
	return t.bytes[off]
}

// splice replaces bytes [start,end) by text.
type splice struct {
	start, end int
	text       string
}

// spliceAll makes all splices at once; at one offset they come out in the order
// given. It reports false when two overlap.
func spliceAll(src []byte, splices []splice) ([]byte, bool) {
	sorted := slices.Clone(splices)
	slices.SortStableFunc(sorted, func(a, b splice) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return a.end - b.end
	})
	var out bytes.Buffer
	at := 0
	for _, s := range sorted {
		if s.start < at || s.end < s.start || s.end > len(src) {
			return nil, false
		}
		out.Write(src[at:s.start])
		out.WriteString(s.text)
		at = s.end
	}
	out.Write(src[at:])
	return out.Bytes(), true
}
