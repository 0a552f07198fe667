package gitea

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Comments is [forge.Comments].
func (r *repository) Comments(ctx context.Context, pr forge.PullRequest) ([]forge.Comment, error) {
	op := fmt.Sprintf("read the comments of pull request %d of %s", pr.Number, r)
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, err
	}
	all, err := r.comments(c, op, pr.Number)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	out := make([]forge.Comment, 0, len(all))
	for _, one := range all {
		out = append(out, comment(one))
	}
	slices.SortStableFunc(out, func(a, b forge.Comment) int { return a.At.Compare(b.At) })
	return out, nil
}

// Mine compares with the login of the token.
func (r *repository) Mine(ctx context.Context, pr forge.PullRequest, c forge.Comment) (bool, error) {
	op := fmt.Sprintf("ask whose token this is, for the comments of pull request %d of %s", pr.Number, r)
	client, err := r.client(ctx, op)
	if err != nil {
		return false, err
	}
	me, err := r.login(client, op)
	return me != "" && strings.EqualFold(c.Author, me), err
}

// comments: Gitea gives all at once whatever page is asked for, and counts them
// in a header; a server that gives pages is asked for the others.
func (r *repository) comments(c *sdk.Client, op string, number int) (all []*sdk.Comment, err error) {
	for page := 1; ; page++ {
		some, resp, err := c.ListIssueComments(r.owner, r.name, int64(number), sdk.ListIssueCommentOptions{ListOptions: r.list(page)})
		if err != nil {
			return nil, r.failed(op, answer(resp), err)
		}
		before := len(all)
		for _, one := range some {
			if one != nil && !slices.ContainsFunc(all, func(c *sdk.Comment) bool { return c.ID == one.ID }) {
				all = append(all, one)
			}
		}
		total, _ := strconv.Atoi(resp.Header.Get("X-Total-Count"))
		if len(all) == before || len(all) >= total {
			slices.SortFunc(all, func(a, b *sdk.Comment) int { return cmp.Compare(a.ID, b.ID) })
			return all, nil
		}
	}
}

// comment: one that was moved here from another server is shown as of who moved
// it, and is nobody's word here.
func comment(c *sdk.Comment) forge.Comment {
	out := forge.Comment{ID: strconv.FormatInt(c.ID, 10), Body: c.Body, At: c.Created}
	if c.Poster != nil && c.OriginalAuthor == "" {
		out.Author = c.Poster.UserName
	}
	return out
}

// Comment writes or replaces.
func (r *repository) Comment(ctx context.Context, pr forge.PullRequest, id, text string) (forge.Comment, error) {
	op := fmt.Sprintf("comment on pull request %d of %s", pr.Number, r)
	if text == "" {
		return forge.Comment{}, &forge.Error{Kind: forge.Invalid, Op: op, Err: errors.New("the comment is empty"), Hint: "write something"}
	}
	if err := fit(op, text); err != nil {
		return forge.Comment{}, err
	}
	c, err := r.client(ctx, op)
	if err != nil {
		return forge.Comment{}, err
	}
	var done *sdk.Comment
	var resp *sdk.Response
	if id == "" {
		done, resp, err = c.CreateIssueComment(r.owner, r.name, int64(pr.Number), sdk.CreateIssueCommentOption{Body: text})
	} else {
		number, bad := strconv.ParseInt(id, 10, 64)
		if bad != nil {
			return forge.Comment{}, &forge.Error{Kind: forge.Invalid, Op: op, Err: fmt.Errorf("%q is no comment's number", id), Hint: "take the id that Comments gives"}
		}
		done, resp, err = c.EditIssueComment(r.owner, r.name, number, sdk.EditIssueCommentOption{Body: text})
	}
	if err != nil {
		return forge.Comment{}, r.failed(op, answer(resp), err)
	}
	return comment(done), nil
}

// CanWrite is exact when the token's account may administrate the repository.
// Otherwise Gitea only tells who may be assigned to issues. These are the people
// who may write; in an organization it adds who may read pull requests by a
// team, so that there it is only believed when no team has less than the right
// to write.
func (r *repository) CanWrite(ctx context.Context, user string) (bool, error) {
	op := "ask what " + user + " may do in " + r.String()
	if user == "" {
		return false, nil
	}
	c, err := r.client(ctx, op)
	if err != nil {
		return false, err
	}
	rights, resp, err := c.CollaboratorPermission(r.owner, r.name, user)
	if err == nil {
		return rights != nil && mayWrite(string(rights.Permission)), nil
	}
	switch e := r.failed(op, answer(resp), err); {
	case e.Kind == forge.NotFound:
		return false, nil
	case e.Kind != forge.Forbidden || strings.Contains(e.Error(), "scope"):
		return false, e
	}
	people, resp, err := c.GetAssignees(r.owner, r.name)
	if err != nil {
		return false, r.failed(op, answer(resp), err)
	}
	if !slices.ContainsFunc(people, func(u *sdk.User) bool { return u != nil && strings.EqualFold(u.UserName, user) }) {
		return false, nil
	}
	return r.teamsWrite(c, op)
}

func mayWrite(right string) bool {
	return right == "write" || right == "admin" || right == "owner"
}

// teamsWrite says that every team of the repository may push.
func (r *repository) teamsWrite(c *sdk.Client, op string) (bool, error) {
	teams, resp, err := c.GetRepoTeams(r.owner, r.name)
	if resp != nil && resp.StatusCode == http.StatusMethodNotAllowed {
		return true, nil // no organization's, so no teams
	}
	if err != nil {
		return false, r.failed(op, answer(resp), err)
	}
	for _, team := range teams {
		if team == nil || !mayWrite(string(team.Permission)) && !mayWrite(team.UnitsMap["repo.code"]) {
			return false, nil
		}
	}
	return true, nil
}
