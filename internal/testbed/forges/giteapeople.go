package forges

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// call is [giteaServer.do] below the repository.
func (r *GiteaRepo) call(t testing.TB, user, method, path string, in, out any) {
	t.Helper()
	r.g.must(t, user, method, "/repos/"+r.Name()+path, in, out)
}

// missing is [GiteaRepo.call] for what may not be there.
func (r *GiteaRepo) missing(t testing.TB, path string, out any) bool {
	t.Helper()
	err := r.g.do("", http.MethodGet, "/repos/"+r.Name()+path, nil, out)
	var no *refusal
	if errors.As(err, &no) && no.code == http.StatusNotFound {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	return false
}

func (r *GiteaRepo) defaultBranch(t testing.TB) string {
	t.Helper()
	var repo struct {
		Default string `json:"default_branch"`
	}
	r.call(t, "", http.MethodGet, "", nil, &repo)
	return repo.Default
}

func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// Push commits as Writer; without files it only makes the branch.
func (r *GiteaRepo) Push(t testing.TB, branch string, files map[string][]byte) string {
	t.Helper()
	from := branch
	if r.missing(t, "/branches/"+escaped(branch), nil) {
		from = r.defaultBranch(t)
	}
	if len(files) == 0 {
		if from != branch {
			r.call(t, r.Writer(), http.MethodPost, "/branches", fields{"new_branch_name": branch, "old_branch_name": from}, nil)
		}
		return r.Branches(t)[branch]
	}
	change := fields{"branch": from, "message": "by hand", "files": r.operations(t, from, files)}
	if from != branch {
		change["new_branch"] = branch
	}
	var done struct {
		Commit struct{ SHA string }
	}
	r.call(t, r.Writer(), http.MethodPost, "/contents", change, &done)
	return done.Commit.SHA
}

func (r *GiteaRepo) operations(t testing.TB, branch string, files map[string][]byte) (ops []fields) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var now struct{ SHA string }
		isNew := r.missing(t, "/contents/"+escaped(path)+"?ref="+url.QueryEscape(branch), &now)
		op := fields{"operation": "update", "path": path, "sha": now.SHA, "content": base64.StdEncoding.EncodeToString(files[path])}
		switch {
		case isNew:
			op["operation"] = "create"
			delete(op, "sha")
		case files[path] == nil:
			op["operation"] = "delete"
			delete(op, "content")
		}
		ops = append(ops, op)
	}
	return ops
}

