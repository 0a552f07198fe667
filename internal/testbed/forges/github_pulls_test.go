package forges

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func file(path, content string) map[string][]byte { return map[string][]byte{path: []byte(content)} }

// opened is a server with a branch x and its pull request.
func opened(t *testing.T) (*GitHubServer, *caller) {
	t.Helper()
	g := GitHub(t)
	g.Push(t, "x", file("a.yaml", "a: 1\n"))
	bot := callAs(t, g, g.Bot())
	bot.do(http.StatusCreated, "POST", repoPath+"/pulls", `{"title":"fix: a","body":"why","head":"x","base":"main"}`)
	return g, bot
}

func TestGitHubOpensPulls(t *testing.T) {
	g := GitHub(t)
	hash := g.Push(t, "remediate/prod/mtu-1", file("a.yaml", "a: 1\n"))
	bot := callAs(t, g, g.Bot())
	a := bot.do(http.StatusCreated, "POST", repoPath+"/pulls",
		`{"title":"fix: a","head":"acme:remediate/prod/mtu-1","base":"main","draft":true}`)
	a.want(t, map[string]any{
		"number": 1, "state": "open", "draft": true, "body": nil, "merged": false, "mergeable": nil,
		"head.sha": hash, "head.ref": "remediate/prod/mtu-1", "head.repo.full_name": "acme/clusters", "base.ref": "main",
		"user.login": g.Bot(), "changed_files": 1, "commits": 1, "merge_commit_sha": nil, "closed_at": nil,
	})
	// The first look starts the trial merge, the second sees what came of it.
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t, map[string]any{"mergeable": nil})
	seen := bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "")
	seen.want(t, map[string]any{"mergeable": true, "merged": false})
	if len(seen.text("merge_commit_sha")) != 40 {
		t.Errorf("the trial merge has no commit: %s", seen.text("merge_commit_sha"))
	}
	if refs := g.Git(t, "show-ref", "refs/pull/1/head"); !strings.HasPrefix(refs, hash) {
		t.Errorf("refs/pull/1/head is %s, want %s", refs, hash)
	}
}

func TestGitHubRefusesPulls(t *testing.T) {
	g, bot := opened(t)
	g.Push(t, "other", file("b", "1"))
	if _, err := g.repo.git("branch", "same", "main"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, body string
		want       map[string]any
	}{
		{"one is open already", `{"title":"a","head":"acme:x","base":"main"}`,
			map[string]any{"message": "Validation Failed", "errors.0.message": "A pull request already exists for acme:x.", "errors.0.code": "custom"}},
		{"no difference", `{"title":"a","head":"same","base":"main"}`,
			map[string]any{"errors.0.message": "No commits between main and same"}},
		{"no such head", `{"title":"a","head":"gone","base":"main"}`,
			map[string]any{"errors.0.field": "head", "errors.0.code": "invalid", "errors.0.resource": "PullRequest"}},
		{"no such base", `{"title":"a","head":"other","base":"gone"}`,
			map[string]any{"errors.0.field": "base", "errors.0.code": "invalid"}},
		{"no title", `{"title":" ","head":"other","base":"main"}`,
			map[string]any{"errors.0.field": "title", "errors.0.code": "missing_field"}},
		{"a long title", fmt.Sprintf(`{"title":"%s","head":"other","base":"main"}`, strings.Repeat("ä", 257)),
			map[string]any{"errors.0.message": "title is too long (maximum is 256 characters)"}},
		{"a long body", fmt.Sprintf(`{"title":"a","body":"%s","head":"other","base":"main"}`, strings.Repeat("ä", 65537)),
			map[string]any{"errors.0.message": "body is too long (maximum is 65536 characters)"}},
	}
	for _, tt := range tests {
		t.Log(tt.name)
		bot.do(http.StatusUnprocessableEntity, "POST", repoPath+"/pulls", tt.body).want(t, tt.want)
	}
	g.NoDrafts()
	a := bot.do(http.StatusUnprocessableEntity, "POST", repoPath+"/pulls", `{"title":"a","head":"other","base":"main","draft":true}`)
	if !strings.HasPrefix(a.text("message"), "Draft pull requests are not supported") {
		t.Errorf("got %s", a.raw)
	}
	if n := len(g.PRs(t)); n != 1 {
		t.Errorf("%d pull requests, want 1", n)
	}
	limit := fmt.Sprintf(`{"title":"%s","body":"%s","head":"other","base":"main"}`, strings.Repeat("ä", 256), strings.Repeat("ä", 65536))
	bot.do(http.StatusCreated, "POST", repoPath+"/pulls", limit)
}

