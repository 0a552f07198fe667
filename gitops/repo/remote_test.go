package repo_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
)

const fleet = "acme/fleet"

var (
	bot  = repo.Identity{Name: "Remédiate Bot", Email: "bot@example.com"}
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 2*3600))
)

func fleetFiles() map[string]string {
	return map[string]string{
		"clusters/prod/values.yaml": "cilium:\n  ipv6: true\n",
		"clusters/prod/crlf.yaml":   "a: 1\r\nb: 2\r\n",
		"clusters/prod/bare.yaml":   "last: line",
		"README.md":                 "hello\n",
	}
}

// served is a server with one repository, and a remote that may write to it.
func served(t testing.TB) (*testbed.Git, *repo.Remote) {
	t.Helper()
	server := testbed.GitServer(t)
	server.Create(t, fleet, fleetFiles())
	return server, remoteAt(t, server.CloneURL(fleet), server.Secret())
}

func remoteAt(t testing.TB, url string, secret map[string][]byte) *repo.Remote {
	t.Helper()
	a, err := access.New(access.Options{URL: url, Git: secret})
	if err != nil {
		t.Fatal(err)
	}
	return &repo.Remote{URL: url, Access: a}
}

func cloneOf(t testing.TB, r *repo.Remote, branch string) *repo.Worktree {
	t.Helper()
	w, err := r.Clone(t.Context(), repo.CloneOptions{Dir: filepath.Join(t.TempDir(), "clone"), Branch: branch})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// change is a commit of the bot's.
func change(t testing.TB, w *repo.Worktree, content string) repo.Commit {
	t.Helper()
	c, err := w.Commit(repo.CommitOptions{
		Files:   map[string][]byte{"clusters/prod/values.yaml": []byte(content)},
		Message: "fix(cilium): change\n", Author: bot, When: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushError fails the test unless err is of that kind and says all of says.
func pushError(t testing.TB, err error, kind repo.PushKind, says ...string) {
	t.Helper()
	var e *repo.PushError
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want a PushError of kind %q", err, kind)
	}
	if want := kind == repo.PushUnavailable; repo.Transient(err) != want {
		t.Errorf("transient is %v, want %v: %v", !want, want, err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

// both runs a test over https and over SSH.
func both(t *testing.T, test func(t *testing.T, server *testbed.Git, r *repo.Remote)) {
	t.Run("https", func(t *testing.T) {
		server, r := served(t)
		test(t, server, r)
	})
	t.Run("ssh", func(t *testing.T) {
		server, _ := served(t)
		keys := server.SSH(t)
		test(t, server, remoteAt(t, keys.CloneURL(fleet), keys.Secret()))
	})
}

func TestRefs(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		topic := server.Push(t, fleet, "topic/a", map[string]string{"README.md": "topic\n"})
		server.Git(t, fleet, "tag", "v1", "main")
		refs, err := r.Refs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := server.Branches(t, fleet)
		if refs.Default != "main" || len(refs.Branches) != 2 || refs.Branches["topic/a"] != topic || refs.Branches["main"] != want["main"] {
			t.Errorf("got %v, want %v", refs, want)
		}
		server.Git(t, fleet, "branch", "-m", "main", "trunk")
		server.Git(t, fleet, "symbolic-ref", "HEAD", "refs/heads/trunk")
		if refs, err = r.Refs(t.Context()); err != nil || refs.Default != "trunk" {
			t.Errorf("after a rename of the default branch: %v, %v", refs, err)
		}
	})
}

func TestRefsOfAnEmptyRepository(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		server.Git(t, fleet, "update-ref", "-d", "refs/heads/main")
		refs, err := r.Refs(t.Context())
		if err != nil || len(refs.Branches) != 0 {
			t.Errorf("%v, %v", refs, err)
		}
		_, err = r.Clone(t.Context(), repo.CloneOptions{Dir: t.TempDir(), Branch: "main"})
		pushError(t, err, repo.PushNotFound)
	})
}

func TestRefsMoveNoObjects(t *testing.T) {
	server, r := served(t)
	server.Moved()
	if _, err := r.Refs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if in, out, requests := server.Moved(); in != 0 || out > 2048 || requests != 1 {
		t.Errorf("%d bytes in, %d out, %d requests", in, out, requests)
	}
}

func TestClone(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		server.Push(t, fleet, "main", map[string]string{"README.md": "second\n"})
		server.Push(t, fleet, "other", map[string]string{"README.md": "other\n"})
		w := cloneOf(t, r, "main")
		head := w.Head()
		if want := server.Branches(t, fleet)["main"]; head.Hash != want || len(head.Parents) != 1 {
			t.Errorf("head %+v, want %s", head, want)
		}
		if head.Author.Name != "Hannah Human" || head.Signed || head.Message != "a human's change\n" || head.When.IsZero() {
			t.Errorf("head %+v", head)
		}
		got, err := os.ReadFile(filepath.Join(w.Dir(), "clusters/prod/crlf.yaml"))
		if err != nil || string(got) != "a: 1\r\nb: 2\r\n" {
			t.Errorf("%q, %v", got, err)
		}
		shallow := server.CountCommits(t, w.Dir())
		if shallow != 1 {
			t.Errorf("the clone has %d commits, want 1", shallow)
		}
	})
}

