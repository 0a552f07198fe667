package github_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// pullJSON is a pull request as GitHub lists it, opened n hours after [day].
func pullJSON(n int, state string, forked bool) map[string]any {
	head := 1
	if forked {
		head = 2
	}
	return map[string]any{
		"number": n, "state": state, "created_at": day.Add(time.Duration(n) * time.Hour),
		"head": map[string]any{"ref": "b", "repo": map[string]any{"id": head}},
		"base": map[string]any{"ref": "main", "repo": map[string]any{"id": 1}},
	}
}

// paged serves pulls 1 to n, newest first, the first `old` of them open.
func paged(t *testing.T, n, old int) func(*http.Request) (int, any) {
	return func(r *http.Request) (int, any) {
		q := r.URL.Query()
		if q.Get("sort") != "created" || q.Get("direction") != "desc" || q.Get("per_page") != "100" {
			t.Errorf("asked for %s", r.URL.RawQuery)
		}
		var all []map[string]any
		for i := n; i > 0; i-- {
			state := "closed"
			if i <= old {
				state = "open"
			}
			if s := q.Get("state"); s == "all" || s == state {
				all = append(all, pullJSON(i, state, i%2 == 0))
			}
		}
		page, _ := strconv.Atoi(q.Get("page"))
		from, to := min((page-1)*100, len(all)), min(page*100, len(all))
		return 200, func(w http.ResponseWriter) {
			if to < len(all) {
				w.Header().Set("Link", fmt.Sprintf(`<https://x/?page=%d>; rel="next"`, page+1))
			}
			writeJSON(w, all[from:to])
		}
	}
}

func numbers(list []forge.PullRequest) []int {
	var out []int
	for _, pr := range list {
		out = append(out, pr.Number)
	}
	return out
}

func TestListPages(t *testing.T) {
	tests := []struct {
		name            string
		pulls, old      int
		since           int // hours after day
		requests, count int
	}{
		{"none", 0, 0, 0, 1, 0},
		{"one page", 99, 2, 90, 1, 12},
		{"a full page that ends the list", 100, 2, 90, 1, 13},
		{"more than a page, all are new", 150, 0, 0, 2, 150},
		{"more than a page, the open ones are old", 150, 3, 140, 2, 14},
		{"many open ones", 450, 120, 440, 3, 131},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, s := scripted(t, map[string]func(*http.Request) (int, any){"GET /repos/o/n/pulls": paged(t, tt.pulls, tt.old)})
			list, err := f.List(context.Background(), day.Add(time.Duration(tt.since)*time.Hour))
			if err != nil || len(list) != tt.count {
				t.Fatalf("got %d, %v; want %d", len(list), err, tt.count)
			}
			if n := len(s.requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if got := numbers(list); !slices.IsSortedFunc(got, func(a, b int) int { return b - a }) || len(slices.Compact(got)) != tt.count {
				t.Errorf("not newest first, or doubled: %v", got)
			}
			for _, pr := range list {
				if pr.Fork != (pr.Number%2 == 0) {
					t.Errorf("#%d: fork is %t", pr.Number, pr.Fork)
				}
			}
		})
	}
}

func TestAListWithoutEndIsAnError(t *testing.T) {
	f, s := scripted(t, map[string]func(*http.Request) (int, any){
		"GET /repos/o/n/pulls": always(200, func(w http.ResponseWriter) {
			w.Header().Set("Link", `<https://x/?page=2>; rel="next"`)
			writeJSON(w, []any{pullJSON(1, "open", false)})
		}),
	})
	if _, err := f.Find(context.Background(), "b"); !forge.Is(err, forge.Invalid) || len(s.requests()) != 50 {
		t.Errorf("got %v", err)
	}
}

