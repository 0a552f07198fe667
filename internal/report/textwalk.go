package report

import (
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// mostSteps bounds the drawn steps of one walk.
const mostSteps = 12

// sideBySide is the least width at which two walks stand beside each other.
const sideBySide = 90

// walks draws the packet's way now and under the first candidate, as two boxes
// side by side whose steps stand on the same rows, or one below the other.
//
//	╭ now ───────────────╮  ╭ with widen-… ──────╮
//	│ node-7             │  │ node-7             │
//	│ ○ pod sends        │  │ ○ pod sends        │
//	│ ✗ masqueraded      │  │ ○ not masqueraded  │
//	╰ ✗ dropped ─────────╯  ╰ ✓ delivered ───────╯
func (t *screen) walks(v *view) {
	walks := v.walks()
	if len(walks) == 0 {
		return
	}
	t.section("The packet", t.prose(orElse(walkTitle(walks[0]), "step by step"), 2, dim))
	if len(walks) == 2 && t.width >= sideBySide {
		t.pair(walks[0], walks[1])
		return
	}
	for _, w := range walks {
		for _, r := range t.box(w, steps(w, t.width-4), t.width) {
			t.row(r)
		}
	}
}

func walkTitle(w *v1alpha1.Walk) string {
	if w.From == "" || w.To == "" {
		return line(w.Title)
	}
	return strings.TrimPrefix(line(w.Title)+": ", ": ") + line(w.From) + " → " + line(w.To)
}

// walkName says under which configuration a walk is drawn.
func walkName(w *v1alpha1.Walk) string {
	if w.Config == "current" {
		return "now"
	}
	return "with " + line(w.Config)
}

// outcomeMark is ✓ for a packet that arrives, ✗ for one that does not, and ? for
// one of which that is not known.
func outcomeMark(w *v1alpha1.Walk) string {
	outcome := strings.ToLower(line(w.Outcome))
	bad := slices.ContainsFunc(w.Steps, func(s v1alpha1.WalkStep) bool { return s.Bad })
	switch {
	case strings.HasPrefix(outcome, "deliver"):
		return "✓"
	case bad, strings.HasPrefix(outcome, "drop"), strings.HasPrefix(outcome, "lost"), strings.HasPrefix(outcome, "not deliver"):
		return "✗"
	}
	return "?"
}

// outcomeInk colours the outcome like its mark.
func outcomeInk(w *v1alpha1.Walk) string {
	switch outcomeMark(w) {
	case "✓":
		return green
	case "✗":
		return red
	}
	return yellow
}

// drawnStep is one step, cut to lines of the box's inner width.
type drawnStep struct {
	lines []string
	bad   bool
}

// steps cuts the steps of a walk; a new place starts with its name.
func steps(w *v1alpha1.Walk, inner int) []drawnStep {
	var drawn []drawnStep
	place := ""
	for i, s := range w.Steps {
		if i == mostSteps {
			return append(drawn, drawnStep{lines: []string{cut(more(len(w.Steps)-i), inner)}})
		}
		var lines []string
		if where := line(s.Where); where != place {
			place = where
			lines = append(lines, wrapMax(where, inner, 2)...)
		}
		mark := "│ "
		for j, l := range wrapMax(line(s.What), inner-2, 3) {
			if j == 0 {
				l = stepMark(s) + l
			} else {
				l = mark + l
			}
			lines = append(lines, l)
		}
		drawn = append(drawn, drawnStep{lines: lines, bad: s.Bad})
	}
	return drawn
}

func stepMark(s v1alpha1.WalkStep) string {
	if s.Bad {
		return "✗ "
	}
	return "○ "
}

// pair draws two boxes with equal rows.
func (t *screen) pair(before, after *v1alpha1.Walk) {
	w := (t.width - 2) / 2
	left, right := level(steps(before, w-4), steps(after, w-4))
	a, b := t.box(before, left, w), t.box(after, right, w)
	for i := range a {
		t.row(a[i] + "  " + b[i])
	}
}

// level gives both walks the same number of steps and every step the same
// number of lines.
func level(a, b []drawnStep) ([]drawnStep, []drawnStep) {
	for len(a) < len(b) {
		a = append(a, drawnStep{})
	}
	for len(b) < len(a) {
		b = append(b, drawnStep{})
	}
	for i := range a {
		for len(a[i].lines) < len(b[i].lines) {
			a[i].lines = append(a[i].lines, "")
		}
		for len(b[i].lines) < len(a[i].lines) {
			b[i].lines = append(b[i].lines, "")
		}
	}
	return a, b
}

// box draws steps in a frame of w cells, named above, the outcome below.
func (t *screen) box(walk *v1alpha1.Walk, drawn []drawnStep, w int) []string {
	rows := []string{t.edge("╭", "╮", walkName(walk), w, bold)}
	for _, s := range drawn {
		for _, l := range s.lines {
			rows = append(rows, t.paint("│", dim)+" "+t.stepLine(pad(l, w-4), s.bad)+" "+t.paint("│", dim))
		}
	}
	return append(rows, t.edge("╰", "╯", outcomeMark(walk)+" "+orElse(line(walk.Outcome), "outcome unknown"), w, outcomeInk(walk), bold))
}

func (t *screen) stepLine(l string, bad bool) string {
	if bad && (strings.HasPrefix(l, "✗ ") || strings.HasPrefix(l, "│ ")) {
		return t.paint(l, red)
	}
	if strings.HasPrefix(l, "○ ") || strings.HasPrefix(l, "│ ") {
		return l
	}
	return t.paint(l, dim)
}

func (t *screen) edge(left, right, name string, w int, codes ...string) string {
	name = cut(name, w-6)
	rest := max(0, w-4-width(name))
	return t.paint(left+" ", dim) + t.paint(name, codes...) + " " + t.paint(strings.Repeat("─", rest)+right, dim)
}
