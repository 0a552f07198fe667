package edit

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, in string
		starts   []int
		eol      string
	}{
		{"empty", "", []int{0}, "\n"},
		{"one line", "abc", []int{0}, "\n"},
		{"LF", "a\nb\n", []int{0, 2, 4}, "\n"},
		{"CRLF", "a\r\nb", []int{0, 3}, "\r\n"},
		{"CR", "a\rb", []int{0, 2}, "\r"},
		{"NEL, LS and PS", "a\u0085b\u2028c\u2029d", []int{0, 3, 7, 11}, "\u0085"},
		{"BOM", "\xef\xbb\xbfa\nb", []int{3, 5}, "\n"},
		{"the first break counts", "a\nb\r\n", []int{0, 2, 5}, "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newText([]byte(c.in))
			if len(got.lines) != len(c.starts) || got.eol != c.eol {
				t.Fatalf("lines %v, eol %q", got.lines, got.eol)
			}
			for i, want := range c.starts {
				if got.lines[i] != want {
					t.Errorf("line %d starts at %d, want %d", i, got.lines[i], want)
				}
			}
		})
	}
}

var textual = rapid.StringOf(rapid.SampledFrom([]rune("ab ü😀\t#\n\r\u0085\u2028")))

// Every offset is found again by its line and column.
func TestOffsetsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := textual.Draw(t, "text")
		txt := newText([]byte(src))
		for off := range src {
			if !utf8.RuneStart(src[off]) {
				continue
			}
			line, column := txt.line(off)+1, txt.column(off)+1
			if got, ok := txt.offset(line, column); !ok || got != off {
				t.Fatalf("%q: offset %d is %d:%d, which is offset %d", src, off, line, column, got)
			}
			if start, end := txt.lineStart(off), txt.lineEnd(off); start > off || end < start || txt.nextLine(off) < end {
				t.Fatalf("%q: line of %d from %d to %d", src, off, start, end)
			}
		}
		if _, ok := txt.offset(len(txt.lines)+1, 1); ok {
			t.Fatal("a line beyond the end was found")
		}
		if _, ok := txt.offset(1, len(src)+2); ok {
			t.Fatal("a column beyond the end was found")
		}
	})
}

func TestSpliceAll(t *testing.T) {
	const src = "0123456789"
	for _, c := range []struct {
		name    string
		splices []splice
		want    string
		ok      bool
	}{
		{"none", nil, src, true},
		{"out of order", []splice{{8, 9, "y"}, {1, 2, "x"}}, "0x234567y9", true},
		{"same offset in the order given", []splice{{5, 5, "a"}, {5, 5, "b"}}, "01234ab56789", true},
		{"insertion before a deletion", []splice{{5, 7, ""}, {5, 5, "a"}}, "01234a789", true},
		{"insertion behind a deletion", []splice{{5, 7, ""}, {7, 7, "a"}}, "01234a789", true},
		{"overlap", []splice{{1, 5, ""}, {4, 6, ""}}, "", false},
		{"insertion inside a deletion", []splice{{1, 5, ""}, {3, 3, "a"}}, "", false},
		{"backwards", []splice{{5, 3, ""}}, "", false},
		{"beyond the end", []splice{{5, 11, ""}}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := spliceAll([]byte(src), c.splices)
			if string(got) != c.want || ok != c.ok {
				t.Errorf("%q, %v; want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestPlainEnd(t *testing.T) {
	for _, c := range []struct {
		src, value string
		end        int
		ok         bool
	}{
		{"abc # x", "abc", 3, true},
		{"a b", "a b", 3, true},
		{"a  \n   b", "a b", 8, true},
		{"a\n\n  b", "a\nb", 6, true},
		{"a\r\n\r\n\r\n  b", "a\n\nb", 10, true},
		{"a\u2028 b", "a b", 6, true},
		{"abc", "abd", 0, false},
		{"a\nb", "a\nb", 0, false},
		{"a", "ab", 0, false},
	} {
		end, ok := plainEnd([]byte(c.src), 0, c.value)
		if ok != c.ok || ok && end != c.end {
			t.Errorf("%q as %q: %d, %v; want %d, %v", c.src, c.value, end, ok, c.end, c.ok)
		}
	}
}

func TestQuotedEnd(t *testing.T) {
	for _, c := range []struct {
		src   string
		quote byte
		end   int
		ok    bool
	}{
		{`"a" b`, '"', 3, true}, {`"a\"b" c`, '"', 6, true}, {`"a\\" b`, '"', 5, true}, {`'it''s' x`, '\'', 7, true},
		{`''`, '\'', 2, true}, {`"open`, '"', 0, false}, {`x`, '"', 0, false}, {`"\`, '"', 0, false}, {``, '"', 0, false},
	} {
		end, ok := quotedEnd([]byte(c.src), 0, c.quote)
		if ok != c.ok || ok && end != c.end {
			t.Errorf("%s: %d, %v; want %d, %v", c.src, end, ok, c.end, c.ok)
		}
	}
}

func TestBlockAt(t *testing.T) {
	for _, c := range []struct {
		name, src     string
		indent        int
		body          string // what blockAt takes for the content, up to its end
		contentIndent int
	}{
		{"clip", "|\n  a\n  b\n\nx", 0, "  a\n  b", 2},
		{"keep", "|+\n  a\n\n\nx", 0, "  a\n\n", 2},
		{"indicator", "|2-\n   a\n  b\nx", 0, "   a\n  b", 2},
		{"deeper lines", "|\n  a\n    b\n  c\nx", 0, "  a\n    b\n  c", 2},
		{"blank lines first", "|\n\n   a\nx", 0, "\n   a", 3},
		{"at the root", "|\n a\nb", -1, " a", 1},
		{"in a nested mapping", ">\n    a\n  x", 2, "    a", 4},
		{"comment behind the header", "| # why\n  a\n# x", 0, "  a", 2},
		{"no content", "|\nx", 0, "", 1},
		{"end of the text", "|\n  a", 0, "  a", 2},
		{"blanks that are content", "|\n  a\n    \nx", 0, "  a\n    ", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &editor{src: newText([]byte(c.src))}
			b := e.blockAt(0, c.indent)
			got := ""
			if b.last > b.first {
				got = c.src[b.first:b.end]
			}
			if got != c.body || b.indent != c.contentIndent {
				t.Errorf("content %q indented by %d, want %q by %d", got, b.indent, c.body, c.contentIndent)
			}
		})
	}
}

func TestRefusalsAreSticky(t *testing.T) {
	doc, err := Documents([]byte("a: text\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := &editor{src: newText([]byte("x"))}
	value := doc[0].Content[0].Content[1]
	e.end(value, 0)
	if e.err == nil || !strings.Contains(e.err.Error(), "line 1: edit refused") {
		t.Errorf("error %v", e.err)
	}
}
