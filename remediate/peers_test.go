package remediate

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// Bugs that other projects had, as tests. The issue stands above each; the rest
// of the list is in CONTRIBUTING.md.

// everyForge runs a test on each forge, with a count of what is asked of it that
// would change something: pushes, and API requests that do not only read.
func everyForge(t *testing.T, test func(g *stage, f faulty, writes func() int)) {
	t.Helper()
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			g := newStage(t, f)
			var n atomic.Int32
			f.Before(func(r *http.Request) {
				push := strings.HasSuffix(r.URL.Path, "/git-receive-pack")
				change := strings.HasPrefix(r.URL.Path, "/api/") && r.Method != http.MethodGet && r.Method != http.MethodHead
				if push || change || strings.Contains(r.URL.RawQuery, "service=git-receive-pack") {
					n.Add(1)
				}
			})
			test(g, f, func() int { return int(n.Swap(0)) })
		})
	}
}

// quiet proposes and wants that nothing is written.
func (g *stage) quiet(writes func() int, res *Result, want v1alpha1.PullRequestAction) *v1alpha1.PullRequestOutcome {
	g.Helper()
	writes()
	out := g.proposeThe(res, "", want)
	if n := writes(); n != 0 {
		g.Errorf("%s wrote %d times", want, n)
	}
	return out
}

// argocd-image-updater#1805: an update without a difference asked for a pull
// request every two minutes for five weeks, and was refused each time.
func TestEmptyChangeIsNotProposed(t *testing.T) {
	everyForge(t, func(g *stage, _ faulty, writes func() int) {
		for range 3 {
			res := g.plan()
			for id := range res.files {
				res.files[id] = map[string][]byte{stageFile: []byte(stageSource)}
			}
			g.quiet(writes, res, v1alpha1.PullRequestNoChange)
		}
		g.prs(0)
		if len(g.ours()) != 0 {
			g.Errorf("branches %q", g.ours())
		}
		// Now there is one, and nothing of before stands in its way.
		g.propose(v1alpha1.PullRequestOpened)
		if writes() == 0 {
			g.Error("a pull request was opened, and no write was counted")
		}
	})
}

// updatecli#424: the push went well, the pull request did not, and the next runs
// saw a branch that was up to date and did nothing.
func TestPushedBranchWithoutPullRequestIsNotForgotten(t *testing.T) {
	everyForge(t, func(g *stage, f faulty, _ func() int) {
		path := map[string]string{"github": "/pulls", "gitea": "/pulls", "gitlab": "/merge_requests"}[g.s.Kind()]
		for _, fault := range []forges.Fault{
			{Status: http.StatusForbidden, Body: `{"message":"not today"}`},
			{Status: http.StatusBadGateway},
			{Cut: forges.CutBefore},
		} {
			f.Fail(forges.Path(http.MethodPost, path), 1, fault)
			if out, err := g.p.Propose(t.Context(), g.plan(), ""); err == nil {
				g.Fatalf("a pull request that could not be opened ends with %+v", out)
			}
			g.prs(0)
			if len(g.ours()) != 1 {
				g.Fatalf("branches %q", g.ours())
			}
		}
		head := g.s.Branches(g)[g.ours()[0]]
		if out := g.propose(v1alpha1.PullRequestOpened); out.Commit != head {
			g.Errorf("the branch at %s was pushed again: %+v", head, out)
		}
		g.propose(v1alpha1.PullRequestUnchanged)
		g.prs(1)
	})
}

// argocd-image-updater#537, renovate#6283, renovate#19386: a pull request that
// was closed, its branch with it, came back with the next run.
func TestClosedIsNotProposedAgain(t *testing.T) {
	everyForge(t, func(g *stage, _ faulty, writes func() int) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.ClosePR(g, out.Number)
		g.s.DeleteBranch(g, out.Branch)
		for _, later := range []time.Duration{0, 48 * time.Hour, 300 * 24 * time.Hour} {
			g.later = later
			g.s.Push(g, "main", map[string][]byte{"README.md": []byte(later.String())})
			if held := g.quiet(writes, g.plan(), v1alpha1.PullRequestHeld); held.Rule != guard.RuleRefused {
				g.Errorf("held by %q", held.Rule)
			}
		}
		g.prs(1)
	})
}

