package remediate

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/gitea"
	"github.com/remediate-dev/remediate/gitops/forge/github"
	"github.com/remediate-dev/remediate/gitops/forge/gitlab"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate/guard"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(crashEnv); text != "" {
		os.Exit(crashChild(text))
	}
	// Most of these tests wait most of the time; -parallel says otherwise.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := forges.Main(m)
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// servers are API servers with Cilium's and Flux's definitions.
var servers = testbed.Pool{Prepare: testbed.InstallCRDs}

const (
	stageFile   = "apps/cilium/values.yaml"
	stageSig    = "native-routing-cidr-excludes-pods"
	stageBad    = "fd00:101::/48"
	stageFix    = "fd00:101::/38"
	stageOther  = "fd00:100::/32"
	stageSource = "# the network\nipv6NativeRoutingCIDR: \"fd00:101::/48\"\nMTU: 1500\n"
)

// stage is a repository on a forge with a planner of one known fault.
type stage struct {
	*testing.T
	s forges.Server
	p *Proposer
	// What the next plans find besides the repository.
	unknown    []string
	freeze     guard.Cluster
	confidence v1alpha1.Confidence
	severity   v1alpha1.Severity
	abstained  string
	healthy    bool // whatever the value, there is no fault
	deliver    delivering
	// later is added to the clock.
	later  time.Duration
	replan int
}

// connectTo goes the way of the product: from the address and the Secret.
func connectTo(tb testing.TB, s forges.Server) (forge.Forge, *repo.Remote) {
	tb.Helper()
	a, err := access.New(access.Options{URL: s.CloneURL(), Git: s.Secret()})
	if err != nil {
		tb.Fatal(err)
	}
	place, err := forge.Locate(s.CloneURL())
	if err != nil {
		tb.Fatal(err)
	}
	place.API = s.API()
	made := map[string]func(forge.Place, *access.Access) (forge.Forge, error){"github": github.New, "gitea": gitea.New, "gitlab": gitlab.New}
	f, err := made[s.Kind()](place, a)
	if err != nil {
		tb.Fatal(err)
	}
	return f, &repo.Remote{URL: s.CloneURL(), Access: a}
}

func newStage(t *testing.T, s forges.Server) *stage {
	t.Helper()
	s.Push(t, "main", map[string][]byte{stageFile: []byte(stageSource)})
	g := &stage{T: t, s: s, confidence: v1alpha1.ConfidenceConfirmed, severity: v1alpha1.SeverityCritical}
	g.outfit(t, s)
	g.p.Progress = t.Logf
	return g
}

func noDeadline() context.Context { return context.Background() }

// outfit makes the proposer.
func (g *stage) outfit(tb testing.TB, s forges.Server) {
	f, remote := connectTo(tb, s)
	g.p = &Proposer{Forge: f, Remote: remote, Cluster: "main", Now: g.now}
	g.p.Replan = func(_ context.Context, dir string) (*Result, error) {
		g.replan++
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(stageFile)))
		if err != nil {
			return nil, err
		}
		return g.resultOf(string(b), ""), nil
	}
}

func (g *stage) now() time.Time { return time.Now().Add(g.later) }

// plan is that of the newest main.
func (g *stage) plan() *Result {
	return g.resultOf(g.s.Show(g, "main", stageFile), g.s.Branches(g)["main"])
}

