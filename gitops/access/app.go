package access

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fluxcd/pkg/auth/githubapp"
	"github.com/fluxcd/pkg/cache"
	"github.com/fluxcd/pkg/runtime/secrets"
	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v60/github"
)

// app makes the tokens of a GitHub App's installation. They live for an hour; a
// new one is made when four fifths of that are over (fluxcd/pkg/cache).
//
// It asks through [Access.HTTP], where the client of fluxcd/pkg/auth/githubapp
// has one of its own, which follows redirects and proves to be the App wherever
// they lead.
type app struct {
	client *http.Client
	api    *url.URL
	// id is the App's; of installation and owner one is set.
	id           string
	key          *rsa.PrivateKey
	installation int64
	owner        string
	tokens       *cache.TokenCache
	timeout      time.Duration
	now          func() time.Time
}

var appKeys = []string{secrets.KeyGitHubAppID, secrets.KeyGitHubAppPrivateKey, secrets.KeyGitHubAppInstallationID, secrets.KeyGitHubAppInstallationOwner}

func isApp(data map[string][]byte) bool {
	for _, k := range appKeys {
		if len(data[k]) > 0 {
			return true
		}
	}
	return false
}

// login is the name of a GitHub account.
var login = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// makeApps reads the App's keys of either Secret. Git's App is also the forge's
// when that has no Secret of its own.
func (a *Access) makeApps() error {
	var err error
	if isApp(a.opts.Git) {
		made, err := a.newApp(named{"Secret for Git", a.opts.Git})
		if err != nil {
			return err
		}
		if a.opts.Forge == nil {
			a.app = made
		}
		if a.url.Scheme == "https" && len(a.opts.Git[secrets.KeyBearerToken])+len(a.opts.Git[secrets.KeyPassword]) == 0 {
			a.gitApp = made
		}
	}
	if isApp(a.opts.Forge) {
		a.app, err = a.newApp(named{"Secret for the forge", a.opts.Forge})
	}
	return err
}

func (a *Access) newApp(n named) (*app, error) {
	api, err := checkApp(n)
	if err != nil {
		return nil, err
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(n.data[secrets.KeyGitHubAppPrivateKey])
	if err != nil {
		return nil, failf("it must be the RSA key in PEM that GitHub gave for the App", "%s: key %s cannot be read", n.name, secrets.KeyGitHubAppPrivateKey)
	}
	tokens, err := cache.NewTokenCache(1)
	if err != nil {
		return nil, fmt.Errorf("keep the tokens of the GitHub App: %w", err)
	}
	made := &app{
		client: a.HTTP(), api: api, id: string(n.data[secrets.KeyGitHubAppID]), key: key,
		owner: string(n.data[secrets.KeyGitHubAppInstallationOwner]), tokens: tokens, timeout: responseTimeout(a.opts), now: a.opts.Now,
	}
	if made.now == nil {
		made.now = time.Now
	}
	if n.has(secrets.KeyGitHubAppInstallationID) {
		made.installation, err = strconv.ParseInt(string(n.data[secrets.KeyGitHubAppInstallationID]), 10, 64)
	}
	return made, err
}

// checkApp holds the keys against what GitHub takes; it returns the API's base.
func checkApp(n named) (*url.URL, error) {
	for _, k := range []string{secrets.KeyGitHubAppID, secrets.KeyGitHubAppPrivateKey} {
		if !n.has(k) {
			return nil, failf("the App's settings on GitHub show it", "%s: key %s is missing", n.name, k)
		}
	}
	if n.has(secrets.KeyGitHubAppInstallationID) == n.has(secrets.KeyGitHubAppInstallationOwner) {
		return nil, failf("give the one of them that is known", "%s needs exactly one of the keys %s and %s", n.name, secrets.KeyGitHubAppInstallationID, secrets.KeyGitHubAppInstallationOwner)
	}
	for _, k := range []string{secrets.KeyGitHubAppID, secrets.KeyGitHubAppInstallationID} {
		if id, err := strconv.ParseInt(string(n.data[k]), 10, 64); n.has(k) && (err != nil || id <= 0) {
			return nil, failf("the App's settings on GitHub show it", "%s: key %s is no number", n.name, k)
		}
	}
	if owner := n.data[secrets.KeyGitHubAppInstallationOwner]; len(owner) > 0 && !login.Match(owner) {
		return nil, failf("it is the user or organization that installed the App", "%s: key %s is no name of an account", n.name, secrets.KeyGitHubAppInstallationOwner)
	}
	base := "https://api.github.com"
	if n.has(secrets.KeyGitHubAppBaseURL) {
		base = string(n.data[secrets.KeyGitHubAppBaseURL])
	}
	u, err := url.Parse(strings.TrimRight(base, "/") + "/")
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, failf("give it as https://HOST/api/v3", "%s: key %s is no https URL", n.name, secrets.KeyGitHubAppBaseURL)
	}
	return u, nil
}

