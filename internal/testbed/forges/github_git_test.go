package forges

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

func TestGitHubTakesPushes(t *testing.T) {
	g := GitHub(t)
	work := cloneAs(t, g, g.Secret())
	work.git("commit", "--quiet", "--allow-empty", "-m", "a")
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/x")
	if got := g.Branches(t)["x"]; got != work.git("rev-parse", "HEAD") {
		t.Errorf("x is %s", got)
	}
	n := g.OpenPR(t, "x", "a title")
	work.git("commit", "--quiet", "--allow-empty", "-m", "b")
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/x")
	if pr := g.PRs(t)[n-1]; pr.Head != work.git("rev-parse", "HEAD") {
		t.Errorf("the pull request is at %s", pr.Head)
	}
	// Pushed to the base, then deleted: each push is seen by itself.
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	work.git("push", "--quiet", "origin", ":refs/heads/x")
	if pr := g.PRs(t)[n-1]; pr.State != "merged" {
		t.Errorf("the pull request is %s", pr.State)
	}
}

func TestGitHubRefusesPushes(t *testing.T) {
	g := GitHub(t)
	g.Protect(t, "main")
	g.Protect(t, "release/*")
	push := func(login, branch string) (string, error) {
		work := cloneAs(t, g, g.SecretOf(login))
		work.git("commit", "--quiet", "--allow-empty", "-m", "a")
		return work.run(work.dir, "push", "origin", "HEAD:refs/heads/"+branch)
	}
	tests := []struct{ login, branch, want string }{
		{g.Bot(), "main", "GH006: Protected branch update failed for refs/heads/main"},
		{g.Bot(), "release/1", "GH006"},
		{g.Bot(), "release/1/x", ""}, // a star stands for no slash
		{g.Bot(), "x", ""},
		{"ada", "main", ""},
		{g.Reader(), "y", "403"},
	}
	for _, tt := range tests {
		out, err := push(tt.login, tt.branch)
		if (err == nil) != (tt.want == "") || !strings.Contains(out, tt.want) {
			t.Errorf("%s to %s: got %v, want %q\n%s", tt.login, tt.branch, err, tt.want, out)
		}
	}
	client := trusting(t, g.ca)
	for login, want := range map[string]int{"nobody": 401, g.Stranger(): 404, g.Reader(): 200} {
		secret := g.SecretOf(login)
		req, err := http.NewRequest("GET", g.CloneURL()+"/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(string(secret["username"]), string(secret["password"]))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", login, resp.StatusCode, want)
		}
	}
}

