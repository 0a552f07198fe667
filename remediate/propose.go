package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// Proposer turns plans into pull requests and looks after them. It keeps no
// state of its own: every step reads from the forge and from Git what was done
// before, so that a run which was killed is finished by the next one.
type Proposer struct {
	// Forge is where pull requests live; nil pushes branches and opens none.
	Forge  forge.Forge
	Remote *repo.Remote
	Spec   v1alpha1.PullRequestSpec
	// Signer signs commits; nil leaves them unsigned. The forge signs those that
	// it makes itself (Spec.Commit.Method API).
	Signer git.Signer
	// Cluster is the cluster's name in branches and records.
	Cluster string
	// Base is the branch to change; empty is the server's default branch.
	Base string
	// Signature is the cause that is answered; empty is any, the plan's first.
	Signature string
	// Limits are what the guard holds proposals to; without a mode they are
	// [LimitsOf] Spec.Limits.
	Limits guard.Limits
	// Gone: probes see that Signature's failure is gone. Its pull request is closed then
	// also by a plan that abstains, if that does not have the finding.
	Gone bool
	// Hears says whether a person who may write to the repository may give commands;
	// nil hears all of them.
	Hears func(login string) bool
	// Note, a JSON value of at most [MaxNote] bytes, is kept in the record of pull
	// requests that are opened: what was so before the change.
	Note json.RawMessage
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Progress is told what happens; nil is silent.
	Progress func(format string, args ...any)
	// Replan plans for a fresh clone of the base in dir, with everything else as in
	// the plan that is proposed. Without it a plan of another commit than the
	// base's newest is refused.
	Replan func(ctx context.Context, dir string) (*Result, error)
}

// Propose does what is due about the plan's cause: opens a pull request for the
// candidate (empty: the one that has a pull request already, else the first),
// or brings the one that is open up to date, or closes it, or says why nothing
// is done. A plan without candidates closes our pull requests of this cluster
// whose finding is gone. Errors that are transient, [forge.Conflict] among them,
// are answered by calling it again; see [forge.Retry].
func (p *Proposer) Propose(ctx context.Context, res *Result, candidate string) (*v1alpha1.PullRequestOutcome, error) {
	x, err := p.begin(res, candidate)
	if err != nil {
		return nil, err
	}
	defer x.end()
	if p.Forge == nil {
		err = x.pushOnly(ctx)
	} else {
		err = x.live(ctx)
	}
	if err != nil {
		return nil, err
	}
	return x.out, nil
}

// LimitsOf fills in the defaults; see [guard.DefaultLimits].
func LimitsOf(s v1alpha1.LimitsSpec) guard.Limits {
	l := guard.DefaultLimits()
	for from, to := range map[*int]*int{s.MaxOpen: &l.MaxOpen, s.MaxPerDay: &l.MaxPerDay, s.MaxNotReadyPercent: &l.MaxNotReadyPercent} {
		if from != nil {
			*to = *from
		}
	}
	return l
}

// proposal is one run of a Proposer.
type proposal struct {
	*Proposer
	ask string
	now time.Time
	// res is the plan in force: the given one, or that of the base's newest commit.
	res  *Result
	all  []intent
	want *intent
	// refs are filled when they are first needed, as is tree, a clone of the branch
	// cloned below dir.
	refs   *repo.Refs
	dir    string
	tree   *repo.Worktree
	cloned string
	// listed are the open and the young pull requests; nil when not asked yet.
	listed  []forge.PullRequest
	asked   bool
	writers map[string]bool
	// turns counts how often the plan was exchanged for another that wants another branch.
	turns int
	out   *v1alpha1.PullRequestOutcome
}

