package github

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// What a fine-grained token or a GitHub App needs, in the words of GitHub's
// settings page.
const (
	readContents  = "Contents: read"
	writeContents = "Contents: write"
	readPulls     = "Pull requests: read"
	writePulls    = "Pull requests: write"
	readMetadata  = "Metadata: read"
)

// fail makes an error of what go-github says. need is the permission that the
// call takes; empty when it takes none.
func (h *hub) fail(op, need string, err error) error {
	var failed *github.ErrorResponse
	var factor *github.TwoFactorAuthError
	var limit *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	switch {
	case errors.As(err, &limit):
		return h.limited(op, limit)
	case errors.As(err, &abuse):
		e := forge.Classify(op, abuse.Response, h.access.Redact(abuse.Message), err)
		if abuse.RetryAfter != nil {
			e.RetryAfter = *abuse.RetryAfter
		}
		e.Kind = forge.RateLimited
		return e
	case errors.As(err, &factor):
		return h.refusal(op, need, (*github.ErrorResponse)(factor))
	case errors.As(err, &failed):
		return h.refusal(op, need, failed)
	}
	return forge.Classify(op, nil, "", err)
}

// limited also reads the limit that go-github remembers and answers for GitHub.
func (h *hub) limited(op string, limit *github.RateLimitError) error {
	e := forge.Classify(op, limit.Response, h.access.Redact(limit.Message), limit)
	if limit.Response.Header.Get("X-RateLimit-Reset") == "" && !limit.Rate.Reset.IsZero() {
		e.RetryAfter = max(limit.Rate.Reset.Sub(h.now()).Round(time.Second), time.Second)
	}
	return e
}

var errNotGitHub = errors.New("the answer is none of GitHub's: it lacks what every such answer has")

// answered adds to err that an answer of success is not what it should be.
func answered(err error, whole bool) error {
	if err == nil && !whole {
		return errNotGitHub
	}
	return err
}

func (h *hub) refusal(op, need string, failed *github.ErrorResponse) error {
	message := h.access.Redact(messageOf(failed))
	e := forge.Classify(op, failed.Response, message, failed)
	switch e.Kind {
	case forge.RateLimited, forge.Archived:
		return e
	case forge.Moved:
		if name := h.movedTo(failed.Response); name != "" {
			e.Hint = "the repository is " + name + " now: change url of the GitRepository"
		}
		return e
	}
	if kind, hint := kindByWords(failed.Response.StatusCode, strings.ToLower(message)); kind != "" {
		e.Kind, e.Hint = kind, hint
		return e
	}
	if kind, hint := kindByField(failed); kind != "" {
		e.Kind, e.Hint = kind, hint
		return e
	}
	if e.Kind == forge.Forbidden || e.Kind == forge.NotFound {
		e.Hint = rightsHint(e, need, failed.Response.Header)
	}
	return e
}

var (
	numbered = regexp.MustCompile(`^/repositories/([0-9]{1,18})(/|$)`)
	fullName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$`)
)

// movedTo asks for the name of a repository that GitHub shows by its number;
// empty when it does not say. The answer is believed of GitHub's own API alone.
func (h *hub) movedTo(resp *http.Response) string {
	to, err := resp.Location()
	if err != nil || !strings.EqualFold(to.Host, h.client.BaseURL.Host) || to.Scheme != h.client.BaseURL.Scheme {
		return ""
	}
	path, _ := strings.CutPrefix(to.Path, strings.TrimSuffix(h.client.BaseURL.Path, "/"))
	m := numbered.FindStringSubmatch(path)
	if m == nil {
		return ""
	}
	id, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return ""
	}
	r, _, err := h.client.Repositories.GetByID(resp.Request.Context(), id)
	if err != nil || !fullName.MatchString(r.GetFullName()) {
		return ""
	}
	return r.GetFullName()
}

// maxErrors is how many of the details of an answer are shown.
const maxErrors = 5

func messageOf(failed *github.ErrorResponse) string {
	parts := []string{failed.Message}
	for i, e := range failed.Errors {
		switch {
		case i == maxErrors:
			return strings.Join(append(parts, "…"), "; ")
		case e.Message != "":
			parts = append(parts, e.Message)
		case e.Field != "" || e.Code != "":
			parts = append(parts, strings.TrimSpace(e.Field+" "+e.Code))
		}
	}
	return strings.Join(parts, "; ")
}

// kindByWords reads what GitHub says only in words, which are in lower case. It
// tells neither a rule of the branch nor an existing pull request by a code.
func kindByWords(status int, words string) (kind forge.Kind, hint string) {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}
		return false
	}
	switch {
	case status == http.StatusForbidden && has("saml"):
		return forge.Forbidden, "the organization wants single sign-on: authorize the token for it in its settings"
	case status == http.StatusForbidden && has("ip allow list"):
		return forge.Forbidden, "the organization takes requests from listed addresses only: add this one's, or a runner inside"
	case status != http.StatusUnprocessableEntity && status != http.StatusForbidden && status != http.StatusConflict:
		return "", ""
	case has("rule violation", "protected branch", "branch is protected", "cannot force-push", "cannot update this protected ref", "through a pull request"):
		return forge.Protected, "let this token push to branches remediate/** in the repository's rules, or exclude them there"
	case has("pull request already exists", "reference already exists", "already_exists"):
		return forge.Exists, "it is there already"
	case has("no commits between"):
		return forge.NoDiff, "there is nothing to propose: the base has this change"
	}
	return "", ""
}

// kindByField reads which of the branches is not there.
func kindByField(failed *github.ErrorResponse) (kind forge.Kind, hint string) {
	for _, e := range failed.Errors {
		switch {
		case e.Resource != "PullRequest" || e.Code != "invalid":
		case e.Field == "base":
			return forge.NotFound, "the base branch is gone or was renamed: change ref.branch of the GitRepository"
		case e.Field == "head":
			return forge.NotFound, "the branch of the change is gone: run it again, and it is pushed anew"
		}
	}
	return "", ""
}

// rightsHint names the permission: GitHub says in X-Accepted-GitHub-Permissions
// what it would take, and answers 404 where a token may not know of a thing.
func rightsHint(e *forge.Error, need string, header http.Header) string {
	if accepted := printable(header.Get("X-Accepted-GitHub-Permissions")); accepted != "" {
		need = accepted
	}
	switch {
	case need == "":
		return e.Hint
	case e.Kind == forge.NotFound:
		return "check owner and name; GitHub also answers so when the token lacks a permission: it needs " + need
	}
	return "the token needs the permission " + need + " (a classic token needs the scope repo)"
}

// printable keeps what a list of permissions is made of.
func printable(text string) string {
	const longest = 200
	text = strings.Map(func(r rune) rune {
		if r >= ' ' && r <= '~' {
			return r
		}
		return -1
	}, text)
	return text[:min(len(text), longest)]
}

// fit refuses what would not arrive as it is: JSON takes no bytes that are not
// UTF-8, GitHub no NUL.
func fit(op string, texts ...*string) error {
	for _, text := range texts {
		if text != nil && (!utf8.ValidString(*text) || strings.Contains(*text, "\x00")) {
			return &forge.Error{Kind: forge.Invalid, Op: op, Err: errors.New("the text is not UTF-8, or holds a NUL"),
				Hint: "send text only"}
		}
	}
	return nil
}
