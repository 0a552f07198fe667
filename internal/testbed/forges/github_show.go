package forges

import (
	"fmt"
	"strings"
	"time"
)

// What the API shows. Required fields that no rule of the fake is about are left
// to the description; see exchange.answer.

func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format(time.RFC3339)
}

func (g *GitHubServer) showUser(login string) object {
	p := g.people[login]
	if p == nil {
		return nil
	}
	return object{
		"login": p.login, "id": p.id, "node_id": fmt.Sprintf("U_%d", p.id), "type": p.kind,
		"url": g.API() + "/users/" + p.login, "html_url": g.base + "/" + p.login, "site_admin": false,
	}
}

func (g *GitHubServer) showUsers(logins []string) []object {
	users := []object{}
	for _, login := range logins {
		users = append(users, g.showUser(login))
	}
	return users
}

func (g *GitHubServer) showTeams(slugs []string) []object {
	teams := []object{}
	for _, slug := range slugs {
		teams = append(teams, object{"name": slug, "slug": slug, "id": 7})
	}
	return teams
}

func (g *GitHubServer) showOwner(login string) object {
	if login == githubOwner {
		return object{"login": githubOwner, "id": 1, "type": "Organization"}
	}
	return g.showUser(login)
}

// showRepo is the repository or the fork of owner, as who sees it.
func (g *GitHubServer) showRepo(owner string, who *person) object {
	full := owner + "/" + g.name
	id := githubRepoID
	if owner != githubOwner {
		id = githubRepoID + g.people[owner].id
	}
	o := object{
		"id": id, "name": g.name, "full_name": full, "owner": g.showOwner(owner), "private": true, "visibility": "private",
		"fork": owner != githubOwner, "default_branch": g.branch, "archived": g.archived, "disabled": false,
		"html_url": g.base + "/" + full, "url": g.API() + "/repos/" + full, "clone_url": g.base + "/" + full + ".git",
	}
	if who != nil {
		o["permissions"] = object{
			"admin": who.role == "admin", "maintain": who.role == "admin", "push": who.writes(), "triage": who.writes(), "pull": true,
		}
	}
	return o
}

func (g *GitHubServer) getRepo(c *call) reply { return ok(g.showRepo(githubOwner, c.who)) }

func (g *GitHubServer) showEnd(owner, branch, sha string) object {
	return object{
		"label": owner + ":" + branch, "ref": branch, "sha": sha,
		"user": g.showOwner(owner), "repo": g.showRepo(owner, nil),
	}
}

func (g *GitHubServer) pullURL(p *pull) string {
	return fmt.Sprintf("%s/%s/pull/%d", g.base, g.fullName(), p.number)
}

// showPullSimple is a pull request in a list.
func (g *GitHubServer) showPullSimple(p *pull) object {
	labels := []object{}
	for _, l := range p.labels {
		labels = append(labels, g.showLabel(l))
	}
	return object{
		"id": p.id, "number": p.number, "node_id": fmt.Sprintf("PR_%d", p.id),
		"url":      fmt.Sprintf("%s/repos/%s/pulls/%d", g.API(), g.fullName(), p.number),
		"html_url": g.pullURL(p), "state": p.state(), "locked": false, "draft": p.draft,
		"title": p.title, "body": orNull(p.body), "user": g.showUser(p.author), "labels": labels,
		"head": g.showEnd(p.owner, p.branch, p.head), "base": g.showEnd(githubOwner, p.base, p.baseSHA),
		"created_at": timestamp(p.opened), "updated_at": timestamp(p.changed),
		"closed_at": timestamp(p.ended), "merged_at": g.mergedAt(p), "merge_commit_sha": g.mergeCommit(p),
		"requested_reviewers": g.showUsers(p.reviewers), "requested_teams": g.showTeams(p.teams),
		"author_association": g.association(p.author),
	}
}

// showPull is a pull request by itself.
func (g *GitHubServer) showPull(p *pull) object {
	o := g.showPullSimple(p)
	o["merged"], o["comments"], o["maintainer_can_modify"] = p.merged, len(p.comments), false
	o["mergeable"], o["mergeable_state"] = nil, "unknown"
	if p.looked && !p.closed {
		o["mergeable"], o["mergeable_state"] = p.mergeable, map[bool]string{true: "clean", false: "dirty"}[p.mergeable]
	}
	if p.merged {
		o["merged_by"] = g.showUser(p.mergedBy)
	}
	files, err := g.changes(p)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	commits, err := g.repo.git("rev-list", p.head, "--not", p.baseSHA)
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	o["changed_files"], o["commits"] = len(files), len(strings.Fields(commits))
	return o
}

func (g *GitHubServer) mergedAt(p *pull) any {
	if p.merged {
		return timestamp(p.ended)
	}
	return nil
}

// mergeCommit is that of the trial merge until the pull request is merged, and
// stays so when it is closed: "REST API endpoints for pull requests".
func (g *GitHubServer) mergeCommit(p *pull) any {
	if p.merged {
		return orNull(p.mergeSHA)
	}
	return orNull(p.test)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// association says nothing of rights: a reader may be a member of the
// organisation.
func (g *GitHubServer) association(login string) string {
	switch login {
	case githubAdmin, githubWriter, githubReader:
		return "MEMBER"
	case githubBot:
		return "COLLABORATOR"
	}
	return "NONE"
}

func (g *GitHubServer) showComment(p *pull, e *comment) object {
	return object{
		"id": e.id, "node_id": fmt.Sprintf("IC_%d", e.id), "body": e.body, "user": g.showUser(e.author),
		"url":        fmt.Sprintf("%s/repos/%s/issues/comments/%d", g.API(), g.fullName(), e.id),
		"html_url":   fmt.Sprintf("%s#issuecomment-%d", g.pullURL(p), e.id),
		"issue_url":  fmt.Sprintf("%s/repos/%s/issues/%d", g.API(), g.fullName(), p.number),
		"created_at": timestamp(e.made), "updated_at": timestamp(e.changed),
		"author_association": g.association(e.author),
	}
}

func (g *GitHubServer) showLabel(l *label) object {
	return object{
		"id": l.id, "node_id": fmt.Sprintf("LA_%d", l.id), "name": l.name, "color": l.color,
		"description": orNull(l.text), "default": false,
		"url": fmt.Sprintf("%s/repos/%s/labels/%s", g.API(), g.fullName(), l.name),
	}
}

func (g *GitHubServer) showEvent(e event) object {
	o := object{
		"id": e.id, "node_id": fmt.Sprintf("E_%d", e.id), "event": e.kind, "actor": g.showUser(e.by),
		"url":       fmt.Sprintf("%s/repos/%s/issues/events/%d", g.API(), g.fullName(), e.id),
		"commit_id": nil, "commit_url": nil, "created_at": timestamp(e.at),
	}
	switch {
	case e.label != nil:
		o["label"] = object{"name": e.label.name, "color": e.label.color}
	case e.kind == "renamed":
		o["rename"] = object{"from": e.from, "to": e.to}
	case e.who != "":
		o["review_requester"], o["requested_reviewer"] = g.showUser(e.by), g.showUser(e.who)
	}
	return o
}
