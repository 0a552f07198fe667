package forge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// serve answers by path; everything else is a page of HTML that is not found.
func serve(t *testing.T, paths map[string]http.HandlerFunc) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials are sent to a server that nobody knows yet")
		}
		if h := paths[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<html>not here</html>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func says(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestDetect(t *testing.T) {
	gitea := says(200, `{"version":"1.26.0"}`)
	gitlab := says(401, `{"message":"401 Unauthorized"}`, "X-Gitlab-Meta", `{"version":"1"}`)
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			_, _ = io.WriteString(w, strings.Repeat(" ", 1000))
		}
	}
	tests := []struct {
		name  string
		paths map[string]http.HandlerFunc
		path  string
		want  string // KIND API OWNER NAME, API without the server
		err   string
	}{
		{"Gitea", map[string]http.HandlerFunc{"/api/v1/version": gitea}, "/o/n", "gitea /api/v1 o n", ""},
		{"Gitea for members", map[string]http.HandlerFunc{"/api/v1/version": says(403, `{"message":"Only signed in user is allowed to call APIs.","url":"https://x/api/swagger"}`)}, "/o/n", "gitea /api/v1 o n", ""},
		{"Gitea below a path", map[string]http.HandlerFunc{"/git/api/v1/version": gitea}, "/git/o/n", "gitea /git/api/v1 o n", ""},
		{"Gitea, too deep", map[string]http.HandlerFunc{"/api/v1/version": gitea}, "/a/o/n", "", "no groups of groups"},
		{"GitLab", map[string]http.HandlerFunc{"/api/v4/version": gitlab}, "/a/b/n", "gitlab /api/v4 a/b n", ""},
		{"GitLab of old", map[string]http.HandlerFunc{"/api/v4/version": says(401, `{"message":"401 Unauthorized"}`)}, "/a/n", "gitlab /api/v4 a n", ""},
		{"GitLab, open", map[string]http.HandlerFunc{"/api/v4/version": says(200, `{"version":"18.0","revision":"abc"}`)}, "/a/n", "gitlab /api/v4 a n", ""},
		{"GitLab below a path", map[string]http.HandlerFunc{"/lab/api/v4/version": gitlab}, "/lab/a/b/n", "gitlab /lab/api/v4 a/b n", ""},
		{"GitHub Enterprise", map[string]http.HandlerFunc{"/api/v3/meta": says(200, `{}`, "X-GitHub-Request-Id", "1")}, "/o/n", "github /api/v3 o n", ""},
		{"GitHub Enterprise, private", map[string]http.HandlerFunc{"/api/v3/meta": says(401, `{}`, "X-GitHub-Enterprise-Version", "3.15")}, "/o/n", "github /api/v3 o n", ""},
		{"none", nil, "/o/n", "", "not supported"},
		{"a page for everything", map[string]http.HandlerFunc{"/api/v1/version": says(200, "<html>"), "/api/v4/version": says(200, "<html>"), "/api/v3/meta": says(200, "<html>")}, "/o/n", "", "not supported"},
		{"a version of something else", map[string]http.HandlerFunc{"/api/v4/version": says(200, `{"version":"1"}`)}, "/o/n", "", "not supported"},
		{"endless", map[string]http.HandlerFunc{"/api/v1/version": endless}, "/o/n", "", "not supported"},
		{"down", map[string]http.HandlerFunc{"/api/v1/version": says(503, "")}, "/o/n", "", "unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := serve(t, tt.paths)
			place, err := forge.Locate(base + tt.path)
			if err != nil || place.Kind != "" {
				t.Fatalf("Locate: %+v, %v", place, err)
			}
			p, err := forge.Detect(context.Background(), http.DefaultClient, place)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %+v, %v; want error with %q", p, err, tt.err)
				}
				return
			}
			got := fmt.Sprint(p.Kind, " ", strings.TrimPrefix(p.API, base), " ", p.Owner, " ", p.Name)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestDetectAsksNobodyWhenItKnows(t *testing.T) {
	place := forge.Place{Kind: "gitlab", Host: "x.invalid", API: "https://x.invalid/api/v4", Owner: "o", Name: "n"}
	if got, err := forge.Detect(context.Background(), nil, place); err != nil || got != place {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDetectStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	base := serve(t, map[string]http.HandlerFunc{"/api/v1/version": func(http.ResponseWriter, *http.Request) { cancel() }})
	place, err := forge.Locate(base + "/a/o/n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forge.Detect(ctx, http.DefaultClient, place); !forge.Is(err, forge.Unavailable) {
		t.Errorf("got %v", err)
	}
}
