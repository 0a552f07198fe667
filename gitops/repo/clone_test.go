package repo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// A server that wants credentials, or hides what it has from those without,
// must lead to what to do, and say nothing that it was told.
func TestCloneNeedsCredentials(t *testing.T) {
	for status, says := range map[int]string{
		http.StatusUnauthorized:        "it needs credentials; clone it yourself and give --repo DIR",
		http.StatusForbidden:           "it needs credentials; clone it yourself and give --repo DIR",
		http.StatusNotFound:            "if it is private, clone it yourself and give --repo DIR",
		http.StatusInternalServerError: "500",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "you sent %s\x1b[31m", r.URL)
		}))
		err := repo.Clone(context.Background(), strings.Replace(server.URL, "//", "//SECRET@", 1)+"/a/b.git", t.TempDir())
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: %q", status, err)
		}
		server.Close()
	}
}

func TestCloneOverSSHWithoutKeys(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	for _, from := range []string{"git@127.0.0.1:a/b.git", "ssh://git@127.0.0.1:1/a/b.git"} {
		err := repo.Clone(context.Background(), from, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "clone it yourself and give --repo DIR") {
			t.Errorf("%s: %v", from, err)
		}
	}
}
