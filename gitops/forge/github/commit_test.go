package github_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/forge"
)

var (
	parent, tree = strings.Repeat("1", 40), strings.Repeat("2", 40)
	sub, newTree = strings.Repeat("3", 40), strings.Repeat("4", 40)
	made, blob   = strings.Repeat("5", 40), strings.Repeat("6", 40)
)

func entry(path, mode, sha string) map[string]any {
	kind := "blob"
	if mode == "040000" {
		kind = "tree"
	}
	return map[string]any{"path": path, "mode": mode, "type": kind, "sha": sha}
}

// objects answers as a repository with one file in a folder, and one at the top.
func objects() map[string]func(*http.Request) (int, any) {
	sha := func(s string) func(*http.Request) (int, any) { return always(201, map[string]any{"sha": s}) }
	return map[string]func(*http.Request) (int, any){
		"GET /repos/o/n/git/trees/" + tree: always(200, map[string]any{"sha": tree, "tree": []any{
			entry("run.sh", "100755", blob), entry("apps", "040000", sub), entry("apps/a.yaml", "100644", blob),
			entry("link", "120000", blob), entry("module", "160000", made),
		}}),
		"POST /repos/o/n/git/blobs":   sha(blob),
		"POST /repos/o/n/git/trees":   sha(newTree),
		"POST /repos/o/n/git/commits": sha(made),
		"POST /repos/o/n/git/refs":    always(201, map[string]any{"ref": "refs/heads/b", "object": map[string]any{"sha": made}}),
	}
}

func commit(files map[string][]byte) forge.Commit {
	return forge.Commit{Branch: "b", Parent: parent, ParentTree: tree, Files: files, Message: "fix(cilium): x\n"}
}

