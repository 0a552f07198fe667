package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Find reads the list of all pull requests, since Gitea cannot filter by head:
// one request for every 50 of them the first time, one later.
func (r *repository) Find(ctx context.Context, branch string) (found []forge.PullRequest, err error) {
	op := "find pull requests of " + branch + " in " + r.String()
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, err
	}
	known := r.seen.read()
	fresh := map[int]string{}
	err = r.each(c, op, sdk.StateAll, func(pr forge.PullRequest) bool {
		if _, twice := fresh[pr.Number]; twice {
			return true
		}
		fresh[pr.Number] = ""
		if !pr.Fork {
			fresh[pr.Number] = pr.Branch
			if pr.Branch == branch {
				found = append(found, pr)
			}
		}
		return pr.Number > known.newest
	})
	if err != nil {
		return nil, err
	}
	for _, number := range known.of(branch) {
		if _, ok := fresh[number]; ok {
			continue
		}
		pr, err := r.pull(c, op, number)
		if forge.Is(err, forge.NotFound) {
			continue // an administrator removed it
		}
		if err != nil {
			return nil, err
		}
		found = append(found, pr)
	}
	r.seen.learn(fresh)
	return found, nil
}

// List asks for everything once, newest first, and for the open ones apart when
// older pages may have some.
func (r *repository) List(ctx context.Context, since time.Time) (all []forge.PullRequest, err error) {
	op := "list the pull requests of " + r.String()
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, err
	}
	have := map[int]bool{}
	add := func(pr forge.PullRequest) {
		if !have[pr.Number] {
			have[pr.Number] = true
			all = append(all, pr)
		}
	}
	complete := true
	err = r.each(c, op, sdk.StateAll, func(pr forge.PullRequest) bool {
		old := pr.Opened.Before(since)
		if !old || pr.State == forge.Open {
			add(pr)
		}
		complete = complete && !old
		return !old
	})
	if err != nil || complete {
		return all, err
	}
	err = r.each(c, op, sdk.StateOpen, func(pr forge.PullRequest) bool {
		add(pr)
		return true
	})
	return all, err
}

// each goes through pull requests, newest first, page by page: use says after
// every one whether the next page is wanted; those of this page come all the same.
func (r *repository) each(c *sdk.Client, op string, state sdk.StateType, use func(forge.PullRequest) bool) error {
	return pages(func(page int) (*sdk.Response, error) {
		some, resp, err := c.ListRepoPullRequests(r.owner, r.name, sdk.ListPullRequestsOptions{ListOptions: r.list(page), State: state})
		if err != nil {
			return nil, r.failed(op, answer(resp), err)
		}
		more := true
		for _, p := range some {
			if pr, ok := pullRequest(p); ok {
				more = use(pr) && more
			}
		}
		if !more {
			return nil, nil
		}
		return resp, nil
	})
}

func (r *repository) pull(c *sdk.Client, op string, number int) (forge.PullRequest, error) {
	p, resp, err := c.GetPullRequest(r.owner, r.name, int64(number))
	if err != nil {
		return forge.PullRequest{}, r.failed(op, answer(resp), err)
	}
	return readable(op, p)
}

func readable(op string, p *sdk.PullRequest) (forge.PullRequest, error) {
	pr, ok := pullRequest(p)
	if !ok {
		return pr, &forge.Error{Kind: forge.Unavailable, Op: op, Hint: "check that the address is a Gitea's",
			Err: errors.New("the answer is no pull request")}
	}
	return pr, nil
}

