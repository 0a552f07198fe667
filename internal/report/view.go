package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// everything tells where the cut part of a list is.
const everything = "see -o json"

// view is a plan arranged for a reader: the same choices for every format.
type view struct {
	plan *v1alpha1.Plan
	// cause is the finding that the page is about; nil when there is none.
	cause *v1alpha1.Finding
	// others are the remaining findings, worst first.
	others []v1alpha1.Finding
	// best is the first candidate; nil when none is proposed.
	best *v1alpha1.Candidate
	// before and after are the packet's walk now and under best; nil when absent.
	before, after *v1alpha1.Walk
}

// newView arranges p, which is not changed.
func newView(p *v1alpha1.Plan) (*view, error) {
	if p == nil {
		return nil, errors.New("no plan to print: the document is empty")
	}
	plan := *p
	Normalize(&plan)
	v := &view{plan: &plan}
	v.pickCause()
	if len(plan.Candidates) > 0 {
		v.best = &plan.Candidates[0]
	}
	v.pickWalks()
	return v, nil
}

// pickCause takes the worst finding that is nobody's effect.
func (v *view) pickCause() {
	findings := slices.Clone(v.plan.Findings)
	slices.SortStableFunc(findings, func(a, b v1alpha1.Finding) int {
		return b.Severity.Rank() - a.Severity.Rank()
	})
	if len(findings) == 0 {
		return
	}
	i := max(0, slices.IndexFunc(findings, func(f v1alpha1.Finding) bool { return f.CausedBy == "" }))
	v.cause = &findings[i]
	v.others = slices.Concat(findings[:i], findings[i+1:])
}

// unjudged: nothing was found because nothing could be judged.
func (v *view) unjudged() bool { return v.cause == nil && v.plan.Abstained != "" }

func (v *view) pickWalks() {
	for i := range v.plan.Walks {
		walk := &v.plan.Walks[i]
		switch {
		case walk.Config == "current" && v.before == nil:
			v.before = walk
		case v.best != nil && walk.Config == v.best.ID && v.after == nil:
			v.after = walk
		}
	}
}

// walks are the drawn walks, before first.
func (v *view) walks() []*v1alpha1.Walk {
	return slices.DeleteFunc([]*v1alpha1.Walk{v.before, v.after}, func(w *v1alpha1.Walk) bool { return w == nil })
}