func TestRead(t *testing.T) {
	file := func(fields map[string]any) func(*http.Request) (int, any) { return always(200, fields) }
	text := "values: {}\n" + strings.Repeat("# ä long line\n", 20)
	tests := []struct {
		name   string
		answer func(*http.Request) (int, any)
		want   string
		ok     bool
		kind   forge.Kind
	}{
		{"a file", file(map[string]any{"type": "file", "size": 9, "encoding": "base64", "content": folded(text)}), text, true, ""},
		{"an empty one", file(map[string]any{"type": "file", "size": 0, "encoding": "base64", "content": ""}), "", true, ""},
		{"none", nil, "", false, ""},
		{"a folder", always(200, []any{}), "", false, ""},
		{"a submodule", file(map[string]any{"type": "submodule"}), "", false, ""},
		{"too large", file(map[string]any{"type": "file", "size": 2 << 20, "encoding": "none", "content": ""}), "", false, forge.Invalid},
		{"a server error", always(500, ""), "", false, forge.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := scripted(t, map[string]func(*http.Request) (int, any){"GET /repos/o/n/contents/a b/ä.yaml": tt.answer})
			got, ok, err := f.Read(context.Background(), forge.PullRequest{Number: 1, Head: "abc"}, "a b/ä.yaml")
			if string(got) != tt.want || ok != tt.ok || tt.kind == "" && err != nil || tt.kind != "" && !forge.Is(err, tt.kind) {
				t.Errorf("got %q, %t, %v", got, ok, err)
			}
		})
	}
}

// folded is base64 in lines of 60, as GitHub sends it.
func folded(text string) string {
	s := base64.StdEncoding.EncodeToString([]byte(text))
	var b strings.Builder
	for len(s) > 60 {
		b.WriteString(s[:60] + "\n")
		s = s[60:]
	}
	return b.String() + s + "\n"
}

func TestRepositorySaysWhetherItMayPush(t *testing.T) {
	for body, want := range map[string]bool{
		`{"full_name":"o/n"}`: true, `{"full_name":"o/n","permissions":{"push":true}}`: true,
		`{"full_name":"o/n","permissions":{"pull":true,"push":false}}`: false,
	} {
		f, _ := scripted(t, map[string]func(*http.Request) (int, any){"GET /repos/o/n": always(200, body)})
		if got, err := f.Repository(context.Background()); err != nil || got.CanPush != want {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestFilesNameBothOfARenamedOne(t *testing.T) {
	f, _ := scripted(t, map[string]func(*http.Request) (int, any){
		"GET /repos/o/n/pulls/7/files": always(200, `[{"filename":"a"},{"filename":"c","previous_filename":"b","status":"renamed"}]`),
	})
	got, err := f.Files(context.Background(), forge.PullRequest{Number: 7})
	if err != nil || !slices.Equal(got, []string{"a", "c", "b"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCanWrite(t *testing.T) {
	ctx := context.Background()
	level := func(s string) func(*http.Request) (int, any) { return always(200, map[string]string{"permission": s}) }
	f, s := scripted(t, map[string]func(*http.Request) (int, any){
		"GET /repos/o/n/collaborators/ada/permission":      level("admin"),
		"GET /repos/o/n/collaborators/mia/permission":      level("maintain"),
		"GET /repos/o/n/collaborators/wanda/permission":    level("write"),
		"GET /repos/o/n/collaborators/bob[bot]/permission": level("write"),
		"GET /repos/o/n/collaborators/tim/permission":      level("triage"),
		"GET /repos/o/n/collaborators/rita/permission":     level("read"),
		"GET /repos/o/n/collaborators/nobody/permission":   level("none"),
		"GET /repos/o/n/collaborators/new/permission":      level("superuser"),
		"GET /repos/o/n/collaborators/busy/permission":     always(500, ""),
	})
	for user, want := range map[string]bool{
		"ada": true, "mia": true, "wanda": true, "bob[bot]": true, "tim": false, "rita": false,
		"nobody": false, "new": false, "unknown": false, "": false,
	} {
		if got, err := f.CanWrite(ctx, user); err != nil || got != want {
			t.Errorf("%q: %t, %v", user, got, err)
		}
	}
	if ok, err := f.CanWrite(ctx, "busy"); ok || !forge.Is(err, forge.Unavailable) {
		t.Errorf("not known is no yes: %t, %v", ok, err)
	}
	s.requests()
	if ok, err := f.CanWrite(ctx, "../../../ada?x="); ok || err != nil {
		t.Errorf("a name that leaves the path: %t, %v", ok, err)
	}
}
