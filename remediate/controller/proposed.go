package controller

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// proposed does what is due about the pull request.
type proposed struct{}

func (proposed) name() string { return "propose" }

func (proposed) do(ctx context.Context, i *incident) (bool, error) {
	if i.isMerged() || i.mem.pr != nil && i.mem.pr.State == forge.Merged {
		return false, nil
	}
	if pr := i.mem.pr; pr != nil && pr.State == forge.Closed && !pr.ByUs {
		i.closed(pr)
	}
	if i.mem.outcome != nil && !i.ask {
		return i.mem.outcome.Action != v1alpha1.PullRequestMerged, nil
	}
	i.mem.asked = i.now
	i.baseline()
	out, err := i.propose(ctx)
	if err != nil {
		i.mem.outcome = nil
		i.waits(v1alpha1.ProposedCondition, v1alpha1.ForgeReason, "%v", err)
		return true, err
	}
	i.mem.outcome = out
	return i.showOutcome(ctx, out)
}

// propose with the plan; a transient conflict is tried again at once, as the branch
// or the base moved meanwhile.
func (i *incident) propose(ctx context.Context) (out *v1alpha1.PullRequestOutcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.policy.GetTimeout())
	defer cancel()
	p := i.proposer()
	p.Replan = i.replan
	if b := verify.BaselineOf(i.obj.Status.Baseline); b != nil {
		p.Note = noteOf(i.obj.Status.Baseline)
	}
	retry := forge.Retry{Steps: 3, MaxWait: 5 * time.Second}
	err = retry.Do(ctx, func(ctx context.Context) error {
		out, err = p.Propose(ctx, i.mem.result, "")
		return err
	})
	return out, err
}

// replan plans for a clone that the proposer made.
func (i *incident) replan(ctx context.Context, dir string) (*remediate.Result, error) {
	res, err := i.planIn(ctx, dir)
	if err != nil {
		return nil, planFault(err)
	}
	return res, nil
}

// showOutcome puts into the status what was done.
func (i *incident) showOutcome(ctx context.Context, out *v1alpha1.PullRequestOutcome) (done bool, err error) {
	was := i.obj.Status.PullRequest
	i.obj.Status.PullRequest = pullRequest(out, was)
	because := strings.Join(out.Because, "; ")
	switch out.Action {
	case v1alpha1.PullRequestOpened, v1alpha1.PullRequestUpdated, v1alpha1.PullRequestUnchanged:
		i.opened(out, was)
	case v1alpha1.PullRequestHandsOff:
		i.done(v1alpha1.GuardedCondition, "a person took it over")
		i.waits(v1alpha1.ProposedCondition, v1alpha1.HandsOffReason, "%s", because)
		i.phase(v1alpha1.PhaseProposed)
	case v1alpha1.PullRequestHeld:
		i.held(out.Rule+": "+because, v1alpha1.HeldReason)
	case v1alpha1.PullRequestMerged:
		return i.mergedAlready(ctx, out)
	case v1alpha1.PullRequestClosed:
		i.mem.pr = nil
		i.note(v1alpha1.ProposedCondition, "closed %s: %s", out.URL, because)
		i.waits(v1alpha1.ProposedCondition, string(v1alpha1.VerdictClosed), "closed: %s", because)
	default:
		if i.obj.Status.Plan != nil && i.obj.Status.Plan.Candidate == "" {
			return true, nil
		}
		i.waits(v1alpha1.ProposedCondition, v1alpha1.WaitingReason, "nothing is proposed: %s", because)
		return i.plainMerge(out), nil
	}
	return true, nil
}

// mergedAlready is for a change that was merged: by now, or in an attempt that has
// its verdict and is not taken up again.
func (i *incident) mergedAlready(ctx context.Context, out *v1alpha1.PullRequestOutcome) (done bool, err error) {
	pr, err := i.proposer().RecallBranch(ctx, out.Branch)
	if err != nil {
		return true, failing(v1alpha1.ForgeReason, err)
	}
	if pr == nil || i.hasVerdict(pr) {
		i.obj.Status.PullRequest = nil
		i.waits(v1alpha1.ProposedCondition, v1alpha1.WaitingReason, "what was merged did not help, and no other change is known")
		return true, nil
	}
	i.mem.pr = pr
	return false, nil
}

