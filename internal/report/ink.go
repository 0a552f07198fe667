package report

import "strings"

// ink colours text with the terminal's own 16 colours, or leaves it alone.
type ink bool

// The SGR codes in use.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint wraps s in the given codes. The codes never span a line break.
func (on ink) paint(s string, codes ...string) string {
	if !on || s == "" || len(codes) == 0 {
		return s
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + s + "\x1b[0m"
}

// diffLine colours one line of a unified diff.
func (on ink) diffLine(s string) string {
	switch {
	case strings.HasPrefix(s, "+++"), strings.HasPrefix(s, "---"):
		return on.paint(s, bold)
	case strings.HasPrefix(s, "@@"):
		return on.paint(s, cyan)
	case strings.HasPrefix(s, "+"):
		return on.paint(s, green)
	case strings.HasPrefix(s, "-"):
		return on.paint(s, red)
	}
	return s
}
