package repo_test

import "testing"

func TestOrigin(t *testing.T) {
	needGit(t)
	dir, r := laid(t, files("a", "1\n"))
	if got := r.Origin(); got != "" {
		t.Errorf("without remotes: %q", got)
	}
	for _, tt := range []struct{ add, url, want string }{
		{"upstream", "https://example.com/up/stream.git", "https://example.com/up/stream.git"},
		{"mirror", "https://example.com/mirror.git", ""},
		{"origin", "git@example.com:me/fork.git", "git@example.com:me/fork.git"},
	} {
		gitIn(t, dir, "remote", "add", tt.add, tt.url)
		if got := open(t, dir).Origin(); got != tt.want {
			t.Errorf("with %s: %q, want %q", tt.add, got, tt.want)
		}
	}
}
