package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// VerifyJSON writes the result as JSON.
func VerifyJSON(w io.Writer, r *v1alpha1.VerifyResult) error { return JSON(w, r) }

// VerifyText writes it for the eye: the verdict, each step with what it waits for,
// the nodes that lack the change, and the flows before and after.
func VerifyText(w io.Writer, r *v1alpha1.VerifyResult, opt TextOptions) error {
	t := newScreen(opt)
	t.verifyVerdict(r)
	t.verifySteps(r.Steps)
	t.verifyNodes(r.Nodes)
	t.verifyFollowUp(r.FollowUp)
	t.verifyFlows(r.Flows)
	var rows []string
	for _, e := range r.Evidence[:min(len(r.Evidence), 12)] {
		rows = append(rows, t.bullet("·", strings.TrimSpace(line(e.Source)+" "+line(e.Text)), 2, dim)...)
	}
	t.section("seen", rows)
	t.notChecked(r.NotChecked)
	return write(w, "text", []byte(t.b.String()))
}

func (t *screen) verifyVerdict(r *v1alpha1.VerifyResult) {
	mark, codes := "…", []string{yellow, bold}
	switch r.Verdict {
	case "Verified":
		mark, codes = "✓", []string{green, bold}
	case "":
	default:
		mark, codes = "✗", []string{red, bold}
	}
	verdict := r.Verdict
	if verdict == "" {
		verdict = "NO VERDICT YET"
	}
	t.row(t.paint(mark+" "+line(verdict), codes...))
	for _, l := range wrapMax(line(r.Summary), t.wide(), 6) {
		t.row("  " + l)
	}
	about := fmt.Sprintf("commit %.12s", line(r.Commit))
	if r.Release != "" {
		about += " · " + line(r.Release)
	}
	if r.PullRequest != "" {
		about += " · " + line(r.PullRequest)
	}
	t.row("  " + t.paint(cut(about, t.wide()), dim))
}

// stepMarks are how far a step is.
func (t *screen) stepMark(done string) string {
	switch done {
	case "yes":
		return t.paint("✓", green)
	case "no":
		return t.paint("·", yellow)
	}
	return t.paint("?", yellow)
}

func (t *screen) verifySteps(steps []v1alpha1.VerifyStep) {
	t.blank()
	for _, s := range steps {
		text := t.stepMark(s.Done) + " " + line(s.Step)
		if s.Since != "" {
			text += t.paint(" since "+line(s.Since), dim)
		}
		t.row("  " + text)
		for _, w := range s.Waits {
			what := line(w.Text)
			if w.Object != "" {
				what = line(w.Object) + ": " + what
			}
			for _, l := range t.hanging("    ", what, t.wide(), 3) {
				t.row("  " + l)
			}
		}
	}
}

// verifyNodes lists those that are not active; of the others only how many.
func (t *screen) verifyNodes(nodes []v1alpha1.VerifyNode) {
	const most = 20
	var rows []string
	active := 0
	for _, n := range nodes {
		switch {
		case n.Active == "yes":
			active++
			continue
		case len(rows) < most:
			rows = append(rows, cut(t.stepMark(n.Active)+" "+line(n.Node)+": "+line(n.Reason), t.wide()))
		}
	}
	if len(nodes) == 0 {
		return
	}
	if hidden := len(nodes) - active - len(rows); hidden > 0 {
		rows = append(rows, t.paint(fmt.Sprintf("and %d more", hidden), dim))
	}
	rows = append([]string{fmt.Sprintf("%d of %s run the change", active, count(len(nodes), "agent"))}, rows...)
	t.section("agents", rows)
}

func (t *screen) verifyFollowUp(f *v1alpha1.VerifyFollowUp) {
	if f == nil {
		return
	}
	rows := t.prose(line(f.Why), 4)
	for _, c := range f.Commands {
		rows = append(rows, t.paint(line(c), bold))
	}
	var values []string
	for path, v := range f.Values {
		values = append(values, line(path)+": "+line(fmt.Sprint(v)))
	}
	slices.Sort(values)
	if len(values) > 0 {
		rows = append(rows, t.prose("or in the release's values: "+strings.Join(values, ", "), 3)...)
	}
	t.section("follow-up", rows)
}

func (t *screen) verifyFlows(flows []v1alpha1.VerifyFlow) {
	var rows []string
	for _, f := range flows[:min(len(flows), 24)] {
		before := line(f.Before)
		rows = append(rows, cut(fmt.Sprintf("%s %s  %s → %s", t.stepMark(f.Works), pad(cut(line(f.Class), 44), 44), before, line(f.After)), t.wide()))
	}
	t.table("flows", "before the change → since every agent runs it", rows)
}
