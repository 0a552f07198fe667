package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Find is [forge.Requests]: one request for up to a hundred merge requests.
func (l *lab) Find(ctx context.Context, branch string) ([]forge.PullRequest, error) {
	var found []forge.PullRequest
	op := fmt.Sprintf("find merge requests from %s in %s", branch, l)
	err := l.list(ctx, op, "all", &branch, func(pr forge.PullRequest) bool {
		if !pr.Fork {
			found = append(found, pr)
		}
		return true
	})
	return found, err
}

// list gives merge requests, newest first, as long as more is true.
func (l *lab) list(ctx context.Context, op, state string, branch *string, more func(forge.PullRequest) bool) error {
	seen := map[int64]bool{} // one that is opened meanwhile moves the pages
	err := l.pages(op, func(o gitlab.ListOptions) (*gitlab.Response, bool, error) {
		mrs, resp, err := l.page(ctx, &gitlab.ListProjectMergeRequestsOptions{
			ListOptions: o, State: &state, SourceBranch: branch, Scope: gitlab.Ptr("all"),
			OrderBy: gitlab.Ptr("created_at"), Sort: gitlab.Ptr("desc"),
		})
		for _, mr := range mrs {
			if mr == nil || seen[mr.IID] {
				continue
			}
			seen[mr.IID] = true
			if !more(pullRequest(mr)) {
				return resp, false, err
			}
		}
		return resp, true, err
	})
	return l.explain(ctx, err)
}

