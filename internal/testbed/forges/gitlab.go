package forges

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// gitlabDescription is kept by hand; openapi/gitlab.md says what it is of.
//
//go:embed openapi/gitlab.json
var gitlabDescription []byte

const (
	gitlabOwner = "infra/clusters"
	gitlabName  = "fleet"
	gitlabID    = 278

	gitlabBot      = "project_278_bot_5f3a"
	gitlabWriter   = "wanda"
	gitlabReader   = "rita"
	gitlabStranger = "stranger"
	gitlabAdmin    = "root"
)

// Roles, as numbers: docs.gitlab.com/api/access_requests.
const (
	roleNone       = 0
	roleReporter   = 20
	roleDeveloper  = 30
	roleMaintainer = 40
	roleOwner      = 50
)

// GitLabServer is a fake of GitLab with one private project in a group within a
// group. The repository is a real one that real git serves; requests and answers
// of the API are held to openapi/gitlab.json, and the test fails when either does
// not fit. Rules of behaviour name the page of docs.gitlab.com that tells them.
type GitLabServer struct {
	*fake

	last      time.Time
	people    []*member
	deleted   bool
	noLabels  bool // nobody may make labels
	shared    bool // roles come by way of a group that the project is shared with
	reviewers int  // how many a merge request can have; 1 without a licence
	labels    []string
	requests  []*mergeRequest
}

// member is an account; role is that in the project.
type member struct {
	login string
	id    int
	role  int
}

// GitLab starts a [GitLabServer]. It ends with the test.
func GitLab(t testing.TB) *GitLabServer {
	t.Helper()
	held, err := describe(gitlabDescription, nil, "Error")
	if err != nil {
		t.Fatalf("GitLab's description: %v", err)
	}
	g := &GitLabServer{
		fake:      newFake(t, "GitLab", gitlabName, gitlabHook, held),
		reviewers: 100,
		people: []*member{
			{gitlabAdmin, 1, roleOwner}, {gitlabBot, 31, roleDeveloper}, {gitlabWriter, 32, roleDeveloper},
			{gitlabReader, 33, roleReporter}, {gitlabStranger, 34, roleNone},
		},
	}
	g.settle = g.follow
	g.listen(gitlabPrefix, g.isBot, g.serveAPI, g.serveGit)
	return g
}

// Kind is gitlab.
func (g *GitLabServer) Kind() string { return "gitlab" }

// CloneURL is the address that the project had first.
func (g *GitLabServer) CloneURL() string {
	return g.base + "/" + gitlabOwner + "/" + gitlabName + ".git"
}

// API is where every GitLab has it.
func (g *GitLabServer) API() string { return g.base + gitlabPrefix }

// Name is GROUP/SUBGROUP/NAME as it is now.
func (g *GitLabServer) Name() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fullName()
}

func (g *GitLabServer) fullName() string { return gitlabOwner + "/" + g.name }

// Secret is the bot's: a project access token, which GitLab has a user for.
func (g *GitLabServer) Secret() map[string][]byte { return g.SecretOf(gitlabBot) }

// SecretOf is that of any user, by login.
func (g *GitLabServer) SecretOf(login string) map[string][]byte {
	return map[string][]byte{
		"username": []byte(login), "password": []byte("glpat-" + login), "ca.crt": g.ca,
	}
}

// Bot is the login of Secret.
func (g *GitLabServer) Bot() string { return gitlabBot }

// Writer is a Developer.
func (g *GitLabServer) Writer() string { return gitlabWriter }

// Reader is a Reporter.
func (g *GitLabServer) Reader() string { return gitlabReader }

// Stranger has an account and no role in the project.
func (g *GitLabServer) Stranger() string { return gitlabStranger }

// Share takes roles out of the project, so that they come by way of a group that
// the project is shared with.
func (g *GitLabServer) Share() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shared = true
}

// Unlicensed allows one reviewer only: docs.gitlab.com/user/project/merge_requests/reviews.
func (g *GitLabServer) Unlicensed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reviewers = 1
}

// SetRole changes somebody's role.
func (g *GitLabServer) SetRole(login string, role int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.person(login).role = role
}

func (g *GitLabServer) isBot(r *http.Request) bool { return gitlabToken(r) == "glpat-"+gitlabBot }

const gitlabPrefix = "/api/v4"

// now is in milliseconds, as all times of the API are, and never the same twice.
func (g *GitLabServer) now() time.Time {
	at := g.clock().UTC().Truncate(time.Millisecond)
	if !at.After(g.last) {
		at = g.last.Add(time.Millisecond)
	}
	g.last = at
	return at
}

// person is nil when there is none; logins know no case.
func (g *GitLabServer) person(login string) *member {
	i := slices.IndexFunc(g.people, func(m *member) bool { return strings.EqualFold(m.login, login) })
	if i < 0 {
		return nil
	}
	return g.people[i]
}

func (g *GitLabServer) personByID(id int) *member {
	i := slices.IndexFunc(g.people, func(m *member) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return g.people[i]
}

// gitlabToken is the token of a request, in any of the ways that GitLab takes
// one: docs.gitlab.com/api/rest/authentication.
func gitlabToken(r *http.Request) string {
	if token := r.Header.Get("Private-Token"); token != "" {
		return token
	}
	return bearer(r)
}

func (g *GitLabServer) who(token string) *member {
	login, ok := strings.CutPrefix(token, "glpat-")
	if !ok {
		return nil
	}
	return g.person(login)
}

// serveGit is Git over HTTPS. A moved project is served under its old address
// too: docs.gitlab.com/user/project/repository, "Repository path changes".
func (g *GitLabServer) serveGit(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+gitlabOwner+"/")
	name, file, found := strings.Cut(rest, ".git/")
	if !ok || !found {
		http.Error(w, "The project you were looking for could not be found or you don't have permission to view it.", http.StatusNotFound)
		return
	}
	login, status, text := g.admit(r, name)
	if status != 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, text, status)
		return
	}
	g.gitAs(w, r, login, file)
}

// admit decides who may fetch and push.
func (g *GitLabServer) admit(r *http.Request, name string) (login string, status int, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.who(gitlabToken(r))
	writes := strings.Contains(r.URL.RequestURI(), "git-receive-pack")
	switch {
	case who == nil:
		return "", http.StatusUnauthorized, "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're required to use a token instead of a password."
	case who.role == roleNone || g.deleted || !g.known(name):
		return "", http.StatusNotFound, "The project you were looking for could not be found or you don't have permission to view it."
	case writes && (g.archived || who.role < roleDeveloper):
		return "", http.StatusForbidden, "You are not allowed to push code to this project."
	}
	return who.login, 0, ""
}
