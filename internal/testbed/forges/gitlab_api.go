package forges

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// labCall is one request to GitLab's API.
type labCall struct {
	*exchange
	who *member
}

// gitlabProblem is an error: docs.gitlab.com/api/rest/troubleshooting.
func gitlabProblem(status int, message any) reply {
	return reply{status: status, body: object{"message": message}}
}

func labNotFound(what string) reply {
	return gitlabProblem(http.StatusNotFound, strings.TrimSpace("404 "+what)+" Not Found")
}

// labForbidden is what somebody with too small a role is told.
func labForbidden() reply { return gitlabProblem(http.StatusForbidden, "403 Forbidden") }

type labHandler func(*GitLabServer, *labCall) reply

const (
	labProject  = " /projects/{id}"
	labRequests = labProject + "/merge_requests"
	labRequest  = labRequests + "/{merge_request_iid}"
)

func gitlabOperations() map[string]labHandler {
	return map[string]labHandler{
		"GET /version": (*GitLabServer).getVersion,
		"GET /user":    (*GitLabServer).getUser,
		"GET /users":   (*GitLabServer).listUsers,

		"GET" + labProject: (*GitLabServer).getProject,
		"GET" + labProject + "/members/all/{user_id}":            (*GitLabServer).getMember,
		"GET" + labProject + "/labels":                           (*GitLabServer).listLabels,
		"POST" + labProject + "/labels":                          (*GitLabServer).createLabel,
		"GET" + labProject + "/repository/compare":               (*GitLabServer).compare,
		"GET" + labProject + "/repository/commits/{sha}":         (*GitLabServer).getCommit,
		"GET" + labProject + "/repository/files/{file_path}/raw": (*GitLabServer).getFile,

		"GET" + labRequests:                           (*GitLabServer).listRequests,
		"POST" + labRequests:                          (*GitLabServer).createRequest,
		"GET" + labRequest:                            (*GitLabServer).getRequest,
		"PUT" + labRequest:                            (*GitLabServer).updateRequest,
		"PUT" + labRequest + "/merge":                 (*GitLabServer).mergeRequest,
		"GET" + labRequest + "/diffs":                 (*GitLabServer).listDiffs,
		"GET" + labRequest + "/notes":                 (*GitLabServer).listNotes,
		"POST" + labRequest + "/notes":                (*GitLabServer).createNote,
		"PUT" + labRequest + "/notes/{note_id}":       (*GitLabServer).updateNote,
		"GET" + labRequest + "/resource_label_events": (*GitLabServer).listLabelEvents,
	}
}

func (g *GitLabServer) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(r)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow()
	x, answer := g.handle(r, body)
	g.write(w, r, x, answer)
}

// handle finds out who asks for what. A request that the description does not
// allow fails the test.
func (g *GitLabServer) handle(r *http.Request, body []byte) (*exchange, reply) {
	self := below(gitlabPrefix, r.URL)
	x, err := g.held.request(r, self, body)
	if err != nil {
		g.t.Errorf("GitLab does not allow this request: %s %s: %v", r.Method, self.RequestURI(), err)
		if x == nil {
			return nil, reply{status: http.StatusNotFound, body: object{"error": "404 Not Found"}}
		}
		return x, reply{status: http.StatusBadRequest, body: object{"error": "the request does not fit"}}
	}
	c := &labCall{exchange: x, who: g.who(gitlabToken(r))}
	if c.who == nil {
		return x, gitlabProblem(http.StatusUnauthorized, "401 Unauthorized")
	}
	// Rack refuses what no text holds, before anything else looks at it.
	if !utf8.Valid(body) || strings.Contains(string(body), `\u0000`) && !strings.Contains(string(body), `\\u0000`) {
		return x, reply{status: http.StatusBadRequest, body: object{"error": "400 Bad Request"}}
	}
	return x, g.dispatch(c)
}

