package forge

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, as far as that decides what to do next.
type Kind string

const (
	// Unauthorized: no credentials, or the server does not take them.
	Unauthorized Kind = "unauthorized"
	// Forbidden: the credentials are good and not enough.
	Forbidden Kind = "forbidden"
	// RateLimited: too many requests, of the primary or a secondary limit.
	RateLimited Kind = "rate limited"
	// NotFound: no such repository, pull request or branch, or no right to see it.
	NotFound Kind = "not found"
	// Moved: the repository has another address now.
	Moved Kind = "moved"
	// Archived: the repository is read-only.
	Archived Kind = "archived"
	// Exists: what was to be made is there already.
	Exists Kind = "exists"
	// Conflict: the branch or the pull request changed meanwhile.
	Conflict Kind = "conflict"
	// NoDiff: the branches do not differ, so there is nothing to request.
	NoDiff Kind = "no difference"
	// Protected: a rule of the branch forbids it.
	Protected Kind = "protected"
	// Invalid: the forge does not take the request as it is.
	Invalid Kind = "invalid"
	// Unavailable: the server failed, was slow, or the connection was cut.
	Unavailable Kind = "unavailable"
	// Untrusted: the server's certificate is not one that may be trusted.
	Untrusted Kind = "not trusted"
	// Unsupported: no forge whose pull requests are known here.
	Unsupported Kind = "not supported"
)

// Error is a failed step with what to do about it.
type Error struct {
	Kind Kind
	// Op is what was tried: "open a pull request in OWNER/NAME".
	Op string
	// Hint is what the reader does next.
	Hint string
	// RetryAfter is how long the server wants to be left alone; 0 when it did not say.
	RetryAfter time.Duration
	// Err is the cause, without credentials.
	Err error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Op, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Pause is RetryAfter.
func (e *Error) Pause() time.Duration { return e.RetryAfter }

// Transient says that the same request may work later: the server was busy or
// out of reach, or something moved under us.
func (e *Error) Transient() bool {
	return e.Kind == RateLimited || e.Kind == Unavailable || e.Kind == Conflict
}

// Is reports whether err is a forge's error of that kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
