package remediate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/internal/report"
)

const canary = "SUPERSECRET123"

func TestShown(t *testing.T) {
	for _, test := range []struct {
		path string
		v    any
		want string
	}{
		{"ipv6NativeRoutingCIDRs", "fd00::/48", "fd00::/48"},
		{"bpf.lbMode", "snat", "snat"},
		{"mtu", 1500, "1500"},
		{"keepDeprecatedLabels", true, "true"},
		{"foo.password", canary, notShown},
		{"etcd.clientSecret", canary, notShown},
		{"extraConfig.my-token", canary, notShown},
		{"clustermesh.apiserver.tls.server.certt", canary, notShown},
		{"hubble.tls.server.key", canary, notShown},
		{"foo.bar", map[string]any{"apiKey": canary}, notShown},
		{"foo.bar", []any{"ghp_0123456789abcdefghij0123"}, notShown},
		{"foo.bar", "-----BEGIN RSA PRIVATE KEY-----\nx", notShown},
		{"foo.bar", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==0", notShown},
		{"foo.url", "https://user:" + canary + "@host/", notShown},
		{"foo.bar", "kube-system-cilium-agent-pod-name-of-mine", "kube-system-cilium-agent-pod-name-of-mine"},
	} {
		if got := shown(test.path, test.v); got != test.want {
			t.Errorf("%s: %v is shown as %q, want %q", test.path, test.v, got, test.want)
		}
	}
}

// The diff applies with git, and shows no credential that it need not show.
func TestHideContext(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatalf("git is missing: %v", err)
	}
	secret := "  password: " + canary + "\n"
	filler := strings.Repeat("a: b\n", 9)
	for _, test := range []struct {
		name          string
		before, after string
		shows         int
	}{
		{"nothing to hide", "a: 1\nb: 2\nc: 3\n", "a: 1\nb: 3\nc: 3\n", 0},
		{"before the end", filler + "etcd:\n" + secret, filler + "etcd:\n" + secret + "x: y\n", 0},
		{"two above", filler + secret + "  port: 1\n", filler + secret + "  port: 1\nx: y\n", 0},
		{"above a change in the middle", filler + secret + "k: 1\n" + filler, filler + secret + "k: 2\n" + filler, 0},
		{"two below", filler + "k: 1\nl: 1\n" + secret + filler, filler + "k: 2\nl: 1\n" + secret + filler, 0},
		{"directly below", filler + "k: 1\n" + secret + filler, filler + "k: 2\n" + secret + filler, 1},
		{"both sides", filler + secret + "k: 1\nl: 1\n" + secret + filler, filler + secret + "k: 2\nl: 1\n" + secret + filler, 0},
		{"no line break at the end", filler + "etcd:\n" + secret + "x: 1", filler + "etcd:\n" + secret + "x: 2", 0},
		{"first line", "k: 1\nl: 1\n" + secret, "k: 2\nl: 1\n" + secret, 0},
		{"two hunks", "k: 1\n" + filler + secret, "k: 2\n" + filler + secret + "x: y\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "f.yaml"), test.before)
			diff := hideContext(edit.Diff("f.yaml", []byte(test.before), []byte(test.after)))
			if n := strings.Count(diff, canary); n != test.shows {
				t.Errorf("the secret stands %d times in\n%s", n, diff)
			}
			cmd := exec.Command(git, "apply")
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
			cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git apply: %v: %s\n%s", err, out, diff)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "f.yaml")); err != nil || string(b) != test.after {
				t.Errorf("the file is now %q, %v", b, err)
			}
		})
	}
}

// No output of a plan shows a credential of the values.
func TestPlanShowsNoSecret(t *testing.T) {
	for _, tail := range []string{
		"foo:\n  password: " + canary + "\n",
		"etcd:\n  clientSecret: " + canary + "\n  password: " + canary + "\n",
		"clustermesh:\n  apiserver:\n    tls:\n      server:\n        certt: " + canary + "\n",
	} {
		opts := layIncident(t, examples.Default)
		file := filepath.Join(opts.Repo, valuesFile)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(b)+tail)
		var out strings.Builder
		p := mustPlan(t, opts).Plan
		if err := report.JSON(&out, p); err != nil {
			t.Fatal(err)
		}
		if len(p.Candidates) == 0 || strings.Contains(out.String(), canary) {
			t.Errorf("%d candidates; a secret of %q is shown", len(p.Candidates), tail)
		}
	}
}
