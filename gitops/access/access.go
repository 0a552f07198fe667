package access

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/fluxcd/pkg/auth/githubapp"
	"github.com/fluxcd/pkg/git"
	"github.com/fluxcd/pkg/runtime/secrets"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// Options are the data of Secrets, keyed as Flux documents them.
type Options struct {
	// URL of the repository, as GitRepository.spec.url has it.
	URL string
	// Git is the Secret of the GitRepository; nil for none. Keys: username,
	// password, bearerToken, identity, known_hosts, ca.crt, tls.crt, tls.key,
	// githubAppID and its kin.
	Git map[string][]byte
	// Proxy is the GitRepository's proxySecretRef: address, username, password.
	Proxy map[string][]byte
	// Forge is a Secret of its own for the forge's API; nil when Git's serves. Keys:
	// token, bearerToken, username and password, githubAppID and its kin, ca.crt.
	Forge map[string][]byte

	// UserAgent of requests to the forge. Default: remediate.
	UserAgent string
	// ResponseTimeout is how long a server may take to begin its answer. Default: 30 s.
	ResponseTimeout time.Duration
	// Now is the clock that a GitHub App signs by. Default: time.Now.
	Now func() time.Time
}

// Access reaches one repository and its forge. It is safe for concurrent use.
type Access struct {
	opts  Options
	url   *url.URL
	proxy *url.URL
	// token is the one that stands in a Secret; app makes them where it is a GitHub App's.
	token string
	app   *app
	// gitApp says that Git authenticates as the app too.
	gitApp *app
	client *http.Client

	mu       sync.RWMutex
	redacter redacter
}

// New checks the Secrets against the URL. Errors name keys, never values.
func New(opts Options) (*Access, error) {
	u, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	opts.Git, opts.Proxy, opts.Forge = maps.Clone(opts.Git), maps.Clone(opts.Proxy), maps.Clone(opts.Forge)
	a := &Access{opts: opts, url: u}
	for _, check := range []func() error{a.checkValues, a.checkGit, a.checkForge, a.checkPlain} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if a.proxy, err = proxyURL(opts.Proxy); err != nil {
		return nil, err
	}
	tlsConfig, err := a.tlsConfig()
	if err != nil {
		return nil, err
	}
	a.client = newClient(opts, tlsConfig, a.proxy)
	if err := a.makeApps(); err != nil {
		return nil, err
	}
	a.token = a.staticToken()
	a.redacter = newRedacter(a.knownSecrets())
	return a, nil
}

// Git is for fluxcd/pkg/git; a GitHub App's token is fresh at each call.
func (a *Access) Git(ctx context.Context) (*git.AuthOptions, error) {
	data := maps.Clone(a.opts.Git)
	if a.gitApp != nil {
		t, err := a.gitApp.get(ctx)
		if err != nil {
			return nil, err
		}
		a.learn(t.Token)
		data[secrets.KeyUsername] = []byte(githubapp.AccessTokenUsername)
		data[secrets.KeyPassword] = []byte(t.Token)
	}
	return git.NewAuthOptions(*a.url, data)
}

// Proxy for Git; the zero value when there is none, and then the environment decides.
func (a *Access) Proxy() transport.ProxyOptions {
	if a.proxy == nil {
		return transport.ProxyOptions{}
	}
	bare := *a.proxy
	bare.User = nil
	p := transport.ProxyOptions{URL: bare.String(), Username: a.proxy.User.Username()}
	p.Password, _ = a.proxy.User.Password()
	return p
}

// Token authenticates at the forge; fresh at each call. Empty when there is
// none, and [Access.NoToken] says why.
func (a *Access) Token(ctx context.Context) (string, error) {
	if a.app == nil {
		return a.token, nil
	}
	t, err := a.app.get(ctx)
	if err != nil {
		return "", err
	}
	a.learn(t.Token)
	return t.Token, nil
}

// App is the slug of the GitHub App that the token is of; ok is false when it
// is a person's or a bot's.
func (a *Access) App(ctx context.Context) (slug string, ok bool, err error) {
	if a.app == nil {
		return "", false, nil
	}
	t, err := a.app.get(ctx)
	if err != nil {
		return "", true, err
	}
	a.learn(t.Token)
	return t.Slug, true, nil
}

// HTTP speaks to the forge: with the Secret's CA, client certificate and proxy,
// without credentials. It follows no redirect, sends no credentials in the clear
// and reads at most [MaxAnswer] of an answer.
func (a *Access) HTTP() *http.Client {
	c := *a.client
	return &c
}

// Redact replaces every secret of these Secrets in a text, also where it stands
// percent-encoded, quoted or in base64. Passwords of fewer than four characters
// are only found within a basic-auth header.
func (a *Access) Redact(text string) string {
	if a == nil {
		return text
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.redacter.replace(text)
}

// NoToken is the error for when [Access.Token] is empty: what the Secret holds
// instead, and what to give.
func (a *Access) NoToken() error {
	host := a.url.Hostname()
	why := "there are no credentials for the API of " + host
	switch {
	case a.opts.Forge == nil && len(a.opts.Git[secrets.KeySSHPrivateKey]) > 0:
		why = "the Secret holds an SSH key, which the API of " + host + " does not take"
	case a.opts.Git != nil:
		why = "the Secret holds nothing that the API of " + host + " takes"
	}
	return fail(why, "give a Secret with key token (--forge-secret)")
}

func (a *Access) learn(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.redacter.add(token)
}

// staticToken is the token that stands in a Secret, empty when it is made or missing.
func (a *Access) staticToken() string {
	if a.opts.Forge != nil {
		return firstOf(a.opts.Forge, secrets.KeyToken, secrets.KeyBearerToken, secrets.KeyPassword)
	}
	// Beside an SSH key, password is the key's passphrase.
	if a.app != nil || a.url.Scheme == string(git.SSH) {
		return ""
	}
	if tokenIsUser(a.opts.Git) {
		return string(a.opts.Git[secrets.KeyUsername])
	}
	return firstOf(a.opts.Git, secrets.KeyBearerToken, secrets.KeyPassword)
}

func firstOf(data map[string][]byte, keys ...string) string {
	for _, k := range keys {
		if len(data[k]) > 0 {
			return string(data[k])
		}
	}
	return ""
}

// tokenIsUser: GitHub takes a token in the place of the user with this password
// (docs.github.com, "Basic authentication").
func tokenIsUser(data map[string][]byte) bool {
	return string(data[secrets.KeyPassword]) == "x-oauth-basic"
}