// Choose returns p with the candidate of that id in the first place, as
// `--candidate` asks; the other formats then show that one's change. An empty
// id returns p itself. The error names the ids that there are.
func Choose(p *v1alpha1.Plan, id string) (*v1alpha1.Plan, error) {
	if p == nil || id == "" {
		return p, nil
	}
	i := slices.IndexFunc(p.Candidates, func(c v1alpha1.Candidate) bool { return c.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("no candidate %q in this plan: %s", line(id), candidateIDs(p))
	}
	chosen := *p
	chosen.Candidates = slices.Concat(p.Candidates[i:i+1], p.Candidates[:i], p.Candidates[i+1:])
	if i > 0 {
		chosen.Order = "chosen by hand: " + id + "; the others: " + orElse(p.Order, "best first")
	}
	return &chosen, nil
}

func candidateIDs(p *v1alpha1.Plan) string {
	if len(p.Candidates) == 0 {
		return "it proposes none"
	}
	var ids []string
	for _, c := range p.Candidates {
		ids = append(ids, line(c.ID))
	}
	return "choose one of " + strings.Join(ids, ", ")
}

// subject is the release and what it is made from, one phrase each.
func subject(s v1alpha1.Subject) []string {
	var parts []string
	add := func(prefix, s string) {
		if s != "" {
			parts = append(parts, prefix+line(s))
		}
	}
	add("", s.Release)
	add("chart ", strings.TrimSpace(s.Chart+" "+s.Version))
	add("revision ", short(s.Revision))
	return parts
}

// short abbreviates a commit's hash.
func short(revision string) string {
	if len(revision) <= 10 || strings.Trim(revision, "0123456789abcdef") != "" {
		return revision
	}
	return revision[:10]
}

// checked says what a plan without findings looked at.
func checked(p *v1alpha1.Plan) string {
	var parts []string
	for _, known := range []struct {
		n    int
		what string
	}{
		{len(p.Subject.Values), "values source"},
		{len(p.Facts.PodCIDRs), "pod CIDR"},
		{len(p.Facts.PodPool), "pod range"},
		{len(p.Facts.ServiceCIDRs), "service CIDR"},
		{len(p.Facts.NodeAddresses), "node address"},
	} {
		if known.n > 0 {
			parts = append(parts, count(known.n, known.what))
		}
	}
	if len(parts) == 0 {
		return "Nothing is known of the cluster; only the repository was read."
	}
	return "Checked against every known failure: " + strings.Join(parts, ", ") + "."
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// supply says how the unknown facts can be given by hand.
func supply(unknown []string) string {
	var flags []string
	for _, known := range []struct{ word, flag string }{
		{"pod", "--pod-cidr"}, {"service", "--service-cidr"}, {"node", "--node-cidr"}, {"version", "--cilium-version"},
	} {
		if slices.ContainsFunc(unknown, func(s string) bool { return strings.Contains(strings.ToLower(s), known.word) }) {
			flags = append(flags, known.flag)
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	return "Supply them with " + strings.Join(append(flags, "--snapshot DIR", "--context NAME"), ", ") + " or in .remediate.yaml."
}

// value prints a Helm value in one line; nil is an absent key.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "(not set)"
	case string:
		if v == "" {
			return `""`
		}
		return line(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return line(fmt.Sprint(v))
	}
	return line(string(text))
}

// place is the file and line where a change is written.
func place(c v1alpha1.Change) string {
	if c.Line > 0 {
		return fmt.Sprintf("%s:%d", line(c.File), c.Line)
	}
	return line(c.File)
}

// flows are the counts over all flow classes, "fixed 12 · broken 0 · unchanged 40".
func flows(f v1alpha1.FlowCounts) string {
	s := fmt.Sprintf("fixed %d · broken %d · unchanged %d", f.Fixed, f.Broken, f.Unchanged)
	if f.Unknown > 0 {
		s += fmt.Sprintf(" · unknown %d", f.Unknown)
	}
	return s
}

// proof says in one phrase what was checked besides the flows.
func proof(p v1alpha1.Proof) string {
	rendered := "chart rendered"
	if !p.Rendered {
		rendered = "chart NOT rendered"
	}
	switch {
	case p.AgentStarts == nil:
		return rendered + ", start of the agent not decided"
	case *p.AgentStarts:
		return rendered + ", agents start"
	}
	return rendered + ", agents would NOT start: " + orElse(line(p.Refusal), "a start-up rule refuses it")
}

// complete says whether nothing of the proof is missing.
func complete(p v1alpha1.Proof) bool {
	return p.Rendered && p.AgentStarts != nil && *p.AgentStarts && p.Flows.Unknown == 0
}

// restart says what has to restart.
func restart(r v1alpha1.Rollout) string {
	switch {
	case len(r.Restart) > 0:
		return "restart " + joined(r.Restart, 3)
	case r.HotReload:
		return "no restart"
	}
	return ""
}

func joined(items []string, most int) string {
	var shown []string
	for _, item := range items[:min(len(items), most)] {
		shown = append(shown, line(item))
	}
	if rest := len(items) - len(shown); rest > 0 {
		shown = append(shown, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(shown, ", ")
}

// tried says when a state was live before and what came of it.
func tried(t *v1alpha1.Tried) string {
	if t == nil {
		return ""
	}
	s := "tried"
	if t.Commit != "" {
		s += " in " + short(line(t.Commit))
	}
	if t.Date != "" {
		s += ", " + line(t.Date)
	}
	if t.Outcome != "" {
		s += ": " + line(t.Outcome)
	}
	return s
}

// more is the line that stands for the cut rest of a list.
func more(n int) string { return fmt.Sprintf("… and %d more (%s)", n, everything) }
