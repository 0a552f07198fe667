package repo_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/gitops/repo"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func wantBase(t *testing.T, dir string, opts repo.BaseOptions, like, name, how string) {
	t.Helper()
	got, err := open(t, dir).Base(opts)
	want := repo.Base{Name: name, Commit: gitIn(t, dir, "rev-parse", like), How: how}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%+v (-want +got), error %v:\n%s", opts, err, diff)
	}
}

func wantNoBase(t *testing.T, dir string, opts repo.BaseOptions, says ...string) {
	t.Helper()
	got, err := open(t, dir).Base(opts)
	if !errors.Is(err, repo.ErrNoBase) || got != (repo.Base{}) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestBase(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "branch", "elsewhere", "origin/release/1.x")
	for _, c := range []struct {
		name      string
		opts      repo.BaseOptions
		like      string
		base, how string
	}{
		{"given", repo.BaseOptions{Rev: "origin/topic~1", Env: env("GITHUB_BASE_REF", "main")}, "origin/topic~1", "origin/topic~1", ""},
		{"given as HEAD", repo.BaseOptions{Rev: "HEAD"}, "HEAD", "HEAD", ""},
		{"default branch", repo.BaseOptions{}, "origin/main", "origin/main", "merge base with origin/main"},
		{"of another head", repo.BaseOptions{Head: "elsewhere"}, "light", "origin/main", "merge base with origin/main"},
		{"github", repo.BaseOptions{Env: env("GITHUB_BASE_REF", "release/1.x")}, "light", "origin/release/1.x", "merge base with origin/release/1.x, GITHUB_BASE_REF"},
		{"github before gitlab", repo.BaseOptions{Env: env("GITHUB_BASE_REF", "topic", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")}, "origin/topic", "origin/topic", "merge base with origin/topic, GITHUB_BASE_REF"},
		{"gitlab", repo.BaseOptions{Env: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")}, "origin/main", "origin/main", "merge base with origin/main, CI_MERGE_REQUEST_TARGET_BRANCH_NAME"},
		{"a local branch alone", repo.BaseOptions{Env: env("GITHUB_BASE_REF", "elsewhere")}, "light", "elsewhere", "merge base with elsewhere, GITHUB_BASE_REF"},
		{"a commit of main", repo.BaseOptions{Head: "main"}, "main^", "main^", "the commit before, as origin/main holds the commit already"},
	} {
		t.Run(c.name, func(t *testing.T) { wantBase(t, dir, c.opts, c.like, c.base, c.how) })
	}
	gitIn(t, dir, "checkout", "-q", "main")
	wantBase(t, dir, repo.BaseOptions{}, "HEAD", "HEAD", "HEAD, as origin/main holds the commit already")
	gitIn(t, dir, "checkout", "-q", "--detach", "work")
	wantBase(t, dir, repo.BaseOptions{}, "origin/main", "origin/main", "merge base with origin/main")
}

func TestBasePrefersTheRemoteBranch(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "branch", "-f", "main", "light")
	wantBase(t, dir, repo.BaseOptions{Env: env("GITHUB_BASE_REF", "main")}, "origin/main", "origin/main", "merge base with origin/main, GITHUB_BASE_REF")
	gitIn(t, dir, "update-ref", "refs/remotes/origin/main", "light")
	wantBase(t, dir, repo.BaseOptions{}, "light", "origin/main", "merge base with origin/main")
}

func TestBaseWithoutRemoteHead(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "remote", "set-head", "origin", "--delete")
	wantBase(t, dir, repo.BaseOptions{}, "origin/main", "origin/main", "merge base with origin/main")
	gitIn(t, dir, "update-ref", "refs/remotes/origin/master", "light")
	gitIn(t, dir, "update-ref", "-d", "refs/remotes/origin/main")
	wantBase(t, dir, repo.BaseOptions{}, "light", "origin/master", "merge base with origin/master")
	gitIn(t, dir, "update-ref", "-d", "refs/remotes/origin/master")
	wantNoBase(t, dir, repo.BaseOptions{}, "--base REV")
	gitIn(t, dir, "remote", "rename", "origin", "upstream")
	gitIn(t, dir, "update-ref", "refs/remotes/upstream/main", "light")
	wantBase(t, dir, repo.BaseOptions{}, "light", "upstream/main", "merge base with upstream/main")
}

func TestBaseWithoutRemote(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("a", "1"), files("a", "2"))
	wantBase(t, dir, repo.BaseOptions{}, "HEAD", "HEAD", "HEAD, as main holds the commit already")
	wantBase(t, dir, repo.BaseOptions{Head: "HEAD"}, "HEAD^", "HEAD^", "the commit before, as main holds the commit already")
	gitIn(t, dir, "checkout", "-q", "-b", "work")
	commit(t, dir, "work")
	wantBase(t, dir, repo.BaseOptions{}, "main", "main", "merge base with main")
	gitIn(t, dir, "branch", "-m", "main", "trunk")
	wantBase(t, dir, repo.BaseOptions{}, "HEAD", "HEAD", "HEAD, as there is no remote")
	if _, err := open(t, dir).Base(repo.BaseOptions{Head: "HEAD~2"}); !errors.Is(err, repo.ErrNoRevision) {
		t.Errorf("the commit before the first: %v", err)
	}
}

func TestBaseErrors(t *testing.T) {
	needGit(t)
	_, dir := branched(t)
	gitIn(t, dir, "checkout", "-q", "--orphan", "lonely")
	gitIn(t, dir, "commit", "-q", "--allow-empty", "-m", "lonely")
	wantNoBase(t, dir, repo.BaseOptions{}, "no commit in common with origin/main", "--base REV")
	for _, name := range []string{"gone", "../../config", "a b", "x\n::error::y", "-f"} {
		wantNoBase(t, dir, repo.BaseOptions{Env: env("GITHUB_BASE_REF", name)}, fmt.Sprintf("branch %q (GITHUB_BASE_REF)", name), "fetch-depth: 0", "--base REV")
	}
	for _, opts := range []repo.BaseOptions{{Rev: "gone"}, {Head: "gone"}} {
		if got, err := open(t, dir).Base(opts); !errors.Is(err, repo.ErrNoRevision) || got != (repo.Base{}) {
			t.Errorf("%+v: %v, %v", opts, got, err)
		}
	}
	empty, _ := laid(t)
	wantNoBase(t, empty, repo.BaseOptions{}, "there is no commit yet")
}

// pullRequest makes what GitHub checks out for a pull request: a detached merge
// of the work into the target branch.
func pullRequest(t *testing.T) (origin, merge, target string) {
	t.Helper()
	origin, clone := branched(t)
	gitIn(t, clone, "push", "-q", "origin", "work")
	write(t, filepath.Join(origin, "later"), "1\n")
	target = commit(t, origin, "later on main")
	gitIn(t, origin, "checkout", "-q", "--detach", "main")
	gitIn(t, origin, "merge", "-q", "--no-ff", "-m", "Merge work into main", "work")
	merge = gitIn(t, origin, "rev-parse", "HEAD")
	gitIn(t, origin, "update-ref", "refs/pull/7/merge", merge)
	gitIn(t, origin, "checkout", "-q", "main")
	return origin, merge, target
}

// actionsCheckout does what actions/checkout does for a pull request.
func actionsCheckout(t *testing.T, origin, merge string, fetch ...string) string {
	t.Helper()
	dir := t.TempDir()
	gitIn(t, dir, "init", "-q", "-b", "main")
	gitIn(t, dir, "remote", "add", "origin", "file://"+origin)
	gitIn(t, dir, append([]string{"fetch", "-q", "--no-tags"}, fetch...)...)
	gitIn(t, dir, "checkout", "-q", "--force", merge)
	return dir
}

func TestBaseOfPullRequest(t *testing.T) {
	needGit(t)
	origin, merge, target := pullRequest(t)
	github := repo.BaseOptions{Env: env("GITHUB_BASE_REF", "main", "GITHUB_REF", "refs/pull/7/merge")}
	pull := "+" + merge + ":refs/remotes/pull/7/merge"

	full := actionsCheckout(t, origin, merge, "origin", "+refs/heads/*:refs/remotes/origin/*", pull)
	wantBase(t, full, github, target, "origin/main", "merge base with origin/main, GITHUB_BASE_REF")

	two := actionsCheckout(t, origin, merge, "--depth=2", "origin", pull)
	wantBase(t, two, github, target, "main", "first parent of the pull request's merge commit, GITHUB_BASE_REF is main")

	one := actionsCheckout(t, origin, merge, "--depth=1", "origin", pull)
	wantNoBase(t, one, github, `branch "main" (GITHUB_BASE_REF) is not in this clone`, "fetch-depth: 0", "GIT_DEPTH: 0")
	wantNoBase(t, one, repo.BaseOptions{}, "fetch-depth: 0", "--base REV")
	gitIn(t, one, "fetch", "-q", "--depth=1", "origin", "+refs/heads/main:refs/remotes/origin/main")
	wantBase(t, one, github, target, "origin/main", "merge base with origin/main, GITHUB_BASE_REF")
}

func TestBaseOfShallowBranch(t *testing.T) {
	needGit(t)
	origin, _, target := pullRequest(t)
	work := gitIn(t, origin, "rev-parse", "work")
	dir := actionsCheckout(t, origin, work, "--depth=1", "origin", "+refs/heads/work:refs/remotes/origin/work", "+refs/heads/main:refs/remotes/origin/main")
	for _, opts := range []repo.BaseOptions{{}, {Env: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")}} {
		wantNoBase(t, dir, opts, "left origin/main is not in this clone", "fetch-depth: 0", "GIT_DEPTH: 0", "--base REV")
	}
	wantBase(t, dir, repo.BaseOptions{Env: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA", target)},
		target, "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA, CI_MERGE_REQUEST_TARGET_BRANCH_NAME is main")
	wantNoBase(t, dir, repo.BaseOptions{Env: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA", strings.Repeat("1", 40))})
	wantNoBase(t, dir, repo.BaseOptions{Env: env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA", "main")})
}

// The merge base is one that git calls best, on any history.
func TestBaseAsGit(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("a", "1"))
	tree := gitIn(t, dir, "rev-parse", "HEAD^{tree}")
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		commits := []string{}
		for i := range rapid.IntRange(2, 9).Draw(rt, "commits") {
			var parents []string
			if len(commits) > 0 {
				parents = rapid.SliceOfNDistinct(rapid.SampledFrom(commits), 1, min(2, len(commits)), rapid.ID[string]).Draw(rt, "parents")
			}
			commits = append(commits, commitObject(t, dir, tree, n*10+i, parents...))
		}
		one, other := rapid.SampledFrom(commits).Draw(rt, "one"), rapid.SampledFrom(commits).Draw(rt, "other")
		write(t, filepath.Join(dir, ".git", "refs", "heads", "target"), other+"\n")
		best := gitIn(t, dir, "merge-base", "--all", one, other)
		got, err := open(t, dir).Base(repo.BaseOptions{Head: one, Env: env("GITHUB_BASE_REF", "target")})
		if best == one {
			if got.Name != one+"^" && !errors.Is(err, repo.ErrNoRevision) {
				rt.Fatalf("head is an ancestor: %+v, %v", got, err)
			}
			return
		}
		if err != nil || !strings.Contains(best, got.Commit) {
			rt.Fatalf("got %+v, %v; git says %s", got, err, best)
		}
	})
}

// A branch that moved on is taken as named; that it did is said, for what it
// gained shows as lost by the change.
func TestNamedBaseThatMovedOn(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("a", "1\n"), files("a", "2\n"))
	gitIn(t, dir, "config", "user.name", "T")
	gitIn(t, dir, "config", "user.email", "t@example.com")
	gitIn(t, dir, "checkout", "-q", "-b", "feature", "HEAD^")
	gitIn(t, dir, "commit", "-q", "--allow-empty", "-m", "work")
	r := open(t, dir)
	fork, err := r.Resolve("feature^")
	if err != nil {
		t.Fatal(err)
	}
	for rev, moved := range map[string]bool{"main": true, "feature^": false, "feature": false} {
		base, err := r.Base(repo.BaseOptions{Rev: rev})
		if err != nil {
			t.Fatal(err)
		}
		if (base.How != "") != moved || moved && !strings.Contains(base.How, "--base "+fork[:12]) {
			t.Errorf("%s: %q", rev, base.How)
		}
	}
	if base, err := r.Base(repo.BaseOptions{Rev: "feature", Head: "main"}); err != nil || base.How == "" {
		t.Errorf("a head that is not checked out: %+v %v", base, err)
	}
}
