package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/gitlab"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

const branch = "remediate/prod-1/masquerade-cidr-0a1b2c3d"

// bench is a project with a branch that has a change.
type bench struct {
	*testing.T
	s *forges.GitLabServer
	f forge.Forge
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s := forges.GitLab(t)
	s.Push(t, branch, map[string][]byte{"values.yaml": []byte("a: 1\n")})
	return &bench{t, s, connect(t, s)}
}

func (b *bench) request() forge.Request {
	return forge.Request{Title: "fix(cilium): the range", Body: "Why.", Branch: branch, Base: "main"}
}

func (b *bench) open(change func(*forge.Request)) forge.PullRequest {
	b.Helper()
	r := b.request()
	if change != nil {
		change(&r)
	}
	pr, err := b.f.Open(b.Context(), r)
	if err != nil {
		b.Fatal(err)
	}
	return pr
}

func asError(t *testing.T, err error) *forge.Error {
	t.Helper()
	var e *forge.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v is none of package forge", err, err)
	}
	return e
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		fault forges.Fault
		kind  forge.Kind
		hint  string
		pause time.Duration
	}{
		"401": {forges.Fault{Status: 401, Body: `{"message":"401 Unauthorized"}`}, forge.Unauthorized, "token", 0},
		"401 expired": {forges.Fault{Status: 401, Body: `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`},
			forge.Unauthorized, "new token", 0},
		"403":         {forges.Fault{Status: 403, Body: `{"message":"403 Forbidden"}`}, forge.Forbidden, "Developer", 0},
		"403 scope":   {forges.Fault{Status: 403, Body: `{"error":"insufficient_scope","error_description":"higher privileges","scope":"api"}`}, forge.Forbidden, "scope api", 0},
		"403 address": {forges.Fault{Status: 403, Body: `{"message":"403 Forbidden - IP address is not allowed"}`}, forge.Forbidden, "group restricts", 0},
		"403 limit": {forges.Fault{Status: 403, Body: `{"message":"403 Forbidden"}`, Header: header("RateLimit-Remaining", "0", "Retry-After", "30")},
			forge.RateLimited, "limit", 30 * time.Second},
		"404":             {forges.Fault{Status: 404, Body: `{"message":"404 Project Not Found"}`}, forge.NotFound, "scope api", 0},
		"405 moved":       {forges.Fault{Status: 405, Body: `{"message":"405 Non GET methods are not allowed for moved projects"}`}, forge.Moved, "url of the GitRepository", 0},
		"409":             {forges.Fault{Status: 409, Body: `{"message":"409 Conflict"}`}, forge.Conflict, "again", 0},
		"409 exists":      {forges.Fault{Status: 409, Body: `{"message":["Another open merge request already exists for this source branch: !4"]}`}, forge.Exists, "already", 0},
		"400":             {forges.Fault{Status: 400, Body: `{"message":{"title":["is too long"]}}`}, forge.Invalid, "say why", 0},
		"422":             {forges.Fault{Status: 422, Body: `{"error":"422 Unprocessable Entity"}`}, forge.Invalid, "say why", 0},
		"423":             {forges.Fault{Status: 423, Body: `{"message":"locked"}`}, forge.Unavailable, "later", 0},
		"429":             {forges.Fault{Status: 429, Body: "Retry later\n", Header: header("Retry-After", "58", "Content-Type", "text/plain")}, forge.RateLimited, "limit", 58 * time.Second},
		"500":             {forges.Fault{Status: 500, Body: `{"message":"500 Internal Server Error"}`}, forge.Unavailable, "later", 0},
		"502 of a proxy":  {forges.Fault{Status: 502, Body: "<html>GitLab is not responding</html>"}, forge.Unavailable, "later", 0},
		"503":             {forges.Fault{Status: 503, Body: "maintenance", Header: header("Retry-After", "120")}, forge.Unavailable, "later", 2 * time.Minute},
		"cut":             {forges.Fault{Cut: forges.CutBefore}, forge.Unavailable, "again", 0},
		"cut later":       {forges.Fault{Cut: forges.CutAfter}, forge.Unavailable, "again", 0},
		"slow":            {forges.Fault{Delay: time.Minute}, forge.Unavailable, "slow", 0},
		"a page":          {forges.Fault{Status: 200, Body: "<html>Sign in</html>"}, forge.Unavailable, "not GitLab's", 0},
		"another shape":   {forges.Fault{Status: 200, Body: `"text"`}, forge.Unavailable, "not GitLab's", 0},
		"sign in":         {forges.Fault{Status: 302, Header: header("Location", "/users/sign_in")}, forge.Moved, "address", 0},
		"hostile message": {forges.Fault{Status: 422, Body: `{"message":"a\u001b[31m\nb glpat-project_278_bot_5f3a"}`}, forge.Invalid, "say why", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			a, err := access.New(access.Options{URL: b.s.CloneURL(), Git: b.s.Secret(), ResponseTimeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			f, err := gitlab.New(forge.Place{Kind: forge.GitLab, API: b.s.API(), Owner: "infra/clusters", Name: "fleet"}, a)
			if err != nil {
				t.Fatal(err)
			}
			for what, do := range map[string]func() error{
				"find":    func() error { _, err := f.Find(t.Context(), branch); return err },
				"open":    func() error { _, err := f.Open(t.Context(), b.request()); return err },
				"comment": func() error { _, err := f.Comment(t.Context(), forge.PullRequest{Number: 1}, "", "text"); return err },
			} {
				method := "POST"
				if what == "find" {
					method = "GET"
				}
				b.s.Fail(forges.Path(method, "/merge_requests"), 1, tt.fault)
				e := asError(t, do())
				if e.Kind != tt.kind || !strings.Contains(e.Hint, tt.hint) || e.RetryAfter != tt.pause {
					t.Errorf("%s: %v (hint %q, pause %s); want %s, %q, %s", what, e, e.Hint, e.RetryAfter, tt.kind, tt.hint, tt.pause)
				}
				if text := e.Error() + e.Hint; strings.ContainsAny(text, "\n\r\x1b") || strings.Contains(text, "glpat-") {
					t.Errorf("%s: %q", what, text)
				}
				b.s.Heal()
			}
		})
	}
}

