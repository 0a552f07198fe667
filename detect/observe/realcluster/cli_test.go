package realcluster

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// session runs the built binary in a folder with the incident's repository.
type session struct {
	t      *testing.T
	binary string
	dir    string
	chart  string
}

func newSession(t *testing.T, binary string) *session {
	t.Helper()
	s := &session{t: t, binary: binary, dir: t.TempDir(), chart: testbed.ChartDir(t)}
	if _, _, err := examples.Lay("talos-ipv6-ula", filepath.Join(s.dir, "incident")); err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns both outputs and the exit code.
func (s *session) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.binary, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_CACHE_HOME=" + filepath.Join(s.dir, "cache")}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (s *session) plan(args ...string) string {
	s.t.Helper()
	out, errs, code := s.run(append([]string{"plan", "--repo", "incident/repo", "--chart", s.chart}, args...)...)
	if code != 0 {
		s.t.Fatalf("plan %v: exit code %d\n%s", args, code, errs)
	}
	return out
}

// buildCLI builds the command as it is released, so that the build cache serves
// both.
func buildCLI(t *testing.T) string {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	noteSources(t, root)
	path := filepath.Join(t.TempDir(), "remediate")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./cmd/remediate")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// noteSources looks at every source file: go test takes an old result for good
// when no file changed that the test itself looked at, and the compiler's reads
// do not count.
func noteSources(t *testing.T, root string) {
	t.Helper()
	for _, folder := range []string{"api", "cmd", "detect", "gitops", "internal", "remediate"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" {
				_, err = os.Stat(path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // an editor's, gone again
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What a user does: write a snapshot of a cluster and plan with it, somewhere
// else or at once. Both give the plan of the bundled folder.
func testCommands(t *testing.T, server *testbed.Server, binary string) {
	kubeconfig := testbed.Kubeconfig(t, server.Config)
	user := newSession(t, binary)
	out, errs, code := user.run("snapshot", "cluster", "--kubeconfig", kubeconfig)
	if code != 0 || out != "" || !strings.Contains(errs, "► not read: ProbeReport: not installed\n") || !strings.Contains(errs, "objects to cluster\n") {
		t.Fatalf("snapshot: exit code %d\n%s%s", code, out, errs)
	}
	// Nothing else is said, such as a library's log lines.
	if n := strings.Count(errs, "\n"); n != 2 {
		t.Errorf("snapshot says %d lines:\n%s", n, errs)
	}
	if _, errs, code = user.run("snapshot", "cluster", "--kubeconfig", kubeconfig); code != 1 || !strings.Contains(errs, "cluster is not empty") {
		t.Errorf("snapshot over a snapshot: exit code %d\n%s", code, errs)
	}

	bundled := newSession(t, binary)
	withoutProbes(t, filepath.Join(bundled.dir, "incident", "snapshot"), filepath.Join(bundled.dir, "cluster"))
	want := bundled.plan("--snapshot", "cluster")
	if !strings.Contains(want, "fd00:101::/48") {
		t.Fatalf("the bundled folder's plan does not name the range:\n%s", want)
	}
	if diff := cmp.Diff(want, user.plan("--snapshot", "cluster")); diff != "" {
		t.Errorf("plan (-bundled folder +written folder):\n%s", diff)
	}
	patch := bundled.plan("--snapshot", "cluster", "-o", "diff")
	if diff := cmp.Diff(patch, user.plan("--kubeconfig", kubeconfig, "-o", "diff")); diff != "" || patch == "" {
		t.Errorf("patch (-bundled folder +live cluster):\n%s", diff)
	}
}

// withoutProbes copies a snapshot folder without the files of ProbeReports,
// which no cluster without their definition has. What else lies in those files
// is copied.
func withoutProbes(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	const separator = "\n---\n"
	for path, info := range walk(t, to) {
		if info.IsDir() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for _, document := range strings.Split(string(text), separator) {
			if !strings.Contains(document, "\nkind: ProbeReport\n") {
				kept = append(kept, document)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Join(kept, separator)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