func (p *Proposer) begin(res *Result, candidate string) (*proposal, error) {
	x := &proposal{Proposer: p, ask: candidate, now: time.Now(), writers: map[string]bool{}, out: &v1alpha1.PullRequestOutcome{}}
	if p.Now != nil {
		x.now = p.Now()
	}
	switch {
	case res == nil:
		return nil, errors.New("propose: there is no plan")
	case p.Remote == nil:
		return nil, errors.New("propose: the address of the Git repository is missing")
	case len(p.Note) > MaxNote || len(p.Note) > 0 && !json.Valid(p.Note):
		return nil, errors.New("propose: the note is no JSON, or too long")
	case p.Cluster == "":
		return nil, withHint(errors.New("propose: the cluster has no name"), "give one: it stands in the branch's name")
	case p.Spec.Commit.Method != "" && p.Spec.Commit.Method != methodPush && p.Spec.Commit.Method != methodAPI:
		return nil, withHint(fmt.Errorf("propose: commit.method %q is not known", p.Spec.Commit.Method), "it is Push or API")
	case p.Spec.Draft != "" && p.Spec.Draft != "auto" && p.Spec.Draft != "always" && p.Spec.Draft != "never":
		return nil, withHint(fmt.Errorf("propose: draft %q is not known", p.Spec.Draft), "it is auto, always or never")
	}
	x.take(res)
	if candidate != "" && x.want == nil {
		return nil, withHint(fmt.Errorf("propose: no candidate %q in this plan", clip(candidate, 80)), "it has: "+x.ids())
	}
	if x.want != nil {
		if _, err := commitMessage(&res.Plan, *x.want, p.Spec.Commit); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (x *proposal) end() {
	if x.dir != "" {
		_ = os.RemoveAll(x.dir)
	}
}

// take makes a plan the one in force.
func (x *proposal) take(res *Result) {
	x.res, x.all, x.want = res, intents(&res.Plan, x.Cluster), nil
	x.all = slices.DeleteFunc(x.all, func(in intent) bool { return x.Signature != "" && in.signature != x.Signature })
	for i := range x.all {
		if x.ask == "" || x.all[i].candidate.ID == x.ask {
			x.want = &x.all[i]
			return
		}
	}
}

// byChange is the intent with that hash, or nil.
func (x *proposal) byChange(change string) *intent {
	for i := range x.all {
		if x.all[i].change == change {
			return &x.all[i]
		}
	}
	return nil
}

// byID is the intent of that candidate for a cause, or nil.
func (x *proposal) byID(id, signature string) *intent {
	for i := range x.all {
		if x.all[i].candidate.ID == id && x.all[i].signature == signature {
			return &x.all[i]
		}
	}
	return nil
}

// ids are the plan's candidates, for people.
func (x *proposal) ids() string {
	var out []string
	for _, in := range x.all {
		out = append(out, in.candidate.ID)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (x *proposal) limits() guard.Limits {
	if x.Limits.Mode == "" {
		return LimitsOf(x.Spec.Limits)
	}
	return x.Limits
}

func (x *proposal) say(format string, args ...any) {
	if x.Progress != nil {
		x.Progress(format, args...)
	}
}

// because ends a step with the reason.
func (x *proposal) because(action v1alpha1.PullRequestAction, why ...string) {
	x.out.Action = action
	x.out.Because = append(x.out.Because, why...)
}

// show puts a pull request into the outcome.
func (x *proposal) show(pr forge.PullRequest, candidate string) {
	o := x.out
	o.Number, o.URL, o.Branch, o.Base, o.Commit = pr.Number, pr.URL, pr.Branch, pr.Base, pr.Head
	o.Draft, o.Candidate = pr.Draft, candidate
}

// live looks for the pull request of the cause and does what is due.
func (x *proposal) live(ctx context.Context) error {
	if x.want == nil {
		if err := x.catchUp(ctx); err != nil {
			return err
		}
	}
	if x.want == nil {
		return x.settle(ctx)
	}
	x.say("looking for a pull request from %s", x.want.branch())
	prs, err := x.Forge.Find(ctx, x.want.branch())
	if err != nil {
		return err
	}
	if pr, ok := firstOpen(prs); ok {
		return x.tend(ctx, pr)
	}
	return x.start(ctx, prs)
}

func firstOpen(prs []forge.PullRequest) (forge.PullRequest, bool) {
	for _, pr := range prs {
		if pr.State == forge.Open {
			return pr, true
		}
	}
	return forge.PullRequest{}, false
}

// again starts over with the plan of the base's newest commit, which wants
// something else.
func (x *proposal) again(ctx context.Context) error {
	if x.turns++; x.turns > 3 {
		return &forge.Error{Kind: forge.Conflict, Op: "propose", Hint: "try again later", Err: errors.New("the base keeps changing under the plan")}
	}
	*x.out = v1alpha1.PullRequestOutcome{Warnings: x.out.Warnings}
	return x.live(ctx)
}
