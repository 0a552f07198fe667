package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

const branch = "remediate/prod/masquerade-0a1b2c3d"

func push(t *testing.T, s forges.Server, branch string) {
	t.Helper()
	s.Push(t, branch, map[string][]byte{branch + ".txt": []byte("new\n")})
}

func request() forge.Request {
	return forge.Request{Title: "fix(cilium): the range", Body: "Why.", Branch: branch, Base: "main", Labels: []string{"remediation", "area/cilium"}}
}

func open(t *testing.T, s forges.Server, f forge.Forge) forge.PullRequest {
	t.Helper()
	push(t, s, branch)
	pr, err := f.Open(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

// What the reconciliation of one proposal costs in requests.
func TestRequests(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	count := func(name string, want int, do func()) {
		t.Helper()
		s.Requests()
		do()
		if got := s.Requests(); got != want {
			t.Errorf("%s: %d requests, want %d", name, got, want)
		}
	}
	push(t, s, branch)
	var pr forge.PullRequest
	propose := func() {
		var err error
		_, err1 := f.Find(t.Context(), branch)
		_, err2 := f.Repository(t.Context())
		_, err3 := f.List(t.Context(), time.Now().Add(-24*time.Hour))
		pr, err = f.Open(t.Context(), request())
		_, err4 := f.Mark(t.Context(), pr, request().Labels, nil)
		if err := errors.Join(err, err1, err2, err3, err4); err != nil {
			t.Error(err)
		}
	}
	unchanged := func() {
		prs, err := f.Find(t.Context(), branch)
		if err != nil || len(prs) == 0 {
			t.Fatalf("%+v, %v", prs, err)
		}
		if _, err := f.Comments(t.Context(), prs[0]); err != nil {
			t.Error(err)
		}
	}
	count("new, in a repository without the labels", 9, propose)
	count("unchanged", 2, unchanged)
	s.CommentPR(t, s.Writer(), pr.Number, "text")
	count("unchanged, with a comment", 2, unchanged)
	s.ClosePR(t, pr.Number)
	count("new, with the labels there", 6, propose)
}

// Old pull requests are read once, and what became of ours is still seen.
func TestFindManyPages(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	f.page = 1
	first := open(t, s, f)
	for i := range 2 {
		push(t, s, fmt.Sprintf("other-%d", i))
		s.OpenPR(t, fmt.Sprintf("other-%d", i), "somebody's")
	}
	for _, tt := range []struct {
		do       func()
		requests int
		state    forge.State
	}{
		{func() {}, 3, forge.Open},
		{func() {}, 2, forge.Open},
		{func() { s.ClosePR(t, first.Number) }, 2, forge.Closed},
	} {
		tt.do()
		s.Requests()
		prs, err := f.Find(t.Context(), branch)
		if err != nil || len(prs) != 1 || prs[0].Number != first.Number || prs[0].State != tt.state {
			t.Errorf("%+v, %v", prs, err)
		}
		if got := s.Requests(); got != tt.requests {
			t.Errorf("%d requests, want %d", got, tt.requests)
		}
	}
	second, err := f.Open(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	prs, err := f.Find(t.Context(), branch)
	if err != nil || len(prs) != 2 || prs[0].Number != second.Number || prs[1].Number != first.Number {
		t.Errorf("%+v, %v", prs, err)
	}
	all, err := f.List(t.Context(), second.Opened.Add(time.Second))
	if err != nil || len(all) != 3 {
		t.Errorf("open ones on later pages: %d, %v; want 3", len(all), err)
	}
	files, err := f.Files(t.Context(), second)
	if err != nil || !slices.Equal(files, []string{branch + ".txt"}) {
		t.Errorf("%q, %v", files, err)
	}
}

func TestFilesManyPages(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	f.page = 2
	files := map[string][]byte{}
	for i := range 5 {
		files[fmt.Sprintf("f%d", i)] = []byte("x\n")
	}
	s.Push(t, branch, files)
	pr, err := f.Open(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Files(t.Context(), pr); err != nil || len(got) != 5 {
		t.Errorf("%q, %v", got, err)
	}
	// The labels are on the second page by now.
	for _, label := range []string{"a", "b", "c"} {
		if w, err := f.Mark(t.Context(), pr, []string{label}, nil); err != nil || len(w) > 0 {
			t.Errorf("%q, %v", w, err)
		}
	}
	if got := s.Labels(t); len(got) != 5 {
		t.Errorf("labels %q", got)
	}
	for i := range 3 {
		s.CommentPR(t, s.Writer(), pr.Number, fmt.Sprint(i))
	}
	if all, err := f.Comments(t.Context(), pr); err != nil || len(all) != 3 || all[2].Body != "2" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Each scope that the documentation asks for is needed, and its lack is told.
func TestScopes(t *testing.T) {
	s := forges.Gitea(t)
	push(t, s, branch)
	pr := open(t, s, connect(t, s))
	s.CommentPR(t, s.Writer(), pr.Number, "text")
	for _, lacking := range forges.GiteaScopes {
		if !strings.Contains(Scopes, lacking) {
			t.Errorf("%q is not in %q", lacking, Scopes)
		}
		scopes := slices.DeleteFunc(slices.Clone(forges.GiteaScopes), func(s string) bool { return s == lacking })
		f := connect(t, withSecret{s, s.SecretWith(t, scopes...)})
		_, err := f.Open(t.Context(), request())
		if !forge.Is(err, forge.Forbidden) {
			_, err = f.Comments(t.Context(), pr)
		}
		if err == nil {
			_, err = f.Mine(t.Context(), pr, forge.Comment{Author: s.Writer()})
		}
		var e *forge.Error
		if !errors.As(err, &e) || e.Kind != forge.Forbidden || !strings.Contains(e.Hint, Scopes) {
			t.Errorf("without %s: %+v", lacking, err)
		}
	}
}

type withSecret struct {
	forges.Server
	secret map[string][]byte
}

func (s withSecret) Secret() map[string][]byte { return s.secret }

// An administrator's token asks for the right itself; with any other, a team
// that may only read makes the answer doubtful, which is no.
func TestCanWriteInAnOrganization(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	can := func(f *repository, user string) bool {
		t.Helper()
		ok, err := f.CanWrite(t.Context(), user)
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	if !can(f, s.Writer()) || can(f, s.Reader()) {
		t.Error("without teams the collaborators' rights count")
	}
	s.ReadTeam(t, s.Reader())
	if can(f, s.Reader()) || can(f, s.Writer()) {
		t.Error("a team's reader counts as a writer")
	}
	s.MakeAdmin(t, s.Bot())
	if can(f, s.Reader()) || !can(f, s.Writer()) {
		t.Error("an administrator is not told")
	}
}

func TestReviewersAreAskedOnce(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	pr := open(t, s, f)
	for range 2 {
		w, err := f.Mark(t.Context(), pr, nil, []string{strings.ToUpper(s.Writer()), "platform/no-such-team"})
		if err != nil || len(w) != 1 || !strings.Contains(w[0], "platform/no-such-team") {
			t.Errorf("%q, %v", w, err)
		}
	}
	if got := s.Reviewers(t, pr.Number); !slices.Equal(got, []string{s.Writer()}) {
		t.Errorf("asked %q", got)
	}
	s.Unrequest(t, pr.Number, s.Writer())
	if _, err := f.Mark(t.Context(), pr, nil, []string{s.Writer()}); err != nil {
		t.Error(err)
	}
	if got := s.Reviewers(t, pr.Number); len(got) != 0 {
		t.Errorf("asked again: %q", got)
	}
}

func TestCutDraft(t *testing.T) {
	for _, tt := range []struct {
		title        string
		said         bool
		prefix, rest string
		draft        bool
	}{
		{"fix: a", false, "", "fix: a", false},
		{"WIP: fix: a", true, "WIP: ", "fix: a", true},
		{"wip:fix: a", false, "wip:", "fix: a", true},
		{"[WIP]  fix: a", true, "[WIP]  ", "fix: a", true},
		{"Draft: fix: a", false, "", "Draft: fix: a", false},
		{"Draft: fix: a", true, "Draft: ", "fix: a", true},
		{"In Arbeit: fix: a", true, "", "In Arbeit: fix: a", true},
		{"WIP:", true, "WIP:", "", true},
		{"W", true, "", "W", true},
		{"", false, "", "", false},
	} {
		prefix, rest, draft := cutDraft(tt.title, tt.said)
		if prefix != tt.prefix || rest != tt.rest || draft != tt.draft {
			t.Errorf("%q, %v: %q, %q, %v", tt.title, tt.said, prefix, rest, draft)
		}
	}
}

// Gitea must not cut a title once more.
func TestLongTitles(t *testing.T) {
	s := forges.Gitea(t)
	f := connect(t, s)
	push(t, s, branch)
	q := request()
	q.Draft, q.Labels = true, nil
	var pr forge.PullRequest
	for i, title := range []string{
		strings.Repeat("t", forge.MaxTitle), strings.Repeat("ä", forge.MaxTitle), strings.Repeat("漢", forge.MaxTitle),
		strings.Repeat("t", forge.MaxTitle-len(draftPrefix)),
	} {
		var err error
		if i == 0 {
			q.Title = title
			pr, err = f.Open(t.Context(), q)
		} else {
			pr, err = f.Edit(t.Context(), pr, forge.Edit{Title: &title})
		}
		if want := short(title, forge.MaxTitle-len(draftPrefix)); err != nil || !pr.Draft || pr.Title != want {
			t.Errorf("%q, %v; want %q", pr.Title, err, want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		title string
		most  int
		want  string
	}{
		{"", 5, ""}, {"abcde", 5, "abcde"}, {"abcdef", 5, "abc…"}, {"ab cdef", 5, "ab…"},
		{"äbcde", 5, "äbcde"}, {"漢字漢", 5, "漢…"}, {"漢字", 4, "漢字"}, {"\xff\xff", 1, "…"},
	} {
		if got := short(tt.title, tt.most); got != tt.want {
			t.Errorf("short(%q, %d) = %q, want %q", tt.title, tt.most, got, tt.want)
		}
	}
}

// A title whose prefix is not known stays, since it may be what makes the draft.
func TestUnknownDraftPrefixStays(t *testing.T) {
	var sent string
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			b := make([]byte, r.ContentLength)
			_, _ = r.Body.Read(b)
			sent = string(b)
		}
		fmt.Fprint(w, `{"number":7,"title":"In Arbeit: old","draft":true,"state":"open","head":{"label":"b","repo_id":1},"base":{"ref":"main","repo_id":1}}`)
	})
	title, body := "new", "text"
	pr, err := f.Edit(t.Context(), forge.PullRequest{Number: 7}, forge.Edit{Title: &title, Body: &body})
	if err != nil || !pr.Draft || !strings.Contains(sent, `"title":"",`) || !strings.Contains(sent, `"body":"text"`) {
		t.Errorf("%+v, %v; sent %s", pr, err, sent)
	}
}

// fake is a server that is not well-behaved.
func fake(t *testing.T, h http.HandlerFunc) *repository {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &repository{base: s.URL, owner: "o", name: "n", http: s.Client(), page: 50, redact: func(s string) string { return s },
		token: func(context.Context) (string, error) { return "sesame-sesame", nil }}
}

// Answers that are no Gitea's are errors that say so, whatever is asked.
func TestOddAnswers(t *testing.T) {
	ask := map[string]func(*repository) error{
		"Find":     func(f *repository) error { _, err := f.Find(t.Context(), "b"); return err },
		"List":     func(f *repository) error { _, err := f.List(t.Context(), time.Time{}); return err },
		"Open":     func(f *repository) error { _, err := f.Open(t.Context(), request()); return err },
		"Comments": func(f *repository) error { _, err := f.Comments(t.Context(), forge.PullRequest{Number: 1}); return err },
		"Mine": func(f *repository) error {
			_, err := f.Mine(t.Context(), forge.PullRequest{Number: 1}, forge.Comment{})
			return err
		},
		"Comment": func(f *repository) error {
			_, err := f.Comment(t.Context(), forge.PullRequest{Number: 1}, "", "x")
			return err
		},
		"CanWrite":   func(f *repository) error { _, err := f.CanWrite(t.Context(), "x"); return err },
		"Repository": func(f *repository) error { _, err := f.Repository(t.Context()); return err },
		"Files":      func(f *repository) error { _, err := f.Files(t.Context(), forge.PullRequest{Number: 1}); return err },
		"Mark": func(f *repository) error {
			_, err := f.Mark(t.Context(), forge.PullRequest{Number: 1}, []string{"l"}, nil)
			return err
		},
		"Edit": func(f *repository) error {
			_, err := f.Edit(t.Context(), forge.PullRequest{Number: 1}, forge.Edit{Close: true})
			return err
		},
	}
	for _, body := range []string{"<html>a page</html>", "", "null", "{}", "[{}]", "[null]", `[{"number":-1}]`, `{"number":1}`, "\x1b[31m", strings.Repeat("[", 10000)} {
		f := fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		for name, do := range ask {
			err := do(f)
			var e *forge.Error
			if err != nil && (!errors.As(err, &e) || strings.ContainsAny(err.Error(), "\n\x1b") || e.Op == "" || e.Hint == "") {
				t.Errorf("%s, %.20q: %q", name, body, err)
			}
			if err == nil && strings.HasPrefix(body, "<") {
				t.Errorf("%s takes a page", name)
			}
		}
	}
}

// Comments that came with a repository from elsewhere are nobody's here.
func TestMigratedCommentIsNobodys(t *testing.T) {
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/user") {
			fmt.Fprint(w, `{"login":"bot"}`)
			return
		}
		w.Header().Set("X-Total-Count", "3")
		fmt.Fprint(w, `[{"id":3,"user":{"login":"Bot"},"body":"c"},{"id":1,"user":{"login":"bot"},"original_author":"root","body":"a"},{"id":2,"body":"b"}]`)
	})
	all, err := f.Comments(t.Context(), forge.PullRequest{Number: 1})
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []forge.Comment{{ID: "1", Body: "a"}, {ID: "2", Body: "b"}, {ID: "3", Body: "c", Author: "Bot"}} {
		mine, err := f.Mine(t.Context(), forge.PullRequest{Number: 1}, all[i])
		if all[i] != want || err != nil || mine != (i == 2) {
			t.Errorf("%+v, mine %v, %v; want %+v", all[i], mine, err, want)
		}
	}
}

func TestNew(t *testing.T) {
	a, err := access.New(access.Options{URL: "https://git.example.com/o/n", Git: map[string][]byte{"username": []byte("u"), "password": []byte("p")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		place forge.Place
		ok    bool
	}{
		{forge.Place{API: "https://git.example.com/api/v1", Owner: "o", Name: "n"}, true},
		{forge.Place{API: "https://git.example.com/below/api/v1/", Owner: "o", Name: "n"}, true},
		{forge.Place{Owner: "o", Name: "n"}, false},
		{forge.Place{API: "https://git.example.com/api/v1", Name: "n"}, false},
		{forge.Place{API: ":", Owner: "o", Name: "n"}, false},
	} {
		f, err := New(tt.place, a)
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.place, err)
		}
		if err == nil && strings.Contains(f.(*repository).base, "api") {
			t.Errorf("%+v: base %s", tt.place, f.(*repository).base)
		}
		if err != nil && !forge.Is(err, forge.Invalid) {
			t.Errorf("%+v: %v", tt.place, err)
		}
	}
}

func TestNoToken(t *testing.T) {
	f := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("it asks all the same") })
	for name, token := range map[string]func(context.Context) (string, error){
		"none":   func(context.Context) (string, error) { return "", nil },
		"failed": func(context.Context) (string, error) { return "", errors.New("no such key") },
	} {
		f.token = token
		_, err1 := f.Repository(t.Context())
		_, err2 := f.Mark(t.Context(), forge.PullRequest{}, []string{"l"}, nil)
		if !forge.Is(err1, forge.Unauthorized) || !forge.Is(err2, forge.Unauthorized) {
			t.Errorf("%s: %v, %v", name, err1, err2)
		}
	}
}
