package forges

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// pull is a pull request with its talk.
type pull struct {
	number, id  int
	title, body string
	author      string
	draft       bool
	// owner and branch are what it comes from: the repository's own owner, or that of a fork.
	owner, branch string
	base          string
	head          string // commit
	baseSHA       string
	closed        bool
	opened        time.Time
	changed       time.Time
	ended         time.Time // zero while it is open
	merged        bool
	mergedBy      string
	// test is the commit of the trial merge, mergeable its outcome; looked says that
	// somebody asked, which starts the trial.
	test      string
	mergeable bool
	looked    bool
	mergeSHA  string
	labels    []*label
	reviewers []string
	teams     []string
	comments  []*comment
	events    []event
}

func (p *pull) ref() string {
	if p.owner == githubOwner {
		return branchRefs + p.branch
	}
	return forkRefs + p.owner + "/" + p.branch
}

func (p *pull) state() string {
	if p.closed {
		return "closed"
	}
	return "open"
}

// GitHub's limits, in characters.
const (
	maxPullTitle = 256
	maxPullBody  = 65536
)

// texts checks a title and a body.
func texts(resource string, title, body *string) (reply, bool) {
	switch {
	case title != nil && strings.TrimSpace(*title) == "":
		return invalid(resource, "title", "missing_field", ""), false
	case title != nil && utf8.RuneCountInString(*title) > maxPullTitle:
		return invalid(resource, "title", "custom", fmt.Sprintf("title is too long (maximum is %d characters)", maxPullTitle)), false
	case body != nil && utf8.RuneCountInString(*body) > maxPullBody:
		return invalid(resource, "body", "custom", fmt.Sprintf("body is too long (maximum is %d characters)", maxPullBody)), false
	}
	return reply{}, true
}

// createPull: docs.github.com "REST API endpoints for pull requests", and for the
// words of the errors what users report of it.
func (g *GitHubServer) createPull(c *call) reply {
	var in struct {
		Title, Body, Head, Base string
		Draft                   bool
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	owner, branch, found := strings.Cut(in.Head, ":")
	if !found {
		owner, branch = githubOwner, in.Head
	}
	p := &pull{
		title: in.Title, body: in.Body, author: c.who.login, draft: in.Draft,
		owner: owner, branch: branch, base: in.Base,
	}
	if answer, fine := texts("PullRequest", &in.Title, &in.Body); !fine {
		return answer
	}
	if answer, fine := g.open(p); !fine {
		return answer
	}
	return created(g.showPull(p))
}

// open checks the branches and gives the number.
func (g *GitHubServer) open(p *pull) (reply, bool) {
	p.head, p.baseSHA = g.repo.tip(p.ref()), g.repo.tip(branchRefs+p.base)
	switch {
	case p.head == "":
		return invalid("PullRequest", "head", "invalid", ""), false
	case p.baseSHA == "":
		return invalid("PullRequest", "base", "invalid", ""), false
	case p.draft && g.noDrafts:
		return problem(http.StatusUnprocessableEntity, "Draft pull requests are not supported in this repository."), false
	case slices.ContainsFunc(g.pulls, func(o *pull) bool { return !o.closed && o.ref() == p.ref() && o.base == p.base }):
		return invalid("PullRequest", "", "custom", fmt.Sprintf("A pull request already exists for %s:%s.", p.owner, p.branch)), false
	case g.repo.contains(p.baseSHA, p.head):
		head := p.branch
		if p.owner != githubOwner {
			head = p.owner + ":" + p.branch
		}
		return invalid("PullRequest", "", "custom", fmt.Sprintf("No commits between %s and %s", p.base, head)), false
	}
	p.number, p.id = len(g.pulls)+1, g.id()
	p.opened, p.changed = g.now(), g.now()
	g.pulls = append(g.pulls, p)
	g.publish(p)
	return reply{}, true
}

// publish keeps refs/pull/N/head, which everybody sees who lists the refs:
// "Checking out pull requests locally".
func (g *GitHubServer) publish(p *pull) {
	if err := g.repo.setRef(fmt.Sprintf("refs/pull/%d/head", p.number), p.head, ""); err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
}

func (g *GitHubServer) getPull(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	answer := ok(g.showPull(p))
	g.tryMerge(p)
	return answer
}

// tryMerge is the trial merge that a look at a pull request starts, so that the
// first one sees "mergeable": null: "REST API endpoints for pull requests".
func (g *GitHubServer) tryMerge(p *pull) {
	if p.closed || p.looked {
		return
	}
	p.looked = true
	tree, fine := g.repo.merge(p.baseSHA, p.head)
	if p.mergeable = fine; fine {
		p.test = g.commit(tree, []string{p.baseSHA, p.head}, fmt.Sprintf("Merge %s into %s", p.head, p.baseSHA), githubAdmin)
	}
}

func (g *GitHubServer) commit(tree string, parents []string, message, login string) string {
	hash, err := g.repo.commit(tree, parents, message, g.identity(login))
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
	}
	return hash
}

