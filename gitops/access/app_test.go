package access_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"github.com/remediate-dev/remediate/gitops/access"
)

// apps is the part of GitHub that gives tokens to Apps.
type apps struct {
	t      *testing.T
	public *rsa.PublicKey

	mu     sync.Mutex
	life   time.Duration
	status int
	body   string
	// made counts tokens, asked every request.
	made, asked int
}

func (g *apps) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *apps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.status != 0 {
		w.WriteHeader(g.status)
		fmt.Fprint(w, g.body)
		return
	}
	g.checkJWT(r)
	var answer any
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v3/app":
		answer = map[string]any{"id": 7, "slug": "our-app"}
	case "GET /api/v3/orgs/home/installation":
		answer = map[string]any{"id": 42}
	case "POST /api/v3/app/installations/42/access_tokens":
		g.made++
		w.WriteHeader(http.StatusCreated)
		answer = map[string]any{"token": fmt.Sprintf("ghs_made-for-tests-%d", g.made), "expires_at": time.Now().Add(g.life).UTC().Format(time.RFC3339)}
	default:
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"message": "Not Found"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (g *apps) checkJWT(r *http.Request) {
	text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return g.public, nil }, jwt.WithValidMethods([]string{"RS256"}))
	if err != nil || claims.Issuer != "7" {
		g.t.Errorf("%s %s: JWT of %q: %v", r.Method, r.URL.Path, claims.Issuer, err)
	}
}

// newApps starts it; the Secret is of an App that is installed there.
func newApps(t *testing.T) (*apps, data) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &apps{t: t, public: &key.PublicKey, life: time.Hour}
	srv := httptest.NewTLSServer(g)
	t.Cleanup(srv.Close)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return g, secret("githubAppID", "7", "githubAppInstallationID", "42", "githubAppPrivateKey", string(private),
		"githubAppBaseURL", srv.URL+"/api/v3", "ca.crt", string(ca))
}

func TestAppAuthenticatesGitAndForge(t *testing.T) {
	g, s := newApps(t)
	a := mustNew(t, access.Options{URL: httpsURL, Git: s})
	auth, err := a.Git(context.Background())
	if err != nil || auth.Username != "x-access-token" || auth.Password != "ghs_made-for-tests-1" {
		t.Fatalf("Git: %+v, %v", auth, err)
	}
	token, err := a.Token(context.Background())
	if err != nil || token != auth.Password {
		t.Errorf("Token: %q, %v", token, err)
	}
	slug, ok, err := a.App(context.Background())
	if err != nil || !ok || slug != "our-app" {
		t.Errorf("App: %q, %t, %v", slug, ok, err)
	}
	if g.made != 1 || g.asked != 2 {
		t.Errorf("%d tokens in %d requests, want one in two: it is good for an hour", g.made, g.asked)
	}
	for _, text := range []string{token, base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))} {
		if got := a.Redact("x " + text); strings.Contains(got, "ghs_") || !strings.Contains(got, "*****") {
			t.Errorf("a made token is shown: %q", got)
		}
	}
}

