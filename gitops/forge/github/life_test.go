package github_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

const branch = "remediate/prod/pod-cidr-0123abcd"

func labels() []string { return []string{"remediation", "area/cilium"} }

// pushed is a server with a pushed branch, and its forge.
func pushed(t *testing.T) (*forges.GitHubServer, forge.Forge) {
	t.Helper()
	s := forges.GitHub(t)
	s.Push(t, branch, map[string][]byte{"README.md": []byte("changed\n")})
	return s, connect(t, s)
}

// must gives a value or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func request() forge.Request {
	return forge.Request{Title: "fix(cilium): x", Body: "body", Branch: branch, Base: "main"}
}

func TestNumberOfRequests(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	if found := must[[]forge.PullRequest](t)(f.Find(ctx, branch)); len(found) > 0 {
		t.Fatalf("found %v", found)
	}
	must[forge.Repository](t)(f.Repository(ctx))
	must[[]forge.PullRequest](t)(f.List(ctx, time.Now().Add(-24*time.Hour)))
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	if w := must[[]string](t)(f.Mark(ctx, pr, labels(), nil)); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	if n := s.Requests(); n != 8 {
		t.Errorf("a new pull request takes %d requests, want 8", n)
	}

	again := connect(t, s) // another run knows nothing of this one
	found := must[[]forge.PullRequest](t)(again.Find(ctx, branch))
	must[[]forge.Comment](t)(again.Comments(ctx, found[0]))
	if w := must[[]string](t)(again.Mark(ctx, found[0], labels(), []string{s.Writer()})); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	if n := s.Requests(); n != 2 {
		t.Errorf("an unchanged pull request takes %d requests, want 2", n)
	}
	s.CommentPR(t, s.Reader(), pr.Number, "hm")
	must[[]forge.Comment](t)(again.Comments(ctx, found[0]))
	if n := s.Requests(); n != 1 {
		t.Errorf("reading comments takes %d requests, want 1", n)
	}
}

func TestMarkAsksForReviewsBeforeItSetsLabels(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	s.Fail(forges.Path("POST", "/labels"), -1, forges.Fault{Cut: forges.CutBefore})
	if _, cut := f.Mark(ctx, pr, labels(), []string{s.Writer(), s.Team()}); !forge.Is(cut, forge.Unavailable) {
		t.Fatalf("got %v", cut)
	}
	s.Heal()
	var asked int
	s.Before(func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/requested_reviewers") {
			asked++
		}
	})
	found := must[[]forge.PullRequest](t)(connect(t, s).Find(ctx, branch))
	w := must[[]string](t)(connect(t, s).Mark(ctx, found[0], labels(), []string{s.Writer()}))
	if len(w) > 0 || asked > 0 {
		t.Errorf("asked again %d times, warnings %q", asked, w)
	}
	if got := s.PRs(t)[0].Labels; len(got) != 2 {
		t.Errorf("labels %q", got)
	}
}

func TestMarkRespectsWhatHumansTookAway(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	must[[]string](t)(f.Mark(ctx, pr, labels(), nil))
	s.Unlabel(t, pr.Number, "remediation")
	for _, f := range []forge.Forge{f, connect(t, s)} {
		found := must[[]forge.PullRequest](t)(f.Find(ctx, branch))
		must[[]string](t)(f.Mark(ctx, found[0], append(labels(), "New one"), nil))
	}
	if got := slices.Sorted(slices.Values(s.PRs(t)[0].Labels)); !slices.Equal(got, []string{"New one", "area/cilium"}) {
		t.Errorf("labels %q", got)
	}
}

func TestMarkWarns(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	w := must[[]string](t)(f.Mark(ctx, pr, []string{"ok", strings.Repeat("long", 20)}, []string{s.Bot(), s.Writer(), "nobody", "acme/none"}))
	text := strings.Join(w, "\n")
	if len(w) != 4 || !strings.Contains(text, "nobody") || !strings.Contains(text, "acme/none") || !strings.Contains(text, "longlong") || !strings.Contains(text, s.Bot()) {
		t.Errorf("warnings:\n%s", text)
	}
	if got := s.PRs(t)[0].Labels; !slices.Equal(got, []string{"ok"}) {
		t.Errorf("one label that GitHub does not take must not cost the other: %q", got)
	}
}