// The same for one that was merged, while the cluster still shows the fault.
func TestMergedIsNotProposedAgain(t *testing.T) {
	everyForge(t, func(g *stage, _ faulty, writes func() int) {
		out := g.propose(v1alpha1.PullRequestOpened)
		stale := g.plan()
		g.s.MergePR(g, out.Number)
		if _, ok := g.s.Branches(g)[out.Branch]; ok {
			g.s.DeleteBranch(g, out.Branch)
		}
		for _, later := range []time.Duration{0, 48 * time.Hour} {
			g.later = later
			g.quiet(writes, stale, v1alpha1.PullRequestMerged)
		}
		g.prs(1)
	})
}

// self-node-remediation#258: "assumed rebooted" was reported as done. What was
// merged is only merged: nobody has looked yet.
func TestMergedIsNotCalledFixed(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	out := g.propose(v1alpha1.PullRequestOpened)
	stale := g.plan()
	g.s.MergePR(g, out.Number)
	merged := g.proposeThe(stale, "", v1alpha1.PullRequestMerged)
	g.says(merged, "for the verification to say")
	for _, word := range []string{"fixed", "resolved", "works", "success"} {
		if text := strings.ToLower(strings.Join(merged.Because, " ")); strings.Contains(text, word) {
			t.Errorf("%q claims %q", text, word)
		}
	}
}

// image-automation-controller#450, gitops-promoter#1496: a branch that an
// earlier run left was taken as it was, and a commit that was not the newest any
// more was proposed.
func TestStaleBranchIsNotProposed(t *testing.T) {
	everyForge(t, func(g *stage, f faulty, _ func() int) {
		path := map[string]string{"github": "/pulls", "gitea": "/pulls", "gitlab": "/merge_requests"}[g.s.Kind()]
		f.Fail(forges.Path(http.MethodPost, path), 1, forges.Fault{Cut: forges.CutBefore})
		if _, err := g.p.Propose(t.Context(), g.plan(), ""); err == nil {
			g.Fatal("the first run did not fail")
		}
		branch := g.ours()[0]
		left := g.s.Branches(g)[branch]
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("newer\n")})
		out := g.propose(v1alpha1.PullRequestOpened)
		if out.Branch != branch || out.Commit == left || g.s.Show(g, branch, "README.md") != "newer\n" {
			g.Errorf("the branch was at %s; proposed %+v", left, out)
		}
		if pr := g.prs(1)[0]; pr.Head != out.Commit || !strings.Contains(pr.Body, `"head":"`+out.Commit+`"`) {
			g.Errorf("%+v", pr)
		}
	})
}

// k8sgpt-operator#757: the same fault in other words was another alert.
func TestOtherWordsAreNotAnotherPullRequest(t *testing.T) {
	everyForge(t, func(g *stage, _ faulty, writes func() int) {
		g.propose(v1alpha1.PullRequestOpened)
		res := g.plan()
		for i := range res.Plan.Findings {
			f := &res.Plan.Findings[i]
			f.Summary, f.Explanation, f.Lacked = "said otherwise", []string{"explained", "otherwise"}, []string{"a probe"}
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "probe", Text: "12 of 14 probes failed", Source: "a probe"})
		}
		for i := range res.Plan.Candidates {
			c := &res.Plan.Candidates[i]
			c.Title, c.SideEffects, c.Affects = "Another title", []string{"said otherwise"}, []string{"said otherwise"}
		}
		g.quiet(writes, res, v1alpha1.PullRequestUnchanged)
		g.prs(1)
	})
}

// cluster-api#7353: an outage was answered with one replacement after the other,
// since the limit was off by default. Nothing is configured here.
func TestOutageIsNotAnsweredWithPullRequests(t *testing.T) {
	everyForge(t, func(g *stage, _ faulty, writes func() int) {
		outage := guard.Cluster{Nodes: 10, NotReady: 3}
		g.freeze = outage
		if held := g.quiet(writes, g.plan(), v1alpha1.PullRequestHeld); held.Rule != guard.RuleNodes {
			g.Errorf("held by %q", held.Rule)
		}
		g.freeze = guard.Cluster{Nodes: 10, NotReady: 2}
		out := g.propose(v1alpha1.PullRequestOpened)
		g.freeze = outage
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		g.propose(v1alpha1.PullRequestHeld)
		g.quiet(writes, g.plan(), v1alpha1.PullRequestHeld) // that it waits is said once
		if pr := g.prs(1)[0]; pr.Head != out.Commit || pr.State != "open" {
			g.Errorf("touched in an outage: %+v", pr)
		}
		for i := range 3 {
			g.p.Cluster = fmt.Sprint("other-", i)
			g.quiet(writes, g.plan(), v1alpha1.PullRequestHeld)
		}
	})
}