// resultOf plans for a state of the file. Both changes cover the pods' range.
func (g *stage) resultOf(src, revision string) *Result {
	value := ""
	for line := range strings.SplitSeq(src, "\n") {
		if v, ok := strings.CutPrefix(line, "ipv6NativeRoutingCIDR: "); ok {
			value = strings.Trim(v, `"`)
		}
	}
	observed := false
	res := &Result{files: map[string]map[string][]byte{}, before: map[string][]byte{stageFile: []byte(src)}, freeze: g.freeze, deliver: g.deliver,
		values: map[string]any{"ipv6NativeRoutingCIDR": value}}
	res.Plan = v1alpha1.Plan{APIVersion: "remediate.dev/v1alpha1", Kind: "Plan", Abstained: g.abstained,
		Subject: v1alpha1.Subject{Release: "kube-system/cilium", Chart: "cilium", Version: "1.18.6", Revision: revision, Values: []v1alpha1.ValuesSource{{File: stageFile}}},
		Facts:   v1alpha1.Facts{Unknown: g.unknown, PodPool: []v1alpha1.Fact{{Value: "fd00:101:224::/60", Source: "a flag", ObservedOnly: &observed}}},
	}
	if g.healthy || value == stageFix || value == stageOther {
		return res
	}
	res.Plan.Findings = []v1alpha1.Finding{{Signature: stageSig, Severity: g.severity, Confidence: g.confidence, Summary: "The native routing CIDR leaves the pods out."}}
	if g.abstained != "" {
		return res
	}
	for id, to := range map[string]string{"widen": stageFix, "widen-aligned": stageOther} {
		edited := strings.Replace(src, value, to, 1)
		yes := true
		res.files[id] = map[string][]byte{stageFile: []byte(edited)}
		res.Plan.Candidates = append(res.Plan.Candidates, v1alpha1.Candidate{
			ID: id, Title: "Widen ipv6NativeRoutingCIDR to " + to, Fixes: []string{stageSig}, Diff: edit.Diff(stageFile, []byte(src), []byte(edited)),
			Changes: []v1alpha1.Change{{Path: "ipv6NativeRoutingCIDR", From: value, To: to, File: stageFile, Line: 2, YAMLPath: "ipv6NativeRoutingCIDR"}},
			Proof:   v1alpha1.Proof{Rendered: true, AgentStarts: &yes, Flows: v1alpha1.FlowCounts{Fixed: 4, Unchanged: 9}},
		})
	}
	slices.SortFunc(res.Plan.Candidates, func(a, b v1alpha1.Candidate) int { return strings.Compare(a.ID, b.ID) })
	return res
}

// propose proposes the plan of the newest main.
func (g *stage) propose(want v1alpha1.PullRequestAction) *v1alpha1.PullRequestOutcome {
	g.Helper()
	return g.proposeThe(g.plan(), "", want)
}

func (g *stage) proposeThe(res *Result, candidate string, want v1alpha1.PullRequestAction) *v1alpha1.PullRequestOutcome {
	g.Helper()
	out, err := g.p.Propose(context.Background(), res, candidate)
	if err != nil {
		g.Fatalf("propose: %v", err)
	}
	if out.Action != want {
		g.Fatalf("outcome %+v, want %s", out, want)
	}
	return out
}

// value writes the value to main.
func (g *stage) value(v string) {
	g.Helper()
	g.s.Push(g, "main", map[string][]byte{stageFile: []byte(strings.Replace(stageSource, stageBad, v, 1))})
}

func (g *stage) prs(n int) []forges.PR {
	g.Helper()
	prs := g.s.PRs(g)
	if len(prs) != n {
		g.Fatalf("%d pull requests, want %d: %+v", len(prs), n, prs)
	}
	return prs
}

// ours are the branches that remediate made.
func (g *stage) ours() []string {
	var out []string
	for name := range g.s.Branches(g) {
		if strings.HasPrefix(name, branchRoot) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (g *stage) says(out *v1alpha1.PullRequestOutcome, words ...string) {
	g.Helper()
	all := strings.Join(out.Because, "\n")
	for _, w := range words {
		if !strings.Contains(all, w) {
			g.Errorf("%q does not say %q", all, w)
		}
	}
}

// lastWord is our one comment of a pull request.
func (g *stage) lastWord(number int) string {
	g.Helper()
	var mine []string
	for _, pr := range g.s.PRs(g) {
		if pr.Number != number {
			continue
		}
		for _, c := range pr.Comments {
			if strings.Contains(c, statusMark) {
				mine = append(mine, c)
			}
		}
	}
	if len(mine) != 1 {
		g.Fatalf("%d comments of ours, want 1: %q", len(mine), mine)
	}
	return mine[0]
}

// everywhere runs a test on each forge, at the same time: what the test shares
// between them must not change.
func everywhere(t *testing.T, test func(g *stage)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) forges.Server{
		"github": func(t *testing.T) forges.Server { return forges.GitHub(t) },
		"gitea":  func(t *testing.T) forges.Server { return forges.Gitea(t) },
		"gitlab": func(t *testing.T) forges.Server { return forges.GitLab(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newStage(t, start(t)))
		})
	}
}
