package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gitlab.com/gitlab-org/api/client-go"

	"github.com/remediate-dev/remediate/gitops/forge"
)

const needs = "the token needs the scope api, and its user the role Developer or higher in the project"

// fail makes an error of what client-go says. resp is nil when there was no answer.
func (l *lab) fail(op string, resp *gitlab.Response, err error) error {
	var failed *gitlab.ErrorResponse
	switch {
	case errors.As(err, &failed):
		return l.answered(op, failed)
	case errors.Is(err, gitlab.ErrNotFound) && resp != nil:
		e := forge.Classify(op, resp.Response, "", err)
		e.Hint = "check owner and name; GitLab also answers so when the token may not see the project: " + needs
		return e
	}
	e := forge.Classify(op, nil, "", err)
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &shape) || errors.Is(err, errEmpty) {
		e.Hint = "the answer is not GitLab's: check the address of the API, and what stands between (a proxy, a page to sign in)"
	}
	return e
}

func (l *lab) answered(op string, failed *gitlab.ErrorResponse) *forge.Error {
	message := l.access.Redact(words(failed.Body))
	e := forge.Classify(op, failed.Response, message, failed)
	if e.Kind == forge.RateLimited || e.Kind == forge.Archived {
		return e
	}
	if kind, hint := kindByWords(failed.Response.StatusCode, strings.ToLower(message)); kind != "" {
		e.Kind, e.Hint = kind, hint
	}
	return e
}

// kindByWords reads what GitLab says only in words, which are in lower case.
func kindByWords(status int, words string) (kind forge.Kind, hint string) {
	has := func(part string) bool { return strings.Contains(words, part) }
	switch {
	case has("moved projects"):
		return forge.Moved, "the project has another path now: change url of the GitRepository"
	case status == http.StatusConflict && has("already exists"):
		return forge.Exists, "it is there already"
	case status == http.StatusUnauthorized && has("expired"), status == http.StatusUnauthorized && has("revoked"):
		return forge.Unauthorized, "make a new token with the scope api, and put it in the Secret"
	case has("insufficient_scope"):
		return forge.Forbidden, "the token lacks a scope: make one with the scope api"
	case status == http.StatusForbidden && has("ip address"), status == http.StatusForbidden && has("single sign-on"):
		return forge.Forbidden, "the group restricts who may come in: see its settings, Permissions and group features"
	case status == http.StatusForbidden:
		return forge.Forbidden, needs
	}
	return "", ""
}

// words flattens GitLab's three ways to say what is wrong: message or error as a
// text, as a list, or as lists by field (docs.gitlab.com/api/rest/troubleshooting).
// What is no JSON is given as it is.
func words(body []byte) string {
	var said map[string]any
	if json.Unmarshal(body, &said) != nil {
		return string(body)
	}
	var parts []string
	for _, key := range []string{"message", "error", "error_description", "scope"} {
		parts = append(parts, flat("", said[key])...)
	}
	return strings.Join(parts, "; ")
}

func flat(field string, v any) []string {
	var parts []string
	switch v := v.(type) {
	case string:
		parts = append(parts, strings.TrimSpace(field+" "+v))
	case []any:
		for _, e := range v {
			parts = append(parts, flat(field, e)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name := key
			if key == "base" {
				name = ""
			}
			parts = append(parts, flat(name, v[key])...)
		}
	}
	return parts
}

// explain looks once more when a refusal leaves open what is wrong: GitLab
// answers 403 for a project that is archived as for a missing role, and names
// the new path of one that moved nowhere.
func (l *lab) explain(ctx context.Context, err error) error {
	var e *forge.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case forge.Moved:
		if to := l.newPath(ctx); to != "" {
			e.Hint = fmt.Sprintf("the project is now %s: change url of the GitRepository", to)
		}
	case forge.Forbidden:
		p, _, err := l.client.Projects.GetProject(l.path, nil, gitlab.WithContext(ctx))
		if err == nil && p != nil && p.Archived {
			e.Kind, e.Hint = forge.Archived, "unarchive the project, or point the GitRepository at the one that took its place"
		}
	}
	return e
}

var projectID = regexp.MustCompile(`/projects/([0-9]{1,18})(?:[/?]|$)`)

// newPath is where a project that moved is now: GitLab redirects to its number,
// which never changes. Empty when that cannot be had.
func (l *lab) newPath(ctx context.Context) string {
	_, resp, err := l.client.Projects.GetProject(l.path, nil, gitlab.WithContext(ctx))
	if err == nil || resp == nil {
		return ""
	}
	at, err := resp.Location()
	if err != nil || at.Host != l.client.BaseURL().Host {
		return ""
	}
	m := projectID.FindStringSubmatch(at.Path)
	if m == nil {
		return ""
	}
	id, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return ""
	}
	p, _, err := l.client.Projects.GetProject(id, nil, gitlab.WithContext(ctx))
	if err != nil || p == nil || !isPath(p.PathWithNamespace) {
		return ""
	}
	return p.PathWithNamespace
}

// path has no {1,255}: every process would pay 10 MB and 60 ms for such a class of
// letters.
var path = regexp.MustCompile(`^[\pL\pN_.+/-]+$`)

// isPath keeps what a server calls a path from being anything else.
func isPath(text string) bool {
	return utf8.RuneCountInString(text) <= 255 && path.MatchString(text)
}
