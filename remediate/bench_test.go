package remediate

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// BenchmarkPlanIncident is the whole of `remediate plan` on the incident.
func BenchmarkPlanIncident(b *testing.B) {
	opts := layIncident(b, examples.Default)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Plan(context.Background(), opts); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRenderOnce is what it is measured against: the same chart, loaded and
// rendered once with the incident's values by helm's engine as it is.
func BenchmarkRenderOnce(b *testing.B) {
	opts := layIncident(b, examples.Default)
	res, err := Plan(context.Background(), opts)
	if err != nil {
		b.Fatal(err)
	}
	values := res.values
	b.ReportAllocs()
	for b.Loop() {
		c, err := loader.Load(opts.Chart)
		if err != nil {
			b.Fatal(err)
		}
		caps := common.DefaultCapabilities.Copy()
		top, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "cilium", Namespace: "kube-system", Revision: 1, IsInstall: true}, caps)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := engine.Render(c, top); err != nil {
			b.Fatal(err)
		}
	}
}

// largeRepository is the incident's repository with 5,000 further files of
// other applications, committed.
func largeRepository(tb testing.TB) Options {
	tb.Helper()
	opts := layIncident(tb, examples.Default)
	files := map[string][]byte{}
	err := filepath.WalkDir(opts.Repo, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(opts.Repo, p)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 5000 {
		app := fmt.Sprintf("kubernetes/apps/other/app-%04d", i/5)
		files[fmt.Sprintf("%s/part-%d.yaml", app, i%5)] = fmt.Appendf(nil, otherFile, i, i, i, i)
	}
	dir := filepath.Join(tb.TempDir(), "large")
	step := repo.Step{Message: "all", Date: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Files: files}
	if err := repo.Layout(dir, repo.Author{Name: "Test", Email: "test@example.com"}, []repo.Step{step}); err != nil {
		tb.Fatal(err)
	}
	opts.Repo = dir
	return opts
}

const otherFile = `---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: app-%d
  namespace: apps
spec:
  interval: 1h
  chartRef:
    kind: OCIRepository
    name: app-%d
  values:
    controllers:
      main:
        containers:
          main:
            image: {repository: registry.example/app-%d, tag: 1.2.3}
            env: {TZ: Etc/UTC, NUMBER: "%d"}
            resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 256Mi}}
`

// BenchmarkPlanLargeRepository is a plan in a repository of 5,000 files.
func BenchmarkPlanLargeRepository(b *testing.B) {
	opts := largeRepository(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Plan(context.Background(), opts); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListAndParse is what it is measured against: git ls-files, and every
// listed YAML file read and parsed once.
func BenchmarkListAndParse(b *testing.B) {
	opts := largeRepository(b)
	b.ReportAllocs()
	for b.Loop() {
		cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z")
		cmd.Dir = opts.Repo
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range strings.Split(strings.Trim(string(out), "\x00"), "\x00") {
			if filepath.Ext(f) != ".yaml" {
				continue
			}
			src, err := os.ReadFile(filepath.Join(opts.Repo, f))
			if err != nil {
				b.Fatal(err)
			}
			dec := yaml.NewDecoder(bytes.NewReader(src))
			for {
				var doc yaml.Node
				if err := dec.Decode(&doc); err != nil {
					break
				}
			}
		}
	}
}