// get is a token that is good for a while.
func (a *app) get(ctx context.Context) (*githubapp.AppToken, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	got, _, err := a.tokens.GetOrSet(ctx, a.id, a.make)
	if err != nil {
		return nil, a.explain(err)
	}
	t, ok := got.(*githubapp.AppToken)
	if !ok || t.Token == "" || len(t.Token) > maxLine || hasControl(t.Token) || strings.Contains(t.Token, " ") {
		return nil, failf("check key githubAppBaseURL", "%s answered without a token for the GitHub App", a.api.Host)
	}
	return t, nil
}

// make asks for a token, and for the App's name.
func (a *app) make(ctx context.Context) (cache.Token, error) {
	proof, err := a.proof()
	if err != nil {
		return nil, err
	}
	c := github.NewClient(a.client).WithAuthToken(proof)
	c.BaseURL = a.api
	who, _, err := c.Apps.Get(ctx, "")
	if err != nil {
		return nil, err
	}
	installation, err := a.installed(ctx, c)
	if err != nil {
		return nil, err
	}
	t, _, err := c.Apps.CreateInstallationToken(ctx, installation, nil)
	if err != nil {
		return nil, err
	}
	return &githubapp.AppToken{Token: t.GetToken(), Slug: who.GetSlug(), ExpiresAt: t.GetExpiresAt().Time}, nil
}

// installed finds the installation of the owner, an organization or a user.
func (a *app) installed(ctx context.Context, c *github.Client) (int64, error) {
	if a.installation != 0 {
		return a.installation, nil
	}
	found, resp, err := c.Apps.FindOrganizationInstallation(ctx, a.owner)
	if err != nil && resp != nil && resp.StatusCode == http.StatusNotFound {
		found, _, err = c.Apps.FindUserInstallation(ctx, a.owner)
	}
	return found.GetID(), err
}

// proof is the JWT of the App (docs.github.com, "Generating a JSON Web Token"):
// RS256, whole seconds, issued a little ago because clocks differ.
func (a *app) proof() (string, error) {
	at := a.now().Truncate(time.Second).Add(-30 * time.Second)
	return jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: a.id, IssuedAt: jwt.NewNumericDate(at), ExpiresAt: jwt.NewNumericDate(at.Add(2 * time.Minute)),
	}).SignedString(a.key)
}

// explain says why there is no token. What the server said is shown on one line.
func (a *app) explain(err error) error {
	e := &Error{text: fmt.Sprintf("%s gives no token for the GitHub App: %s", a.api.Host, firstLine(err.Error())), err: err, transient: true}
	var answer *github.ErrorResponse
	var limited *github.RateLimitError
	if errors.As(err, &limited) {
		e.hint = "the App made too many requests; it is tried again later"
		return e
	}
	if !errors.As(err, &answer) || answer.Response == nil {
		e.hint = "check that " + a.api.Host + " can be reached, and ca.crt and the proxy"
		return e
	}
	switch code := answer.Response.StatusCode; {
	case code == http.StatusUnauthorized:
		e.transient, e.hint = false, "check githubAppID and githubAppPrivateKey, and this machine's clock"
	case code == http.StatusNotFound:
		e.transient, e.hint = false, "check githubAppInstallationID or githubAppInstallationOwner: the App must be installed there"
	case code == http.StatusForbidden:
		e.transient, e.hint = false, "the App's installation may be suspended: see its settings on GitHub"
	case code >= 300 && code < 400:
		e.transient, e.hint = false, "the API is elsewhere, and nothing is sent after a redirect: check githubAppBaseURL"
	case code < 500 && code != http.StatusTooManyRequests:
		e.transient = false
	}
	return e
}

// firstLine is text of others, fit for a terminal.
func firstLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