// pages calls until an answer is empty.
func pages[T any](t testing.TB, r *GiteaRepo, path string) (all []T) {
	t.Helper()
	for page := 1; ; page++ {
		var some []T
		r.call(t, "", http.MethodGet, fmt.Sprintf("%spage=%d&limit=50", path, page), nil, &some)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}

// Branches asks the API.
func (r *GiteaRepo) Branches(t testing.TB) map[string]string {
	t.Helper()
	type branch struct {
		Name   string
		Commit struct{ ID string }
	}
	tips := map[string]string{}
	for _, b := range pages[branch](t, r, "/branches?") {
		tips[b.Name] = b.Commit.ID
	}
	return tips
}

// DeleteBranch acts as the administrator.
func (r *GiteaRepo) DeleteBranch(t testing.TB, branch string) {
	t.Helper()
	r.call(t, "", http.MethodDelete, "/branches/"+escaped(branch), nil, nil)
}

// Show fails the test when the file is not there.
func (r *GiteaRepo) Show(t testing.TB, rev, path string) string {
	t.Helper()
	var text []byte
	r.call(t, "", http.MethodGet, "/raw/"+escaped(path)+"?ref="+url.QueryEscape(rev), nil, &text)
	return string(text)
}

// OpenPR goes to the default branch.
func (r *GiteaRepo) OpenPR(t testing.TB, branch, title string) int {
	t.Helper()
	var pr struct{ Number int }
	r.call(t, r.Writer(), http.MethodPost, "/pulls", fields{"head": branch, "base": r.defaultBranch(t), "title": title, "body": "by hand"}, &pr)
	return pr.Number
}

// OpenForkPR opens a pull request to the default branch from a branch of that
// name in a fork of Reader's, which adds a file.
func (r *GiteaRepo) OpenForkPR(t testing.TB, branch, title string) int {
	t.Helper()
	r.call(t, r.Reader(), http.MethodPost, "/forks", fields{"name": r.name}, nil)
	base := r.defaultBranch(t)
	change := fields{"branch": base, "new_branch": branch, "content": base64.StdEncoding.EncodeToString([]byte("of a fork\n"))}
	if !r.missing(t, "/branches/"+escaped(branch), nil) {
		// The fork has it too.
		change["branch"] = branch
		delete(change, "new_branch")
	}
	r.g.must(t, r.Reader(), http.MethodPost, "/repos/"+r.Reader()+"/"+r.name+"/contents/"+escaped("fork/"+branch+".txt"), change, nil)
	var pr struct{ Number int }
	r.call(t, r.Reader(), http.MethodPost, "/pulls", fields{"head": r.Reader() + ":" + branch, "base": base, "title": title}, &pr)
	return pr.Number
}

// SetDraft changes the title's prefix, as Writer does in the web page.
func (r *GiteaRepo) SetDraft(t testing.TB, number int, draft bool) {
	t.Helper()
	var pr struct{ Title string }
	path := fmt.Sprintf("/pulls/%d", number)
	r.call(t, "", http.MethodGet, path, nil, &pr)
	title := strings.TrimPrefix(pr.Title, "WIP: ")
	if draft {
		title = "WIP: " + title
	}
	r.call(t, r.Writer(), http.MethodPatch, path, fields{"title": title}, nil)
}

// CommentPR writes as that user.
func (r *GiteaRepo) CommentPR(t testing.TB, user string, number int, text string) {
	t.Helper()
	r.call(t, user, http.MethodPost, fmt.Sprintf("/issues/%d/comments", number), fields{"body": text}, nil)
}

// Unlabel acts as Writer.
func (r *GiteaRepo) Unlabel(t testing.TB, number int, label string) {
	t.Helper()
	var labels []struct {
		ID   int
		Name string
	}
	path := fmt.Sprintf("/issues/%d/labels", number)
	r.call(t, "", http.MethodGet, path, nil, &labels)
	for _, l := range labels {
		if l.Name == label {
			r.call(t, r.Writer(), http.MethodDelete, fmt.Sprintf("%s/%d", path, l.ID), nil, nil)
			return
		}
	}
	t.Fatalf("pull request %d has no label %q", number, label)
}

// Labels are the names of the repository's labels.
func (r *GiteaRepo) Labels(t testing.TB) (names []string) {
	t.Helper()
	type label struct{ Name string }
	for _, l := range pages[label](t, r, "/labels?") {
		names = append(names, l.Name)
	}
	return names
}

// ClosePR acts as Writer.
func (r *GiteaRepo) ClosePR(t testing.TB, number int) {
	t.Helper()
	r.call(t, r.Writer(), http.MethodPatch, fmt.Sprintf("/pulls/%d", number), fields{"state": "closed"}, nil)
}

// MergePR makes a merge commit. Gitea refuses while it still looks whether there
// are conflicts.
func (r *GiteaRepo) MergePR(t testing.TB, number int) string {
	t.Helper()
	path := fmt.Sprintf("/pulls/%d", number)
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := r.g.do(r.Writer(), http.MethodPost, "/repos/"+r.Name()+path+"/merge", fields{"Do": "merge"}, nil)
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	var pr struct {
		Commit string `json:"merge_commit_sha"`
	}
	r.call(t, "", http.MethodGet, path, nil, &pr)
	return pr.Commit
}

// PRs have their titles with the prefix of drafts.
func (r *GiteaRepo) PRs(t testing.TB) (all []PR) {
	t.Helper()
	type pull struct {
		Number             int
		Title, Body, State string
		Draft, Merged      bool
		User               struct{ Login string }
		Head               struct{ Label, SHA string }
		Labels             []struct{ Name string }
	}
	for _, p := range pages[pull](t, r, "/pulls?state=all&sort=oldest&") {
		pr := PR{Number: p.Number, Title: p.Title, Body: p.Body, State: p.State, Draft: p.Draft,
			Author: p.User.Login, Branch: p.Head.Label, Head: p.Head.SHA}
		if p.Merged {
			pr.State = "merged"
		}
		for _, l := range p.Labels {
			pr.Labels = append(pr.Labels, l.Name)
		}
		var comments []struct{ Body string }
		r.call(t, "", http.MethodGet, fmt.Sprintf("/issues/%d/comments", p.Number), nil, &comments)
		for _, c := range comments {
			pr.Comments = append(pr.Comments, c.Body)
		}
		all = append(all, pr)
	}
	return all
}

// Protect lets only Writer push.
func (r *GiteaRepo) Protect(t testing.TB, pattern string) {
	t.Helper()
	r.call(t, "", http.MethodPost, "/branch_protections", fields{
		"rule_name": pattern, "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": []string{r.Writer()},
	}, nil)
}

// Archive makes it read-only.
func (r *GiteaRepo) Archive(t testing.TB) {
	t.Helper()
	r.call(t, "", http.MethodPatch, "", fields{"archived": true}, nil)
}

// Rename leaves a redirect at the old name, as Gitea does.
func (r *GiteaRepo) Rename(t testing.TB, to string) {
	t.Helper()
	r.call(t, "", http.MethodPatch, "", fields{"name": to}, nil)
	r.name = to
}

// Delete removes the repository.
func (r *GiteaRepo) Delete(t testing.TB) {
	t.Helper()
	r.call(t, "", http.MethodDelete, "", nil, nil)
}

// RenameDefaultBranch also moves the pull requests that go to it.
func (r *GiteaRepo) RenameDefaultBranch(t testing.TB, to string) {
	t.Helper()
	r.call(t, "", http.MethodPatch, "/branches/"+escaped(r.defaultBranch(t)), fields{"name": to}, nil)
}

// ReadTeam gives a team of that one the right to read.
func (r *GiteaRepo) ReadTeam(t testing.TB, user string) {
	t.Helper()
	var team struct{ ID int }
	r.g.must(t, "", http.MethodPost, "/orgs/"+giteaOrg+"/teams", fields{
		"name": "readers-of-" + r.name, "permission": "read", "units": []string{"repo.code", "repo.pulls"},
	}, &team)
	r.g.must(t, "", http.MethodPut, fmt.Sprintf("/teams/%d/members/%s", team.ID, user), nil, nil)
	r.g.must(t, "", http.MethodPut, fmt.Sprintf("/teams/%d/repos/%s", team.ID, r.Name()), nil, nil)
}

// MakeAdmin lets somebody administrate the repository.
func (r *GiteaRepo) MakeAdmin(t testing.TB, user string) {
	t.Helper()
	r.call(t, "", http.MethodPut, "/collaborators/"+user, fields{"permission": "admin"}, nil)
}

// Reviewers are the logins that a review is asked of.
func (r *GiteaRepo) Reviewers(t testing.TB, number int) (logins []string) {
	t.Helper()
	var pr struct {
		Asked []struct{ Login string } `json:"requested_reviewers"`
	}
	r.call(t, "", http.MethodGet, fmt.Sprintf("/pulls/%d", number), nil, &pr)
	for _, u := range pr.Asked {
		logins = append(logins, u.Login)
	}
	return logins
}

// Unrequest takes the asking for a review back, as Writer.
func (r *GiteaRepo) Unrequest(t testing.TB, number int, user string) {
	t.Helper()
	r.call(t, r.Writer(), http.MethodDelete, fmt.Sprintf("/pulls/%d/requested_reviewers", number), fields{"reviewers": []string{user}}, nil)
}
