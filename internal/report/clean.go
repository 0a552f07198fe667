package report

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds one printed string, in bytes, before it is escaped.
const maxLine = 4000

// unprintable says whether r acts on a terminal or deceives the eye: control
// characters, bidirectional overrides, zero-width and other ignorable runes.
func unprintable(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// visible writes every unprintable rune and every invalid byte of s as an
// escape that can be read. Line breaks and tabs stay.
func visible(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t' || !unprintable(r):
			b.WriteString(s[i : i+n])
		default:
			b.WriteString(runeEscape(r))
		}
		i += n
	}
	return b.String()
}

func plain(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || (unprintable(r) && r != '\n' && r != '\t') {
			return false
		}
	}
	return true
}

func runeEscape(r rune) string {
	switch {
	case r == '\r':
		return `\r`
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// line makes s one printable line of at most maxLine bytes.
func line(s string) string {
	s = clip(s, maxLine)
	return visible(strings.Join(strings.FieldsFunc(redact(s), breaks), " "))
}

// Line makes s one printable line without credentials, for a terminal.
func Line(s string) string { return line(s) }

func breaks(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// clip cuts s to n bytes at a rune boundary and marks the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// mask stands for what must not be printed.
const mask = "[redacted]"

// The forms of credentials that turn up in logs, URLs and values files. A
// planner never puts them into a document on purpose; this is the last net.
var (
	userinfo = regexp.MustCompile(`(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]+@`)
	bearer   = regexp.MustCompile(`\b((?:[Bb]earer|[Bb]asic) )[A-Za-z0-9._~+/=-]{12,}`)
	tokens   = regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|AGE-SECRET-KEY-1[A-Z0-9]+|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)`)
	secret   = regexp.MustCompile(`(?i)((?:^|[\s,{"'_.-]|[a-z0-9])(?:password|passwd|passphrase|token|secret|api[_-]?key|private[_-]?key|credentials?)["']?[ \t]*[:=][ \t]*)(?:"[^"\n]*"|'[^'\n]*'|[^\s,}][^\n]*)`)
	pem      = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
)

// redact replaces credentials by a mask. A key that ends in a secret's name
// loses its value up to the end of the line.
func redact(s string) string {
	if strings.Contains(s, "-----BEGIN") {
		s = pem.ReplaceAllString(s, mask)
	}
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+mask+"@")
	}
	if strings.Contains(s, "earer ") || strings.Contains(s, "asic ") {
		s = bearer.ReplaceAllString(s, "${1}"+mask)
	}
	if strings.ContainsAny(s, "_-.") || strings.Contains(s, "AKIA") {
		s = tokens.ReplaceAllString(s, mask)
	}
	if strings.ContainsAny(s, ":=") {
		s = secret.ReplaceAllString(s, "${1}"+mask)
	}
	return s
}