func TestMarkWithALabelThatSomebodyMadeMeanwhile(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	s.Fail(forges.Path("POST", "/clusters/labels"), 1, forges.Fault{
		Status: 422, Body: validation(`{"resource":"Label","code":"already_exists","field":"name"}`),
	})
	if w := must[[]string](t)(f.Mark(ctx, pr, []string{"remediation"}, nil)); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	if got := s.PRs(t)[0].Labels; !slices.Equal(got, []string{"remediation"}) {
		t.Errorf("labels %q", got)
	}
}

func TestMarkStopsWhereWaitingHelps(t *testing.T) {
	ctx := context.Background()
	for _, path := range []string{"/requested_reviewers", "/clusters/labels", "/issues/1/labels"} {
		s, f := pushed(t)
		pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
		s.Fail(forges.Path("", path), 1, forges.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}})
		_, err := f.Mark(ctx, pr, labels(), []string{s.Writer()})
		var e *forge.Error
		if !errors.As(err, &e) || e.Kind != forge.Unavailable || e.RetryAfter != 7*time.Second {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := f.Mark(ctx, pr, labels(), []string{s.Writer()}); err != nil || len(s.PRs(t)[0].Labels) != 2 {
			t.Errorf("%s, again: %v, %q", path, err, s.PRs(t)[0].Labels)
		}
	}
}

func TestRepositoryWithoutDrafts(t *testing.T) {
	s, f := pushed(t)
	s.NoDrafts()
	r := request()
	r.Draft = true
	pr := must[forge.PullRequest](t)(f.Open(context.Background(), r))
	if pr.Draft || pr.State != forge.Open || len(s.PRs(t)) != 1 {
		t.Errorf("%+v", pr)
	}
}

func TestForksAreTold(t *testing.T) {
	ctx := context.Background()
	s, f := pushed(t)
	n := s.OpenForkPRWith(t, branch, "the same branch of a fork", map[string][]byte{"README.md": []byte("theirs\n"), "x/y.yaml": []byte("a: b\n")})
	if found := must[[]forge.PullRequest](t)(f.Find(ctx, branch)); len(found) > 0 {
		t.Errorf("found a fork's: %+v", found)
	}
	list := must[[]forge.PullRequest](t)(f.List(ctx, time.Now().Add(-time.Hour)))
	if len(list) != 1 || list[0].Number != n || !list[0].Fork {
		t.Fatalf("list %+v", list)
	}
	if files := must[[]string](t)(f.Files(ctx, list[0])); !slices.Equal(files, []string{"README.md", "x/y.yaml"}) {
		t.Errorf("files %q", files)
	}
	text, ok, err := f.Read(ctx, list[0], "x/y.yaml")
	if string(text) != "a: b\n" || !ok || err != nil {
		t.Errorf("read %q, %t, %v", text, ok, err)
	}
}

func TestApp(t *testing.T) {
	ctx := context.Background()
	s, _ := pushed(t)
	f := open(t, s.CloneURL(), s.API(), s.App(t))
	pr := must[forge.PullRequest](t)(f.Open(ctx, request()))
	if pr.Author != s.AppLogin() {
		t.Errorf("author %s", pr.Author)
	}
	if r := must[forge.Repository](t)(f.Repository(ctx)); !r.CanPush {
		t.Errorf("GitHub tells no App whether it may push: %+v", r)
	}
	must[forge.Comment](t)(f.Comment(ctx, pr, "", "mine"))
	s.CommentPR(t, s.Writer(), pr.Number, "theirs")
	all := must[[]forge.Comment](t)(f.Comments(ctx, pr))
	if len(all) != 2 || !must[bool](t)(f.Mine(ctx, pr, all[0])) || must[bool](t)(f.Mine(ctx, pr, all[1])) {
		t.Errorf("comments %+v", all)
	}
}

