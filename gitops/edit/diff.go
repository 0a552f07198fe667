package edit

import (
	"path"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// diffContext is how many unchanged lines stand around a change, as in git.
const diffContext = 3

// Diff gives the unified diff of one file, with paths a/… and b/…, that
// `git apply` takes; "" when nothing changed. A nil before is a file that was
// not there, a nil after one that is no more.
func Diff(file string, before, after []byte) string {
	from, to := label("a", file), label("b", file)
	if before == nil {
		from = "/dev/null"
	}
	if after == nil {
		to = "/dev/null"
	}
	edits := udiff.Lines(string(before), string(after))
	out, err := udiff.ToUnified(from, to, string(before), edits, diffContext)
	if err != nil {
		return ""
	}
	return out
}

// label quotes a path as git does. A tab ends one that holds a space, for the
// programs that would otherwise take the rest for a date.
func label(side, file string) string {
	name := path.Join(side, file)
	if quoted := strconv.QuoteToASCII(name); quoted != `"`+name+`"` {
		return quoteC(name)
	}
	if strings.Contains(name, " ") {
		return name + "\t"
	}
	return name
}

// quoteC writes a name as a C string with octal escapes, the only ones git reads
// for bytes beyond ASCII.
func quoteC(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			b.WriteString(`\` + string('0'+c>>6) + string('0'+c>>3&7) + string('0'+c&7))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
