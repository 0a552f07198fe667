package github

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Comments lists them.
func (h *hub) Comments(ctx context.Context, pr forge.PullRequest) ([]forge.Comment, error) {
	var found []*github.IssueComment
	op := fmt.Sprintf("read the comments of pull request #%d in %s", pr.Number, h)
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		page, resp, err := h.client.Issues.ListComments(ctx, h.owner, h.name, pr.Number, &github.IssueListCommentsOptions{
			ListOptions: github.ListOptions{Page: n, PerPage: perPage},
		})
		found = append(found, page...)
		return resp, true, err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *github.IssueComment) int {
		return cmp.Or(a.GetCreatedAt().Compare(b.GetCreatedAt().Time), cmp.Compare(a.GetID(), b.GetID()))
	})
	out := make([]forge.Comment, len(found))
	for i, c := range found {
		out[i] = comment(c)
	}
	return out, nil
}

// Mine compares with the login of the credentials. A token that may not ask for
// its own is that of a GitHub Actions run or another App, which opened pr.
func (h *hub) Mine(ctx context.Context, pr forge.PullRequest, c forge.Comment) (bool, error) {
	me, err := h.whoami(ctx)
	if err == nil && me == "" && strings.HasSuffix(pr.Author, "[bot]") {
		me = pr.Author
	}
	return me != "" && strings.EqualFold(c.Author, me), err
}

func comment(c *github.IssueComment) forge.Comment {
	return forge.Comment{
		ID: strconv.FormatInt(c.GetID(), 10), Author: c.GetUser().GetLogin(),
		Body: c.GetBody(), At: c.GetCreatedAt().Time,
	}
}

func (h *hub) Comment(ctx context.Context, pr forge.PullRequest, id, text string) (forge.Comment, error) {
	op := fmt.Sprintf("comment on pull request #%d in %s", pr.Number, h)
	if err := fit(op, &text); err != nil {
		return forge.Comment{}, err
	}
	var c *github.IssueComment
	var number int64
	var err error
	body := &github.IssueComment{Body: github.String(text)}
	if id == "" {
		c, _, err = h.client.Issues.CreateComment(ctx, h.owner, h.name, pr.Number, body)
	} else if number, err = strconv.ParseInt(id, 10, 64); err != nil {
		return forge.Comment{}, &forge.Error{Kind: forge.NotFound, Op: op,
			Err: fmt.Errorf("%q is no id of a comment on GitHub", id), Hint: "write a new comment"}
	} else {
		c, _, err = h.client.Issues.EditComment(ctx, h.owner, h.name, number, body)
	}
	if err = answered(err, c.GetID() > 0); err != nil {
		return forge.Comment{}, h.fail(op, writePulls, err)
	}
	return comment(c), nil
}

// CanWrite says whether a user may push. A login that GitHub does not know, or
// that is none of its collaborators, may not.
func (h *hub) CanWrite(ctx context.Context, user string) (bool, error) {
	if user == "" {
		return false, nil
	}
	op := fmt.Sprintf("ask whether %q may write to %s", user, h)
	level, _, err := h.client.Repositories.GetPermissionLevel(ctx, h.owner, h.name, url.PathEscape(user))
	if err != nil {
		failed := h.fail(op, readMetadata, err)
		if forge.Is(failed, forge.NotFound) {
			return false, nil
		}
		return false, failed
	}
	switch level.GetPermission() {
	case "admin", "maintain", "write":
		return true, nil
	}
	return false, nil
}
