package remediate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// close ends a pull request with a word: comment, close, delete the branch, and
// note that it is done. Stopped anywhere, the next run goes on from there.
func (x *proposal) close(ctx context.Context, t *talk, c closing, why string) error {
	t.status.Closing, t.status.Why = c, clip(why, maxReply)
	t.now = "Closed: " + t.status.Why + "."
	if err := x.tell(ctx, t); err != nil {
		return err
	}
	if t.pr.State == forge.Open {
		x.say("closing %s: %s", t.pr.URL, why)
		pr, err := x.Forge.Edit(ctx, t.pr, forge.Edit{Close: true})
		if err != nil {
			return err
		}
		t.pr = pr
	}
	if err := x.deleteBranch(ctx, t); err != nil {
		return err
	}
	t.status.Done = true
	x.because(v1alpha1.PullRequestClosed, why)
	return x.tell(ctx, t)
}

// deleteBranch deletes a branch that nobody else committed to. That it cannot be
// deleted does not matter.
func (x *proposal) deleteBranch(ctx context.Context, t *talk) error {
	refs, err := x.branches(ctx)
	if err != nil {
		return err
	}
	at, ok := refs.Branches[t.pr.Branch]
	if !ok || at != t.rec.Head {
		return nil
	}
	err = x.Remote.Delete(ctx, t.pr.Branch, at)
	if repo.Transient(err) {
		return asConflict(t.pr.Branch, err)
	}
	if err != nil {
		x.warn("the branch " + t.pr.Branch + " stays: " + err.Error())
	}
	return nil
}

// healed is for a pull request whose finding the plan of the newest base does
// not have any more.
func (x *proposal) healed(ctx context.Context, t *talk) (bool, error) {
	p := &x.res.Plan
	if p.Abstained != "" && !x.gone(t.rec) {
		return x.hold(ctx, t, ruleUnproven, "the newest base cannot be judged: "+clip(p.Abstained, maxReply))
	}
	if lost := t.rec.lessKnown(p.Facts.Unknown); len(lost) > 0 {
		return x.hold(ctx, t, ruleUnproven, "the finding is not seen any more, but less is known than when this was opened: "+clip(strings.Join(lost, "; "), maxReply))
	}
	c, why := closedGone, "the finding is gone: the facts of the cluster have changed"
	if fixed, how := x.fixedOtherwise(t); fixed {
		c, why = closedFixed, how
	}
	return true, x.close(ctx, t, c, why)
}

// gone: what the pull request is about is seen to be gone, and the plan has no such
// finding, whatever else it abstains from.
func (x *proposal) gone(r record) bool {
	return x.Gone && r.Signature == x.Signature && findingOf(&x.res.Plan, r.Signature) == nil
}

// fixedOtherwise says whether the values that this pull request changes are
// others now than when it was opened, and which.
func (x *proposal) fixedOtherwise(t *talk) (bool, string) {
	if len(t.rec.Paths) == 0 || valuesHash(x.res.values, t.rec.Paths) == t.rec.Was {
		return false, ""
	}
	var now []string
	for _, p := range t.rec.Paths {
		v, _ := lookupPath(x.res.values, p)
		now = append(now, p+" is "+clip(shown(p, v), maxFact))
	}
	return true, fmt.Sprintf("it was fixed otherwise: on %s at %.12s %s", t.pr.Base, x.res.Plan.Subject.Revision, strings.Join(now, ", "))
}

