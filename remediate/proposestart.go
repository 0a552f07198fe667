package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// maxLookups bounds how many earlier pull requests are read for what was said in
// them, the newest.
const maxLookups = 6

// survey lists the open pull requests and those of the last 24 hours, once.
func (x *proposal) survey(ctx context.Context) ([]forge.PullRequest, error) {
	if !x.asked {
		prs, err := x.Forge.List(ctx, x.now.Add(-24*time.Hour))
		if err != nil {
			return nil, err
		}
		x.listed, x.asked = prs, true
	}
	return x.listed, nil
}

// start is for a change without an open pull request: earlier are those that
// have ended, newest first.
func (x *proposal) start(ctx context.Context, earlier []forge.PullRequest) error {
	listed, err := x.survey(ctx)
	if err != nil {
		return err
	}
	for _, pr := range listed {
		r, ours := readRecord(pr)
		if ours && pr.State == forge.Open && r.Cluster == x.Cluster && r.Signature == x.want.signature {
			return x.tend(ctx, pr)
		}
	}
	if len(earlier) > 0 && earlier[0].State == forge.Merged {
		done, err := x.merged(ctx, earlier[0])
		if err != nil || done {
			return err
		}
	}
	if done, err := x.sweep(ctx, listed); err != nil || done {
		return err
	}
	_, _, err = x.submit(ctx, x.want, earlier, nil)
	return err
}

// merged is for a change that was merged before. When the plan on the newest
// base still proposes it, somebody took it back; the guard has the word then.
func (x *proposal) merged(ctx context.Context, pr forge.PullRequest) (done bool, err error) {
	change := x.want.change
	tip, err := x.tip(ctx, pr.Base)
	if err != nil {
		return false, err
	}
	if !x.res.standsOn(tip) && x.Replan != nil {
		if err := x.fresh(ctx, pr.Base); err != nil {
			return false, err
		}
	}
	current := x.res.standsOn(tip) || x.tree != nil
	switch still := x.byChange(change); {
	case still == nil && x.want != nil:
		return true, x.again(ctx)
	case still != nil && current:
		x.want = still
		x.out.Because = append(x.out.Because, fmt.Sprintf("it was merged as %.12s, and %s at %.12s is again as it was before", pr.MergeCommit, pr.Base, tip))
		return false, nil
	}
	x.show(pr, "")
	x.out.Commit = pr.MergeCommit
	x.because(v1alpha1.PullRequestMerged, fmt.Sprintf("it was merged on %s; whether it is active on every agent is for the verification to say", stamp(pr.Ended)))
	return true, nil
}

// submit opens a pull request for a change, if the guard lets it through. opened
// is false when it did not come to that; the outcome says why.
func (x *proposal) submit(ctx context.Context, in *intent, earlier []forge.PullRequest, replaces *talk) (pr forge.PullRequest, opened bool, err error) {
	base, err := x.repository(ctx)
	if err != nil {
		return pr, false, err
	}
	if replaces != nil {
		base = replaces.pr.Base
	}
	x.out.Branch, x.out.Base, x.out.Candidate = in.branch(), base, in.candidate.ID
	d, err := x.decide(ctx, in, earlier, replaces)
	if err != nil {
		return pr, false, err
	}
	if !d.Allowed {
		x.out.Rule = d.Rule
		x.because(v1alpha1.PullRequestHeld, d.Because...)
		return pr, false, nil
	}
	change := in.change
	if err := x.fresh(ctx, base); err != nil {
		return pr, false, err
	}
	if in = x.byChange(change); in == nil {
		return pr, false, x.again(ctx)
	}
	b, err := x.build(ctx, *in, base, in.branch(), "")
	switch {
	case errors.Is(err, repo.ErrNoChange):
		x.because(v1alpha1.PullRequestNoChange, base+" has this change already")
		return pr, false, nil
	case errors.Is(err, errNotOurs):
		x.out.Commit = b.head
		x.because(v1alpha1.PullRequestHandsOff, "a person committed to the branch "+in.branch()+": delete it, or open the pull request by hand")
		return pr, false, nil
	case err != nil:
		return pr, false, err
	}
	return x.open(ctx, in, base, b)
}

// repository asks the forge about the repository, and gives the base branch.
func (x *proposal) repository(ctx context.Context) (string, error) {
	r, err := x.Forge.Repository(ctx)
	if err != nil {
		return "", err
	}
	op := "propose a change in " + clip(r.Name, 200)
	switch {
	case r.Archived:
		return "", &forge.Error{Kind: forge.Archived, Op: op, Hint: "it is read-only: point Flux and remediate at the repository that took its place", Err: errors.New("the repository is archived")}
	case !r.CanPush:
		return "", &forge.Error{Kind: forge.Forbidden, Op: op, Hint: "give the credentials the right to write to the repository, or use other ones", Err: errors.New("these credentials may not push")}
	case x.Base != "":
		return x.Base, nil
	}
	return r.DefaultBranch, nil
}

