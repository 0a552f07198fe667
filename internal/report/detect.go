package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Detection is the answer of `remediate detect`, and what only people look at.
type Detection struct {
	Result v1alpha1.DetectResult
	// Grids are the matrices: nodes by nodes for each family, and what each node
	// found out about services and names.
	Grids []Grid
	// Probes is how many took part of how many; 0 of 0 when none were asked.
	Heard, Probes int
	// Nodes of the cluster.
	Nodes int
	// Took is how long the probes were listened to.
	Took time.Duration
	// Plans: `remediate plan` looks for changes that end one of the [Detection.Causes].
	Plans bool
	// Next is the command to type next; empty for none.
	Next string
}

// DetectJSON writes the result as JSON.
func DetectJSON(w io.Writer, d *Detection) error { return JSON(w, d.Result) }

// DetectText writes it for the eye: the verdict, what was found, the matrices, and
// what was not checked.
func DetectText(w io.Writer, d *Detection, opt TextOptions) error {
	t := newScreen(opt)
	t.detectVerdict(d)
	for i := range d.Result.Findings {
		t.blank()
		t.finding(&d.Result.Findings[i])
	}
	t.pending(d.Result.Pending)
	for _, g := range d.Grids {
		t.grid(g)
	}
	if len(d.Grids) > 0 {
		t.legend(d.Grids)
	}
	t.notChecked(d.Result.NotChecked)
	if d.Next != "" {
		// A command that is cut is of no use.
		t.blank()
		t.row(t.paint("next: ", bold) + line(d.Next))
	}
	return write(w, "text", []byte(t.b.String()))
}

func (t *screen) detectVerdict(d *Detection) {
	switch causes, effects := d.confirmed(); {
	case causes > 0:
		text := "✗ CONFIRMED · " + count(causes, "failure")
		if effects > 0 {
			text += ", and " + count(effects, "effect") + " of it"
		}
		t.row(t.paint(text, red, bold))
	case len(d.Causes()) > 0:
		t.row(t.paint("? NOT CONFIRMED · "+count(len(d.Causes()), "failure")+" predicted", yellow, bold))
	case d.bad():
		t.row(t.paint("? NOT CONFIRMED · something is wrong, and no cause is proven", yellow, bold))
	default:
		t.row(t.paint("✓ OK · nothing confirmed", green, bold))
	}
	t.row("  " + t.paint(cut(d.about(), t.wide()), dim))
}

// confirmed counts what is confirmed and of severity warning or worse: causes, and
// what they bring about.
func (d *Detection) confirmed() (causes, effects int) {
	for _, f := range d.Result.Findings {
		switch {
		case f.Confidence != v1alpha1.ConfidenceConfirmed || f.Severity.Rank() < v1alpha1.SeverityWarning.Rank():
		case f.CausedBy != "":
			effects++
		default:
			causes++
		}
	}
	return causes, effects
}

// Causes are the findings of severity warning or worse that no other explains: those
// that are confirmed, or where none is, those that are predicted.
func (d *Detection) Causes() []v1alpha1.Finding {
	for _, how := range []v1alpha1.Confidence{v1alpha1.ConfidenceConfirmed, v1alpha1.ConfidencePredicted} {
		var out []v1alpha1.Finding
		for _, f := range d.Result.Findings {
			if f.Confidence == how && f.CausedBy == "" && f.Severity.Rank() >= v1alpha1.SeverityWarning.Rank() {
				out = append(out, f)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// Confirmed says whether anything of severity warning or worse is.
func (d *Detection) Confirmed() bool {
	causes, effects := d.confirmed()
	return causes+effects > 0
}

func (d *Detection) bad() bool {
	return len(d.Result.Pending) > 0 || slices.ContainsFunc(d.Grids, Grid.Bad)
}

func (d *Detection) about() string {
	if d.Probes == 0 {
		return fmt.Sprintf("%s · without probes", count(d.Nodes, "node"))
	}
	return fmt.Sprintf("%s · %d of %s heard · %s", count(d.Nodes, "node"), d.Heard, count(d.Probes, "probe"), d.Took.Round(time.Second))
}

func (t *screen) pending(findings []v1alpha1.Finding) {
	var rows []string
	for _, f := range findings {
		rows = append(rows, t.bullet("·", line(f.Signature)+": "+line(f.Summary), 3)...)
		for _, e := range f.Evidence[:min(2, len(f.Evidence))] {
			rows = append(rows, t.bullet(" ", line(e.Text), 2, dim)...)
		}
	}
	t.section("not proven", rows)
}

func (t *screen) notChecked(texts []string) {
	var rows []string
	for _, s := range texts[:min(len(texts), mostNotChecked)] {
		rows = append(rows, t.bullet("·", strings.TrimSpace(line(s)), 3, dim)...)
	}
	if hidden := len(texts) - mostNotChecked; hidden > 0 {
		rows = append(rows, t.paint(fmt.Sprintf("and %d more", hidden), dim))
	}
	t.section("not checked", rows)
}

// mostNotChecked bounds the list of what was not checked.
const mostNotChecked = 12
