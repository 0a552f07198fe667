package forges

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (g *GitLabServer) showBasic(m *mergeRequest) object {
	null := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	reviewers := []object{}
	for _, id := range m.reviewers {
		reviewers = append(reviewers, g.showUser(g.personByID(id)))
	}
	source := gitlabID
	if m.fork {
		source++
	}
	short := fmt.Sprintf("!%d", m.iid)
	o := object{
		"id": m.id, "iid": m.iid, "project_id": gitlabID, "title": m.title, "description": m.body, "state": m.state,
		"created_at": labTime(m.opened), "updated_at": labTime(m.changed), "author": g.showUser(g.person(m.author)),
		"source_branch": m.branch, "target_branch": m.target, "source_project_id": source, "target_project_id": gitlabID,
		"labels": append([]string{}, slices.Sorted(slices.Values(m.labels))...), "reviewers": reviewers, "draft": m.draft(), "work_in_progress": m.draft(),
		"sha": m.sha, "merge_commit_sha": null(m.mergeSHA), "squash_commit_sha": null(m.squashSHA),
		"merge_status": "can_be_merged", "detailed_merge_status": "mergeable", "blocking_discussions_resolved": true,
		"reference": short, "references": object{"short": short, "relative": short, "full": g.fullName() + short},
		"web_url": g.web(g.fullName(), "-", "merge_requests", strconv.Itoa(m.iid)),
	}
	for state, names := range map[string][]string{"closed": {"closed_at", "closed_by"}, "merged": {"merged_at", "merged_by", "merge_user"}} {
		if m.state == state {
			o[names[0]] = labTime(m.done)
			for _, name := range names[1:] {
				o[name] = g.userOrNil(m.doneBy)
			}
		}
	}
	return o
}

func (g *GitLabServer) showRequest(m *mergeRequest, who *member) object {
	o := g.showBasic(m)
	o["user"] = object{"can_merge": who.role >= roleDeveloper}
	o["changes_count"] = strconv.Itoa(len(g.diffs(m.start, m.sha)))
	o["diff_refs"] = object{"base_sha": m.start, "head_sha": m.sha, "start_sha": m.start}
	return o
}

