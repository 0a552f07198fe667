package forges

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// GiteaScopes are the rights that the bot's token has: the smallest that
// gitops/forge/gitea and a push over https work with.
var GiteaScopes = []string{"write:repository", "write:issue", "read:user"}

// giteaOrg owns the repositories.
const giteaOrg = "platform"

// GiteaRepo is a private repository of its own on a real Gitea, reached through
// a front that speaks TLS, as proxies before a Gitea do.
type GiteaRepo struct {
	g     *giteaServer
	front *httptest.Server
	// first is the name that it was made with, name the one that it has now.
	first, name string
	requests    atomic.Int64
}

var _ Server = (*GiteaRepo)(nil)

// Gitea gives the test a repository with a branch main, which holds README.md.
// Layers are put around everything that comes over https, Git and API, the last
// one outermost.
//
// One server serves all repositories of a test process while any of them is in
// use, see [Main].
func Gitea(t testing.TB, layers ...func(http.Handler) http.Handler) *GiteaRepo {
	t.Helper()
	g := sharedGitea(t)
	r := &GiteaRepo{g: g, first: fmt.Sprintf("fleet-%d", g.repositories.Add(1))}
	r.name = r.first
	g.makeRepository(t, r.name)
	backend, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(backend)
		// Gitea makes addresses of these.
		p.Out.Host = p.In.Host
		p.Out.Header.Set("X-Forwarded-Proto", "https")
	}}
	h = r.counting(h)
	for _, layer := range layers {
		h = layer(h)
	}
	r.front = httptest.NewTLSServer(h)
	t.Cleanup(r.front.Close)
	return r
}

func (r *GiteaRepo) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/api/") {
			r.requests.Add(1)
		}
		next.ServeHTTP(w, req)
	})
}

// Kind is gitea.
func (r *GiteaRepo) Kind() string { return "gitea" }

// CloneURL stays as it was first.
func (r *GiteaRepo) CloneURL() string { return r.front.URL + "/" + giteaOrg + "/" + r.first + ".git" }

// API is the base that Gitea documents.
func (r *GiteaRepo) API() string { return r.front.URL + "/api/v1" }

// Name follows [GiteaRepo.Rename].
func (r *GiteaRepo) Name() string { return giteaOrg + "/" + r.name }

// Secret has a token of [GiteaScopes] as its password.
func (r *GiteaRepo) Secret() map[string][]byte { return r.SecretOf(r.Bot()) }

// SecretOf is the Secret of one of the people; of a name that nobody has it is
// one with a token that is none.
func (r *GiteaRepo) SecretOf(user string) map[string][]byte {
	token, ok := r.g.tokens[user]
	if !ok {
		token = "0123456789abcdef0123456789abcdef01234567"
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.front.Certificate().Raw})
	return map[string][]byte{"username": []byte(user), "password": []byte(token), "ca.crt": ca}
}

// SecretWith is the Secret of the bot with a new token of other scopes.
func (r *GiteaRepo) SecretWith(t testing.TB, scopes ...string) map[string][]byte {
	t.Helper()
	token, err := r.g.newToken(r.Bot(), scopes)
	if err != nil {
		t.Fatal(err)
	}
	secret := r.Secret()
	secret["password"] = []byte(token)
	return secret
}

// Bot may push and is no administrator of the repository.
func (r *GiteaRepo) Bot() string { return "remediate-bot" }

// Writer may push.
func (r *GiteaRepo) Writer() string { return "wilma" }

// Reader may read.
func (r *GiteaRepo) Reader() string { return "rita" }

// Requests counts what came to the API over https, whoever sent it.
func (r *GiteaRepo) Requests() int { return int(r.requests.Swap(0)) }

// SSHURL is [GiteaRepo.CloneURL] over SSH.
func (r *GiteaRepo) SSHURL() string {
	return "ssh://git@" + r.g.SSH + "/" + giteaOrg + "/" + r.first + ".git"
}

// SSHSecret is a GitRepository's Secret with a new deploy key, which may push
// unless readOnly.
func (r *GiteaRepo) SSHSecret(t testing.TB, readOnly bool) map[string][]byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	line := ssh.MarshalAuthorizedKey(key)
	r.call(t, "", http.MethodPost, "/keys", fields{"title": rand.Text(), "key": string(line), "read_only": readOnly}, nil)
	return map[string][]byte{"identity": pem.EncodeToMemory(block), "identity.pub": line, "known_hosts": []byte(r.g.HostKey)}
}

// giteaServer is what the repositories of a test process share.
type giteaServer struct {
	*testbed.Gitea
	dir          string
	tokens       map[string]string
	repositories atomic.Int64
}

// gitea is the one server of a test process: it takes seconds to start, and
// repositories do not disturb each other. Test support may keep such a thing;
// nothing else in the project does.
var gitea struct {
	sync.Mutex
	server *giteaServer
	users  int
	// kept by Main.
	kept bool
}

// Main runs the tests of a package and keeps servers from one test to the next,
// which saves the seconds of their start: func TestMain(m *testing.M) {
// os.Exit(forges.Main(m)) }. Without it a server ends with the last test that
// uses it.
func Main(m *testing.M) int {
	gitea.Lock()
	gitea.kept = true
	gitea.Unlock()
	code := m.Run()
	gitea.Lock()
	defer gitea.Unlock()
	if err := stopGitea(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

func sharedGitea(t testing.TB) *giteaServer {
	t.Helper()
	gitea.Lock()
	defer gitea.Unlock()
	if gitea.server == nil {
		g, err := startGitea(t)
		if err != nil {
			t.Fatal(err)
		}
		gitea.server = g
	}
	gitea.users++
	t.Cleanup(func() {
		gitea.Lock()
		defer gitea.Unlock()
		if gitea.users--; gitea.users > 0 || gitea.kept {
			return
		}
		if err := stopGitea(); err != nil {
			t.Error(err)
		}
	})
	return gitea.server
}

// stopGitea needs the lock.
func stopGitea() error {
	g := gitea.server
	if g == nil {
		return nil
	}
	gitea.server = nil
	return errors.Join(g.Stop(), os.RemoveAll(g.dir))
}

// startGitea has a folder of its own, since a test's would end with that test.
func startGitea(t testing.TB) (*giteaServer, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gitea-")
	if err != nil {
		return nil, err
	}
	running, err := testbed.StartGitea(t, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	g := &giteaServer{Gitea: running, dir: dir, tokens: map[string]string{}}
	if err := g.people(); err != nil {
		return nil, errors.Join(err, g.Stop(), os.RemoveAll(dir))
	}
	return g, nil
}