func TestGitHubPullFollowsItsBranch(t *testing.T) {
	g, bot := opened(t)
	get := func() answer { return bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "") }
	next := g.Push(t, "x", file("a.yaml", "a: 2\n"))
	get().want(t, map[string]any{"head.sha": next, "mergeable": nil, "commits": 2, "state": "open"})
	g.Push(t, "main", file("a.yaml", "a: 3\n"))
	get()
	get().want(t, map[string]any{"mergeable": false, "base.sha": g.Branches(t)["main"]})
	g.DeleteBranch(t, "x")
	get().want(t, map[string]any{"state": "closed", "merged": false, "head.sha": next})
	a := bot.do(http.StatusUnprocessableEntity, "PATCH", repoPath+"/pulls/1", `{"state":"open"}`)
	if !strings.Contains(a.raw, "The x branch has been deleted") {
		t.Errorf("got %s", a.raw)
	}
}

func TestGitHubBaseTakesTheCommits(t *testing.T) {
	g, bot := opened(t)
	head := g.Branches(t)["x"]
	g.Git(t, "update-ref", "refs/heads/main", head)
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t,
		map[string]any{"state": "closed", "merged": true, "merge_commit_sha": head})
}

func TestGitHubBranchThatHasNothingLeftEndsItsPull(t *testing.T) {
	g, bot := opened(t)
	g.Git(t, "update-ref", "refs/heads/x", g.Branches(t)["main"])
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t, map[string]any{"state": "closed", "merged": false})
}

func TestGitHubEditsPulls(t *testing.T) {
	g, bot := opened(t)
	bot.do(http.StatusOK, "PATCH", repoPath+"/pulls/1", `{"title":"fix: b","body":"because"}`).want(t,
		map[string]any{"title": "fix: b", "body": "because", "state": "open"})
	bot.do(http.StatusUnprocessableEntity, "PATCH", repoPath+"/pulls/1", `{"title":""}`)
	bot.do(http.StatusUnprocessableEntity, "PATCH", repoPath+"/pulls/1", `{"base":"gone"}`)
	closed := bot.do(http.StatusOK, "PATCH", repoPath+"/pulls/1", `{"state":"closed"}`)
	closed.want(t, map[string]any{"state": "closed", "merged": false, "merged_at": nil})
	if closed.at("closed_at") == nil {
		t.Error("closed without a time")
	}
	bot.do(http.StatusOK, "PATCH", repoPath+"/pulls/1", `{"state":"open"}`).want(t, map[string]any{"state": "open", "closed_at": nil})
	kinds := []string{}
	for _, e := range g.pulls[0].events {
		kinds = append(kinds, e.kind)
	}
	if got := strings.Join(kinds, " "); got != "renamed closed reopened" {
		t.Errorf("events: %s", got)
	}
	bot.do(http.StatusNotFound, "PATCH", repoPath+"/pulls/9", `{"body":""}`)
}

func TestGitHubMerges(t *testing.T) {
	g, bot := opened(t)
	put := repoPath + "/pulls/1/merge"
	bot.do(http.StatusNotFound, "GET", put, "")
	a := bot.do(http.StatusConflict, "PUT", put, `{"sha":"`+g.Branches(t)["main"]+`"}`)
	if !strings.HasPrefix(a.text("message"), "Head branch was modified") {
		t.Errorf("got %s", a.raw)
	}
	bot.do(http.StatusMethodNotAllowed, "PUT", put, `{"merge_method":"rebase"}`)
	merged := bot.do(http.StatusOK, "PUT", put, `{"sha":"`+g.Branches(t)["x"]+`"}`)
	merged.want(t, map[string]any{"merged": true, "sha": g.Branches(t)["main"]})
	bot.do(http.StatusNoContent, "GET", put, "")
	bot.do(http.StatusMethodNotAllowed, "PUT", put, `{}`)
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t, map[string]any{
		"state": "closed", "merged": true, "merged_by.login": g.Bot(), "merge_commit_sha": merged.text("sha"),
	})
	if got := g.Show(t, "main", "a.yaml"); got != "a: 1\n" {
		t.Errorf("main has %q", got)
	}
	bot.do(http.StatusUnprocessableEntity, "PATCH", repoPath+"/pulls/1", `{"state":"open"}`)
}

func TestGitHubRefusesMerges(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	g.Push(t, "x", file("a", "1"))
	g.Push(t, "y", file("a", "2"))
	bot.do(http.StatusCreated, "POST", repoPath+"/pulls", `{"title":"x","head":"x","base":"main","draft":true}`)
	bot.do(http.StatusMethodNotAllowed, "PUT", repoPath+"/pulls/1/merge", `{}`)
	g.SetDraft(t, 1, false)
	n := g.OpenPR(t, "y", "y")
	hash := g.SquashPR(t, 1)
	if parents := strings.Fields(g.Git(t, "rev-list", "--parents", "-1", hash)); len(parents) != 2 {
		t.Errorf("a squash has parents %v", parents[1:])
	}
	bot.do(http.StatusMethodNotAllowed, "PUT", fmt.Sprintf("%s/pulls/%d/merge", repoPath, n), `{}`).want(t,
		map[string]any{"message": "Pull Request is not mergeable"})
}

