package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// TextOptions say how to draw for a terminal.
type TextOptions struct {
	// Color paints with the terminal's 16 colours.
	Color bool
	// Width of the terminal in cells; 0 means 100. Below 60 it counts as 60,
	// above 140 as 140.
	Width int
}

// The bounds of a screen: how many entries of a list are shown.
const (
	mostEvidence   = 4
	mostCandidates = 5
	mostRejected   = 6
	mostFindings   = 5
	mostSymptoms   = 4
	mostDiffLines  = 40
)

// gutter is the width of the column that holds the sections' names.
const gutter = 13

// Text writes p for the eye: verdict, cause, evidence, the packet's walk before
// and after, candidates, rollout and what stays unexplained, the diff last.
func Text(w io.Writer, p *v1alpha1.Plan, opt TextOptions) error {
	v, err := newView(p)
	if err != nil {
		return err
	}
	t := newScreen(opt)
	t.headline(v)
	t.fix(v)
	t.evidence(v)
	t.walks(v)
	t.candidates(v)
	t.rejected(v)
	t.rollout(v)
	t.alsoFound(v)
	t.limits(v)
	t.diff(v)
	return write(w, "text", []byte(t.b.String()))
}

// FindingsText writes findings one below the other, with their evidence, for
// results that have no plan.
func FindingsText(w io.Writer, findings []v1alpha1.Finding, opt TextOptions) error {
	t := newScreen(opt)
	if len(findings) == 0 {
		t.row(t.paint("✓ OK · nothing found", green, bold))
	}
	for i, f := range findings {
		if i > 0 {
			t.blank()
		}
		t.finding(&f)
	}
	return write(w, "text", []byte(t.b.String()))
}

// screen collects lines for a terminal.
type screen struct {
	ink
	b     strings.Builder
	width int
}

func newScreen(opt TextOptions) *screen {
	w := opt.Width
	if w == 0 {
		w = 100
	}
	return &screen{ink: ink(opt.Color), width: min(max(w, 60), 140)}
}

// inner is the width right of the gutter.
func (t *screen) inner() int { return t.width - gutter }

// wide is the width of rows that stand below their section's name.
func (t *screen) wide() int { return t.width - 2 }

func (t *screen) row(s string) {
	t.b.WriteString(strings.TrimRight(s, " "))
	t.b.WriteString("\n")
}

func (t *screen) blank() { t.b.WriteString("\n") }

// section writes rows beside the section's name, after a blank line; nothing
// when there are no rows.
func (t *screen) section(name string, rows []string) {
	if len(rows) == 0 {
		return
	}
	t.blank()
	t.labelled(name, rows)
}

// labelled writes rows beside a name.
func (t *screen) labelled(name string, rows []string) {
	for i, r := range rows {
		label := ""
		if i == 0 {
			label = name
		}
		t.row(t.paint(pad(label, gutter), bold) + r)
	}
}

// table writes rows below the section's name, after a blank line; nothing when
// there are no rows.
func (t *screen) table(name, remark string, rows []string) {
	if len(rows) == 0 {
		return
	}
	t.blank()
	t.row(t.paint(pad(name, gutter), bold) + t.paint(cut(remark, t.inner()), dim))
	for _, r := range rows {
		t.row("  " + r)
	}
}

// prose wraps s to at most n lines right of the gutter.
func (t *screen) prose(s string, n int, codes ...string) []string {
	return t.hanging("", s, t.inner(), n, codes...)
}

// bullet is prose under a mark of two cells.
func (t *screen) bullet(mark, s string, n int, codes ...string) []string {
	return t.hanging(mark+" ", s, t.inner(), n, codes...)
}

// hanging wraps s to at most n lines of w cells that hang under a mark.
func (t *screen) hanging(mark, s string, w, n int, codes ...string) []string {
	if s == "" {
		return nil
	}
	indent := width(mark)
	rows := wrapMax(s, w-indent, n)
	for i, r := range rows {
		rows[i] = strings.Repeat(" ", indent) + t.paint(r, codes...)
	}
	rows[0] = mark + strings.TrimLeft(rows[0], " ")
	return rows
}

func severityInk(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return red
	case v1alpha1.SeverityWarning:
		return yellow
	}
	return cyan
}

func severityMark(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return "✗"
	case v1alpha1.SeverityWarning:
		return "!"
	}
	return "i"
}

func (t *screen) headline(v *view) {
	switch {
	case v.unjudged():
		t.row(t.paint("? NOT JUDGED", yellow, bold))
		t.indented(line(v.plan.Abstained), 6)
	case v.cause == nil:
		t.row(t.paint("✓ OK · nothing found", green, bold))
		t.indented(checked(v.plan), 3)
	default:
		t.verdict(v.cause)
	}
	if about := strings.Join(subject(v.plan.Subject), " · "); about != "" {
		t.row("  " + t.paint(cut(about, t.wide()), dim))
	}
}

// verdict writes a finding's mark, name and its summary in bold.
func (t *screen) verdict(f *v1alpha1.Finding) {
	head := severityMark(f.Severity) + " " + strings.ToUpper(cut(line(string(f.Severity)), 12))
	rest := " · " + orElse(line(string(f.Confidence)), "confidence unknown") + " · " + line(f.Signature)
	t.row(t.paint(head, severityInk(f.Severity), bold) + t.paint(cut(rest, t.width-width(head)), dim))
	t.indented(line(f.Summary), 4, bold)
}

func (t *screen) indented(s string, n int, codes ...string) {
	for _, r := range wrapMax(s, t.width-2, n) {
		t.row("  " + t.paint(r, codes...))
	}
}

