package report

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// mdFolded is everything below the first screen, each part folded; parts
// without content are left out.
func mdFolded(v *view) []block {
	var kept []block
	for _, b := range []block{
		mdEvidence(v.cause),
		mdWalk(v.walks()),
		mdDiff(v.best),
		mdOffer(v.best),
		mdCandidates(v.plan),
		mdMasquerade(v.plan.Candidates),
		mdRejected(v.plan.Rejected),
		mdCommands(v.plan.Commands),
		mdAnswers(v.plan.Answers),
		mdOthers(v.others),
		mdFacts(v.plan),
		mdList("What this does not explain", v.plan.Unexplained),
		mdNotices(v.plan.Notices),
	} {
		if len(b.items) > 0 {
			kept = append(kept, b)
		}
	}
	return append(kept, mdFooter(v.plan))
}

func mdFooter(p *v1alpha1.Plan) block {
	about := strings.Join(subject(p.Subject), ", ")
	if about != "" {
		about = " for " + mdBrief(about)
	}
	return block{head: []string{"---", "", "Written by `remediate plan`" + about + ". `remediate plan -o json` has everything."}}
}

func mdRow(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }

func mdTable(title string, columns ...string) block {
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	return block{title: title, head: []string{mdRow(columns...), mdRow(rule...)}}
}

func mdList(title string, items []string) block {
	b := block{title: title}
	for _, s := range items {
		b.items = append(b.items, "- "+mdText(s))
	}
	return b
}

func mdEvidence(f *v1alpha1.Finding) block {
	if f == nil {
		return block{}
	}
	b := mdTable("How we know", "kind", "what", "source")
	for _, e := range f.Evidence {
		b.items = append(b.items, mdRow(mdCell(e.Kind), mdCell(e.Text), mdCodeCell(e.Source)))
	}
	if len(f.Explanation) > 0 {
		b.items = append(b.items, "", "From cause to symptom:", "")
		for i, s := range f.Explanation {
			b.items = append(b.items, fmt.Sprintf("%d. %s", i+1, mdText(s)))
		}
	}
	b.items = append(b.items, mdNeighbours(f)...)
	return b
}

// mdNeighbours says what was ruled out and which evidence was missing.
func mdNeighbours(f *v1alpha1.Finding) []string {
	var lines []string
	if len(f.RuledOut) > 0 {
		lines = append(lines, "", "Ruled out:", "")
	}
	for _, r := range f.RuledOut {
		lines = append(lines, "- "+mdCode(r.Signature)+": "+mdText(r.Because))
	}
	if len(f.Lacked) > 0 {
		lines = append(lines, "", "Evidence that was missing:", "")
	}
	for _, s := range f.Lacked {
		lines = append(lines, "- "+mdText(s))
	}
	return lines
}

func mdDiff(c *v1alpha1.Candidate) block {
	if c == nil {
		return block{}
	}
	lines := diffLines(c.Diff, 2000)
	fence := fenceFor(lines)
	return block{title: "The diff", head: []string{fence + "diff"}, items: lines, tail: []string{fence}}
}

// mdNotices lists what the agent makes of the configuration in silence.
func mdNotices(ns []v1alpha1.Evidence) block {
	b := mdTable("What the agent changes or ignores in silence", "what", "source")
	for _, n := range ns {
		b.items = append(b.items, mdRow(mdCell(n.Text), mdCodeCell(n.Source)))
	}
	return b
}

// mdOffer is what a person may want beside the fix and is not part of it.
func mdOffer(c *v1alpha1.Candidate) block {
	if c == nil || c.Rollout.Offer == nil {
		return block{}
	}
	lines := diffLines(c.Rollout.Offer.Diff, 200)
	fence := fenceFor(lines)
	return block{title: "Offered beside it, not part of the change: " + mdSummary(clip(line(c.Rollout.Offer.Title), brief)), head: []string{fence + "diff"}, items: lines, tail: []string{fence}}
}

func mdCandidates(p *v1alpha1.Plan) block {
	b := mdTable("All candidates, best first", "", "candidate", "what", "proof", "rollout")
	for i, c := range p.Candidates {
		detail := proof(c.Proof)
		if t := tried(c.Tried); t != "" {
			detail += "; " + t
		}
		b.items = append(b.items, mdRow(fmt.Sprint(i+1), mdCodeCell(c.ID), mdCell(c.Title), flows(c.Proof.Flows)+"; "+mdCell(detail), mdCell(restart(c.Rollout))))
	}
	if p.Order != "" && len(p.Candidates) > 0 {
		b.tail = []string{"", "The order: " + mdBrief(p.Order) + "."}
	}
	return b
}

// mdMasquerade lists the known destinations that change between masqueraded and
// not, per candidate.
func mdMasquerade(candidates []v1alpha1.Candidate) block {
	b := mdTable("Which destinations change between masqueraded and not", "candidate", "destination", "what", "before", "after")
	for _, c := range candidates {
		for _, m := range c.Masquerade {
			b.items = append(b.items, mdRow(mdCodeCell(c.ID), mdCodeCell(m.Destination), mdCell(m.What), mdCell(m.Before), mdCell(m.After)))
		}
		for _, r := range summarised(c.AddedRange) {
			b.items = append(b.items, mdRow(mdCodeCell(c.ID), mdCell(r), "added range", "", ""))
		}
		for _, r := range summarised(c.RemovedRange) {
			b.items = append(b.items, mdRow(mdCodeCell(c.ID), mdCell(r), "removed range", "", ""))
		}
	}
	return b
}

