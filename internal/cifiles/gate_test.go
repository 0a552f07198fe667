package cifiles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// program builds the program once.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "remediate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "remediate")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "../../cmd/remediate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, &exec.Error{Name: string(out), Err: err}
	}
	return os.ReadFile(file)
})

func build(t *testing.T) []byte {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

const values = "kubernetes/apps/networking/cilium/app/values.yaml"

// change is what a pull request does to the healthy repository.
type change struct {
	name, from, to string
	code           int
	// signature is the problem that it introduces.
	signature string
}

func changes() []change {
	return []change{
		{"a comment", "# Routing mode\n", "# How packets are routed\n", 0, ""},
		{"a range without the pods", "ipv6NativeRoutingCIDR: fd00:101::/38", "ipv6NativeRoutingCIDR: fd00:101::/64", 2, "native-routing-cidr-excludes-pods"},
		{"a misspelt key", "routingMode: native\n", "routingMode: native\nautoDirectNodeRoute: true\n", 2, "values-key-has-no-effect"},
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// clone gives a clone of the healthy repository on a branch with the change
// made, not committed, and the snapshot of its cluster.
func clone(t *testing.T, c change) (dir, snapshot string) {
	t.Helper()
	origin, snapshot, err := examples.Lay("talos-ipv6-healthy", filepath.Join(t.TempDir(), "origin"))
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "clone")
	git(t, filepath.Dir(dir), "clone", "-q", origin, dir)
	git(t, dir, "checkout", "-q", "-b", "work")
	replace(t, filepath.Join(dir, values), c.from, c.to)
	return dir, snapshot
}

func replace(t *testing.T, file, from, to string) {
	t.Helper()
	was := read(t, file)
	if strings.Count(was, from) != 1 {
		t.Fatalf("%s holds %q %d times", file, from, strings.Count(was, from))
	}
	write(t, file, strings.Replace(was, from, to, 1))
}

func TestActionGates(t *testing.T) {
	if !have(t, "bash", "curl", "git") {
		return
	}
	rel, chart := serve(t, build(t)), testbed.ChartDir(t)
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			dir, snapshot := clone(t, c)
			git(t, dir, "commit", "-qam", c.name)
			git(t, dir, "checkout", "-q", "--detach")
			got := runAction(t, job{
				workspace: dir, env: []string{"GITHUB_BASE_REF=main", "GITHUB_REF=refs/pull/1/merge"},
				inputs: map[string]string{"version": number, "releases-url": rel.url, "chart": chart, "snapshot": snapshot, "args": "--offline", "sarif-file": "r.sarif"},
			})
			if got.code != c.code || got.outputs["exit-code"] != map[int]string{0: "0", 2: "2"}[c.code] {
				t.Fatalf("exit code %d, want %d\n%s", got.code, c.code, got.both)
			}
			annotated := ""
			for _, line := range commands(got.stdout) {
				if strings.HasPrefix(line, "::error ") || strings.HasPrefix(line, "::warning ") {
					annotated += line + "\n"
				}
			}
			sarif := read(t, filepath.Join(dir, "r.sarif"))
			if c.code == 0 {
				if annotated != "" || strings.Count(strings.TrimSpace(got.summary), "\n") > 2 || strings.Contains(sarif, `"baselineState": "new"`) {
					t.Errorf("a false alarm:\n%s\n%s", annotated, got.summary)
				}
				return
			}
			if !strings.Contains(annotated, "file="+values+",") || !strings.Contains(annotated, c.signature) {
				t.Errorf("annotations %q", annotated)
			}
			if !strings.Contains(got.summary, "    ") || !strings.Contains(got.summary, c.signature) || !strings.Contains(sarif, c.signature) {
				t.Errorf("summary:\n%s", got.summary)
			}
		})
	}
}

// A checkout without the base is an error, and says what to set.
func TestActionOnShallowClone(t *testing.T) {
	if !have(t, "bash", "curl", "git") {
		return
	}
	rel := serve(t, build(t))
	from, _ := clone(t, changes()[0])
	git(t, from, "commit", "-qam", "change")
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	git(t, dir, "fetch", "-q", "--depth=1", "file://"+from, "work")
	git(t, dir, "checkout", "-q", "FETCH_HEAD")
	got := runAction(t, job{workspace: dir, env: []string{"GITHUB_BASE_REF=main"}, inputs: map[string]string{"releases-url": rel.url}})
	if got.code != 1 || !strings.Contains(got.stdout, "::error title=remediate check::") || !strings.Contains(got.stdout, "fetch-depth: 0") || got.summary != "" {
		t.Errorf("exit code %d\n%s", got.code, got.both)
	}
}

func TestGitLabGates(t *testing.T) {
	if !have(t, "sh", "wget", "sha256sum", "git") {
		return
	}
	rel, chart := serve(t, build(t)), testbed.ChartDir(t)
	for _, c := range changes()[:2] {
		t.Run(c.name, func(t *testing.T) {
			dir, snapshot := clone(t, c)
			git(t, dir, "commit", "-qam", c.name)
			got, _ := runGitLab(t, shells()[1], dir, map[string]string{
				"REMEDIATE_RELEASES_URL": rel.url, "REMEDIATE_ARGS": "--offline --chart " + chart + " --snapshot " + snapshot,
			}, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main")
			if got.code != c.code || !strings.Contains(got.stdout, c.signature) || !strings.Contains(got.stdout, "origin/main") {
				t.Errorf("exit code %d, want %d\n%s", got.code, c.code, got.both)
			}
			if sarif := read(t, filepath.Join(dir, "remediate.sarif")); !strings.Contains(sarif, c.signature) || !strings.Contains(sarif, `"2.1.0"`) {
				t.Errorf("SARIF:\n%s", sarif)
			}
		})
	}
}

// pre-commit takes what is not staged out of the working tree before it runs
// hooks, so the working tree is what will be committed.
func TestPreCommitGates(t *testing.T) {
	if !have(t, "git") {
		return
	}
	chart := testbed.ChartDir(t)
	bin := filepath.Join(t.TempDir(), "remediate")
	write(t, bin, string(build(t)))
	for _, c := range []change{changes()[0], changes()[2]} {
		t.Run(c.name, func(t *testing.T) {
			dir, snapshot := clone(t, c)
			git(t, dir, "add", "-A")
			words := strings.Fields(theHook(t).Entry)
			words = append(words, "--offline", "--chart="+chart, "--snapshot="+snapshot)
			run := func() result {
				return script(t, []string{"sh"}, dir, `"$@"`, nil, append([]string{bin}, words[1:]...)...)
			}
			if got := run(); got.code != c.code || !strings.Contains(got.stdout, c.signature) {
				t.Errorf("staged: exit code %d, want %d\n%s", got.code, c.code, got.both)
			}
			git(t, dir, "commit", "-qm", c.name)
			if got := run(); got.code != 0 {
				t.Errorf("with nothing staged: exit code %d\n%s", got.code, got.both)
			}
		})
	}
}
