package forges

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const repoPath = "/repos/acme/clusters"

func TestGitHubRefusesWrongRequests(t *testing.T) {
	fake := &complaints{TB: t}
	g := GitHub(fake)
	bot := callAs(t, g, g.Bot())
	tests := []struct {
		name, method, path, body string
		want                     string
	}{
		{"a field is missing", "POST", repoPath + "/pulls", `{"title":"a","head":"x"}`, "base"},
		{"a field has the wrong type", "POST", repoPath + "/pulls", `{"title":7,"head":"x","base":"main"}`, "title"},
		{"a field does not exist", "PATCH", repoPath + "/pulls/1", `{"draft":false}`, `field "draft" does not exist`},
		{"a word is not of the list", "GET", repoPath + "/pulls?state=merged", "", "state"},
		{"a query parameter does not exist", "GET", repoPath + "/pulls?branch=x", "", `"branch" does not exist`},
		{"a number is none", "GET", repoPath + "/pulls/one", "", "pull_number"},
		{"a method does not exist", "DELETE", repoPath + "/pulls/1", "", "method not allowed"},
		{"a path does not exist", "GET", repoPath + "/merge-requests", "", "no matching operation"},
		{"a body where none belongs", "GET", repoPath + "/labels", `{"a":1}`, "body"},
		{"a body that is no JSON", "POST", repoPath + "/labels", `{`, "body"},
	}
	for _, tt := range tests {
		if _, err := bot.try(tt.method, tt.path, tt.body); err != nil {
			t.Fatal(err)
		}
		said := fake.take()
		if !strings.Contains(said, tt.want) || !strings.Contains(said, "does not allow this request: "+tt.method) {
			t.Errorf("%s: the test was told %q, want %q in it", tt.name, said, tt.want)
		}
	}
	bot.do(http.StatusOK, "GET", repoPath, "")
	if said := fake.take(); said != "" {
		t.Errorf("a request that is fine fails the test: %s", said)
	}
}

func TestGitHubRefusesWrongAnswers(t *testing.T) {
	held := GitHub(t).held
	req, err := http.NewRequest("GET", "https://github.example"+repoPath+"/labels/bug", nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := held.request(req, req.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := func() object { return object{"id": 1, "name": "bug", "color": "ededed", "default": false} }
	with := func(name string, v any) object { o := good(); o[name] = v; return o }
	tests := []struct {
		name   string
		status int
		body   any
		want   string
	}{
		{"it is fine", 200, good(), ""},
		{"an error that may come to all", 401, object{"message": "Bad credentials"}, ""},
		{"a wrong type", 200, with("name", 7), "name"},
		{"a null where none may be", 200, with("color", nil), "color"},
		{"a list instead of an object", 200, []any{good()}, "object"},
		{"a status that is not described", 418, good(), "status"},
		{"a success that is not described", 201, good(), "status"},
		{"an error with a wrong message", 401, object{"message": 7}, "message"},
		{"an error of a server with a wrong message", 500, object{"message": []int{1}}, "message"},
	}
	for _, tt := range tests {
		_, err := x.answer(tt.status, http.Header{"Content-Type": {"application/json"}}, tt.body)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A wrong answer of the fake fails the test that asked, not only the check.
func TestGitHubWrongAnswerFailsTheTest(t *testing.T) {
	fake := &complaints{TB: t}
	g := GitHub(fake)
	bot := callAs(t, g, g.Bot())
	g.Push(t, "x", map[string][]byte{"a": []byte("1")})
	n := g.OpenPR(t, "x", "a title")
	g.CommentPR(t, g.Writer(), n, "hello")
	bot.do(http.StatusOK, "GET", repoPath+"/issues/1/comments", "")
	if said := fake.take(); said != "" {
		t.Fatalf("before anything was wrong: %s", said)
	}
	g.pulls[0].comments[0].made = time.Time{} // shown as null
	bot.do(http.StatusOK, "GET", repoPath+"/issues/1/comments", "")
	if said := fake.take(); !strings.Contains(said, "GitHub would not answer so: GET") || !strings.Contains(said, "created_at") {
		t.Errorf("the test was told %q", said)
	}
}

func TestFillAddsWhatIsMissingAndNothingElse(t *testing.T) {
	held := GitHub(t).held
	label := held.doc.Components.Schemas["label"]
	got, ok := fill(label, object{"name": "bug", "color": "ededed"}).(object)
	if !ok || got["name"] != "bug" || got["color"] != "ededed" {
		t.Fatalf("what was said is gone: %v", got)
	}
	for _, name := range label.Value.Required {
		if _, there := got[name]; !there {
			t.Errorf("required %s is missing", name)
		}
	}
	if err := label.Value.VisitJSON(got); err != nil {
		t.Error(err)
	}
	if err := label.Value.VisitJSON(fill(label, object{"name": 7})); err == nil {
		t.Error("a wrong value was made right")
	}
}

// The pruned description is what the script makes of it: nobody edited it, and
// it has no operation that the list does not.
func TestGitHubDescriptionIsPruned(t *testing.T) {
	cmd := exec.Command("go", "run", "./openapi",
		"../internal/testbed/forges/openapi/github.txt", "../internal/testbed/forges/openapi/github.json")
	cmd.Dir = "../../../tools"
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	have, err := os.ReadFile("openapi/github.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != string(have) {
		t.Error("github.json is not what tools/openapi makes of it; see openapi/README.md")
	}
	for operation := range githubOperations() {
		if !strings.Contains(string(mustRead(t, "openapi/github.txt")), operation+"\n") {
			t.Errorf("the fake has %s and the list does not", operation)
		}
	}
}

// Every operation of the description is built: no client is told 404 for want
// of code.
func TestGitHubHasAllOperations(t *testing.T) {
	have := githubOperations()
	for line := range strings.Lines(string(mustRead(t, "openapi/github.txt"))) {
		operation := strings.TrimSpace(line)
		if strings.HasPrefix(operation, "#") || forApps(operation) {
			continue
		}
		if have[operation] == nil {
			t.Errorf("%s is described and not built", operation)
		}
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
