package remediate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/source"
)

func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// triedIDs are the candidates and ideas that Git shows were live before.
func triedIDs(p *v1alpha1.Plan) []string {
	var out []string
	for _, c := range p.Candidates {
		if c.Tried != nil {
			out = append(out, c.ID+"@"+c.Tried.Commit)
		}
	}
	for _, r := range p.Rejected {
		if r.Tried != nil {
			out = append(out, r.ID+"@"+r.Tried.Commit)
		}
	}
	return out
}

func TestEarlierPlanRemembersWhatAShallowCloneLacks(t *testing.T) {
	opts := layIncident(t, examples.Default)
	file := filepath.Join(opts.Repo, valuesFile)
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody tried the right prefix, and took it back.
	for _, content := range []string{strings.Replace(string(was), "fd00:101::/48", "fd00:101::/38", 1), string(was)} {
		write(t, file, content)
		runGit(t, opts.Repo, "commit", "-qam", "try")
	}
	full := mustPlan(t, opts)
	want := triedIDs(&full.Plan)
	if len(want) == 0 {
		t.Fatal("the full history shows nothing that was tried")
	}

	shallow := opts
	shallow.Repo = t.TempDir()
	runGit(t, opts.Repo, "clone", "-q", "--depth", "1", "file://"+opts.Repo, shallow.Repo)
	if got := triedIDs(&mustPlan(t, shallow).Plan); len(got) > 0 {
		t.Fatalf("the shallow clone knows of %v by itself: this test proves nothing", got)
	}
	shallow.Earlier = full
	again := mustPlan(t, shallow)
	if diff := cmp.Diff(want, triedIDs(&again.Plan)); diff != "" {
		t.Errorf("tried (-full +shallow):\n%s", diff)
	}
	if a, b := planHash(&full.Plan), planHash(&again.Plan); a != b {
		t.Error("the plans differ although nothing but the clone does")
	}

	// A value that was present then and is not now has become history.
	moved := &Run{opts: shallow, release: &source.Release{Values: map[string]any{"ipv6NativeRoutingCIDR": "fd00:101::/47"}}}
	if got := moved.past(full.states); len(got) != len(full.states) {
		t.Errorf("%d of %d states are past", len(got), len(full.states))
	}
	moved.release.Values = full.values
	if got := moved.past(full.states); len(got) != len(full.states)-1 {
		t.Errorf("%d of %d states are past though the newest is the present one", len(got), len(full.states))
	}
}
