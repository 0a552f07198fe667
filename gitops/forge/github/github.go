// Package github speaks to GitHub, in the cloud and as Enterprise Server, with a
// personal token or as a GitHub App.
package github

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// hub is one repository on GitHub.
type hub struct {
	owner, name string
	access      *access.Access
	client      *github.Client
	now         func() time.Time

	mu sync.Mutex
	// login is who the credentials are of, once asked; nameless when GitHub does
	// not tell.
	login    string
	nameless bool
	// fresh are the pull requests that were opened here and not yet marked, in
	// which no human can have taken anything away.
	fresh map[int]bool
}

var (
	_ forge.Forge     = (*hub)(nil)
	_ forge.Committer = (*hub)(nil)
)

// New is the forge of one repository. It is a [forge.Committer] too, and safe
// for concurrent use. place.API is https://api.github.com, or
// https://HOST/api/v3 of an Enterprise Server.
//
// A limit that GitHub imposed is remembered: until it is over, calls fail with
// kind [forge.RateLimited] without a request.
func New(place forge.Place, a *access.Access) (forge.Forge, error) {
	base, err := url.Parse(strings.TrimSuffix(place.API, "/") + "/")
	if err != nil || base.Host == "" {
		return nil, &forge.Error{Kind: forge.Invalid, Op: "reach GitHub",
			Err: fmt.Errorf("%q is no address of an API", place.API), Hint: "give the API as https://HOST/api/v3"}
	}
	client := github.NewClient(authorized(a, base.Host))
	client.BaseURL = base
	return &hub{
		owner: place.Owner, name: place.Name, access: a, client: client,
		now: time.Now, fresh: map[int]bool{},
	}, nil
}

func (h *hub) String() string { return h.owner + "/" + h.name }

// whoami is the login that the credentials write as; empty when GitHub does not
// tell it, as it does to the token of a GitHub Actions run.
func (h *hub) whoami(ctx context.Context) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.login != "" || h.nameless {
		return h.login, nil
	}
	slug, isApp, err := h.access.App(ctx)
	if err != nil {
		return "", h.fail("ask whose GitHub App this is", "", err)
	}
	if isApp {
		h.login = slug + "[bot]"
		return h.login, nil
	}
	user, _, err := h.client.Users.Get(ctx, "")
	if err != nil {
		failed := h.fail("ask whose token this is", "", err)
		if forge.Is(failed, forge.Forbidden) {
			h.nameless = true
			return "", nil
		}
		return "", failed
	}
	h.login = user.GetLogin()
	return h.login, nil
}