// Open compares first: Gitea opens a pull request without any commit. Labels are
// set with it, reviewers are left to Mark, since an unknown one would refuse all.
func (r *repository) Open(ctx context.Context, q forge.Request) (forge.PullRequest, error) {
	op := "open a pull request in " + r.String()
	if err := fit(op, q.Title, q.Body); err != nil {
		return forge.PullRequest{}, err
	}
	c, err := r.client(ctx, op)
	if err != nil {
		return forge.PullRequest{}, err
	}
	if err := r.differ(c, op, q); err != nil {
		return forge.PullRequest{}, err
	}
	labels, _, err := r.labels(c, op, q.Labels)
	if err != nil {
		return forge.PullRequest{}, err
	}
	title := short(q.Title, forge.MaxTitle)
	if q.Draft {
		title = draftPrefix + short(q.Title, forge.MaxTitle-len(draftPrefix))
	}
	p, resp, err := c.CreatePullRequest(r.owner, r.name, sdk.CreatePullRequestOption{
		Head: q.Branch, Base: q.Base, Title: title, Body: q.Body, Labels: labels,
	})
	if err != nil {
		return forge.PullRequest{}, r.failed(op, answer(resp), err)
	}
	return readable(op, p)
}

func (r *repository) differ(c *sdk.Client, op string, q forge.Request) error {
	d, resp, err := c.CompareCommits(r.owner, r.name, q.Base, q.Branch)
	if err != nil {
		e := r.failed(op, answer(resp), err)
		if e.Kind == forge.NotFound {
			e.Hint = fmt.Sprintf("check that the branches %q and %q exist; a private repository also answers so when the token has no right to see it", q.Base, q.Branch)
		}
		return e
	}
	if d.TotalCommits == 0 {
		return &forge.Error{Kind: forge.NoDiff, Op: op, Hint: "there is nothing to propose",
			Err: fmt.Errorf("%q has no commit that %q lacks", q.Branch, q.Base)}
	}
	return nil
}

// Edit keeps the prefix that makes a draft, or its absence, as it is now.
func (r *repository) Edit(ctx context.Context, pr forge.PullRequest, e forge.Edit) (forge.PullRequest, error) {
	op := fmt.Sprintf("change pull request %d of %s", pr.Number, r)
	if e == (forge.Edit{}) {
		return pr, nil
	}
	c, err := r.client(ctx, op)
	if err != nil {
		return pr, err
	}
	var change sdk.EditPullRequestOption
	if e.Title != nil {
		if change.Title, err = r.retitle(c, op, pr.Number, *e.Title); err != nil {
			return pr, err
		}
	}
	if e.Body != nil {
		if err := fit(op, *e.Body); err != nil {
			return pr, err
		}
		change.Body = e.Body
	}
	if e.Close {
		closed := sdk.StateClosed
		change.State = &closed
	}
	p, resp, err := c.EditPullRequest(r.owner, r.name, int64(pr.Number), change)
	if err != nil {
		return pr, r.failed(op, answer(resp), err)
	}
	return readable(op, p)
}

// retitle is the title to send; empty leaves it, since a prefix that is not
// known here would get lost.
func (r *repository) retitle(c *sdk.Client, op string, number int, title string) (string, error) {
	if err := fit(op, title); err != nil {
		return "", err
	}
	p, resp, err := c.GetPullRequest(r.owner, r.name, int64(number))
	if err != nil {
		return "", r.failed(op, answer(resp), err)
	}
	prefix, _, draft := cutDraft(p.Title, p.Draft)
	if draft && prefix == "" {
		return "", nil
	}
	return prefix + short(title, forge.MaxTitle-len(prefix)), nil
}

// draftPrefix is the first of Gitea's WORK_IN_PROGRESS_PREFIXES by default.
const draftPrefix = "WIP: "

// cutDraft takes the prefix off a title. The first two are Gitea's defaults and
// count without the server's word, which old servers do not give; the others are
// what administrators add.
func cutDraft(title string, said bool) (prefix, rest string, draft bool) {
	for i, p := range []string{"WIP:", "[WIP]", "Draft:", "[Draft]", "(Draft)"} {
		if i > 1 && !said {
			break
		}
		if len(title) >= len(p) && strings.EqualFold(title[:len(p)], p) {
			rest := strings.TrimLeft(title[len(p):], " ")
			return title[:len(title)-len(rest)], rest, true
		}
	}
	return "", title, said
}

