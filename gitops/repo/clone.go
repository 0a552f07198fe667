package repo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

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

// Clone clones the default branch of a repository, with its history, into dir,
// which must be empty. It sends no credentials but those of a running SSH agent.
func Clone(ctx context.Context, from, dir string) error {
	if u, err := url.Parse(from); err == nil && u.User != nil && u.Scheme != "ssh" {
		if _, has := u.User.Password(); has {
			return fmt.Errorf("clone %s: a URL with a password in it is refused; clone it yourself and give --repo DIR", u.Redacted())
		}
	}
	_, err := git.PlainCloneContext(ctx, dir, false, &git.CloneOptions{URL: from, SingleBranch: true, Tags: git.NoTags})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("clone %s: it needs credentials; clone it yourself and give --repo DIR: %w", from, err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("clone %s: the repository is empty: %w", from, err)
	}
	return fmt.Errorf("clone %s: %w", from, err)
}
