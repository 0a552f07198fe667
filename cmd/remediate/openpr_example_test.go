package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate"
)

const exampleConfig = "../../examples/pull-request.yaml"

// The file that the documentation shows is one that the command takes, and says
// the defaults where it says that it does.
func TestExampleOfAPullRequestsConfig(t *testing.T) {
	spec, err := (&prFlags{config: exampleConfig}).spec()
	if err != nil {
		t.Fatal(err)
	}
	defaults := remediate.LimitsOf(spec.Limits)
	spec.Limits.MaxOpen, spec.Limits.MaxPerDay, spec.Limits.MaxNotReadyPercent = nil, nil, nil
	if got := remediate.LimitsOf(spec.Limits); got.MaxOpen != defaults.MaxOpen || got.MaxPerDay != defaults.MaxPerDay || got.MaxNotReadyPercent != defaults.MaxNotReadyPercent {
		t.Errorf("limits %+v are shown as the defaults, which are %+v", defaults, got)
	}

	repo, snapshot, err := examples.Lay(examples.Default, filepath.Join(t.TempDir(), "incident"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	var out, errs strings.Builder
	args := []string{"plan", "--repo", repo, "--snapshot", snapshot, "--chart", testbed.ChartDir(t), "--offline",
		"--cluster", "home", "--bundle", dir, "--pr-config", exampleConfig}
	if code := execute(context.Background(), args, &out, &errs); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, errs.String())
	}
	patches, _ := filepath.Glob(filepath.Join(dir, "*.patch"))
	if len(patches) != 1 {
		t.Fatalf("%d patches in %s", len(patches), dir)
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=hand", "-c", "user.email=hand@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, b)
		}
		return string(b)
	}
	git("am", patches[0])
	message := git("log", "-1", "--format=%an <%ae>%n%B")
	for _, want := range []string{
		"fluxcdbot <fluxcdbot@users.noreply.github.com>\nfix(cilium): widen ipv6NativeRoutingCIDR",
		"\nCluster: home, cause: native-routing-cidr-excludes-pods\n",
		"- ipv6NativeRoutingCIDR: fd00:101::/48 -> fd00:101::/38 (kubernetes/apps/networking/cilium/app/values.yaml)\n",
		"\nRunbook: cilium-datapath\n",
		"\nRemediation-Signature: native-routing-cidr-excludes-pods\n",
		"\nSigned-off-by: fluxcdbot <fluxcdbot@users.noreply.github.com>\n",
	} {
		if !strings.Contains(message, want) {
			t.Errorf("the commit does not say %q:\n%s", want, message)
		}
	}
}
