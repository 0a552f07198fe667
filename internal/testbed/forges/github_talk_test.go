package forges

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestGitHubComments(t *testing.T) {
	g, bot := opened(t)
	path := repoPath + "/issues/1/comments"
	made := bot.do(http.StatusCreated, "POST", path, `{"body":"from the bot"}`)
	made.want(t, map[string]any{"user.login": g.Bot(), "author_association": "COLLABORATOR"})
	g.CommentPR(t, g.Reader(), 1, "/remediate replan")
	g.CommentPR(t, g.Stranger(), 1, "hello")
	bot.do(http.StatusOK, "GET", path, "").want(t, map[string]any{
		"0.body": "from the bot", "1.body": "/remediate replan", "1.user.login": g.Reader(),
		// A member of the organisation, and yet no writer.
		"1.author_association": "MEMBER", "2.author_association": "NONE", "3": nil,
	})
	mine := fmt.Sprintf("%s/issues/comments/%.0f", repoPath, made.at("id"))
	bot.do(http.StatusOK, "PATCH", mine, `{"body":"again"}`).want(t, map[string]any{"body": "again", "id": made.at("id")})
	bot.do(http.StatusOK, "GET", mine, "").want(t, map[string]any{"body": "again"})
	callAs(t, g, g.Writer()).do(http.StatusOK, "PATCH", mine, `{"body":"by a writer"}`)
	callAs(t, g, g.Reader()).do(http.StatusForbidden, "PATCH", mine, `{"body":"by a reader"}`)
	callAs(t, g, g.Reader()).do(http.StatusCreated, "POST", path, `{"body":"readers may talk"}`)
	bot.do(http.StatusUnprocessableEntity, "POST", path, `{"body":" "}`)
	bot.do(http.StatusUnprocessableEntity, "POST", path, `{"body":"`+strings.Repeat("x", 65537)+`"}`)
	bot.do(http.StatusCreated, "POST", path, `{"body":"`+strings.Repeat("x", 65536)+`"}`)
	bot.do(http.StatusNotFound, "POST", repoPath+"/issues/7/comments", `{"body":"a"}`)
	bot.do(http.StatusNotFound, "PATCH", repoPath+"/issues/comments/7", `{"body":"a"}`)
}

func TestGitHubLabels(t *testing.T) {
	g, bot := opened(t)
	bot.do(http.StatusCreated, "POST", repoPath+"/labels", `{"name":"remediation","color":"0e8a16","description":"a change of settings"}`)
	refused := []struct{ body, field, code string }{
		{`{"name":"Remediation"}`, "name", "already_exists"}, // whatever the case
		{`{"name":" "}`, "name", "missing_field"},
		{`{"name":"` + strings.Repeat("x", 51) + `"}`, "name", "custom"},
		{`{"name":"a","color":"#0e8a16"}`, "color", "invalid"},
		{`{"name":"a","color":"zzzzzz"}`, "color", "invalid"},
		{`{"name":"a","description":"` + strings.Repeat("x", 101) + `"}`, "description", "custom"},
	}
	for _, tt := range refused {
		bot.do(http.StatusUnprocessableEntity, "POST", repoPath+"/labels", tt.body).want(t,
			map[string]any{"errors.0.field": tt.field, "errors.0.code": tt.code, "errors.0.resource": "Label"})
	}
	bot.do(http.StatusOK, "GET", repoPath+"/labels/REMEDIATION", "").want(t, map[string]any{"name": "remediation"})
	bot.do(http.StatusNotFound, "GET", repoPath+"/labels/other", "")

	path := repoPath + "/issues/1/labels"
	bot.do(http.StatusOK, "POST", path, `{"labels":["remediation","area/cilium"]}`).want(t,
		map[string]any{"0.name": "remediation", "1.name": "area/cilium", "1.color": "ededed"})
	bot.do(http.StatusOK, "POST", path, `{"labels":[{"name":"remediation"}]}`).want(t, map[string]any{"2": nil})
	if got := g.Labels(t); !slices.Equal(got, []string{"remediation", "area/cilium"}) {
		t.Errorf("labels %q", got)
	}
	bot.do(http.StatusOK, "GET", path, "").want(t, map[string]any{"0.name": "remediation", "1.name": "area/cilium", "2": nil})
	g.Unlabel(t, 1, "remediation")
	bot.do(http.StatusOK, "DELETE", path+"/area%2Fcilium", "")
	bot.do(http.StatusNotFound, "DELETE", path+"/area%2Fcilium", "")
	bot.do(http.StatusOK, "GET", repoPath+"/issues/1/events", "").want(t, map[string]any{
		"0.event": "labeled", "0.label.name": "remediation", "0.actor.login": g.Bot(),
		"2.event": "unlabeled", "2.label.name": "remediation", "2.actor.login": g.Writer(), "3.event": "unlabeled", "4": nil,
	})
	if pr := g.PRs(t)[0]; len(pr.Labels) != 0 {
		t.Errorf("labels are left: %q", pr.Labels)
	}
	g.StrictLabels()
	bot.do(http.StatusUnprocessableEntity, "POST", path, `{"labels":["new"]}`)
	bot.do(http.StatusOK, "POST", path, `{"labels":["remediation"]}`)
}

