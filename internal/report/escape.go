package report

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// gap is a zero-width space. It keeps a forge from reading a mention, an issue
// reference or a link in text that a cluster or a repository gave.
const gap = "&#8203;"

// mdSpecial escapes what is Markdown, HTML, mathematics or a reference.
var mdSpecial = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, `|`, `\|`, `~`, `\~`,
	`<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `$`, `&dollar;`,
	`@`, `@`+gap, `#`, `#`+gap, `://`, `:`+gap+`//`,
)

var (
	// mdReference finds GitLab's !1, %1 and &1, and www. and GH-1.
	mdReference = regexp.MustCompile(`(?i)([!%])(["\w])|\b(www)(\.)|\b(GH)(-\d)`)
	// mdEmoji finds a short code, as in fd00:100:1.
	mdEmoji = regexp.MustCompile(`:([a-z0-9_+-]+):`)
	// mdBlock finds what starts a heading, list, quote, rule or a bot's command at
	// a line's start.
	mdBlock = regexp.MustCompile(`^([#>+=/-]|\d{1,9}[.)])`)
)

// mdText escapes s for a place in a line of Markdown. Nothing in it can start a
// block, a link, a mention or a tag. Words that are code are set as code.
func mdText(s string) string { return mdSpans(line(s), false) }

// mdCell is mdText for a cell of a table.
func mdCell(s string) string { return mdSpans(line(s), true) }

// htmlSpecial escapes what a line of HTML within Markdown would be taken for.
var htmlSpecial = strings.NewReplacer(
	`<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `"`, `&quot;`, `$`, `&dollar;`, "`", `&grave;`, `\`, `&bsol;`, `[`, `&lbrack;`, `]`, `&rbrack;`,
	`@`, `@`+gap, `#`, `#`+gap, `://`, `:`+gap+`//`,
)

// mdSummary escapes s for the title of a folded part, where Markdown is not read
// and forges make links all the same.
func mdSummary(s string) string {
	s = mdReference.ReplaceAllString(line(s), "${1}${3}${5}\x00${2}${4}${6}")
	s = mdEmoji.ReplaceAllString(s, ":\x00${1}:")
	return strings.ReplaceAll(htmlSpecial.Replace(s), "\x00", gap)
}

func mdSpans(s string, cell bool) string {
	var b strings.Builder
	for _, sp := range spans(s) {
		if sp.Code {
			b.WriteString(codeSpan(sp.Text, cell))
			continue
		}
		b.WriteString(mdProse(sp.Text, b.Len() == 0))
	}
	return b.String()
}

func mdProse(s string, first bool) string {
	start := ""
	if first {
		start = mdBlock.FindString(s)
		s = s[len(start):]
	}
	s = mdReference.ReplaceAllString(s, "${1}${3}${5}\x00${2}${4}${6}")
	s = mdEmoji.ReplaceAllString(s, ":\x00${1}:")
	return mdStart(start) + strings.ReplaceAll(mdSpecial.Replace(s), "\x00", gap)
}

// mdStart escapes the last byte of a block's mark, as in \# and 1\.
func mdStart(mark string) string {
	switch {
	case mark == "":
		return ""
	case mark == "#":
		return `\#` + gap
	case mark == ">":
		return "&gt;"
	}
	return mark[:len(mark)-1] + `\` + mark[len(mark)-1:]
}

// mdCode sets s as code; mdCodeCell does so in a cell of a table.
func mdCode(s string) string     { return codeSpan(line(s), false) }
func mdCodeCell(s string) string { return codeSpan(line(s), true) }

// codeSpan fences s, one clean line, with more backticks than it holds.
func codeSpan(s string, cell bool) string {
	if s == "" {
		return ""
	}
	if cell {
		s = strings.ReplaceAll(s, "|", `\|`)
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// fenceFor is a code block's fence that none of the lines can close.
func fenceFor(lines []string) string {
	n := 3
	for _, l := range lines {
		n = max(n, longestRun(l, '`')+1)
	}
	return strings.Repeat("`", n)
}

func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// mermaidText escapes s for a quoted label. Every character that could mean
// something to Mermaid, to its directives or to Markdown inside it becomes a
// number; so does a hyphen, dot or parenthesis that could make a list.
func mermaidText(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if mermaidSafe(runes, i) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "#%d;", r)
	}
	return b.String()
}

func mermaidSafe(runes []rune, i int) bool {
	word := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	switch r := runes[i]; r {
	case '-':
		return word(i-1) && word(i+1)
	case '.', ')':
		return word(i+1) || (word(i-1) && !unicode.IsDigit(runes[i-1]))
	default:
		return word(i) || strings.ContainsRune(" ,:/('→", r)
	}
}
