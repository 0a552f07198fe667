package forges

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// call is one request to the API.
type call struct {
	*exchange
	who    *person // nil for an app that shows its own JWT
	accept string
	// self is the path below the API's base, and the query.
	self *url.URL
}

// reply is an answer. A nil body is none.
type reply struct {
	status int
	header http.Header
	body   any
	// raw is a body that is not JSON, of type content.
	raw     []byte
	content string
}

func ok(body any) reply      { return reply{status: http.StatusOK, body: body} }
func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

// problem is an error. docs.github.com: "Troubleshooting the REST API".
func problem(status int, message string) reply {
	return reply{status: status, body: object{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	}}
}

// invalid is "Validation Failed" with one error.
func invalid(resource, field, code, message string) reply {
	r := problem(http.StatusUnprocessableEntity, "Validation Failed")
	e := object{"resource": resource, "code": code}
	if field != "" {
		e["field"] = field
	}
	if message != "" {
		e["message"] = message
	}
	r.body.(object)["errors"] = []object{e}
	return r
}

func notFound() reply { return problem(http.StatusNotFound, "Not Found") }

// forbidden is what a token without enough rights is told.
func forbidden() reply {
	return problem(http.StatusForbidden, "Resource not accessible by personal access token")
}

// bearer is the token of a request, in any of the ways that GitHub takes one:
// "Authenticating to the REST API".
func bearer(r *http.Request) string {
	if _, pass, ok := r.BasicAuth(); ok {
		return pass
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return token
	}
	return ""
}

func (g *GitHubServer) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(r)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sync()
	x, answer := g.handle(r, body)
	g.write(w, r, x, answer)
}

// handle finds out who asks for what. A request that the description does not
// allow fails the test. The exchange is nil when there is none to hold the
// answer to.
func (g *GitHubServer) handle(r *http.Request, body []byte) (*exchange, reply) {
	self := below(apiPrefix, r.URL)
	if answer, moved := g.redirect(r.Method, self); moved {
		return nil, answer
	}
	x, err := g.held.request(r, self, body)
	if err != nil {
		g.t.Errorf("GitHub does not allow this request: %s %s: %v", r.Method, self.RequestURI(), err)
		return nil, problem(http.StatusBadRequest, "Problems parsing JSON")
	}
	c := &call{exchange: x, accept: r.Header.Get("Accept"), self: self}
	token := bearer(r)
	if forApps(x.operation) {
		return x, g.asApp(c, token)
	}
	c.who = g.people[g.tokens[token]]
	switch {
	case c.who == nil && token != "":
		return x, problem(http.StatusUnauthorized, "Bad credentials")
	case c.who == nil && x.operation != "GET /meta":
		return x, problem(http.StatusUnauthorized, "Requires authentication")
	}
	return x, g.dispatch(c)
}

// forApps says that an operation takes an app's JWT and no token.
func forApps(operation string) bool {
	return strings.Contains(operation, " /app") || strings.HasSuffix(operation, "/installation")
}

// redirect sends a moved repository's requests to its number, and takes those
// that come with it. docs.github.com: "Best practices for using the REST API":
// 301 for all that only reads, 307 for the rest.
func (g *GitHubServer) redirect(method string, self *url.URL) (reply, bool) {
	numbered := fmt.Sprintf("/repositories/%d", githubRepoID)
	full := "/repos/" + g.fullName()
	if rest, ok := strings.CutPrefix(self.EscapedPath(), numbered); ok {
		moved, err := url.Parse(full + rest)
		if err == nil {
			self.Path, self.RawPath = moved.Path, moved.RawPath
		}
		return reply{}, false
	}
	for _, name := range g.former {
		rest, ok := strings.CutPrefix(self.EscapedPath(), "/repos/"+githubOwner+"/"+name)
		if !ok || rest != "" && rest[0] != '/' || name == g.name {
			continue
		}
		to := g.API() + numbered + rest
		if self.RawQuery != "" {
			to += "?" + self.RawQuery
		}
		answer := problem(http.StatusTemporaryRedirect, "Temporary Redirect")
		if method == http.MethodGet || method == http.MethodHead {
			answer = problem(http.StatusMovedPermanently, "Moved Permanently")
		}
		answer.body.(object)["url"] = to
		answer.header = http.Header{"Location": {to}}
		return answer, true
	}
	return reply{}, false
}

