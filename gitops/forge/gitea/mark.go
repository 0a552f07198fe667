package gitea

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// Mark reads the history of the pull request only when something is missing.
func (r *repository) Mark(ctx context.Context, pr forge.PullRequest, labels, reviewers []string) (warnings []string, err error) {
	op := fmt.Sprintf("label pull request %d of %s", pr.Number, r)
	labels = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return slices.Contains(pr.Labels, l) })
	if len(labels)+len(reviewers) == 0 {
		return nil, nil
	}
	had, asked, err := r.history(ctx, op, pr.Number)
	if err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(labels, func(l string) bool { return had[l] })
	reviewers = slices.DeleteFunc(slices.Clone(reviewers), func(name string) bool {
		_, team, isTeam := strings.Cut(name, "/")
		return asked[strings.ToLower(name)] || isTeam && asked["/"+strings.ToLower(team)]
	})
	if len(labels)+len(reviewers) == 0 {
		return nil, nil
	}
	c, err := r.client(ctx, op)
	if err != nil {
		return nil, err
	}
	warnings, err = r.addLabels(c, op, pr.Number, labels)
	if err != nil {
		return warnings, err
	}
	more, err := r.askReviews(c, pr.Number, reviewers)
	return append(warnings, more...), err
}

func (r *repository) addLabels(c *sdk.Client, op string, number int, labels []string) (warnings []string, err error) {
	ids, warnings, err := r.labels(c, op, labels)
	if err != nil || len(ids) == 0 {
		return warnings, err
	}
	if _, resp, err := c.AddIssueLabels(r.owner, r.name, int64(number), sdk.IssueLabelsOption{Labels: ids}); err != nil {
		return warning(warnings, r.failed(op, answer(resp), err))
	}
	return warnings, nil
}

// warning adds an error to the warnings, unless it is one to give back.
func warning(warnings []string, err error) ([]string, error) {
	var e *forge.Error
	if !errors.As(err, &e) || passing(e) {
		return warnings, err
	}
	return append(warnings, e.Error()+"; "+e.Hint), nil
}

// labelColor of labels that are made here: a quiet blue.
const labelColor = "#1d76db"

// labels gives the ids of labels, which are made when missing.
func (r *repository) labels(c *sdk.Client, op string, names []string) (ids []int64, warnings []string, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	have, err := r.labelIDs(c, op)
	if err != nil {
		warnings, err = warning(nil, err)
		return nil, warnings, err
	}
	made := map[string]int64{}
	for _, name := range names {
		if _, ok := have[name]; ok || made[name] != 0 {
			continue
		}
		l, resp, err := c.CreateLabel(r.owner, r.name, sdk.CreateLabelOption{Name: name, Color: labelColor})
		if err != nil {
			if warnings, err = warning(warnings, r.failed(op, answer(resp), err)); err != nil {
				return nil, warnings, err
			}
			continue
		}
		have[name], made[name] = l.ID, l.ID
	}
	if len(made) > 0 {
		if have, err = r.settle(c, op, made); err != nil {
			return nil, warnings, err
		}
	}
	for _, name := range names {
		if id, ok := have[name]; ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, warnings, nil
}

// settle: Gitea takes a second label of one name. When somebody else made the
// same one meanwhile, the older stays and ours is removed again.
func (r *repository) settle(c *sdk.Client, op string, made map[string]int64) (map[string]int64, error) {
	have, err := r.labelIDs(c, op)
	if err != nil {
		return nil, err
	}
	for name, id := range made {
		if older, ok := have[name]; ok && older < id {
			if resp, err := c.DeleteLabel(r.owner, r.name, id); err != nil && (resp == nil || resp.StatusCode != 404) {
				return nil, r.failed(op, answer(resp), err)
			}
		}
	}
	return have, nil
}

// labelIDs are the labels of the repository; of two with one name it is the
// older that counts.
func (r *repository) labelIDs(c *sdk.Client, op string) (map[string]int64, error) {
	ids := map[string]int64{}
	err := pages(func(page int) (*sdk.Response, error) {
		some, resp, err := c.ListRepoLabels(r.owner, r.name, sdk.ListLabelsOptions{ListOptions: r.list(page)})
		if err != nil {
			return nil, r.failed(op, answer(resp), err)
		}
		for _, l := range some {
			if l == nil {
				continue
			}
			if id, ok := ids[l.Name]; !ok || l.ID < id {
				ids[l.Name] = l.ID
			}
		}
		return resp, nil
	})
	return ids, err
}

// askReviews asks one by one, so that an unknown name does not spoil the others.
func (r *repository) askReviews(c *sdk.Client, number int, reviewers []string) (warnings []string, err error) {
	for _, name := range reviewers {
		op := fmt.Sprintf("ask %s for a review of pull request %d of %s", name, number, r)
		ask := sdk.PullReviewRequestOptions{Reviewers: []string{name}}
		if _, team, ok := strings.Cut(name, "/"); ok {
			ask = sdk.PullReviewRequestOptions{TeamReviewers: []string{team}}
		}
		if resp, err := c.CreateReviewRequests(r.owner, r.name, int64(number), ask); err != nil {
			if warnings, err = warning(warnings, noReviewer(r.failed(op, answer(resp), err))); err != nil {
				return warnings, err
			}
		}
	}
	return warnings, nil
}

// noReviewer: the repository is there, so it is the reviewer who was not found.
func noReviewer(err error) error {
	var e *forge.Error
	if errors.As(err, &e) && (e.Kind == forge.NotFound || e.Kind == forge.Invalid) {
		e.Hint = "check the name, and that this user or team may read the repository"
	}
	return err
}

// event is an entry of a timeline; the SDK takes label for a list and does not
// read who was asked.
type event struct {
	ID           int64                   `json:"id"`
	Type         string                  `json:"type"`
	User         struct{ Login string }  `json:"user"`
	Label        *struct{ Name string }  `json:"label"`
	Assignee     *struct{ Login string } `json:"assignee"`
	AssigneeTeam *struct{ Name string }  `json:"assignee_team"`
}

// history tells which labels the pull request ever had, and who was asked for a
// review or gave one: logins, and teams behind a slash, in lower case.
func (r *repository) history(ctx context.Context, op string, number int) (had, asked map[string]bool, err error) {
	had, asked = map[string]bool{}, map[string]bool{}
	seen := map[int64]bool{}
	for page := 1; ; page++ {
		var events []*event
		path := fmt.Sprintf("/issues/%d/timeline?page=%d&limit=%d", number, page, r.page)
		if err := r.get(ctx, op, path, &events); err != nil {
			return nil, nil, err
		}
		before := len(seen)
		for _, e := range events {
			if e != nil && !seen[e.ID] {
				seen[e.ID] = true
				e.note(had, asked)
			}
		}
		// A page may be short, of what we may not see, and some servers give
		// everything whatever page is asked for.
		if len(seen) == before {
			return had, asked, nil
		}
	}
}

func (e *event) note(had, asked map[string]bool) {
	switch {
	case e.Type == "label" && e.Label != nil:
		had[e.Label.Name] = true
	case e.Type == "review":
		asked[strings.ToLower(e.User.Login)] = true
	case e.Type == "review_request" && e.AssigneeTeam != nil:
		asked["/"+strings.ToLower(e.AssigneeTeam.Name)] = true
	case e.Type == "review_request" && e.Assignee != nil:
		asked[strings.ToLower(e.Assignee.Login)] = true
	}
}
