package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// candidates writes one line each, best first.
func (t *screen) candidates(v *view) {
	all := v.plan.Candidates
	if len(all) == 0 {
		return
	}
	shown := all[:min(len(all), mostCandidates)]
	var rows []string
	ids, counts := 0, 0
	for _, c := range shown {
		ids = max(ids, width(line(c.ID)))
		counts = max(counts, width(flows(c.Proof.Flows)))
	}
	for i, c := range shown {
		rows = append(rows, t.candidate(i, c, ids, counts)...)
	}
	if rest := len(all) - len(shown); rest > 0 {
		rows = append(rows, t.paint("   "+more(rest), dim))
	}
	t.table("Candidates", line(v.plan.Order), rows)
}

// candidate writes one candidate in columns of the given widths, on two rows
// where the screen is too narrow for one.
func (t *screen) candidate(i int, c v1alpha1.Candidate, ids, counts int) []string {
	var codes []string
	if i == 0 {
		codes = []string{bold}
	}
	const mark, least = 3, 9
	id := cut(line(c.ID), t.wide()-mark)
	done := t.paint(pad(flows(c.Proof.Flows), counts), flowInk(c.Proof.Flows))
	room := t.wide() - mark - ids - counts - 4
	if room >= least {
		return []string{numbered(i) + t.paint(pad(id, ids), codes...) + "  " + done + "  " + t.paint(cut(candidateRemark(c), room), dim)}
	}
	second := strings.Repeat(" ", mark) + done
	if room := t.wide() - mark - counts - 2; room >= least {
		second += "  " + t.paint(cut(candidateRemark(c), room), dim)
	}
	return []string{numbered(i) + t.paint(id, codes...), second}
}

// candidateRemark is what a candidate needs, and what is missing or known of it.
func candidateRemark(c v1alpha1.Candidate) string {
	var parts []string
	if !complete(c.Proof) {
		parts = append(parts, "proof incomplete")
	}
	for _, s := range []string{tried(c.Tried), setTo(c)} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " · ")
}

// setTo is the value that a candidate of one key sets, or how many keys it has.
func setTo(c v1alpha1.Candidate) string {
	switch len(c.Changes) {
	case 0:
		return ""
	case 1:
		return "→ " + line(fmt.Sprint(c.Changes[0].To))
	}
	return fmt.Sprintf("%d keys", len(c.Changes))
}

// rejected says of every other idea in one line why it is not proposed.
func (t *screen) rejected(v *view) {
	all := v.plan.Rejected
	shown := all
	if len(all) > mostRejected+1 {
		shown = all[:mostRejected]
	}
	ids := 0
	for _, r := range shown {
		ids = max(ids, width(line(r.ID)))
	}
	ids = min(ids, t.wide()/3)
	var rows []string
	for _, r := range shown {
		why := line(r.Because)
		if r.Tried != nil {
			why = "(tried) " + why
		}
		rows = append(rows, pad(cut(line(r.ID), ids), ids)+"  "+t.paint(cutSentence(why, t.wide()-ids-2), dim))
	}
	if rest := len(all) - len(shown); rest > 0 {
		rows = append(rows, t.paint(more(rest), dim))
	}
	t.table("Why not", "", rows)
}

// cutSentence shortens s to w cells, at the end of its last whole sentence
// if that keeps half of the room.
func cutSentence(s string, w int) string {
	if width(s) <= w {
		return s
	}
	head, _ := split(s, w)
	for _, stop := range []string{". ", "; "} {
		if i := strings.LastIndex(head, stop); i > len(head)/2 {
			return head[:i]
		}
	}
	return cut(s, w)
}

// rollout says what happens after the merge, and how it gets there.
func (t *screen) rollout(v *view) {
	if v.best == nil {
		return
	}
	var rows []string
	note := line(v.best.Rollout.Note)
	if r := restart(v.best.Rollout); r != "" {
		note = strings.TrimSuffix(r+": "+note, ": ")
	}
	rows = append(rows, t.bullet("•", note, 2)...)
	others := sideEffects(v.best)
	for _, s := range others[:min(2, len(others))] {
		rows = append(rows, t.bullet("•", line(s), 2)...)
	}
	rows = append(rows, t.effects(copyLines(v.best, 3))...)
	if n := len(v.best.Affects); n > 0 {
		rows = append(rows, t.bullet("•", "affects "+joined(v.best.Affects, 4), 1)...)
	}
	rows = append(rows, t.effects(effectLines(v.best.Effects, 3))...)
	rows = append(rows, t.delivery(v.plan.Delivery)...)
	t.section("Rollout", rows)
}

func (t *screen) effects(lines []effectLine) []string {
	var rows []string
	for _, e := range lines {
		if e.marked {
			rows = append(rows, t.bullet("!", e.text, 3, yellow)...)
			continue
		}
		rows = append(rows, t.bullet("•", e.text, 1)...)
	}
	return rows
}

func (t *screen) delivery(d v1alpha1.Delivery) []string {
	mark, codes := "•", []string(nil)
	if d.FluxAffected {
		mark, codes = "!", []string{yellow}
	}
	rows := t.bullet(mark, line(d.How), 2, codes...)
	var ways []string
	for _, way := range d.Ways[:min(4, len(d.Ways))] {
		ways = append(ways, wayMark(way.Open)+" "+line(way.Way))
	}
	return append(rows, t.bullet(" ", strings.Join(ways, "  "), 3)...)
}

// wayMark shows whether a way into the cluster is open.
func wayMark(open string) string {
	switch open {
	case "yes":
		return "✓"
	case "no":
		return "✗"
	}
	return "?"
}

// alsoFound writes the other findings, one line each. That Flux is a victim is
// left to the delivery, which says it too.
func (t *screen) alsoFound(v *view) {
	others := slices.DeleteFunc(slices.Clone(v.others), func(f v1alpha1.Finding) bool {
		return f.Signature == "flux-is-a-victim" && v.best != nil && v.plan.Delivery.FluxAffected
	})
	var rows []string
	for i, f := range others {
		if i == mostFindings && len(others) > mostFindings+1 {
			rows = append(rows, t.paint(more(len(others)-i), dim))
			break
		}
		summary := orElse(line(f.Summary), line(f.Signature))
		rows = append(rows, t.paint(severityMark(f.Severity), severityInk(f.Severity))+" "+cutSentence(summary, t.inner()-2))
	}
	t.section("Also found", rows)
}

// limits writes what the findings do not account for and what was not known.
func (t *screen) limits(v *view) {
	unexplained := t.prose(strings.Join(cutList(v.plan.Unexplained, mostSymptoms), "; "), 3)
	var unknown []string
	if v.plan.Abstained == "" {
		unknown = t.prose(joined(v.plan.Facts.Unknown, 8), 2, dim)
	}
	if len(unexplained)+len(unknown) > 0 {
		t.blank()
	}
	t.labelled("Unexplained", unexplained)
	t.labelled("Not known", unknown)
}

// cutList are the first items, as lines, and what stands for the rest.
func cutList(items []string, most int) []string {
	var shown []string
	for i, s := range items {
		if i == most && len(items) > most+1 {
			return append(shown, more(len(items)-i))
		}
		shown = append(shown, line(s))
	}
	return shown
}
