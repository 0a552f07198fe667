package repo_test

import (
	"slices"
	"testing"
)

func TestRemotes(t *testing.T) {
	needGit(t)
	dir, r := laid(t, files("a", "1\n"))
	if got, err := r.Remotes(); err != nil || len(got) != 0 {
		t.Errorf("without remotes: %v, %v", got, err)
	}
	gitIn(t, dir, "remote", "add", "upstream", "https://example.com/up/stream.git")
	gitIn(t, dir, "remote", "add", "origin", "git@example.com:me/fork.git")
	gitIn(t, dir, "remote", "set-url", "--add", "origin", "https://example.com/up/stream.git")
	got, err := open(t, dir).Remotes()
	if want := []string{"git@example.com:me/fork.git", "https://example.com/up/stream.git"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
