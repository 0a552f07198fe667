package report

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// The measures of a drawn walk, in SVG units; at full size one unit is one
// pixel. Text is measured in characters of a wide sans-serif face, so that it
// fits in any.
const (
	svgWidth     = 440
	svgWhatChars = 46
	svgBoldChars = 41
	svgWhyChars  = 54
	svgWhatLine  = 19
	svgWhyLine   = 16
	svgPadding   = 12
	svgGap       = 26
	svgNameChars = 50
	svgNameLine  = 18
)

// drawing is one walk laid out as places that hold steps, from top to bottom.
type drawing struct {
	ID, Name, Title, Desc string
	// Class is good, bad or unknown.
	Class, Mark, Outcome string
	Width, Height        int
	Places               []svgPlace
	Arrows               []svgArrow
	OutcomeY             int
}

// svgPlace is a node or another place that a packet passes.
type svgPlace struct {
	name  string
	Names []svgLine
	Y, H  int
	Steps []svgStep
}

type svgStep struct {
	Bad        bool
	Y, H       int
	MarkY      int
	Lines, Why []svgLine
}

type svgLine struct {
	Y    int
	Text string
}

type svgArrow struct{ From, To, Head int }

// drawings lays walks out so that the same step stands at the same height in all.
func drawings(walks []*v1alpha1.Walk) []drawing {
	heights := stepHeights(walks)
	var out []drawing
	for i, w := range walks {
		out = append(out, draw(w, i, heights))
	}
	return out
}

// stepHeights is the height that each step needs in any of the walks.
func stepHeights(walks []*v1alpha1.Walk) []int {
	var heights []int
	for _, w := range walks {
		for i, s := range shownSteps(w) {
			what, why := svgText(s)
			h := 2*svgPadding + len(what)*svgWhatLine + len(why)*svgWhyLine - 4
			if i == len(heights) {
				heights = append(heights, h)
			}
			heights[i] = max(heights[i], h)
		}
	}
	return heights
}

func shownSteps(w *v1alpha1.Walk) []v1alpha1.WalkStep {
	return w.Steps[:min(len(w.Steps), mostSteps)]
}

func svgText(s v1alpha1.WalkStep) (what, why []string) {
	chars := svgWhatChars
	if s.Bad {
		chars = svgBoldChars
	}
	what = wrapMax(line(s.What), chars, 3)
	if s.Why != "" {
		why = wrapMax(line(s.Why), svgWhyChars, 3)
	}
	return what, why
}

func draw(w *v1alpha1.Walk, n int, heights []int) drawing {
	d := drawing{
		ID: fmt.Sprintf("walk%d", n), Name: walkName(w), Title: walkName(w) + ": " + walkTitle(w), Desc: describe(w),
		Mark: outcomeMark(w), Outcome: cut(orElse(line(w.Outcome), "outcome unknown"), 44), Width: svgWidth,
	}
	d.Class = map[string]string{"✓": "good", "✗": "bad"}[d.Mark]
	y := 8
	for i, s := range shownSteps(w) {
		where := line(s.Where)
		if i == 0 || where != d.Places[len(d.Places)-1].name {
			y = d.place(where, y)
		}
		y = d.step(s, y, heights[i])
	}
	if len(d.Places) > 0 {
		y = d.closePlace(y)
		d.arrow(y)
		y += svgGap
	}
	d.OutcomeY = y
	d.Height = y + 44
	return d
}

// place ends the last place and starts another; it returns where its first step goes.
func (d *drawing) place(name string, y int) int {
	if len(d.Places) > 0 {
		y = d.closePlace(y)
		d.arrow(y)
		y += svgGap
	}
	p := svgPlace{name: name, Y: y}
	y += 4
	for _, l := range wrapMax(name, svgNameChars, 2) {
		y += svgNameLine
		p.Names = append(p.Names, svgLine{y - 1, l})
	}
	d.Places = append(d.Places, p)
	return y + 8
}

func (d *drawing) closePlace(y int) int {
	p := &d.Places[len(d.Places)-1]
	p.H = y + 4 - p.Y
	return p.Y + p.H
}

func (d *drawing) arrow(y int) {
	d.Arrows = append(d.Arrows, svgArrow{From: y, To: y + svgGap - 8, Head: y + svgGap - 1})
}

func (d *drawing) step(s v1alpha1.WalkStep, y, h int) int {
	step := svgStep{Bad: s.Bad, Y: y, H: h, MarkY: y + svgPadding + 8}
	what, why := svgText(s)
	at := y + svgPadding + 13
	for _, l := range what {
		step.Lines = append(step.Lines, svgLine{at, l})
		at += svgWhatLine
	}
	at -= 2
	for _, l := range why {
		step.Why = append(step.Why, svgLine{at, l})
		at += svgWhyLine
	}
	p := &d.Places[len(d.Places)-1]
	p.Steps = append(p.Steps, step)
	return y + h + 6
}

// describe is the walk in words, for who cannot see the drawing.
func describe(w *v1alpha1.Walk) string {
	var parts []string
	for _, s := range shownSteps(w) {
		part := line(s.Where) + ": " + line(s.What)
		if s.Bad {
			part += " (here it goes wrong)"
		}
		parts = append(parts, part)
	}
	return strings.Join(append(parts, "Outcome: "+line(w.Outcome)), ". ")
}
