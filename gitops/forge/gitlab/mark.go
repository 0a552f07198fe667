package gitlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// opened is what a merge request was opened with.
type opened struct {
	labels, reviewers, warnings []string
}

// Mark is [forge.Requests]. What was opened here a moment ago has its labels and
// reviewers, and no human can have taken them away; that costs no request. Any
// other that lacks a label, or is to have only reviewers, has its history read.
func (l *lab) Mark(ctx context.Context, pr forge.PullRequest, labels, reviewers []string) (warnings []string, err error) {
	was, fresh := l.takeFresh(pr.Number)
	warnings = was.warnings
	missing := without(labels, pr.Labels, was.labels)
	reviewers = without(reviewers, was.reviewers)
	if len(missing) == 0 && (len(reviewers) == 0 || len(labels) > 0 && !fresh) {
		return warnings, nil
	}
	if len(missing) > 0 && !fresh {
		removed, err := l.unlabeled(ctx, pr)
		if err != nil {
			return refused(warnings, "read which labels were removed", err)
		}
		missing = without(missing, removed)
	}
	missing, more := usable(missing)
	warnings = append(warnings, more...)
	ids, all, more, err := l.toAsk(ctx, pr, reviewers)
	warnings = append(warnings, more...)
	if err != nil {
		return refused(warnings, "read who was asked for a review", err)
	}
	more, err = l.set(ctx, pr, missing, ids, all)
	return append(warnings, more...), err
}

// set adds labels, and ids to the reviewers, who are all then.
func (l *lab) set(ctx context.Context, pr forge.PullRequest, labels []string, ids, all []int64) (warnings []string, err error) {
	o := &gitlab.UpdateMergeRequestOptions{}
	if len(labels) > 0 {
		o.AddLabels = (*gitlab.LabelOptions)(&labels)
	}
	if len(ids) > 0 {
		o.ReviewerIDs = &all
	}
	if o.AddLabels == nil && o.ReviewerIDs == nil {
		return nil, nil
	}
	mr, resp, err := l.client.MergeRequests.UpdateMergeRequest(l.path, int64(pr.Number), o, gitlab.WithContext(ctx))
	if err = answered(err, mr != nil && mr.IID != 0); err != nil {
		err = l.explain(ctx, l.fail(fmt.Sprintf("mark merge request !%d in %s", pr.Number, l), resp, err))
		return refused(nil, "set labels and reviewers", err)
	}
	return append(lackingLabels(mr, labels), lackingReviewers(mr, ids)...), nil
}

func without(list []string, others ...[]string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(slices.Concat(others...), s) })
}

// usable leaves out labels that GitLab can't have: it takes a list with commas.
func usable(labels []string) (list, warnings []string) {
	for _, name := range labels {
		if strings.Contains(name, ",") {
			warnings = append(warnings, fmt.Sprintf("could not add label %q: labels of GitLab have no comma", name))
			continue
		}
		list = append(list, name)
	}
	return list, warnings
}

// takeFresh says whether a merge request was opened here and not yet marked.
func (l *lab) takeFresh(number int) (opened, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, fresh := l.fresh[number]
	delete(l.fresh, number)
	return was, fresh
}

// refused makes a warning of what GitLab does not let us do, and leaves what may
// pass, or stops everything, an error.
func refused(warnings []string, what string, err error) ([]string, error) {
	var e *forge.Error
	if !errors.As(err, &e) || e.Transient() || e.Kind == forge.Unauthorized {
		return warnings, err
	}
	return append(warnings, fmt.Sprintf("could not %s: %v: %s", what, e.Err, e.Hint)), nil
}

// unlabeled are the names of labels that somebody took away.
func (l *lab) unlabeled(ctx context.Context, pr forge.PullRequest) ([]string, error) {
	var names []string
	op := fmt.Sprintf("read the label events of merge request !%d in %s", pr.Number, l)
	err := l.pages(op, func(o gitlab.ListOptions) (*gitlab.Response, bool, error) {
		events, resp, err := l.client.ResourceLabelEvents.ListMergeRequestsLabelEvents(l.path, int64(pr.Number), &gitlab.ListLabelEventsOptions{ListOptions: o}, gitlab.WithContext(ctx))
		for _, e := range events {
			if e != nil && e.Action == "remove" {
				names = append(names, e.Label.Name)
			}
		}
		return resp, true, err
	})
	return names, err
}