// page is client-go's ListProjectMergeRequests, which panics at a null in the list.
func (l *lab) page(ctx context.Context, o *gitlab.ListProjectMergeRequestsOptions) (mrs []*gitlab.BasicMergeRequest, resp *gitlab.Response, err error) {
	req, err := l.client.NewRequest(http.MethodGet, "projects/"+gitlab.PathEscape(l.path)+"/merge_requests", o, []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
	if err != nil {
		return nil, nil, err
	}
	resp, err = l.client.Do(req, &mrs)
	return mrs, resp, err
}

// pullRequest is a merge request as [forge] has it. One that is being merged is
// locked, and open. The commit on the base branch is that of a merge, else of a
// squash, else the head itself, which a fast-forward puts there.
func pullRequest(mr *gitlab.BasicMergeRequest) forge.PullRequest {
	pr := forge.PullRequest{
		Number: int(mr.IID), URL: mr.WebURL, Title: mr.Title, Body: asSent(mr.Description), State: forge.Open, Draft: mr.Draft,
		Branch: mr.SourceBranch, Head: mr.SHA, Fork: mr.SourceProjectID != mr.TargetProjectID, Base: mr.TargetBranch,
		Labels: mr.Labels,
	}
	if mr.Draft {
		_, pr.Title = cutDraft(mr.Title)
	}
	if mr.Author != nil {
		pr.Author = mr.Author.Username
	}
	if mr.CreatedAt != nil {
		pr.Opened = *mr.CreatedAt
	}
	switch mr.State {
	case "closed":
		pr.State = forge.Closed
		if mr.ClosedAt != nil {
			pr.Ended = *mr.ClosedAt
		}
	case "merged":
		pr.State, pr.MergeCommit = forge.Merged, mr.SHA
		if mr.SquashCommitSHA != "" {
			pr.MergeCommit = mr.SquashCommitSHA
		}
		if mr.MergeCommitSHA != "" {
			pr.MergeCommit = mr.MergeCommitSHA
		}
		if mr.MergedAt != nil {
			pr.Ended = *mr.MergedAt
		}
	}
	return pr
}

// Open is [forge.Requests]. GitLab opens merge requests without a difference too,
// so the branches are compared first. Labels, which GitLab makes when missing,
// and reviewers are set in the same step; [lab.Mark] says which it did not take.
func (l *lab) Open(ctx context.Context, r forge.Request) (forge.PullRequest, error) {
	op := fmt.Sprintf("open a merge request in %s", l)
	if err := bounded(op, r.Body); err != nil {
		return forge.PullRequest{}, err
	}
	if err := l.differ(ctx, r.Base, r.Branch); err != nil {
		return forge.PullRequest{}, err
	}
	labels, warnings := usable(r.Labels)
	ids, more, err := l.userIDs(ctx, r.Reviewers)
	if err != nil {
		return forge.PullRequest{}, err
	}
	mr, resp, err := l.client.MergeRequests.CreateMergeRequest(l.path, creation(r, labels, ids), gitlab.WithContext(ctx))
	if err = answered(err, mr != nil && mr.IID != 0); err != nil {
		return forge.PullRequest{}, l.explain(ctx, l.fail(op, resp, err))
	}
	if mr.Author != nil {
		l.learn(mr.Author.ID, mr.Author.Username)
	}
	pr := pullRequest(&mr.BasicMergeRequest)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh[pr.Number] = opened{r.Labels, r.Reviewers, slices.Concat(warnings, more, lackingLabels(mr, labels), lackingReviewers(mr, ids))}
	return pr, nil
}

func creation(r forge.Request, labels []string, reviewers []int64) *gitlab.CreateMergeRequestOptions {
	_, title := cutDraft(r.Title)
	if r.Draft {
		title = addDraft(draftPrefix, title)
	}
	o := &gitlab.CreateMergeRequestOptions{
		Title: &title, Description: gitlab.Ptr(noQuickActions(r.Body)), SourceBranch: &r.Branch, TargetBranch: &r.Base,
	}
	if len(labels) > 0 {
		o.Labels = (*gitlab.LabelOptions)(&labels)
	}
	if len(reviewers) > 0 {
		o.ReviewerIDs = &reviewers
	}
	return o
}

// differ is an error unless head has commits and a difference that base lacks.
func (l *lab) differ(ctx context.Context, base, head string) error {
	op := fmt.Sprintf("compare %s with %s in %s", head, base, l)
	cmp, resp, err := l.client.Repositories.Compare(l.path, &gitlab.CompareOptions{From: &base, To: &head}, gitlab.WithContext(ctx))
	if errors.Is(err, gitlab.ErrNotFound) && resp != nil {
		e := forge.Classify(op, resp.Response, "", err)
		e.Hint = "one of the branches is gone, or the token may not see the project: run it again; check ref.branch of the GitRepository; " + needs
		return e
	}
	if err = answered(err, cmp != nil); err != nil {
		return l.explain(ctx, l.fail(op, resp, err))
	}
	if !cmp.CompareTimeout && (len(cmp.Commits) == 0 || len(cmp.Diffs) == 0) {
		return &forge.Error{Kind: forge.NoDiff, Op: op, Hint: "there is nothing to propose: the base has this change"}
	}
	return nil
}

// Edit is [forge.Requests]. A new title gets the prefix of a draft, or none, as
// the merge request has it at that moment.
func (l *lab) Edit(ctx context.Context, pr forge.PullRequest, e forge.Edit) (forge.PullRequest, error) {
	op := fmt.Sprintf("change merge request !%d in %s", pr.Number, l)
	o := &gitlab.UpdateMergeRequestOptions{}
	if e.Body != nil {
		if err := bounded(op, *e.Body); err != nil {
			return pr, err
		}
		o.Description = gitlab.Ptr(noQuickActions(*e.Body))
	}
	if e.Close {
		o.StateEvent = gitlab.Ptr("close")
	}
	if e.Title != nil {
		now, resp, err := l.client.MergeRequests.GetMergeRequest(l.path, int64(pr.Number), nil, gitlab.WithContext(ctx))
		if err = answered(err, now != nil); err != nil {
			return pr, l.explain(ctx, l.fail(op, resp, err))
		}
		_, title := cutDraft(*e.Title)
		if prefix, was := cutDraft(now.Title); title != was {
			o.Title = gitlab.Ptr(addDraft(prefix, title))
		}
	}
	if o.Title == nil && o.Description == nil && o.StateEvent == nil {
		return pr, nil
	}
	mr, resp, err := l.client.MergeRequests.UpdateMergeRequest(l.path, int64(pr.Number), o, gitlab.WithContext(ctx))
	if err = answered(err, mr != nil && mr.IID != 0); err != nil {
		return pr, l.explain(ctx, l.fail(op, resp, err))
	}
	return pullRequest(&mr.BasicMergeRequest), nil
}

// bounded refuses what no forge takes, and what JSON would change without a word.
func bounded(op, text string) error {
	bad := func(hint, format string, args ...any) error {
		return &forge.Error{Kind: forge.Invalid, Op: op, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if n := utf8.RuneCountInString(text); n > forge.MaxBody {
		return bad("shorten the text", "the text has %d characters, and %d are the most", n, forge.MaxBody)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return bad("leave out what is no text", "the text is not UTF-8, or holds a NUL")
	}
	return nil
}
