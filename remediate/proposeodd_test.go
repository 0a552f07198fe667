package remediate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// fetched is a bare repository with the branches of the server.
func (g *stage) fetched(branch string) string {
	g.Helper()
	dir, ca := g.TempDir(), filepath.Join(g.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, g.s.Secret()["ca.crt"], 0o600); err != nil {
		g.Fatal(err)
	}
	url := strings.Replace(g.s.CloneURL(), "https://", "https://"+string(g.s.Secret()["username"])+":"+string(g.s.Secret()["password"])+"@", 1)
	for _, args := range [][]string{{"init", "-q", "--bare", dir}, {"-C", dir, "fetch", "-q", url, branch + ":" + branch}} {
		c := exec.Command("git", args...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_SSL_CAINFO="+ca)
		if out, err := c.CombinedOutput(); err != nil {
			g.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	return dir
}

// Commits are signed, those too that are built anew, and git says so itself.
func TestSignedProposals(t *testing.T) {
	for name, key := range map[string]testbed.SigningKey{
		"openpgp": testbed.OpenPGPKey(t, "sesame"), "ssh": testbed.SSHSigningKey(t, "sesame"),
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(g *stage) {
				signer, err := repo.SigningSecret(key.Secret).Signer()
				if err != nil {
					t.Fatal(err)
				}
				g.p.Signer = signer
				g.p.Spec.Commit.Author = v1alpha1.CommitUser{Name: "Fleet", Email: "signing@example.com"}
				out := g.propose(v1alpha1.PullRequestOpened)
				key.VerifyCommit(g, g.fetched(out.Branch), out.Branch)
				g.propose(v1alpha1.PullRequestUnchanged)
				g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
				next := g.propose(v1alpha1.PullRequestUpdated)
				if next.Commit == out.Commit {
					g.Error("it was not built anew")
				}
				key.VerifyCommit(g, g.fetched(out.Branch), out.Branch)
				g.propose(v1alpha1.PullRequestUnchanged)
			})
		})
	}
}

// withGit is a server whose repository is at hand.
type withGit interface {
	forges.Server
	Git(t testing.TB, args ...string) string
}

// reopen lets a person restore the branch and open the pull request again.
func (g *stage) reopen(s withGit, pr forges.PR) {
	g.Helper()
	s.Git(g, "update-ref", "refs/heads/"+pr.Branch, pr.Head)
	secret := s.(secretsOf).SecretOf(s.Writer())
	address, method, body := "", http.MethodPatch, `{"state":"open"}`
	switch s.Kind() {
	case "github":
		address = s.API() + "/repos/" + s.Name() + "/pulls/1"
	case "gitlab":
		address = s.API() + "/projects/" + strings.ReplaceAll(s.Name(), "/", "%2F") + "/merge_requests/1"
		method, body = http.MethodPut, `{"state_event":"reopen"}`
	}
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+string(secret["password"]))
	req.Header.Set("Content-Type", "application/json")
	resp, err := clientOf(g, s).Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.Fatalf("open it again: %v, %+v", err, resp)
	}
	resp.Body.Close()
}

// A person who opens again what was closed here has the last word, until a
// person gives it back.
func TestReopened(t *testing.T) {
	for name, start := range map[string]func(*testing.T) withGit{
		"github": func(t *testing.T) withGit { return forges.GitHub(t) },
		"gitlab": func(t *testing.T) withGit { return forges.GitLab(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			g := newStage(t, s)
			out := g.propose(v1alpha1.PullRequestOpened)
			before := g.prs(1)[0]
			g.healthy = true
			g.propose(v1alpha1.PullRequestClosed)
			g.reopen(s, before)
			for range 2 {
				g.says(g.proposeLast(t), "opened it again")
				if pr := g.prs(1)[0]; pr.State != "open" || len(g.ours()) != 1 {
					t.Fatalf("%+v, branches %q", pr, g.ours())
				}
			}
			if word := g.lastWord(out.Number); !strings.Contains(word, "Left alone") || !strings.Contains(word, `"kept":true`) {
				t.Errorf("comment %q", word)
			}
			g.healthy = false
			g.propose(v1alpha1.PullRequestHandsOff)
			s.CommentPR(t, s.Writer(), out.Number, "/remediate replan")
			g.propose(v1alpha1.PullRequestUnchanged)
			if word := g.lastWord(out.Number); strings.Contains(word, `"kept":true`) {
				t.Errorf("comment %q", word)
			}
		})
	}
}

// proposeLast proposes, whatever comes of it.
func (g *stage) proposeLast(t *testing.T) *v1alpha1.PullRequestOutcome {
	t.Helper()
	out, err := g.p.Propose(t.Context(), g.plan(), "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What was merged long ago is still known to be, by a checkout that is too old to
// have it.
func TestMergedLongAgo(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		stale := g.plan()
		merge := g.s.MergePR(g, out.Number)
		g.later = 90 * 24 * time.Hour
		got := g.proposeThe(stale, "", v1alpha1.PullRequestMerged)
		if got.Commit != merge || got.Number != out.Number {
			g.Errorf("%+v, merged as %s", got, merge)
		}
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		g.proposeThe(stale, "", v1alpha1.PullRequestMerged)
		g.prs(1)
	})
}

// A repository without drafts gets an ordinary pull request, and it is said.
func TestNoDrafts(t *testing.T) {
	s := forges.GitHub(t)
	s.NoDrafts()
	g := newStage(t, s)
	g.confidence = v1alpha1.ConfidencePredicted
	out := g.propose(v1alpha1.PullRequestOpened)
	if out.Draft || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "draft") || strings.Contains(strings.Join(out.Because, " "), "a draft:") {
		t.Errorf("%+v", out)
	}
	if body := g.prs(1)[0].Body; strings.Contains(body, "draft") {
		t.Errorf("body %s", body)
	}
	g.propose(v1alpha1.PullRequestUnchanged)
}

// Somebody else makes a branch of that name, or pushes to it, between our look
// and our push: it is tried again, and then left to them.
func TestRaces(t *testing.T) {
	for name, start := range crashForges() {
		for _, moved := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "/created", true: "/pushed to"}[moved], func(t *testing.T) {
				t.Parallel()
				f := start(t)
				g := newStage(t, f)
				plan := g.plan()
				branch := intents(&plan.Plan, "main")[0].branch()
				if moved {
					g.propose(v1alpha1.PullRequestOpened)
					g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
				}
				raced := false
				f.Before(func(r *http.Request) {
					if !raced && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
						raced = true
						g.s.Push(g, branch, map[string][]byte{"x": []byte("theirs\n")})
					}
				})
				calls := 0
				var out *v1alpha1.PullRequestOutcome
				err := forge.Retry{Clock: &patient{at: time.Unix(4e9, 0)}}.Do(noDeadline(), func(ctx context.Context) error {
					calls++
					var err error
					out, err = g.p.Propose(ctx, g.plan(), "")
					return err
				})
				if err != nil || !raced || calls != 2 || out.Action != v1alpha1.PullRequestHandsOff {
					t.Fatalf("raced %v, called %d times: %+v, %v", raced, calls, out, err)
				}
				if g.s.Show(t, branch, "x") != "theirs\n" {
					t.Error("what a person pushed is gone")
				}
			})
		}
	}
}

// clientOf trusts the server.
func clientOf(tb testing.TB, s forges.Server) *http.Client {
	tb.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Secret()["ca.crt"]) {
		tb.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}
