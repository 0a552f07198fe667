package github

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Repository describes the repository. GitHub tells no GitHub App whether it may
// push, so CanPush is true for one, as where nothing is said.
func (h *hub) Repository(ctx context.Context) (forge.Repository, error) {
	r, _, err := h.client.Repositories.Get(ctx, h.owner, h.name)
	if err = answered(err, r.GetFullName() != ""); err != nil {
		return forge.Repository{}, h.fail("look at repository "+h.String(), readMetadata, err)
	}
	out := forge.Repository{
		Name: r.GetFullName(), DefaultBranch: r.GetDefaultBranch(), Archived: r.GetArchived(), CanPush: true,
	}
	if push, said := r.GetPermissions()["push"]; said && !push {
		_, isApp, err := h.access.App(ctx)
		if err != nil {
			return forge.Repository{}, h.fail("ask whose GitHub App this is", "", err)
		}
		out.CanPush = isApp
	}
	return out, nil
}

// List takes one request while the repository has fewer than a hundred pull
// requests in all.
func (h *hub) List(ctx context.Context, since time.Time) ([]forge.PullRequest, error) {
	op := "list the pull requests of " + h.String()
	var out []forge.PullRequest
	var cut bool
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		page, resp, err := h.list(ctx, "all", n)
		for _, pr := range page {
			old := pr.Opened.Before(since)
			cut = cut || old && resp.NextPage != 0
			if !old || pr.State == forge.Open {
				out = append(out, pr)
			}
		}
		return resp, !cut, err
	})
	if err != nil || !cut {
		return out, err
	}
	return h.addOpen(ctx, op, out)
}

// addOpen adds the open ones that are not in list.
func (h *hub) addOpen(ctx context.Context, op string, list []forge.PullRequest) ([]forge.PullRequest, error) {
	have := map[int]bool{}
	for _, pr := range list {
		have[pr.Number] = true
	}
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		page, resp, err := h.list(ctx, "open", n)
		for _, pr := range page {
			if !have[pr.Number] {
				have[pr.Number] = true
				list = append(list, pr)
			}
		}
		return resp, true, err
	})
	slices.SortStableFunc(list, func(a, b forge.PullRequest) int { return b.Opened.Compare(a.Opened) })
	return list, err
}

func (h *hub) list(ctx context.Context, state string, page int) ([]forge.PullRequest, *github.Response, error) {
	pulls, resp, err := h.client.PullRequests.List(ctx, h.owner, h.name, &github.PullRequestListOptions{
		State: state, Sort: "created", Direction: "desc",
		ListOptions: github.ListOptions{Page: page, PerPage: perPage},
	})
	var out []forge.PullRequest
	for _, p := range pulls {
		if pr := pullRequest(p); pr.Number > 0 {
			out = append(out, pr)
		}
	}
	return out, resp, err
}

// Files lists the paths, of a renamed file both. GitHub names 3,000 at most.
func (h *hub) Files(ctx context.Context, pr forge.PullRequest) ([]string, error) {
	var out []string
	op := fmt.Sprintf("list the files of pull request #%d in %s", pr.Number, h)
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		files, resp, err := h.client.PullRequests.ListFiles(ctx, h.owner, h.name, pr.Number, &github.ListOptions{Page: n, PerPage: perPage})
		for _, f := range files {
			out = append(out, f.GetFilename())
			if was := f.GetPreviousFilename(); was != "" {
				out = append(out, was)
			}
		}
		return resp, true, err
	})
	return out, err
}

// Read gives a file of at most 1 MiB, the largest that GitHub gives here; a
// larger one is an error of kind [forge.Invalid]. The head of a fork is reached
// through the repository that the pull request is in.
func (h *hub) Read(ctx context.Context, pr forge.PullRequest, path string) ([]byte, bool, error) {
	op := fmt.Sprintf("read %s of pull request #%d in %s", path, pr.Number, h)
	file, _, _, err := h.client.Repositories.GetContents(ctx, h.owner, h.name, path,
		&github.RepositoryContentGetOptions{Ref: pr.Head})
	if err != nil {
		failed := h.fail(op, readContents, err)
		if forge.Is(failed, forge.NotFound) {
			return nil, false, nil
		}
		return nil, false, failed
	}
	if file == nil || file.GetType() != "file" {
		return nil, false, nil
	}
	text, err := file.GetContent()
	if err == nil && text == "" && file.GetSize() > 0 {
		err = fmt.Errorf("it has %d bytes, more than GitHub gives", file.GetSize())
	}
	if err != nil {
		return nil, false, &forge.Error{Kind: forge.Invalid, Op: op, Err: err, Hint: "look at the pull request by hand"}
	}
	return []byte(text), true, nil
}
