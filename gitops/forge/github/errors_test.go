package github_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/github"
)

func TestNewRefusesAnAddressThatIsNone(t *testing.T) {
	a, err := access.New(access.Options{URL: "https://github.com/o/n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range []string{"", "api.github.com", "https://", "\x00"} {
		if _, err := github.New(forge.Place{Owner: "o", Name: "n", API: api}, a); !forge.Is(err, forge.Invalid) {
			t.Errorf("%q: %v", api, err)
		}
	}
}

func TestNoTokenIsSaidBeforeAnyRequest(t *testing.T) {
	f := open(t, "https://github.com/o/n", "https://github.invalid", nil)
	_, err := f.Repository(context.Background())
	var e *forge.Error
	if !errors.As(err, &e) || e.Kind != forge.Unauthorized || e.Hint == "" || strings.Contains(err.Error(), "invalid") {
		t.Errorf("got %v", err)
	}
}

// validation is GitHub's answer of status 422.
func validation(errs string) string {
	return `{"message":"Validation Failed","errors":[` + errs + `],"documentation_url":"https://docs.github.com/rest"}`
}

func TestAnswersOfFailure(t *testing.T) {
	const docs = `"documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"`
	reset := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	tests := []struct {
		name    string
		status  int
		headers string // NAME: VALUE, separated by |
		body    string
		kind    forge.Kind
		after   time.Duration // give or take two seconds
		hint    string
	}{
		{"bad token", 401, "", `{"message":"Bad credentials"}`, forge.Unauthorized, 0, "token"},
		{"two factors", 401, "X-GitHub-OTP: required; app", `{"message":"Must specify two-factor"}`, forge.Unauthorized, 0, "token"},
		{"no right", 403, "", `{"message":"Resource not accessible by personal access token"}`, forge.Forbidden, 0, "Pull requests: write"},
		{"no right, GitHub says which", 403, "X-Accepted-GitHub-Permissions: pull_requests=write; contents=read", `{"message":"Resource not accessible by integration"}`, forge.Forbidden, 0, "pull_requests=write; contents=read"},
		{"single sign-on", 403, "X-GitHub-SSO: required", `{"message":"Resource protected by organization SAML enforcement."}`, forge.Forbidden, 0, "single sign-on"},
		{"IP allow list", 403, "", `{"message":"the o organization has an IP allow list enabled"}`, forge.Forbidden, 0, "listed addresses"},
		{"limit", 403, "X-RateLimit-Remaining: 0|X-RateLimit-Reset: " + reset, `{"message":"API rate limit exceeded"}`, forge.RateLimited, time.Hour, ""},
		{"secondary limit", 403, "Retry-After: 37", `{"message":"You have exceeded a secondary rate limit",` + docs + `}`, forge.RateLimited, 37 * time.Second, ""},
		{"secondary limit, no time", 403, "", `{"message":"You have exceeded a secondary rate limit",` + docs + `}`, forge.RateLimited, time.Minute, ""},
		{"secondary limit, 429", 429, "Retry-After: 5", `{"message":"slow down"}`, forge.RateLimited, 5 * time.Second, ""},
		{"not found", 404, "", `{"message":"Not Found"}`, forge.NotFound, 0, "Pull requests: write"},
		{"archived", 403, "", `{"message":"Repository was archived so is read-only."}`, forge.Archived, 0, "unarchive"},
		{"moved", 307, "Location: /api/v3/repositories/7/pulls", `{"message":"Moved Permanently"}`, forge.Moved, 0, "/api/v3/repositories/7/pulls"},
		{"moved elsewhere", 301, "Location: https://evil.example/", `{}`, forge.Moved, 0, "another host"},
		{"conflict", 409, "", `{"message":"merge conflict"}`, forge.Conflict, 0, ""},
		{"exists", 422, "", validation(`{"resource":"PullRequest","code":"custom","message":"A pull request already exists for o:b."}`), forge.Exists, 0, ""},
		{"no difference", 422, "", validation(`{"resource":"PullRequest","code":"custom","message":"No commits between main and b"}`), forge.NoDiff, 0, ""},
		{"base is gone", 422, "", validation(`{"resource":"PullRequest","field":"base","code":"invalid"}`), forge.NotFound, 0, "renamed"},
		{"branch is gone", 422, "", validation(`{"resource":"PullRequest","field":"head","code":"invalid"}`), forge.NotFound, 0, "gone"},
		{"a rule", 422, "", `{"message":"Repository rule violations found\n\nCannot create ref due to creations being restricted."}`, forge.Protected, 0, "rules"},
		{"a protected branch", 403, "", `{"message":"Protected branch update failed"}`, forge.Protected, 0, "rules"},
		{"errors of plain text", 422, "", `{"message":"x","errors":["body is too long (maximum is 65536 characters)"]}`, forge.Invalid, 0, ""},
		{"server error", 500, "", `{"message":"Server Error"}`, forge.Unavailable, 0, ""},
		{"bad gateway", 502, "", `<html>nginx</html>`, forge.Unavailable, 0, ""},
		{"maintenance", 503, "Retry-After: 30", ``, forge.Unavailable, 30 * time.Second, ""},
		{"accepted", 202, "", `{}`, forge.Unavailable, 0, ""},
		{"half an answer", 201, "", `{"number":`, forge.Unavailable, 0, ""},
		{"a page instead", 201, "", `<html>log in</html>`, forge.Unavailable, 0, ""},
		{"a number too long", 201, "", `{"number":1e99}`, forge.Unavailable, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, s := scripted(t, map[string]func(*http.Request) (int, any){
				"POST /repos/o/n/pulls": always(0, func(w http.ResponseWriter) {
					for h := range strings.SplitSeq(tt.headers, "|") {
						if name, value, ok := strings.Cut(h, ": "); ok {
							w.Header().Set(name, value)
						}
					}
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(tt.body))
				}),
			})
			_, err := f.Open(context.Background(), forge.Request{Title: "t", Branch: "b", Base: "main"})
			var e *forge.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if d := e.RetryAfter - tt.after; e.Kind != tt.kind || d > 2*time.Second || d < -2*time.Second || !strings.Contains(e.Hint, tt.hint) || e.Hint == "" {
				t.Errorf("got %q after %s, hint %q: %v", e.Kind, e.RetryAfter, e.Hint, err)
			}
			if !strings.Contains(err.Error(), "open a pull request from b to main in o/n") || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("got %q", err)
			}
			if got := s.requests(); len(got) != 1 && tt.kind != forge.Moved {
				t.Errorf("asked %q", got)
			}
		})
	}
}

