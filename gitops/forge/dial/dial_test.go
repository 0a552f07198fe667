package dial_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/dial"
)

type data = map[string][]byte

// secret makes data of pairs of key and value.
func secret(pairs ...string) data {
	out := data{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = []byte(pairs[i+1])
	}
	return out
}

// with is a copy that has the other keys, too.
func with(s, other data) data {
	out := maps.Clone(s)
	maps.Copy(out, other)
	return out
}

// The address tells the forge where it can; somebody says it where it cannot.
func TestPlaceAsksNobody(t *testing.T) {
	const repository = "https://git.example.com/platform/fleet"
	for _, tt := range []struct {
		name  string
		where dial.Where
		want  string // KIND API
		err   error
		says  string
	}{
		{name: "GitHub", where: dial.Where{Address: "https://github.com/platform/fleet.git"}, want: "github https://api.github.com"},
		{name: "GitHub over ssh", where: dial.Where{Address: "ssh://git@github.com/platform/fleet"}, want: "github https://api.github.com"},
		{name: "GitLab", where: dial.Where{Address: "git@gitlab.com:platform/group/fleet.git"}, want: "gitlab https://gitlab.com/api/v4"},
		{name: "Codeberg", where: dial.Where{Address: "https://codeberg.org/platform/fleet"}, want: "gitea https://codeberg.org/api/v1"},
		{name: "a host that says what it is", where: dial.Where{Address: "https://gitlab.example.com/platform/fleet"}, want: "gitlab https://gitlab.example.com/api/v4"},

		{name: "said: GitHub", where: dial.Where{Address: repository, Kind: forge.GitHub}, want: "github https://git.example.com/api/v3"},
		{name: "said: GitLab", where: dial.Where{Address: repository, Kind: forge.GitLab}, want: "gitlab https://git.example.com/api/v4"},
		{name: "said: Gitea", where: dial.Where{Address: repository, Kind: forge.Gitea}, want: "gitea https://git.example.com/api/v1"},
		{name: "said what the address says", where: dial.Where{Address: "https://github.com/platform/fleet", Kind: forge.GitHub}, want: "github https://api.github.com"},
		{name: "said otherwise than the name looks", where: dial.Where{Address: "https://gitlab.example.com/platform/fleet", Kind: forge.Gitea}, want: "gitea https://gitlab.example.com/api/v1"},

		{name: "the web address of another server", where: dial.Where{Address: "ssh://git@ssh.example.com:2222/platform/fleet", Kind: forge.Gitea, URL: "https://web.example.com"}, want: "gitea https://web.example.com/api/v1"},
		{name: "its API's", where: dial.Where{Address: repository, Kind: forge.GitLab, URL: "https://lab.example.com/api/v4/"}, want: "gitlab https://lab.example.com/api/v4"},
		{name: "an API's tells the kind", where: dial.Where{Address: repository, URL: "https://web.example.com/git/api/v1"}, want: "gitea https://web.example.com/git/api/v1"},
		{name: "GitHub's API", where: dial.Where{Address: repository, URL: "https://api.github.com"}, want: "github https://api.github.com"},
		{name: "GitHub's web address", where: dial.Where{Address: repository, URL: "https://github.com/"}, want: "github https://api.github.com"},
		{name: "the address tells, the server is another", where: dial.Where{Address: "https://gitlab.com/platform/fleet", URL: "https://lab.example.com"}, want: "gitlab https://lab.example.com/api/v4"},

		{name: "an address that is none", where: dial.Where{Address: repository, URL: "web.example.com"}, err: dial.ErrAddress},
		{name: "plain http", where: dial.Where{Address: repository, URL: "http://web.example.com"}, err: dial.ErrAddress},
		{name: "a password in it", where: dial.Where{Address: repository, URL: "https://bot:hunter2hunter2@web.example.com"}, err: dial.ErrAddress},
		{name: "a query", where: dial.Where{Address: repository, URL: "https://web.example.com?private_token=hunter2hunter2"}, err: dial.ErrAddress},
		{name: "a repository that is none", where: dial.Where{Address: "https://bot:hunter2hunter2@git.example.com/fleet"}, says: "no owner and name"},
		{name: "a forge that is not built", where: dial.Where{Address: "https://bitbucket.org/platform/fleet"}, says: "Bitbucket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.where.Place(t.Context(), func(forge.Place) (*http.Client, error) {
				t.Error("the server is asked")
				return nil, errors.New("asked")
			})
			if tt.err != nil || tt.says != "" {
				if err == nil || tt.err != nil && !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %+v, %v; want an error with %q", p, err, tt.says)
				}
				return
			}
			if got := p.Kind + " " + p.API; err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// server is a forge of one kind that keeps how it was authenticated to.
type server struct {
	*httptest.Server
	kind string
	mu   sync.Mutex
	seen []string
}

