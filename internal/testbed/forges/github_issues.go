package forges

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// label of the repository. Names differ by more than case.
type label struct {
	name, color, text string
	id                int
}

// comment on a pull request.
type comment struct {
	id            int
	author, body  string
	made, changed time.Time
}

// event of a pull request: labeled, unlabeled, renamed, closed, reopened, merged,
// head_ref_deleted, head_ref_force_pushed, review_requested.
type event struct {
	kind, by string
	label    *label
	from, to string
	who      string
	id       int
	at       time.Time
}

func (g *GitHubServer) happened(p *pull, e event) {
	e.id, e.at = g.id(), g.now()
	p.events = append(p.events, e)
}

// listComments: "REST API endpoints for issue comments": ordered by ascending id.
func (g *GitHubServer) listComments(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	since, err := time.Parse(time.RFC3339, c.query.Get("since"))
	some := slices.DeleteFunc(slices.Clone(p.comments), func(e *comment) bool {
		return err == nil && e.changed.Before(since)
	})
	return list(g, c, some, func(e *comment) object { return g.showComment(p, e) })
}

func (g *GitHubServer) createComment(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	text, answer, fine := commentText(c)
	if !fine {
		return answer
	}
	return created(g.showComment(p, g.say(p, c.who.login, text)))
}

func (g *GitHubServer) say(p *pull, login, text string) *comment {
	e := &comment{id: g.id(), author: login, body: text, made: g.now(), changed: g.now()}
	p.comments = append(p.comments, e)
	p.changed = g.now()
	return e
}

func commentText(c *call) (string, reply, bool) {
	var in struct{ Body string }
	if err := c.read(&in); err != nil {
		return "", badJSON(), false
	}
	if strings.TrimSpace(in.Body) == "" {
		return "", invalid("IssueComment", "body", "missing_field", "body cannot be blank"), false
	}
	answer, fine := texts("IssueComment", nil, &in.Body)
	return in.Body, answer, fine
}

// findComment of the whole repository.
func (g *GitHubServer) findComment(c *call) (*pull, *comment) {
	for _, p := range g.pulls {
		for _, e := range p.comments {
			if strconv.Itoa(e.id) == c.vars["comment_id"] {
				return p, e
			}
		}
	}
	return nil, nil
}

func (g *GitHubServer) getComment(c *call) reply {
	p, e := g.findComment(c)
	if e == nil {
		return notFound()
	}
	return ok(g.showComment(p, e))
}

// updateComment: people with the right to push may change anybody's comment:
// "Managing disruptive comments".
func (g *GitHubServer) updateComment(c *call) reply {
	p, e := g.findComment(c)
	if e == nil {
		return notFound()
	}
	if e.author != c.who.login && !c.who.writes() {
		return forbidden()
	}
	text, answer, fine := commentText(c)
	if !fine {
		return answer
	}
	e.body, e.changed = text, g.now()
	return ok(g.showComment(p, e))
}

func (g *GitHubServer) listEvents(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	return list(g, c, p.events, g.showEvent)
}

