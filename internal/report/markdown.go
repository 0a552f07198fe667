package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// maxMarkdown is the size that GitHub takes for a pull request's body, in
// characters; it is kept in bytes, which are never fewer.
const maxMarkdown = 65536

// Markdown writes p as the body of a pull request: cause, change, before and
// after, risk, rollout and verification on the first screen, the rest folded.
// A body that would be larger than GitHub takes has its folded parts cut, and
// says so.
func Markdown(w io.Writer, p *v1alpha1.Plan) error {
	v, err := newView(p)
	if err != nil {
		return err
	}
	blocks := append(mdFirstScreen(v), mdFolded(v)...)
	return write(w, "Markdown", []byte(mdFit(blocks, maxMarkdown)))
}

// block is a part of the body. Items are rows or lines that may be cut from the
// end; head and tail stay.
type block struct {
	// title folds the block; empty leaves it open.
	title string
	head  []string
	items []string
	tail  []string
}

func (b block) text(n int) string {
	var s strings.Builder
	if b.title != "" {
		fmt.Fprintf(&s, "<details><summary>%s</summary>\n\n", b.title)
	}
	if n > 0 || len(b.items) == 0 || b.title == "" {
		for _, l := range slices.Concat(b.head, b.items[:n], b.tail) {
			s.WriteString(l + "\n")
		}
	}
	if rest := len(b.items) - n; rest > 0 {
		fmt.Fprintf(&s, "\n_%d more left out to stay below the size of a pull request's body; `remediate plan -o json` has all._\n", rest)
	}
	if b.title != "" {
		s.WriteString("\n</details>\n")
	}
	s.WriteString("\n")
	return s.String()
}

// mdFit joins blocks to at most limit bytes: the longest one loses half of its
// items until all fit, folded ones before open ones.
func mdFit(blocks []block, limit int) string {
	keep := make([]int, len(blocks))
	texts := make([]string, len(blocks))
	total := 0
	for i, b := range blocks {
		keep[i] = len(b.items)
		texts[i] = b.text(keep[i])
		total += len(texts[i])
	}
	for total > limit {
		i := mdLongest(blocks, texts, keep)
		if i < 0 {
			break
		}
		keep[i] /= 2
		total -= len(texts[i])
		texts[i] = blocks[i].text(keep[i])
		total += len(texts[i])
	}
	return strings.TrimRight(strings.Join(texts, ""), "\n") + "\n"
}

func mdLongest(blocks []block, texts []string, keep []int) int {
	best := -1
	for i, b := range blocks {
		if keep[i] == 0 {
			continue
		}
		folded := b.title != ""
		if best < 0 || (folded && blocks[best].title == "") ||
			(folded == (blocks[best].title != "") && len(texts[i]) > len(texts[best])) {
			best = i
		}
	}
	return best
}

// brief bounds a string of the first screen, in bytes.
const brief = 500

func mdBrief(s string) string     { return mdText(clip(line(s), brief)) }
func mdSentence(s string) string  { return mdText(sentence(clip(line(s), brief))) }
func mdBriefCell(s string) string { return mdCell(clip(line(s), brief)) }

func mdFirstScreen(v *view) []block {
	if v.cause == nil {
		return []block{{head: mdNothing(v.plan)}}
	}
	blocks := []block{{head: []string{
		"### Cause", "",
		mdSentence(orElse(v.cause.Summary, v.cause.Signature)), "",
		fmt.Sprintf("%s · %s · %s", mdBrief(string(v.cause.Severity)), mdBrief(string(v.cause.Confidence)), mdCode(clip(line(v.cause.Signature), brief))),
	}}}
	if v.best == nil {
		return append(blocks, block{head: mdAbstained(v.plan)})
	}
	return append(blocks, mdChange(v.best), mdRisk(v), mdVerify(v.plan.Commands))
}

func mdNothing(p *v1alpha1.Plan) []string {
	lines := []string{"### Nothing found", "", checked(p)}
	if p.Abstained != "" {
		lines = []string{"### Not judged", "", mdBrief(p.Abstained)}
	}
	if about := strings.Join(subject(p.Subject), ", "); about != "" {
		lines = append(lines, "", mdBrief(about))
	}
	if len(p.Facts.Unknown) > 0 {
		lines = append(lines, "", "Not known: "+mdBrief(joined(p.Facts.Unknown, 8))+". "+supplyMarkdown(p))
	}
	return lines
}

func mdAbstained(p *v1alpha1.Plan) []string {
	lines := []string{"### No change is proposed", "", mdBrief(orElse(p.Abstained, "What was found has no effect on traffic now, or no change of values is known to answer it."))}
	if s := supplyMarkdown(p); s != "" && p.Abstained != "" {
		lines = append(lines, "", "Not known: "+mdBrief(joined(p.Facts.Unknown, 8))+". "+s)
	}
	return lines
}