func newServer(t *testing.T, kind string) *server {
	t.Helper()
	s := &server{kind: kind}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	for _, h := range []string{"Authorization", "Private-Token"} {
		if v := r.Header.Get(h); v != "" {
			s.seen = append(s.seen, v)
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case s.kind == forge.Gitea && r.URL.Path == "/api/v1/version":
		_, _ = io.WriteString(w, `{"version":"1.26.0"}`)
	case s.kind == forge.GitLab && r.URL.Path == "/api/v4/version":
		w.Header().Set("X-Gitlab-Meta", "{}")
		w.WriteHeader(http.StatusUnauthorized)
	case s.kind == forge.GitHub && r.URL.Path == "/api/v3/meta":
		w.Header().Set("X-GitHub-Request-Id", "1")
		_, _ = io.WriteString(w, `{}`)
	case s.kind == forge.GitHub && r.URL.Path == "/api/v3/app":
		_, _ = io.WriteString(w, `{"id":7,"slug":"our-app"}`)
	case s.kind == forge.GitHub && r.URL.Path == "/api/v3/app/installations/42/access_tokens":
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_made-for-tests","expires_at":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	default:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"message":"not with %s"}`, r.Header.Get("Authorization"))
	}
}

func (s *server) credentials() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *server) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// asker is how a stranger asks a server: with what of the Secrets says whom to
// trust, and nothing else.
func asker(secrets ...data) func(forge.Place) (*http.Client, error) {
	return func(p forge.Place) (*http.Client, error) {
		a, err := access.New(access.Options{URL: "https://" + p.Host + "/", Git: dial.Trust(secrets...)})
		if err != nil {
			return nil, err
		}
		return a.HTTP(), nil
	}
}

// A server that nobody knows is asked, without credentials, and trusted by the CA of
// the Secret alone.
func TestPlaceAsksTheServer(t *testing.T) {
	for kind, api := range map[string]string{forge.GitHub: "/api/v3", forge.GitLab: "/api/v4", forge.Gitea: "/api/v1"} {
		t.Run(kind, func(t *testing.T) {
			s := newServer(t, kind)
			creds := secret("username", "bot", "password", "hunter2hunter2", "ca.crt", s.ca())
			where := dial.Where{Address: s.URL + "/platform/fleet"}
			p, err := where.Place(t.Context(), asker(creds, secret("token", "hunter2hunter2")))
			if err != nil || p.Kind != kind || p.API != s.URL+api || p.Owner != "platform" || p.Name != "fleet" {
				t.Errorf("%+v, %v", p, err)
			}
			if seen := s.credentials(); len(seen) > 0 {
				t.Errorf("a stranger was sent %q", seen)
			}
			if p, err := where.Place(t.Context(), asker(secret("token", "hunter2hunter2"))); err == nil {
				t.Errorf("trusted without its CA: %+v", p)
			}
		})
	}
}

