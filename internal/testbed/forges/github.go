package forges

import (
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// githubDescription is GitHub's own; openapi/README.md says where it is from.
//
//go:embed openapi/github.json
var githubDescription []byte

// githubHeld reads the description once.
var githubHeld = sync.OnceValues(func() (*description, error) {
	const repo = "/repos/{owner}/{repo}"
	return describe(githubDescription, map[string]string{
		repo + "/commits/{ref}":   repo + "/commits/{ref:.+}",
		repo + "/contents/{path}": repo + "/contents/{path:.+}",
		repo + "/git/ref/{ref}":   repo + "/git/ref/{ref:.+}",
		repo + "/git/refs/{ref}":  repo + "/git/refs/{ref:.+}",
	}, "basic-error")
})

const (
	githubOwner = "acme"
	githubName  = "clusters"
	// githubRepoID is in the address that a moved repository is found under.
	githubRepoID = 1296269

	githubBot      = "remediate-bot"
	githubWriter   = "wanda"
	githubReader   = "rita"
	githubStranger = "stranger"
	githubAdmin    = "ada"
	githubTeam     = "platform"
	githubAppSlug  = "remediate"
)

// GitHubServer is a fake of a GitHub Enterprise server with one private
// repository of an organisation. The repository is a real one that real git
// serves; requests and answers of the API are held to GitHub's published OpenAPI
// description, and the test fails when either does not fit. Rules of behaviour
// that the description does not tell name the page of docs.github.com that does.
type GitHubServer struct {
	*fake

	people map[string]*person
	tokens map[string]string // logins
	app    *githubApp
	// strictLabels and noDrafts are what real repositories differ in.
	strictLabels, noDrafts bool
	labels                 []*label
	pulls                  []*pull
	verified               map[string]bool // commits that GitHub signed
}

// person is an account. role is none, read, write or admin.
type person struct {
	login, role string
	id          int
	kind        string // User or Bot
}

// GitHub starts a [GitHubServer]. It ends with the test.
func GitHub(t testing.TB) *GitHubServer {
	t.Helper()
	held, err := githubHeld()
	if err != nil {
		t.Fatalf("GitHub's description: %v", err)
	}
	g := &GitHubServer{
		fake:   newFake(t, "GitHub", githubName, protectHook, held),
		people: map[string]*person{}, tokens: map[string]string{}, verified: map[string]bool{},
	}
	g.settle = g.sync
	for login, role := range map[string]string{
		githubAdmin: "admin", githubBot: "write", githubWriter: "write", githubReader: "read", githubStranger: "none",
	} {
		g.addPerson(login, role, "User")
		g.tokens["token-of-"+login] = login
	}
	g.listen(apiPrefix, g.isBot, g.serveAPI, g.serveGit)
	return g
}

func (g *GitHubServer) addPerson(login, role, kind string) {
	g.people[login] = &person{login, role, 100 + len(g.people), kind}
}

// Kind is github.
func (g *GitHubServer) Kind() string { return "github" }

// CloneURL is the address that the repository had first.
func (g *GitHubServer) CloneURL() string {
	return fmt.Sprintf("%s/%s/%s.git", g.base, githubOwner, githubName)
}

// API is where an Enterprise server has it.
func (g *GitHubServer) API() string { return g.base + "/api/v3" }

// Name is OWNER/NAME as it is now.
func (g *GitHubServer) Name() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fullName()
}

func (g *GitHubServer) fullName() string { return githubOwner + "/" + g.name }

// Secret is the bot's.
func (g *GitHubServer) Secret() map[string][]byte { return g.SecretOf(githubBot) }

// SecretOf is that of any user, by login.
func (g *GitHubServer) SecretOf(login string) map[string][]byte {
	return map[string][]byte{
		"username": []byte(login), "password": []byte("token-of-" + login), "ca.crt": g.ca,
	}
}

// Bot is the login of Secret.
func (g *GitHubServer) Bot() string { return githubBot }

// Writer may push.
func (g *GitHubServer) Writer() string { return githubWriter }

// Reader may not; it is a member of the organisation all the same.
func (g *GitHubServer) Reader() string { return githubReader }

// Stranger has an account and no right to the repository.
func (g *GitHubServer) Stranger() string { return githubStranger }

// Team is a team with access, as ORG/TEAM.
func (g *GitHubServer) Team() string { return githubOwner + "/" + githubTeam }

// StrictLabels makes adding a label that does not exist an error, status 422, and
// not a new label.
func (g *GitHubServer) StrictLabels() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strictLabels = true
}

// NoDrafts makes the repository one of a plan without draft pull requests.
func (g *GitHubServer) NoDrafts() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noDrafts = true
}

// isBot tells the bot's token, or one of the app's installation.
func (g *GitHubServer) isBot(r *http.Request) bool {
	who := g.people[g.tokens[bearer(r)]]
	return who != nil && (who.login == githubBot || who.kind == "Bot")
}

const apiPrefix = "/api/v3"

// now is in whole seconds, as all times of the API are.
func (g *GitHubServer) now() time.Time { return g.clock().UTC().Truncate(time.Second) }

// serveGit is Git over HTTPS. A moved repository is found under its old address:
// "Renaming a repository".
func (g *GitHubServer) serveGit(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	if len(parts) != 3 || parts[0] != githubOwner {
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return
	}
	login, status, text, to := g.admit(r, strings.TrimSuffix(parts[1], ".git"))
	if to != "" {
		http.Redirect(w, r, g.base+"/"+to+".git/"+parts[2]+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
		return
	}
	if status != 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, text, status)
		return
	}
	g.gitAs(w, r, login, parts[2])
}

// admit decides who may fetch and push; to is the new OWNER/NAME of a moved one.
func (g *GitHubServer) admit(r *http.Request, name string) (login string, status int, text, to string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, token, _ := r.BasicAuth()
	if token == "" {
		token = bearer(r)
	}
	who := g.people[g.tokens[token]]
	writes := strings.Contains(r.URL.RequestURI(), "git-receive-pack")
	switch {
	case who == nil:
		return "", http.StatusUnauthorized, "Invalid username or token. Password authentication is not supported for Git operations.", ""
	case who.role == "none" || !g.known(name):
		return "", http.StatusNotFound, "Repository not found.", ""
	case name != g.name:
		return "", 0, "", g.fullName()
	case writes && g.archived:
		return "", http.StatusForbidden, "This repository was archived so it is read-only.", ""
	case writes && !who.writes():
		return "", http.StatusForbidden, fmt.Sprintf("Permission to %s.git denied to %s.", g.fullName(), who.login), ""
	}
	return who.login, 0, "", ""
}

func (p *person) writes() bool { return p.role == "write" || p.role == "admin" }
