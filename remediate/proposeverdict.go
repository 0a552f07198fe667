package remediate

import (
	"context"
	"fmt"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/report"
)

// Conclusion is what is said below a pull request after its merge, in our one
// comment there.
type Conclusion struct {
	// Verdict is Verified, MergedNotActive, NotEffective, Regressed and so on; empty
	// while there is none.
	Verdict string
	// Text is one sentence: what was seen, or what is waited for.
	Text string
	// Link is an address that it is about: the pull request that follows.
	Link string
	// Lines say more, one each.
	Lines []string
	// Matrices are what was seen before and after, for people.
	Matrices []Matrix
}

// Matrix is a table of letters with a title.
type Matrix struct {
	Title string
	Grids []report.Grid
}

// Conclude writes the conclusion below the newest pull request from a branch; told
// is false when there is none of ours. What stands there already is not written
// again.
func (p *Proposer) Conclude(ctx context.Context, branch string, c Conclusion) (told bool, err error) {
	x, t, err := p.talkOf(ctx, branch)
	if err != nil || t == nil {
		return false, err
	}
	t.status.Verdict = clip(c.Verdict, maxFact)
	t.now, t.link = clip(c.Text, maxReply), c.Link
	if c.Verdict != "" {
		t.now = clip(c.Verdict+": "+c.Text, maxReply)
	}
	for _, l := range c.Lines {
		t.lines = append(t.lines, clip(l, maxReply))
	}
	for _, m := range c.Matrices {
		if text := report.Matrices(m.Grids); text != "" {
			t.blocks = append(t.blocks, report.StatusBlock{Title: clip(m.Title, maxFact), Text: text})
		}
	}
	return true, x.tell(ctx, t)
}

func newOutcome() *v1alpha1.PullRequestOutcome { return &v1alpha1.PullRequestOutcome{} }

// errNoPullRequest is a pull request that was expected and is not there.
func errNoPullRequest(branch string) error {
	return &forge.Error{Kind: forge.NotFound, Op: "find the pull request from " + clip(branch, 100), Hint: "it was deleted on the forge: nothing can be said there",
		Err: fmt.Errorf("there is no pull request of ours from that branch")}
}
