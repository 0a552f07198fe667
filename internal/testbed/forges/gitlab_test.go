package forges

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// labVisitor asks the fake as a program would, without any library of ours.
type labVisitor struct {
	testing.TB
	g      *GitLabServer
	client *http.Client
	login  string
}

func visitLab(t testing.TB, g *GitLabServer) *labVisitor {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(g.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &labVisitor{t, g, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, gitlabBot}
}

func (v *labVisitor) as(login string) *labVisitor {
	return &labVisitor{v.TB, v.g, v.client, login}
}

const labPath = "/projects/infra%2Fclusters%2Ffleet"

// ask wants a status and gives the answer.
func (v *labVisitor) ask(want int, method, path, body string) (object, http.Header) {
	v.Helper()
	status, raw, h := v.raw(method, path, body)
	if status != want {
		v.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, raw)
	}
	var o object
	var list []object
	if json.Unmarshal(raw, &o) != nil && json.Unmarshal(raw, &list) == nil {
		o = object{"list": list}
	}
	return o, h
}

func (v *labVisitor) raw(method, path, body string) (int, []byte, http.Header) {
	v.Helper()
	req, err := http.NewRequest(method, v.g.API()+path, strings.NewReader(body))
	if err != nil {
		v.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if v.login != "" {
		req.Header.Set("Private-Token", "glpat-"+v.login)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		v.Fatal(err)
	}
	return resp.StatusCode, raw, resp.Header
}

func TestGitLabWhoMaySee(t *testing.T) {
	g := GitLab(t)
	g.Push(t, "x", map[string][]byte{"a": []byte("1\n")})
	v := visitLab(t, g)
	const open = `{"source_branch":"x","target_branch":"main","title":"t"}`
	v.as("").ask(401, "GET", labPath, "")
	v.as("who").ask(401, "GET", "/version", "")
	v.as(gitlabStranger).ask(404, "GET", labPath, "")
	v.as(gitlabStranger).ask(404, "POST", labPath+"/merge_requests", open)
	v.as(gitlabReader).ask(403, "POST", labPath+"/merge_requests", open)
	v.ask(404, "GET", "/projects/infra%2Fclusters%2Fother", "")
	o, _ := v.ask(200, "GET", labPath, "")
	if o["path_with_namespace"] != "infra/clusters/fleet" || o["default_branch"] != "main" {
		t.Errorf("%v", o)
	}
	v.ask(200, "GET", "/projects/278", "")
	if n := g.Requests(); n != 3 {
		t.Errorf("%d requests of the bot, want 3", n)
	}
}

func TestGitLabMergeRequests(t *testing.T) {
	g := GitLab(t)
	g.Push(t, "x", map[string][]byte{"a": []byte("1\n")})
	v := visitLab(t, g)
	const all, one = labPath + "/merge_requests", labPath + "/merge_requests/1"
	o, _ := v.ask(201, "POST", all, `{"source_branch":"x","target_branch":"main","title":"Draft: t","labels":"a, b","reviewer_ids":[32,999]}`)
	if o["iid"] != 1.0 || o["draft"] != true || o["state"] != "opened" || o["merge_commit_sha"] != nil || fmt.Sprint(o["labels"]) != "[a b]" || len(o["reviewers"].([]any)) != 1 {
		t.Errorf("%v", o)
	}
	o, _ = v.ask(409, "POST", all, `{"source_branch":"x","target_branch":"main","title":"t"}`)
	if fmt.Sprint(o["message"]) != "[Another open merge request already exists for this source branch: !1]" {
		t.Errorf("%v", o)
	}
	v.ask(422, "POST", all, `{"source_branch":"y","target_branch":"main","title":"t"}`)
	v.ask(422, "POST", all, `{"source_branch":"main","target_branch":"main","title":"t"}`)
	v.ask(400, "POST", all, fmt.Sprintf(`{"source_branch":"x","target_branch":"main","title":%q}`, strings.Repeat("t", 256)))
	v.ask(400, "PUT", one, `{"title":"a\u0000b"}`)
	v.ask(405, "PUT", one+"/merge", `{}`) // a draft
	head := g.Push(t, "x", map[string][]byte{"a": []byte("2\n")})
	if o, _ = v.ask(200, "PUT", one, `{"title":"ready"}`); o["draft"] != false || o["sha"] != head {
		t.Errorf("%v", o)
	}
	v.ask(409, "PUT", one+"/merge", `{"sha":"`+strings.Repeat("0", 40)+`"}`)
	if o, _ = v.ask(200, "PUT", one+"/merge", `{}`); o["state"] != "merged" || o["merge_commit_sha"] != g.Branches(t)["main"] {
		t.Errorf("%v", o)
	}
	if o, _ = v.ask(200, "PUT", one, `{"state_event":"close"}`); o["state"] != "merged" {
		t.Errorf("closing what is merged: %v", o["state"])
	}
	// Without a difference GitLab opens one all the same.
	g.Git(t, "update-ref", "refs/heads/same", g.Branches(t)["main"])
	v.ask(201, "POST", all, `{"source_branch":"same","target_branch":"main","title":"t"}`)
	g.DeleteBranch(t, "same")
	if o, _ = v.ask(200, "GET", all+"/2", ""); o["state"] != "opened" {
		t.Errorf("without its branch: %v", o["state"])
	}
}

func TestGitLabMergedByHand(t *testing.T) {
	g := GitLab(t)
	head := g.Push(t, "x", map[string][]byte{"a": []byte("1\n")})
	number := g.OpenPR(t, "x", "t")
	g.Git(t, "update-ref", "refs/heads/main", head)
	if pr := g.PRs(t)[0]; pr.Number != number || pr.State != "merged" || pr.Head != head {
		t.Errorf("%+v", pr)
	}
}

func TestGitLabNotes(t *testing.T) {
	g := GitLab(t)
	g.Push(t, "x", map[string][]byte{"a": []byte("1\n")})
	g.OpenPR(t, "x", "t")
	v := visitLab(t, g)
	const notes = labPath + "/merge_requests/1/notes"
	first, _ := v.ask(201, "POST", notes, `{"body":"one"}`)
	v.ask(400, "POST", notes, `{"body":" "}`)
	v.as(gitlabReader).ask(403, "PUT", fmt.Sprintf("%s/%.0f", notes, first["id"]), `{"body":"mine"}`)
	v.ask(200, "PUT", fmt.Sprintf("%s/%.0f", notes, first["id"]), `{"body":"two"}`)
	v.ask(404, "PUT", notes+"/1", `{"body":"two"}`)
	// Only a command: nothing is left to say.
	v.ask(202, "POST", notes, `{"body":"/close"}`)
	o, h := v.ask(200, "GET", notes+"?sort=asc&per_page=1", "")
	if n := o["list"].([]object)[0]; n["body"] != "two" || h.Get("X-Next-Page") != "2" || h.Get("X-Total") != "2" {
		t.Errorf("%v %v", n, h)
	}
	if o, h = v.ask(200, "GET", notes+"?sort=asc&per_page=1&page=2", ""); o["list"].([]object)[0]["system"] != true || h.Get("X-Next-Page") != "" {
		t.Errorf("%v %v", o, h)
	}
	if pr := g.PRs(t)[0]; pr.State != "closed" || len(pr.Comments) != 1 {
		t.Errorf("%+v", pr)
	}
}

func TestGitLabMoved(t *testing.T) {
	g := GitLab(t)
	g.Rename(t, "new")
	v := visitLab(t, g)
	_, h := v.ask(301, "GET", labPath+"/merge_requests?state=all", "")
	to, err := url.Parse(h.Get("Location"))
	if err != nil || to.RequestURI() != "/api/v4/projects/278/merge_requests?state=all" {
		t.Errorf("Location %s", h.Get("Location"))
	}
	v.ask(405, "POST", labPath+"/merge_requests", `{"source_branch":"x","target_branch":"main","title":"t"}`)
	v.ask(200, "GET", "/projects/infra%2Fclusters%2Fnew", "")
	g.Archive(t)
	v.ask(403, "POST", "/projects/278/merge_requests", `{"source_branch":"x","target_branch":"main","title":"t"}`)
	g.Delete(t)
	v.ask(404, "GET", "/projects/278", "")
}

// git is a clone in a new folder, as a login.
func (v *labVisitor) git(login string) func(args ...string) (string, error) {
	v.Helper()
	dir := v.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, v.g.ca, 0o600); err != nil {
		v.Fatal(err)
	}
	u, err := url.Parse(v.g.CloneURL())
	if err != nil {
		v.Fatal(err)
	}
	u.User = url.UserPassword("oauth2", "glpat-"+login)
	return func(args ...string) (string, error) {
		cmd := exec.Command("git", append([]string{"-c", "http.sslCAInfo=" + ca, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "URL=" + u.String()}
		for i, a := range args {
			if a == "URL" {
				cmd.Args[len(cmd.Args)-len(args)+i] = u.String()
			}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func TestGitLabGit(t *testing.T) {
	g := GitLab(t)
	v := visitLab(t, g)
	g.Rename(t, "new") // the old address serves Git still
	push := func(login string, branch string) (string, error) {
		t.Helper()
		git := v.git(login)
		for _, args := range [][]string{{"clone", "-q", "URL", "c"}, {"-C", "c", "commit", "-q", "--allow-empty", "-m", "x"}} {
			if out, err := git(args...); err != nil {
				t.Fatalf("%s: %v: %s", login, err, out)
			}
		}
		return git("-C", "c", "push", "-q", "origin", "HEAD:refs/heads/"+branch)
	}
	if out, err := push(gitlabBot, "mine"); err != nil || g.Branches(t)["mine"] == "" {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := push(gitlabReader, "theirs"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("a Reporter: %v: %s", err, out)
	}
	g.Protect(t, "main")
	if out, err := push(gitlabBot, "main"); err == nil || !strings.Contains(out, "not allowed to push code to protected branches") {
		t.Errorf("protected: %v: %s", err, out)
	}
	if out, err := v.git(gitlabStranger)("clone", "URL", "c"); err == nil || !strings.Contains(out, "not found") {
		t.Errorf("a stranger: %v: %s", err, out)
	}
	g.Archive(t)
	if out, err := push(gitlabBot, "late"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("archived: %v: %s", err, out)
	}
}

// labMishaps keeps what would fail a test.
type labMishaps struct {
	testing.TB
	said []string
}

func (m *labMishaps) Errorf(format string, args ...any) {
	m.said = append(m.said, fmt.Sprintf(format, args...))
}

// The description must bite: on requests that GitLab would not take, and on
// answers that it would not give.
func TestGitLabHeld(t *testing.T) {
	for name, tt := range map[string]struct{ method, path, body, want string }{
		"no such operation": {"DELETE", labPath, "", "not allow"},
		"no such parameter": {"GET", labPath + "/merge_requests?status=all", "", `"status"`},
		"no such state":     {"GET", labPath + "/merge_requests?state=open", "", "state"},
		"page too large":    {"GET", labPath + "/merge_requests?per_page=101", "", "per_page"},
		"no title":          {"POST", labPath + "/merge_requests", `{"source_branch":"x","target_branch":"main"}`, "title"},
		"no such field":     {"POST", labPath + "/merge_requests", `{"source_branch":"x","target_branch":"main","title":"t","draft":true}`, "draft"},
		"wrong type":        {"POST", labPath + "/merge_requests", `{"source_branch":"x","target_branch":"main","title":"t","reviewer_ids":"1"}`, "reviewer_ids"},
		"nothing to change": {"PUT", labPath + "/merge_requests/1", `{}`, "at least 1"},
		"no number":         {"GET", labPath + "/merge_requests/one", "", "merge_request_iid"},
		"no ref":            {"GET", labPath + "/repository/compare?from=main", "", `"to"`},
		"half a path":       {"GET", "/projects/fleet", "", `"id"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := GitLab(t)
			mishaps := &labMishaps{TB: t}
			g.t = mishaps
			status, _, _ := visitLab(t, g).raw(tt.method, tt.path, tt.body)
			if len(mishaps.said) != 1 || !strings.Contains(mishaps.said[0], tt.want) || status/100 != 4 {
				t.Errorf("status %d, said %q, want %q", status, mishaps.said, tt.want)
			}
		})
	}
	t.Run("wrong answer", func(t *testing.T) {
		g := GitLab(t)
		mishaps := &labMishaps{TB: t}
		g.t = mishaps
		g.Push(t, "x", map[string][]byte{"a": []byte("1\n")})
		g.OpenPR(t, "x", "t")
		g.requests[0].state = "open" // GitLab says opened
		visitLab(t, g).raw("GET", labPath+"/merge_requests/1", "")
		if len(mishaps.said) != 1 || !strings.Contains(mishaps.said[0], "state") {
			t.Errorf("said %q", mishaps.said)
		}
	})
}

// The description is held to the recorded answers that come with the client
// library. They are of older servers, so what they lack says nothing.
func TestGitLabDescription(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(gitlabDescription)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gitlab.com/gitlab-org/api/client-go").Output()
	if err != nil {
		t.Fatalf("where is the client library? %v", err)
	}
	for file, name := range map[string]string{
		"get_merge_request.json": "MergeRequest", "get_merge_requests.json": "MergeRequestBasic",
		"list_merge_request_diff.json": "Diff", "get_commit.json": "Commit",
	} {
		raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var recorded []any
		if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
			raw = fmt.Appendf(nil, "[%s]", raw)
		}
		if err := json.Unmarshal(raw, &recorded); err != nil || len(recorded) == 0 {
			t.Fatalf("%s: %v", file, err)
		}
		s := doc.Components.Schemas[name].Value
		s.Required = nil
		for i, v := range recorded {
			known := 0
			for key := range v.(object) {
				if s.Properties[key] == nil {
					delete(v.(object), key)
				} else {
					known++
				}
			}
			if err := s.VisitJSON(v, openapi3.MultiErrors()); err != nil {
				t.Errorf("%s, %d: %v", file, i, err)
			}
			if known < 8 {
				t.Errorf("%s, %d: only %d properties are known", file, i, known)
			}
		}
	}
}

func TestGitLabClock(t *testing.T) {
	g := GitLab(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g.Clock(func() time.Time { return at })
	g.mu.Lock()
	defer g.mu.Unlock()
	if a, b := g.now(), g.now(); !a.Equal(at) || !b.After(a) {
		t.Errorf("%s, then %s", a, b)
	}
}
