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

// The exit code is what a pipeline acts on: 0 nothing is introduced, 2 something
// is, 1 the question could not be answered.
func TestCheckExitCodes(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	repo, snap, err := examples.Lay("talos-ipv6-healthy", filepath.Join(t.TempDir(), "healthy"))
	if err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(repo, "kubernetes/apps/networking/cilium/app/values.yaml")
	good, err := os.ReadFile(values)
	if err != nil {
		t.Fatal(err)
	}
	chart := testbed.ChartDir(t)
	wrong := strings.Replace(string(good), "fd00:101::/38", "fd00:101::/48", 1)
	tests := []struct {
		name   string
		values string
		args   []string
		code   int
	}{
		{"nothing", string(good), nil, 0},
		{"a fault", wrong, nil, 2},
		{"a fault as JSON", wrong, []string{"-o", "json"}, 2},
		{"a fault as SARIF", wrong, []string{"-o", "sarif"}, 2},
		{"a fault as annotations", wrong, []string{"-o", "github"}, 2},
		{"a fault, critical only", wrong, []string{"--fail-on", "critical"}, 2},
		{"a key without effect", string(good) + "\nsocketLb: {enabled: true}\n", nil, 2},
		{"a key without effect, critical only", string(good) + "\nsocketLb: {enabled: true}\n", []string{"--fail-on", "critical"}, 0},
		{"no YAML", string(good) + "\n  x: [\n", nil, 2},
		{"an unknown base", string(good), []string{"--base", "nowhere"}, 1},
		{"an unknown form", string(good), []string{"-o", "yaml"}, 1},
		{"an unknown release", string(good), []string{"--release", "a/b"}, 1},
		{"a chart that is none", string(good), []string{"--chart", values}, 1},
		{"an output file in no folder", string(good), []string{"--output-file", filepath.Join(repo, "none", "out.json")}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(values, []byte(test.values), 0o644); err != nil {
				t.Fatal(err)
			}
			var out, errs strings.Builder
			args := append([]string{"check", "--repo", repo, "--base", "HEAD", "--snapshot", snap, "--chart", chart}, test.args...)
			if code := execute(context.Background(), args, &out, &errs); code != test.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, test.code, out.String(), errs.String())
			}
			if (test.code == 1) != strings.Contains(errs.String(), "remediate: error: ") || test.code == 1 && out.Len() > 0 {
				t.Errorf("standard output %q, standard error %q", out.String(), errs.String())
			}
		})
	}
}

// No cluster is asked unless somebody names one.
func TestCheckAsksNoCluster(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\nclusters: [{name: x, cluster: {server: \"http://127.0.0.1:1\"}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	repo, _, err := examples.Lay("talos-ipv6-healthy", filepath.Join(t.TempDir(), "healthy"))
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"": 0, "--context=x": 1} {
		line := []string{"check", "--repo", repo, "--base", "HEAD", "--chart", testbed.ChartDir(t)}
		if args != "" {
			line = append(line, args)
		}
		var out, errs strings.Builder
		if code := execute(context.Background(), line, &out, &errs); code != want {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, want, errs.String())
		}
	}
}