// TestActionsToken is for tokens that may not ask for their own name.
func TestActionsToken(t *testing.T) {
	ctx := context.Background()
	asked := 0
	f, _ := scripted(t, map[string]func(*http.Request) (int, any){
		"GET /user": func(*http.Request) (int, any) {
			asked++
			return 403, `{"message":"Resource not accessible by integration"}`
		},
		"GET /repos/o/n/issues/1/comments": always(200, `[{"id":2,"user":{"login":"wanda"}},{"id":1,"user":{"login":"github-actions[bot]"}}]`),
	})
	pr := forge.PullRequest{Number: 1, Author: "github-actions[bot]"}
	all := must[[]forge.Comment](t)(f.Comments(ctx, pr))
	if len(all) != 2 || all[0].ID != "1" || !must[bool](t)(f.Mine(ctx, pr, all[0])) || must[bool](t)(f.Mine(ctx, pr, all[1])) {
		t.Errorf("comments %+v", all)
	}
	pr.Author = "wanda"
	for _, c := range all {
		if must[bool](t)(f.Mine(ctx, pr, c)) {
			t.Errorf("a person's comment is not ours for that: %+v", c)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestCommitOnTheServer(t *testing.T) {
	secrets := map[string]func(*forges.GitHubServer) map[string][]byte{
		"token": (*forges.GitHubServer).Secret,
		"App":   func(s *forges.GitHubServer) map[string][]byte { return s.App(t) },
	}
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			s := forges.GitHub(t)
			commitOnTheServer(t, s, open(t, s.CloneURL(), s.API(), secret(s)))
		})
	}
}

func commitOnTheServer(t *testing.T, s *forges.GitHubServer, f forge.Forge) {
	ctx := context.Background()
	rev := func(name string) string { return strings.TrimSpace(s.Git(t, "rev-parse", name)) }
	c := forge.Commit{
		Branch: branch, Parent: rev("main"), ParentTree: rev("main^{tree}"), Message: "fix(cilium): x\n\nRemediation-Plan: 1\n",
		Files: map[string][]byte{"README.md": []byte("ä\n")},
	}
	one := must[string](t)(f.(forge.Committer).Commit(ctx, c))
	if got := s.Show(t, branch, "README.md"); got != "ä\n" || rev(branch) != one || rev(branch+"^") != c.Parent {
		t.Errorf("%s holds %q", one, got)
	}
	if _, err := f.(forge.Committer).Commit(ctx, c); !forge.Is(err, forge.Conflict) {
		t.Errorf("the branch is there: %v", err)
	}
	s.Push(t, "main", map[string][]byte{"README.md": []byte("moved on\n"), "more.txt": []byte("x")})
	c.Parent, c.ParentTree, c.Expect = rev("main"), rev("main^{tree}"), one
	two := must[string](t)(f.(forge.Committer).Commit(ctx, c))
	if rev(branch) != two || rev(branch+"^") != c.Parent || s.Show(t, branch, "more.txt") != "x" {
		t.Errorf("it is not built on the new base: %s", two)
	}
	if _, err := f.(forge.Committer).Commit(ctx, c); !forge.Is(err, forge.Conflict) || rev(branch) != two {
		t.Errorf("somebody moved the branch: %v", err)
	}
	c.Expect, c.Files = two, map[string][]byte{"README.md": []byte("moved on\n")}
	if _, err := f.(forge.Committer).Commit(ctx, c); !forge.Is(err, forge.NoDiff) || rev(branch) != two {
		t.Errorf("nothing changes: %v", err)
	}
}

func TestCommitToAProtectedBranch(t *testing.T) {
	for _, there := range []bool{false, true} {
		s := forges.GitHub(t)
		rev := func(name string) string { return strings.TrimSpace(s.Git(t, "rev-parse", name)) }
		c := forge.Commit{
			Branch: branch, Parent: rev("main"), ParentTree: rev("main^{tree}"), Message: "fix(cilium): x\n",
			Files: map[string][]byte{"README.md": []byte("x\n")},
		}
		if there {
			c.Expect = s.Push(t, branch, map[string][]byte{"README.md": []byte("y\n")})
		}
		s.Protect(t, "remediate/**/*")
		_, err := connect(t, s).(forge.Committer).Commit(context.Background(), c)
		var e *forge.Error
		if !errors.As(err, &e) || e.Kind != forge.Protected || !strings.Contains(e.Hint, "rules") || s.Branches(t)[branch] != c.Expect {
			t.Errorf("the branch is there: %t: %v", there, err)
		}
	}
}
