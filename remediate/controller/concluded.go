package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// concluded acts on the verdict.
type concluded struct{}

func (concluded) name() string { return "conclude" }

func (concluded) do(ctx context.Context, i *incident) (bool, error) {
	s := i.mem.state
	if i.glassOpen() && v1alpha1.Verdict(s.Verdict).Final() {
		return true, nil // Flux has to have the release back before the incident ends
	}
	switch s.Verdict {
	case verify.Verified:
		return true, i.verified(ctx)
	case verify.MergedNotActive:
		return true, i.notActive(ctx)
	case verify.NotEffective:
		return true, i.notEffective(ctx)
	case verify.Regressed:
		return true, i.regressed(ctx)
	}
	if i.obj.Status.Verdict == v1alpha1.VerdictMergedNotActive {
		i.obj.Status.Verdict, i.obj.Status.Because, i.obj.Status.FollowUp = "", "", ""
	}
	return true, nil
}

// verdict notes it once, with the time that it took from the merge.
func (i *incident) verdict(v v1alpha1.Verdict) {
	observeBetween(timeToVerdict.WithLabelValues(string(v)), timeOf(i.times().Merged), i.now)
	if a := i.last(); a != nil {
		a.Verdict, a.At = v, *stamp(i.now)
	}
}

// conclude writes below the pull request what became of it. Until that stands there
// the incident does not move on, so that it is not lost.
func (i *incident) conclude(ctx context.Context, link string) error {
	pr := i.obj.Status.PullRequest
	if i.target.forge == nil || pr == nil || pr.Branch == "" || i.mem.told == i.mem.state.Summary+link {
		return nil
	}
	c := remediate.Conclusion{Verdict: string(i.mem.state.Verdict), Text: i.mem.state.Summary, Link: link}
	if f := i.mem.state.FollowUp; f != nil {
		c.Lines = append(c.Lines, f.String())
	}
	for _, f := range i.mem.state.Flows {
		c.Lines = append(c.Lines, fmt.Sprintf("%s: before %s, now %s", f.Class, f.Before, f.After))
	}
	c.Matrices = []remediate.Matrix{{Title: "From each node to each node, as the probes see it now", Grids: i.probes.Grids()}}
	if b := i.obj.Status.Baseline; b != nil {
		c.Lines = append(c.Lines, fmt.Sprintf("Pairs of nodes that failed before: %d.", b.BrokenPairs))
	}
	if _, err := i.proposer().Conclude(ctx, pr.Branch, c); err != nil {
		return failing(v1alpha1.ForgeReason, err)
	}
	i.mem.told = i.mem.state.Summary + link
	return nil
}

func (i *incident) verified(ctx context.Context) error {
	if err := i.conclude(ctx, ""); err != nil {
		return err
	}
	i.verdict(v1alpha1.VerdictVerified)
	i.obj.Status.FollowUp = ""
	i.done(v1alpha1.VerifiedCondition, "%s", i.mem.state.Summary)
	i.end(v1alpha1.VerdictVerified, i.mem.state.Summary)
	return nil
}

// notActive is no end: an agent that does not run the change may still start.
func (i *incident) notActive(ctx context.Context) error {
	s := &i.obj.Status
	first := s.Verdict != v1alpha1.VerdictMergedNotActive
	s.Verdict, s.Because = v1alpha1.VerdictMergedNotActive, i.mem.state.Summary
	if f := i.mem.state.FollowUp; f != nil {
		s.FollowUp = f.String()
	}
	if !first {
		return nil
	}
	i.verdict(v1alpha1.VerdictMergedNotActive)
	countVerdict(i.obj.Spec.Signature, s.Verdict)
	i.note(v1alpha1.RolledOutCondition, "%s", i.mem.state.Summary)
	i.tell(string(s.Verdict), "Warning", "%s %s", i.mem.state.Summary, s.FollowUp)
	return i.conclude(ctx, "")
}

// notEffective marks the candidate tried, and begins with the next.
func (i *incident) notEffective(ctx context.Context) error {
	if err := i.conclude(ctx, ""); err != nil {
		return err
	}
	s := &i.obj.Status
	i.verdict(v1alpha1.VerdictNotEffective)
	countVerdict(i.obj.Spec.Signature, v1alpha1.VerdictNotEffective)
	s.Verdict, s.Because = v1alpha1.VerdictNotEffective, i.mem.state.Summary
	i.note(v1alpha1.VerifiedCondition, "%s", i.mem.state.Summary)
	i.tell(string(s.Verdict), "Warning", "%s", i.mem.state.Summary)
	s.Commit, s.PullRequest, s.Plan, s.Nodes, s.Now, s.Baseline, s.Delivery, s.BreakGlass, s.FollowUp = "", nil, nil, nil, nil, nil, nil, nil, ""
	s.Times = &v1alpha1.StepTimes{Confirmed: s.Times.Confirmed}
	s.Conditions = keep(s.Conditions, v1alpha1.DetectedCondition)
	i.phase(v1alpha1.PhaseDetected)
	i.mem.restart()
	i.soon(time.Second)
	return nil
}

// restart forgets what belongs to an attempt.
func (m *memory) restart() {
	if m.change != nil {
		m.change.Close()
	}
	m.result, m.outcome, m.pr, m.change, m.told, m.planned = nil, nil, nil, nil, "", ""
	m.asked, m.counted, m.rolledOut, m.state = time.Time{}, time.Time{}, time.Time{}, verify.State{}
}

// keep are the conditions of one type.
func keep(all []metav1.Condition, kind string) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range all {
		if c.Type == kind {
			out = append(out, c)
		}
	}
	return out
}

// regressed opens a draft that takes the change back, and ends.
func (i *incident) regressed(ctx context.Context) error {
	link := ""
	if i.target.forge != nil {
		var evidence []string
		for _, f := range i.mem.state.Flows {
			evidence = append(evidence, fmt.Sprintf("%s: before %s, now %s", f.Class, f.Before, f.After))
		}
		back, err := i.proposer().Revert(ctx, remediate.Reversal{Branch: i.obj.Status.PullRequest.Branch, Commit: i.obj.Status.Commit, Because: i.mem.state.Summary, Evidence: evidence})
		if err != nil {
			return failing(v1alpha1.ForgeReason, err)
		}
		link = back.URL
		i.obj.Status.FollowUp = v1alpha1.Clip(back.How, 500)
	}
	if err := i.conclude(ctx, link); err != nil {
		return err
	}
	i.verdict(v1alpha1.VerdictRegressed)
	because := i.mem.state.Summary
	if link != "" {
		because += "; " + link + " takes it back"
	}
	i.end(v1alpha1.VerdictRegressed, because)
	return nil
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
