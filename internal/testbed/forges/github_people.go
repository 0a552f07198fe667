package forges

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// Names of operations that readers may use too.
const (
	opCreateComment = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
	opUpdateComment = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"
)

// githubOperations are what the fake can do, by method and path of the description.
func githubOperations() map[string]func(*GitHubServer, *call) reply {
	const repo = " /repos/{owner}/{repo}"
	return map[string]func(*GitHubServer, *call) reply{
		"GET /meta":             (*GitHubServer).getMeta,
		"GET /rate_limit":       (*GitHubServer).getRateLimit,
		"GET /user":             (*GitHubServer).getUser,
		"GET /users/{username}": (*GitHubServer).getUserByName,
		"GET /installation/repositories": func(g *GitHubServer, c *call) reply {
			return ok(object{"total_count": 1, "repositories": []object{g.showRepo(githubOwner, c.who)}})
		},
		"GET" + repo: (*GitHubServer).getRepo,
		"GET" + repo + "/collaborators/{username}/permission": (*GitHubServer).getPermission,

		"GET" + repo + "/branches":                     (*GitHubServer).listBranches,
		"GET" + repo + "/branches/{branch}":            (*GitHubServer).getBranch,
		"GET" + repo + "/branches/{branch}/protection": (*GitHubServer).getProtection,
		"GET" + repo + "/rules/branches/{branch}":      (*GitHubServer).getRules,
		"POST" + repo + "/merges":                      (*GitHubServer).mergeBranches,
		"GET" + repo + "/commits/{ref}":                (*GitHubServer).getCommitOfRef,
		"GET" + repo + "/contents/{path}":              (*GitHubServer).getContents,
		"GET" + repo + "/git/ref/{ref}":                (*GitHubServer).getRef,
		"POST" + repo + "/git/refs":                    (*GitHubServer).createRef,
		"PATCH" + repo + "/git/refs/{ref}":             (*GitHubServer).updateRef,
		"DELETE" + repo + "/git/refs/{ref}":            (*GitHubServer).deleteRef,
		"GET" + repo + "/git/commits/{commit_sha}":     (*GitHubServer).getGitCommit,
		"POST" + repo + "/git/commits":                 (*GitHubServer).createCommit,
		"GET" + repo + "/git/trees/{tree_sha}":         (*GitHubServer).getTree,
		"POST" + repo + "/git/trees":                   (*GitHubServer).createTree,
		"GET" + repo + "/git/blobs/{file_sha}":         (*GitHubServer).getBlob,
		"POST" + repo + "/git/blobs":                   (*GitHubServer).createBlob,

		"GET" + repo + "/pulls":                                    (*GitHubServer).listPulls,
		"POST" + repo + "/pulls":                                   (*GitHubServer).createPull,
		"GET" + repo + "/pulls/{pull_number}":                      (*GitHubServer).getPull,
		"PATCH" + repo + "/pulls/{pull_number}":                    (*GitHubServer).updatePull,
		"GET" + repo + "/pulls/{pull_number}/commits":              (*GitHubServer).listPullCommits,
		"GET" + repo + "/pulls/{pull_number}/files":                (*GitHubServer).listFiles,
		"GET" + repo + "/pulls/{pull_number}/merge":                (*GitHubServer).pullMerged,
		"PUT" + repo + "/pulls/{pull_number}/merge":                (*GitHubServer).mergePull,
		"GET" + repo + "/pulls/{pull_number}/requested_reviewers":  (*GitHubServer).listReviewers,
		"POST" + repo + "/pulls/{pull_number}/requested_reviewers": (*GitHubServer).requestReview,

		"GET" + repo + "/issues/{issue_number}/comments": (*GitHubServer).listComments,
		opCreateComment: (*GitHubServer).createComment,
		"GET" + repo + "/issues/comments/{comment_id}": (*GitHubServer).getComment,
		opUpdateComment: (*GitHubServer).updateComment,
		"GET" + repo + "/issues/{issue_number}/events":           (*GitHubServer).listEvents,
		"GET" + repo + "/issues/{issue_number}/labels":           (*GitHubServer).listPullLabels,
		"POST" + repo + "/issues/{issue_number}/labels":          (*GitHubServer).addPullLabels,
		"DELETE" + repo + "/issues/{issue_number}/labels/{name}": (*GitHubServer).removePullLabel,
		"GET" + repo + "/labels":                                 (*GitHubServer).listLabels,
		"POST" + repo + "/labels":                                (*GitHubServer).createLabel,
		"GET" + repo + "/labels/{name}":                          (*GitHubServer).getLabel,
	}
}

func (g *GitHubServer) getMeta(*call) reply {
	return ok(object{"verifiable_password_authentication": false})
}

