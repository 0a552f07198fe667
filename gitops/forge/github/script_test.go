package github_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/github"
)

const token = "ghp_0123456789secret"

// script answers requests as a test wants it, for what a whole server cannot be
// brought to do.
type script struct {
	mu sync.Mutex
	// answers are by "METHOD /path"; a missing one is 404.
	answers map[string]func(*http.Request) (int, any)
	seen    []string
	bodies  []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v3")
	body, _ := io.ReadAll(r.Body)
	s.seen, s.bodies = append(s.seen, path), append(s.bodies, string(body))
	code, answer := http.StatusNotFound, any(map[string]string{"message": "Not Found"})
	if f := s.answers[path]; f != nil {
		code, answer = f(r)
	}
	if f, ok := answer.(func(http.ResponseWriter)); ok {
		f(w)
		return
	}
	w.WriteHeader(code)
	if text, ok := answer.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// requests gives what was asked since the last call.
func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen, s.bodies = nil, nil
	return seen
}

func always(code int, body any) func(*http.Request) (int, any) {
	return func(*http.Request) (int, any) { return code, body }
}

// scripted is a forge of repository o/n that answers by script.
func scripted(t *testing.T, answers map[string]func(*http.Request) (int, any)) (forge.Forge, *script) {
	t.Helper()
	s := &script{answers: answers}
	return behind(t, s), s
}

func behind(t *testing.T, handler http.Handler) forge.Forge {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return open(t, server.URL+"/o/n", server.URL+"/api/v3", map[string][]byte{
		"username": []byte("bot"), "password": []byte(token), "ca.crt": ca,
	})
}

// open is a forge for an address and a GitRepository's Secret.
func open(t *testing.T, url, api string, secret map[string][]byte) forge.Forge {
	t.Helper()
	a, err := access.New(access.Options{URL: url, Git: secret})
	if err != nil {
		t.Fatal(err)
	}
	place, err := forge.Locate(url)
	if err != nil {
		t.Fatal(err)
	}
	place.Kind, place.API = forge.GitHub, api
	f, err := github.New(place, a)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func writeJSON(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }
