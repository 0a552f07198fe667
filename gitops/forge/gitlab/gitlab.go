// Package gitlab speaks to GitLab, gitlab.com and self-managed, with a personal,
// project or group access token, or one of OAuth. The token needs the scope api,
// its user the role Developer or higher.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// lab is one project on GitLab.
type lab struct {
	// path is the project's with its groups: GROUP/SUBGROUP/NAME.
	path   string
	access *access.Access
	client *gitlab.Client

	mu sync.Mutex
	// me is who the credentials are of, once known.
	me *gitlab.BasicUser
	// fresh are the merge requests that were opened here and not yet marked.
	fresh map[int]opened
}

var _ forge.Forge = (*lab)(nil)

// New is the forge of one repository; it is safe for concurrent use. place.API
// is https://HOST/api/v4. Owner may be a path of groups.
func New(place forge.Place, a *access.Access) (forge.Forge, error) {
	base, err := url.Parse(place.API)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, &forge.Error{Kind: forge.Invalid, Op: "reach GitLab",
			Err: fmt.Errorf("%q is no address of an API", place.API), Hint: "give the API as https://HOST/api/v4"}
	}
	client, err := gitlab.NewAuthSourceClient(bearer{a},
		gitlab.WithBaseURL(place.API), gitlab.WithHTTPClient(a.HTTP()),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(atOnce{}))
	if err != nil {
		return nil, &forge.Error{Kind: forge.Invalid, Op: "reach GitLab", Err: err, Hint: "give the API as https://HOST/api/v4"}
	}
	return &lab{
		path: strings.Trim(place.Owner, "/") + "/" + place.Name, access: a, client: client,
		fresh: map[int]opened{},
	}, nil
}

func (l *lab) String() string { return l.path }

// bearer authenticates each request with the token as it is then. GitLab takes
// all its kinds of access tokens as it takes those of OAuth: docs.gitlab.com/api/rest/authentication.
type bearer struct{ access *access.Access }

func (bearer) Init(context.Context, *gitlab.Client) error { return nil }

func (b bearer) Header(ctx context.Context) (key, value string, err error) {
	token, err := b.access.Token(ctx)
	if err == nil && token == "" {
		err = b.access.NoToken()
	}
	return "Authorization", "Bearer " + token, err
}

// atOnce keeps client-go from pausing by itself: how long to wait is said in the
// error, and the caller's to decide.
type atOnce struct{}

func (atOnce) Wait(context.Context) error { return nil }

// whoami is whom the credentials are of.
func (l *lab) whoami(ctx context.Context) (gitlab.BasicUser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.me != nil {
		return *l.me, nil
	}
	user, resp, err := l.client.Users.CurrentUser(gitlab.WithContext(ctx))
	if err = answered(err, user != nil && user.ID != 0); err != nil {
		return gitlab.BasicUser{}, l.fail("ask whose token this is", resp, err)
	}
	l.me = &gitlab.BasicUser{ID: user.ID, Username: user.Username}
	return *l.me, nil
}

// learn remembers who wrote what was just written: it was us.
func (l *lab) learn(id int64, username string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.me == nil && id != 0 {
		l.me = &gitlab.BasicUser{ID: id, Username: username}
	}
}

var errEmpty = errors.New("the answer lacks what was asked for")

// answered makes an error of an answer that does not say what was asked for.
func answered(err error, ok bool) error {
	if err == nil && !ok {
		return errEmpty
	}
	return err
}

const (
	// perPage is the most that GitLab gives.
	perPage = 100
	// maxPages bounds every list.
	maxPages = 100
)

// pages asks for one page after another until there is none or more is false.
func (l *lab) pages(op string, get func(o gitlab.ListOptions) (resp *gitlab.Response, more bool, err error)) error {
	o := gitlab.ListOptions{PerPage: perPage, Page: 1}
	for range maxPages {
		resp, more, err := get(o)
		if err != nil {
			return l.fail(op, resp, err)
		}
		if !more || resp.NextPage <= o.Page {
			return nil
		}
		o.Page = resp.NextPage
	}
	return &forge.Error{Kind: forge.Invalid, Op: op, Err: fmt.Errorf("there are more than %d", maxPages*perPage),
		Hint: "close merge requests that nobody works on"}
}