// replace opens the pull request of another change of the same cause, and then
// closes this one with a link. That it is under way is written down first.
func (x *proposal) replace(ctx context.Context, t *talk, in *intent) (bool, error) {
	prs, err := x.Forge.Find(ctx, in.branch())
	if err != nil {
		return false, err
	}
	next, ok := firstOpen(prs)
	if !ok {
		if next, ok, err = x.succeed(ctx, t, in, prs); err != nil || !ok {
			return true, err
		}
	}
	if t.choose != nil {
		t.status.note(*t.choose, "done")
	}
	x.carried(t)
	t.link = next.URL
	out := *x.out
	if err := x.close(ctx, t, closedSuperseded, fmt.Sprintf("replaced by #%d, which proposes %s", next.Number, in.candidate.ID)); err != nil {
		return false, err
	}
	out.Warnings = x.out.Warnings
	*x.out = out
	if x.out.Action == "" {
		x.because(v1alpha1.PullRequestUnchanged)
	}
	x.show(next, in.candidate.ID)
	x.out.Because = append(x.out.Because, fmt.Sprintf("it takes the place of %s", t.pr.URL))
	return true, nil
}

// succeed opens the pull request that takes the place of t's, if it may.
func (x *proposal) succeed(ctx context.Context, t *talk, in *intent, earlier []forge.PullRequest) (forge.PullRequest, bool, error) {
	d, err := x.decide(ctx, in, earlier, t)
	if err != nil {
		return forge.PullRequest{}, false, err
	}
	if !d.Allowed {
		_, err := x.hold(ctx, t, d.Rule, append([]string{"candidate " + in.candidate.ID + " cannot take its place now"}, d.Because...)...)
		return forge.PullRequest{}, false, err
	}
	t.status.Closing, t.status.By, t.status.Done = closedSuperseded, in.candidate.ID, false
	t.now = "Candidate " + in.candidate.ID + " takes its place."
	if err := x.tell(ctx, t); err != nil {
		return forge.PullRequest{}, false, err
	}
	return x.submit(ctx, in, earlier, t)
}

// sweep closes the pull requests of this cluster whose finding the plan does not
// have. done is true when the plan of the newest base had to be made for it and
// wants something else than the given one.
func (x *proposal) sweep(ctx context.Context, listed []forge.PullRequest) (done bool, err error) {
	wanted := ""
	if x.want != nil {
		wanted = x.want.change
	}
	for _, pr := range listed {
		r, ours := readRecord(pr)
		if !ours || pr.State != forge.Open || r.Cluster != x.Cluster || findingOf(&x.res.Plan, r.Signature) != nil {
			continue
		}
		if x.res.Plan.Abstained != "" && !x.gone(r) {
			continue
		}
		if err := x.retire(ctx, pr); err != nil {
			return false, err
		}
		if wanted != "" {
			x.aside(pr)
		}
		if now := x.want; now != nil && now.change != wanted || now == nil && wanted != "" {
			x.asked = false
			return true, x.again(ctx)
		}
	}
	return false, nil
}

// aside keeps of the outcome of another pull request what matters to the one
// that is proposed now.
func (x *proposal) aside(pr forge.PullRequest) {
	out := v1alpha1.PullRequestOutcome{Warnings: x.out.Warnings}
	if x.out.Action == v1alpha1.PullRequestClosed {
		x.asked = false // the list counts for the limits
		out.Because = append(out.Because, fmt.Sprintf("%s was closed: %s", pr.URL, strings.Join(x.out.Because, "; ")))
	}
	*x.out = out
}

// retire looks after a pull request whose finding is gone in the plan at hand.
func (x *proposal) retire(ctx context.Context, pr forge.PullRequest) error {
	t, err := x.look(ctx, pr)
	if err != nil {
		return err
	}
	x.show(pr, t.rec.Candidate)
	t.replan = &command{}
	for _, do := range []func(*proposal, context.Context, *talk) (bool, error){
		(*proposal).resumeClosing, (*proposal).obey, (*proposal).leavePushed, (*proposal).keepUp,
	} {
		if done, err := do(x, ctx, t); done || err != nil {
			return err
		}
	}
	return nil
}