// splitLabels: labels come as one text with commas: docs.gitlab.com/api/merge_requests.
func splitLabels(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// addLabels makes those that are missing, which takes the role Reporter;
// otherwise they are left out without a word: docs.gitlab.com/user/project/labels.
func (g *GitLabServer) addLabels(m *mergeRequest, text string, who *member) {
	for _, name := range splitLabels(text) {
		if !slices.Contains(g.labels, name) {
			if who.role < roleReporter || g.noLabels {
				continue
			}
			g.labels = append(g.labels, name)
		}
		if !slices.Contains(m.labels, name) {
			m.labels = append(m.labels, name)
			m.events = append(m.events, labEvent{g.id(), who.login, name, "add", g.now()})
		}
	}
}

func (g *GitLabServer) unlabel(m *mergeRequest, name, login string) bool {
	at := slices.Index(m.labels, name)
	if at < 0 {
		return false
	}
	m.labels = slices.Delete(m.labels, at, at+1)
	m.events = append(m.events, labEvent{g.id(), login, name, "remove", g.now()})
	return true
}

// review sets the reviewers: who may not see the project is left out, and all
// but one without a licence.
func (g *GitLabServer) review(m *mergeRequest, ids []int, who *member) {
	var now []int
	for _, id := range ids {
		if u := g.personByID(id); u != nil && u.role > roleNone && !slices.Contains(now, id) && len(now) < g.reviewers {
			now = append(now, id)
		}
	}
	var said []string
	for verb, lists := range map[string][2][]int{"requested review from": {now, m.reviewers}, "removed review request for": {m.reviewers, now}} {
		for _, id := range lists[0] {
			if !slices.Contains(lists[1], id) {
				said = append(said, fmt.Sprintf("%s @%s", verb, g.personByID(id).login))
			}
		}
	}
	m.reviewers = now
	if slices.Sort(said); len(said) > 0 {
		slices.Reverse(said)
		g.note(m, who.login, strings.Join(said, " and "), true)
	}
}

func (g *GitLabServer) listLabelEvents(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	return labList(c, m.events, func(e labEvent) object {
		return object{
			"id": e.id, "user": g.showUser(g.person(e.by)), "created_at": labTime(e.at), "resource_type": "MergeRequest", "resource_id": m.id,
			"label": object{"id": 500 + slices.Index(g.labels, e.label), "name": e.label, "color": "#6699cc"}, "action": e.what,
		}
	})
}

func (g *GitLabServer) note(m *mergeRequest, login, text string, system bool) *labNote {
	at := g.now()
	n := &labNote{id: g.id(), author: login, body: text, system: system, at: at, edit: at}
	m.notes = append(m.notes, n)
	m.changed = at
	return n
}

// listNotes: docs.gitlab.com/api/notes: newest first unless told otherwise.
func (g *GitLabServer) listNotes(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	notes := slices.Clone(m.notes)
	if c.query.Get("sort") != "asc" {
		slices.Reverse(notes)
	}
	return labList(c, notes, func(n *labNote) object { return g.showNote(m, n) })
}

func (g *GitLabServer) showNote(m *mergeRequest, n *labNote) object {
	o := object{
		"id": n.id, "type": nil, "body": n.body, "author": g.showUser(g.person(n.author)), "created_at": labTime(n.at), "updated_at": labTime(n.edit),
		"system": n.system, "noteable_id": m.id, "noteable_iid": m.iid, "noteable_type": "MergeRequest", "project_id": gitlabID,
	}
	if n.kind != "" {
		o["type"] = n.kind
	}
	return o
}

// noteText: a note holds up to 1,000,000 characters: docs.gitlab.com/administration/instance_limits.
func noteText(c *labCall) (string, *reply) {
	var in struct{ Body string }
	err := c.read(&in)
	switch {
	case err != nil:
		r := gitlabProblem(http.StatusBadRequest, err.Error())
		return "", &r
	case strings.TrimSpace(in.Body) == "":
		r := gitlabProblem(http.StatusBadRequest, `400 Bad request - Note {:note=>["can't be blank"]}`)
		return "", &r
	case utf8.RuneCountInString(in.Body) > 1_000_000:
		r := gitlabProblem(http.StatusBadRequest, `400 Bad request - Note {:note=>["is too long (maximum is 1000000 characters)"]}`)
		return "", &r
	}
	return in.Body, nil
}

// createNote: docs.gitlab.com/api/notes: 202 when there were only commands.
func (g *GitLabServer) createNote(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	text, bad := noteText(c)
	if bad != nil {
		return *bad
	}
	text = g.act(m, text, c.who)
	if strings.TrimSpace(text) == "" {
		return reply{status: http.StatusAccepted, body: object{"commands_changes": object{}, "summary": []string{"Closed this merge request."}}}
	}
	return created(g.showNote(m, g.note(m, c.who.login, text, false)))
}

// updateNote: who wrote a note may change it, and who is at least Maintainer:
// docs.gitlab.com/user/discussions.
func (g *GitLabServer) updateNote(c *labCall) reply {
	m := g.request(c)
	if m == nil {
		return labNotFound("")
	}
	for _, n := range m.notes {
		if strconv.Itoa(n.id) != c.vars["note_id"] {
			continue
		}
		if n.author != c.who.login && c.who.role < roleMaintainer || n.system {
			return labForbidden()
		}
		text, bad := noteText(c)
		if bad != nil {
			return *bad
		}
		n.body, n.edit = g.act(m, text, c.who), g.now()
		return ok(g.showNote(m, n))
	}
	return labNotFound("Note")
}

// commands are lines that GitLab carries out and takes out of the text, unless
// they are in a block of code: docs.gitlab.com/user/project/quick_actions. Leading
// white space does not hide them.
var (
	codeBlock = regexp.MustCompile("(?ms)^```.+?^```[ ]*$")
	commands  = regexp.MustCompile(`(?m)^\s*/(close|reopen|merge|draft|ready|label|unlabel|assign|assign_reviewer|title|target_branch|approve|lock)\b[^\n]*\n?`)
)

// act does what the text commands, as far as this fake can, and gives the rest.
func (g *GitLabServer) act(m *mergeRequest, text string, who *member) string {
	var rest strings.Builder
	plain := func(part string) {
		for _, line := range commands.FindAllString(part, -1) {
			g.obey(m, strings.TrimSpace(line), who)
		}
		rest.WriteString(commands.ReplaceAllString(part, ""))
	}
	at := 0
	for _, block := range codeBlock.FindAllStringIndex(text, -1) {
		plain(text[at:block[0]])
		rest.WriteString(text[block[0]:block[1]])
		at = block[1]
	}
	plain(text[at:])
	return rest.String()
}

func (g *GitLabServer) obey(m *mergeRequest, command string, who *member) {
	switch verb, _, _ := strings.Cut(command, " "); verb {
	case "/close":
		g.close(m, who.login)
	case "/draft":
		if !m.draft() {
			m.title = "Draft: " + m.title
		}
	default:
		g.note(m, who.login, "obeyed "+command, true)
	}
}