func TestGitHubReviews(t *testing.T) {
	g, bot := opened(t)
	path := repoPath + "/pulls/1/requested_reviewers"
	for _, tt := range []struct{ body, want string }{
		{`{"reviewers":["remediate-bot"]}`, "Review cannot be requested from pull request author."},
		{`{"reviewers":["stranger"]}`, "Reviews may only be requested from collaborators."},
		{`{"reviewers":["nobody"]}`, "Reviews may only be requested from collaborators."},
		{`{"team_reviewers":["other"]}`, "Reviews may only be requested from collaborators."},
	} {
		if a := bot.do(http.StatusUnprocessableEntity, "POST", path, tt.body); !strings.HasPrefix(a.text("message"), tt.want) {
			t.Errorf("%s: %s", tt.body, a.raw)
		}
	}
	bot.do(http.StatusCreated, "POST", path, `{"reviewers":["rita"],"team_reviewers":["platform"]}`).want(t,
		map[string]any{"requested_reviewers.0.login": "rita", "requested_teams.0.slug": "platform"})
	bot.do(http.StatusOK, "GET", path, "").want(t, map[string]any{"users.0.login": g.Reader(), "teams.0.slug": "platform"})
	bot.do(http.StatusOK, "GET", repoPath+"/issues/1/events", "").want(t,
		map[string]any{"0.event": "review_requested", "0.requested_reviewer.login": "rita"})
}

func TestGitHubPermissions(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	for login, want := range map[string]string{"ada": "admin", g.Writer(): "write", g.Reader(): "read", g.Stranger(): "none"} {
		bot.do(http.StatusOK, "GET", repoPath+"/collaborators/"+login+"/permission", "").want(t, map[string]any{"permission": want})
	}
	bot.do(http.StatusNotFound, "GET", repoPath+"/collaborators/nobody/permission", "")
	bot.do(http.StatusOK, "GET", "/user", "").want(t, map[string]any{"login": g.Bot(), "type": "User"})
	bot.do(http.StatusOK, "GET", "/users/rita", "").want(t, map[string]any{"login": "rita"})
	bot.do(http.StatusNotFound, "GET", "/users/nobody", "")
	bot.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{
		"full_name": "acme/clusters", "default_branch": "main", "archived": false, "private": true,
		"permissions.push": true, "permissions.admin": false,
	})
	bot.do(http.StatusOK, "GET", "/rate_limit", "").want(t, map[string]any{"rate.limit": 5000})
}

