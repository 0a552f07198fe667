package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Of the first screen of a pull request: how many sentences of a kind stay in
// sight. The rest is folded, and said to be.
const (
	prFlows = 2
	prRisks = 6
	prWays  = 2
)

// prBlocks are the first screen and the folded rest.
func prBlocks(v *view, o PullRequestOptions) []block {
	change, moreFlows := prChange(v.best)
	risk, moreRisk := prRisk(v)
	blocks := []block{prCause(v, o.Draft), change, risk, prVerify(v.plan.Commands)}
	for _, b := range []block{moreRisk, prDelivery(v.plan.Delivery), moreFlows} {
		if len(b.items) > 0 {
			blocks = append(blocks, b)
		}
	}
	if o.Delivery != "" {
		blocks = append(blocks, block{title: "Flux cannot bring this change by itself: what to do, to be pasted", items: []string{o.Delivery}})
	}
	folded := mdFolded(v)
	footer := folded[len(folded)-1]
	blocks = append(blocks, folded[:len(folded)-1]...)
	if !o.NoCommands {
		blocks = append(blocks, prCommands(v.plan.Candidates))
	}
	return append(blocks, footer)
}

func prCause(v *view, draft bool) block {
	f := v.cause
	if f == nil {
		f = &v1alpha1.Finding{Summary: v.best.Title, Signature: strings.Join(v.best.Fixes, ", ")}
	}
	b := block{head: []string{"### Cause", "", mdSentence(orElse(f.Summary, f.Signature)), ""}}
	var about []string
	for _, s := range []string{mdBrief(string(f.Severity)), mdBrief(string(f.Confidence)), mdCode(clip(line(f.Signature), brief))} {
		if s != "" {
			about = append(about, s)
		}
	}
	b.head = append(b.head, strings.Join(about, " · "))
	if draft {
		b.head = append(b.head, "", "_"+draftReason(f.Confidence)+"_")
	}
	return b
}

func draftReason(c v1alpha1.Confidence) string {
	switch c {
	case v1alpha1.ConfidencePredicted:
		return "A draft: the cause follows from the facts, and no observation has confirmed it."
	case v1alpha1.ConfidencePossible:
		return "A draft: the cause fits the facts, some of which are missing."
	}
	return "A draft, because drafts are asked for. Mark it as ready when it is."
}

// prChange shows the values and a few flows, and folds the other flows. What the
// change is in words is the title.
func prChange(c *v1alpha1.Candidate) (shown, folded block) {
	examples := c.Proof.Flows.Examples
	n := min(prFlows, len(examples))
	shown = block{
		head:  []string{"### Change", "", "| | before | after |", "|---|---|---|"},
		items: append(mdValues(c.Changes), mdFlows(examples[:n])...),
		tail:  append(mdChains(c), "", fmt.Sprintf("Proof: **%s** flow classes; %s.", flows(c.Proof.Flows), mdBrief(proof(c.Proof)))),
	}
	shown.tail = append(shown.tail, mdNotes(c.Proof)...)
	folded = mdTable("More flows, before and after", "flow", "before", "after")
	folded.items = mdFlows(examples[n:])
	return shown, folded
}

// prRisk shows what comes first of risk and rollout, and folds the rest. That
// Flux cannot bring the change comes before everything.
func prRisk(v *view) (shown, folded block) {
	b := mdRisk(v)
	items := slices.DeleteFunc(b.items, func(s string) bool { return strings.HasPrefix(s, "  - ") })
	n := len(items)
	if n > prRisks+1 {
		n = prRisks
		// The last one says whether Flux itself can reconcile the change.
		last := len(items) - 1
		folded = block{title: "More on risk and rollout", items: items[n-1 : last]}
		items = slices.Concat(items[:n-1], items[last:], []string{fmt.Sprintf("- %d more below, folded.", last-n+1)})
	}
	if v.plan.Delivery.FluxAffected && v.plan.Delivery.How != "" {
		items = slices.Concat(items[n-1:n], items[:n-1], items[n:])
	}
	b.items = items
	return b, folded
}

// prDelivery folds the ways to get the change into the cluster.
func prDelivery(d v1alpha1.Delivery) block {
	b := mdTable("Ways to get the change into the cluster", "", "way", "why")
	for _, w := range d.Ways {
		b.items = append(b.items, mdRow(wayMark(w.Open), mdCell(w.Way), mdCell(w.Because)))
	}
	return b
}

// prVerify shows the commands that tell before from after.
func prVerify(commands []v1alpha1.Command) block {
	telling := slices.Clone(commands)
	slices.SortStableFunc(telling, func(a, b v1alpha1.Command) int { return rankTelling(a) - rankTelling(b) })
	return mdVerify(telling[:min(len(telling), prWays)])
}

func rankTelling(c v1alpha1.Command) int {
	if c.Now != c.After {
		return 0
	}
	return 1
}

// prCommands says what people can write below the pull request.
func prCommands(candidates []v1alpha1.Candidate) block {
	b := mdTable("What you can say in a comment, if you may push here", "comment", "what happens")
	other := "ID"
	if len(candidates) > 1 {
		other = clip(line(candidates[1].ID), brief)
	}
	for _, c := range []struct{ command, what string }{
		{"/remediate replan", "Plans anew on the base as it is now. Forgets a refusal, and ends a snooze."},
		{"/remediate reject REASON", "Closes this pull request. The same change is not proposed again until the facts change."},
		{"/remediate candidate " + other, "Opens a pull request with another of the candidates above, and closes this one."},
		{"/remediate snooze 7d", "Leaves everything alone for that long: 30m, 12h, 7d, 2w."},
	} {
		b.head = append(b.head, mdRow(mdCodeCell(c.command), c.what))
	}
	b.head = append(b.head, "", "Closing the pull request refuses the change as well. A push to its branch makes the branch yours: it is left alone from then on.")
	return b
}
