package remediate

import (
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate/guard"
)

func TestNewPullRequest(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.s.Requests()
		out := g.propose(v1alpha1.PullRequestOpened)
		if n := g.s.Requests(); n > 8 && g.s.Kind() == "github" {
			g.Errorf("%d API requests for a new pull request, want at most 8", n)
		}
		pr := g.prs(1)[0]
		if pr.Branch != out.Branch || !strings.HasPrefix(pr.Branch, "remediate/main/"+stageSig+"-") || pr.Head != out.Commit || pr.Draft || pr.State != "open" {
			g.Errorf("pull request %+v of %+v", pr, out)
		}
		if !strings.HasPrefix(pr.Title, "fix(cilium): widen ipv6NativeRoutingCIDR") {
			g.Errorf("title %q", pr.Title)
		}
		if len(pr.Labels) != 2 || len(pr.Comments) != 0 {
			g.Errorf("labels %q, comments %q", pr.Labels, pr.Comments)
		}
		if got := g.s.Show(g, pr.Branch, stageFile); got != strings.Replace(stageSource, stageBad, stageFix, 1) {
			g.Errorf("the branch holds %q", got)
		}
		g.s.Requests()
		same := g.propose(v1alpha1.PullRequestUnchanged)
		if n := g.s.Requests(); n > 2 {
			g.Errorf("%d API requests for an unchanged pull request, want at most 2", n)
		}
		if same.Number != out.Number || same.Commit != out.Commit {
			g.Errorf("%+v, before %+v", same, out)
		}
		if after := g.prs(1)[0]; after.Head != pr.Head || after.Body != pr.Body || len(after.Comments) != 0 {
			g.Errorf("an unchanged pull request changed to %+v", after)
		}
	})
}

func TestBaseMoves(t *testing.T) {
	everywhere(t, func(g *stage) {
		first := g.propose(v1alpha1.PullRequestOpened)
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		out := g.propose(v1alpha1.PullRequestUpdated)
		if out.Number != first.Number || out.Commit == first.Commit {
			g.Errorf("updated to %+v from %+v", out, first)
		}
		if g.s.Show(g, out.Branch, "README.md") != "moved\n" {
			g.Error("the branch is not built on the new base")
		}
		g.propose(v1alpha1.PullRequestUnchanged)
		if pr := g.prs(1)[0]; pr.Head != out.Commit || len(pr.Comments) != 0 {
			g.Errorf("%+v", pr)
		}
	})
}

func TestFixedOtherwise(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.propose(v1alpha1.PullRequestOpened)
		stale := g.plan()
		g.value(stageOther)
		out := g.proposeThe(stale, "", v1alpha1.PullRequestClosed)
		g.says(out, "fixed otherwise", stageOther)
		pr := g.prs(1)[0]
		if pr.State != "closed" || len(g.ours()) != 0 {
			g.Errorf("%+v, branches %q", pr, g.ours())
		}
		if word := g.lastWord(pr.Number); !strings.Contains(word, `"closing":"fixed"`) || !strings.Contains(word, `"done":true`) {
			g.Errorf("comment %q", word)
		}
		g.propose(v1alpha1.PullRequestNoChange)
		g.value(stageBad)
		g.propose(v1alpha1.PullRequestOpened)
		g.prs(2)
	})
}

func TestFindingGone(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.propose(v1alpha1.PullRequestOpened)
		g.healthy, g.unknown = true, []string{"the live cilium-config"}
		g.says(g.propose(v1alpha1.PullRequestHeld), "less is known")
		if g.prs(1)[0].State != "open" {
			g.Fatal("closed although less is known")
		}
		g.unknown = nil
		g.says(g.propose(v1alpha1.PullRequestClosed), "gone")
		if pr := g.prs(1)[0]; pr.State != "closed" || len(g.ours()) != 0 {
			g.Errorf("%+v", pr)
		}
		g.lastWord(1)
	})
}

func TestHumanPushes(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		theirs := g.s.Push(g, out.Branch, map[string][]byte{"note.txt": []byte("mine\n")})
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		g.says(g.propose(v1alpha1.PullRequestHandsOff), "a person pushed")
		g.propose(v1alpha1.PullRequestHandsOff)
		if g.s.Branches(g)[out.Branch] != theirs {
			g.Error("what a person pushed is gone")
		}
		g.healthy = true
		g.propose(v1alpha1.PullRequestHandsOff)
		if g.prs(1)[0].State != "open" {
			g.Error("a person's pull request was closed")
		}
		g.lastWord(out.Number)
	})
}

func TestHumanCloses(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.ClosePR(g, out.Number)
		held := g.propose(v1alpha1.PullRequestHeld)
		if held.Rule != guard.RuleRefused {
			g.Errorf("held by %q: %q", held.Rule, held.Because)
		}
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		g.propose(v1alpha1.PullRequestHeld)
		g.s.CommentPR(g, g.s.Reader(), out.Number, "/remediate replan")
		g.propose(v1alpha1.PullRequestHeld)
		g.prs(1)
		nextSecond()
		g.s.CommentPR(g, g.s.Writer(), out.Number, "please:\n\n/remediate replan\n")
		g.propose(v1alpha1.PullRequestOpened)
		g.prs(2)
	})
}

