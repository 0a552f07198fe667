package verify

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	// maxName and maxText bound what others said, in bytes: a name of an object, and
	// a message of a controller.
	maxName = 253
	maxText = 300
	// maxListed is how many names stand in a sentence.
	maxListed = 5
)

// clip makes a text that others wrote fit to be shown: no control characters, and
// no more than n bytes.
func clip(s string, n int) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if b.Len() >= n {
			break
		}
		if unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsPrint(r) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	out := b.String()
	if len(out) > n {
		out = strings.ToValidUTF8(out[:n], "")
	}
	return strings.TrimSpace(out)
}

func name(s string) string { return clip(s, maxName) }

// said is a controller's message as the end of a sentence, or nothing.
func said(message string) string {
	if m := clip(message, maxText); m != "" {
		return ": " + m
	}
	return ""
}

// some is a list of names, cut to a few.
func some(names []string) string {
	shown := make([]string, 0, maxListed)
	for _, n := range names[:min(len(names), maxListed)] {
		shown = append(shown, name(n))
	}
	if more := len(names) - len(shown); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), more)
	}
	return strings.Join(shown, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// lasted is a duration for people.
func lasted(d time.Duration) string { return max(0, d).Round(time.Second).String() }

// short is a commit or a revision's commit for people.
func short(commit string) string {
	c := name(commit)
	if len(c) > 12 && strings.Trim(c, "0123456789abcdef") == "" {
		return c[:12]
	}
	return c
}

// earliest leaves out times that are not known.
func earliest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}

func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// all is yes when each is, no when one is not, else unknown.
func all(tris ...snapshot.Tri) snapshot.Tri {
	out := snapshot.Yes
	for _, t := range tris {
		if t == snapshot.No {
			return t
		}
		if t == snapshot.Unknown {
			out = t
		}
	}
	return out
}
