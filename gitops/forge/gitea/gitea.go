// Package gitea speaks to Gitea and to Forgejo, which has the same API.
//
// A token needs the scopes write:repository, write:issue and read:user, and its
// account the right to write code, issues and pull requests of the repository.
package gitea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// Scopes are what a token needs, as Gitea's page for tokens names them.
const Scopes = "write:repository, write:issue and read:user"

// New is the forge of one repository.
func New(place forge.Place, a *access.Access) (forge.Forge, error) {
	api, err := url.Parse(place.API)
	if err != nil || api.Host == "" {
		return nil, &forge.Error{Kind: forge.Invalid, Op: "reach Gitea", Hint: "give the address of its API: https://HOST/api/v1",
			Err: fmt.Errorf("%q is no address of an API", place.API)}
	}
	if place.Owner == "" || place.Name == "" {
		return nil, &forge.Error{Kind: forge.Invalid, Op: "reach Gitea", Hint: "check url of the GitRepository",
			Err: errors.New("owner and name of the repository are not known")}
	}
	return &repository{
		base:  strings.TrimSuffix(strings.TrimSuffix(place.API, "/"), "/api/v1"),
		owner: place.Owner,
		name:  place.Name,
		http:  a.HTTP(),
		token: a.Token, redact: a.Redact,
		page: 50,
	}, nil
}

// repository is a repository on a server.
type repository struct {
	// base is the server's address, without /api/v1.
	base, owner, name string
	http              *http.Client
	token             func(context.Context) (string, error)
	redact            func(string) string
	// page is how many entries a list is asked for at once; servers give at most 50
	// unless MAX_RESPONSE_ITEMS says otherwise.
	page int

	mu sync.Mutex
	// me is the token's login, asked for once.
	me string
	// seen remembers the branches of old pull requests.
	seen memory
}

var _ forge.Forge = (*repository)(nil)

func (r *repository) String() string { return r.owner + "/" + r.name }

// client is for the requests of one call: the SDK keeps the context in it. It
// does not ask for the server's version.
func (r *repository) client(ctx context.Context, op string) (*sdk.Client, error) {
	token, err := r.authorize(ctx, op)
	if err != nil {
		return nil, err
	}
	c, err := sdk.NewClient(r.base, sdk.SetGiteaVersion(""), sdk.SetHTTPClient(r.http), sdk.SetToken(token),
		sdk.SetContext(ctx), sdk.SetUserAgent("remediate"))
	if err != nil {
		return nil, r.failed(op, nil, err)
	}
	return c, nil
}

func (r *repository) authorize(ctx context.Context, op string) (string, error) {
	token, err := r.token(ctx)
	var known *forge.Error
	switch {
	case errors.As(err, &known):
		return "", err
	case err != nil:
		return "", &forge.Error{Kind: forge.Unauthorized, Op: op, Hint: "check the Secret", Err: err}
	case token == "":
		return "", &forge.Error{Kind: forge.Unauthorized, Op: op, Err: errors.New("the Secret has no token"),
			Hint: "put a token with the scopes " + Scopes + " in the Secret as password"}
	}
	return token, nil
}

// get asks for what the SDK does not read right. The path is below the
// repository.
func (r *repository) get(ctx context.Context, op, path string, out any) error {
	token, err := r.authorize(ctx, op)
	if err != nil {
		return err
	}
	address := r.base + "/api/v1/repos/" + url.PathEscape(r.owner) + "/" + url.PathEscape(r.name) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return r.failed(op, nil, err)
	}
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("User-Agent", "remediate")
	resp, err := r.http.Do(req)
	if err != nil {
		return r.failed(op, nil, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return r.failed(op, resp, errors.New("unknown API error"))
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return r.failed(op, resp, fmt.Errorf("read the answer: %w", err))
	}
	return nil
}

// answer is the SDK's response as the standard library's.
func answer(resp *sdk.Response) *http.Response {
	if resp == nil {
		return nil
	}
	return resp.Response
}

// failed makes an error of an answer, refined by Gitea's words.
func (r *repository) failed(op string, resp *http.Response, err error) *forge.Error {
	message := r.redact(err.Error())
	// What the SDK says of an answer that is not Gitea's repeats the request.
	if strings.HasPrefix(message, "unknown API error") {
		message = ""
	}
	e := forge.Classify(op, resp, message, err)
	words := strings.ToLower(message)
	switch {
	case resp == nil:
	case strings.Contains(words, "required scope"):
		e.Hint = "make a token with the scopes " + Scopes
	case e.Kind == forge.Conflict && strings.Contains(words, "pull request already exists"):
		e.Kind, e.Hint = forge.Exists, "find it and go on with it"
	case strings.Contains(words, "no changes between"):
		e.Kind, e.Hint = forge.NoDiff, "there is nothing to propose"
	case e.Kind == forge.Forbidden:
		e.Hint = "give the token's account the right to write code, issues and pull requests of the repository, and the token the scopes " + Scopes
	}
	return e
}

// passing is an error that must not be turned into a warning: the server is not
// well, or the credentials are not.
func passing(e *forge.Error) bool {
	return e.Transient() || e.Kind == forge.Unauthorized || e.Kind == forge.Moved || e.Kind == forge.Archived
}

// fit refuses text that some databases below Gitea do not take, and say so with
// a status that would be tried again for ever.
func fit(op string, texts ...string) error {
	for _, text := range texts {
		var why string
		switch {
		case !utf8.ValidString(text):
			why = "the text is not UTF-8"
		case strings.ContainsRune(text, 0):
			why = "the text holds a NUL character"
		default:
			continue
		}
		return &forge.Error{Kind: forge.Invalid, Op: op, Hint: "leave that character out", Err: errors.New(why)}
	}
	return nil
}

// pages calls get with 1, 2, … until it says that there is no further page.
func pages(get func(page int) (*sdk.Response, error)) error {
	for page := 1; ; page++ {
		resp, err := get(page)
		if err != nil || resp == nil || resp.NextPage <= page {
			return err
		}
	}
}

func (r *repository) list(page int) sdk.ListOptions {
	return sdk.ListOptions{Page: page, PageSize: r.page}
}

// login is who the token is of.
func (r *repository) login(c *sdk.Client, op string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.me == "" {
		me, resp, err := c.GetMyUserInfo()
		if err != nil {
			return "", r.failed(op, answer(resp), err)
		}
		r.me = me.UserName
	}
	return r.me, nil
}
