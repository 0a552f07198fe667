package report

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// checkHeadline writes the verdict, the mark in colour.
func (t *screen) checkHeadline(v *checkView) {
	mark, rest, _ := strings.Cut(v.headline(t.width), " ")
	code := green
	if v.fails > 0 {
		code = red
	}
	if v.silent() {
		t.row(t.paint(mark, code, bold) + " " + rest)
		return
	}
	t.row(t.paint(mark, code, bold) + " " + t.paint(rest, bold))
}

// checkChanged writes the Helm values that differ, and what that does to flows.
func (t *screen) checkChanged(v *checkView) {
	var rows []string
	for _, r := range v.Releases {
		if len(r.Changed) == 0 {
			continue
		}
		if about := v.about(r.Release, r.ClusterPath, ""); about != "" {
			rows = append(rows, t.paint(cut(about, t.inner()), dim))
		}
		for i, c := range r.Changed {
			if i == mostChanged && len(r.Changed) > mostChanged+1 {
				rows = append(rows, t.paint(more(len(r.Changed)-i), dim))
				break
			}
			what := line(c.Path) + ": " + value(c.From) + " → " + value(c.To)
			rows = append(rows, t.prose(what, 2)...)
		}
		if f := r.Flows; f != nil && f.Fixed+f.Broken > 0 {
			rows = append(rows, t.paint(cut("flows: "+flows(*f), t.inner()), flowInk(*f)))
		}
		if len(rows) > 4*mostChanged {
			rows = append(rows, t.paint("… "+everything, dim))
			break
		}
	}
	t.section("Changes", rows)
}

func (t *screen) introduced(v *checkView) {
	for i, p := range v.introduced {
		t.blank()
		if i == mostIntroduced {
			t.row(t.paint(more(len(v.introduced)-i), dim))
			return
		}
		t.problem(v, p)
	}
}

// problem writes one introduced problem: name, place, summary, evidence, advice.
func (t *screen) problem(v *checkView, p v1alpha1.Problem) {
	head := severityMark(p.Severity) + " " + strings.ToUpper(cut(line(string(p.Severity)), 12))
	rest := " · " + line(p.Signature)
	if p.Confidence != "" {
		rest += " · " + line(string(p.Confidence))
	}
	t.row(t.paint(head, severityInk(p.Severity), bold) + t.paint(cut(rest, t.width-width(head)), dim))
	var where []string
	if file, n := v.location(p); file != "" {
		where = append(where, at(file, n))
	}
	if about := v.about(p.Release, p.ClusterPath, p.Family); about != "" {
		where = append(where, about)
	}
	if len(where) > 0 {
		t.row("  " + t.paint(cutMiddle(strings.Join(where, " · "), t.wide()), cyan))
	}
	t.indented(line(p.Summary), 4, bold)
	t.problemEvidence(p)
	for _, r := range t.hanging("→ ", line(p.Advice), t.wide(), 4) {
		t.row("  " + r)
	}
}

// problemEvidence writes what does not just say the summary again.
func (t *screen) problemEvidence(p v1alpha1.Problem) {
	shown := 0
	for i, e := range p.Evidence {
		if strings.Contains(p.Summary, e.Text) {
			continue
		}
		if shown == mostEvidence {
			t.row("  " + t.paint(more(len(p.Evidence)-i), dim))
			return
		}
		for _, r := range t.observation(e) {
			t.row("  " + r)
		}
		shown++
	}
}

// left lists what was wrong before, each by name, place and summary.
func (t *screen) left(v *checkView) {
	var rows []string
	for i, p := range v.left {
		if i == mostLeft && len(v.left) > mostLeft+1 {
			rows = append(rows, t.paint(more(len(v.left)-i), dim))
			break
		}
		file, n := v.location(p)
		where := []string{at(file, n), v.about(p.Release, p.ClusterPath, p.Family)}
		rows = append(rows, t.entry(severityMark(p.Severity), severityInk(p.Severity), p.Signature, p.Summary, where...)...)
	}
	t.list("Already wrong, not introduced here", rows)
}

// repairs lists what the base had and the change cured, then what it only hides.
func (t *screen) repairs(v *checkView) {
	var cured, masked []string
	for i, r := range v.Repairs {
		if i == mostRepairs && len(v.Repairs) > mostRepairs+1 {
			cured = append(cured, t.paint(more(len(v.Repairs)-i), dim))
			break
		}
		about := v.about(r.Release, r.ClusterPath, "")
		if r.MaskedBy == "" {
			cured = append(cured, t.entry("✔", green, r.Signature, r.Summary, about)...)
			continue
		}
		masked = append(masked, t.entry("!", yellow, r.Signature, "masked by "+r.MaskedBy+": "+r.Summary, about)...)
	}
	t.list("Repaired", cured)
	t.list("Not repaired, only masked", masked)
}

// list writes rows below a name; nothing when there are none.
func (t *screen) list(name string, rows []string) {
	if len(rows) == 0 {
		return
	}
	t.blank()
	t.row(t.paint(name, bold))
	for _, r := range rows {
		t.row("  " + r)
	}
}

// entry is a name with its mark and place, and below it what there is to say.
func (t *screen) entry(mark, code, name, what string, where ...string) []string {
	head := line(name)
	for _, w := range where {
		if w != "" {
			head += " · " + w
		}
	}
	rows := []string{t.paint(mark, code) + " " + cutMiddle(head, t.wide()-2)}
	if what = line(what); what != "" {
		rows = append(rows, "  "+t.paint(cutSentence(what, t.wide()-2), dim))
	}
	return rows
}

// checkCounts sums up: how many problems of which kind, and which states were
// compared.
func (t *screen) checkCounts(v *checkView) {
	var parts []string
	for _, s := range []v1alpha1.Severity{v1alpha1.SeverityCritical, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo} {
		if n := countSeverity(v.introduced, s); n > 0 {
			parts = append(parts, fmt.Sprintf("%d introduced %s", n, s))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "0 introduced")
	}
	parts = append(parts, fmt.Sprintf("%d already wrong", len(v.left)), fmt.Sprintf("%d repaired", v.cured()))
	if n := len(v.Repairs) - v.cured(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d only masked", n))
	}
	t.blank()
	t.indentedBy(0, strings.Join(parts, " · "), 2)
	compared := state(v.Head) + " against " + state(v.Base)
	if v.Base.How != "" {
		compared += " (" + line(v.Base.How) + ")"
	}
	t.indentedBy(0, compared, 2, dim)
	if len(v.Unknown) > 0 {
		t.indentedBy(0, "Not known: "+joined(v.Unknown, 4)+". "+supply(v.Unknown), 3, dim)
	}
}

func (t *screen) indentedBy(n int, s string, rows int, codes ...string) {
	for _, r := range wrapMax(s, t.width-n, rows) {
		t.row(strings.Repeat(" ", n) + t.paint(r, codes...))
	}
}

func countSeverity(problems []v1alpha1.Problem, s v1alpha1.Severity) int {
	n := 0
	for _, p := range problems {
		if p.Severity == s {
			n++
		}
	}
	return n
}

// cured counts the repairs that hold.
func (v *checkView) cured() int {
	n := 0
	for _, r := range v.Repairs {
		if r.MaskedBy == "" {
			n++
		}
	}
	return n
}