func TestPlaceDoesNotHideWhyItCannotAsk(t *testing.T) {
	refused := errors.New("no client")
	where := dial.Where{Address: "https://git.example.com/platform/fleet"}
	if _, err := where.Place(t.Context(), func(forge.Place) (*http.Client, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	s := newServer(t, "none of them")
	where.Address = s.URL + "/platform/fleet"
	if _, err := where.Place(t.Context(), asker(secret("ca.crt", s.ca()))); !forge.Is(err, forge.Unsupported) {
		t.Error(err)
	}
}

func TestTrust(t *testing.T) {
	git := secret("username", "bot", "password", "p", "bearerToken", "b", "identity", "k", "githubAppPrivateKey", "k", "ca.crt", "of git", "tls.crt", "c", "tls.key", "k")
	for _, tt := range []struct {
		name    string
		secrets []data
		want    data
	}{
		{"nothing", nil, nil},
		{"no trust", []data{secret("token", "t"), nil}, nil},
		{"an empty key", []data{secret("ca.crt", "")}, nil},
		{"without what authenticates", []data{git}, secret("ca.crt", "of git", "tls.crt", "c", "tls.key", "k")},
		{"the forge's own counts", []data{git, secret("ca.crt", "of the forge", "token", "t")}, secret("ca.crt", "of the forge", "tls.crt", "c", "tls.key", "k")},
		{"an empty one of the forge does not", []data{secret("caFile", "old"), secret("caFile", "")}, secret("caFile", "old")},
	} {
		got := dial.Trust(tt.secrets...)
		if !maps.EqualFunc(got, tt.want, func(a, b []byte) bool { return string(a) == string(b) }) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if string(git["password"]) != "p" {
		t.Error("the Secret was changed")
	}
}

func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func appKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

const knownHosts = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"

// every is each kind of forge.
var every = []string{forge.GitHub, forge.GitLab, forge.Gitea}

// From each Secret that Flux knows comes the credential that the forge is spoken to
// with; what the server repeats of it is in no error.
func TestSecretsReachTheForge(t *testing.T) {
	key, app := sshKey(t), appKey(t)
	for _, tt := range []struct {
		name       string
		git, forge data
		ssh        bool
		kinds      []string
		token      string
	}{
		{name: "token", forge: secret("token", "hunter2hunter2"), kinds: every, token: "hunter2hunter2"},
		{name: "bearer token", git: secret("bearerToken", "hunter2hunter2"), kinds: every, token: "hunter2hunter2"},
		{name: "basic auth", git: secret("username", "bot", "password", "hunter2hunter2"), kinds: every, token: "hunter2hunter2"},
		{name: "an SSH key, and a token for the forge", ssh: true, git: secret("identity", key, "known_hosts", knownHosts), forge: secret("token", "hunter2hunter2"), kinds: every, token: "hunter2hunter2"},
		{name: "a GitHub App", git: secret("githubAppID", "7", "githubAppInstallationID", "42", "githubAppPrivateKey", app), kinds: []string{forge.GitHub}, token: "ghs_made-for-tests"},
	} {
		for _, kind := range tt.kinds {
			t.Run(tt.name+" at "+kind, func(t *testing.T) {
				s := newServer(t, kind)
				opts := access.Options{URL: s.URL + "/platform/fleet", Git: tt.git, Forge: tt.forge}
				if tt.ssh {
					opts.URL, opts.Forge = "ssh://git@git.example.com/platform/fleet", with(tt.forge, secret("ca.crt", s.ca()))
				} else if opts.Git = with(secret("ca.crt", s.ca()), tt.git); kind == forge.GitHub && tt.git["githubAppID"] != nil {
					opts.Git["githubAppBaseURL"] = []byte(s.URL + "/api/v3")
				}
				a, err := access.New(opts)
				if err != nil {
					t.Fatal(err)
				}
				p, err := dial.At(forge.Place{Kind: kind, Owner: "platform", Name: "fleet"}, s.URL)
				if err != nil {
					t.Fatal(err)
				}
				f, err := dial.New(p, a)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Repository(t.Context())
				if !forge.Is(err, forge.Unauthorized) {
					t.Errorf("error %v", err)
				}
				if err != nil && strings.Contains(err.Error(), tt.token) {
					t.Errorf("the token is in the error: %v", err)
				}
				basic := base64.StdEncoding.EncodeToString([]byte("bot:" + tt.token))
				if !slices.ContainsFunc(s.credentials(), func(v string) bool { return strings.HasSuffix(v, tt.token) || strings.HasSuffix(v, basic) }) {
					t.Errorf("the forge was shown %q", s.credentials())
				}
			})
		}
	}
}

// A Secret that does not do says what to change, before anybody is asked.
func TestSecretsThatDoNotDo(t *testing.T) {
	const https, overSSH = "https://git.example.com/platform/fleet", "ssh://git@git.example.com/platform/fleet"
	for _, tt := range []struct {
		name       string
		url        string
		git, forge data
		says, hint string
	}{
		{name: "no token", url: https, says: "", hint: "token"},
		{name: "an SSH key alone", url: overSSH, git: secret("identity", sshKey(t), "known_hosts", knownHosts), hint: "token"},
		{name: "an SSH key for https", url: https, git: secret("identity", "hunter2hunter2"), says: "holds an SSH key", hint: "SSH address"},
		{name: "no known hosts", url: overSSH, git: secret("identity", sshKey(t)), says: "known_hosts is missing", hint: "ssh-keyscan"},
		{name: "a key that is none", url: overSSH, git: secret("identity", "hunter2hunter2", "known_hosts", knownHosts), says: "no private SSH key", hint: "PEM"},
		{name: "half of basic auth", url: https, git: secret("password", "hunter2hunter2"), says: "username is not", hint: "add username"},
		{name: "a line break", url: https, forge: secret("token", "hunter2hunter2\n"), says: "line break", hint: "printf"},
		{name: "two ways", url: https, forge: secret("token", "hunter2hunter2", "bearerToken", "hunter2hunter2"), says: "contradict", hint: "keep the one"},
		{name: "nothing that authenticates", url: https, git: secret("passwort", "hunter2hunter2"), says: `"passwort"`, hint: "username and password"},
		{name: "an App without its key", url: https, git: secret("githubAppID", "7", "githubAppInstallationID", "42"), says: "githubAppPrivateKey"},
		{name: "an App with a key that is none", url: https, git: secret("githubAppID", "7", "githubAppInstallationID", "42", "githubAppPrivateKey", "hunter2hunter2"), says: "githubAppPrivateKey"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tokenless(t.Context(), access.Options{URL: tt.url, Git: tt.git, Forge: tt.forge})
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) {
				t.Fatalf("no error that says what to do: %v", err)
			}
			text := err.Error() + " (" + hinted.Hint() + ")"
			for _, want := range []string{tt.says, tt.hint} {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}

// tokenless goes the way to the forge, as far as it is without a request.
func tokenless(ctx context.Context, o access.Options) error {
	a, err := access.New(o)
	if err != nil {
		return err
	}
	token, err := a.Token(ctx)
	if err == nil && token == "" {
		err = a.NoToken()
	}
	return err
}

func TestNewKnowsNoOther(t *testing.T) {
	a, err := access.New(access.Options{URL: "https://git.example.com/o/r"})
	if err != nil {
		t.Fatal(err)
	}
	if f, err := dial.New(forge.Place{Kind: "svn"}, a); err == nil || !strings.Contains(err.Error(), `"svn"`) {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := dial.New(forge.Place{Kind: forge.Gitea}, a); err == nil {
		t.Errorf("%v without an address", f)
	}
}
