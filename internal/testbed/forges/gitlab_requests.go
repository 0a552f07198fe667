package forges

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// mergeRequest is one, with what was said and done.
type mergeRequest struct {
	iid, id            int
	title, body, state string
	author             string
	branch, target     string
	fork               bool
	sha                string
	// start is where the branches parted when it was opened.
	start string
	// looked are the head and the target that were last looked at.
	looked                string
	labels                []string
	reviewers             []int
	opened, changed, done time.Time
	doneBy                string
	mergeSHA, squashSHA   string
	notes                 []*labNote
	events                []labEvent
}

type labNote struct {
	id       int
	author   string
	body     string
	system   bool
	kind     string // DiffNote for one on a line
	at, edit time.Time
}

type labEvent struct {
	id          int
	by          string
	label, what string
	at          time.Time
}

func (m *mergeRequest) ref() string {
	if m.fork {
		return forkRefs + m.author + "/" + m.branch
	}
	return branchRefs + m.branch
}

// draftTitle: docs.gitlab.com/user/project/merge_requests/drafts.
var draftTitle = regexp.MustCompile(`(?i)^(\[draft\]|\(draft\)|draft:)`)

func (m *mergeRequest) draft() bool { return draftTitle.MatchString(m.title) }

// find the merge request that the path names.
func (g *GitLabServer) request(c *labCall) *mergeRequest {
	n, _ := strconv.Atoi(c.vars["merge_request_iid"])
	if n < 1 || n > len(g.requests) {
		return nil
	}
	return g.requests[n-1]
}

// listRequests: docs.gitlab.com/api/merge_requests: newest first unless told otherwise.
func (g *GitLabServer) listRequests(c *labCall) reply {
	var found []*mergeRequest
	state, branch, scope := c.query.Get("state"), c.query.Get("source_branch"), c.query.Get("scope")
	after, _ := time.Parse(time.RFC3339, c.query.Get("created_after"))
	for _, m := range g.requests {
		switch {
		case state != "" && state != "all" && m.state != state:
		case branch != "" && m.branch != branch:
		case scope == "created_by_me" && m.author != c.who.login:
		case m.opened.Before(after):
		default:
			found = append(found, m)
		}
	}
	by := func(m *mergeRequest) time.Time { return m.opened }
	if c.query.Get("order_by") == "updated_at" {
		by = func(m *mergeRequest) time.Time { return m.changed }
	}
	slices.SortStableFunc(found, func(a, b *mergeRequest) int { return by(a).Compare(by(b)) })
	if c.query.Get("sort") != "asc" {
		slices.Reverse(found)
	}
	return labList(c, found, g.showBasic)
}

func (g *GitLabServer) getRequest(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	return ok(g.showRequest(m, c.who))
}

// labInput are the fields of a merge request that a client may send.
type labInput struct {
	SourceBranch string  `json:"source_branch"`
	TargetBranch string  `json:"target_branch"`
	Title        *string `json:"title"`
	Description  *string `json:"description"`
	StateEvent   string  `json:"state_event"`
	Labels       string  `json:"labels"`
	AddLabels    string  `json:"add_labels"`
	RemoveLabels string  `json:"remove_labels"`
	ReviewerIDs  *[]int  `json:"reviewer_ids"`
}

// createRequest: docs.gitlab.com/api/merge_requests, "Create a merge request".
func (g *GitLabServer) createRequest(c *labCall) reply {
	var in labInput
	if err := c.read(&in); err != nil {
		return gitlabProblem(http.StatusBadRequest, err.Error())
	}
	if c.who.role < roleDeveloper {
		return labForbidden()
	}
	if answer, fine := labTexts(in.Title, in.Description); !fine {
		return answer
	}
	m := &mergeRequest{author: c.who.login, branch: in.SourceBranch, target: in.TargetBranch, title: *in.Title}
	if in.Description != nil {
		m.body = *in.Description
	}
	if answer, fine := g.open(m); !fine {
		return answer
	}
	g.addLabels(m, in.Labels, c.who)
	if in.ReviewerIDs != nil {
		g.review(m, *in.ReviewerIDs, c.who)
	}
	m.body = g.act(m, m.body, c.who)
	return created(g.showRequest(m, c.who))
}

// open adds a merge request. One without a difference is fine with GitLab.
func (g *GitLabServer) open(m *mergeRequest) (reply, bool) {
	sha, target := g.repo.tip(m.ref()), g.repo.tip(branchRefs+m.target)
	switch {
	case sha == "":
		return gitlabProblem(http.StatusUnprocessableEntity, []string{fmt.Sprintf("Source branch %q does not exist", m.branch)}), false
	case target == "":
		return gitlabProblem(http.StatusUnprocessableEntity, []string{fmt.Sprintf("Target branch %q does not exist", m.target)}), false
	case !m.fork && m.branch == m.target:
		return gitlabProblem(http.StatusUnprocessableEntity, []string{"You can't use same project/branch for source and target"}), false
	}
	for _, other := range g.requests {
		if other.state == "opened" && other.ref() == m.ref() && other.target == m.target {
			return gitlabProblem(http.StatusConflict, []string{fmt.Sprintf("Another open merge request already exists for this source branch: !%d", other.iid)}), false
		}
	}
	m.iid, m.id, m.state, m.sha = len(g.requests)+1, g.id(), "opened", sha
	m.start, _ = g.repo.git("merge-base", target, sha)
	m.opened = g.now()
	m.changed = m.opened
	g.requests = append(g.requests, m)
	g.publish(m)
	return reply{}, true
}

