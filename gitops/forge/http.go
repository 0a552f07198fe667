package forge

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Classify makes an error of a forge's answer. resp is nil when there was none;
// message is what the forge says, which is shown on one line. It reads
// Retry-After and rate-limit headers; the forge's own package refines what only
// its words tell apart.
func Classify(op string, resp *http.Response, message string, err error) *Error {
	return Classifier{}.Classify(op, resp, message, err)
}

// Classifier is [Classify] with a clock of its own.
type Classifier struct {
	// Now is asked when the server does not say what time it is; nil is time.Now.
	Now func() time.Time
}

// Classify is the package's [Classify].
func (c Classifier) Classify(op string, resp *http.Response, message string, err error) *Error {
	if resp == nil {
		return unanswered(op, err)
	}
	message = plain(message)
	e := &Error{Op: op, Err: &cause{said(resp, message), err}}
	words := strings.ToLower(message)
	e.Kind, e.Hint = kindOf(resp, words)
	switch {
	case limited(resp, words):
		e.Kind, e.Hint = RateLimited, "the limit is the account's: give remediate one of its own (on GitHub: a GitHub App)"
		e.RetryAfter = c.pause(resp)
		if e.RetryAfter == 0 {
			e.RetryAfter = defaultPause
		}
	case e.Kind == Unavailable:
		e.RetryAfter = c.pause(resp)
	case e.Kind == Moved:
		// What is said is an address, and the hint has it.
		e.Err, e.Hint = &cause{said(resp, ""), err}, movedHint(resp)
	}
	return e
}

// kindOf goes by the status, and where that is used for several things by the
// words, which are in lower case.
func kindOf(resp *http.Response, words string) (kind Kind, hint string) {
	switch code := resp.StatusCode; {
	case isArchived(code, words):
		return Archived, "unarchive the repository, or point the GitRepository at the one that took its place"
	case code == http.StatusUnauthorized:
		return Unauthorized, "check that the token in the Secret is the right one and has not expired"
	case code == http.StatusProxyAuthRequired:
		return Unauthorized, "the proxy wants credentials: check username and password of the proxy's Secret"
	case code == http.StatusForbidden, code == http.StatusUnavailableForLegalReasons:
		return Forbidden, "give the token the right to write contents and pull requests of this repository"
	case code == http.StatusNotFound:
		return NotFound, "check owner and name; a private repository also answers so when the token has no right to see it"
	case code == http.StatusGone:
		return NotFound, "it was removed, or this feature is turned off in the repository's settings"
	case isRedirect(code):
		return Moved, ""
	case code == http.StatusConflict && strings.Contains(words, "is empty"):
		return Invalid, "the repository has no commit yet: push a first one"
	case code == http.StatusConflict, code == http.StatusPreconditionFailed:
		return Conflict, "it changed meanwhile: run it again"
	case code == http.StatusLocked:
		return Unavailable, "the repository is locked for now: try again later"
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500, code < 300:
		return Unavailable, "try again later; the forge's status page says more"
	default:
		return Invalid, "the forge does not take this request: its words say why"
	}
}

func isArchived(code int, words string) bool {
	switch code {
	case http.StatusForbidden, http.StatusLocked, http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusConflict:
		return strings.Contains(words, "archived")
	}
	return false
}

func isRedirect(code int) bool {
	return code >= 300 && code < 400 && code != http.StatusNotModified
}

// defaultPause is how long GitHub wants to be left alone at least when it names
// neither Retry-After nor a reset: docs.github.com/rest, "Rate limits for the
// REST API", "Exceeding the rate limit".
const defaultPause = time.Minute

// limited tells a limit from a missing right: both may be 403.
func limited(resp *http.Response, words string) bool {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return remaining(resp.Header) == "0" || resp.Header.Get("Retry-After") != "" ||
			strings.Contains(words, "rate limit") || strings.Contains(words, "abuse detection")
	}
	return false
}

// header gives the first that is set: GitHub's, then GitLab's name of a limit.
func header(h http.Header, names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(h.Get(name)); v != "" {
			return v
		}
	}
	return ""
}

func remaining(h http.Header) string {
	return header(h, "X-RateLimit-Remaining", "RateLimit-Remaining")
}

// maxPause bounds what a server may ask for.
const maxPause = 7 * 24 * time.Hour

// pause is how long the server wants to be left alone: Retry-After in seconds or
// as a date, else the reset of a limit that is used up. Dates are compared with
// the server's own clock where it tells it.
func (c Classifier) pause(resp *http.Response) time.Duration {
	h := resp.Header
	if v := header(h, "Retry-After"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return seconds(n)
		}
		if at, err := http.ParseTime(v); err == nil {
			return between(c.now(h), at)
		}
	}
	if remaining(h) != "0" {
		return 0
	}
	n, err := strconv.ParseInt(header(h, "X-RateLimit-Reset", "RateLimit-Reset"), 10, 64)
	switch {
	case err != nil:
		return 0
	case n < epochs:
		return seconds(n)
	case n > latest:
		return maxPause
	}
	return between(c.now(h), time.Unix(n, 0))
}

// A reset below epochs (year 2001) is a number of seconds, above it a time in
// seconds since 1970; latest is the year 9999.
const (
	epochs = 1_000_000_000
	latest = 253_402_300_799
)

func (c Classifier) now(h http.Header) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxPause/time.Second))) * time.Second
}

// between is at least a second: what lies in the past is over as soon as that.
func between(now, at time.Time) time.Duration {
	return min(max(at.Sub(now).Round(time.Second), time.Second), maxPause)
}

// movedHint shows where to, unless it is another server, which is none to trust
// with a word about itself.
func movedHint(resp *http.Response) string {
	const hint = "the repository has another address now: change url of the GitRepository"
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Path == "" || resp.Request == nil || resp.Request.URL == nil {
		return hint
	}
	to = resp.Request.URL.ResolveReference(to)
	if !strings.EqualFold(to.Host, resp.Request.URL.Host) {
		return hint + "; the answer points to another host"
	}
	return hint + " (the answer points to " + plain(to.Path) + ")"
}
