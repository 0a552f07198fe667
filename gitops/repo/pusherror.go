package repo

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"
	"unicode"

	fluxgit "github.com/fluxcd/pkg/git"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// PushKind says what went wrong with a Git server, as far as that decides what
// to do next.
type PushKind string

const (
	// PushUnauthorized: no credentials, or the server does not take them.
	PushUnauthorized PushKind = "unauthorized"
	// PushForbidden: the credentials are good and may not write: a read-only
	// deploy key, a token without the right.
	PushForbidden PushKind = "forbidden"
	// PushProtected: a rule of the branch or a hook of the server declined it.
	PushProtected PushKind = "protected"
	// PushNotFound: no such repository or branch, or no right to see it.
	PushNotFound PushKind = "not found"
	// PushRelocated: the repository has another address now.
	PushRelocated PushKind = "moved"
	// PushArchived: the repository is read-only.
	PushArchived PushKind = "archived"
	// PushUntrusted: the server's certificate or host key is not the expected one.
	PushUntrusted PushKind = "not trusted"
	// PushUnavailable: the server failed, was slow, or the connection was cut.
	PushUnavailable PushKind = "unavailable"
	// PushFailed: something here failed, such as writing to the disk.
	PushFailed PushKind = "failed"
)

const (
	// maxSaid bounds what is kept of a server's words, in bytes.
	maxSaid = 4096
	// maxReason bounds what is shown of them, in characters.
	maxReason = 500
)

// PushError is what a Git server, or the way to it, refused: a push, and also a
// clone, a fetch and a question for branches.
type PushError struct {
	Kind PushKind
	// Op is what was tried: push, delete, clone, fetch, list the branches.
	Op string
	// URL is without credentials; Branch is empty when it was not about one.
	URL, Branch string
	// Said are the server's words, on one line, without control characters and
	// secrets.
	Said string
	// Hint is what the reader does next.
	Hint string
	// RetryAfter is how long the server wants to be left alone; 0 when it did not say.
	RetryAfter time.Duration

	cause error
}

