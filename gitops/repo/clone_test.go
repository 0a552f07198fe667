package repo_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/repo"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"https://github.com/a/b.git":                        "https://github.com/a/b.git",
		"https://user:SECRET@host/a/b":                      "https://xxxxx@host/a/b",
		"https://SECRET@host/a/b":                           "https://xxxxx@host/a/b",
		"https://host/a/b?token=SECRET#SECRET":              "https://host/a/b",
		"ssh://git@host:22/a/b":                             "ssh://git@host:22/a/b",
		"ssh://git:SECRET@host/a/b":                         "ssh://git:xxxxx@host/a/b",
		"git@host:a/b.git":                                  "git@host:a/b.git",
		"https://user:SECRET%zz@host/a?token=SECRET":        "https://xxxxx@host/a",
		"https://user:SEC@RET@host/a":                       "https://xxxxx@host/a",
		"file:///srv/git/a":                                 "file:///srv/git/a",
		"/srv/git/a":                                        "/srv/git/a",
		"https://user:SECRET@host:port-with-no-number/path": "https://xxxxx@host:port-with-no-number/path",
	} {
		if got := repo.Redact(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestCloneErrorsHideSecrets(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for _, from := range []string{
		"file://" + gone + "?token=SECRET",
		"https://user:SECRET@127.0.0.1:1/a",
		"http://127.0.0.1:1/a?token=SECRET",
		"http://SECRET@127.0.0.1:1/a",
		"https://us er:SECRET@127.0.0.1:1/a",
	} {
		err := repo.Clone(context.Background(), from, t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), "clone ") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", from, err)
		}
	}
}
