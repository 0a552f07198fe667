package repo

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Which commits a revision builds on: its ancestors by any parent, and itself.
func TestContains(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_COMMITTER_DATE=2026-02-12T10:00:00Z")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	commit := func(text string) string {
		git("commit", "-q", "--allow-empty", "-m", text)
		return git("rev-parse", "HEAD")
	}
	git("init", "-q", "-b", "main")
	first := commit("first")
	git("checkout", "-q", "-b", "fix")
	fix := commit("fix")
	git("checkout", "-q", "main")
	other := commit("other")
	git("merge", "-q", "--no-ff", "-m", "merge", "fix")
	merge := git("rev-parse", "HEAD")
	git("checkout", "-q", "--orphan", "alone")
	alone := commit("alone")

	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, revision, commit string
		holds, known           bool
	}{
		{"itself", fix, fix, true, true},
		{"its parent", fix, first, true, true},
		{"by the second parent", merge, fix, true, true},
		{"the later in the earlier", first, fix, false, true},
		{"side by side", other, fix, false, true},
		{"nothing in common", alone, fix, false, true},
		{"a commit that is not here", fix, strings.Repeat("a", 40), false, false},
		{"a revision that is not here", strings.Repeat("a", 40), fix, false, false},
		{"no hash", "main", fix, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			holds, known, err := r.Contains(tt.revision, tt.commit)
			if err != nil || holds != tt.holds || known != tt.known {
				t.Errorf("%v, %v, %v; want %v, %v", holds, known, err, tt.holds, tt.known)
			}
		})
	}
	at, err := r.CommitTime(merge)
	if err != nil || !at.Equal(time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", at, err)
	}
	if _, err := r.CommitTime(strings.Repeat("a", 40)); err == nil {
		t.Error("a commit that is not here has a time")
	}

	git("checkout", "-q", "main")
	shallow := t.TempDir()
	git("clone", "-q", "--depth=1", "--branch=main", "file://"+dir, shallow)
	if r, err = Open(shallow); err != nil {
		t.Fatal(err)
	}
	if holds, known, err := r.Contains(merge, fix); err != nil || holds || known {
		t.Errorf("shallow: %v, %v, %v", holds, known, err)
	}
}