// decide asks the guard.
func (x *proposal) decide(ctx context.Context, in *intent, earlier []forge.PullRequest, replaces *talk) (guard.Decision, error) {
	past, err := x.past(ctx, earlier, replaces)
	if err != nil {
		return guard.Decision{}, err
	}
	rivals, err := x.rivals(ctx, in)
	if err != nil {
		return guard.Decision{}, err
	}
	p := guard.Proposal{Cluster: in.cluster, Signature: in.signature, Change: in.change, Facts: in.facts, Confidence: string(in.confidence())}
	if replaces != nil {
		p.Replaces = replaces.pr.Number
	}
	return guard.Decide(x.limits(), x.res.freeze, p, past, rivals, x.now), nil
}

// past are our pull requests that the guard judges by: those from this branch,
// the open ones, and those of the last 24 hours. What people said is read in
// those of this cluster that are open, or from this branch.
func (x *proposal) past(ctx context.Context, earlier []forge.PullRequest, replaces *talk) ([]guard.Past, error) {
	listed, err := x.survey(ctx)
	if err != nil {
		return nil, err
	}
	var out []guard.Past
	seen, looked := map[int]bool{}, 0
	for _, pr := range slices.Concat(earlier, listed) {
		r, ours := readRecord(pr)
		if !ours || seen[pr.Number] {
			continue
		}
		seen[pr.Number] = true
		t := &talk{pr: pr, rec: r}
		heard := r.Cluster == x.Cluster && (pr.State == forge.Open || slices.ContainsFunc(earlier, func(e forge.PullRequest) bool { return e.Number == pr.Number }))
		switch {
		case replaces != nil && replaces.pr.Number == pr.Number:
			t = replaces
		case heard && looked < maxLookups:
			looked++
			if t, err = x.look(ctx, pr); err != nil {
				return nil, err
			}
		}
		out = append(out, t.past())
	}
	return out, nil
}

// open opens the pull request, or takes the one that is there since a moment.
func (x *proposal) open(ctx context.Context, in *intent, base string, b built) (forge.PullRequest, bool, error) {
	rec := record{
		Version: 1, Signature: in.signature, Cluster: in.cluster, Candidate: in.candidate.ID, Change: in.change,
		Facts: in.facts, Plan: in.plan, Base: b.base, Head: b.head, Unknown: shortened(x.res.Plan.Facts.Unknown),
		Paths: in.paths(), Was: valuesHash(x.res.values, in.paths()), Note: x.Note,
	}
	isDraft := draft(x.Spec, *in)
	title, body, err := x.words(*in, rec, isDraft)
	if err != nil {
		return forge.PullRequest{}, false, err
	}
	x.say("opening a pull request from %s to %s", in.branch(), base)
	pr, err := x.Forge.Open(ctx, forge.Request{
		Title: title, Body: body, Branch: in.branch(), Base: base, Draft: isDraft, Labels: labels(x.Spec), Reviewers: x.Spec.Reviewers,
	})
	switch {
	case forge.Is(err, forge.NoDiff):
		x.because(v1alpha1.PullRequestNoChange, base+" has this change already")
		return pr, false, nil
	case forge.Is(err, forge.Exists):
		return pr, false, &forge.Error{Kind: forge.Conflict, Op: "open a pull request from " + in.branch(), Hint: "it is tried again with what is there now", Err: err}
	case err != nil:
		return pr, false, err
	}
	x.show(pr, in.candidate.ID)
	x.out.Commit = b.head
	x.because(v1alpha1.PullRequestOpened)
	if isDraft && !pr.Draft {
		x.warn("it should be a draft and is none: the forge has no drafts in this repository")
		if pr, err = x.undraft(ctx, pr, *in, rec); err != nil {
			return pr, false, err
		}
	}
	if isDraft && pr.Draft && x.Spec.Draft != "always" {
		x.because(v1alpha1.PullRequestOpened, "a draft: the finding is "+string(in.confidence())+", not confirmed")
	}
	return pr, true, x.mark(ctx, pr)
}

// undraft takes out of the text that it is a draft.
func (x *proposal) undraft(ctx context.Context, pr forge.PullRequest, in intent, rec record) (forge.PullRequest, error) {
	_, body, err := x.words(in, rec, false)
	if err != nil {
		return pr, err
	}
	return x.Forge.Edit(ctx, pr, forge.Edit{Body: &body})
}

// mark asks for reviews first: all labels in place then mean that nothing is
// left to do.
func (x *proposal) mark(ctx context.Context, pr forge.PullRequest) error {
	if len(x.Spec.Reviewers) > 0 {
		warnings, err := x.Forge.Mark(ctx, pr, nil, x.Spec.Reviewers)
		x.warn(warnings...)
		if err != nil {
			return err
		}
	}
	warnings, err := x.Forge.Mark(ctx, pr, labels(x.Spec), nil)
	x.warn(warnings...)
	return err
}