// settle is for a plan that proposes nothing.
func (x *proposal) settle(ctx context.Context) error {
	listed, err := x.survey(ctx)
	if err != nil {
		return err
	}
	p := &x.res.Plan
	if p.Abstained == "" || x.Gone {
		if done, err := x.sweep(ctx, listed); err != nil || done {
			return err
		}
	}
	if p.Abstained == "" {
		if err := x.tidy(ctx, listed); err != nil {
			return err
		}
	}
	if x.out.Action != "" {
		return nil
	}
	switch pr, r, ok := x.newest(listed); {
	case ok && pr.State == forge.Merged:
		x.show(pr, r.Candidate)
		x.out.Commit = pr.MergeCommit
		x.because(v1alpha1.PullRequestMerged, "it was merged on "+stamp(pr.Ended)+"; whether it is active on every agent is for the verification to say")
	case ok && pr.State == forge.Open:
		x.show(pr, r.Candidate)
		x.because(v1alpha1.PullRequestUnchanged, "the plan proposes nothing now: "+clip(orElse(p.Abstained, "no change is known to be safe"), maxReply))
	case p.Abstained != "":
		x.because(v1alpha1.PullRequestNoChange, clip(p.Abstained, maxReply))
	case len(p.Findings) > 0:
		x.because(v1alpha1.PullRequestNoChange, "the plan proposes no change for what was found")
	default:
		x.because(v1alpha1.PullRequestNoChange, "nothing was found")
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// newest is our newest open or merged pull request of this cluster.
func (x *proposal) newest(listed []forge.PullRequest) (forge.PullRequest, record, bool) {
	for _, pr := range listed {
		if r, ours := readRecord(pr); ours && r.Cluster == x.Cluster && pr.State != forge.Closed && (x.Signature == "" || r.Signature == x.Signature) {
			return pr, r, true
		}
	}
	return forge.PullRequest{}, record{}, false
}

// maxTidied bounds how many left branches are looked at in one run.
const maxTidied = 5

// tidy finishes what a run that was cut short left behind: a branch whose pull
// request we closed, or never opened.
func (x *proposal) tidy(ctx context.Context, listed []forge.PullRequest) error {
	refs, err := x.branches(ctx)
	if err != nil {
		return err
	}
	open := map[string]bool{}
	for _, pr := range listed {
		open[pr.Branch] = open[pr.Branch] || !pr.Fork && pr.State == forge.Open
	}
	left := 0
	for _, name := range slices.Sorted(maps.Keys(refs.Branches)) {
		if !strings.HasPrefix(name, branchRoot+refPart(x.Cluster, "cluster")+"/") || open[name] {
			continue
		}
		if left++; left > maxTidied {
			return nil
		}
		if err := x.tidyBranch(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (x *proposal) tidyBranch(ctx context.Context, name string) error {
	prs, err := x.Forge.Find(ctx, name)
	if err == nil && len(prs) == 0 {
		return x.tidyOrphan(ctx, name)
	}
	if err != nil || prs[0].State != forge.Closed {
		return err
	}
	t, err := x.look(ctx, prs[0])
	if err != nil || !t.ours || t.status.Closing == "" || t.status.Done {
		return err
	}
	out := *x.out
	err = x.close(ctx, t, t.status.Closing, t.status.Why)
	*x.out = out
	return err
}

// tidyOrphan deletes a branch that we pushed and never opened a pull request from.
func (x *proposal) tidyOrphan(ctx context.Context, name string) error {
	base, _, err := x.base(ctx)
	if err != nil {
		return err
	}
	if err := x.clone(ctx, base); err != nil {
		return err
	}
	c, ok, err := x.tree.Fetch(ctx, name)
	if err != nil || !ok {
		return err
	}
	signature := trailer(c.Message, trailerSignature)
	if signature == "" || findingOf(&x.res.Plan, signature) != nil {
		return nil
	}
	if ours, err := x.wrote(ctx, c, signature); err != nil || !ours {
		return err
	}
	if err := x.Remote.Delete(ctx, name, c.Hash); err != nil {
		x.warn("the branch " + name + " stays: " + err.Error())
	}
	return nil
}