func TestAppTokenIsRenewed(t *testing.T) {
	g, s := newApps(t)
	g.life = -time.Second
	a := mustNew(t, access.Options{URL: httpsURL, Git: s})
	for i := 1; i <= 3; i++ {
		want := fmt.Sprintf("ghs_made-for-tests-%d", i)
		if got, err := a.Token(context.Background()); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

func TestAppOfAnOwner(t *testing.T) {
	_, s := newApps(t)
	delete(s, "githubAppInstallationID")
	s["githubAppInstallationOwner"] = []byte("home")
	if got, err := mustNew(t, access.Options{URL: httpsURL, Git: s}).Token(context.Background()); err != nil || got == "" {
		t.Errorf("%q, %v", got, err)
	}
}

// An SSH key for Git and an App for the forge, in one Secret or in two.
func TestAppBesideAnSSHKey(t *testing.T) {
	_, s := newApps(t)
	key := secret("identity", identity(t, ""), "known_hosts", knownHosts)
	both := data{}
	for _, from := range []data{key, s} {
		for k, v := range from {
			both[k] = v
		}
	}
	for name, opts := range map[string]access.Options{"two": {Git: key, Forge: s}, "one": {Git: both}} {
		opts.URL = sshURL
		a := mustNew(t, opts)
		auth, err := a.Git(context.Background())
		if err != nil || auth.Username != "git" || auth.Password != "" {
			t.Errorf("%s: Git: %+v, %v", name, auth, err)
		}
		if token, err := a.Token(context.Background()); err != nil || !strings.HasPrefix(token, "ghs_") {
			t.Errorf("%s: Token: %q, %v", name, token, err)
		}
	}
}

func TestAppRefused(t *testing.T) {
	tests := []struct {
		status    int
		body      string
		hint      string
		transient bool
	}{
		{http.StatusUnauthorized, `{"message":"A JSON web token could not be decoded"}`, "clock", false},
		{http.StatusNotFound, `{"message":"Not Found"}`, "installed", false},
		{http.StatusForbidden, `{"message":"This installation has been suspended"}`, "suspended", false},
		{http.StatusInternalServerError, "oops", "", true},
		{http.StatusBadGateway, "<html>\x1b[31mred</html>", "", true},
		{http.StatusOK, "{}", "githubAppBaseURL", false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			g, s := newApps(t)
			g.set(func() { g.status, g.body = tt.status, tt.body })
			_, err := mustNew(t, access.Options{URL: httpsURL, Git: s}).Token(context.Background())
			if err == nil {
				t.Fatal("there is a token")
			}
			if !strings.Contains(hintOf(err), tt.hint) || err.(interface{ Transient() bool }).Transient() != tt.transient {
				t.Errorf("%q, hint %q, want %q, transient %t", err, hintOf(err), tt.hint, tt.transient)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("%q", err)
			}
		})
	}
}

func TestAppOutOfReach(t *testing.T) {
	_, s := newApps(t)
	s["githubAppBaseURL"] = []byte("https://127.0.0.1:1/api/v3")
	_, err := mustNew(t, access.Options{URL: httpsURL, Git: s}).Git(context.Background())
	if err == nil || !err.(interface{ Transient() bool }).Transient() || !strings.Contains(hintOf(err), "reached") {
		t.Errorf("%v", err)
	}
}

func TestAppKeys(t *testing.T) {
	_, good := newApps(t)
	tests := []struct {
		name, key, value, want string
	}{
		{"no id", "githubAppID", "", "githubAppID is missing"},
		{"id is no number", "githubAppID", "seven", "githubAppID is no number"},
		{"no key", "githubAppPrivateKey", "", "githubAppPrivateKey is missing"},
		{"key is none", "githubAppPrivateKey", "s3cr3t", "githubAppPrivateKey cannot be read"},
		{"no installation", "githubAppInstallationID", "", "exactly one"},
		{"two installations", "githubAppInstallationOwner", "home", "exactly one"},
		{"installation is no number", "githubAppInstallationID", "4/2", "githubAppInstallationID is no number"},
		{"API over plain http", "githubAppBaseURL", "http://ghe.example.com/api/v3", "no https URL"},
		{"API with a password", "githubAppBaseURL", "https://u:s3cr3t@ghe.example.com", "no https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := data{}
			for k, v := range good {
				s[k] = v
			}
			s[tt.key] = []byte(tt.value)
			_, err := access.New(access.Options{URL: httpsURL, Git: s})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	delete(good, "githubAppInstallationID")
	good["githubAppInstallationOwner"] = []byte("../../user")
	if _, err := access.New(access.Options{URL: httpsURL, Git: good}); err == nil || !strings.Contains(err.Error(), "no name of an account") {
		t.Errorf("an owner that is a path: %v", err)
	}
}
