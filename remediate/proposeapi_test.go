package remediate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// appStage proposes as a GitHub App, whose commits GitHub makes and signs.
func appStage(t *testing.T) (*stage, *forges.GitHubServer, map[string][]byte) {
	t.Helper()
	s := forges.GitHub(t)
	g, secret := newStage(t, s), s.App(t)
	g.p.Spec.Commit.Method = methodAPI
	g.nextRun(secret)
	return g, s, secret
}

// nextRun is the next run: nothing of this one is known to it.
func (g *stage) nextRun(secret map[string][]byte) {
	g.Helper()
	spec := g.p.Spec
	g.outfit(g.T, loginOf{g.s, secret})
	g.p.Spec = spec
}

func TestCommitsOfTheApp(t *testing.T) {
	g, s, _ := appStage(t)
	out := g.propose(v1alpha1.PullRequestOpened)
	if len(out.Warnings) != 0 {
		t.Errorf("warnings %q", out.Warnings)
	}
	who := s.Git(t, "log", "-1", "--format=%an|%cn|%ce|%B", out.Branch)
	if !strings.HasPrefix(who, s.AppLogin()+"|GitHub|noreply@github.com|fix(cilium): ") || !strings.Contains(who, trailerPlan+": ") {
		t.Errorf("commit %q", who)
	}
	if !strings.Contains(s.Git(t, "cat-file", "commit", out.Branch), "gpgsig") {
		t.Error("the commit is not signed")
	}
	if pr := g.prs(1)[0]; pr.Author != s.AppLogin() || pr.Head != out.Commit {
		t.Errorf("%+v", pr)
	}
	g.propose(v1alpha1.PullRequestUnchanged)
	s.Push(t, "main", map[string][]byte{"README.md": []byte("moved\n")})
	next := g.propose(v1alpha1.PullRequestUpdated)
	if next.Number != out.Number || next.Commit == out.Commit || s.Show(t, out.Branch, "README.md") != "moved\n" {
		t.Errorf("%+v", next)
	}
	g.propose(v1alpha1.PullRequestUnchanged)
	s.Push(t, out.Branch, map[string][]byte{"x": []byte("theirs\n")})
	g.propose(v1alpha1.PullRequestHandsOff)
	g.prs(1)
}

// What the forge writes into a commit is not ours to choose, and it is said.
func TestAuthorIsLeftOut(t *testing.T) {
	for name, set := range map[string]func(*v1alpha1.CommitSpec){
		"author": func(c *v1alpha1.CommitSpec) {
			c.Author = v1alpha1.CommitUser{Name: "Fleet", Email: "fleet@example.org"}
		},
		"sign-off": func(c *v1alpha1.CommitSpec) { c.SignOff = true },
	} {
		g, s, _ := appStage(t)
		set(&g.p.Spec.Commit)
		out := g.propose(v1alpha1.PullRequestOpened)
		if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "left out") {
			t.Errorf("%s: warnings %q", name, out.Warnings)
		}
		if raw := s.Git(t, "cat-file", "commit", out.Branch); strings.Contains(raw, "fleet@example.org") || strings.Contains(raw, "Signed-off-by") {
			t.Errorf("%s: commit %s", name, raw)
		}
	}
}

// Cut at any request, as an App and with a person's token (each at every second
// one, without [soak]): the next run, which knows nothing of it, ends with the one
// pull request. It tells its own commits
// by the account, on every host.
func TestCommitsOfTheAppAreFoundAgain(t *testing.T) {
	for name, secretOf := range map[string]func(*testing.T, *forges.GitHubServer) map[string][]byte{
		"app":   func(t *testing.T, s *forges.GitHubServer) map[string][]byte { return s.App(t) },
		"token": func(_ *testing.T, s *forges.GitHubServer) map[string][]byte { return s.Secret() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, step := map[string]int{"app": 1, "token": 2}[name], 2
			if soak() {
				first, step = 1, 1
			}
			for n, ended := first, false; !ended; n += step {
				s := forges.GitHub(t)
				g := newStage(t, s)
				secret := secretOf(t, s)
				g.p.Spec.Commit.Method = methodAPI
				g.nextRun(secret)
				s.Fail(nil, n-1, forges.Fault{})
				s.Fail(nil, -1, forges.Fault{Cut: forges.CutAfter})
				_, err := g.p.Propose(t.Context(), g.plan(), "")
				s.Heal()
				ended = err == nil
				s.Push(t, "main", map[string][]byte{"README.md": []byte("moved\n")})
				g.nextRun(secret)
				if out, err := g.p.Propose(t.Context(), g.plan(), ""); err != nil || out.Action == v1alpha1.PullRequestHandsOff {
					t.Fatalf("cut at request %d, then %+v, %v", n, out, err)
				}
				g.one("cut")
				if s.Show(t, g.ours()[0], "README.md") != "moved\n" {
					t.Errorf("cut at request %d: not built on the new base", n)
				}
				g.nextRun(secret)
				g.propose(v1alpha1.PullRequestUnchanged)
			}
		})
	}
}

// A commit with our trailers that somebody else made, or made anew, is theirs.
func TestCommitsOfOthersLookAlike(t *testing.T) {
	g, s, secret := appStage(t)
	s.Fail(forges.Path(http.MethodPost, "/pulls"), -1, forges.Fault{Status: 503})
	if _, err := g.p.Propose(t.Context(), g.plan(), ""); !forge.Transient(err) {
		t.Fatal(err)
	}
	s.Heal()
	branch := g.ours()[0]
	raw := s.Git(t, "show", "-s", "--format=%B", branch)
	hash := s.Git(t, "-c", "user.name=Wanda", "-c", "user.email=wanda@example.com", "commit-tree", "-p", "main", "-m", raw, branch+"^{tree}")
	s.Git(t, "update-ref", "refs/heads/"+branch, strings.TrimSpace(hash))
	g.nextRun(secret)
	g.propose(v1alpha1.PullRequestHandsOff)
	g.prs(0)
}

// Only GitHub makes commits for others; elsewhere the setting is a mistake.
func TestCommitMethodOfOtherForges(t *testing.T) {
	g := newStage(t, forges.GitLab(t))
	g.p.Spec.Commit.Method = methodAPI
	if _, err := g.p.Propose(t.Context(), g.plan(), ""); err == nil || forge.Transient(err) || !strings.Contains(hintOf(err), "Push") {
		t.Errorf("%v", err)
	}
	if len(g.ours()) != 0 {
		t.Errorf("branches %q", g.ours())
	}
}