// dispatch lets the request through to the project when the caller may.
func (g *GitLabServer) dispatch(c *labCall) reply {
	handler := gitlabOperations()[c.operation]
	if handler == nil {
		g.t.Errorf("the GitLab fake does not have %s: build it", c.operation)
		return labNotFound("")
	}
	id, inProject := c.vars["id"]
	if !inProject {
		return handler(g, c)
	}
	reads := strings.HasPrefix(c.operation, "GET ")
	name, _ := strings.CutPrefix(id, gitlabOwner+"/")
	moved := name != g.name && slices.Contains(g.former, name)
	switch {
	case g.deleted, id != strconv.Itoa(gitlabID) && id != g.fullName() && !moved, c.who.role == roleNone:
		// A private project is not there for who may not see it: docs.gitlab.com/api/rest/troubleshooting.
		return labNotFound("Project")
	case moved && !reads:
		return gitlabProblem(http.StatusMethodNotAllowed, "405 Non GET methods are not allowed for moved projects")
	case moved:
		return g.redirect(c)
	case g.archived && !reads:
		return labForbidden()
	}
	return handler(g, c)
}

// redirect sends reads of a moved project to its number: docs.gitlab.com/api/rest, "Redirects".
func (g *GitLabServer) redirect(c *labCall) reply {
	_, rest, _ := strings.Cut(strings.TrimPrefix(c.input.Request.URL.EscapedPath(), "/projects/"), "/")
	to := strings.TrimSuffix(fmt.Sprintf("%s/projects/%d/%s", g.API(), gitlabID, rest), "/")
	if q := c.query.Encode(); q != "" {
		to += "?" + q
	}
	return reply{
		status: http.StatusMovedPermanently, header: http.Header{"Location": {to}},
		raw: []byte("This resource has been moved to " + to), content: "text/plain",
	}
}

// write sends an answer. One that the description does not allow fails the test.
func (g *GitLabServer) write(w http.ResponseWriter, r *http.Request, x *exchange, answer reply) {
	h := w.Header()
	for name, values := range answer.header {
		h[name] = values
	}
	// docs.gitlab.com/administration/settings/user_and_ip_rate_limits, "Response headers".
	h.Set("RateLimit-Limit", "2000")
	h.Set("RateLimit-Name", "throttle_authenticated_api")
	h.Set("RateLimit-Observed", strconv.Itoa(g.lastID%1000))
	h.Set("RateLimit-Remaining", strconv.Itoa(2000-g.lastID%1000))
	h.Set("RateLimit-Reset", strconv.FormatInt(g.clock().Unix()+60, 10))
	h.Set("X-Gitlab-Meta", `{"correlation_id":"01FAKE","version":"1"}`)
	h.Set("X-Request-Id", fmt.Sprintf("01FAKE%d", g.id()))
	if answer.raw != nil {
		h.Set("Content-Type", answer.content)
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.raw)
		return
	}
	h.Set("Content-Type", "application/json")
	raw, err := marshal(x, answer, h)
	if err != nil {
		g.t.Errorf("GitLab would not answer so: %s %s: status %d: %v\n%s", r.Method, r.URL.RequestURI(), answer.status, err, raw)
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(raw)
}

// read fills v, a pointer, with the request's body, which the description allows.
func (c *labCall) read(v any) error {
	if len(c.body) == 0 {
		return nil
	}
	return json.Unmarshal(c.body, v)
}

// labList answers with one page: docs.gitlab.com/api/rest, "Offset-based
// pagination": 20 to a page, at most 100.
func labList[T any](c *labCall, all []T, render func(T) object) reply {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(c.query.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	size, at := number("per_page", 20), number("page", 1)
	last := max(1, (len(all)+size-1)/size)
	h := http.Header{}
	h.Set("X-Page", strconv.Itoa(at))
	h.Set("X-Per-Page", strconv.Itoa(size))
	h.Set("X-Total", strconv.Itoa(len(all)))
	h.Set("X-Total-Pages", strconv.Itoa(last))
	h.Set("X-Next-Page", "")
	if at < last {
		h.Set("X-Next-Page", strconv.Itoa(at+1))
	}
	from := min((at-1)*size, len(all))
	body := make([]object, 0, size)
	for _, e := range all[from:min(from+size, len(all))] {
		body = append(body, render(e))
	}
	return reply{status: http.StatusOK, header: h, body: body}
}

// labTime is null for the zero time.
func labTime(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.Format("2006-01-02T15:04:05.000Z07:00")
}

func (g *GitLabServer) web(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = (&url.URL{Path: p}).EscapedPath()
	}
	return g.base + "/" + strings.Join(escaped, "/")
}