func TestCloneRefuses(t *testing.T) {
	_, r := served(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Clone(t.Context(), repo.CloneOptions{Dir: full, Branch: "main"}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a full folder: %v", err)
	}
	if _, err := os.Stat(filepath.Join(full, "mine")); err != nil {
		t.Error("a full folder was emptied")
	}
	for _, branch := range []string{"", "a b", "-x/../y", "a..b", "x.lock"} {
		if _, err := r.Clone(t.Context(), repo.CloneOptions{Dir: t.TempDir(), Branch: branch}); err == nil || !strings.Contains(err.Error(), "branch") {
			t.Errorf("branch %q: %v", branch, err)
		}
	}
	dir := t.TempDir()
	_, err := r.Clone(t.Context(), repo.CloneOptions{Dir: dir, Branch: "gone"})
	pushError(t, err, repo.PushNotFound, "clone gone at ", "check the address and the branch")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("a failed clone left %v", left)
	}
}

func TestFetch(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		w := cloneOf(t, r, "main")
		if _, ok, err := w.Fetch(t.Context(), "topic"); ok || err != nil {
			t.Fatalf("a branch that is not there: %v, %v", ok, err)
		}
		first := server.Push(t, fleet, "topic", map[string]string{"README.md": "one\n"})
		second := server.Push(t, fleet, "topic", map[string]string{"README.md": "two\n"})
		for range 2 {
			c, ok, err := w.Fetch(t.Context(), "topic")
			if err != nil || !ok || c.Hash != second || len(c.Parents) != 1 || c.Parents[0] != first {
				t.Fatalf("%+v, %v, %v", c, ok, err)
			}
		}
		c, ok, err := w.Fetch(t.Context(), "main")
		if err != nil || !ok || c.Hash != w.Head().Hash {
			t.Errorf("the branch that was cloned: %+v, %v, %v", c, ok, err)
		}
		// What was fetched must not change what is pushed.
		made := change(t, w, "cilium:\n  ipv6: false\n")
		if err := w.Push(t.Context(), made.Hash, "topic", second); err != nil {
			t.Fatal(err)
		}
		server.Git(t, fleet, "fsck", "--strict")
	})
}

// noise is text that does not compress well.
func noise(seed uint64, size int) string {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	out := make([]byte, size)
	_, _ = source.Read(out) // never fails
	return string(out)
}

// A server that leaves out what was asked to be left out moves less; one that
// cannot must serve as well.
func TestFetchLeavesFilesOut(t *testing.T) {
	for _, allowed := range []string{"true", "false"} {
		server, r := served(t)
		server.Git(t, fleet, "config", "uploadpack.allowFilter", allowed)
		w := cloneOf(t, r, "main")
		tip := server.Push(t, fleet, "topic", map[string]string{"big": noise(1, 64<<10)})
		server.Moved()
		c, ok, err := w.Fetch(t.Context(), "topic")
		if _, out, _ := server.Moved(); (out < 64<<10) != (allowed == "true") {
			t.Errorf("filter %s: %d bytes came", allowed, out)
		}
		if err != nil || !ok || c.Hash != tip {
			t.Fatalf("filter %s: %+v, %v, %v", allowed, c, ok, err)
		}
		_, err = os.Stat(filepath.Join(w.Dir(), "big"))
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder of files changed: %v", err)
		}
	}
}

func TestSlowServers(t *testing.T) {
	t.Run("https", func(t *testing.T) {
		server, r := served(t)
		server.Fault(testbed.GitStall(), testbed.GitStall())
		slow(t, r)
	})
	t.Run("ssh", func(t *testing.T) {
		server, _ := served(t)
		keys := server.SSH(t)
		keys.Stall()
		slow(t, remoteAt(t, keys.CloneURL(fleet), keys.Secret()))
	})
}

func slow(t *testing.T, r *repo.Remote) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Refs(ctx)
	pushError(t, err, repo.PushUnavailable, "no answer in time")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is lost: %v", err)
	}
	_, err = r.Clone(ctx, repo.CloneOptions{Dir: t.TempDir(), Branch: "main"})
	pushError(t, err, repo.PushUnavailable, "no answer in time")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := r.Refs(stopped); err == nil || repo.Transient(err) {
		t.Errorf("a canceled question must not be tried again: %v", err)
	}
}

func TestMovedRepositoryIsFollowed(t *testing.T) {
	server, r := served(t)
	other := testbed.GitServer(t)
	w := cloneOf(t, r, "main")
	made := change(t, w, "moved: true\n")
	// Within the server, as GitHub and Gitea do after a rename.
	server.Fault(func(rw http.ResponseWriter, req *http.Request, _ http.Handler) {
		http.Redirect(rw, req, strings.Replace(req.URL.RequestURI(), fleet, "acme/renamed", 1), http.StatusMovedPermanently)
	})
	if err := os.Rename(server.Path(fleet), server.Path("acme/renamed")); err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context(), made.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	// To another server the credentials must not go.
	var sent []string
	server.Fault(testbed.GitRedirect(other.URL))
	other.Fault(func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
		sent = append(sent, req.Header.Get("Authorization"))
		next.ServeHTTP(rw, req)
	})
	if _, err := r.Refs(t.Context()); err == nil {
		t.Error("another server was believed")
	}
	for _, s := range sent {
		if s != "" {
			t.Error("the credentials went to another server")
		}
	}
}
