package remediate

import (
	"context"
	"errors"
	"fmt"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// pushOnly points the branch to the change, without a forge.
func (x *proposal) pushOnly(ctx context.Context) error {
	if x.Spec.Commit.Method == methodAPI {
		return withHint(errors.New("commit.method API needs a forge"), "set commit.method to Push, or name the forge")
	}
	base, _, err := x.base(ctx)
	if err != nil {
		return err
	}
	asked := x.ask
	if x.want != nil {
		asked = x.want.candidate.ID
	}
	if err := x.fresh(ctx, base); err != nil {
		return err
	}
	if in := x.withID(asked); in != nil {
		x.want = in
	}
	if x.want == nil {
		x.because(v1alpha1.PullRequestNoChange, orElse(clip(x.res.Plan.Abstained, maxReply), "the plan proposes no change"))
		return nil
	}
	in := x.want
	x.out.Branch, x.out.Base, x.out.Candidate = in.branch(), base, in.candidate.ID
	p := guard.Proposal{Cluster: in.cluster, Signature: in.signature, Change: in.change, Facts: in.facts, Confidence: string(in.confidence())}
	if d := guard.Decide(x.limits(), x.res.freeze, p, nil, nil, x.now); !d.Allowed {
		x.out.Rule = d.Rule
		x.because(v1alpha1.PullRequestHeld, d.Because...)
		return nil
	}
	b, err := x.build(ctx, *in, base, in.branch(), "")
	x.out.Commit = b.head
	switch {
	case errors.Is(err, repo.ErrNoChange):
		x.because(v1alpha1.PullRequestNoChange, base+" has this change already")
	case errors.Is(err, errNotOurs):
		x.because(v1alpha1.PullRequestHandsOff, "a person committed to the branch "+in.branch()+", so it is theirs now")
	case err != nil:
		return err
	case b.found:
		x.because(v1alpha1.PullRequestUnchanged, "the branch is as it should be")
	case b.replaced:
		x.because(v1alpha1.PullRequestUpdated, fmt.Sprintf("%s moved to %.12s: the change was built on it and proven again", base, b.base))
	default:
		x.because(v1alpha1.PullRequestOpened, "the branch was pushed; no forge is known to open a pull request on")
	}
	return nil
}

// withID is the first intent of that candidate, or nil.
func (x *proposal) withID(id string) *intent {
	for i := range x.all {
		if x.all[i].candidate.ID == id {
			return &x.all[i]
		}
	}
	return nil
}
