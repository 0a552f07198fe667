// Package dial finds out which forge an address belongs to, and speaks to it: the
// one place that knows all kinds of forges.
package dial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/gitea"
	"github.com/remediate-dev/remediate/gitops/forge/github"
	"github.com/remediate-dev/remediate/gitops/forge/gitlab"
)

// Where says where a repository's pull requests are.
type Where struct {
	// Address of the repository, as GitRepository.spec.url has it.
	Address string
	// Kind of the forge; empty where the address tells, or the server is asked.
	Kind string
	// URL is the forge's web address, or its API's, where that is not on the
	// repository's server.
	URL string
}

// Place finds the forge. ask gives a client for a server whose kind has to be asked
// for, without credentials.
func (w Where) Place(ctx context.Context, ask func(forge.Place) (*http.Client, error)) (forge.Place, error) {
	p, err := forge.Locate(w.Address)
	if err != nil {
		return p, err
	}
	if w.Kind != "" && w.Kind != p.Kind {
		p.Kind, p.API = "", "https://"+p.Host
	}
	if w.URL != "" {
		if p, err = At(p, w.URL); err != nil {
			return p, err
		}
	}
	if p.Kind == "" && w.Kind != "" {
		return WithKind(p, w.Kind), nil
	}
	if p.Kind != "" {
		return p, nil
	}
	client, err := ask(p)
	if err != nil {
		return p, err
	}
	return forge.Detect(ctx, client, p)
}

// paths lead from a server's web address to its API.
func paths() map[string]string {
	return map[string]string{forge.GitHub: "/api/v3", forge.GitLab: "/api/v4", forge.Gitea: "/api/v1"}
}

const gitHubAPI = "https://api.github.com"

// WithKind completes the API of a server whose kind somebody says.
func WithKind(p forge.Place, kind string) forge.Place {
	p.Kind = kind
	if path := paths()[kind]; !strings.HasSuffix(p.API, path) && p.API != gitHubAPI {
		p.API += path
	}
	return p
}

// ErrAddress is an address that names no server.
var ErrAddress = errors.New("no https address of a server: give it as https://HOST")

// At moves a place to another server, named by its web address or its API's.
func At(p forge.Place, address string) (forge.Place, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return p, ErrAddress
	}
	p.Host, p.API = u.Host, strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/")
	kind := p.Kind
	p.Kind = ""
	for k, path := range paths() {
		if strings.HasSuffix(p.API, path) {
			p.Kind = k
		}
	}
	switch {
	case p.API == gitHubAPI, p.API == "https://github.com":
		p.Kind, p.Host, p.API = forge.GitHub, "github.com", gitHubAPI
	case p.Kind == "" && kind != "":
		p = WithKind(p, kind)
	}
	return p, nil
}

// New speaks to the forge of a place.
func New(place forge.Place, a *access.Access) (forge.Forge, error) {
	switch place.Kind {
	case forge.GitHub:
		return github.New(place, a)
	case forge.GitLab:
		return gitlab.New(place, a)
	case forge.Gitea:
		return gitea.New(place, a)
	}
	return nil, fmt.Errorf("no forge of the kind %q is known", place.Kind)
}

// Trust is what of Secrets says whom to trust, without what authenticates: for who
// speaks to a server that is not known yet. Nil when there is none of it.
func Trust(secrets ...map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for _, data := range secrets {
		trust := maps.Clone(data)
		maps.DeleteFunc(trust, func(k string, v []byte) bool {
			return len(v) == 0 || k != "ca.crt" && k != "caFile" && k != "tls.crt" && k != "tls.key"
		})
		maps.Copy(out, trust)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
