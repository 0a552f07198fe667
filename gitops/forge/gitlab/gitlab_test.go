package gitlab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/forgetest"
	"github.com/remediate-dev/remediate/gitops/forge/gitlab"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// connect is the forge of a server, as the product makes it.
func connect(t *testing.T, s forges.Server) forge.Forge {
	t.Helper()
	a, err := access.New(access.Options{URL: s.CloneURL(), Git: s.Secret()})
	if err != nil {
		t.Fatal(err)
	}
	place, err := forge.Locate(s.CloneURL())
	if err != nil {
		t.Fatal(err)
	}
	if place, err = forge.Detect(t.Context(), a.HTTP(), place); err != nil || place.Kind != forge.GitLab || place.API != s.API() {
		t.Fatalf("detected %+v, %v", place, err)
	}
	f, err := gitlab.New(place, a)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestForge(t *testing.T) {
	forgetest.Run(t, func(t *testing.T) forges.Server { return forges.GitLab(t) }, connect)
}

func TestNewRefusesAddresses(t *testing.T) {
	a, err := access.New(access.Options{URL: "https://gitlab.test/a/b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range []string{"", "gitlab.test", "ssh://gitlab.test", "https://", "https://a b/"} {
		if _, err := gitlab.New(forge.Place{API: api, Owner: "a", Name: "b"}, a); !forge.Is(err, forge.Invalid) {
			t.Errorf("%q: %v", api, err)
		}
	}
	f, err := gitlab.New(forge.Place{API: "https://gitlab.test/api/v4", Owner: "a", Name: "b"}, a)
	if err != nil {
		t.Fatal(err)
	}
	// No token, no request.
	if _, err := f.Find(t.Context(), "x"); err == nil || asError(t, err).Hint == "" {
		t.Errorf("without a token: %v", err)
	}
}

// The figures of docs/benchmarks.md.
func TestRequests(t *testing.T) {
	b := newBench(t)
	do := func(what string, want int, steps ...func(f forge.Forge) error) {
		t.Helper()
		f := connect(t, b.s)
		b.s.Requests()
		for _, step := range steps {
			if err := step(f); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if got := b.s.Requests(); got != want {
			t.Errorf("%s: %d requests, want %d", what, got, want)
		}
	}
	labels := []string{"remediation", "area/cilium"}
	var pr forge.PullRequest
	find := func(f forge.Forge) error { _, err := f.Find(t.Context(), branch); return err }
	talk := func(f forge.Forge) error { _, err := f.Comments(t.Context(), pr); return err }
	do("a new one", 5, find,
		func(f forge.Forge) error { _, err := f.Repository(t.Context()); return err },
		func(f forge.Forge) error { _, err := f.List(t.Context(), time.Now().Add(-24*time.Hour)); return err },
		func(f forge.Forge) (err error) {
			r := b.request()
			r.Labels = labels
			if pr, err = f.Open(t.Context(), r); err == nil {
				_, err = f.Mark(t.Context(), pr, labels, nil)
			}
			return err
		})
	do("an unchanged one", 2, find, talk)
	b.s.CommentPR(t, b.s.Writer(), pr.Number, "hello")
	do("an unchanged one with comments", 2, find, talk)
	do("an unchanged one with comments, twice", 4, find, talk, find, talk)
	do("marked already", 0, func(f forge.Forge) error { _, err := f.Mark(t.Context(), pr, labels, []string{"wanda"}); return err })
}

// GitLab would close the merge request, or worse.
func TestCommandsAreNotObeyed(t *testing.T) {
	b := newBench(t)
	hostile := "why\n/close\r\n  /merge\n```\n/draft\n\n/label ~x\n"
	pr := b.open(func(r *forge.Request) { r.Body = hostile })
	if _, err := b.f.Edit(t.Context(), pr, forge.Edit{Body: &hostile}); err != nil {
		t.Fatal(err)
	}
	c, err := b.f.Comment(t.Context(), pr, "", hostile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.f.Comment(t.Context(), pr, c.ID, hostile); err != nil {
		t.Fatal(err)
	}
	shown := b.s.PRs(t)[0]
	if shown.State != "open" || shown.Draft || len(shown.Labels) != 0 {
		t.Errorf("obeyed: %+v", shown)
	}
	found, err := b.f.Find(t.Context(), branch)
	if want := strings.ReplaceAll(hostile, "\r\n", "\n"); err != nil || len(found) != 1 || found[0].Body != want || shown.Body == want {
		t.Errorf("found %+v, %v; want the body %q, escaped on the server (%q)", found, err, want, shown.Body)
	}
	all, err := b.f.Comments(t.Context(), pr)
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Body, "\n/close\n") {
		t.Errorf("%+v, %v", all, err)
	}
}

// What an escape hides is only undone in our own comments: a human's that shows a
// command does not become one.
func TestCommentsOfOthersStay(t *testing.T) {
	b := newBench(t)
	pr := b.open(nil)
	const text = "&sol;remediate reject"
	b.s.CommentPR(t, b.s.Writer(), pr.Number, text)
	b.s.CommentLine(t, pr.Number, "/remediate reject line")
	b.s.ClosePR(t, pr.Number) // GitLab notes that itself
	all, err := b.f.Comments(t.Context(), pr)
	if err != nil || len(all) != 1 || all[0].Body != text {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestMergeCommit(t *testing.T) {
	for name, merge := range map[string]func(*forges.GitLabServer, testing.TB, int) string{
		"merge": (*forges.GitLabServer).MergePR, "squash": (*forges.GitLabServer).SquashPR, "fast-forward": (*forges.GitLabServer).FastForwardPR,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			want := merge(b.s, t, b.open(nil).Number)
			prs, err := b.f.Find(t.Context(), branch)
			if err != nil || len(prs) != 1 || prs[0].State != forge.Merged || prs[0].MergeCommit != want || b.s.Branches(t)["main"] != want {
				t.Errorf("%+v, %v; want %s", prs, err, want)
			}
		})
	}
}

func TestDraftTitleFits(t *testing.T) {
	b := newBench(t)
	pr := b.open(func(r *forge.Request) { r.Draft, r.Title = true, strings.Repeat("ä", forge.MaxTitle) })
	if n := utf8.RuneCountInString(b.s.PRs(t)[0].Title); n != forge.MaxTitle || !pr.Draft {
		t.Errorf("%d characters, draft %v", n, pr.Draft)
	}
	// A title cannot make it a draft by itself.
	b.s.ClosePR(t, pr.Number)
	if pr := b.open(func(r *forge.Request) { r.Title = "Draft: [draft] fix" }); pr.Draft || pr.Title != "fix" {
		t.Errorf("%+v", pr)
	}
}

func TestReviewers(t *testing.T) {
	b := newBench(t)
	names := []string{"Wanda", "rita", "nobody", "infra/platform", "stranger"}
	pr := b.open(func(r *forge.Request) { r.Reviewers = names })
	warnings, err := b.f.Mark(t.Context(), pr, nil, names)
	if err != nil || len(warnings) != 3 {
		t.Errorf("warnings %q, %v; want nobody, the group, and who may not see it", warnings, err)
	}
	if got := b.s.Reviewers(t, pr.Number); !slices.Equal(got, []string{"wanda", "rita"}) {
		t.Errorf("reviewers %q", got)
	}
	// Whom a human took away stays away, also when another is added.
	b.s.Unask(t, pr.Number)
	if warnings, err := b.f.Mark(t.Context(), pr, nil, []string{"wanda", "RITA", "root"}); err != nil || len(warnings) != 0 {
		t.Errorf("warnings %q, %v", warnings, err)
	}
	if got := b.s.Reviewers(t, pr.Number); !slices.Equal(got, []string{"root"}) {
		t.Errorf("reviewers %q", got)
	}
}

func TestWithoutLicence(t *testing.T) {
	b := newBench(t)
	b.s.Unlicensed()
	pr := b.open(nil)
	names := []string{"wanda", "rita"}
	warnings, err := b.f.Mark(t.Context(), pr, []string{"a"}, names)
	if err != nil || len(warnings) != 0 && !strings.Contains(warnings[0], "licence") || len(warnings) != 1 {
		t.Errorf("warnings %q, %v", warnings, err)
	}
	if got := b.s.Reviewers(t, pr.Number); !slices.Equal(got, []string{"wanda"}) {
		t.Errorf("reviewers %q", got)
	}
}

func TestLabels(t *testing.T) {
	b := newBench(t)
	b.s.NoNewLabels()
	labels := []string{"remediation", "a, b"}
	pr := b.open(func(r *forge.Request) { r.Labels = labels })
	warnings, err := b.f.Mark(t.Context(), pr, labels, nil)
	if err != nil || len(warnings) != 2 || !strings.Contains(warnings[0], `"a, b"`) || !strings.Contains(warnings[1], "remediation") {
		t.Errorf("opened: %q, %v", warnings, err)
	}
	if warnings, err = b.f.Mark(t.Context(), pr, labels, nil); err != nil || len(warnings) != 2 {
		t.Errorf("marked: %q, %v", warnings, err)
	}
	// What is refused is a warning; what may pass is an error.
	b.s.Fail(forges.Path("PUT", ""), 1, forges.Fault{Status: 403, Body: `{"message":"403 Forbidden"}`})
	if warnings, err = b.f.Mark(t.Context(), pr, []string{"x"}, nil); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "Developer") {
		t.Errorf("refused: %q, %v", warnings, err)
	}
	b.s.Fail(forges.Path("PUT", ""), 1, forges.Fault{Status: 502})
	if _, err = b.f.Mark(t.Context(), pr, []string{"x"}, nil); !forge.Is(err, forge.Unavailable) {
		t.Errorf("busy: %v", err)
	}
}

// Roles come by way of a group that the project is shared with: GitLab shows
// none in the project then.
func TestSharedProject(t *testing.T) {
	b := newBench(t)
	b.s.Share()
	if r, err := b.f.Repository(t.Context()); err != nil || !r.CanPush {
		t.Errorf("%+v, %v", r, err)
	}
	b.s.SetRole(b.s.Bot(), 20)
	if r, err := b.f.Repository(t.Context()); err != nil || r.CanPush {
		t.Errorf("%+v, %v", r, err)
	}
	if ok, err := b.f.CanWrite(t.Context(), "WANDA"); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

// More than one page: old ones end the list, and open ones are in it all the same.
func TestPages(t *testing.T) {
	b := newBench(t)
	const many = 230
	var last int
	old := time.Now().Add(-72 * time.Hour)
	b.s.Clock(func() time.Time { return old })
	head := b.s.Branches(t)[branch]
	for i := range many {
		name := fmt.Sprint("b", i)
		b.s.Git(t, "update-ref", "refs/heads/"+name, head)
		last = b.s.OpenPR(t, name, "somebody's")
		if i != 0 && i != many/2 {
			b.s.ClosePR(t, last)
		}
	}
	b.s.Clock(time.Now)
	pr := b.open(nil)
	b.s.CommentPR(t, b.s.Writer(), pr.Number, "first")
	for range perPage {
		b.s.CommentPR(t, b.s.Writer(), pr.Number, "more")
	}
	b.s.Requests()
	prs, err := b.f.List(t.Context(), time.Now().Add(-24*time.Hour))
	var got []int
	for _, pr := range prs {
		got = append(got, pr.Number)
	}
	if want := []int{pr.Number, many/2 + 1, 1}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if n := b.s.Requests(); n != 3 {
		t.Errorf("%d requests, want 3: two pages until all are old, one of open ones", n)
	}
	all, err := b.f.Comments(t.Context(), pr)
	if err != nil || len(all) != perPage+1 || all[0].Body != "first" {
		t.Errorf("%d comments, %v", len(all), err)
	}
}

const perPage = 100