func (g *GitHubServer) getRateLimit(*call) reply {
	limit := object{"limit": 5000, "remaining": 4999, "used": 1, "reset": g.now().Unix() + 3600}
	return ok(object{"rate": limit, "resources": object{"core": limit, "search": limit}})
}

// getUser: an installation is no user: "REST API endpoints for users" is not
// among the endpoints for GitHub App installation access tokens.
func (g *GitHubServer) getUser(c *call) reply {
	if c.who.kind == "Bot" {
		return problem(http.StatusForbidden, "Resource not accessible by integration")
	}
	return ok(g.showAccount(c.who.login))
}

// showAccount is a user by itself, as everybody sees it.
func (g *GitHubServer) showAccount(login string) object {
	o := g.showUser(login)
	if o != nil {
		o["user_view_type"] = "public"
	}
	return o
}

func (g *GitHubServer) getUserByName(c *call) reply {
	if u := g.showAccount(c.vars["username"]); u != nil {
		return ok(u)
	}
	return notFound()
}

// getPermission: "REST API endpoints for collaborators": admin, write, read, none.
func (g *GitHubServer) getPermission(c *call) reply {
	who := g.people[c.vars["username"]]
	if who == nil {
		return problem(http.StatusNotFound, c.vars["username"]+" is not a user")
	}
	return ok(object{"permission": who.role, "role_name": who.role, "user": g.showUser(who.login)})
}

// githubApp is a GitHub App with one installation.
type githubApp struct {
	id, installation int
	key              *rsa.PrivateKey
}

// App installs a GitHub App and gives the Secret that Flux takes: githubAppID,
// githubAppInstallationID, githubAppPrivateKey, githubAppBaseURL, ca.crt. Its
// login is AppLogin.
func (g *GitHubServer) App(t testing.TB) map[string][]byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.app = &githubApp{id: 4711, installation: 815, key: key}
	if g.people[g.AppLogin()] == nil {
		g.addPerson(g.AppLogin(), "write", "Bot")
	}
	return map[string][]byte{
		"githubAppID": []byte("4711"), "githubAppInstallationID": []byte("815"), "githubAppBaseURL": []byte(g.API()),
		"githubAppPrivateKey": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"ca.crt":              g.ca,
	}
}

// AppLogin is the name that the app acts under.
func (g *GitHubServer) AppLogin() string { return githubAppSlug + "[bot]" }

// asApp answers an app that shows its JWT: "Generating a JSON Web Token (JWT) for
// a GitHub App": RS256, iss is the app's id, exp at most 10 minutes ahead.
func (g *GitHubServer) asApp(c *call, token string) reply {
	var claims jwt.RegisteredClaims
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"})).ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		if g.app == nil {
			return nil, jwt.ErrInvalidKey
		}
		return &g.app.key.PublicKey, nil
	})
	switch {
	case err != nil || claims.ExpiresAt == nil:
		return problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	case claims.Issuer != strconv.Itoa(g.app.id):
		return problem(http.StatusUnauthorized, "'Issuer' claim ('iss') must be an Integer")
	case time.Until(claims.ExpiresAt.Time) > 10*time.Minute:
		return problem(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	switch c.operation {
	case "GET /app":
		return ok(g.showApp())
	case "GET /app/installations":
		return ok([]object{g.showInstallation()})
	case "GET /orgs/{org}/installation":
		if c.vars["org"] == githubOwner {
			return ok(g.showInstallation())
		}
		return notFound()
	case "GET /users/{username}/installation":
		return notFound() // it is an organisation's
	}
	if c.vars["installation_id"] != strconv.Itoa(g.app.installation) {
		return notFound()
	}
	return g.installationToken()
}

func (g *GitHubServer) showInstallation() object {
	return object{
		"id": g.app.installation, "app_id": g.app.id, "app_slug": githubAppSlug, "account": g.showOwner(githubOwner),
		"target_type": "Organization",
	}
}

func (g *GitHubServer) showApp() object {
	return object{
		"id": g.app.id, "slug": githubAppSlug, "name": "Remediate", "owner": g.showOwner(githubOwner),
		"permissions": object{"contents": "write", "pull_requests": "write", "issues": "write", "metadata": "read"},
	}
}

// installationToken: "Generating an installation access token for a GitHub App":
// it lasts an hour.
func (g *GitHubServer) installationToken() reply {
	raw := make([]byte, 18)
	rand.Read(raw)
	token := "ghs_" + hex.EncodeToString(raw)
	g.tokens[token] = g.AppLogin()
	return created(object{
		"token": token, "expires_at": timestamp(g.clock().UTC().Add(time.Hour)),
		"permissions": object{"contents": "write", "pull_requests": "write"}, "repository_selection": "selected",
	})
}