// What says nothing must not be taken for an answer, or panic.
func TestEmptyAnswers(t *testing.T) {
	b := newBench(t)
	pr := b.open(nil)
	title := "another"
	for _, body := range []string{"null", "{}", "[null]", "[]"} {
		for name, do := range map[string]func(f forge.Forge) error{
			"Repository": func(f forge.Forge) error { _, err := f.Repository(t.Context()); return err },
			"Open":       func(f forge.Forge) error { _, err := f.Open(t.Context(), b.request()); return err },
			"Edit":       func(f forge.Forge) error { _, err := f.Edit(t.Context(), pr, forge.Edit{Body: &title}); return err },
			"Title":      func(f forge.Forge) error { _, err := f.Edit(t.Context(), pr, forge.Edit{Title: &title}); return err },
			"Comment":    func(f forge.Forge) error { _, err := f.Comment(t.Context(), pr, "", "text"); return err },
			"Reviewers":  func(f forge.Forge) error { _, err := f.Mark(t.Context(), pr, nil, []string{"wanda"}); return err },
		} {
			f := connect(t, b.s)
			b.s.Fail(nil, -1, forges.Fault{Status: 200, Body: body})
			if do(f) == nil {
				t.Errorf("%s takes %s for an answer", name, body)
			}
			b.s.Heal()
		}
		for name, do := range map[string]func(f forge.Forge) error{
			"Find":     func(f forge.Forge) error { _, err := f.Find(t.Context(), branch); return err },
			"List":     func(f forge.Forge) error { _, err := f.List(t.Context(), time.Time{}); return err },
			"Comments": func(f forge.Forge) error { _, err := f.Comments(t.Context(), pr); return err },
			"Mine":     func(f forge.Forge) error { _, err := f.Mine(t.Context(), pr, forge.Comment{}); return err },
			"Files":    func(f forge.Forge) error { _, err := f.Files(t.Context(), pr); return err },
			"CanWrite": func(f forge.Forge) error { _, err := f.CanWrite(t.Context(), "wanda"); return err },
			"Labels":   func(f forge.Forge) error { _, err := f.Mark(t.Context(), pr, []string{"a"}, nil); return err },
		} {
			f := connect(t, b.s)
			b.s.Fail(nil, -1, forges.Fault{Status: 200, Body: body})
			if err := do(f); err != nil && asError(t, err).Hint == "" {
				t.Errorf("%s of %s: no hint: %v", name, body, err)
			}
			b.s.Heal()
		}
	}
}

// The answer to an opening was lost: the next one finds what is there.
func TestOpenCut(t *testing.T) {
	b := newBench(t)
	b.s.Fail(forges.Path("POST", "/merge_requests"), 1, forges.Fault{Cut: forges.CutAfter})
	_, err := b.f.Open(t.Context(), b.request())
	if !forge.Is(err, forge.Unavailable) {
		t.Fatal(err)
	}
	if _, err = b.f.Open(t.Context(), b.request()); !forge.Is(err, forge.Exists) {
		t.Errorf("again: %v", err)
	}
	if prs, err := b.f.Find(t.Context(), branch); err != nil || len(prs) != 1 {
		t.Errorf("%+v, %v", prs, err)
	}
}

// GitLab answers 403 for an archived project as for a missing role.
func TestWhyForbidden(t *testing.T) {
	b := newBench(t)
	pr := b.open(nil)
	b.s.SetRole(b.s.Bot(), 20)
	b.s.ClosePR(t, pr.Number)
	_, err := b.f.Open(t.Context(), b.request())
	if e := asError(t, err); e.Kind != forge.Forbidden || !strings.Contains(e.Hint, "role Developer") {
		t.Errorf("%v: %s", e, e.Hint)
	}
	if r, err := b.f.Repository(t.Context()); err != nil || r.CanPush {
		t.Errorf("%+v, %v", r, err)
	}
	b.s.SetRole(b.s.Bot(), 30)
	b.s.Archive(t)
	_, err = b.f.Open(t.Context(), b.request())
	if e := asError(t, err); e.Kind != forge.Archived || !strings.Contains(e.Hint, "unarchive") {
		t.Errorf("%v: %s", e, e.Hint)
	}
}

// A moved project redirects what reads and refuses what writes; both name its new path.
func TestMoved(t *testing.T) {
	b := newBench(t)
	pr := b.open(nil)
	b.s.Rename(t, "moved")
	_, find := b.f.Find(t.Context(), branch)
	_, comment := b.f.Comment(t.Context(), pr, "", "text")
	for _, err := range []error{find, comment} {
		if e := asError(t, err); e.Kind != forge.Moved || !strings.Contains(e.Hint, "infra/clusters/moved") {
			t.Errorf("%v: %s", e, e.Hint)
		}
	}
	// A redirect to somewhere else is not followed, nor shown.
	b.s.Fail(forges.Path("GET", "/projects/infra"), -1, forges.Fault{Status: 302, Header: header("Location", "https://evil.test/api/v4/projects/1")})
	_, err := b.f.Find(t.Context(), branch)
	if e := asError(t, err); e.Kind != forge.Moved || strings.Contains(e.Hint+e.Error(), "evil") {
		t.Errorf("%v: %s", e, e.Hint)
	}
}