// identity: "Setting your commit email address".
func (g *GitHubServer) identity(login string) identity {
	return identity{login, fmt.Sprintf("%d+%s@users.noreply.github.com", g.people[login].id, login)}
}

// listPulls: "REST API endpoints for pull requests". A head that is not
// OWNER:BRANCH filters nothing.
func (g *GitHubServer) listPulls(c *call) reply {
	state, head, base := c.query.Get("state"), c.query.Get("head"), c.query.Get("base")
	if state == "" {
		state = "open"
	}
	var found []*pull
	for _, p := range g.pulls {
		switch {
		case state != "all" && p.state() != state:
		case strings.Contains(head, ":") && head != p.owner+":"+p.branch:
		case base != "" && base != p.base:
		default:
			found = append(found, p)
		}
	}
	by := func(p *pull) time.Time { return p.opened }
	if c.query.Get("sort") == "updated" {
		by = func(p *pull) time.Time { return p.changed }
	}
	slices.SortStableFunc(found, func(a, b *pull) int { return by(a).Compare(by(b)) })
	// Newest first when it is sorted by creation or not told how.
	sort, direction := c.query.Get("sort"), c.query.Get("direction")
	if direction == "desc" || direction == "" && (sort == "" || sort == "created") {
		slices.Reverse(found)
	}
	return list(g, c, found, g.showPullSimple)
}

func (g *GitHubServer) updatePull(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	var in struct{ Title, Body, State, Base *string }
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	if answer, fine := texts("PullRequest", in.Title, in.Body); !fine {
		return answer
	}
	if in.State != nil && *in.State != p.state() {
		if answer, fine := g.setState(p, *in.State, c.who.login); !fine {
			return answer
		}
	}
	if in.Base != nil && *in.Base != p.base {
		sha := g.repo.tip(branchRefs + *in.Base)
		if sha == "" {
			return invalid("PullRequest", "base", "invalid", "")
		}
		p.base, p.baseSHA, p.looked = *in.Base, sha, false
	}
	if in.Title != nil && *in.Title != p.title {
		g.happened(p, event{kind: "renamed", by: c.who.login, from: p.title, to: *in.Title})
		p.title = *in.Title
	}
	if in.Body != nil {
		p.body = *in.Body
	}
	p.changed = g.now()
	return ok(g.showPull(p))
}

// setState closes or opens again.
func (g *GitHubServer) setState(p *pull, state, login string) (reply, bool) {
	if state == "closed" {
		g.closePull(p, login)
		return reply{}, true
	}
	if p.merged {
		return invalid("PullRequest", "state", "custom", "state cannot be changed. The pull request is merged."), false
	}
	if g.repo.tip(p.ref()) == "" {
		return invalid("PullRequest", "state", "custom", fmt.Sprintf("state cannot be changed. The %s branch has been deleted.", p.branch)), false
	}
	p.closed, p.ended = false, time.Time{}
	g.happened(p, event{kind: "reopened", by: login})
	g.sync()
	return reply{}, true
}

