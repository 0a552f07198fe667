package repo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// scpLike is git@host:path, Git's short form of an SSH address.
var scpLike = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:`)

// IsURL reports whether a --repo is to be cloned rather than opened.
func IsURL(s string) bool {
	for _, scheme := range []string{"https://", "http://", "ssh://", "git://", "file://"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return scpLike.MatchString(s)
}

// Redact is a URL fit to be shown: without the password and without the query
// and the fragment, which can hold tokens. What is no URL is returned as it is,
// but for a password before an @.
func Redact(from string) string {
	if u, err := url.Parse(from); err == nil && u.Scheme != "" && u.Host != "" {
		u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
		if u.User != nil && u.Scheme != "ssh" {
			// A token can stand in the place of the user's name.
			u.User = url.User("xxxxx")
		}
		return u.Redacted()
	}
	if scheme, rest, ok := strings.Cut(from, "://"); ok {
		if i := strings.LastIndex(rest, "@"); i >= 0 {
			rest = "xxxxx@" + rest[i+1:]
		}
		rest, _, _ = strings.Cut(rest, "?")
		rest, _, _ = strings.Cut(rest, "#")
		return scheme + "://" + rest
	}
	return from
}

// cloneError keeps the cause for [errors.Is] and shows it without the secrets
// that the URL holds.
type cloneError struct {
	text  string
	cause error
}

func (e *cloneError) Error() string { return e.text }
func (e *cloneError) Unwrap() error { return e.cause }

// urlSecret finds the userinfo and the query of a URL inside a sentence.
var urlSecret = regexp.MustCompile(`([a-z][a-z0-9+.-]*://)(?:[^\s/@"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?`)

func failed(from, why string, cause error) error {
	said := urlSecret.ReplaceAllString(strings.ReplaceAll(cause.Error(), from, Redact(from)), "$1$2")
	// A server's words end up on a terminal.
	said = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, said)
	return &cloneError{text: "clone " + Redact(from) + ": " + why + said, cause: cause}
}

// Clone clones the default branch of a repository, with its history, into dir,
// which must be empty. It sends no credentials but those of a running SSH agent.
func Clone(ctx context.Context, from, dir string) error {
	if u, err := url.Parse(from); err == nil && u.User != nil && u.Scheme != "ssh" {
		if _, has := u.User.Password(); has {
			return fmt.Errorf("clone %s: a URL with a password in it is refused; clone it yourself and give --repo DIR", Redact(from))
		}
	}
	_, err := git.PlainCloneContext(ctx, dir, false, &git.CloneOptions{URL: from, SingleBranch: true, Tags: git.NoTags})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return failed(from, "it needs credentials; clone it yourself and give --repo DIR: ", err)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return failed(from, "it is not there; if it is private, clone it yourself and give --repo DIR: ", err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return failed(from, "the repository is empty: ", err)
	case strings.HasPrefix(from, "ssh://") || scpLike.MatchString(from):
		return failed(from, "over SSH only the keys of a running agent are used; clone it yourself and give --repo DIR: ", err)
	}
	return failed(from, "", err)
}
