package remediate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// crashEnv holds what a child process is to propose, as JSON. TestMain hands
// over to [crashChild] when it is set.
const crashEnv = "REMEDIATE_TEST_PROPOSE"

// errand is what a child process needs to propose.
type errand struct {
	Kind, URL, API string
	Secret         map[string][]byte
	Source, Rev    string
	Healthy        bool
}

// spot is a forge as a child process knows it.
type spot struct {
	forges.Server
	e errand
}

func (s spot) Kind() string              { return s.e.Kind }
func (s spot) CloneURL() string          { return s.e.URL }
func (s spot) API() string               { return s.e.API }
func (s spot) Secret() map[string][]byte { return s.e.Secret }

// crashTB lets the child use what tests use.
type crashTB struct{ testing.TB }

func (crashTB) Helper()           {}
func (crashTB) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(1) }

// crashChild proposes once, in a process that may be killed.
func crashChild(text string) int {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	g := &stage{confidence: v1alpha1.ConfidenceConfirmed, severity: v1alpha1.SeverityCritical, healthy: e.Healthy}
	g.outfit(crashTB{}, spot{e: e})
	out, err := g.p.Propose(noDeadline(), g.resultOf(e.Source, e.Rev), "")
	if err != nil {
		fmt.Fprintln(os.Stderr, "propose:", err)
		return 1
	}
	fmt.Println(out.Action)
	return 0
}

// faulty is a forge with [forges.Faults] in front.
type faulty interface {
	forges.Server
	Before(do func(*http.Request))
	After(do func(*http.Request))
	Fail(match func(*http.Request) bool, n int, f forges.Fault)
	Heal()
}

// errand is what the child is to do now.
func (g *stage) errand() string {
	b, err := json.Marshal(errand{
		Kind: g.s.Kind(), URL: g.s.CloneURL(), API: g.s.API(), Secret: g.s.Secret(),
		Source: g.s.Show(g, "main", stageFile), Rev: g.s.Branches(g)["main"], Healthy: g.healthy,
	})
	if err != nil {
		g.Fatal(err)
	}
	return string(b)
}

func (g *stage) child() *exec.Cmd {
	c := exec.Command(os.Args[0])
	// What a killed child leaves goes with the test.
	c.Env = append(os.Environ(), crashEnv+"="+g.errand(), "TMPDIR="+g.TempDir())
	return c
}

// crash runs a child that is killed at its n-th request, Git's counted too:
// before the server sees it, or when it was handled and not answered. It
// reports false when the child ended by itself first.
func (g *stage) crash(f faulty, n int, handled bool) (killed bool) {
	g.Helper()
	c := g.child()
	var mu sync.Mutex
	seen := 0
	kill := func() { killed = true; _ = c.Process.Kill() }
	f.Before(func(*http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == n && !handled {
			kill()
		}
	})
	f.After(func(*http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen == n && handled && !killed {
			kill()
		}
	})
	f.Fail(func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return killed
	}, -1, forges.Fault{Cut: forges.CutBefore})
	mu.Lock()
	err := c.Start()
	mu.Unlock()
	if err != nil {
		g.Fatal(err)
	}
	err = c.Wait()
	f.Heal()
	mu.Lock()
	defer mu.Unlock()
	if err != nil && !killed {
		g.Fatalf("the child failed by itself: %v", err)
	}
	return killed
}

// finish is the next run, undisturbed: it shares nothing with the killed one but
// the forge.
func (g *stage) finish() string {
	g.Helper()
	g.outfit(g.T, g.s)
	out, err := g.p.Propose(noDeadline(), g.plan(), "")
	if err != nil {
		g.Fatalf("the next run fails: %v", err)
	}
	return string(out.Action)
}

// one says that there is exactly one pull request, as it should be, and one branch.
func (g *stage) one(at string) {
	g.Helper()
	var open []forges.PR
	for _, pr := range g.s.PRs(g) {
		if pr.State == "open" {
			open = append(open, pr)
		}
	}
	branches := g.ours()
	if len(open) != 1 || len(branches) != 1 {
		g.Fatalf("%s: open pull requests %+v, branches %q", at, open, branches)
	}
	pr := open[0]
	slices.Sort(pr.Labels)
	if pr.Branch != branches[0] || pr.Head != g.s.Branches(g)[branches[0]] || !slices.Equal(pr.Labels, []string{"area/cilium", "remediation"}) {
		g.Fatalf("%s: %+v", at, pr)
	}
	if !strings.Contains(g.s.Show(g, pr.Branch, stageFile), stageFix) || !strings.Contains(pr.Body, `"head":"`+pr.Head+`"`) || len(pr.Comments) != 0 {
		g.Fatalf("%s: %+v", at, pr)
	}
}

// soak says whether the long run was asked for.
func soak() bool { return os.Getenv("REMEDIATE_SOAK") != "" }

func crashForges() map[string]func(*testing.T) faulty {
	return map[string]func(*testing.T) faulty{
		"github": func(t *testing.T) faulty { return forges.GitHub(t) },
		"gitlab": func(t *testing.T) faulty { return forges.GitLab(t) },
		"gitea":  func(t *testing.T) faulty { return forges.Proxy(t, forges.Gitea(t)) },
	}
}

// A run that is killed at any request is finished by the next one: one branch,
// one pull request, as if nothing had happened.
//
// Being killed before the server sees request n+1, or while it answers request
// n, leaves the same behind; without [soak] each forge tries one of both, and
// Gitea, which takes seconds a round, every second request.
func TestCrashWhileOpening(t *testing.T) {
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, ways := 1, []bool{name != "gitlab"}
			switch {
			case soak():
				ways = []bool{false, true}
			case name == "gitea":
				step = 2
			}
			kills := 0
			for n := 1; ; n += step {
				before := kills
				for _, handled := range ways {
					t.Run(fmt.Sprintf("request %d, handled %v", n, handled), func(t *testing.T) {
						f := start(t)
						g := newStage(t, f)
						if g.crash(f, n, handled) {
							kills++
						}
						g.recovers(v1alpha1.PullRequestUnchanged)
					})
				}
				if kills == before || t.Failed() {
					t.Logf("killed %d times", kills)
					return
				}
			}
		})
	}
}

// recovers says that the next run ends with one pull request, and that the one
// after it does as wanted.
func (g *stage) recovers(want v1alpha1.PullRequestAction) {
	g.Helper()
	g.finish()
	g.one(g.Name())
	if got := g.finish(); got != string(want) {
		g.Fatalf("the run after the next one says %s, want %s", got, want)
	}
}

// The same at random points of an update, and of a closing.
func TestCrashLater(t *testing.T) {
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds := map[bool]int{false: 5, true: 60}[soak()]
			random := rand.New(rand.NewPCG(4, uint64(len(name))))
			f := start(t)
			g := newStage(t, f)
			g.finish()
			for i := range rounds {
				g.s.Push(g, "main", map[string][]byte{"README.md": fmt.Appendf(nil, "round %d\n", i)})
				n, handled := 1+random.IntN(14), random.IntN(2) == 0
				g.crash(f, n, handled)
				t.Logf("round %d, killed at request %d, handled %v", i, n, handled)
				g.recovers(v1alpha1.PullRequestUnchanged)
			}
			g.healthy = true
			for n := 1; g.crash(f, n, n%4 == 1); n += 2 {
			}
			g.finish()
			if pr := g.s.PRs(g)[0]; pr.State != "closed" || len(g.ours()) != 0 {
				t.Errorf("not closed: %+v, branches %q", pr, g.ours())
			}
			g.lastWord(g.s.PRs(g)[0].Number)
		})
	}
}