func TestGitHubRefs(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	main := g.Branches(t)["main"]
	next := g.Push(t, "next", file("a", "1"))
	refs, ref := repoPath+"/git/refs", repoPath+"/git/refs/heads/remediate/p/x"
	create := func(name, sha string) string { return fmt.Sprintf(`{"ref":%q,"sha":%q}`, name, sha) }
	refused := func(method, path, body, message string) {
		t.Helper()
		if a := bot.do(http.StatusUnprocessableEntity, method, path, body); !strings.HasPrefix(a.text("message"), message) {
			t.Errorf("got %s, want %s", a.raw, message)
		}
	}
	bot.do(http.StatusCreated, "POST", refs, create("refs/heads/remediate/p/x", main)).want(t,
		map[string]any{"ref": "refs/heads/remediate/p/x", "object.sha": main})
	bot.do(http.StatusOK, "GET", repoPath+"/git/ref/heads/remediate/p/x", "").want(t, map[string]any{"object.sha": main})
	bot.do(http.StatusNotFound, "GET", repoPath+"/git/ref/heads/remediate/p", "")
	refused("POST", refs, create("refs/heads/remediate/p/x", main), "Reference already exists")
	refused("POST", refs, create("refs/heads/remediate", main), "Reference update failed") // a folder in the way
	refused("POST", refs, create("heads/y", main), "Reference name must start with 'refs/'")
	refused("POST", refs, create("refs/heads/y", strings.Repeat("1", 40)), "Object does not exist")
	bot.do(http.StatusOK, "PATCH", ref, `{"sha":"`+next+`"}`)
	refused("PATCH", ref, `{"sha":"`+main+`"}`, "Update is not a fast forward")
	bot.do(http.StatusOK, "PATCH", ref, `{"sha":"`+main+`","force":true}`)
	refused("PATCH", repoPath+"/git/refs/heads/gone", `{"sha":"`+main+`"}`, "Reference does not exist")
	bot.do(http.StatusNoContent, "DELETE", ref, "")
	refused("DELETE", ref, "", "Reference does not exist")

	g.Protect(t, "main")
	refused("PATCH", refs+"/heads/main", `{"sha":"`+next+`"}`, "Repository rule violations found")
	refused("DELETE", refs+"/heads/main", "", "Repository rule violations found")
	bot.do(http.StatusOK, "GET", repoPath+"/branches/main", "").want(t, map[string]any{"protected": true, "commit.sha": main})
	bot.do(http.StatusOK, "GET", repoPath+"/branches", "").want(t, map[string]any{"0.name": "main", "1.name": "next", "1.protected": false, "2": nil})
	bot.do(http.StatusOK, "GET", repoPath+"/branches/main/protection", "")
	bot.do(http.StatusNotFound, "GET", repoPath+"/branches/next/protection", "").want(t, map[string]any{"message": "Branch not protected"})
	bot.do(http.StatusOK, "GET", repoPath+"/rules/branches/main", "").want(t, map[string]any{"0.type": "update"})
	bot.do(http.StatusOK, "GET", repoPath+"/rules/branches/next", "").want(t, map[string]any{"0": nil})
}

func TestGitHubMergesBranches(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	g.Push(t, "x", file("a", "1"))
	g.Push(t, "y", file("a", "2"))
	bot.do(http.StatusCreated, "POST", repoPath+"/merges", `{"base":"main","head":"x"}`).want(t, map[string]any{"commit.message": "Merge x into main"})
	bot.do(http.StatusNoContent, "POST", repoPath+"/merges", `{"base":"main","head":"x"}`)
	bot.do(http.StatusConflict, "POST", repoPath+"/merges", `{"base":"main","head":"y"}`)
	bot.do(http.StatusNotFound, "POST", repoPath+"/merges", `{"base":"main","head":"z"}`)
	bot.do(http.StatusNotFound, "POST", repoPath+"/merges", `{"base":"z","head":"x"}`)
}

func TestGitHubShowsFiles(t *testing.T) {
	g, bot := opened(t)
	text := "a: 1\n\n\nno end of line"
	g.Push(t, "x", map[string][]byte{"dir/b.yaml": []byte(text), "README.md": nil, "big": make([]byte, 1<<20+1)})
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1/files", "").want(t, map[string]any{
		"0.filename": "README.md", "0.status": "removed", "1.filename": "a.yaml", "1.status": "added", "2.filename": "big", "3.filename": "dir/b.yaml", "4": nil,
	})
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1/commits", "").want(t, map[string]any{"1.commit.message": "a change by hand", "2": nil})
	a := bot.do(http.StatusOK, "GET", repoPath+"/contents/dir/b.yaml?ref=x", "")
	if raw, err := base64.StdEncoding.DecodeString(a.text("content")); err != nil || string(raw) != text {
		t.Errorf("content %q, %v", raw, err)
	}
	bot.do(http.StatusOK, "GET", repoPath+"/contents/big?ref=x", "").want(t, map[string]any{"encoding": "none", "content": "", "size": 1<<20 + 1})
	bot.do(http.StatusOK, "GET", repoPath+"/contents/dir?ref=x", "").want(t, map[string]any{"0.name": "b.yaml", "0.path": "dir/b.yaml", "0.type": "file", "1": nil})
	bot.do(http.StatusOK, "GET", repoPath+"/contents/README.md", "").want(t, map[string]any{"type": "file"})
	bot.do(http.StatusNotFound, "GET", repoPath+"/contents/README.md?ref=x", "")
	bot.do(http.StatusNotFound, "GET", repoPath+"/contents/a.yaml?ref=gone", "").want(t, map[string]any{"message": "No commit found for the ref gone"})
	bot.do(http.StatusOK, "GET", repoPath+"/commits/x", "").want(t, map[string]any{"sha": g.Branches(t)["x"]})
	bot.do(http.StatusUnprocessableEntity, "GET", repoPath+"/commits/gone", "")
}

