package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Repository is [forge.Survey].
func (l *lab) Repository(ctx context.Context) (forge.Repository, error) {
	p, resp, err := l.client.Projects.GetProject(l.path, nil, gitlab.WithContext(ctx))
	if err = answered(err, p != nil && p.PathWithNamespace != ""); err != nil {
		return forge.Repository{}, l.explain(ctx, l.fail("read project "+l.path, resp, err))
	}
	r := forge.Repository{Name: p.PathWithNamespace, DefaultBranch: p.DefaultBranch, Archived: p.Archived}
	r.CanPush, err = l.canPush(ctx, p)
	return r, err
}

// canPush reads the role of the token's user. GitLab shows it in the project
// for members of the project and its groups; members of a group that the project
// is shared with, and administrators, are asked for.
func (l *lab) canPush(ctx context.Context, p *gitlab.Project) (bool, error) {
	level, known := gitlab.NoPermissions, false
	if p.Permissions != nil {
		if a := p.Permissions.ProjectAccess; a != nil {
			level, known = max(level, a.AccessLevel), true
		}
		if a := p.Permissions.GroupAccess; a != nil {
			level, known = max(level, a.AccessLevel), true
		}
	}
	if known && level >= gitlab.DeveloperPermissions {
		return true, nil
	}
	me, err := l.whoami(ctx)
	if err != nil {
		return false, err
	}
	return l.mayPush(ctx, me.ID)
}

// List is [forge.Survey]: one request while there are fewer than a hundred.
func (l *lab) List(ctx context.Context, since time.Time) ([]forge.PullRequest, error) {
	var all []forge.PullRequest
	op := fmt.Sprintf("list merge requests of %s", l)
	older := 0
	err := l.list(ctx, op, "all", nil, func(pr forge.PullRequest) bool {
		young := !pr.Opened.Before(since)
		if young || pr.State == forge.Open {
			all = append(all, pr)
		}
		if !young {
			older++
		}
		// The rest of a first page costs nothing, and is all there is in most projects.
		return older < perPage
	})
	if err != nil {
		return nil, err
	}
	if older >= perPage {
		err = l.list(ctx, op, "opened", nil, func(pr forge.PullRequest) bool {
			if !slices.ContainsFunc(all, func(p forge.PullRequest) bool { return p.Number == pr.Number }) {
				all = append(all, pr)
			}
			return true
		})
	}
	slices.SortStableFunc(all, func(a, b forge.PullRequest) int {
		return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.Number, a.Number))
	})
	return all, err
}

// Files is [forge.Survey], with the old paths of what was renamed.
func (l *lab) Files(ctx context.Context, pr forge.PullRequest) ([]string, error) {
	var paths []string
	op := fmt.Sprintf("list the files of merge request !%d in %s", pr.Number, l)
	err := l.pages(op, func(o gitlab.ListOptions) (*gitlab.Response, bool, error) {
		diffs, resp, err := l.client.MergeRequests.ListMergeRequestDiffs(l.path, int64(pr.Number), &gitlab.ListMergeRequestDiffsOptions{ListOptions: o}, gitlab.WithContext(ctx))
		for _, d := range diffs {
			if d != nil {
				paths = append(paths, d.OldPath, d.NewPath)
			}
		}
		return resp, true, err
	})
	if err != nil {
		return nil, l.explain(ctx, err)
	}
	slices.Sort(paths)
	return slices.DeleteFunc(slices.Compact(paths), func(p string) bool { return p == "" }), nil
}

// Read is [forge.Survey]. The head of a fork's merge request is in the project
// that it goes to, too. GitLab answers 404 for a missing file as for a project
// that may not be seen, so what is not there is asked for in another way.
func (l *lab) Read(ctx context.Context, pr forge.PullRequest, path string) (content []byte, ok bool, err error) {
	op := fmt.Sprintf("read a file of merge request !%d in %s", pr.Number, l)
	raw, resp, err := l.client.RepositoryFiles.GetRawFile(l.path, strings.TrimPrefix(path, "/"), &gitlab.GetRawFileOptions{Ref: &pr.Head}, gitlab.WithContext(ctx))
	if errors.Is(err, gitlab.ErrNotFound) {
		if _, resp, err := l.client.Commits.GetCommit(l.path, pr.Head, nil, gitlab.WithContext(ctx)); err != nil {
			return nil, false, l.explain(ctx, l.fail(op, resp, err))
		}
		return nil, false, nil
	}
	if err != nil {
		return nil, false, l.explain(ctx, l.fail(op, resp, err))
	}
	return raw, true, nil
}
