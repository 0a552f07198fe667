package v1alpha1

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxMessage is how long a condition's message may be, in bytes.
const MaxMessage = 1024

// Clip makes one printable line of at most n bytes of a text that may be
// anybody's. What cannot be printed, line breaks among it, becomes a space;
// what is cut ends in an ellipsis.
//
// Give messages to conditions already clipped: one that changes when it is
// written looks new each time.
func Clip(text string, n int) string { return clip(text, n, unicode.IsPrint) }

// clipLines does the same and keeps the lines.
func clipLines(text string, n int) string {
	return clip(text, n, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) })
}

const ellipsis = "…"

func clip(text string, n int, keep func(rune) bool) string {
	// Mapping makes nothing shorter than a quarter, so that the rest need not be read.
	cut := len(text) > 4*n+utf8.UTFMax
	if cut {
		text = text[:4*n+utf8.UTFMax]
	}
	text = strings.Map(func(r rune) rune {
		if keep(r) {
			return r
		}
		return ' '
	}, text)
	text = strings.TrimSpace(text)
	if len(text) <= n && !cut {
		return text
	}
	end := min(len(text), n-len(ellipsis))
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	if end <= 0 {
		return ""
	}
	return strings.TrimSpace(text[:end]) + ellipsis
}