func TestGitHubMakesCommits(t *testing.T) {
	g := GitHub(t)
	app := appCaller(t, g)
	parent := g.Branches(t)["main"]
	base := app.do(http.StatusOK, "GET", repoPath+"/git/commits/"+parent, "").text("tree.sha")
	blob := app.do(http.StatusCreated, "POST", repoPath+"/git/blobs", `{"content":"YTogMQo=","encoding":"base64"}`).text("sha")
	app.do(http.StatusOK, "GET", repoPath+"/git/blobs/"+blob, "").want(t, map[string]any{"content": "YTogMQo=", "size": 5})
	tree := app.do(http.StatusCreated, "POST", repoPath+"/git/trees", fmt.Sprintf(
		`{"base_tree":%q,"tree":[{"path":"a.yaml","mode":"100644","type":"blob","sha":%q},{"path":"d/b","mode":"100755","type":"blob","content":"b"}]}`, base, blob))
	app.do(http.StatusOK, "GET", repoPath+"/git/trees/"+tree.text("sha")+"?recursive=1", "").want(t, map[string]any{
		"tree.0.path": "README.md", "tree.1.path": "a.yaml", "tree.1.size": 5, "tree.3.path": "d/b", "tree.3.mode": "100755", "truncated": false,
	})
	body := fmt.Sprintf(`{"message":"fix: a\n\nbody\n","tree":%q,"parents":[%q]`, tree.text("sha"), parent)
	made := app.do(http.StatusCreated, "POST", repoPath+"/git/commits", body+"}")
	made.want(t, map[string]any{
		"verification.verified": true, "verification.reason": "valid", "author.name": "remediate[bot]", "committer.name": "GitHub",
		"parents.0.sha": parent, "message": "fix: a\n\nbody",
	})
	if raw := g.Git(t, "cat-file", "commit", made.text("sha")); !strings.Contains(raw, "\ngpgsig -----BEGIN PGP") {
		t.Errorf("the commit is not signed:\n%s", raw)
	}
	if got := g.Show(t, made.text("sha"), "a.yaml"); got != "a: 1\n" {
		t.Errorf("a.yaml is %q", got)
	}
	authored := app.do(http.StatusCreated, "POST", repoPath+"/git/commits", body+`,"author":{"name":"N","email":"n@example.com","date":"2026-01-02T03:04:05Z"}}`)
	authored.want(t, map[string]any{"verification.verified": false, "author.name": "N", "committer.name": "N", "author.date": "2026-01-02T03:04:05Z"})
	callAs(t, g, g.Bot()).do(http.StatusCreated, "POST", repoPath+"/git/commits", body+"}").want(t,
		map[string]any{"verification.verified": false, "verification.reason": "unsigned", "author.name": g.Bot()})
}

func TestGitHubRefusesObjects(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	missing := strings.Repeat("1", 40)
	tree := g.Git(t, "rev-parse", "main^{tree}")
	for path, body := range map[string]string{
		"/git/trees":   `{"base_tree":"` + missing + `","tree":[{"path":"a","mode":"100644","type":"blob","content":"a"}]}`,
		"/git/trees?":  `{"tree":[{"path":"a","mode":"100644","type":"blob","sha":"` + missing + `"}]}`,
		"/git/trees?a": `{"tree":[]}`,
		"/git/commits": `{"message":"a","tree":"` + missing + `"}`,
		"/git/commit":  `{"message":"a","tree":"` + tree + `","parents":["` + missing + `"]}`,
		"/git/blobs":   `{"content":"???","encoding":"base64"}`,
	} {
		path, _, _ = strings.Cut(path, "?")
		if path == "/git/commit" {
			path += "s"
		}
		bot.do(http.StatusUnprocessableEntity, "POST", repoPath+path, body)
	}
	for _, path := range []string{"/git/trees/", "/git/blobs/", "/git/commits/"} {
		bot.do(http.StatusNotFound, "GET", repoPath+path+missing, "")
	}
	// null takes a file away.
	gone := bot.do(http.StatusCreated, "POST", repoPath+"/git/trees", `{"base_tree":"`+tree+`","tree":[{"path":"README.md","mode":"100644","type":"blob","sha":null}]}`)
	gone.want(t, map[string]any{"tree.0": nil})
}