func mdRejected(rejected []v1alpha1.Rejected) block {
	b := mdTable("Why not something else", "idea", "why not")
	for _, r := range rejected {
		why := mdCell(r.Because)
		if t := tried(r.Tried); t != "" {
			why += " (" + mdCell(t) + ")"
		}
		b.items = append(b.items, mdRow(mdCodeCell(r.ID), why))
	}
	return b
}

func mdCommands(commands []v1alpha1.Command) block {
	b := mdTable("Commands that verify the datapath", "what", "command", "now", "after")
	for _, c := range commands {
		b.items = append(b.items, mdRow(mdCell(c.What), mdCodeCell(c.Command), mdCell(c.Now), mdCell(c.After)))
	}
	return b
}

func mdAnswers(answers []v1alpha1.Answer) block {
	b := block{title: "Questions and answers"}
	for _, a := range answers {
		b.items = append(b.items, "**"+mdText(a.Question)+"**\n\n"+mdText(a.Answer)+"\n")
	}
	return b
}

func mdOthers(findings []v1alpha1.Finding) block {
	b := mdTable("Also found", "severity", "signature", "what")
	for _, f := range findings {
		what := mdCell(f.Summary)
		if f.CausedBy != "" {
			what += " (an effect of " + mdCodeCell(f.CausedBy) + ")"
		}
		b.items = append(b.items, mdRow(mdCell(string(f.Severity)), mdCodeCell(f.Signature), what))
	}
	return b
}

func mdFacts(p *v1alpha1.Plan) block {
	b := mdTable("Facts used, and facts not known", "fact", "value", "source")
	for _, g := range factGroups(p.Facts) {
		for _, f := range g.facts {
			b.items = append(b.items, mdRow(g.name, mdCodeCell(f.Value), mdCell(f.Source)+observedOnly(f)))
		}
	}
	for _, s := range p.Subject.Values {
		b.items = append(b.items, mdRow("values", mdCodeCell(s.File), mdCell(s.Path)))
	}
	for _, s := range p.Facts.Unknown {
		b.items = append(b.items, mdRow("not known", mdCell(s), ""))
	}
	return b
}

type factGroup struct {
	name  string
	facts []v1alpha1.Fact
}

func factGroups(f v1alpha1.Facts) []factGroup {
	return []factGroup{
		{"pod CIDR", f.PodCIDRs}, {"pod range", f.PodPool},
		{"service CIDR", f.ServiceCIDRs}, {"node address", f.NodeAddresses},
	}
}

func observedOnly(f v1alpha1.Fact) string {
	if f.ObservedOnly != nil && *f.ObservedOnly {
		return " (only what was observed)"
	}
	return ""
}

// mdWalk draws the walks as Mermaid flow charts beside each other.
func mdWalk(walks []*v1alpha1.Walk) block {
	if len(walks) == 0 {
		return block{}
	}
	lines := []string{"flowchart LR"}
	for i, w := range walks {
		lines = append(lines, mermaid(w, i)...)
	}
	if len(walks) == 2 {
		lines = append(lines, "  w0 ~~~ w1")
	}
	lines = append(lines,
		"  classDef bad fill:#ffebe9,stroke:#cf222e,color:#82071e",
		"  classDef good fill:#dafbe1,stroke:#1a7f37,color:#116329")
	text := strings.Join(lines, "\n")
	return block{title: "The packet's walk", head: []string{"```mermaid"}, items: []string{text}, tail: []string{"```"}}
}

func mermaid(w *v1alpha1.Walk, n int) []string {
	lines := []string{fmt.Sprintf(`  subgraph w%d["%s"]`, n, mermaidText(walkName(w))), "    direction TB"}
	var last, place string
	for i, s := range shownSteps(w) {
		label := mermaidText(clip(line(s.What), 240))
		if where := line(s.Where); where != place {
			place, label = where, mermaidText(clip(where, 120))+"<br/>"+label
		}
		class := ""
		if s.Bad {
			class = ":::bad"
		}
		id := fmt.Sprintf("w%ds%d", n, i)
		lines = append(lines, fmt.Sprintf(`    %s["%s"]%s`, id, label, class))
		if last != "" {
			lines = append(lines, "    "+last+" --> "+id)
		}
		last = id
	}
	class := map[string]string{"✓": ":::good", "✗": ":::bad"}[outcomeMark(w)]
	lines = append(lines, fmt.Sprintf(`    w%do(["%s"])%s`, n, mermaidText(clip(orElse(line(w.Outcome), "outcome unknown"), 120)), class))
	if last != "" {
		lines = append(lines, fmt.Sprintf("    %s --> w%do", last, n))
	}
	return append(lines, "  end")
}
