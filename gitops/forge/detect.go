package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// question is one way to ask a server what it is.
type question struct {
	kind, path string
	// is looks at an answer with that status; body is bounded.
	is func(resp *http.Response, body []byte) bool
}

func questions() []question {
	return []question{
		{Gitea, "/version", isGitea},
		{GitLab, "/version", isGitLab},
		{GitHub, "/meta", isGitHub},
	}
}

// Detect asks the server of a place whose Kind is empty what it is, without
// credentials, and gives the place with Kind and API. One whose kind is known is
// returned as it is. It tells Gitea and Forgejo, GitLab and GitHub Enterprise
// Server apart, also where they are mounted below a path. An answer of none of
// them is an error of kind [Unsupported].
//
// Facts: Gitea's GET /api/v1/version; GitLab's GET /api/v4/version, which answers
// 401 with X-Gitlab-Meta to strangers; GitHub's GET /api/v3/meta, whose every
// answer has X-GitHub-Request-Id.
func Detect(ctx context.Context, client *http.Client, place Place) (Place, error) {
	if place.Kind != "" {
		return place, nil
	}
	var last error
	for _, below := range mounts(place.Owner) {
		for _, q := range questions() {
			found := mounted(place, q.kind, below)
			ok, err := ask(ctx, client, q, found)
			if err != nil && ctx.Err() != nil {
				return Place{}, err
			}
			if err != nil {
				last = err
				break
			}
			if ok {
				return found, checkOwner(found)
			}
		}
		if last != nil {
			return Place{}, last
		}
	}
	return Place{}, &Error{Kind: Unsupported, Op: "find out which forge " + place.Host + " is",
		Err:  fmt.Errorf("it answers neither as Gitea, Forgejo, GitLab nor GitHub Enterprise"),
		Hint: "say what it is (--forge), or push the branch without a pull request, or write a bundle for git am"}
}

// mounts are the paths that the server may be mounted below: none, or the first
// part of what looks like a path of groups.
func mounts(owner string) []string {
	first, _, nested := strings.Cut(owner, "/")
	if !nested {
		return []string{""}
	}
	return []string{"", "/" + first}
}

func mounted(p Place, kind, below string) Place {
	p.Kind = kind
	p.Owner = strings.TrimPrefix(p.Owner, strings.TrimPrefix(below, "/")+"/")
	p.API = apiOf(kind, p.Host, p.API+below)
	return p
}

func checkOwner(p Place) error {
	if p.Kind != GitLab && strings.Contains(p.Owner, "/") {
		return &Error{Kind: Invalid, Op: "read the address of the repository on " + p.Host,
			Err:  fmt.Errorf("its path has more than owner and name, and %s knows no groups of groups", p.Kind),
			Hint: "give url of the GitRepository with owner and name: https://HOST/OWNER/NAME"}
	}
	return nil
}

// maxVersion bounds the answer that is read, in bytes.
const maxVersion = 64 << 10

func ask(ctx context.Context, client *http.Client, q question, p Place) (bool, error) {
	op := "ask " + p.Host + " which forge it is"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.API+q.path, http.NoBody)
	if err != nil {
		return false, Classify(op, nil, "", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return false, Classify(op, nil, "", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxVersion))
	if err != nil {
		return false, Classify(op, nil, "", err)
	}
	if q.is(resp, body) {
		return true, nil
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return false, Classify(op, resp, "", nil)
	}
	return false, nil
}

// isGitea knows the version, and the answer of a server that wants everybody to
// sign in, which names its API's description.
func isGitea(resp *http.Response, body []byte) bool {
	var answer struct{ Version, URL string }
	if json.Unmarshal(body, &answer) != nil {
		return false
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return answer.Version != ""
	case http.StatusUnauthorized, http.StatusForbidden:
		return strings.HasSuffix(answer.URL, "/api/swagger")
	}
	return false
}

func isGitLab(resp *http.Response, body []byte) bool {
	if resp.Header.Get("X-Gitlab-Meta") != "" {
		return true
	}
	var answer struct{ Version, Revision, Message string }
	if json.Unmarshal(body, &answer) != nil {
		return false
	}
	return resp.StatusCode == http.StatusOK && answer.Version != "" && answer.Revision != "" ||
		resp.StatusCode == http.StatusUnauthorized && answer.Message == "401 Unauthorized"
}

func isGitHub(resp *http.Response, _ []byte) bool {
	return resp.Header.Get("X-GitHub-Request-Id") != "" || resp.Header.Get("X-GitHub-Enterprise-Version") != ""
}