// hasVerdict says whether a pull request's own life is over.
func (i *incident) hasVerdict(pr *remediate.Recalled) bool {
	return v1alpha1.Verdict(pr.Verdict).Final() ||
		slices.ContainsFunc(i.obj.Status.Attempts, func(a v1alpha1.Attempt) bool { return a.PullRequest == pr.URL && a.Verdict.Final() })
}

// opened is for a pull request that waits for people.
func (i *incident) opened(out *v1alpha1.PullRequestOutcome, was *v1alpha1.PullRequestStatus) {
	where := out.URL
	if where == "" {
		where = "branch " + out.Branch
	}
	i.done(v1alpha1.GuardedCondition, "let through")
	i.done(v1alpha1.ProposedCondition, "%s", where)
	i.waits(v1alpha1.MergedCondition, v1alpha1.WaitingReason, "%s waits for people to merge it", where)
	i.phase(v1alpha1.PhaseProposed)
	if i.obj.Status.Verdict == v1alpha1.VerdictClosed || i.obj.Status.Verdict == v1alpha1.VerdictNotEffective {
		i.obj.Status.Verdict, i.obj.Status.Because = "", ""
	}
	if was == nil || was.Branch != out.Branch {
		i.note(v1alpha1.ProposedCondition, "opened %s: %s", where, out.Candidate)
		i.tell("Proposed", "Normal", "proposed %s: %s", out.Candidate, where)
		if i.times().Proposed == nil && i.times().Confirmed != nil && out.Action == v1alpha1.PullRequestOpened {
			observeBetween(timeToPullRequest.WithLabelValues(string(i.obj.Spec.Signature)), i.times().Confirmed.Time, i.RemediationReconciler.now())
		}
		i.times().Proposed = stamp(i.RemediationReconciler.now())
		i.attempt(out.Candidate, where)
	}
}

// attempt notes that a change was proposed.
func (i *incident) attempt(candidate, where string) {
	all := &i.obj.Status.Attempts
	if n := len(*all); n > 0 && (*all)[n-1].PullRequest == where {
		return
	}
	*all = append(*all, v1alpha1.Attempt{Candidate: candidate, PullRequest: where, At: *stamp(i.now)})
}

// last is the present attempt; nil without one.
func (i *incident) last() *v1alpha1.Attempt {
	if n := len(i.obj.Status.Attempts); n > 0 {
		return &i.obj.Status.Attempts[n-1]
	}
	return nil
}

// closed is for a pull request that a person closed. It is remembered: the guard
// does not let the same change through while the facts are the same.
func (i *incident) closed(pr *remediate.Recalled) {
	s := &i.obj.Status
	if s.Verdict == v1alpha1.VerdictClosed {
		return
	}
	s.Verdict, s.Because = v1alpha1.VerdictClosed, "a person closed "+pr.URL
	countVerdict(i.obj.Spec.Signature, s.Verdict)
	if a := i.last(); a != nil && a.PullRequest == pr.URL {
		a.Verdict = v1alpha1.VerdictClosed
	}
	i.waits(v1alpha1.ProposedCondition, string(v1alpha1.VerdictClosed), "a person closed %s; /remediate replan there brings it back", pr.URL)
	i.note(v1alpha1.ProposedCondition, "a person closed %s", pr.URL)
	i.tell(string(v1alpha1.VerdictClosed), "Normal", "a person closed %s", pr.URL)
}

func pullRequest(out *v1alpha1.PullRequestOutcome, was *v1alpha1.PullRequestStatus) *v1alpha1.PullRequestStatus {
	s := &v1alpha1.PullRequestStatus{Action: out.Action, Number: int64(out.Number), URL: out.URL, Branch: out.Branch, Base: out.Base, Commit: out.Commit,
		Draft: out.Draft, Rule: out.Rule, Because: out.Because, Warnings: out.Warnings}
	if out.Number == 0 && was != nil && was.Number > 0 && (out.Branch == "" || out.Branch == was.Branch) {
		s.Number, s.URL, s.Branch, s.Base = was.Number, was.URL, was.Branch, was.Base
	}
	return s
}

