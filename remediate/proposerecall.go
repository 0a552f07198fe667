package remediate

import (
	"context"
	"encoding/json"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// MaxNote bounds [Proposer.Note], in bytes.
const MaxNote = 4 << 10

// Recalled is a pull request of ours, as the forge and the record in it tell.
type Recalled struct {
	Number            int
	URL, Branch, Base string
	Draft             bool
	// State is open, closed or merged.
	State forge.State
	// Commit is the head of the branch; once merged, the commit on the base.
	Commit                       string
	Signature, Candidate, Change string
	Opened, Ended                time.Time
	// Note is what the Proposer's was when it was opened; nil without one.
	Note json.RawMessage
	// ByUs: we closed it, because of Why. Verdict is what was said of it after the
	// merge; empty: nothing yet. Only [Proposer.RecallBranch] fills these.
	ByUs    bool
	Why     string
	Verdict string
}

// Recall lists our pull requests of this cluster that are open, or were opened at
// since or later, newest first.
func (p *Proposer) Recall(ctx context.Context, since time.Time) ([]Recalled, error) {
	if p.Forge == nil {
		return nil, nil
	}
	prs, err := p.Forge.List(ctx, since)
	if err != nil {
		return nil, err
	}
	var out []Recalled
	for _, pr := range prs {
		if r, ours := readRecord(pr); ours && r.Cluster == p.Cluster {
			out = append(out, recalled(pr, r))
		}
	}
	return out, nil
}

// RecallBranch is the newest pull request from a branch of ours, with what was said
// in it; nil when there is none.
func (p *Proposer) RecallBranch(ctx context.Context, branch string) (*Recalled, error) {
	x, t, err := p.talkOf(ctx, branch)
	if err != nil || t == nil {
		return nil, err
	}
	defer x.end()
	out := recalled(t.pr, t.rec)
	out.ByUs, out.Why, out.Verdict = t.past().ByUs, t.status.Why, t.status.Verdict
	return &out, nil
}

func recalled(pr forge.PullRequest, r record) Recalled {
	out := Recalled{Number: pr.Number, URL: pr.URL, Branch: pr.Branch, Base: pr.Base, Draft: pr.Draft, State: pr.State, Commit: pr.Head,
		Signature: r.Signature, Candidate: r.Candidate, Change: r.Change, Opened: pr.Opened, Ended: pr.Ended}
	if pr.State == forge.Merged {
		out.Commit = pr.MergeCommit
	}
	if len(r.Note) > 0 && len(r.Note) <= MaxNote {
		out.Note = r.Note
	}
	return out
}

// talkOf reads the newest pull request from a branch, if it is ours.
func (p *Proposer) talkOf(ctx context.Context, branch string) (*proposal, *talk, error) {
	if p.Forge == nil {
		return nil, nil, nil
	}
	prs, err := p.Forge.Find(ctx, branch)
	if err != nil || len(prs) == 0 {
		return nil, nil, err
	}
	x := p.bare()
	t, err := x.look(ctx, prs[0])
	if err != nil || !t.ours {
		return nil, nil, err
	}
	return x, t, nil
}

// bare is a proposal without a plan, to read and to write below pull requests.
func (p *Proposer) bare() *proposal {
	return &proposal{Proposer: p, now: p.time(), writers: map[string]bool{}, out: newOutcome(), res: &Result{}}
}

func (p *Proposer) time() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}