// nextSecond waits until the forge's clock, which counts seconds, has gone on.
func nextSecond() { time.Sleep(1100 * time.Millisecond) }

func TestRefusalEndsWithTheFacts(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.confidence = v1alpha1.ConfidencePredicted
		out := g.propose(v1alpha1.PullRequestOpened)
		if !g.prs(1)[0].Draft {
			g.Error("a prediction is no draft")
		}
		g.s.ClosePR(g, out.Number)
		g.propose(v1alpha1.PullRequestHeld)
		g.confidence = v1alpha1.ConfidenceConfirmed
		g.propose(v1alpha1.PullRequestOpened)
		if g.prs(2)[1].Draft {
			g.Error("a confirmed finding is a draft")
		}
	})
}

func TestReject(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.CommentPR(g, g.s.Reader(), out.Number, "/remediate reject I am a stranger")
		g.propose(v1alpha1.PullRequestUnchanged)
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate reject we *renumber* @all")
		g.says(g.propose(v1alpha1.PullRequestClosed), "we *renumber*")
		if pr := g.prs(1)[0]; pr.State != "closed" {
			g.Errorf("%+v", pr)
		}
		if word := g.lastWord(out.Number); !strings.Contains(word, `"closing":"rejected"`) {
			g.Errorf("comment %q", word)
		}
		held := g.propose(v1alpha1.PullRequestHeld)
		if held.Rule != guard.RuleRefused {
			g.Errorf("held by %q", held.Rule)
		}
		g.says(held, "renumber")
	})
}

func TestSnooze(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate snooze 2d")
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		if held := g.propose(v1alpha1.PullRequestHeld); held.Rule != guard.RuleSnoozed {
			g.Errorf("held by %q", held.Rule)
		}
		if g.prs(1)[0].Head != out.Commit {
			g.Error("it was not left alone")
		}
		g.later = 47 * time.Hour
		g.propose(v1alpha1.PullRequestHeld)
		g.lastWord(out.Number)
		g.later = 49 * time.Hour
		g.propose(v1alpha1.PullRequestUpdated)
		g.propose(v1alpha1.PullRequestUnchanged)
	})
}

func TestCandidateCommand(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate candidate nonsense")
		g.propose(v1alpha1.PullRequestUnchanged)
		if word := g.lastWord(out.Number); !strings.Contains(word, "widen-aligned") {
			g.Errorf("comment %q", word)
		}
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate candidate widen-aligned")
		next := g.propose(v1alpha1.PullRequestOpened)
		prs := g.prs(2)
		if prs[0].State != "closed" || prs[1].State != "open" || next.Number != prs[1].Number || next.Candidate != "widen-aligned" {
			g.Errorf("%+v, outcome %+v", prs, next)
		}
		if branches := g.ours(); len(branches) != 1 || branches[0] != next.Branch {
			g.Errorf("branches %q", branches)
		}
		if word := g.lastWord(out.Number); !strings.Contains(word, "superseded") || !strings.Contains(word, next.URL) {
			g.Errorf("comment %q", word)
		}
		same := g.propose(v1alpha1.PullRequestUnchanged)
		if same.Number != next.Number {
			g.Errorf("%+v", same)
		}
		g.proposeThe(g.plan(), "widen", v1alpha1.PullRequestOpened)
		if prs := g.prs(3); prs[1].State != "closed" || prs[2].State != "open" {
			g.Errorf("%+v", prs)
		}
		g.propose(v1alpha1.PullRequestUnchanged)
	})
}

func TestReplanCommand(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate replan\n\n/remediate frobnicate")
		g.propose(v1alpha1.PullRequestUnchanged)
		word := g.lastWord(out.Number)
		if !strings.Contains(word, "planned again") || !strings.Contains(word, "/remediate snooze 7d") {
			g.Errorf("comment %q", word)
		}
		g.s.Requests()
		g.propose(v1alpha1.PullRequestUnchanged)
		if n := g.s.Requests(); n > 3 && g.s.Kind() == "github" {
			g.Errorf("%d requests for what was answered already", n)
		}
		if g.lastWord(out.Number) != word {
			g.Error("the comment changed without a reason")
		}
	})
}

func TestMerged(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		stale := g.plan()
		merge := g.s.MergePR(g, out.Number)
		got := g.proposeThe(stale, "", v1alpha1.PullRequestMerged)
		if got.Commit != merge || got.Number != out.Number {
			g.Errorf("%+v, merged as %s", got, merge)
		}
		g.propose(v1alpha1.PullRequestMerged)
		g.value(stageBad)
		held := g.propose(v1alpha1.PullRequestHeld)
		if held.Rule != guard.RuleMerged {
			g.Errorf("held by %q", held.Rule)
		}
		g.says(held, merge[:12], "again as it was before")
		g.prs(1)
	})
}

