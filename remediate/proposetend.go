package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate/delivery"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// care is one step of looking after an open pull request; done ends the list.
// Each derives from the forge and from Git whether it has anything to do.
type care struct {
	name string
	do   func(*proposal, context.Context, *talk) (done bool, err error)
}

func cares() []care {
	return []care{
		{"leave what is not ours", (*proposal).leaveForeign},
		{"end what was begun", (*proposal).resumeClosing},
		{"carry out commands", (*proposal).obey},
		{"leave what a person pushed to", (*proposal).leavePushed},
		{"keep up with the base", (*proposal).keepUp},
		{"write the text", (*proposal).refresh},
		{"set labels and reviewers", (*proposal).relabel},
	}
}

// tend looks after an open pull request.
func (x *proposal) tend(ctx context.Context, pr forge.PullRequest) error {
	t, err := x.look(ctx, pr)
	if err != nil {
		return err
	}
	x.show(pr, t.rec.Candidate)
	for _, c := range cares() {
		done, err := c.do(x, ctx, t)
		if err != nil || done {
			return err
		}
	}
	x.carried(t)
	if err := x.tellIfNeeded(ctx, t); err != nil {
		return err
	}
	if x.out.Action == "" {
		x.because(v1alpha1.PullRequestUnchanged, "it is open and as it should be")
	}
	return nil
}

// carried notes the commands that this run has carried out.
func (x *proposal) carried(t *talk) {
	if t.replan != nil && t.replan.id != "" {
		t.status.note(*t.replan, "planned again, and the change stands")
	}
}

// leave ends the list: the pull request is a person's now.
func (x *proposal) leave(ctx context.Context, t *talk, why string) (bool, error) {
	if !t.status.Done {
		t.status.Closing, t.status.By, t.status.Why = "", "", ""
	}
	t.now = "Left alone: " + why + "."
	x.because(v1alpha1.PullRequestHandsOff, why)
	return true, x.tell(ctx, t)
}

// hold ends the list: nothing is changed now, and it says why.
func (x *proposal) hold(ctx context.Context, t *talk, rule string, why ...string) (bool, error) {
	t.now = "Waiting: " + strings.Join(why, "; ") + "."
	x.out.Rule = rule
	x.because(v1alpha1.PullRequestHeld, why...)
	return true, x.tell(ctx, t)
}

func (x *proposal) leaveForeign(ctx context.Context, t *talk) (bool, error) {
	if t.ours {
		return false, nil
	}
	return x.leave(ctx, t, "it does not hold remediate's record: "+clip(t.pr.Author, 80)+" opened it, or its text was replaced")
}

// resumeClosing ends a closing that was cut short, and respects that a person
// opened the pull request again.
func (x *proposal) resumeClosing(ctx context.Context, t *talk) (bool, error) {
	s := &t.status
	asked := latestReplan(t)
	switch {
	case s.Closing == "" && !s.Kept:
		return false, nil
	case s.Closing == closedSuperseded && !s.Done && x.byID(s.By, t.rec.Signature) == nil:
		s.Closing, s.By, s.Why = "", "", ""
		return false, nil
	case s.Closing == closedSuperseded && !s.Done:
		return false, nil
	case s.Closing != "" && !s.Done:
		return true, x.close(ctx, t, s.Closing, s.Why)
	case asked:
		s.Closing, s.By, s.Why, s.Done, s.Kept = "", "", "", false, false
		return false, nil
	}
	s.Closing, s.By, s.Why, s.Done, s.Kept = "", "", "", false, true
	return x.leave(ctx, t, "it was closed here and a person opened it again; /remediate replan gives it back")
}

// latestReplan says whether a person asked for a new plan and was not heard yet.
func latestReplan(t *talk) bool {
	for _, c := range t.pending() {
		if c.Verb == guard.Replan {
			return true
		}
	}
	return false
}

// obey carries out commands, or leaves those that need a plan to the later steps.
func (x *proposal) obey(ctx context.Context, t *talk) (bool, error) {
	for _, c := range t.pending() {
		switch problem := c.Problem(); {
		case problem != "":
			t.status.note(c, "%s", problem)
		case c.Verb == guard.Reject:
			why := rejection(c)
			t.status.note(c, "closed; the same change is not proposed again while the facts are the same")
			return true, x.close(ctx, t, closedRejected, why)
		case c.Verb == guard.Snooze:
			t.status.note(c, "left alone until %s", stamp(c.At.Add(c.For)))
		case c.Verb == guard.Replan:
			t.replan = &c
		case c.Verb == guard.Choose:
			x.chosen(t, c)
		}
	}
	if c, until, ok := guard.Snoozed(x.Cluster, []guard.Past{t.past()}, x.now); ok {
		return x.hold(ctx, t, guard.RuleSnoozed, fmt.Sprintf("%s snoozed it until %s", clip(c.By, 80), stamp(until)))
	}
	return false, nil
}

