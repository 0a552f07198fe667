package yamledit

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// entry is one key of a values file. Its value is a bool, an int, a string as
// it is written, a []string of scalars, or []entry.
type entry struct {
	key   string
	value any
}

// hand is how one author writes.
type hand struct {
	rng      *rand.Rand
	width    int    // spaces per level
	list     int    // spaces before the "-" of a list, from its key
	quote    string // around addresses
	inline   flow   // what stands in flow style
	comments int    // one entry in so many has a comment above
	trailing int    // one scalar in so many has one behind
	blank    bool   // a blank line before each entry of the top level
	tabs     bool   // in comments
	tidy     bool   // as a formatter would leave it
}

// flow says what an author writes in flow style.
type flow int

const (
	noFlow    flow = iota
	someFlow       // short lists, and some mappings
	oneLine        // all values on one line
	manyLines      // a flow mapping with an entry on each line
)

func (h *hand) one(in int) bool { return in > 0 && h.rng.IntN(in) == 0 }

var remarks = []string{
	"required by the gateway", "see https://docs.example.org/install#values: step 2", "größer als nötig", "TODO(ops): remove with 1.19",
	"enabled: false", "日本語のコメント", "don't touch", "{{ not a template }}", "- item", "renovate: datasource=helm depName=cilium",
}

func (h *hand) remark() string {
	r := remarks[h.rng.IntN(len(remarks))]
	if h.tabs {
		r = strings.Replace(r, " ", "\t", 1)
	}
	if h.tidy {
		return "# " + r
	}
	return []string{"# ", "## ", "#"}[h.rng.IntN(12)/5] + r
}

// trail is the remark behind a value.
func (h *hand) trail() string {
	if !h.one(h.trailing) {
		return ""
	}
	gap := 1
	if !h.tidy {
		gap += h.rng.IntN(6)
	}
	return strings.Repeat(" ", gap) + "# " + remarks[h.rng.IntN(len(remarks))]
}

// block writes entries in block style.
func (h *hand) block(entries []entry, indent int) []string {
	margin := strings.Repeat(" ", indent)
	var out []string
	for i, e := range entries {
		if h.blank && indent == 0 && i > 0 {
			out = append(out, "")
		}
		if h.one(h.comments) {
			out = append(out, margin+h.remark())
		}
		out = append(out, h.entry(e, margin, indent)...)
	}
	return out
}

func (h *hand) entry(e entry, margin string, indent int) []string {
	head := margin + e.key + ":"
	switch v := e.value.(type) {
	case []entry:
		if len(v) == 0 {
			return []string{head + " {}" + h.trail()}
		}
		if h.inline == someFlow && len(v) <= 2 && !multiline(v) && h.one(3) {
			return []string{head + " " + h.flow(v) + h.trail()}
		}
		return append([]string{head + h.trail()}, h.block(v, indent+h.width)...)
	case []string:
		if h.inline == someFlow {
			return []string{head + " [" + strings.Join(v, ", ") + "]" + h.trail()}
		}
		out := []string{head + h.trail()}
		for _, item := range v {
			out = append(out, margin+strings.Repeat(" ", h.list)+"- "+item+h.trail())
		}
		return out
	case string:
		return h.text(head, margin, v)
	}
	return []string{head + fmt.Sprintf(" %v", e.value) + h.trail()}
}

// text writes a scalar, or the lines of a block.
func (h *hand) text(head, margin, v string) []string {
	lines := strings.Split(v, "\n")
	switch {
	case v == "":
		return []string{head + h.trail()}
	case len(lines) == 1:
		return []string{head + " " + v + h.trail()}
	}
	out := []string{head + " " + lines[0]}
	for _, l := range lines[1:] {
		if l != "" {
			l = margin + strings.Repeat(" ", h.width) + l
		}
		out = append(out, l)
	}
	return out
}

func multiline(entries []entry) bool {
	for _, e := range entries {
		switch v := e.value.(type) {
		case string:
			if strings.ContainsAny(v, "\n&*") {
				return true
			}
		case []entry:
			if multiline(v) {
				return true
			}
		}
	}
	return false
}

// flow writes entries on one line.
func (h *hand) flow(entries []entry) string {
	var parts []string
	for _, e := range entries {
		parts = append(parts, e.key+": "+h.flowValue(e.value))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func (h *hand) flowValue(value any) string {
	switch v := value.(type) {
	case []entry:
		if len(v) == 0 {
			return "{}"
		}
		return h.flow(v)
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// lines writes the values as the author does, from an indentation.
func (h *hand) lines(entries []entry, indent int) []string {
	margin := strings.Repeat(" ", indent)
	switch h.inline {
	case oneLine:
		return []string{margin + h.flow(entries)}
	case manyLines:
		out := []string{margin + "{"}
		for i, e := range entries {
			comma := ","
			if i == len(entries)-1 {
				comma = ""
			}
			out = append(out, margin+"  "+e.key+": "+h.flowValue(e.value)+comma+h.trail())
		}
		return append(out, margin+"}")
	}
	h.blank = h.blank && indent == 0
	return h.block(entries, indent)
}