func supplyMarkdown(p *v1alpha1.Plan) string { return mdText(supply(p.Facts.Unknown)) }

func mdChange(c *v1alpha1.Candidate) block {
	b := block{head: []string{"### Change", "", mdBrief(c.Title), "", "| | before | after |", "|---|---|---|"}, items: mdValues(c.Changes)}
	examples := c.Proof.Flows.Examples
	b.items = append(b.items, mdFlows(examples[:min(4, len(examples))])...)
	b.items = append(b.items, fmt.Sprintf("| all flow classes | | **%s** |", flows(c.Proof.Flows)))
	b.tail = append(mdChains(c), "", "Proof: "+mdBrief(proof(c.Proof))+".")
	b.tail = append(b.tail, mdNotes(c.Proof)...)
	return b
}

// mdValues are rows of values, before and after.
func mdValues(changes []v1alpha1.Change) []string {
	var rows []string
	for _, c := range changes {
		rows = append(rows, mdRow(mdCodeCell(clip(line(c.Path), brief)), mdValue(c.From), mdValue(c.To)))
	}
	return rows
}

// mdFlows are rows of flows, before and after.
func mdFlows(examples []v1alpha1.FlowExample) []string {
	var rows []string
	for _, e := range examples {
		flow := clip(line(e.From), brief) + " → " + line(e.To) + ", " + line(e.Family)
		rows = append(rows, mdRow(mdBriefCell(flow), mdBriefCell(e.Before), mdBriefCell(e.After)))
	}
	return rows
}

func mdNotes(p v1alpha1.Proof) []string {
	var lines []string
	for _, note := range p.Notes[:min(3, len(p.Notes))] {
		lines = append(lines, "- "+mdBrief(note))
	}
	return lines
}

// mdChains says who sets each value where several sources have a say.
func mdChains(c *v1alpha1.Candidate) []string {
	const most = 8
	var lines []string
	for _, change := range c.Changes {
		if len(change.Chain) > 1 {
			lines = append(lines, "- "+mdBrief(change.Path+": "+strings.Join(change.Chain, "; ")))
		}
	}
	if rest := len(lines) - most; rest > 0 {
		lines = append(lines[:most], fmt.Sprintf("- %d more values are set in several places: `remediate plan -o json` has them.", rest))
	}
	if len(lines) > 0 {
		lines = append([]string{""}, lines...)
	}
	return lines
}

func mdValue(v any) string {
	if v == nil {
		return "not set"
	}
	return mdCodeCell(clip(value(v), brief))
}

func mdRisk(v *view) block {
	b := block{head: []string{"### Risk and rollout", ""}}
	add := func(s string) {
		if s != "" {
			b.items = append(b.items, "- "+s)
		}
	}
	c := v.best
	add(mdSentence(c.Rollout.Note))
	if r := restart(c.Rollout); r != "" {
		add("Needs: " + mdBrief(r) + ".")
	}
	for _, s := range sideEffects(c) {
		add(mdSentence(s))
	}
	for _, k := range copyLines(c, 6) {
		add(mdBrief(k.text))
	}
	if len(c.Affects) > 0 {
		add("The edited files are read by " + mdBrief(joined(c.Affects, 6)) + ".")
	}
	for _, e := range effectLines(c.Effects, 4) {
		add(mdBrief(e.text))
	}
	if t := tried(c.Tried); t != "" {
		add("This state was live before: " + mdBrief(t))
	}
	if v.plan.Delivery.FluxAffected && v.plan.Delivery.How != "" {
		add("**" + mdSentence(v.plan.Delivery.How) + "**")
	} else {
		add(mdSentence(v.plan.Delivery.How))
	}
	for _, way := range v.plan.Delivery.Ways {
		b.items = append(b.items, fmt.Sprintf("  - %s %s: %s", wayMark(way.Open), mdBrief(way.Way), mdBrief(way.Because)))
	}
	return b
}

func mdVerify(commands []v1alpha1.Command) block {
	if len(commands) == 0 {
		return block{}
	}
	b := block{head: []string{"### How to verify", ""}}
	for _, c := range commands {
		if len(b.items) == 3 {
			break
		}
		b.items = append(b.items, "- "+mdBrief(c.What)+": "+mdCode(clip(line(c.Command), brief))+mdExpected(c))
	}
	return b
}

// mdExpected says what a command prints now and after.
func mdExpected(c v1alpha1.Command) string {
	var parts []string
	if c.Now != "" {
		parts = append(parts, "now "+mdBrief(c.Now))
	}
	if c.After != "" {
		parts = append(parts, "after "+mdBrief(c.After))
	}
	if len(parts) == 0 {
		return ""
	}
	return " → " + strings.Join(parts, "; ")
}