func rejection(c command) string {
	if strings.TrimSpace(c.Arg) == "" {
		return "rejected by " + clip(c.By, 80) + " without a reason"
	}
	return "rejected by " + clip(c.By, 80) + ": " + c.Arg
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// chosen takes up a wish for another candidate.
func (x *proposal) chosen(t *talk, c command) {
	switch in := x.byID(c.Arg, t.rec.Signature); {
	case in == nil:
		t.status.note(c, "the plan has no such candidate; it has %s", x.ids())
	case in.change == t.rec.Change:
		t.status.note(c, "this is that candidate")
		t.choose = nil
	default:
		t.choose = &c
	}
}

// leavePushed respects a branch that a person pushed to. A head that the record
// does not name can be ours all the same: the record is written after the push.
func (x *proposal) leavePushed(ctx context.Context, t *talk) (bool, error) {
	refs, err := x.branches(ctx)
	if err != nil {
		return false, err
	}
	at, ok := refs.Branches[t.pr.Branch]
	if !ok {
		return x.leave(ctx, t, "its branch was deleted")
	}
	t.head = at
	if at == t.rec.Head {
		return false, nil
	}
	if _, err := x.tip(ctx, t.pr.Base); err != nil {
		return false, err
	}
	if err := x.clone(ctx, t.pr.Base); err != nil {
		return false, err
	}
	c, ok, err := x.tree.Fetch(ctx, t.pr.Branch)
	ours := false
	if err == nil && ok {
		ours, err = x.wrote(ctx, c, t.rec.Signature)
	}
	switch {
	case err != nil:
		return false, err
	case !ok:
		return x.leave(ctx, t, "its branch was deleted")
	case !ours:
		return x.leave(ctx, t, "a person pushed to its branch, so the branch is theirs now")
	}
	t.head, t.rec.Head, t.rec.Base, t.adopted = c.Hash, c.Hash, c.Parents[0], true
	return false, nil
}

// keepUp builds the change anew when the base has moved, closes the pull request
// when there is nothing left to fix, or opens the one that takes its place.
func (x *proposal) keepUp(ctx context.Context, t *talk) (bool, error) {
	tip, err := x.tip(ctx, t.pr.Base)
	if err != nil {
		return false, err
	}
	x.elsewhere(t)
	target := x.target(t)
	if tip == t.rec.Base && t.replan == nil && target != nil && target.change == t.rec.Change {
		return false, nil
	}
	if d := x.frozen(t.rec); !d.Allowed {
		return x.hold(ctx, t, d.Rule, d.Because...)
	}
	if err := x.fresh(ctx, t.pr.Base); err != nil {
		return false, err
	}
	if tip, err = x.tip(ctx, t.pr.Base); err != nil {
		return false, err
	}
	p := &x.res.Plan
	if findingOf(p, t.rec.Signature) == nil {
		return x.healed(ctx, t)
	}
	switch target = x.target(t); {
	case target == nil:
		why := "the plan on the newest base proposes no change for it any more"
		if p.Abstained != "" {
			why += ": " + clip(p.Abstained, maxReply)
		}
		return x.hold(ctx, t, ruleUnproven, why)
	case target.change != t.rec.Change:
		return x.replace(ctx, t, target)
	case tip == t.rec.Base:
		return false, nil
	}
	return x.rebuild(ctx, t, target)
}

// elsewhere warns of a pull request that does not go to the branch to change: the
// default branch was exchanged for another, or a person chose it.
func (x *proposal) elsewhere(t *talk) {
	now := x.Base
	if now == "" && x.refs != nil {
		now = x.refs.Default
	}
	if now != "" && now != t.pr.Base {
		x.warn(fmt.Sprintf("%s goes to %s, and the branch to change is %s now: change its base branch, or close it", t.pr.URL, t.pr.Base, now))
	}
}

// ruleUnproven: an open pull request whose change could not be proven again.
const ruleUnproven = "unproven"

// target is the change that this pull request's cause should be answered with:
// the one that was asked for, else the one that it proposes, else the plan's
// first; nil when there is none.
func (x *proposal) target(t *talk) *intent {
	wish := x.ask
	if t.status.Closing == closedSuperseded && !t.status.Done {
		wish = t.status.By
	}
	if t.choose != nil {
		wish = t.choose.Arg
	}
	if in := x.byID(wish, t.rec.Signature); in != nil {
		return in
	}
	if in := x.byChange(t.rec.Change); in != nil {
		return in
	}
	for i := range x.all {
		if x.all[i].signature == t.rec.Signature {
			return &x.all[i]
		}
	}
	return nil
}

// frozen asks the guard about the cluster's state alone: an open pull request is
// no new one.
func (x *proposal) frozen(r record) guard.Decision {
	l := x.limits()
	l.MaxOpen, l.MaxPerDay = 0, 0
	return guard.Decide(l, x.res.freeze, guard.Proposal{Cluster: r.Cluster, Signature: r.Signature, Change: r.Change, Facts: r.Facts}, nil, nil, x.now)
}

// rebuild puts the change on the newest base.
func (x *proposal) rebuild(ctx context.Context, t *talk, in *intent) (bool, error) {
	b, err := x.build(ctx, *in, t.pr.Base, t.pr.Branch, t.head)
	switch {
	case errors.Is(err, repo.ErrNoChange):
		return true, x.close(ctx, t, closedFixed, "the base has this change already")
	case errors.Is(err, errNotOurs):
		return x.leave(ctx, t, "a person pushed to its branch, so the branch is theirs now")
	case err != nil:
		return false, err
	}
	t.head, t.rec.Head, t.rec.Base, t.adopted = b.head, b.head, b.base, true
	x.out.Commit = b.head
	x.because(v1alpha1.PullRequestUpdated, fmt.Sprintf("%s moved to %.12s: the change was built on it and proven again", t.pr.Base, b.base))
	return false, nil
}

// refresh writes the body anew after a rebuild, after an edit that was cut short,
// when the facts have changed, and when it turns out that Flux cannot bring the change
// in, or can again. What a person wrote there stays.
func (x *proposal) refresh(ctx context.Context, t *talk) (bool, error) {
	in := x.byChange(t.rec.Change)
	current := in != nil && x.res.standsOn(t.rec.Base)
	if !t.adopted && !(current && (in.facts != t.rec.Facts || x.saysOtherwise(t))) {
		return false, nil
	}
	body := withRecord(above(t.pr.Body), t.rec)
	if current {
		rec := t.rec
		rec.Facts, rec.Plan, rec.Candidate = in.facts, in.plan, in.candidate.ID
		_, text, err := x.words(*in, rec, t.pr.Draft)
		if err != nil {
			return false, err
		}
		if body = text; textHash(t.pr.Body) != t.rec.Text {
			body = withRecord(above(t.pr.Body), rec)
		}
	}
	x.say("bringing the text of %s up to date", t.pr.URL)
	pr, err := x.Forge.Edit(ctx, t.pr, forge.Edit{Body: &body})
	if err != nil {
		return false, err
	}
	t.pr = pr
	if x.out.Action == "" {
		x.because(v1alpha1.PullRequestUpdated, "its text was brought up to date")
	}
	return false, nil
}

// saysOtherwise: a text that is ours still says of Flux what is known to be wrong.
func (x *proposal) saysOtherwise(t *talk) bool {
	if x.res.deliver.facts == nil || textHash(t.pr.Body) != t.rec.Text {
		return false
	}
	cut := strings.Contains(t.pr.Body, delivery.Heading)
	a, _ := x.res.Deliver("", DeliverOptions{})
	if !cut || a.Arrives == delivery.No {
		return !cut && a.Arrives == delivery.No
	}
	// Of the other legs less is known, and neither is what the fault cuts first.
	return !slices.ContainsFunc(a.Legs, func(l delivery.Leg) bool {
		return (l.Name == delivery.LegKustomize || l.Name == delivery.LegHelm) && l.Works != delivery.Yes
	})
}

// relabel finishes what was cut short after opening. Labels come last, so that a
// pull request with all of them lacks nothing.
func (x *proposal) relabel(ctx context.Context, t *talk) (bool, error) {
	if len(missing(labels(x.Spec), t.pr.Labels)) == 0 {
		return false, nil
	}
	return false, x.mark(ctx, t.pr)
}