func TestLimitsAreRemembered(t *testing.T) {
	tests := []struct {
		name    string
		headers map[string]string
		body    string
		after   time.Duration
	}{
		{"primary", map[string]string{
			"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0",
			"X-RateLimit-Reset": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
		}, `{"message":"API rate limit exceeded"}`, time.Hour},
		{"secondary", map[string]string{"Retry-After": "1200"},
			`{"message":"wait","documentation_url":"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`,
			20 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, s := scripted(t, map[string]func(*http.Request) (int, any){
				"GET /repos/o/n": always(0, func(w http.ResponseWriter) {
					for name, value := range tt.headers {
						w.Header().Set(name, value)
					}
					w.WriteHeader(http.StatusForbidden)
					_, _ = w.Write([]byte(tt.body))
				}),
			})
			for i := range 2 {
				_, err := f.Repository(context.Background())
				var e *forge.Error
				if !errors.As(err, &e) || e.Kind != forge.RateLimited || e.RetryAfter < tt.after-time.Minute || e.RetryAfter > tt.after+time.Second {
					t.Errorf("call %d: %v, %+v", i, err, e)
				}
			}
			if got := s.requests(); len(got) != 1 {
				t.Errorf("a limit is over by waiting, not by asking: %q", got)
			}
		})
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	f, _ := scripted(t, map[string]func(*http.Request) (int, any){
		"GET /repos/o/n": func(r *http.Request) (int, any) {
			return 403, map[string]string{"message": "no right for " + r.Header.Get("Authorization")}
		},
	})
	_, err := f.Repository(context.Background())
	if err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "no right for") {
		t.Errorf("got %v", err)
	}
}

func TestSlowAndCutConnections(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		hint    string
	}{
		{"cut before the answer", func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		}, "cut"},
		{"cut within the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"full_name":"o/`))
		}, "cut"},
		{"never answered", func(_ http.ResponseWriter, r *http.Request) {
			cancel() // whoever waits has given up
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // returning would be an answer, and may overtake the end of the connection
		}, "stopped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := behind(t, tt.handler).Repository(ctx)
			var e *forge.Error
			if !errors.As(err, &e) || e.Kind != forge.Unavailable || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestHostileAnswers has every method read what no GitHub says.
func TestHostileAnswers(t *testing.T) {
	ctx := context.Background()
	pr := forge.PullRequest{Number: 1, Head: strings.Repeat("a", 40)}
	calls := map[string]func(forge.Forge) error{
		"Find":       func(f forge.Forge) error { _, err := f.Find(ctx, "b"); return err },
		"List":       func(f forge.Forge) error { _, err := f.List(ctx, time.Now()); return err },
		"Open":       func(f forge.Forge) error { _, err := f.Open(ctx, forge.Request{}); return err },
		"Edit":       func(f forge.Forge) error { _, err := f.Edit(ctx, pr, forge.Edit{Close: true}); return err },
		"Mark":       func(f forge.Forge) error { _, err := f.Mark(ctx, pr, []string{"l"}, []string{"r"}); return err },
		"Comments":   func(f forge.Forge) error { _, err := f.Comments(ctx, pr); return err },
		"Mine":       func(f forge.Forge) error { _, err := f.Mine(ctx, pr, forge.Comment{}); return err },
		"Comment":    func(f forge.Forge) error { _, err := f.Comment(ctx, pr, "7", "x"); return err },
		"CanWrite":   func(f forge.Forge) error { _, err := f.CanWrite(ctx, "../../x"); return err },
		"Repository": func(f forge.Forge) error { _, err := f.Repository(ctx); return err },
		"Files":      func(f forge.Forge) error { _, err := f.Files(ctx, pr); return err },
		"Read":       func(f forge.Forge) error { _, _, err := f.Read(ctx, pr, "x"); return err },
		"Commit": func(f forge.Forge) error {
			_, err := f.(forge.Committer).Commit(ctx, forge.Commit{Branch: "b", Parent: pr.Head, ParentTree: pr.Head})
			return err
		},
	}
	for _, body := range []string{
		"", "null", "{}", "[]", "[null]", "[{}]", "0", `"x"`, "[[[[", `[{"user":null,"head":null,"labels":[null]}]`,
		`{"tree":[null],"object":null,"permissions":null}`, `{"encoding":"base64","type":"file","content":"!!"}`,
	} {
		for name, call := range calls {
			t.Run(name+body, func(t *testing.T) {
				f := behind(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write([]byte(body))
				}))
				var e *forge.Error
				if err := call(f); err != nil && !errors.As(err, &e) {
					t.Errorf("no error of a forge: %v", err)
				}
			})
		}
	}
}