// appCaller is the app of a server, with a token of its installation.
func appCaller(t *testing.T, g *GitHubServer) *caller {
	t.Helper()
	g.App(t)
	app := callAs(t, g, "nobody")
	app.token = sign(t, g, jwt.SigningMethodRS256, "4711", 5*time.Minute)
	a := app.do(http.StatusCreated, "POST", "/app/installations/815/access_tokens", "")
	app.token = a.text("token")
	return app
}

func sign(t *testing.T, g *GitHubServer, method jwt.SigningMethod, issuer string, lasts time.Duration) string {
	t.Helper()
	var key any = g.app.key
	if method == jwt.SigningMethodHS256 {
		key = []byte("guessed")
	}
	token, err := jwt.NewWithClaims(method, jwt.RegisteredClaims{
		Issuer: issuer, IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(lasts)),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestGitHubApp(t *testing.T) {
	g := GitHub(t)
	if secret := g.App(t); string(secret["githubAppID"]) != "4711" || string(secret["githubAppBaseURL"]) != g.API() {
		t.Errorf("Secret %q at %q", secret["githubAppID"], secret["githubAppBaseURL"])
	}
	app := callAs(t, g, "nobody")
	tokens := []struct {
		name   string
		method jwt.SigningMethod
		issuer string
		lasts  time.Duration
		want   int
	}{
		{"good", jwt.SigningMethodRS256, "4711", time.Minute, 200},
		{"another app", jwt.SigningMethodRS256, "1", time.Minute, 401},
		{"over", jwt.SigningMethodRS256, "4711", -time.Minute, 401},
		{"too long", jwt.SigningMethodRS256, "4711", time.Hour, 401},
		{"another algorithm", jwt.SigningMethodHS256, "4711", time.Minute, 401},
	}
	for _, tt := range tokens {
		t.Log(tt.name)
		app.token = sign(t, g, tt.method, tt.issuer, tt.lasts)
		app.do(tt.want, "GET", "/app", "")
	}
	app.token = sign(t, g, jwt.SigningMethodRS256, "4711", time.Minute)
	app.do(http.StatusOK, "GET", "/app", "").want(t, map[string]any{"slug": "remediate"})
	app.do(http.StatusOK, "GET", "/app/installations", "").want(t, map[string]any{"0.id": 815})
	app.do(http.StatusOK, "GET", "/orgs/acme/installation", "").want(t, map[string]any{"id": 815, "account.login": "acme"})
	app.do(http.StatusNotFound, "GET", "/orgs/other/installation", "")
	app.do(http.StatusNotFound, "GET", "/users/acme/installation", "")
	app.do(http.StatusNotFound, "POST", "/app/installations/1/access_tokens", "")
	app.do(http.StatusUnauthorized, "GET", repoPath, "") // a JWT is no token

	app = appCaller(t, g)
	g.Requests()
	app.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{"permissions.push": true})
	app.do(http.StatusForbidden, "GET", "/user", "").want(t, map[string]any{"message": "Resource not accessible by integration"})
	app.do(http.StatusOK, "GET", "/installation/repositories", "").want(t, map[string]any{"total_count": 1})
	if n := g.Requests(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	work := cloneAs(t, g, map[string][]byte{"username": []byte("x-access-token"), "password": []byte(app.token), "ca.crt": g.ca})
	work.git("commit", "--quiet", "--allow-empty", "-m", "a")
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/x")
	app.do(http.StatusCreated, "POST", repoPath+"/pulls", `{"title":"a","head":"x","base":"main"}`).want(t,
		map[string]any{"user.login": g.AppLogin(), "user.type": "Bot"})
}
