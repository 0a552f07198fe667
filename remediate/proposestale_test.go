package remediate

import (
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// A checkout that is not up to date differs from what the cluster runs, and its
// plan abstains. The newest base has the word then.
func TestAbstainedByAnOldCheckout(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	old := func() *Result {
		g.abstained = "the cluster does not run what this repository renders"
		defer func() { g.abstained = "" }()
		return g.resultOf(stageSource, "0123456789012345678901234567890123456789")
	}
	g.proposeThe(old(), "", v1alpha1.PullRequestOpened)
	out := g.proposeThe(old(), "", v1alpha1.PullRequestUnchanged)
	g.says(out, "as it should be")
	g.healthy = true
	g.proposeThe(old(), "", v1alpha1.PullRequestClosed)
	g.prs(1)
}

// An abstention on the newest base itself is believed, without a clone.
func TestAbstainedOnTheBase(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	var said []string
	g.p.Progress = func(format string, _ ...any) { said = append(said, format) }
	g.abstained = "nodes disagree"
	g.says(g.propose(v1alpha1.PullRequestNoChange), "nodes disagree")
	if strings.Contains(strings.Join(said, "\n"), "cloning") {
		t.Errorf("%q", said)
	}
}
