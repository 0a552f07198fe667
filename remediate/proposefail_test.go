package remediate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

var updateMessages = flag.Bool("update", false, "write testdata/proposals.golden anew")

// trouble is what comes instead of an answer, and what it must be taken for.
type trouble struct {
	name  string
	fault forges.Fault
	// api is the kind when an API answers so; git is that of a Git server, empty
	// where Git servers do not answer so.
	api forge.Kind
	git repo.PushKind
	// wait is how long the server is to be left alone; 0 where it does not say.
	wait time.Duration
}

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Set(kv[i], kv[i+1])
	}
	return h
}

// slow is longer than any test waits.
const slow = time.Hour

func troubles() []trouble {
	reset := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return []trouble{
		{"401", forges.Fault{Status: 401, Body: `{"message":"Bad credentials"}`}, forge.Unauthorized, repo.PushUnauthorized, 0},
		{"403 for a right", forges.Fault{Status: 403, Body: `{"message":"Resource not accessible"}`}, forge.Forbidden, repo.PushForbidden, 0},
		{"403 of a used-up limit", forges.Fault{Status: 403, Body: `{"message":"API rate limit exceeded"}`, Header: headers(
			"X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(reset.Unix()),
			"Date", reset.Add(-90*time.Second).Format(http.TimeFormat))}, forge.RateLimited, "", 90 * time.Second},
		{"403 of a secondary limit", forges.Fault{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}`}, forge.RateLimited, repo.PushUnavailable, time.Minute},
		{"403 with Retry-After", forges.Fault{Status: 403, Body: `{"message":"wait"}`, Header: headers("Retry-After", "17")}, forge.RateLimited, "", 17 * time.Second},
		{"404", forges.Fault{Status: 404, Body: `{"message":"Not Found"}`}, forge.NotFound, repo.PushNotFound, 0},
		{"409", forges.Fault{Status: 409, Body: `{"message":"it changed"}`}, forge.Conflict, "", 0},
		{"422", forges.Fault{Status: 422, Body: `{"message":"Validation Failed"}`}, forge.Invalid, "", 0},
		{"429 with Retry-After", forges.Fault{Status: 429, Body: `{"message":"slower"}`, Header: headers("Retry-After", "23")}, forge.RateLimited, repo.PushUnavailable, 23 * time.Second},
		{"500", forges.Fault{Status: 500, Body: `{"message":"Server Error"}`}, forge.Unavailable, repo.PushUnavailable, 0},
		{"502 with a page", forges.Fault{Status: 502, Body: "<html>\x1b[31mnginx</html>", Header: headers("Content-Type", "text/html")}, forge.Unavailable, repo.PushUnavailable, 0},
		{"503 with Retry-After", forges.Fault{Status: 503, Body: `{"message":"maintenance"}`, Header: headers("Retry-After", "31")}, forge.Unavailable, repo.PushUnavailable, 31 * time.Second},
		{"cut before it was handled", forges.Fault{Cut: forges.CutBefore}, forge.Unavailable, repo.PushUnavailable, 0},
		{"cut after it was handled", forges.Fault{Cut: forges.CutAfter}, forge.Unavailable, repo.PushUnavailable, 0},
		{"slow", forges.Fault{Delay: slow}, forge.Unavailable, repo.PushUnavailable, 0},
	}
}

// passes says whether it is over by itself.
func (tr trouble) passes() bool {
	return tr.api == forge.RateLimited || tr.api == forge.Unavailable || tr.api == forge.Conflict
}

func isOpening(r *http.Request) bool {
	return r.Method == http.MethodPost && (strings.HasSuffix(r.URL.Path, "/pulls") || strings.HasSuffix(r.URL.Path, "/merge_requests"))
}

func isGit(r *http.Request) bool { return strings.Contains(r.URL.Path, ".git/") }

// attempt proposes with so much patience that only a slow server is too slow.
func (g *stage) attempt(tr trouble) (*v1alpha1.PullRequestOutcome, error) {
	plan := g.plan()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if tr.fault.Delay > 0 {
		ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
	}
	return g.p.Propose(ctx, plan, "")
}

// from spoils every request from the n-th on, Git's too.
func from(f faulty, n int, fault forges.Fault) {
	var mu sync.Mutex
	seen := 0
	f.Fail(func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen++
		return seen >= n
	}, -1, fault)
}

// A server that gets into trouble at any request of a new pull request: nothing
// is left half done that the next run does not finish, and what passes by itself
// is told from what a person must change.
func TestTroubleWhileOpening(t *testing.T) {
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := troubles()
			for n, ended := 1, false; !ended; n++ {
				for i := range 2 {
					tr := all[(2*n+i)%len(all)]
					if name == "gitea" && n%6 != 3*i {
						continue
					}
					ended = troubleAt(t, start(t), n, tr) || ended
				}
			}
		})
	}
}

// troubleAt reports whether the run made fewer requests than n.
func troubleAt(t *testing.T, f faulty, n int, tr trouble) (ended bool) {
	t.Helper()
	g := newStage(t, f)
	at := fmt.Sprintf("request %d: %s", n, tr.name)
	from(f, n, tr.fault)
	out, err := g.attempt(tr)
	f.Heal()
	g.outfitAgain()
	if err != nil && forge.Transient(err) != tr.passes() {
		g.Errorf("%s: transient %v: %v", at, !tr.passes(), err)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\x1b<") {
		g.Errorf("%s: %q", at, err)
	}
	if branches, prs := g.ours(), g.s.PRs(g); len(branches) > 1 || len(prs) > 1 || len(prs) == 1 && !strings.Contains(prs[0].Body, recordMark) {
		g.Fatalf("%s leaves branches %q, pull requests %+v", at, branches, prs)
	}
	done := v1alpha1.PullRequestOpened
	if len(g.s.PRs(g)) == 1 {
		done = v1alpha1.PullRequestUnchanged
	}
	g.propose(done)
	g.one(at)
	g.propose(v1alpha1.PullRequestUnchanged)
	return err == nil && len(out.Warnings) == 0
}

// patient is a clock that jumps ahead by what is waited for.
type patient struct {
	at    time.Time
	waits []time.Duration
}

func (c *patient) Now() time.Time { return c.at }

func (c *patient) After(d time.Duration) <-chan time.Time {
	c.waits, c.at = append(c.waits, d), c.at.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.at
	return ch
}

// What passes is tried again when the server wants it, and a person's mistake is
// not tried twice.
func TestTroubleIsTriedAgain(t *testing.T) {
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, where := range []struct {
				name  string
				match func(*http.Request) bool
				git   bool
			}{
				{"open", isOpening, false},
				{"list the branches", isGit, true},
			} {
				f := start(t)
				g := newStage(t, f)
				for i, tr := range troubles() {
					if where.git && tr.git == "" || tr.fault.Delay > 0 || name == "gitea" && i%3 != 1 {
						continue
					}
					g.triedAgain(f, tr, where.name, where.match)
				}
			}
		})
	}
}

func (g *stage) triedAgain(f faulty, tr trouble, at string, match func(*http.Request) bool) {
	g.Helper()
	for branch := range g.s.Branches(g) {
		if strings.HasPrefix(branch, branchRoot) {
			g.s.DeleteBranch(g, branch)
		}
	}
	for _, pr := range g.s.PRs(g) {
		if pr.State == "open" {
			g.s.ClosePR(g, pr.Number)
		}
	}
	none, many := 0, 999
	g.p.Cluster = "c" + strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, tr.name+at) + fmt.Sprint(tr.fault.Status)
	g.p.Spec.Limits = v1alpha1.LimitsSpec{MaxOpen: &many, MaxPerDay: &many, MaxNotReadyPercent: &none}
	g.outfitAgain()
	f.Fail(match, 1, tr.fault)
	clock := &patient{at: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	calls := 0
	err := forge.Retry{Clock: clock}.Do(context.Background(), func(ctx context.Context) error {
		calls++
		// A limit that was imposed is over by waiting.
		g.outfitAgain()
		_, err := g.p.Propose(ctx, g.plan(), "")
		return err
	})
	f.Heal()
	what := fmt.Sprintf("%s: %s", at, tr.name)
	switch {
	case !tr.passes() && (err == nil || calls != 1):
		g.Errorf("%s: called %d times, %v", what, calls, err)
	case !tr.passes():
		return
	case err != nil:
		g.Errorf("%s: %v", what, err)
	case tr.wait > 0 && !slices.Equal(clock.waits, []time.Duration{tr.wait}):
		g.Errorf("%s: waited %v, want %v", what, clock.waits, tr.wait)
	}
	if len(g.ours()) != 1 {
		g.Errorf("%s: branches %q", what, g.ours())
	}
}

// outfitAgain makes a new connection, as a new run does.
func (g *stage) outfitAgain() {
	g.Helper()
	was := *g.p
	g.outfit(g.T, g.s)
	g.p.Cluster, g.p.Spec, g.p.Progress, g.p.Base, g.p.Limits = was.Cluster, was.Spec, was.Progress, was.Base, was.Limits
}

// messages collects what people are told, for one golden file.
type messages struct {
	text []string
	// some says that not all were collected.
	some bool
}

var (
	ports  = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	hashes = regexp.MustCompile(`\b[0-9a-f]{40}\b|\b[0-9a-f]{12}\b`)
	fleets = regexp.MustCompile(`fleet-[0-9]+`)
	times  = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{5} UTC`)
)

func (m *messages) add(what string, out *v1alpha1.PullRequestOutcome, err error) {
	line := ""
	switch {
	case err != nil:
		line = "error: " + err.Error()
		if hint := hintOf(err); hint != "" {
			line += "\n  hint:  " + hint
		}
		if forge.Transient(err) {
			line += "\n  it is tried again"
		}
	default:
		line = string(out.Action) + ": " + strings.Join(out.Because, "; ")
		for _, w := range out.Warnings {
			line += "\n  warning: " + w
		}
	}
	line = ports.ReplaceAllString(line, "HOST")
	line = hashes.ReplaceAllString(line, "HASH")
	line = fleets.ReplaceAllString(line, "fleet")
	line = times.ReplaceAllString(line, "TIME")
	m.text = append(m.text, fmt.Sprintf("%s\n  %s\n", what, line))
}

// hintOf is what the command shows below an error.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	var f *forge.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

func (m *messages) check(t *testing.T, name string) {
	t.Helper()
	path, got := "testdata/proposals-"+name+".golden", strings.Join(m.text, "\n")
	if *updateMessages && !m.some {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	for _, text := range m.text {
		if m.some && !strings.Contains(string(want), text) {
			t.Errorf("%s does not have\n%s", path, text)
		}
	}
	if diff := cmp.Diff(string(want), got); diff != "" && !m.some {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// What people are told when the server does not do its part.
func TestTroubleMessages(t *testing.T) {
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &messages{}
			f := start(t)
			g := newStage(t, f)
			for _, where := range []struct {
				name  string
				match func(*http.Request) bool
				git   bool
			}{
				{"the list of branches", func(r *http.Request) bool { return isGit(r) && strings.Contains(r.URL.RawQuery, "upload-pack") }, true},
				{"the push", func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }, true},
				{"the first question", func(r *http.Request) bool { return !isGit(r) }, false},
				{"the opening", isOpening, false},
			} {
				for _, tr := range troubles() {
					if where.git && tr.git == "" || where.name == "the push" && tr.fault.Cut == forges.CutAfter || tr.fault.Delay > 0 && where.name != "the first question" {
						continue
					}
					g.outfitAgain()
					f.Fail(where.match, -1, tr.fault)
					out, err := g.attempt(tr)
					f.Heal()
					if err == nil {
						t.Errorf("%s: %s: %+v", where.name, tr.name, out)
						continue
					}
					m.add(where.name+": "+tr.name, out, err)
					g.kindIs(where.name+": "+tr.name, err, tr, where.git)
				}
			}
			m.check(t, name)
		})
	}
}

func (g *stage) kindIs(at string, err error, tr trouble, git bool) {
	g.Helper()
	var pushed *repo.PushError
	switch {
	case git && (!errors.As(err, &pushed) || pushed.Kind != tr.git):
		g.Errorf("%s: want %s: %v", at, tr.git, err)
	case !git && !forge.Is(err, tr.api):
		g.Errorf("%s: want %s: %v", at, tr.api, err)
	}
}
