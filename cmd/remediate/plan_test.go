package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// planned runs `remediate plan` on the bundled incident, with a live
// configuration that differs when it is to abstain.
func planned(t *testing.T, abstain bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	repo, snap, err := examples.Lay(examples.Default, filepath.Join(t.TempDir(), "incident"))
	if err != nil {
		t.Fatal(err)
	}
	if abstain {
		live := filepath.Join(snap, "cilium-config.yaml")
		b, err := os.ReadFile(live)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(live, []byte(strings.ReplaceAll(string(b), "fd00:101::/48", "fd00:101::/40")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"plan", "--repo", repo, "--chart", testbed.ChartDir(t)}
	if len(args) == 0 || args[0] != "--no-snapshot" {
		all = append(all, "--snapshot", snap)
	} else {
		args = args[1:]
	}
	var out, errs strings.Builder
	code = execute(context.Background(), append(all, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// A diff of nothing is empty, is no error, and the reason stands on stderr.
func TestDiffOfAbstained(t *testing.T) {
	code, out, errs := planned(t, true, "-o", "diff")
	if code != 0 || out != "" || !strings.Contains(errs, "the cluster does not run what this repository renders") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errs)
	}
}

// A candidate that there is not is an error whatever the output.
func TestUnknownCandidate(t *testing.T) {
	for _, output := range planOutputs {
		code, out, errs := planned(t, false, "-o", output, "--candidate", "foo")
		if code != 1 || out != "" || !strings.Contains(errs, `no candidate "foo"`) || !strings.Contains(errs, "widen-native-routing-cidr") {
			t.Errorf("%s: exit code %d, stdout %d bytes, stderr %q", output, code, len(out), errs)
		}
	}
}

func TestNoKubeconfig(t *testing.T) {
	code, _, errs := planned(t, false, "--no-snapshot", "-o", "json")
	if code != 0 || !strings.Contains(errs, "no kubeconfig: the repository alone speaks") || strings.Contains(errs, "context  ") {
		t.Errorf("exit code %d, stderr %q", code, errs)
	}
}