// dispatch lets the request through to the repository when the caller may.
func (g *GitHubServer) dispatch(c *call) reply {
	handler := githubOperations()[c.operation]
	if handler == nil {
		g.t.Errorf("the GitHub fake does not have %s: build it", c.operation)
		return problem(http.StatusNotFound, "Not Found")
	}
	if !strings.Contains(c.operation, " /repos/") {
		return handler(g, c)
	}
	// "Troubleshooting the REST API": 404 instead of 403, so that nobody learns
	// that a private repository exists.
	if c.vars["owner"] != githubOwner || c.vars["repo"] != g.name || c.who.role == "none" {
		return notFound()
	}
	writes := !strings.HasPrefix(c.operation, "GET ")
	if writes && g.archived {
		return problem(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	// Readers may talk, and no more.
	if writes && !c.who.writes() && c.operation != opCreateComment && c.operation != opUpdateComment {
		return forbidden()
	}
	return handler(g, c)
}

// write sends an answer. One that the description does not allow fails the test.
func (g *GitHubServer) write(w http.ResponseWriter, r *http.Request, x *exchange, answer reply) {
	h := w.Header()
	for name, values := range answer.header {
		h[name] = values
	}
	// "Rate limits for the REST API".
	h.Set("X-RateLimit-Limit", "5000")
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(1, 5000-g.lastID%4000)))
	h.Set("X-RateLimit-Used", strconv.Itoa(g.lastID%4000))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(g.now().Unix()+3600, 10))
	h.Set("X-RateLimit-Resource", "core")
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Request-Id", fmt.Sprintf("FAKE:%d", g.id()))
	if answer.raw != nil {
		h.Set("Content-Type", answer.content)
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.raw)
		return
	}
	if answer.body != nil {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	raw, err := marshal(x, answer, h)
	if err != nil {
		g.t.Errorf("GitHub would not answer so: %s %s: status %d: %v\n%s", r.Method, r.URL.RequestURI(), answer.status, err, raw)
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(raw)
}

func marshal(x *exchange, answer reply, h http.Header) ([]byte, error) {
	if x == nil {
		return json.Marshal(answer.body)
	}
	return x.answer(answer.status, h, answer.body)
}

// read fills v, a pointer, with the request's body.
func (c *call) read(v any) error {
	if len(c.body) == 0 {
		return nil
	}
	return json.Unmarshal(c.body, v)
}

// badJSON is the answer to a body that does not parse.
func badJSON() reply { return problem(http.StatusBadRequest, "Problems parsing JSON") }

// page cuts a list, with links to the others. docs.github.com: "Using pagination
// in the REST API": 30 to a page, at most 100.
func page[T any](g *GitHubServer, c *call, all []T) ([]T, http.Header) {
	number := func(name string, otherwise, most int) int {
		n, err := strconv.Atoi(c.query.Get(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return min(n, most)
	}
	size, at := number("per_page", 30, 100), number("page", 1, 1<<20)
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(n int, rel string) {
		to := *c.self
		q := to.Query()
		q.Set("page", strconv.Itoa(n))
		to.RawQuery = q.Encode()
		links = append(links, fmt.Sprintf(`<%s%s>; rel="%s"`, g.API(), to.RequestURI(), rel))
	}
	if at > 1 {
		link(at-1, "prev")
	}
	if at < last {
		link(at+1, "next")
		link(last, "last")
	}
	if at > 1 {
		link(1, "first")
	}
	header := http.Header{}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	from := min((at-1)*size, len(all))
	return all[from:min(from+size, len(all))], header
}

// list answers with one page of what render makes.
func list[T any](g *GitHubServer, c *call, all []T, render func(T) object) reply {
	some, header := page(g, c, all)
	body := make([]object, 0, len(some))
	for _, e := range some {
		body = append(body, render(e))
	}
	return reply{status: http.StatusOK, header: header, body: body}
}

// number of the pull request that the path names; nil when there is none.
func (g *GitHubServer) pull(c *call) *pull {
	n := c.vars["pull_number"] + c.vars["issue_number"]
	for _, p := range g.pulls {
		if strconv.Itoa(p.number) == n {
			return p
		}
	}
	return nil
}
