package report

import (
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

// width is the number of terminal cells that s takes.
func width(s string) int {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == '\x1b' {
			return lipgloss.Width(s)
		}
	}
	return len(s)
}

// pad fills s up with spaces to w cells.
func pad(s string, w int) string {
	if n := w - width(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// padLeft is pad with the spaces in front.
func padLeft(s string, w int) string {
	if n := w - width(s); n > 0 {
		return strings.Repeat(" ", n) + s
	}
	return s
}

// cut shortens s to w cells, at a space where there is one near, and marks the cut.
func cut(s string, w int) string {
	if width(s) <= w {
		return s
	}
	head, _ := split(s, w-1)
	if i := strings.LastIndexByte(head, ' '); i > len(head)/2 {
		head = head[:i]
	}
	return strings.TrimRight(head, " ,;:·") + "…"
}

// cutMiddle shortens a path to w cells and keeps its end, which names the file.
func cutMiddle(s string, w int) string {
	if width(s) <= w {
		return s
	}
	start, cells := len(s), 0
	for start > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:start])
		if cells += width(string(r)); cells > w-1 {
			break
		}
		start -= n
	}
	tail := s[start:]
	if i := strings.IndexByte(tail, '/'); i >= 0 && i < len(tail)/2 {
		tail = tail[i:]
	}
	return "…" + tail
}

// split divides s after at most w cells, at least one rune.
func split(s string, w int) (head, rest string) {
	cells := 0
	for i, r := range s {
		cells += width(string(r))
		if cells > w && i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// splitWord is split after a mark inside of a long name where there is one near.
func splitWord(s string, w int) (head, rest string) {
	head, rest = split(s, w)
	if i := strings.LastIndexAny(head, "-/.:,"); i >= len(head)/2 {
		return s[:i+1], s[i+1:]
	}
	return head, rest
}

// wrap breaks s into lines of at most w cells. A word that is longer than a line
// starts in the line before it. An empty s gives one empty line.
func wrap(s string, w int) []string {
	w = max(w, 8)
	var lines []string
	current := ""
	for _, word := range strings.Fields(s) {
		switch {
		case current == "":
			current = word
		case width(current)+1+width(word) <= w, width(word) > w:
			current += " " + word
		default:
			lines = append(lines, current)
			current = word
		}
		for width(current) > w {
			head, rest := splitWord(current, w)
			lines = append(lines, head)
			current = rest
		}
	}
	return append(lines, current)
}

// wrapMax is wrap cut to n lines.
func wrapMax(s string, w, n int) []string {
	lines := wrap(s, w)
	if len(lines) <= n {
		return lines
	}
	rest := strings.Join(lines[n-1:], " ")
	return append(lines[:n-1], cut(rest, max(w, 8)))
}