// toAsk gives the users whom pr lacks as reviewers and who were not taken away,
// and all that it is to have then: GitLab takes the whole list.
func (l *lab) toAsk(ctx context.Context, pr forge.PullRequest, reviewers []string) (ids, all []int64, warnings []string, err error) {
	if len(reviewers) == 0 {
		return nil, nil, nil, nil
	}
	op := fmt.Sprintf("read merge request !%d in %s", pr.Number, l)
	mr, resp, err := l.client.MergeRequests.GetMergeRequest(l.path, int64(pr.Number), nil, gitlab.WithContext(ctx))
	if err = answered(err, mr != nil && mr.IID != 0); err != nil {
		return nil, nil, nil, l.fail(op, resp, err)
	}
	lacking := slices.DeleteFunc(slices.Clone(reviewers), func(name string) bool {
		return slices.ContainsFunc(mr.Reviewers, func(u *gitlab.BasicUser) bool { return u != nil && strings.EqualFold(u.Username, name) })
	})
	if len(lacking) == 0 {
		return nil, nil, nil, nil
	}
	removed, err := l.unasked(ctx, pr)
	if err != nil {
		return nil, nil, nil, err
	}
	lacking = slices.DeleteFunc(lacking, func(name string) bool { return slices.Contains(removed, strings.ToLower(name)) })
	ids, warnings, err = l.userIDs(ctx, lacking)
	for _, u := range mr.Reviewers {
		if u != nil {
			all = append(all, u.ID)
		}
	}
	return ids, append(all, ids...), warnings, err
}

// unasked are the logins, in lower case, whose review somebody asked for no more.
// Only the notes that GitLab writes itself say so: "requested review from @a and
// removed review request for @b".
func (l *lab) unasked(ctx context.Context, pr forge.PullRequest) ([]string, error) {
	var logins []string
	err := l.notes(ctx, pr, func(n *gitlab.Note) {
		_, removed, ok := strings.Cut(strings.ToLower(n.Body), "removed review request for ")
		if !n.System || !ok {
			return
		}
		for _, word := range strings.Fields(removed) {
			if login, ok := strings.CutPrefix(word, "@"); ok {
				logins = append(logins, strings.TrimRight(login, ",."))
			}
		}
	})
	return logins, err
}

// userIDs are the numbers of users. One that is not there is a warning, as is a
// team: GitLab has none to ask.
func (l *lab) userIDs(ctx context.Context, logins []string) (ids []int64, warnings []string, err error) {
	for _, login := range logins {
		if strings.Contains(login, "/") {
			warnings = append(warnings, fmt.Sprintf("could not ask %s for a review: GitLab asks users only, no groups", login))
			continue
		}
		user, err := l.user(ctx, login)
		switch {
		case err != nil:
			if warnings, err = refused(warnings, "find user "+login, err); err != nil {
				return ids, warnings, err
			}
		case user == nil:
			warnings = append(warnings, fmt.Sprintf("could not ask %s for a review: there is no such user", login))
		case !slices.Contains(ids, user.ID):
			ids = append(ids, user.ID)
		}
	}
	return ids, warnings, nil
}

// user is nil when there is none of that login.
func (l *lab) user(ctx context.Context, login string) (*gitlab.User, error) {
	op := fmt.Sprintf("find a user of GitLab for %s", l)
	users, resp, err := l.client.Users.ListUsers(&gitlab.ListUsersOptions{Username: &login}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, l.fail(op, resp, err)
	}
	for _, u := range users {
		if u != nil && strings.EqualFold(u.Username, login) {
			return u, nil
		}
	}
	return nil, nil
}

// lackingLabels warns of labels that GitLab left out without a word, as it does
// when the token may not make them.
func lackingLabels(mr *gitlab.MergeRequest, want []string) (warnings []string) {
	for _, name := range want {
		if !slices.Contains(mr.Labels, strings.TrimSpace(name)) {
			warnings = append(warnings, fmt.Sprintf("could not add label %s: GitLab left it out; make it by hand, or give the token's user the role Reporter or higher", name))
		}
	}
	return warnings
}

// lackingReviewers warns of those that GitLab left out without a word: who may
// not see the project, and without a licence all but one.
func lackingReviewers(mr *gitlab.MergeRequest, want []int64) (warnings []string) {
	for _, id := range want {
		if !slices.ContainsFunc(mr.Reviewers, func(u *gitlab.BasicUser) bool { return u != nil && u.ID == id }) {
			return []string{"could not ask everybody for a review: GitLab leaves out who may not see the project, and all but one without a licence for more"}
		}
	}
	return nil
}