func (g *GitHubServer) findLabel(name string) *label {
	for _, l := range g.labels {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	return nil
}

func (g *GitHubServer) listLabels(c *call) reply { return list(g, c, g.labels, g.showLabel) }

func (g *GitHubServer) getLabel(c *call) reply {
	if l := g.findLabel(c.vars["name"]); l != nil {
		return ok(g.showLabel(l))
	}
	return notFound()
}

// createLabel: "REST API endpoints for labels": a color is 6 hex digits without
// "#", a description has at most 100 characters.
func (g *GitHubServer) createLabel(c *call) reply {
	var in struct{ Name, Color, Description string }
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	if _, err := strconv.ParseUint(in.Color, 16, 32); in.Color != "" && (err != nil || len(in.Color) != 6) {
		return invalid("Label", "color", "invalid", "")
	}
	switch {
	case strings.TrimSpace(in.Name) == "":
		return invalid("Label", "name", "missing_field", "")
	case utf8.RuneCountInString(in.Name) > 50:
		return invalid("Label", "name", "custom", "name is too long (maximum is 50 characters)")
	case utf8.RuneCountInString(in.Description) > 100:
		return invalid("Label", "description", "custom", "description is too long (maximum is 100 characters)")
	case g.findLabel(in.Name) != nil:
		return invalid("Label", "name", "already_exists", "")
	}
	return created(g.showLabel(g.addLabel(in.Name, in.Color, in.Description)))
}

func (g *GitHubServer) addLabel(name, color, text string) *label {
	if color == "" {
		color = "ededed"
	}
	l := &label{name, strings.ToLower(color), text, g.id()}
	g.labels = append(g.labels, l)
	return l
}

func (g *GitHubServer) listPullLabels(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	return list(g, c, p.labels, g.showLabel)
}

// addPullLabels makes labels that do not exist, as github.com does without
// saying so in its docs, unless [GitHubServer.StrictLabels] is on.
func (g *GitHubServer) addPullLabels(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	names, err := labelNames(c.body)
	if err != nil {
		return badJSON()
	}
	for _, name := range names {
		l := g.findLabel(name)
		if l == nil && g.strictLabels {
			return invalid("Label", "name", "missing", "")
		}
		if l == nil {
			l = g.addLabel(name, "", "")
		}
		if !slices.Contains(p.labels, l) {
			p.labels = append(p.labels, l)
			g.happened(p, event{kind: "labeled", by: c.who.login, label: l})
		}
	}
	return list(g, &call{exchange: &exchange{}}, p.labels, g.showLabel)
}

// labelNames: {"labels": […]} of strings or objects.
func labelNames(body []byte) (names []string, err error) {
	var in struct{ Labels []json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	for _, raw := range in.Labels {
		var name string
		if json.Unmarshal(raw, &name) != nil {
			var named struct{ Name string }
			if err := json.Unmarshal(raw, &named); err != nil {
				return nil, err
			}
			name = named.Name
		}
		names = append(names, name)
	}
	return names, nil
}

func (g *GitHubServer) removePullLabel(c *call) reply {
	p := g.pull(c)
	if p == nil || !g.unlabel(p, c.vars["name"], c.who.login) {
		return problem(http.StatusNotFound, "Label does not exist")
	}
	return list(g, &call{exchange: &exchange{}}, p.labels, g.showLabel)
}

func (g *GitHubServer) unlabel(p *pull, name, login string) bool {
	l := g.findLabel(name)
	i := slices.Index(p.labels, l)
	if l == nil || i < 0 {
		return false
	}
	p.labels = slices.Delete(p.labels, i, i+1)
	g.happened(p, event{kind: "unlabeled", by: login, label: l})
	return true
}

func (g *GitHubServer) listReviewers(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	return ok(object{"users": g.showUsers(p.reviewers), "teams": g.showTeams(p.teams)})
}

// requestReview: "REST API endpoints for review requests". Who is asked must be a
// collaborator, and not the author.
func (g *GitHubServer) requestReview(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	var in struct {
		Reviewers []string
		Teams     []string `json:"team_reviewers"`
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	for _, login := range in.Reviewers {
		who := g.people[login]
		if login == p.author {
			return problem(http.StatusUnprocessableEntity, "Review cannot be requested from pull request author.")
		}
		if who == nil || who.role == "none" {
			return notCollaborator(g.fullName())
		}
	}
	if slices.ContainsFunc(in.Teams, func(team string) bool { return team != githubTeam }) {
		return notCollaborator(g.fullName())
	}
	p.reviewers, p.teams = union(p.reviewers, in.Reviewers), union(p.teams, in.Teams)
	for _, login := range in.Reviewers {
		g.happened(p, event{kind: "review_requested", by: c.who.login, who: login})
	}
	return created(g.showPullSimple(p))
}

func notCollaborator(repo string) reply {
	return problem(http.StatusUnprocessableEntity, fmt.Sprintf("Reviews may only be requested from collaborators. "+
		"One or more of the users or teams you specified is not a collaborator of the %s repository.", repo))
}

func union(a, b []string) []string {
	for _, e := range b {
		if !slices.Contains(a, e) {
			a = append(a, e)
		}
	}
	return a
}
