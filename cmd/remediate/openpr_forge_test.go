package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// stage is a checkout of the incident's repository as it lies on a forge.
type stage struct {
	t              *testing.T
	srv            forges.Server
	repo, snapshot string
	secret         string
}

func newStage(t *testing.T, srv forges.Server) *stage {
	t.Helper()
	for _, name := range []string{"GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, snapshot, err := examples.Lay(examples.Default, filepath.Join(t.TempDir(), "incident"))
	if err != nil {
		t.Fatal(err)
	}
	srv.Push(t, "main", treeOf(t, dir))
	out, err := exec.Command("git", "-C", dir, "remote", "add", "origin", srv.CloneURL()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return &stage{t: t, srv: srv, repo: dir, snapshot: snapshot, secret: folder(t, srv.Secret())}
}

func treeOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == ".git" {
			return cmpErr(err, fs.SkipDir)
		}
		if d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, p)
			files[filepath.ToSlash(rel)], err = os.ReadFile(p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// plan runs the command; the Secret must not be in what it says.
func (s *stage) plan(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, errs strings.Builder
	args = append([]string{"plan", "--repo", s.repo, "--snapshot", s.snapshot, "--chart", testbed.ChartDir(s.t), "--git-url", s.srv.CloneURL()}, args...)
	code = execute(context.Background(), args, &out, &errs)
	if password := string(s.srv.Secret()["password"]); strings.Contains(out.String()+errs.String(), password) {
		s.t.Errorf("the Secret is shown:\n%s", errs.String())
	}
	return code, out.String(), errs.String()
}

// The command against each forge: opened, unchanged, the finding gone.
func TestOpenPR(t *testing.T) {
	for name, start := range map[string]func(*testing.T) forges.Server{
		"gitea":  func(t *testing.T) forges.Server { return forges.Gitea(t) },
		"github": func(t *testing.T) forges.Server { return forges.GitHub(t) },
		"gitlab": func(t *testing.T) forges.Server { return forges.GitLab(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, start(t))
			args := []string{"--open-pr", "--git-secret", s.secret, "-o", "json"}
			code, stdout, stderr := s.plan(args...)
			if code != 0 || !strings.Contains(stderr, "✔ opened https://") {
				t.Fatalf("exit code %d:\n%s", code, stderr)
			}
			var p v1alpha1.Plan
			if err := json.Unmarshal([]byte(stdout), &p); err != nil {
				t.Fatal(err)
			}
			pr := p.PullRequest
			if pr == nil || pr.Action != v1alpha1.PullRequestOpened || pr.Base != "main" || !strings.HasPrefix(pr.Branch, "remediate/") {
				t.Fatalf("pullRequest: %+v", pr)
			}
			if !strings.Contains(stderr, pr.URL+" (branch "+pr.Branch+")") {
				t.Errorf("stderr: %s", stderr)
			}
			only(t, s.srv, pr)

			code, _, stderr = s.plan(args...)
			if code != 0 || !strings.Contains(stderr, "► unchanged "+pr.URL) {
				t.Errorf("again: exit code %d:\n%s", code, stderr)
			}
			only(t, s.srv, pr)
		})
	}
}

func only(t *testing.T, srv forges.Server, want *v1alpha1.PullRequestOutcome) {
	t.Helper()
	prs := srv.PRs(t)
	if len(prs) != 1 || prs[0].Number != want.Number || prs[0].Branch != want.Branch || prs[0].State != "open" || prs[0].Head != want.Commit {
		t.Errorf("pull requests: %+v", prs)
	}
}

func TestPushOnly(t *testing.T) {
	s := newStage(t, forges.GitHub(t))
	code, _, stderr := s.plan("--push-only", "--git-secret", s.secret, "--cluster", "attic")
	if code != 0 || !strings.Contains(stderr, "✔ pushed (branch remediate/attic/native-routing-cidr-excludes-pods-") {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	if len(s.srv.Branches(t)) != 2 || len(s.srv.PRs(t)) != 0 || s.srv.Requests() != 0 {
		t.Errorf("branches %v, pull requests %v, or the API was asked", s.srv.Branches(t), s.srv.PRs(t))
	}
	if code, _, stderr = s.plan("--push-only", "--git-secret", s.secret, "--cluster", "attic"); code != 0 || !strings.Contains(stderr, "► unchanged") {
		t.Errorf("again: exit code %d:\n%s", code, stderr)
	}
}

// Errors of a server reach the reader with what to do, and the plan is printed
// all the same.
func TestOpenPRRefused(t *testing.T) {
	s := newStage(t, forges.Gitea(t))
	wrong := s.srv.Secret()
	wrong["password"] = []byte("0123456789abcdef0123456789abcdef01234567")
	code, stdout, stderr := s.plan("--open-pr", "--git-secret", folder(t, wrong), "-o", "json")
	if code != 1 || !strings.Contains(stderr, "remediate: error: ") || !strings.Contains(stderr, "remediate: hint: ") {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
	if !strings.Contains(stdout, `"kind": "Plan"`) || strings.Contains(stdout, "pullRequest") {
		t.Errorf("the plan: %.200s", stdout)
	}
	if len(s.srv.PRs(t)) != 0 || len(s.srv.Branches(t)) != 1 {
		t.Error("something was left behind")
	}
}

// A Secret of its own for the forge, and a token of the environment.
func TestOpenPRCredentials(t *testing.T) {
	srv := forges.GitHub(t)
	s := newStage(t, srv)
	secret := srv.Secret()
	token := secret["password"]
	trust := folder(t, map[string][]byte{"ca.crt": secret["ca.crt"]})
	if code, _, stderr := s.plan("--open-pr", "--git-secret", trust); code != 1 || !strings.Contains(stderr, "the Secret holds nothing that the API of 127.0.0.1 takes") {
		t.Fatalf("without a token: exit code %d:\n%s", code, stderr)
	}
	if _, _, stderr := s.plan("--open-pr", "--git-secret", trust); !strings.Contains(stderr, "(--forge-secret), or set GITHUB_TOKEN") {
		t.Errorf("the hint does not name the variable: %s", stderr)
	}
	only := folder(t, map[string][]byte{"token": token, "ca.crt": secret["ca.crt"]})
	if code, _, stderr := s.plan("--open-pr", "--git-secret", s.secret, "--forge-secret", only); code != 0 || !strings.Contains(stderr, "✔ opened") {
		t.Errorf("with --forge-secret: exit code %d:\n%s", code, stderr)
	}
	t.Setenv("GITHUB_TOKEN", string(token)+"\n")
	if code, _, stderr := s.plan("--open-pr", "--git-secret", trust); code != 0 || !strings.Contains(stderr, "► GITHUB_TOKEN authenticates at 127.0.0.1") || !strings.Contains(stderr, "► unchanged") {
		t.Errorf("with GITHUB_TOKEN: exit code %d:\n%s", code, stderr)
	}
	t.Setenv("GITHUB_TOKEN", "0123456789abcdef")
	if code, _, stderr := s.plan("--open-pr", "--git-secret", trust); code != 1 || !strings.Contains(stderr, "hint: check that GITHUB_TOKEN holds a token of this server") {
		t.Errorf("with a wrong GITHUB_TOKEN: exit code %d:\n%s", code, stderr)
	}
	if code, _, stderr := s.plan("--push-only", "--git-secret", trust); code != 1 || !strings.Contains(stderr, "hint: no credentials were given") || strings.Contains(stderr, "(check username") {
		t.Errorf("--push-only without credentials: exit code %d:\n%s", code, stderr)
	}
}
