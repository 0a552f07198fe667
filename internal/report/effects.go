package report

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// effectLine is what an edit does to Kustomizations, in one sentence. Marked
// lines are for a person to read before the change is merged.
type effectLine struct {
	text   string
	marked bool
}

// effectLines words effects: a line for each Kustomization that changes or
// could not be built, at most that many, and one for those that stay the same.
func effectLines(effects []v1alpha1.Effect, most int) []effectLine {
	var lines []effectLine
	var same []string
	rest := 0
	for _, e := range effects {
		text := effectText(e)
		switch {
		case text == "":
			same = append(same, e.Kustomization)
		case len(lines) < most:
			lines = append(lines, effectLine{text, true})
		default:
			rest++
		}
	}
	if rest > 0 {
		lines = append(lines, effectLine{fmt.Sprintf("also changes for, or could not be built again: %d more (all of them: -o json)", rest), true})
	}
	if len(same) > 0 {
		lines = append(lines, effectLine{"built again, unchanged: " + joined(same, most), false})
	}
	return lines
}

// effectText is "" for a Kustomization that was built again and is the same.
func effectText(e v1alpha1.Effect) string {
	const most = 3
	switch {
	case e.Unknown != "":
		return fmt.Sprintf("%s could not be built, so what changes for it is not known: %s", line(e.Kustomization), line(e.Unknown))
	case len(e.Changes) == 0:
		return ""
	}
	var changes []string
	for _, c := range e.Changes[:min(most, len(e.Changes))] {
		changes = append(changes, line(c))
	}
	if rest := len(e.Changes) - len(changes); rest > 0 {
		changes = append(changes, fmt.Sprintf("%d more", rest))
	}
	return "also changes for " + line(e.Kustomization) + ": " + strings.Join(changes, "; ")
}

// Effects are the lines about other Kustomizations, for the template.
func (p *page) Effects() []effectLine {
	if p.best == nil {
		return nil
	}
	return effectLines(p.best.Effects, mostItems)
}

// Text and Marked are for the template.
func (l effectLine) Text() string { return l.text }

// Marked reports whether the line needs attention.
func (l effectLine) Marked() bool { return l.marked }