func TestGitHubMergesAsAPerson(t *testing.T) {
	g, bot := opened(t)
	hash := g.MergePR(t, 1)
	if parents := strings.Fields(g.Git(t, "rev-list", "--parents", "-1", hash)); len(parents) != 3 {
		t.Errorf("a merge has parents %v", parents[1:])
	}
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t,
		map[string]any{"merged": true, "merged_by.login": g.Writer(), "merge_commit_sha": hash})
	if pr := g.PRs(t)[0]; pr.State != "merged" || pr.Author != g.Bot() {
		t.Errorf("%+v", pr)
	}
}

func TestGitHubListsPulls(t *testing.T) {
	g := GitHub(t)
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	g.Clock(func() time.Time { return now })
	for _, branch := range []string{"x", "y", "z"} {
		g.Push(t, branch, file(branch, "1"))
		g.OpenPR(t, branch, "change "+branch)
		now = now.Add(time.Hour)
	}
	g.OpenForkPR(t, "x", "from a fork")
	g.ClosePR(t, 2)
	bot := callAs(t, g, g.Bot())
	tests := []struct{ query, want string }{
		{"", "4 3 1"},
		{"?state=closed", "2"},
		{"?state=all&sort=created&direction=desc", "4 3 2 1"},
		{"?state=all&sort=created&direction=asc", "1 2 3 4"},
		{"?head=acme:x", "1"},
		{"?head=rita:x", "4"},
		{"?head=acme:y", ""},
		{"?head=y", "4 3 1"}, // no owner: no filter
		{"?base=other", ""},
		{"?per_page=2&page=2", "1"},
	}
	for _, tt := range tests {
		a := bot.do(http.StatusOK, "GET", repoPath+"/pulls"+tt.query, "")
		var numbers []string
		for i := range a.body.([]any) {
			numbers = append(numbers, a.text(fmt.Sprintf("%d.number", i)))
		}
		got := strings.Join(numbers, " ")
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.query, got, tt.want)
		}
	}
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/4", "").want(t, map[string]any{
		"head.repo.full_name": "rita/clusters", "head.repo.fork": true, "head.label": "rita:x",
	})
	now = now.Add(time.Hour)
	g.Push(t, "x", file("x", "2"))
	bot.do(http.StatusOK, "GET", repoPath+"/pulls?sort=updated&direction=desc", "").want(t, map[string]any{"0.number": 1})
	if refs := cloneAs(t, g, g.Secret()).git("ls-remote", "origin"); strings.Contains(refs, "refs/forks") || !strings.Contains(refs, "refs/pull/4/head") {
		t.Errorf("refs: %s", refs)
	}
}

func TestGitHubPages(t *testing.T) {
	g, bot := opened(t)
	for i := range 5 {
		g.CommentPR(t, g.Writer(), 1, fmt.Sprintf("comment %d", i))
	}
	path := "/repos/acme/clusters/issues/1/comments?per_page=2"
	var seen []string
	for n := 1; path != ""; n++ {
		a := bot.do(http.StatusOK, "GET", path, "")
		for i := range a.body.([]any) {
			seen = append(seen, strings.TrimPrefix(a.text(fmt.Sprintf("%d.body", i)), "comment "))
		}
		link := a.header.Get("Link")
		if last := n == 3; strings.Contains(link, `rel="last"`) == last || strings.Contains(link, `rel="first"`) != (n > 1) {
			t.Errorf("page %d: %s", n, link)
		}
		path = ""
		for part := range strings.SplitSeq(link, ", ") {
			if to, ok := strings.CutSuffix(part, `>; rel="next"`); ok {
				path = strings.TrimPrefix(to, "<")
			}
		}
	}
	if got := strings.Join(seen, " "); got != "0 1 2 3 4" {
		t.Errorf("pages gave %s", got)
	}
	if a := bot.do(http.StatusOK, "GET", repoPath+"/issues/1/comments?page=9", ""); len(a.body.([]any)) != 0 {
		t.Errorf("a page past the end: %s", a.raw)
	}
	if a := bot.do(http.StatusOK, "GET", repoPath+"/issues/1/comments", ""); a.header.Get("Link") != "" {
		t.Errorf("one page has links: %s", a.header.Get("Link"))
	}
}

func TestGitHubRequestsAreTheBots(t *testing.T) {
	g, bot := opened(t)
	g.Requests()
	bot.do(http.StatusOK, "GET", repoPath, "")
	bot.do(http.StatusNotFound, "GET", repoPath+"/pulls/7", "")
	callAs(t, g, g.Writer()).do(http.StatusOK, "GET", repoPath, "")
	cloneAs(t, g, g.Secret())
	g.PRs(t)
	g.Fail(nil, 1, Fault{Status: 500, Body: "{}"})
	bot.do(500, "GET", repoPath, "")
	if n := g.Requests(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	if n := g.Requests(); n != 0 {
		t.Errorf("%d requests are left", n)
	}
}