// publish keeps refs/merge-requests/N/head: docs.gitlab.com/user/project/merge_requests/merge_request_troubleshooting,
// "Check out merge requests locally".
func (g *GitLabServer) publish(m *mergeRequest) {
	if err := g.repo.setRef(fmt.Sprintf("refs/merge-requests/%d/head", m.iid), m.sha, ""); err != nil {
		g.t.Errorf("GitLab: %v", err)
	}
}

// labTexts checks the limits: 255 characters for a title, 1,048,576 for a
// description (docs.gitlab.com/administration/instance_limits).
func labTexts(title, body *string) (reply, bool) {
	const most = 1048576
	switch {
	case title != nil && strings.TrimSpace(*title) == "":
		return gitlabProblem(http.StatusBadRequest, object{"title": []string{"can't be blank"}}), false
	case title != nil && utf8.RuneCountInString(*title) > 255:
		return gitlabProblem(http.StatusBadRequest, object{"title": []string{"is too long (maximum is 255 characters)"}}), false
	case body != nil && utf8.RuneCountInString(*body) > most:
		return gitlabProblem(http.StatusBadRequest, object{"description": []string{"is too long (maximum is 1048576 characters)"}}), false
	}
	return reply{}, true
}

// updateRequest: docs.gitlab.com/api/merge_requests, "Update a merge request".
func (g *GitLabServer) updateRequest(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	if c.who.role < roleDeveloper && c.who.login != m.author {
		return labForbidden()
	}
	var in labInput
	if err := c.read(&in); err != nil {
		return gitlabProblem(http.StatusBadRequest, err.Error())
	}
	if answer, fine := labTexts(in.Title, in.Description); !fine {
		return answer
	}
	if in.Title != nil {
		m.title = *in.Title
	}
	if in.Description != nil {
		m.body = g.act(m, *in.Description, c.who)
	}
	g.addLabels(m, in.AddLabels, c.who)
	for _, name := range splitLabels(in.RemoveLabels) {
		g.unlabel(m, name, c.who.login)
	}
	if in.ReviewerIDs != nil {
		g.review(m, *in.ReviewerIDs, c.who)
	}
	if in.StateEvent == "close" {
		g.close(m, c.who.login)
	}
	if in.StateEvent == "reopen" && m.state == "closed" {
		m.state, m.done = "opened", time.Time{}
	}
	m.changed = g.now()
	return ok(g.showRequest(m, c.who))
}

// close leaves alone what has ended.
func (g *GitLabServer) close(m *mergeRequest, login string) {
	if m.state == "opened" {
		m.state, m.done, m.doneBy = "closed", g.now(), login
		g.note(m, login, "closed", true)
	}
}

// mergeRequest: docs.gitlab.com/api/merge_requests, "Merge a merge request":
// 405 for what can't be merged, 409 when sha is not the head.
func (g *GitLabServer) mergeRequest(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	var in struct {
		SHA    string
		Squash bool
	}
	if err := c.read(&in); err != nil {
		return gitlabProblem(http.StatusBadRequest, err.Error())
	}
	switch {
	case c.who.role < roleDeveloper:
		return gitlabProblem(http.StatusUnauthorized, "401 Unauthorized")
	case in.SHA != "" && in.SHA != m.sha:
		return gitlabProblem(http.StatusConflict, "SHA does not match HEAD of source branch: "+m.sha)
	case m.state != "opened" || m.draft():
		return gitlabProblem(http.StatusMethodNotAllowed, "405 Method Not Allowed")
	}
	if _, fine := g.merge(m, c.who.login, in.Squash, false); !fine {
		return gitlabProblem(http.StatusUnprocessableEntity, "Branch cannot be merged")
	}
	return ok(g.showRequest(m, c.who))
}

// merge puts a merge request on its target: by a commit with two parents, with
// its changes in one, or by moving the target to its head.
func (g *GitLabServer) merge(m *mergeRequest, login string, squash, fastForward bool) (hash string, fine bool) {
	base := g.repo.tip(branchRefs + m.target)
	tree, clean := g.repo.merge(base, m.sha)
	if !clean || fastForward && !g.repo.contains(m.sha, base) {
		return "", false
	}
	who := identity{login, login + "@example.com"}
	var err error
	switch {
	case fastForward:
		hash = m.sha
	case squash:
		hash, err = g.repo.commit(tree, []string{base}, m.title, who)
		m.squashSHA = hash
	default:
		hash, err = g.repo.commit(tree, []string{base, m.sha}, fmt.Sprintf("Merge branch '%s' into '%s'", m.branch, m.target), who)
		m.mergeSHA = hash
	}
	if err == nil {
		err = g.repo.setRef(branchRefs+m.target, hash, base)
	}
	if err != nil {
		g.t.Errorf("GitLab: %v", err)
		return "", false
	}
	m.state, m.done, m.doneBy = "merged", g.now(), login
	g.note(m, login, "merged", true)
	return hash, true
}

// follow takes over what pushes did: a merge request is at the head of its
// branch as long as there is one, and merged when the target has its commits.
func (g *GitLabServer) follow() {
	tips, err := g.repo.refs("refs/")
	if err != nil {
		g.t.Errorf("GitLab: %v", err)
		return
	}
	for _, m := range g.requests {
		if m.state != "opened" {
			continue
		}
		if sha := tips[m.ref()]; sha != "" && sha != m.sha {
			m.sha, m.changed = sha, g.now()
			g.publish(m)
			g.note(m, m.author, "added 1 commit", true)
		}
		target := tips[branchRefs+m.target]
		if looked := m.sha + target; looked != m.looked && target != "" {
			m.looked = looked
			if m.sha != m.start && g.repo.contains(target, m.sha) {
				m.state, m.done, m.doneBy = "merged", g.now(), gitlabWriter
			}
		}
	}
}

func (g *GitLabServer) listDiffs(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	return labList(c, g.diffs(m.start, m.sha), func(d object) object { return d })
}
