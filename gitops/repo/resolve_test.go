package repo_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/gitops/repo"
)

// branched makes, with git, an origin with the branches main and topic, a merge
// and tags, and a clone of it on the branch work, which follows origin/main.
func branched(t *testing.T) (origin, clone string) {
	t.Helper()
	origin = filepath.Join(t.TempDir(), "origin")
	write(t, filepath.Join(origin, "a"), "0\n")
	gitIn(t, origin, "init", "-q", "-b", "main")
	commit(t, origin, "zero")
	gitIn(t, origin, "tag", "light")
	gitIn(t, origin, "checkout", "-q", "-b", "topic")
	write(t, filepath.Join(origin, "b"), "1\n")
	commit(t, origin, "on topic")
	gitIn(t, origin, "checkout", "-q", "main")
	write(t, filepath.Join(origin, "a"), "1\n")
	commit(t, origin, "one")
	gitIn(t, origin, "merge", "-q", "--no-ff", "-m", "merge topic", "topic")
	gitIn(t, origin, "tag", "-a", "-m", "heavy", "v1.0")
	gitIn(t, origin, "tag", "-a", "-m", "tag of a tag", "nested", "v1.0")
	gitIn(t, origin, "checkout", "-q", "-b", "release/1.x", "light")
	write(t, filepath.Join(origin, "c"), "1\n")
	commit(t, origin, "release")
	gitIn(t, origin, "checkout", "-q", "main")

	clone = filepath.Join(t.TempDir(), "clone")
	gitIn(t, filepath.Dir(clone), "clone", "-q", "file://"+origin, clone)
	gitIn(t, clone, "checkout", "-q", "-b", "work", "--track", "origin/main")
	write(t, filepath.Join(clone, "w"), "1\n")
	commit(t, clone, "work")
	return origin, clone
}

func commit(t *testing.T, dir, message string) string {
	t.Helper()
	gitIn(t, dir, "add", "-A")
	gitIn(t, dir, "commit", "-q", "--allow-empty", "-m", message)
	return gitIn(t, dir, "rev-parse", "HEAD")
}

func TestResolveAsGit(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	head := gitIn(t, dir, "rev-parse", "HEAD")
	gitIn(t, dir, "fetch", "-q", "origin", "release/1.x")
	revs := []string{
		"HEAD", "@", "HEAD~1", "HEAD~", "HEAD~0", "HEAD~3", "HEAD~~", "HEAD^", "HEAD^0", "HEAD~1^2", "HEAD~1^2^", "HEAD^^{commit}", "HEAD^{}",
		"main", "work", "work~1", "heads/main", "refs/heads/main", "origin/main", "origin/topic", "remotes/origin/topic", "origin", "origin/release/1.x",
		"light", "v1.0", "nested", "tags/v1.0", "v1.0^2", "@{u}", "@{upstream}", "work@{u}", "main@{U}~1", "HEAD@{u}", "FETCH_HEAD",
		head, strings.ToUpper(head[:10]), head[:7], head[:9], head[:4] + head[4:6] + "^",
	}
	for _, packed := range []bool{false, true} {
		if packed {
			gitIn(t, dir, "pack-refs", "--all")
			gitIn(t, dir, "gc", "-q")
		}
		r := open(t, dir)
		for _, rev := range revs {
			want := gitIn(t, dir, "rev-parse", rev+"^{commit}")
			if got, err := r.Resolve(rev); got != want || err != nil {
				t.Errorf("packed %v: %s: got %s, %v; git says %s", packed, rev, got, err, want)
			}
		}
	}
}

