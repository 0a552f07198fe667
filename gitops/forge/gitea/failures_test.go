package gitea

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// What goes wrong between us and the server, in front of the real one.
func TestFailures(t *testing.T) {
	var faults forges.Faults
	s := forges.Gitea(t, faults.Wrap)
	f := connect(t, s)
	push(t, s, branch)
	header := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	for name, tt := range map[string]struct {
		fault     forges.Fault
		kind      forge.Kind
		transient bool
		after     time.Duration
		hint      string
	}{
		"401":                      {fault: forges.Fault{Status: 401, Body: `{"message":"invalid username, password or token"}`}, kind: forge.Unauthorized, hint: "Secret"},
		"403 for a right":          {fault: forges.Fault{Status: 403, Body: `{"message":"user should have a permission to write to a repo"}`}, kind: forge.Forbidden, hint: Scopes},
		"403 for a scope":          {fault: forges.Fault{Status: 403, Body: `{"message":"token does not have at least one of required scope(s): [write:repository]"}`}, kind: forge.Forbidden, hint: Scopes},
		"403 of a limit":           {fault: forges.Fault{Status: 403, Header: header("Retry-After", "7"), Body: `{}`}, kind: forge.RateLimited, transient: true, after: 7 * time.Second, hint: "limit"},
		"404":                      {fault: forges.Fault{Status: 404, Body: `{"message":"The target couldn't be found."}`}, kind: forge.NotFound, hint: "private"},
		"409 of another":           {fault: forges.Fault{Status: 409, Body: `{"message":"content has changed"}`}, kind: forge.Conflict, transient: true, hint: "again"},
		"409 of a pull request":    {fault: forges.Fault{Status: 409, Body: `{"message":"pull request already exists for these targets [id: 1]"}`}, kind: forge.Exists, hint: "find"},
		"412":                      {fault: forges.Fault{Status: 412, Body: `{"message":"already merged"}`}, kind: forge.Conflict, transient: true, hint: "again"},
		"422":                      {fault: forges.Fault{Status: 422, Body: `{"message":"[Title]: Required"}`}, kind: forge.Invalid, hint: "why"},
		"422 without a difference": {fault: forges.Fault{Status: 422, Body: `{"message":"Invalid PullRequest: There are no changes between the head and the base"}`}, kind: forge.NoDiff, hint: "nothing"},
		"423 of an archive":        {fault: forges.Fault{Status: 423, Body: `{"message":"platform/fleet is archived"}`}, kind: forge.Archived, hint: "unarchive"},
		"429":                      {fault: forges.Fault{Status: 429, Header: header("Retry-After", "60")}, kind: forge.RateLimited, transient: true, after: time.Minute, hint: "limit"},
		"500":                      {fault: forges.Fault{Status: 500, Body: `{"message":""}`}, kind: forge.Unavailable, transient: true, hint: "later"},
		"502 with a page":          {fault: forges.Fault{Status: 502, Body: "<html><b>Bad\x1b[31m Gateway</b></html>"}, kind: forge.Unavailable, transient: true, hint: "later"},
		"503 with a time":          {fault: forges.Fault{Status: 503, Header: header("Retry-After", "30")}, kind: forge.Unavailable, transient: true, after: 30 * time.Second, hint: "later"},
		"cut before":               {fault: forges.Fault{Cut: forges.CutBefore}, kind: forge.Unavailable, transient: true, hint: "again"},
		"cut after":                {fault: forges.Fault{Cut: forges.CutAfter}, kind: forge.Unavailable, transient: true, hint: "again"},
		"redirect elsewhere":       {fault: forges.Fault{Status: 301, Header: header("Location", "https://evil.example/api/v1/repos/a/b")}, kind: forge.Moved, hint: "another host"},
	} {
		t.Run(name, func(t *testing.T) {
			defer faults.Heal()
			// The SDK, and net/http below it, may try an idempotent request twice.
			faults.Fail(forges.Path("", "/api/v1/"), -1, tt.fault)
			_, err := f.Repository(t.Context())
			var e *forge.Error
			if !errors.As(err, &e) || e.Kind != tt.kind || e.Transient() != tt.transient || e.RetryAfter != tt.after || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("%+v", e)
			}
			if strings.ContainsAny(err.Error(), "\n\x1b<") || strings.Contains(err.Error(), string(s.Secret()["password"])) {
				t.Errorf("%q", err)
			}
		})
	}
}

// A cut connection after the request was handled leaves what was made: the next
// try finds it.
func TestCutAfterOpen(t *testing.T) {
	var faults forges.Faults
	s := forges.Gitea(t, faults.Wrap)
	f := connect(t, s)
	push(t, s, branch)
	faults.Fail(forges.Path(http.MethodPost, "/pulls"), 1, forges.Fault{Cut: forges.CutAfter})
	if _, err := f.Open(t.Context(), request()); !forge.Is(err, forge.Unavailable) {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context(), request()); !forge.Is(err, forge.Exists) {
		t.Error(err)
	}
	if prs, err := f.Find(t.Context(), branch); err != nil || len(prs) != 1 || len(prs[0].Labels) != 2 {
		t.Errorf("%+v, %v", prs, err)
	}
}

func TestSlowServer(t *testing.T) {
	var faults forges.Faults
	s := forges.Gitea(t, faults.Wrap)
	f := connect(t, s)
	faults.Fail(nil, -1, forges.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := f.Find(ctx, branch)
	var e *forge.Error
	if !errors.As(err, &e) || e.Kind != forge.Unavailable || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(e.Hint, "slow") {
		t.Errorf("%+v", err)
	}
}

// Labels and reviewers are not worth a failure, a server in trouble is.
func TestMarkTellsWarningsFromFailures(t *testing.T) {
	var faults forges.Faults
	s := forges.Gitea(t, faults.Wrap)
	f := connect(t, s)
	push(t, s, branch)
	q := request()
	q.Labels = nil
	pr, err := f.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		method, path string
		status       int
		fails        bool
	}{
		"labels may not be read":   {http.MethodGet, "/labels", 403, false},
		"a label may not be made":  {http.MethodPost, "/n/labels", 403, false},
		"a label may not be put":   {http.MethodPost, "/issues/", 403, false},
		"a reviewer is not wanted": {http.MethodPost, "/requested_reviewers", 422, false},
		"no history":               {http.MethodGet, "/timeline", 500, true},
		"labels cannot be read":    {http.MethodGet, "/labels", 500, true},
		"a label cannot be made":   {http.MethodPost, "/labels", 502, true},
		"a reviewer cannot be put": {http.MethodPost, "/requested_reviewers", 503, true},
	} {
		t.Run(name, func(t *testing.T) {
			defer faults.Heal()
			path := strings.Replace(tt.path, "/n/", "/"+strings.Split(s.Name(), "/")[1]+"/", 1)
			faults.Fail(forges.Path(tt.method, path), -1, forges.Fault{Status: tt.status, Body: `{"message":"no"}`})
			var reviewers []string
			if strings.Contains(path, "reviewers") {
				reviewers = []string{s.Writer()}
			}
			w, err := f.Mark(t.Context(), pr, []string{"label of " + name}, reviewers)
			if (err != nil) != tt.fails || (len(w) > 0) == tt.fails {
				t.Errorf("%q, %v", w, err)
			}
		})
	}
}