func (e *PushError) Error() string {
	s := e.Op
	if e.Branch != "" {
		s += " " + e.Branch
	}
	s += " at " + e.URL + ": " + string(e.Kind)
	if e.Said != "" {
		s += ": " + e.Said
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives the cause, whose text can hold anything: do not show it.
func (e *PushError) Unwrap() error { return e.cause }

// Pause is RetryAfter.
func (e *PushError) Pause() time.Duration { return e.RetryAfter }

// Transient says that the same step may work later.
func (e *PushError) Transient() bool {
	return e.Kind == PushUnavailable && !errors.Is(e.cause, context.Canceled)
}

// Transient reports whether the step that failed with err may work later
// without a human: the server was busy or out of reach, or a branch has moved.
// It asks errors that have a method Transient, such as those of forges, too.
func Transient(err error) bool {
	var t interface{ Transient() bool }
	if errors.As(err, &t) {
		return t.Transient()
	}
	return errors.Is(err, ErrMoved)
}

// refused is a server's report that it did not do what it was told.
type refused struct{ reason, said string }

func (r *refused) Error() string { return r.reason }

// errAccess marks what failed before the server was asked.
type errAccess struct{ cause error }

func (e *errAccess) Error() string { return e.cause.Error() }
func (e *errAccess) Unwrap() error { return e.cause }

// failure makes a [*PushError] of what happened.
func (r *Remote) failure(ctx context.Context, op, branch string, err error) error {
	var done *PushError
	if errors.As(err, &done) || errors.Is(err, ErrMoved) {
		return err
	}
	var hidden *plumbing.UnexpectedError
	if errors.As(err, &hidden) {
		// It has no Unwrap.
		err = hidden.Err
	}
	kind, said := verdict(err)
	if kind == PushUnavailable && !strings.HasPrefix(r.URL, "http") && blank(err) {
		kind, said = PushForbidden, "the server refused the key and did not speak Git"
	}
	hint := hints()[kind]
	if ctx.Err() != nil {
		// What was cut short looks like anything.
		err = errors.Join(ctx.Err(), err)
		kind, said = PushUnavailable, "no answer in time"
		hint = hints()[kind]
		if errors.Is(ctx.Err(), context.Canceled) {
			said, hint = "canceled", "it was stopped; run it again"
		}
	}
	var unread *errAccess
	if errors.As(err, &unread) && ctx.Err() == nil {
		return &withOp{op + " " + Redact(r.URL) + ": ", unread.cause}
	}
	return &PushError{
		Kind: kind, Op: op, URL: Redact(r.URL), Branch: branch,
		Said: r.show(said), Hint: hint, RetryAfter: pause(err), cause: err,
	}
}

// withOp puts what was tried before an error that is fit to be shown.
type withOp struct {
	op    string
	cause error
}

func (e *withOp) Error() string { return e.op + e.cause.Error() }
func (e *withOp) Unwrap() error { return e.cause }

// show makes a server's words fit to be shown.
func (r *Remote) show(said string) string {
	said = oneLine(said, len(said))
	if r.Access != nil {
		said = r.Access.Redact(said)
	}
	said = urlSecret.ReplaceAllString(said, "$1$2")
	return oneLine(said, maxReason)
}

// oneLine is a text without line breaks, control and direction characters, and
// of at most max characters.
func oneLine(text string, max int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		if unicode.Is(unicode.Cf, c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > max {
		return string(runes[:max]) + "…"
	}
	return text
}

func hints() map[PushKind]string {
	return map[PushKind]string{
		PushUnauthorized: "check username and password, bearerToken or identity in the Secret; they may be expired, revoked or of another server",
		PushForbidden:    "give the token or the deploy key the right to write to this repository",
		PushProtected:    "allow the bot to push branches below remediate/, or change the rule or hook that declined it",
		PushNotFound:     "check the address and the branch; a private repository looks like this to credentials without access",
		PushRelocated:    "put the new address into GitRepository.spec.url",
		PushArchived:     "unarchive the repository, or point the GitRepository to the one in use",
		PushUnavailable:  "try again later; check that this host reaches the server",
		PushUntrusted:    "put the server's CA into ca.crt or its host key into known_hosts of the Secret, after comparing it with what the operator publishes",
	}
}

// verdict sorts an error and finds the words in it.
func verdict(err error) (PushKind, string) {
	var login *errLogin
	var no *refused
	var answer *githttp.Err
	var local *fs.PathError
	switch {
	case errors.As(err, &login):
		return PushUnauthorized, login.text
	case errors.As(err, &no):
		return ofRefusal(no)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return PushUnauthorized, after(err, transport.ErrAuthenticationRequired)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		said := after(err, transport.ErrAuthorizationFailed)
		return ofWords(said, PushForbidden), said
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return PushNotFound, after(err, transport.ErrRepositoryNotFound)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return PushNotFound, "the repository is empty"
	case errors.As(err, &answer):
		return ofStatus(answer)
	case untrusted(err):
		return PushUntrusted, err.Error()
	case errors.As(err, &local):
		return PushFailed, err.Error()
	}
	return ofText(err)
}

// blank: Gitea and Forgejo refuse over SSH with an empty line where Git's answer
// would be (cmd/serv.go, fail), and go-git then does not read what they say beside it.
func blank(err error) bool { return strings.Contains(err.Error(), pktline.ErrInvalidPktLen.Error()) }

// pause is what a server that is busy asks for. Of a refusal (403) go-git keeps
// the words only.
func pause(err error) time.Duration {
	var answer *githttp.Err
	switch {
	case errors.As(err, &answer) && answer.Response != nil:
		return forge.Classify("", answer.Response, "", nil).RetryAfter
	case strings.Contains(strings.ToLower(err.Error()), overLimit):
		return time.Minute
	}
	return 0
}

const overLimit = "rate limit"

// after is what an error says after what it is.
func after(err, is error) string {
	_, said, _ := strings.Cut(err.Error(), is.Error())
	return strings.TrimPrefix(said, ": ")
}

// ofRefusal reads a refused update. The reason is Git's, the words are those of
// the server's hook.
func ofRefusal(no *refused) (PushKind, string) {
	said := no.reason
	if no.said != "" {
		said += ": " + no.said
	}
	return ofWords(said, PushProtected), said
}

// ofWords knows the sentences by which servers tell what has no status of its
// own: GitHub, GitLab, Gitea and Forgejo.
func ofWords(said string, otherwise PushKind) PushKind {
	low := strings.ToLower(said)
	for _, w := range []struct {
		part string
		kind PushKind
	}{
		{overLimit, PushUnavailable},
		{"archived", PushArchived},
		{"repository is read-only", PushArchived},
		{"is in read-only mode", PushArchived},
		{"missing necessary objects", PushUnavailable},
		{"marked as read only", PushForbidden},
		{"read-only", PushForbidden},
		{"not allowed to upload code", PushForbidden},
		{"permission to ", PushForbidden},
		{"permission denied", PushForbidden},
		{"is not authorized to", PushForbidden},
		{"not found", PushNotFound},
		{"could not be found", PushNotFound},
	} {
		if strings.Contains(low, w.part) {
			return w.kind
		}
	}
	return otherwise
}

func ofStatus(e *githttp.Err) (PushKind, string) {
	said := e.Response.Status
	if e.Reason != "" && !strings.Contains(e.Reason, "<html") {
		said += ": " + e.Reason
	}
	switch code := e.StatusCode(); {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return PushUnavailable, said
	case code >= 300 && code < 400:
		return PushRelocated, said
	case code == http.StatusGone:
		return PushNotFound, said
	}
	return ofWords(said, PushProtected), said
}

// untrusted finds certificates and host keys that are not the expected ones.
func untrusted(err error) bool {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "knownhosts: ") || strings.Contains(text, "no common algorithm for host key")
}

// ofText sorts what go-git tells by text alone: over SSH, and for branches.
func ofText(err error) (PushKind, string) {
	text := err.Error()
	var absent fluxgit.ErrRepositoryNotFound
	switch {
	case errors.As(err, &absent):
		return PushNotFound, absent.Message
	case errors.Is(err, git.NoMatchingRefSpecError{}):
		return PushNotFound, "there is no such branch"
	case strings.Contains(text, "unable to authenticate"):
		return PushUnauthorized, "the server takes none of the keys"
	case strings.Contains(text, "http redirect"):
		return PushRelocated, text
	}
	if _, said, ok := strings.Cut(text, "unknown error: "); ok {
		return ofWords(said, PushUnauthorized), said
	}
	return PushUnavailable, text
}
