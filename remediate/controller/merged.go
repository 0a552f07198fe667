package controller

import (
	"context"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// merged takes over what people merged.
type merged struct{}

func (merged) name() string { return "merge" }

func (merged) do(_ context.Context, i *incident) (bool, error) {
	if i.isMerged() {
		return false, nil
	}
	pr := i.mem.pr
	if pr == nil || pr.State != forge.Merged || pr.Commit == "" {
		return true, nil
	}
	s := &i.obj.Status
	where := pr.URL
	if where == "" {
		where = "branch " + pr.Branch
	}
	s.Commit, s.Verdict, s.Because = pr.Commit, "", ""
	s.PullRequest = &v1alpha1.PullRequestStatus{Action: v1alpha1.PullRequestMerged, Number: int64(pr.Number), URL: pr.URL, Branch: pr.Branch, Base: pr.Base, Commit: pr.Commit}
	if s.Baseline == nil {
		s.Baseline = baselineOf(pr.Note)
	}
	i.attempt(pr.Candidate, where)
	i.last().Commit = pr.Commit
	i.times().Merged = stamp(pr.Ended)
	for _, step := range []string{v1alpha1.PlannedCondition, v1alpha1.GuardedCondition, v1alpha1.ProposedCondition} {
		i.done(step, "%s", where)
	}
	i.done(v1alpha1.MergedCondition, "%s was merged as %.12s", where, pr.Commit)
	i.phase(v1alpha1.PhaseMerged)
	i.note(v1alpha1.MergedCondition, "%s was merged as %.12s", where, pr.Commit)
	i.tell("Merged", "Normal", "%s was merged as %.12s", where, pr.Commit)
	return false, nil
}
