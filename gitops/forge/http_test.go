package forge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/remediate-dev/remediate/gitops/forge"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func classifier() forge.Classifier {
	return forge.Classifier{Now: func() time.Time { return now }}
}

func answer(code int, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	at, _ := url.Parse("https://forge.example/api/repos/o/n")
	return &http.Response{StatusCode: code, Header: h, Request: &http.Request{URL: at}}
}

func TestClassifyAnswers(t *testing.T) {
	reset := fmt.Sprint(now.Add(20 * time.Minute).Unix())
	tests := []struct {
		name    string
		resp    *http.Response
		message string
		kind    forge.Kind
		after   time.Duration
		hint    string // part of it
	}{
		{"bad token", answer(401), "Bad credentials", forge.Unauthorized, 0, "token"},
		{"proxy wants credentials", answer(407), "", forge.Unauthorized, 0, "proxy"},
		{"no right", answer(403), "Resource not accessible", forge.Forbidden, 0, "right"},
		{"legal", answer(451), "Repository access blocked", forge.Forbidden, 0, ""},
		{"limit used up", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), "", forge.RateLimited, 20 * time.Minute, "limit"},
		{"limit, not used up", answer(403, "X-RateLimit-Remaining", "12", "X-RateLimit-Reset", reset), "no", forge.Forbidden, 0, ""},
		{"limit, no reset", answer(403, "X-RateLimit-Remaining", "0"), "", forge.RateLimited, time.Minute, ""},
		{"limit, reset over", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1700000000"), "", forge.RateLimited, time.Second, ""},
		{"limit, absurd reset", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "9223372036854775807"), "", forge.RateLimited, 7 * 24 * time.Hour, ""},
		{"limit, mad reset", answer(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "soon"), "", forge.RateLimited, time.Minute, ""},
		{"GitLab's limit", answer(429, "RateLimit-Remaining", "0", "RateLimit-Reset", reset), "", forge.RateLimited, 20 * time.Minute, ""},
		{"reset in seconds", answer(429, "RateLimit-Remaining", "0", "RateLimit-Reset", "90"), "", forge.RateLimited, 90 * time.Second, ""},
		{"403 with Retry-After", answer(403, "Retry-After", "37"), "", forge.RateLimited, 37 * time.Second, ""},
		{"Retry-After before the reset", answer(403, "Retry-After", "37", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), "", forge.RateLimited, 37 * time.Second, ""},
		{"secondary limit in words", answer(403), "You have exceeded a secondary rate limit.", forge.RateLimited, time.Minute, ""},
		{"abuse in words", answer(403), "You have triggered an abuse detection mechanism.", forge.RateLimited, time.Minute, ""},
		{"429 alone", answer(429), "", forge.RateLimited, time.Minute, ""},
		{"archived on GitHub", answer(403), "Repository was archived so is read-only.", forge.Archived, 0, "unarchive"},
		{"archived on Gitea", answer(423), "o/n is archived", forge.Archived, 0, "unarchive"},
		{"locked for migration", answer(423), "locked", forge.Unavailable, 0, "locked"},
		{"not found", answer(404), "Not Found", forge.NotFound, 0, "private"},
		{"a word of archives is no 404's", answer(404), "archived.yaml not found", forge.NotFound, 0, ""},
		{"gone", answer(410), "Issues are disabled", forge.NotFound, 0, "turned off"},
		{"conflict", answer(409), "sha does not match", forge.Conflict, 0, "run it again"},
		{"empty repository", answer(409), "Git Repository is empty.", forge.Invalid, 0, "first"},
		{"precondition", answer(412), "", forge.Conflict, 0, ""},
		{"invalid", answer(422), "Validation Failed", forge.Invalid, 0, ""},
		{"bad request", answer(400), "", forge.Invalid, 0, ""},
		{"not modified", answer(304), "", forge.Invalid, 0, ""},
		{"server error", answer(500), "", forge.Unavailable, 0, "later"},
		{"bad gateway", answer(502), "<html>nginx</html>", forge.Unavailable, 0, ""},
		{"maintenance, seconds", answer(503, "Retry-After", "120"), "", forge.Unavailable, 2 * time.Minute, ""},
		{"maintenance, a date", answer(503, "Retry-After", "Sun, 01 Mar 2026 12:00:45 GMT"), "", forge.Unavailable, 45 * time.Second, ""},
		{"a date that is over", answer(503, "Retry-After", "Sun, 01 Mar 2026 11:00:00 GMT"), "", forge.Unavailable, time.Second, ""},
		{"the server's clock counts", answer(503, "Retry-After", "Sun, 01 Mar 2026 13:00:45 GMT", "Date", "Sun, 01 Mar 2026 13:00:00 GMT"), "", forge.Unavailable, 45 * time.Second, ""},
		{"mad Retry-After", answer(503, "Retry-After", "-5"), "", forge.Unavailable, 0, ""},
		{"absurd Retry-After", answer(503, "Retry-After", "99999999999"), "", forge.Unavailable, 7 * 24 * time.Hour, ""},
		{"Retry-After that is none", answer(503, "Retry-After", "tomorrow"), "", forge.Unavailable, 0, ""},
		{"timeout", answer(408), "", forge.Unavailable, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := classifier().Classify("open it", tt.resp, tt.message, nil)
			if e.Kind != tt.kind || e.RetryAfter != tt.after || !strings.Contains(e.Hint, tt.hint) || e.Hint == "" {
				t.Errorf("got %q after %s, hint %q; want %q after %s, hint with %q", e.Kind, e.RetryAfter, e.Hint, tt.kind, tt.after, tt.hint)
			}
			if want := fmt.Sprintf("HTTP %d", tt.resp.StatusCode); !strings.Contains(e.Error(), want) {
				t.Errorf("%q does not say %q", e, want)
			}
		})
	}
}