// refusals set up each reason of the guard, and some of a plan's own.
func refusals() map[string]func(*stage) {
	opened := func(then func(*stage, *v1alpha1.PullRequestOutcome)) func(*stage) {
		return func(g *stage) { then(g, g.propose(v1alpha1.PullRequestOpened)) }
	}
	limited := func(set func(*guard.Limits)) func(*stage) {
		return func(g *stage) {
			g.p.Limits = guard.DefaultLimits()
			set(&g.p.Limits)
		}
	}
	return map[string]func(*stage){
		guard.RuleMode:      limited(func(l *guard.Limits) { l.Mode = guard.Observe }),
		guard.RuleScope:     limited(func(l *guard.Limits) { l.Signatures = []string{"another"} }),
		guard.RuleRefused:   opened(func(g *stage, o *v1alpha1.PullRequestOutcome) { g.s.ClosePR(g, o.Number) }),
		guard.RuleUpgrading: func(g *stage) { g.freeze.Upgrading = "1 of 3 agents updated" },
		guard.RuleSuspended: func(g *stage) { g.freeze.Suspended = "HelmRelease kube-system/cilium" },
		guard.RuleNodes:     func(g *stage) { g.freeze.Nodes, g.freeze.NotReady = 4, 1 },
		guard.RuleSnoozed: opened(func(g *stage, o *v1alpha1.PullRequestOutcome) {
			g.s.CommentPR(g, g.s.Writer(), o.Number, "/remediate snooze 7d")
			g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
			g.propose(v1alpha1.PullRequestHeld) // says so in its comment
		}),
		guard.RuleMerged: opened(func(g *stage, o *v1alpha1.PullRequestOutcome) {
			g.s.MergePR(g, o.Number)
			g.value(stageBad)
		}),
		guard.RuleMaxOpen: opened(func(g *stage, _ *v1alpha1.PullRequestOutcome) { g.p.Cluster = "other" }),
		guard.RuleMaxPerDay: opened(func(g *stage, _ *v1alpha1.PullRequestOutcome) {
			g.p.Cluster = "other"
			limited(func(l *guard.Limits) { l.MaxOpen, l.MaxPerDay = 0, 1 })(g)
		}),
		guard.RuleRival: func(g *stage) {
			g.s.Push(g, "theirs", map[string][]byte{stageFile: []byte(strings.Replace(stageSource, stageBad, "fd00::/16", 1))})
			g.s.OpenPR(g, "theirs", "widen it by hand")
		},
		"abstained": func(g *stage) { g.abstained = "two causes are equally likely" },
		"archived":  func(g *stage) { g.s.Archive(g) },
	}
}

// k8sgpt-operator: a change whose score was too low was marked as aborted, and
// applied all the same. No refusal may fall through to a write.
func TestNoRefusalFallsThrough(t *testing.T) {
	for reason, refuse := range refusals() {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			f := forges.GitHub(t)
			g := newStage(t, f)
			refuse(g)
			before, prs := g.s.Branches(g), len(g.s.PRs(g))
			var writes atomic.Int32
			f.Before(func(r *http.Request) {
				if r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
					writes.Add(1)
				}
			})
			for range 2 {
				out, err := g.p.Propose(t.Context(), g.plan(), "")
				switch {
				case reason == "archived" && !forge.Is(err, forge.Archived), reason != "archived" && err != nil:
					t.Errorf("%+v, %v", out, err)
				case reason == "abstained" && out.Action != v1alpha1.PullRequestNoChange:
					t.Errorf("%+v", out)
				case strings.HasPrefix(reason, "a"):
				case out.Action != v1alpha1.PullRequestHeld || out.Rule != reason || len(out.Because) == 0:
					t.Errorf("%+v", out)
				}
			}
			if n := writes.Load(); n != 0 {
				t.Errorf("wrote %d times", n)
			}
			if after := g.s.Branches(g); len(after) != len(before) || len(g.s.PRs(g)) != prs {
				t.Errorf("branches %v, before %v; %d pull requests, before %d", after, before, len(g.s.PRs(g)), prs)
			}
		})
	}
}

// A rule of the guard that nobody added above fails here.
func TestEveryRefusalIsTried(t *testing.T) {
	src, err := os.ReadFile("guard/guard.go")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)^\tRule\w+ = "([a-z-]+)"$`).FindAllSubmatch(src, -1)
	if len(rules) == 0 {
		t.Fatal("no rule is found in guard/guard.go")
	}
	for _, m := range rules {
		if refusals()[string(m[1])] == nil {
			t.Errorf("the refusal %q is not tried", m[1])
		}
	}
}
