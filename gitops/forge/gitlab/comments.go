package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Comments is [forge.Comments]: one request, and one more the first time that a
// text has an escape of ours, which is only undone in what we wrote.
func (l *lab) Comments(ctx context.Context, pr forge.PullRequest) ([]forge.Comment, error) {
	var all []forge.Comment
	err := l.notes(ctx, pr, func(n *gitlab.Note) {
		if !n.System && n.Type != gitlab.DiffNote {
			all = append(all, comment(n))
		}
	})
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		if sent := asSent(c.Body); sent != c.Body {
			mine, err := l.Mine(ctx, pr, c)
			if err != nil {
				return nil, err
			}
			if mine {
				all[i].Body = sent
			}
		}
	}
	return all, nil
}

// Mine is [forge.Comments].
func (l *lab) Mine(ctx context.Context, _ forge.PullRequest, c forge.Comment) (bool, error) {
	me, err := l.whoami(ctx)
	return err == nil && me.Username != "" && strings.EqualFold(c.Author, me.Username), err
}

// notes gives all notes of a merge request, oldest first: comments, what GitLab
// wrote itself, and what was said of lines.
func (l *lab) notes(ctx context.Context, pr forge.PullRequest, each func(*gitlab.Note)) error {
	op := fmt.Sprintf("read the comments of merge request !%d in %s", pr.Number, l)
	err := l.pages(op, func(o gitlab.ListOptions) (*gitlab.Response, bool, error) {
		notes, resp, err := l.client.Notes.ListMergeRequestNotes(l.path, int64(pr.Number), &gitlab.ListMergeRequestNotesOptions{
			ListOptions: o, OrderBy: gitlab.Ptr("created_at"), Sort: gitlab.Ptr("asc"),
		}, gitlab.WithContext(ctx))
		for _, n := range notes {
			if n != nil {
				each(n)
			}
		}
		return resp, true, err
	})
	return l.explain(ctx, err)
}

func comment(n *gitlab.Note) forge.Comment {
	c := forge.Comment{ID: strconv.FormatInt(n.ID, 10), Author: n.Author.Username, Body: n.Body}
	if n.CreatedAt != nil {
		c.At = *n.CreatedAt
	}
	return c
}

// Comment is [forge.Comments].
func (l *lab) Comment(ctx context.Context, pr forge.PullRequest, id, text string) (forge.Comment, error) {
	op := fmt.Sprintf("comment on merge request !%d in %s", pr.Number, l)
	if err := bounded(op, text); err != nil {
		return forge.Comment{}, err
	}
	text = noQuickActions(text)
	var note *gitlab.Note
	var resp *gitlab.Response
	var err error
	if id == "" {
		note, resp, err = l.client.Notes.CreateMergeRequestNote(l.path, int64(pr.Number), &gitlab.CreateMergeRequestNoteOptions{Body: &text}, gitlab.WithContext(ctx))
	} else {
		number, bad := strconv.ParseInt(id, 10, 64)
		if bad != nil {
			return forge.Comment{}, &forge.Error{Kind: forge.Invalid, Op: op, Err: errors.New("the id is no number"), Hint: "give the id that GitLab gave"}
		}
		note, resp, err = l.client.Notes.UpdateMergeRequestNote(l.path, int64(pr.Number), number, &gitlab.UpdateMergeRequestNoteOptions{Body: &text}, gitlab.WithContext(ctx))
	}
	if err = answered(err, note != nil && note.ID != 0); err != nil {
		return forge.Comment{}, l.explain(ctx, l.fail(op, resp, err))
	}
	if id == "" {
		l.learn(note.Author.ID, note.Author.Username)
	}
	c := comment(note)
	c.Body = asSent(c.Body)
	return c, nil
}

// CanWrite is [forge.Comments]: two requests. Who is no member of the project or
// of a group that it is in or shared with cannot, nor can a user below Developer.
// An administrator of the server who is no member counts as one who cannot.
func (l *lab) CanWrite(ctx context.Context, user string) (bool, error) {
	if user == "" { // GitLab would list them all
		return false, nil
	}
	u, err := l.user(ctx, user)
	if err != nil || u == nil {
		return false, err
	}
	return l.mayPush(ctx, u.ID)
}

// mayPush goes by the role, with that in groups:
// docs.gitlab.com/api/project_members, "Get a member of a project, including inherited and invited members".
func (l *lab) mayPush(ctx context.Context, user int64) (bool, error) {
	m, resp, err := l.client.ProjectMembers.GetInheritedProjectMember(l.path, user, gitlab.WithContext(ctx))
	if errors.Is(err, gitlab.ErrNotFound) {
		return false, nil
	}
	if err = answered(err, m != nil); err != nil {
		return false, l.explain(ctx, l.fail(fmt.Sprintf("ask for a user's role in %s", l), resp, err))
	}
	return m.AccessLevel >= gitlab.DeveloperPermissions && (m.State == "" || m.State == "active"), nil
}