func TestLabelRemovedStaysRemoved(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.Unlabel(g, out.Number, "area/cilium")
		g.propose(v1alpha1.PullRequestUnchanged)
		if l := g.prs(1)[0].Labels; len(l) != 1 || l[0] != "remediation" {
			g.Errorf("labels %q", l)
		}
	})
}

func TestHumanOpensFromOurBranch(t *testing.T) {
	everywhere(t, func(g *stage) {
		plan := g.plan()
		branch := intents(&plan.Plan, "main")[0].branch()
		g.s.Push(g, branch, map[string][]byte{"x": []byte("y")})
		g.says(g.propose(v1alpha1.PullRequestHandsOff), "a person committed")
		n := g.s.OpenPR(g, branch, "mine")
		g.says(g.propose(v1alpha1.PullRequestHandsOff), g.s.Writer())
		g.propose(v1alpha1.PullRequestHandsOff)
		g.lastWord(n)
		g.prs(1)
	})
}

func TestRival(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.s.Push(g, "harmless", map[string][]byte{stageFile: []byte(strings.Replace(stageSource, "1500", "1400", 1))})
		g.s.OpenPR(g, "harmless", "another key of the same file")
		g.s.Push(g, "theirs", map[string][]byte{stageFile: []byte(strings.Replace(stageSource, stageBad, "fd00::/16", 1))})
		n := g.s.OpenPR(g, "theirs", "widen it by hand")
		held := g.propose(v1alpha1.PullRequestHeld)
		if held.Rule != guard.RuleRival {
			g.Fatalf("held by %q: %q", held.Rule, held.Because)
		}
		g.says(held, "ipv6NativeRoutingCIDR")
		if len(g.ours()) != 0 {
			g.Errorf("pushed %q", g.ours())
		}
		g.s.ClosePR(g, n)
		g.propose(v1alpha1.PullRequestOpened)
	})
}

func TestLimits(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.propose(v1alpha1.PullRequestOpened)
		g.p.Cluster = "other"
		if held := g.propose(v1alpha1.PullRequestHeld); held.Rule != guard.RuleMaxOpen {
			g.Errorf("held by %q", held.Rule)
		}
		many, two := 9, 2
		g.p.Spec.Limits = v1alpha1.LimitsSpec{MaxOpen: &many, MaxPerDay: &two}
		g.propose(v1alpha1.PullRequestOpened)
		g.p.Cluster = "third"
		if held := g.propose(v1alpha1.PullRequestHeld); held.Rule != guard.RuleMaxPerDay {
			g.Errorf("held by %q", held.Rule)
		}
		g.later = 25 * time.Hour
		g.propose(v1alpha1.PullRequestOpened)
		g.p.Cluster, g.freeze = "fourth", guard.Cluster{Upgrading: "DaemonSet kube-system/cilium: 1 of 3 agents updated"}
		g.p.Spec.Limits = v1alpha1.LimitsSpec{MaxOpen: &many}
		if held := g.propose(v1alpha1.PullRequestHeld); held.Rule != guard.RuleUpgrading {
			g.Errorf("held by %q", held.Rule)
		}
		if len(g.ours()) != 3 {
			g.Errorf("branches %q", g.ours())
		}
	})
}

// A checkout that is behind the server, or that has changes, is not proposed.
func TestStaleCheckout(t *testing.T) {
	everywhere(t, func(g *stage) {
		stale := g.plan()
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("newer\n")})
		out := g.proposeThe(stale, "", v1alpha1.PullRequestOpened)
		if g.s.Show(g, out.Branch, "README.md") != "newer\n" || g.replan != 1 {
			g.Errorf("planned again %d times", g.replan)
		}
		g.p.Cluster = "other"
		g.value(stageFix)
		g.proposeThe(stale, "", v1alpha1.PullRequestHeld)
		g.p.Limits = guard.Limits{Mode: guard.Propose}
		g.says(g.proposeThe(stale, "", v1alpha1.PullRequestNoChange), "nothing was found")
		if len(g.ours()) != 1 {
			g.Errorf("branches %q", g.ours())
		}
		g.p.Replan = nil
		if _, err := g.p.Propose(t.Context(), stale, ""); err == nil || !strings.Contains(err.Error(), "the plan is of commit") {
			g.Errorf("a stale plan ends with %v", err)
		}
	})
}

func TestArchived(t *testing.T) {
	everywhere(t, func(g *stage) {
		g.s.Archive(g)
		_, err := g.p.Propose(t.Context(), g.plan(), "")
		if err == nil || !strings.Contains(err.Error(), "archived") {
			g.Errorf("an archived repository ends with %v", err)
		}
	})
}