func (t *screen) fix(v *view) {
	if v.best == nil {
		if v.cause != nil {
			t.section("Fix", t.noFix(v.plan))
		}
		return
	}
	var rows []string
	for i, c := range v.best.Changes {
		if i == 4 {
			rows = append(rows, more(len(v.best.Changes)-i))
			break
		}
		rows = append(rows, t.change(c)...)
		rows = append(rows, t.chain(c)...)
	}
	rows = append(rows, t.proven(v.best.Proof)...)
	for _, note := range v.best.Proof.Notes[:min(2, len(v.best.Proof.Notes))] {
		rows = append(rows, t.bullet("!", line(note), 2, yellow)...)
	}
	if v.best.Tried != nil {
		rows = append(rows, t.bullet("!", tried(v.best.Tried), 2, yellow)...)
	}
	t.section("Fix", rows)
}

// chain writes who sets the value where several sources have a say.
func (t *screen) chain(c v1alpha1.Change) []string {
	if len(c.Chain) < 2 {
		return nil
	}
	var rows []string
	for _, s := range c.Chain[:min(4, len(c.Chain))] {
		rows = append(rows, t.bullet("·", line(s), 2, dim)...)
	}
	return rows
}

// proven writes the counts and what else was checked, on one row if they fit.
func (t *screen) proven(p v1alpha1.Proof) []string {
	counts, rest := flows(p.Flows), proof(p)
	row := t.paint(counts, flowInk(p.Flows))
	if width(counts)+3+width(rest) <= t.inner() {
		return []string{row + t.paint(" · "+rest, dim)}
	}
	return append([]string{row}, t.prose(rest, 2, dim)...)
}

func flowInk(f v1alpha1.FlowCounts) string {
	if f.Broken > 0 {
		return red
	}
	return green
}

// noFix says why nothing is proposed, and what could be supplied.
func (t *screen) noFix(p *v1alpha1.Plan) []string {
	if p.Abstained == "" {
		return t.prose("No change is proposed.", 1)
	}
	rows := t.prose("No change is proposed: "+line(p.Abstained), 4, yellow)
	if s := supply(p.Facts.Unknown); s != "" {
		rows = append(rows, t.prose("Not known: "+joined(p.Facts.Unknown, 8)+". "+s, 4)...)
	}
	return rows
}

// change writes "path: from → to" and where it is written.
func (t *screen) change(c v1alpha1.Change) []string {
	what := line(c.Path) + ": " + value(c.From) + " → " + value(c.To)
	if width(what) > t.inner() {
		return append(t.prose(what, 3, cyan), t.paint(cutMiddle("  "+place(c), t.inner()), dim))
	}
	room := t.inner() - width(what) - 2
	if room < 24 {
		return []string{t.paint(what, cyan), t.paint("  "+cutMiddle(place(c), t.inner()-2), dim)}
	}
	return []string{t.paint(what, cyan) + "  " + t.paint(cutMiddle(place(c), room), dim)}
}

func (t *screen) evidence(v *view) {
	if v.cause != nil {
		t.table("How we know", "", t.evidenceRows(v.cause, mostEvidence))
	}
}

// evidenceRows are a finding's observations with their source, what was missing
// and what was ruled out.
func (t *screen) evidenceRows(f *v1alpha1.Finding, most int) []string {
	var rows []string
	for i, e := range f.Evidence {
		if i == most && len(f.Evidence) > most+1 {
			rows = append(rows, t.paint(more(len(f.Evidence)-i), dim))
			break
		}
		rows = append(rows, t.observation(e)...)
	}
	for _, s := range f.Lacked[:min(2, len(f.Lacked))] {
		rows = append(rows, t.hanging("lacked  ", line(s), t.wide(), 2, dim)...)
	}
	if len(f.RuledOut) > 0 {
		var names []string
		for _, r := range f.RuledOut {
			names = append(names, r.Signature)
		}
		rows = append(rows, t.hanging("not     ", joined(names, 6), t.wide(), 2, dim)...)
	}
	return rows
}

// observation is one piece of evidence; its source stands at the right edge,
// shortened to the room that the text leaves, else on a row of its own.
func (t *screen) observation(e v1alpha1.Evidence) []string {
	mark := pad(cut(line(e.Kind), 7), 7) + " "
	rows := t.hanging(mark, line(e.Text), t.wide(), 2)
	if rows == nil {
		rows = []string{mark}
	}
	source, last := line(e.Source), len(rows)-1
	room := t.wide() - width(rows[last]) - 2
	if room < min(width(source), 24) {
		rows, last, room = append(rows, ""), last+1, t.wide()-width(mark)
	}
	source = cutMiddle(source, room)
	rows[last] += strings.Repeat(" ", t.wide()-width(rows[last])-width(source)) + t.paint(source, dim)
	return rows
}

func (t *screen) finding(f *v1alpha1.Finding) {
	t.verdict(f)
	for i, step := range f.Explanation[:min(8, len(f.Explanation))] {
		for _, r := range t.hanging(numbered(i), line(step), t.wide(), 4) {
			t.row("  " + r)
		}
	}
	if f.CausedBy != "" {
		t.indented("an effect of "+line(f.CausedBy), 1, dim)
	}
	for _, r := range t.evidenceRows(f, 10) {
		t.row("  " + r)
	}
}

func (t *screen) diff(v *view) {
	if v.best == nil || v.best.Diff == "" {
		return
	}
	t.blank()
	for _, l := range diffLines(v.best.Diff, mostDiffLines) {
		t.row(t.diffLine(cut(strings.ReplaceAll(l, "\t", "    "), t.width)))
	}
}

// numbered is "1 ", right-aligned.
func numbered(i int) string { return padLeft(fmt.Sprint(i+1), 2) + " " }