// plainMerged says whether people took over what stands in the branch that was
// pushed to a server without pull requests: by a merge, or otherwise. The plan is of
// the newest base then, and the status has the one that was pushed.
func (i *incident) plainMerged() bool {
	a, pr, plan := i.last(), i.obj.Status.PullRequest, i.obj.Status.Plan
	if i.target.forge != nil || a == nil || a.Verdict.Final() || pr == nil || pr.Branch == "" || plan == nil || plan.Candidate != a.Candidate {
		return false
	}
	tip := i.mem.result.Plan.Subject.Revision
	if tip == plan.Revision || !i.mem.result.HasChanges(plan.Changes) {
		return false
	}
	i.mem.pr = &remediate.Recalled{State: forge.Merged, Branch: pr.Branch, Base: pr.Base, Commit: tip, Candidate: a.Candidate, Ended: i.now}
	return true
}

// plainMerge is for a server without pull requests: the branch that was pushed is
// merged when the base has the change.
func (i *incident) plainMerge(out *v1alpha1.PullRequestOutcome) (done bool) {
	a := i.last()
	if i.target.forge != nil || a == nil || out.Action != v1alpha1.PullRequestNoChange {
		return true
	}
	i.mem.pr = &remediate.Recalled{State: forge.Merged, Branch: out.Branch, Base: out.Base, Commit: i.mem.result.Plan.Subject.Revision, Candidate: a.Candidate, Ended: i.now}
	return false
}

// enough is how long exchanges are counted until that says what works: probes tell
// what they counted every ten seconds, and the first time is left out.
const enough = 25 * time.Second

// baseline notes what works and what does not, as long as nothing is merged: what
// was counted since the incident began, once that is enough, else in the last
// minutes. One that is there gives way to a fuller one only.
func (i *incident) baseline() {
	if i.present != snapshot.Yes {
		return
	}
	for _, name := range []string{i.key(), ""} {
		b, ok := i.probes.Baseline(name)
		full := b.To.Sub(b.From) >= enough
		if ok && fails(b) && (full || name == "" && i.obj.Status.Baseline == nil) {
			i.obj.Status.Baseline = b.Status()
			return
		}
	}
}

// fails says whether anything fails in a baseline: one in which nothing does was
// taken too early to compare with.
func fails(b verify.Baseline) bool {
	for _, c := range b.Classes {
		if c.Lost+c.Masked > 0 {
			return true
		}
	}
	return false
}

// noteOf is the baseline as the pull request's record keeps it: without the pairs,
// and with fewer classes where it would be too long.
func noteOf(b *v1alpha1.Baseline) json.RawMessage {
	short := *b
	short.Broken = nil
	for {
		text, err := json.Marshal(short)
		switch {
		case err != nil:
			return nil
		case len(text) <= remediate.MaxNote:
			return text
		case len(short.Flows) == 0:
			return nil
		}
		short.Flows = short.Flows[:len(short.Flows)/2]
	}
}

// baselineOf reads what noteOf wrote; nil for anything else.
func baselineOf(note json.RawMessage) *v1alpha1.Baseline {
	if len(note) == 0 {
		return nil
	}
	out := &v1alpha1.Baseline{}
	if err := json.Unmarshal(note, out); err != nil || len(out.Flows) == 0 {
		return nil
	}
	s := v1alpha1.RemediationStatus{Baseline: out}
	s.Bound()
	return s.Baseline
}

// count counts exchanges for the baseline until the merge, and what became of them
// afterwards.
func (i *incident) count() {
	if i.mem.counted.IsZero() {
		i.mem.counted = i.now
		i.probes.CountFrom(i.key(), i.now)
	}
}

// stopCounting ends it.
func (r *RemediationReconciler) stopCounting(o *v1alpha1.Remediation) {
	r.Watching.Of(ownerKey(o)).StopCounting(client.ObjectKeyFromObject(o).String())
}
