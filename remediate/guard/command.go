package guard

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Verb of a command.
type Verb string

const (
	// Replan forgets a refusal, and ends a snooze.
	Replan Verb = "replan"
	// Reject closes the pull request and remembers the refusal.
	Reject Verb = "reject"
	// Choose takes another candidate.
	Choose Verb = "candidate"
	// Snooze leaves everything alone for a while.
	Snooze Verb = "snooze"
)

// Usage lists the commands, for an answer to one that is none of them.
const Usage = "/remediate replan, /remediate reject REASON, /remediate candidate ID, /remediate snooze 7d"

const (
	// MaxSnooze bounds a snooze, so that one forgotten comment does not silence a
	// cluster for ever. A longer one is shortened to it.
	MaxSnooze = 90 * 24 * time.Hour
	// maxArg bounds an argument, in bytes.
	maxArg = 300
	// maxCommands of one comment; those after are left out.
	maxCommands = 20
)

// Command is what a person with write access wrote in a comment of its own line:
// "/remediate snooze 7d".
type Command struct {
	// Verb is empty for a command that is not known; Arg is then what was written.
	Verb Verb
	// Arg is the reason, the candidate's id, or the duration: one printable line of
	// at most 300 bytes. It is a stranger's text all the same: escape it for the
	// place where it is shown.
	Arg string
	// For is Arg of a snooze, at most [MaxSnooze]; 0 when Arg is no duration.
	For time.Duration
	By  string
	At  time.Time
	// Comment is the forge's id of the comment.
	Comment string
}

// Problem says why a command cannot be followed, and what to write instead; it
// is empty for a good one.
func (c Command) Problem() string {
	switch {
	case c.Verb == "":
		return "this is no command; there are " + Usage
	case c.Verb == Choose && c.Arg == "":
		return "name the candidate: /remediate candidate ID"
	case c.Verb == Snooze && c.For <= 0:
		return "name the time in minutes, hours, days or weeks, 90d at most: /remediate snooze 7d"
	}
	return ""
}

// ParseCommand reads the commands of a comment, in their order. A command stands
// at the start of a line, outside of code fences, quotes and HTML comments. By,
// At and Comment are the caller's to set. The text may be anybody's: the result
// is bounded, and the time linear in its length.
func ParseCommand(comment string) []Command {
	var out []Command
	var s scanner
	for l := range strings.SplitSeq(lineBreaks.Replace(comment), "\n") {
		l, ok := s.visible(l)
		if !ok {
			continue
		}
		if c, ok := parseLine(l); ok {
			out = append(out, c)
		}
		if len(out) == maxCommands {
			break
		}
	}
	return out
}

var (
	lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	// fence opens or closes a code block, also as the first thing in a list's item.
	fence    = regexp.MustCompile("^[ \t]*(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?(`{3,}|~{3,})(.*)$")
	duration = regexp.MustCompile(`^([0-9]{1,6})([mhdw])$`)
)

// scanner follows the code fences and HTML comments of a Markdown text.
type scanner struct {
	fence  string // that opened the code block; empty outside
	hidden bool   // inside of an HTML comment
}

// visible takes HTML comments out of the next line. ok is false for a line that
// is code, or that starts inside of a comment.
func (s *scanner) visible(l string) (text string, ok bool) {
	if s.hidden {
		_, rest, closed := strings.Cut(l, "-->")
		s.hidden = !closed
		if closed {
			s.strip(rest)
		}
		return "", false
	}
	if m := fence.FindStringSubmatch(l); m != nil && s.fenced(m[1], m[2]) {
		return "", false
	}
	if s.fence != "" {
		return "", false
	}
	return s.strip(l), true
}

// fenced follows a line of fence marks. It reports false for one that is none:
// code between backticks in a line of prose.
func (s *scanner) fenced(marks, rest string) bool {
	switch {
	case s.fence == "" && marks[0] == '`' && strings.Contains(rest, "`"):
		return false
	case s.fence == "":
		s.fence = marks
	case marks[0] == s.fence[0] && len(marks) >= len(s.fence) && strings.TrimSpace(rest) == "":
		s.fence = ""
	}
	return true
}

// strip takes HTML comments out of a line, and notes one that stays open.
func (s *scanner) strip(l string) string {
	var b strings.Builder
	for {
		before, rest, opened := strings.Cut(l, "<!--")
		b.WriteString(before)
		if !opened {
			return b.String()
		}
		_, after, closed := strings.Cut(rest, "-->")
		if !closed {
			s.hidden = true
			return b.String()
		}
		l = after
	}
}

func parseLine(l string) (Command, bool) {
	const name = "/remediate"
	if len(l) < len(name) || !strings.EqualFold(l[:len(name)], name) {
		return Command{}, false
	}
	rest := l[len(name):]
	if r, _ := utf8.DecodeRuneInString(rest); rest != "" && !unicode.IsSpace(r) {
		return Command{}, false
	}
	rest = strings.TrimSpace(rest)
	verb, arg := rest, ""
	if i := strings.IndexFunc(rest, unicode.IsSpace); i >= 0 {
		verb, arg = rest[:i], rest[i:]
	}
	c := Command{Verb: Verb(strings.ToLower(verb)), Arg: printable(arg, maxArg)}
	switch c.Verb {
	case Replan, Reject:
	case Choose:
		c.Arg = strings.Trim(c.Arg, "`'\"")
	case Snooze:
		c.For = snoozeFor(c.Arg)
	default:
		c = Command{Arg: printable(rest, maxArg)}
	}
	return c, true
}

// snoozeFor reads 30m, 12h, 7d or 2w; 0 is no duration.
func snoozeFor(arg string) time.Duration {
	m := duration.FindStringSubmatch(strings.ToLower(arg))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	if time.Duration(n) > MaxSnooze/unit {
		return MaxSnooze
	}
	return time.Duration(n) * unit
}

// printable makes s one line of at most most bytes without anything that acts on
// a terminal or hides from the eye.
func printable(s string, most int) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r)+len(" …") > most {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