func TestCommitSends(t *testing.T) {
	f, s := scripted(t, objects())
	hash, err := f.(forge.Committer).Commit(context.Background(), commit(map[string][]byte{
		"run.sh": []byte("#!/bin/sh\n"), "apps/a.yaml": []byte("ä: \xff\n"),
	}))
	if err != nil || hash != made {
		t.Fatalf("got %s, %v", hash, err)
	}
	want := []string{
		"GET /repos/o/n/git/ref/heads/b", "GET /repos/o/n/git/trees/" + tree, "POST /repos/o/n/git/blobs",
		"POST /repos/o/n/git/trees", "POST /repos/o/n/git/commits", "POST /repos/o/n/git/refs",
	}
	if !slices.Equal(s.seen, want) {
		t.Errorf("asked %q", s.seen)
	}
	if got := s.bodies[2]; got != `{"content":"w6Q6IP8K","encoding":"base64"}`+"\n" {
		t.Errorf("bytes that are no text must arrive as they are: %s", got)
	}
	var sent struct {
		Base string           `json:"base_tree"`
		Tree []map[string]any `json:"tree"`
	}
	if err := json.Unmarshal([]byte(s.bodies[3]), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Base != tree || len(sent.Tree) != 2 || sent.Tree[0]["sha"] != blob || sent.Tree[1]["mode"] != "100755" || sent.Tree[1]["content"] != "#!/bin/sh\n" {
		t.Errorf("tree: %s", s.bodies[3])
	}
	if got := s.bodies[4]; strings.Contains(got, "author") || strings.Contains(got, "committer") || !strings.Contains(got, parent) {
		t.Errorf("author and committer are GitHub's to set: %s", got)
	}
}

func TestCommitWalksATreeThatIsCutOff(t *testing.T) {
	answers := objects()
	whole := func(entries ...any) map[string]any { return map[string]any{"sha": tree, "tree": entries} }
	answers["GET /repos/o/n/git/trees/"+tree] = func(r *http.Request) (int, any) {
		if r.URL.Query().Get("recursive") != "" {
			return 200, map[string]any{"sha": tree, "truncated": true, "tree": []any{}}
		}
		return 200, whole(entry("run.sh", "100755", blob), entry("apps", "040000", sub))
	}
	answers["GET /repos/o/n/git/trees/"+sub] = always(200, whole(entry("a.yaml", "100644", blob), entry("b.yaml", "100644", blob)))
	tests := []struct {
		path  string
		kind  forge.Kind
		trees int
	}{
		{"apps/a.yaml", "", 3}, {"run.sh", "", 2}, {"apps", forge.Invalid, 2}, {"run.sh/x", forge.Invalid, 2},
		{"apps/none", forge.Invalid, 3}, {"none/none", forge.Invalid, 2},
	}
	for _, tt := range tests {
		f, s := scripted(t, answers)
		_, err := f.(forge.Committer).Commit(context.Background(), commit(map[string][]byte{tt.path: nil}))
		if tt.kind == "" && err != nil || tt.kind != "" && !forge.Is(err, tt.kind) {
			t.Errorf("%s: %v", tt.path, err)
		}
		n := 0
		for _, r := range s.requests() {
			if strings.HasPrefix(r, "GET /repos/o/n/git/trees/") {
				n++
			}
		}
		if n != tt.trees {
			t.Errorf("%s: %d trees read, want %d", tt.path, n, tt.trees)
		}
	}
}

func TestCommitRefuses(t *testing.T) {
	at := func(sha string) func(*http.Request) (int, any) {
		return always(200, map[string]any{"ref": "refs/heads/b", "object": map[string]any{"sha": sha}})
	}
	tests := []struct {
		name   string
		change func(*forge.Commit, map[string]func(*http.Request) (int, any))
		kind   forge.Kind
		writes int
	}{
		{"a link", func(c *forge.Commit, _ map[string]func(*http.Request) (int, any)) {
			c.Files = map[string][]byte{"link": nil}
		}, forge.Invalid, 0},
		{"a submodule", func(c *forge.Commit, _ map[string]func(*http.Request) (int, any)) {
			c.Files = map[string][]byte{"module": nil}
		}, forge.Invalid, 0},
		{"a new file", func(c *forge.Commit, _ map[string]func(*http.Request) (int, any)) {
			c.Files = map[string][]byte{"new": nil}
		}, forge.Invalid, 0},
		{"a parent that is none", func(c *forge.Commit, _ map[string]func(*http.Request) (int, any)) { c.ParentTree = "../../user" }, forge.Invalid, 0},
		{"a branch that is there", func(_ *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			a["GET /repos/o/n/git/ref/heads/b"] = at(made)
		}, forge.Conflict, 0},
		{"a branch that is elsewhere", func(c *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			c.Expect = parent
			a["GET /repos/o/n/git/ref/heads/b"] = at(made)
		}, forge.Conflict, 0},
		{"a branch that is gone", func(c *forge.Commit, _ map[string]func(*http.Request) (int, any)) { c.Expect = parent }, forge.Conflict, 0},
		{"a branch that came meanwhile", func(_ *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			a["POST /repos/o/n/git/refs"] = always(422, `{"message":"Reference already exists"}`)
		}, forge.Conflict, 3},
		{"a branch that moved meanwhile", func(c *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			c.Expect = parent
			tips := []string{parent, made}
			a["GET /repos/o/n/git/ref/heads/b"] = func(r *http.Request) (int, any) {
				tip := tips[0]
				tips = tips[1:]
				return at(tip)(r)
			}
		}, forge.Conflict, 2},
		{"nothing", func(_ *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			a["POST /repos/o/n/git/trees"] = always(201, map[string]any{"sha": tree})
		}, forge.NoDiff, 1},
		{"a rule", func(_ *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			a["POST /repos/o/n/git/refs"] = always(422, `{"message":"Repository rule violations found\n\nCannot create ref"}`)
		}, forge.Protected, 3},
		{"no right to trees", func(_ *forge.Commit, a map[string]func(*http.Request) (int, any)) {
			a["POST /repos/o/n/git/trees"] = nil
		}, forge.NotFound, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answers, c := objects(), commit(map[string][]byte{"run.sh": []byte("x")})
			tt.change(&c, answers)
			f, s := scripted(t, answers)
			hash, err := f.(forge.Committer).Commit(context.Background(), c)
			if hash != "" || !forge.Is(err, tt.kind) || !strings.Contains(err.Error(), "commit to branch b of o/n") {
				t.Errorf("got %q, %v; want %s", hash, err, tt.kind)
			}
			n := 0
			for _, r := range s.requests() {
				if !strings.HasPrefix(r, "GET ") {
					n++
				}
			}
			if n != tt.writes {
				t.Errorf("%d writes, want %d", n, tt.writes)
			}
		})
	}
}

func TestCommitMovesABranch(t *testing.T) {
	answers, c := objects(), commit(map[string][]byte{"run.sh": []byte("x")})
	c.Expect = blob
	ref := always(200, map[string]any{"ref": "refs/heads/b", "object": map[string]any{"sha": blob}})
	answers["GET /repos/o/n/git/ref/heads/b"] = ref
	answers["PATCH /repos/o/n/git/refs/heads/b"] = ref
	f, s := scripted(t, answers)
	if _, err := f.(forge.Committer).Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if got := s.bodies[len(s.bodies)-1]; got != `{"sha":"`+made+`","force":true}`+"\n" {
		t.Errorf("sent %s", got)
	}
}