func TestClassifyMoved(t *testing.T) {
	tests := []struct {
		code           int
		location, want string
	}{
		{301, "https://forge.example/repositories/7", "/repositories/7"},
		{302, "/new/name", "/new/name"},
		{307, "https://FORGE.example/new", "/new"},
		{308, "https://evil.example/new", "another host"},
		{301, "", "another address"},
		{301, "https://forge.example/a\x1b[31m", "another address"},
		{301, "https://forge.example/a%1b%5b31m%e2%80%aeb", "/a[31mb"},
	}
	for _, tt := range tests {
		e := forge.Classify("find it", answer(tt.code, "Location", tt.location), "Moved", nil)
		if e.Kind != forge.Moved || !strings.Contains(e.Hint, tt.want) || strings.Contains(e.Hint, "evil") {
			t.Errorf("%d to %q: %s, hint %q, want %q in it", tt.code, tt.location, e.Kind, e.Hint, tt.want)
		}
		if e.Transient() {
			t.Errorf("%d is not over by waiting", tt.code)
		}
	}
}

func TestClassifyShowsOnlyPlainWords(t *testing.T) {
	tests := []struct{ message, want string }{
		{"", "HTTP 422 Unprocessable Entity"},
		{"two\nlines\r\n and\ttabs ", ": two lines and tabs"},
		{"\x1b[31mred\x07\u202e\u200b\x00", ": [31mred"},
		{"\xff\xfebad", ": bad"},
		{"<!DOCTYPE html><h1>nginx</h1>", "HTTP 422 Unprocessable Entity"},
		{strings.Repeat("ä", 5000), strings.Repeat("ä", 400) + "…"},
	}
	for _, tt := range tests {
		got := forge.Classify("x", answer(422), tt.message, nil).Err.Error()
		if !strings.HasSuffix(got, tt.want) {
			t.Errorf("%.40q: got %.80q, want it to end with %.80q", tt.message, got, tt.want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(403, "37", "0", "Sun, 01 Mar 2026 12:00:45 GMT", "a\nb")
	f.Add(301, "x", "", "http://[::1", "<html>")
	f.Fuzz(func(t *testing.T, code int, retry, reset, location, message string) {
		resp := answer(code, "Retry-After", retry, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset, "Location", location)
		e := classifier().Classify("x", resp, message, nil)
		if e.RetryAfter < 0 || e.RetryAfter > 7*24*time.Hour {
			t.Errorf("a pause of %s", e.RetryAfter)
		}
		for _, s := range []string{e.Error(), e.Hint} {
			if utf8.RuneCountInString(s) > 1000 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not fit to be shown: %q", s)
			}
		}
	})
}

// hinted is an error as access makes them.
type hinted struct{ transient bool }

func (hinted) Error() string     { return "no token" }
func (hinted) Hint() string      { return "give one" }
func (h hinted) Transient() bool { return h.transient }

func TestClassifyWithoutAnswer(t *testing.T) {
	wrap := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://user:s3cret@forge.example/?token=s3cret", Err: err}
	}
	proxy := &net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New("connection refused")}
	tests := []struct {
		name string
		err  error
		kind forge.Kind
		hint string
	}{
		{"nothing", nil, forge.Unavailable, "cut"},
		{"cut", wrap(io.ErrUnexpectedEOF), forge.Unavailable, "cut"},
		{"slow", wrap(context.DeadlineExceeded), forge.Unavailable, "slow"},
		{"stopped", wrap(context.Canceled), forge.Unavailable, "stopped"},
		{"no such host", wrap(&net.DNSError{Err: "no such host", Name: "forge.example", IsNotFound: true}), forge.Unavailable, "no such host"},
		{"proxy down", wrap(proxy), forge.Unavailable, "proxy"},
		{"proxy wants credentials", wrap(errors.New("Proxy Authentication Required")), forge.Unauthorized, "proxy"},
		{"http on https", wrap(errors.New("http: server gave HTTP response to HTTPS client")), forge.Untrusted, "plain http"},
		{"no token", wrap(hinted{}), forge.Unauthorized, "give one"},
		{"no token for now", wrap(hinted{true}), forge.Unavailable, "give one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := forge.Classify("find it", nil, "", tt.err)
			if e.Kind != tt.kind || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %q, hint %q; want %q, %q", e.Kind, e.Hint, tt.kind, tt.hint)
			}
			if strings.Contains(e.Error()+e.Hint, "s3cret") {
				t.Errorf("shows the address with its secret: %v", e)
			}
			var at *url.Error
			if errors.As(tt.err, &at) && !errors.Is(e, at.Err) {
				t.Errorf("the cause is lost: %v", e)
			}
		})
	}
}

func TestClassifyRealConnections(t *testing.T) {
	foreign := httptest.NewUnstartedServer(http.NotFoundHandler())
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	foreign.StartTLS()
	defer foreign.Close()
	_, err := http.Get(foreign.URL)
	if e := forge.Classify("find it", nil, "", err); e.Kind != forge.Untrusted || !strings.Contains(e.Hint, "ca.crt") || e.Transient() {
		t.Errorf("unknown authority: %v, hint %q", e, e.Hint)
	}

	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	defer cut.Close()
	_, err = http.Get(cut.URL)
	if e := forge.Classify("find it", nil, "", err); e.Kind != forge.Unavailable || !e.Transient() {
		t.Errorf("cut connection: %v", e)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	_, err = http.Get("http://" + listener.Addr().String())
	if e := forge.Classify("find it", nil, "", err); e.Kind != forge.Unavailable || !strings.Contains(e.Error(), "refused") {
		t.Errorf("nobody listens: %v", e)
	}
}
