package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// auditPolicy has the API server write down what the controller asks for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + user + `"]
- level: None
`

// entry is what is read of an audit.k8s.io/v1 Event.
type entry struct {
	AuditID    string    `json:"auditID"`
	RequestURI string    `json:"requestURI"`
	Verb       string    `json:"verb"`
	Received   time.Time `json:"requestReceivedTimestamp"`
	ObjectRef  *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// Request is one that the controller made.
type Request struct {
	At time.Time
	// Verb and Resource are as RBAC names them: "list pods", "get pods/log"; Resource is
	// the path where it is no resource. Namespace is empty for all.
	Verb, Resource, Namespace string
	// Limit, of a list, is the page's size; Narrowed says that a selector was given.
	Limit    string
	Narrowed bool
	Code     int
}

func (r Request) String() string {
	return strings.TrimRight(fmt.Sprintf("%s %s %s", r.Verb, r.Resource, r.Namespace), " ")
}

func (e *entry) request() Request {
	r := Request{At: e.Received, Verb: e.Verb, Code: e.ResponseStatus.Code}
	u, err := url.Parse(e.RequestURI)
	if err == nil {
		r.Resource, r.Limit = u.Path, u.Query().Get("limit")
		r.Narrowed = u.Query().Get("labelSelector") != "" || u.Query().Get("fieldSelector") != ""
	}
	if o := e.ObjectRef; o != nil {
		r.Resource, r.Namespace = o.Resource, o.Namespace
		if o.Subresource != "" {
			r.Resource += "/" + o.Subresource
		}
	}
	return r
}

// Requests that the controller made since a moment, each once.
func (c *Cluster) Requests(t testing.TB, since time.Time) []Request {
	t.Helper()
	text, err := os.ReadFile(c.audit)
	must(t, err)
	seen := map[string]bool{}
	var out []Request
	for line := range bytes.Lines(text) {
		var e entry
		if json.Unmarshal(line, &e) != nil || seen[e.AuditID] || e.Received.Before(since) {
			continue // the last line may be half written
		}
		seen[e.AuditID] = true
		out = append(out, e.request())
	}
	return out
}

// isWatch and isLog are of the two kinds that a quiet controller makes anyway.
func isWatch(r Request) bool { return r.Verb == "watch" }
func isLog(r Request) bool   { return r.Resource == "pods/log" }

// without leaves out requests of some kinds.
func without(all []Request, kinds ...func(Request) bool) []Request {
	return slices.DeleteFunc(slices.Clone(all), func(r Request) bool {
		return slices.ContainsFunc(kinds, func(is func(Request) bool) bool { return is(r) })
	})
}

// summary counts requests of a kind, the most frequent first.
func summary(all []Request) string {
	count := map[string]int{}
	for _, r := range all {
		count[r.String()]++
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	var out strings.Builder
	for _, n := range names {
		fmt.Fprintf(&out, "\n%6d %s", count[n], n)
	}
	return out.String()
}
