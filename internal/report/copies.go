package report

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// copyLines say of each place that installs Cilium besides Flux whether it is
// changed as well, at most that many and one for the rest. Marked are those
// that keep the old value.
func copyLines(c *v1alpha1.Candidate, most int) []effectLine {
	var lines []effectLine
	for i, k := range c.Copies {
		if i == most {
			return append(lines, effectLine{fmt.Sprintf("%d more copies of the values (all of them: -o json)", len(c.Copies)-most), true})
		}
		lines = append(lines, copyLine(c, k))
	}
	return lines
}

func copyLine(c *v1alpha1.Candidate, k v1alpha1.Copy) effectLine {
	if k.Edited {
		return effectLine{fmt.Sprintf("%s %s is changed as well", line(copyPlace(k)), line(k.Path)), false}
	}
	for _, s := range c.SideEffects {
		if tellsOf(s, k) {
			return effectLine{line(s), true}
		}
	}
	return effectLine{fmt.Sprintf("%s keeps %s %s: %s", line(copyPlace(k)), line(k.Path), value(k.Value), line(k.Why)), true}
}

func copyPlace(k v1alpha1.Copy) string { return fmt.Sprintf("%s:%d (%s)", k.File, k.Line, k.Kind) }

// tellsOf reports whether a side effect is the sentence about a copy's value.
func tellsOf(sideEffect string, k v1alpha1.Copy) bool {
	return !k.Edited && strings.HasPrefix(sideEffect, copyPlace(k)+" sets "+k.Path+" ")
}

// sideEffects are those that no line about a copy tells.
func sideEffects(c *v1alpha1.Candidate) []string {
	var out []string
	for _, s := range c.SideEffects {
		told := false
		for _, k := range c.Copies {
			told = told || tellsOf(s, k)
		}
		if !told {
			out = append(out, s)
		}
	}
	return out
}

// Copies are the lines about copies of the values, for the template.
func (p *page) Copies() []effectLine {
	if p.best == nil {
		return nil
	}
	return copyLines(p.best, mostItems)
}

// SideEffects are those of the proposed candidate that no line about a copy
// tells, for the template.
func (p *page) SideEffects() []string {
	if p.best == nil {
		return nil
	}
	return sideEffects(p.best)
}