// short cuts a title to so many columns as Gitea does, which takes a character
// beyond Latin-1 for two: a title that it cuts itself would come back another
// one than was sent.
func short(title string, most int) string {
	total := 0
	for _, r := range title {
		total += columns(r)
	}
	if total <= most {
		return title
	}
	used := columns('…')
	for i, r := range title {
		if used += columns(r); used > most {
			return strings.TrimRight(title[:i], " ") + "…"
		}
	}
	return title
}

func columns(r rune) int {
	if r <= 255 {
		return 1
	}
	return 2
}

// pullRequest reads the server's; ok is false when that is none.
func pullRequest(p *sdk.PullRequest) (pr forge.PullRequest, ok bool) {
	if p == nil || p.Index <= 0 || p.Head == nil || p.Base == nil {
		return forge.PullRequest{}, false
	}
	_, title, draft := cutDraft(p.Title, p.Draft)
	pr = forge.PullRequest{
		Number: int(p.Index), URL: p.HTMLURL, Title: title, Body: p.Body, State: forge.Open, Draft: draft,
		// The label is the branch, also when that is gone; the ref is not. It is empty
		// for a head that was pushed to refs/for.
		Branch: p.Head.Name, Head: p.Head.Sha, Fork: p.Head.RepoID != p.Base.RepoID, Base: p.Base.Ref,
	}
	if p.Poster != nil {
		pr.Author = p.Poster.UserName
	}
	for _, l := range p.Labels {
		if l != nil {
			pr.Labels = append(pr.Labels, l.Name)
		}
	}
	if p.Created != nil {
		pr.Opened = *p.Created
	}
	switch {
	case p.HasMerged:
		pr.State = forge.Merged
		pr.Ended = first(p.Merged, p.Closed)
		if p.MergedCommitID != nil {
			pr.MergeCommit = *p.MergedCommitID
		}
	case p.State == sdk.StateClosed:
		pr.State, pr.Ended = forge.Closed, first(p.Closed)
	}
	return pr, true
}

func first(times ...*time.Time) time.Time {
	for _, at := range times {
		if at != nil {
			return *at
		}
	}
	return time.Time{}
}

// Files has both names of a file that was moved.
func (r *repository) Files(ctx context.Context, pr forge.PullRequest) (paths []string, err error) {
	op := fmt.Sprintf("list the files of pull request %d of %s", pr.Number, r)
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, err
	}
	err = pages(func(page int) (*sdk.Response, error) {
		files, resp, err := c.ListPullRequestFiles(r.owner, r.name, int64(pr.Number), sdk.ListPullRequestFilesOptions{ListOptions: r.list(page)})
		if err != nil {
			return nil, r.failed(op, answer(resp), err)
		}
		for _, f := range files {
			if f == nil {
				continue
			}
			if f.PreviousFilename != "" && f.PreviousFilename != f.Filename {
				paths = append(paths, f.PreviousFilename)
			}
			paths = append(paths, f.Filename)
		}
		return resp, nil
	})
	return paths, err
}

// Read works for forks too: Gitea keeps their heads in this repository.
func (r *repository) Read(ctx context.Context, pr forge.PullRequest, path string) (content []byte, ok bool, err error) {
	op := fmt.Sprintf("read %s of pull request %d of %s", path, pr.Number, r)
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, false, err
	}
	content, resp, err := c.GetFile(r.owner, r.name, pr.Head, path)
	switch {
	case err == nil:
		return content, true, nil
	case resp != nil && resp.StatusCode == http.StatusNotFound:
		return nil, false, nil
	}
	return nil, false, r.failed(op, answer(resp), err)
}

// Repository asks once.
func (r *repository) Repository(ctx context.Context) (forge.Repository, error) {
	op := "look at " + r.String()
	c, err := r.client(ctx, op)
	if err != nil {
		return forge.Repository{}, err
	}
	repo, resp, err := c.GetRepo(r.owner, r.name)
	if err != nil {
		return forge.Repository{}, r.failed(op, answer(resp), err)
	}
	return forge.Repository{
		Name: repo.FullName, DefaultBranch: repo.DefaultBranch, Archived: repo.Archived,
		CanPush: repo.Permissions == nil || repo.Permissions.Push,
	}, nil
}
