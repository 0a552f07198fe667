package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// perPage is the largest page that GitHub gives.
const perPage = 100

// maxPages bounds every list. What is longer is an error, not cut off.
const maxPages = 50

// pages calls page with 1, 2, … until it says that there is no more to ask for.
func (h *hub) pages(op, need string, page func(n int) (resp *github.Response, more bool, err error)) error {
	for n := 1; n <= maxPages; n++ {
		resp, more, err := page(n)
		if err != nil {
			return h.fail(op, need, err)
		}
		if !more || resp.NextPage == 0 {
			return nil
		}
	}
	return &forge.Error{Kind: forge.Invalid, Op: op,
		Err:  fmt.Errorf("there are more than %d", maxPages*perPage),
		Hint: "close what is not needed"}
}

func (h *hub) Find(ctx context.Context, branch string) ([]forge.PullRequest, error) {
	var out []forge.PullRequest
	op := fmt.Sprintf("look for pull requests of branch %s in %s", branch, h)
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		pulls, resp, err := h.client.PullRequests.List(ctx, h.owner, h.name, &github.PullRequestListOptions{
			State: "all", Head: h.owner + ":" + branch, Sort: "created", Direction: "desc",
			ListOptions: github.ListOptions{Page: n, PerPage: perPage},
		})
		for _, p := range pulls {
			if pr := pullRequest(p); pr.Number > 0 && pr.Branch == branch && !pr.Fork {
				out = append(out, pr)
			}
		}
		return resp, true, err
	})
	return out, err
}

// Open opens a pull request. Where the repository knows no drafts (private ones
// of free plans), one that should be a draft is opened as an ordinary one: it
// needs a human's review either way. Draft of what is returned says so.
func (h *hub) Open(ctx context.Context, r forge.Request) (forge.PullRequest, error) {
	op := fmt.Sprintf("open a pull request from %s to %s in %s", r.Branch, r.Base, h)
	request := &github.NewPullRequest{
		Title: github.String(r.Title), Body: github.String(r.Body),
		Head: github.String(r.Branch), Base: github.String(r.Base), Draft: github.Bool(r.Draft),
	}
	if err := fit(op, &r.Title, &r.Body); err != nil {
		return forge.PullRequest{}, err
	}
	p, _, err := h.client.PullRequests.Create(ctx, h.owner, h.name, request)
	if err != nil && r.Draft && knowsNoDrafts(err) {
		request.Draft = github.Bool(false)
		p, _, err = h.client.PullRequests.Create(ctx, h.owner, h.name, request)
	}
	if err = answered(err, p.GetNumber() > 0); err != nil {
		return forge.PullRequest{}, h.fail(op, writePulls, err)
	}
	h.mu.Lock()
	h.fresh[p.GetNumber()] = true
	h.mu.Unlock()
	return pullRequest(p), nil
}

func knowsNoDrafts(err error) bool {
	var failed *github.ErrorResponse
	return errors.As(err, &failed) && failed.Response.StatusCode == http.StatusUnprocessableEntity &&
		strings.Contains(strings.ToLower(messageOf(failed)), "draft pull requests are not supported")
}

func (h *hub) Edit(ctx context.Context, pr forge.PullRequest, e forge.Edit) (forge.PullRequest, error) {
	change := &github.PullRequest{Title: e.Title, Body: e.Body}
	op := fmt.Sprintf("edit pull request #%d in %s", pr.Number, h)
	if e.Close {
		op = fmt.Sprintf("close pull request #%d in %s", pr.Number, h)
		change.State = github.String("closed")
	}
	if err := fit(op, e.Title, e.Body); err != nil {
		return forge.PullRequest{}, err
	}
	p, _, err := h.client.PullRequests.Edit(ctx, h.owner, h.name, pr.Number, change)
	if err = answered(err, p.GetNumber() > 0); err != nil {
		return forge.PullRequest{}, h.fail(op, writePulls, err)
	}
	return pullRequest(p), nil
}

// pullRequest reads what GitHub says; what it leaves out stays empty.
func pullRequest(p *github.PullRequest) forge.PullRequest {
	if p == nil {
		return forge.PullRequest{}
	}
	out := forge.PullRequest{
		Number: p.GetNumber(), URL: p.GetHTMLURL(), Title: p.GetTitle(), Body: p.GetBody(),
		State: forge.Open, Draft: p.GetDraft(), Author: p.GetUser().GetLogin(),
		Branch: p.GetHead().GetRef(), Head: p.GetHead().GetSHA(), Base: p.GetBase().GetRef(),
		Opened: p.GetCreatedAt().Time, Fork: fromFork(p),
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.GetName())
	}
	switch {
	case p.MergedAt != nil || p.GetMerged():
		out.State, out.Ended, out.MergeCommit = forge.Merged, p.GetMergedAt().Time, p.GetMergeCommitSHA()
	case p.GetState() != "open":
		out.State, out.Ended = forge.Closed, p.GetClosedAt().Time
	}
	return out
}

// fromFork is true too when the repository of the head is gone: only a fork can
// be gone while the pull request is there.
func fromFork(p *github.PullRequest) bool {
	head, base := p.GetHead().GetRepo(), p.GetBase().GetRepo()
	return head == nil || head.GetID() != base.GetID()
}