func TestGitHubRights(t *testing.T) {
	g, _ := opened(t)
	reader, stranger, nobody := callAs(t, g, g.Reader()), callAs(t, g, g.Stranger()), callAs(t, g, "nobody")
	reader.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{"permissions.push": false, "permissions.pull": true})
	reader.do(http.StatusForbidden, "POST", repoPath+"/pulls", `{"title":"a","head":"x","base":"main"}`)
	reader.do(http.StatusForbidden, "POST", repoPath+"/labels", `{"name":"a"}`)
	stranger.do(http.StatusNotFound, "GET", repoPath, "")
	stranger.do(http.StatusNotFound, "GET", "/repos/acme/other", "")
	nobody.do(http.StatusUnauthorized, "GET", repoPath, "").want(t, map[string]any{"message": "Bad credentials"})
	nobody.token = ""
	nobody.do(http.StatusUnauthorized, "GET", repoPath, "").want(t, map[string]any{"message": "Requires authentication"})
	a := nobody.do(http.StatusOK, "GET", "/meta", "")
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-GitHub-Request-Id"} {
		if a.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	basic, err := http.NewRequest("GET", g.API()+"/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := g.Secret()
	basic.SetBasicAuth(string(secret["username"]), string(secret["password"]))
	resp, err := reader.http.Do(basic)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("basic auth: %s", resp.Status)
	}
}

func TestGitHubArchived(t *testing.T) {
	g, bot := opened(t)
	work := cloneAs(t, g, g.Secret())
	g.Archive(t)
	bot.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{"archived": true})
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "")
	for _, path := range []string{"/pulls", "/issues/1/comments"} {
		body := map[string]string{"/pulls": `{"title":"a","head":"x","base":"main"}`, "/issues/1/comments": `{"body":"a"}`}[path]
		bot.do(http.StatusForbidden, "POST", repoPath+path, body).want(t,
			map[string]any{"message": "Repository was archived so is read-only."})
	}
	work.git("commit", "--quiet", "--allow-empty", "-m", "a")
	if out, err := work.run(work.dir, "push", "origin", "HEAD:refs/heads/new"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push: %v\n%s", err, out)
	}
}

func TestGitHubMoved(t *testing.T) {
	g, bot := opened(t)
	old := g.CloneURL()
	g.Rename(t, "fleet")
	if g.Name() != "acme/fleet" || g.CloneURL() != old {
		t.Errorf("name %s at %s", g.Name(), g.CloneURL())
	}
	a := bot.do(http.StatusMovedPermanently, "GET", repoPath+"/pulls?state=all", "")
	to := a.header.Get("Location")
	if want := g.API() + "/repositories/1296269/pulls?state=all"; to != want || a.text("url") != want {
		t.Errorf("moved to %s, want %s", to, want)
	}
	bot.do(http.StatusOK, "GET", to, "").want(t, map[string]any{"0.number": 1})
	a = bot.do(http.StatusTemporaryRedirect, "POST", repoPath+"/issues/1/comments", `{"body":"a"}`)
	bot.do(http.StatusCreated, "POST", a.header.Get("Location"), `{"body":"a"}`)
	bot.do(http.StatusOK, "GET", "/repos/acme/fleet", "").want(t, map[string]any{"full_name": "acme/fleet"})
	if got := cloneAs(t, g, g.Secret()).git("log", "--format=%s", "-1"); got != "first commit" {
		t.Errorf("a clone of the old address has %q", got)
	}
	g.Delete(t)
	bot.do(http.StatusNotFound, "GET", "/repos/acme/fleet", "")
	bot.do(http.StatusNotFound, "GET", repoPath, "")
}

func TestGitHubRenamedDefaultBranch(t *testing.T) {
	g, bot := opened(t)
	g.RenameDefaultBranch(t, "trunk")
	bot.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{"default_branch": "trunk"})
	bot.do(http.StatusOK, "GET", repoPath+"/pulls/1", "").want(t, map[string]any{"base.ref": "trunk", "state": "open"})
	if out := cloneAs(t, g, g.Secret()).git("ls-remote", "--symref", "origin", "HEAD"); !strings.Contains(out, "refs/heads/trunk") {
		t.Errorf("HEAD is %s", out)
	}
}
