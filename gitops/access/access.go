package access

import (
	"context"
	"errors"
	"net/http"

	"github.com/fluxcd/pkg/git"
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
}

// Access reaches one repository and its forge. It is safe for concurrent use.
type Access struct {
	opts Options
}

// New checks the Secrets against the URL. Errors name keys, never values.
func New(opts Options) (*Access, error) { return &Access{opts: opts}, nil }

// Git is for fluxcd/pkg/git; a GitHub App's token is fresh at each call.
func (a *Access) Git(ctx context.Context) (*git.AuthOptions, error) {
	return nil, errors.New("not built")
}

// Proxy for Git; the zero value when there is none.
func (a *Access) Proxy() transport.ProxyOptions { return transport.ProxyOptions{} }

// Token authenticates at the forge; fresh at each call. Empty when there is none.
func (a *Access) Token(ctx context.Context) (string, error) { return "", errors.New("not built") }

// App is the slug of the GitHub App that the token is of; ok is false when it
// is a person's or a bot's.
func (a *Access) App(ctx context.Context) (slug string, ok bool, err error) {
	return "", false, errors.New("not built")
}

// HTTP speaks to the forge: with the Secret's CA, client certificate and proxy,
// without credentials. It follows no redirect.
func (a *Access) HTTP() *http.Client { return nil }

// Redact replaces every secret of these Secrets in a text, also where it stands
// percent-encoded or in base64.
func (a *Access) Redact(text string) string { return text }
