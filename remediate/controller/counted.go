package controller

import (
	"context"
	"errors"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// counted counts the calls of a forge.
type counted struct {
	forge.Forge
	kind string
}

// note counts one call.
func (c counted) note(op string, err error) {
	code := "ok"
	var e *forge.Error
	switch {
	case errors.As(err, &e):
		code = string(e.Kind)
	case err != nil:
		code = "failed"
	}
	forgeCalls.WithLabelValues(c.kind, op, code).Inc()
}

func (c counted) Find(ctx context.Context, branch string) ([]forge.PullRequest, error) {
	out, err := c.Forge.Find(ctx, branch)
	c.note("find", err)
	return out, err
}

func (c counted) Open(ctx context.Context, r forge.Request) (forge.PullRequest, error) {
	out, err := c.Forge.Open(ctx, r)
	c.note("open", err)
	return out, err
}

func (c counted) Edit(ctx context.Context, pr forge.PullRequest, e forge.Edit) (forge.PullRequest, error) {
	out, err := c.Forge.Edit(ctx, pr, e)
	c.note("edit", err)
	return out, err
}

func (c counted) Mark(ctx context.Context, pr forge.PullRequest, labels, reviewers []string) ([]string, error) {
	out, err := c.Forge.Mark(ctx, pr, labels, reviewers)
	c.note("mark", err)
	return out, err
}

func (c counted) Comments(ctx context.Context, pr forge.PullRequest) ([]forge.Comment, error) {
	out, err := c.Forge.Comments(ctx, pr)
	c.note("comments", err)
	return out, err
}

func (c counted) Comment(ctx context.Context, pr forge.PullRequest, id, text string) (forge.Comment, error) {
	out, err := c.Forge.Comment(ctx, pr, id, text)
	c.note("comment", err)
	return out, err
}

func (c counted) Repository(ctx context.Context) (forge.Repository, error) {
	out, err := c.Forge.Repository(ctx)
	c.note("repository", err)
	return out, err
}

func (c counted) List(ctx context.Context, since time.Time) ([]forge.PullRequest, error) {
	out, err := c.Forge.List(ctx, since)
	c.note("list", err)
	return out, err
}

// Commit and Made pass on what only some forges can.
func (c counted) Commit(ctx context.Context, what forge.Commit) (string, error) {
	maker, ok := c.Forge.(forge.Committer)
	if !ok {
		return "", &forge.Error{Kind: forge.Unsupported, Op: "commit to " + what.Branch, Hint: "set commit.method to Push", Err: errors.New("this forge makes no commits for us")}
	}
	out, err := maker.Commit(ctx, what)
	c.note("commit", err)
	return out, err
}

// Made says whether the credentials in use made a commit by way of the forge.
func (c counted) Made(ctx context.Context, hash string) (bool, error) {
	maker, ok := c.Forge.(forge.Committer)
	if !ok {
		return false, nil
	}
	return maker.Made(ctx, hash)
}