func (g *GitHubServer) closePull(p *pull, login string) {
	p.closed, p.ended, p.changed = true, g.now(), g.now()
	g.happened(p, event{kind: "closed", by: login})
}

// sync takes over what pushes did: a pull request follows its branch and is
// closed with it ("Deleting and restoring branches in a pull request"); one whose
// commits have reached the base is merged ("About pull request merges", indirect
// merges).
func (g *GitHubServer) sync() {
	heads, err := g.repo.refs("refs/")
	if err != nil {
		g.t.Errorf("GitHub: %v", err)
		return
	}
	for _, p := range g.pulls {
		if !p.closed {
			g.follow(p, heads[p.ref()], heads[branchRefs+p.base])
		}
	}
}

func (g *GitHubServer) follow(p *pull, head, base string) {
	if base != "" && base != p.baseSHA {
		p.baseSHA, p.looked, p.test = base, false, ""
		if g.repo.contains(base, p.head) {
			g.setMerged(p, p.head, githubWriter)
			return
		}
	}
	switch {
	case head == "":
		g.happened(p, event{kind: "head_ref_deleted", by: githubWriter})
		g.closePull(p, githubWriter)
	case base == "":
		g.closePull(p, githubWriter)
	case head != p.head:
		if !g.repo.contains(head, p.head) {
			g.happened(p, event{kind: "head_ref_force_pushed", by: githubWriter})
		}
		p.head, p.looked, p.test, p.changed = head, false, "", g.now()
		g.publish(p)
		if g.repo.contains(base, head) { // nothing is left to merge
			g.closePull(p, githubWriter)
		}
	}
}

func (g *GitHubServer) setMerged(p *pull, hash, login string) {
	p.merged, p.mergedBy, p.mergeSHA = true, login, hash
	g.happened(p, event{kind: "merged", by: login})
	g.closePull(p, login)
}

// mergePull: "REST API endpoints for pull requests", Merge a pull request.
func (g *GitHubServer) mergePull(c *call) reply {
	p := g.pull(c)
	if p == nil {
		return notFound()
	}
	var in struct {
		SHA    string `json:"sha"`
		Method string `json:"merge_method"`
	}
	if err := c.read(&in); err != nil {
		return badJSON()
	}
	switch {
	case in.SHA != "" && in.SHA != p.head:
		return problem(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	case p.closed:
		return problem(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	case p.draft:
		return problem(http.StatusMethodNotAllowed, "Pull Request is still a draft")
	case in.Method == "rebase":
		return problem(http.StatusMethodNotAllowed, "Rebase merges are not allowed on this repository.")
	}
	hash, fine := g.mergeNow(p, c.who.login, in.Method == "squash")
	if !fine {
		return problem(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	return ok(object{"sha": hash, "merged": true, "message": "Pull Request successfully merged"})
}

func (g *GitHubServer) mergeNow(p *pull, login string, squash bool) (string, bool) {
	tree, fine := g.repo.merge(p.baseSHA, p.head)
	if !fine {
		return "", false
	}
	parents, message := []string{p.baseSHA, p.head}, fmt.Sprintf("Merge pull request #%d from %s/%s\n\n%s\n", p.number, p.owner, p.branch, p.title)
	if squash {
		parents, message = parents[:1], fmt.Sprintf("%s (#%d)\n", p.title, p.number)
	}
	hash := g.commit(tree, parents, message, login)
	if err := g.repo.setRef(branchRefs+p.base, hash, p.baseSHA); err != nil {
		return "", false
	}
	p.baseSHA = hash
	g.setMerged(p, hash, login)
	g.sync()
	return hash, true
}

func (g *GitHubServer) pullMerged(c *call) reply {
	if p := g.pull(c); p == nil || !p.merged {
		return notFound()
	}
	return reply{status: http.StatusNoContent}
}
