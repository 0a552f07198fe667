package github

import (
	"net/http"
	"strings"

	"github.com/remediate-dev/remediate/gitops/access"
)

// authorized is the client of a, with its token on requests to host alone.
func authorized(a *access.Access, host string) *http.Client {
	client := a.HTTP()
	client.Transport = &bearer{next: client.Transport, host: host, access: a}
	return client
}

// bearer puts a token on each request. It makes none without: a stranger can
// open nothing, and is soon over the limit.
type bearer struct {
	next   http.RoundTripper
	host   string
	access *access.Access
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.EqualFold(req.URL.Host, b.host) {
		return b.next.RoundTrip(req)
	}
	token, err := b.access.Token(req.Context())
	if err == nil && token == "" {
		err = b.access.NoToken()
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must, and nothing was read of it
		}
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(req)
}
