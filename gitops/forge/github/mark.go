package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// What labels that are created look like: the color is six hex digits.
const (
	labelColor       = "1d76db"
	labelDescription = "Proposed by remediate"
)

// Mark asks for reviews first and sets labels last: a pull request with all its
// labels was asked for reviews too, and takes no request. One that lacks a label
// and was not opened a moment ago has its events read for what humans took away.
// Reviewers with a slash are teams of the owner.
func (h *hub) Mark(ctx context.Context, pr forge.PullRequest, labels, reviewers []string) (warnings []string, err error) {
	missing := slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return contains(pr.Labels, l) })
	if len(missing) == 0 && (len(labels) > 0 || len(reviewers) == 0) {
		return nil, nil
	}
	if !h.takeFresh(pr.Number) {
		was, err := h.history(ctx, pr)
		if err != nil {
			return refused(nil, "read what was done to it", err)
		}
		missing = slices.DeleteFunc(missing, func(l string) bool { return contains(was.unlabeled, l) })
		reviewers = slices.DeleteFunc(slices.Clone(reviewers), func(r string) bool { return contains(was.asked, team(r)) })
	}
	if warnings, err = h.review(ctx, pr, reviewers); err != nil {
		return warnings, err
	}
	more, err := h.label(ctx, pr, missing)
	return append(warnings, more...), err
}

// takeFresh says whether pr was opened by this hub and not yet marked.
func (h *hub) takeFresh(number int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := h.fresh[number]
	delete(h.fresh, number)
	return fresh
}

func contains(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// refused makes a warning of what GitHub does not let us do, and leaves what may
// pass, or stops everything, an error.
func refused(warnings []string, what string, err error) ([]string, error) {
	if err == nil {
		return warnings, nil
	}
	var e *forge.Error
	if !errors.As(err, &e) || e.Transient() || e.Kind == forge.Unauthorized {
		return warnings, err
	}
	warning := fmt.Sprintf("could not %s: %v", what, e.Err)
	if e.Hint != "" && e.Kind != forge.Invalid {
		warning = strings.TrimSuffix(warning, ".") + ": " + e.Hint
	}
	return append(warnings, warning), nil
}

// past is what was done to a pull request.
type past struct {
	unlabeled []string
	// asked are logins and slugs of teams that a review was asked of, ever.
	asked []string
}

func (h *hub) history(ctx context.Context, pr forge.PullRequest) (past, error) {
	var out past
	op := fmt.Sprintf("read the events of pull request #%d in %s", pr.Number, h)
	err := h.pages(op, readPulls, func(n int) (*github.Response, bool, error) {
		events, resp, err := h.client.Issues.ListIssueEvents(ctx, h.owner, h.name, pr.Number, &github.ListOptions{Page: n, PerPage: perPage})
		for _, e := range events {
			switch e.GetEvent() {
			case "unlabeled":
				out.unlabeled = append(out.unlabeled, e.GetLabel().GetName())
			case "review_requested", "review_request_removed":
				out.asked = append(out.asked, e.GetRequestedReviewer().GetLogin(), e.GetRequestedTeam().GetSlug())
			}
		}
		return resp, true, err
	})
	return out, err
}

// team is the slug of ORG/TEAM, and a login as it is.
func team(reviewer string) string { return reviewer[strings.LastIndex(reviewer, "/")+1:] }

// review asks for all reviews at once; GitHub refuses all for one that it does
// not take, so then each is asked for alone.
func (h *hub) review(ctx context.Context, pr forge.PullRequest, reviewers []string) (warnings []string, err error) {
	reviewers = slices.DeleteFunc(slices.Clone(reviewers), func(r string) bool {
		self := strings.EqualFold(r, pr.Author)
		if self {
			warnings = append(warnings, fmt.Sprintf("could not ask %s for a review: GitHub takes none of the author", r))
		}
		return self
	})
	if len(reviewers) == 0 {
		return warnings, nil
	}
	err = h.ask(ctx, pr, reviewers)
	if len(reviewers) > 1 && (forge.Is(err, forge.Invalid) || forge.Is(err, forge.NotFound)) {
		for _, r := range reviewers {
			if warnings, err = refused(warnings, "ask "+r+" for a review", h.ask(ctx, pr, []string{r})); err != nil {
				return warnings, err
			}
		}
		return warnings, nil
	}
	return refused(warnings, "ask "+strings.Join(reviewers, ", ")+" for a review", err)
}

func (h *hub) ask(ctx context.Context, pr forge.PullRequest, reviewers []string) error {
	var request github.ReviewersRequest
	for _, r := range reviewers {
		if strings.Contains(r, "/") {
			request.TeamReviewers = append(request.TeamReviewers, team(r))
		} else {
			request.Reviewers = append(request.Reviewers, r)
		}
	}
	_, _, err := h.client.PullRequests.RequestReviewers(ctx, h.owner, h.name, pr.Number, request)
	if err != nil {
		return h.fail(fmt.Sprintf("ask for reviews of pull request #%d in %s", pr.Number, h), writePulls, err)
	}
	return nil
}

// label adds labels, and makes those that the repository lacks.
func (h *hub) label(ctx context.Context, pr forge.PullRequest, names []string) (warnings []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	lacking, err := h.lacking(ctx, names)
	if err != nil {
		return refused(nil, "list the labels", err)
	}
	for _, name := range lacking {
		if err := h.createLabel(ctx, name); err != nil {
			if warnings, err = refused(warnings, "create label "+name, err); err != nil {
				return warnings, err
			}
			names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
		}
	}
	if len(names) == 0 {
		return warnings, nil
	}
	return refused(warnings, "add labels "+strings.Join(names, ", "), h.addLabels(ctx, pr, names))
}

// addLabels sends the object that GitHub documents; go-github sends its list
// alone.
func (h *hub) addLabels(ctx context.Context, pr forge.PullRequest, names []string) error {
	op := fmt.Sprintf("label pull request #%d in %s", pr.Number, h)
	path := fmt.Sprintf("repos/%s/%s/issues/%d/labels", h.owner, h.name, pr.Number)
	req, err := h.client.NewRequest(http.MethodPost, path, map[string][]string{"labels": names})
	if err == nil {
		_, err = h.client.Do(ctx, req, nil)
	}
	if err != nil {
		return h.fail(op, writePulls, err)
	}
	return nil
}

// lacking lists the names that the repository has no label of.
func (h *hub) lacking(ctx context.Context, names []string) ([]string, error) {
	lacking := slices.Clone(names)
	err := h.pages("list the labels of "+h.String(), readPulls, func(n int) (*github.Response, bool, error) {
		labels, resp, err := h.client.Issues.ListLabels(ctx, h.owner, h.name, &github.ListOptions{Page: n, PerPage: perPage})
		for _, l := range labels {
			lacking = slices.DeleteFunc(lacking, func(name string) bool { return strings.EqualFold(name, l.GetName()) })
		}
		return resp, len(lacking) > 0, err
	})
	return lacking, err
}

// createLabel is content when somebody else was faster.
func (h *hub) createLabel(ctx context.Context, name string) error {
	_, _, err := h.client.Issues.CreateLabel(ctx, h.owner, h.name, &github.Label{
		Name: github.String(name), Color: github.String(labelColor), Description: github.String(labelDescription),
	})
	var failed *github.ErrorResponse
	if errors.As(err, &failed) && failed.Response.StatusCode == http.StatusUnprocessableEntity &&
		strings.Contains(messageOf(failed), "already_exists") {
		return nil
	}
	if err != nil {
		return h.fail(fmt.Sprintf("create label %q in %s", name, h), writePulls, err)
	}
	return nil
}