func TestResolvePrefersTheLocalBranch(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "branch", "-f", "main", "origin/topic")
	r := open(t, dir)
	for rev, like := range map[string]string{
		"main":        "origin/topic",
		"topic":       "origin/topic",
		"release/1.x": "origin/release/1.x",
		"topic~1":     "origin/topic~1",
	} {
		want := gitIn(t, dir, "rev-parse", like)
		if got, err := r.Resolve(rev); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", rev, got, err, like)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "branch", "--unset-upstream")
	gitIn(t, dir, "config", "branch.main.merge", "refs/heads/gone")
	blob := gitIn(t, dir, "rev-parse", "HEAD:a")
	r := open(t, dir)
	for rev, says := range map[string]string{
		"": "no such revision", "nowhere": `"nowhere"`, "HEAD~99": "0 parents", "HEAD^9": "1 parents", "HEAD^{tree}": "~N, ^N",
		"HEAD@{1}": "no such revision", "main@{yesterday}": "no such", ":/work": "no such", "@{u}": "no upstream", "nowhere@{u}": "no upstream",
		"main@{u}": "was not fetched", blob: "is a blob", strings.Repeat("0", 40): "no such", "0000000": "no such", "../config": "no such",
		"HEAD..main": "no such", "^HEAD": "no such", "~1": "no such", "config": "no such", "a b": "no such", "refs/../HEAD": "no such",
		"x\x1b[31m\n::error::y": `\x1b`, "HEAD:a": "no such", "-x": "no such",
	} {
		got, err := r.Resolve(rev)
		if got != "" || !errors.Is(err, repo.ErrNoRevision) || !strings.Contains(err.Error(), says) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%q: %q, %v; want %s", rev, got, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "fetch-depth") {
			t.Errorf("%q: the clone is not shallow: %v", rev, err)
		}
	}
}

func TestResolveAmbiguous(t *testing.T) {
	dir, r := laid(t, files("a", "1"))
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	// A second commit object under a name that begins alike.
	other := head[:6] + strings.Repeat("0", 34)
	loose := func(hash string) string { return filepath.Join(dir, ".git", "objects", hash[:2], hash[2:]) }
	content, err := os.ReadFile(loose(head))
	if err != nil {
		t.Fatal(err)
	}
	write(t, loose(other), string(content))
	if _, err := open(t, dir).Resolve(head[:5]); !errors.Is(err, repo.ErrNoRevision) || !strings.Contains(err.Error(), "2 commits begin so") {
		t.Errorf("%v", err)
	}
	if got, err := open(t, dir).Resolve(head[:12]); got != head || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestResolveShallow(t *testing.T) {
	needGit(t)
	origin, _ := branched(t)
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, filepath.Dir(dir), "clone", "-q", "--depth=1", "file://"+origin, dir)
	r := open(t, dir)
	for _, rev := range []string{"HEAD^", "HEAD~5", "topic", "origin/topic", "v0.9", gitIn(t, origin, "rev-parse", "topic")} {
		_, err := r.Resolve(rev)
		if !errors.Is(err, repo.ErrNoRevision) || !strings.Contains(err.Error(), "fetch-depth: 0") || !strings.Contains(err.Error(), "GIT_DEPTH: 0") {
			t.Errorf("%s: %v", rev, err)
		}
	}
	if _, err := r.Resolve("origin/main"); err != nil {
		t.Error(err)
	}
}

func TestResolveDetachedAndWorktree(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	second := filepath.Join(t.TempDir(), "second")
	gitIn(t, dir, "worktree", "add", "-q", "--detach", second, "origin/topic")
	r := open(t, second)
	for rev, like := range map[string]string{"HEAD": "origin/topic", "main": "main", "work": "work", "origin/main~1": "origin/main~1"} {
		if got, err := r.Resolve(rev); got != gitIn(t, dir, "rev-parse", like) || err != nil {
			t.Errorf("%s: %s, %v", rev, got, err)
		}
	}
	if _, err := r.Resolve("@{u}"); err == nil || !strings.Contains(err.Error(), "no branch is checked out") {
		t.Errorf("upstream of a detached HEAD: %v", err)
	}
}

// Whatever is given, Resolve answers a commit that is there, or an error.
func TestResolveAnything(t *testing.T) {
	_, r := laid(t, files("a", "1"), files("a", "2"))
	part := rapid.OneOf(
		rapid.SampledFrom([]string{"HEAD", "main", "@", "~", "^", "@{u}", "{", "}", "refs/heads/", "..", "/", "\x00", "~1", "^{commit}", "99999999999"}),
		rapid.String(), rapid.StringMatching(`[0-9a-f]{1,40}`))
	rapid.Check(t, func(t *rapid.T) {
		rev := strings.Join(rapid.SliceOfN(part, 0, 5).Draw(t, "parts"), "")
		hash, err := r.Resolve(rev)
		if (err == nil) == (hash == "") || err == nil && len(hash) != 40 {
			t.Fatalf("%q: %q, %v", rev, hash, err)
		}
	})
}
