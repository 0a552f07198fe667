//go:build linux

package story

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// Paths in the repository, whose layout is that of examples/incidents/talos-ipv6-ula
// but for the chart's source: a Helm repository, as no registry with a certificate
// that everybody trusts is at hand.
const (
	appPath     = "kubernetes/apps/networking/cilium/app"
	ValuesPath  = appPath + "/values.yaml"
	ReleasePath = appPath + "/helmrelease.yaml"
	SyncPath    = "kubernetes/flux/flux-system/gotk-sync.yaml"
	branch      = "main"
)

const chartSource = `---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: cilium
  namespace: kube-system
spec:
  interval: 1h
  url: %s
`

const chartOfRelease = `  chart:
    spec:
      chart: cilium
      version: %s
      sourceRef:
        kind: HelmRepository
        name: cilium
`

// NativeCIDR is the line of values.yaml that the incident is about, as the bed's
// repository has it first; BadCIDR is how the incident has it.
const (
	NativeCIDR = "ipv6NativeRoutingCIDR: fd00:101::/38"
	BadCIDR    = "ipv6NativeRoutingCIDR: fd00:101::/48"
)

// layout is the healthy incident's repository with the servers of this bed in it.
func (b *Bed) layout(t testing.TB) map[string][]byte {
	t.Helper()
	root, err := testbed.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "examples", "incidents", "talos-ipv6-healthy", "repo")
	here := strings.NewReplacer(
		"ssh://git@git.example.com/homelab/cluster.git", b.Forge.CloneURL(),
		"./ocirepository.yaml", "./helmrepository.yaml",
		"  chartRef:\n    kind: OCIRepository\n    name: cilium\n", fmt.Sprintf(chartOfRelease, b.Chart),
	)
	files := map[string][]byte{}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = []byte(here.Replace(string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(files, appPath+"/ocirepository.yaml")
	files[appPath+"/helmrepository.yaml"] = fmt.Appendf(nil, chartSource, b.charts.URL)
	files[SyncPath] = []byte(strings.Replace(string(files[SyncPath]), "interval: 1h", "interval: "+b.opts.Interval.String(), 1))
	if files[ValuesPath] = b.values(files[ValuesPath]); !strings.Contains(string(files[ValuesPath]), NativeCIDR) {
		t.Fatalf("%s does not say %s", ValuesPath, NativeCIDR)
	}
	return files
}

// values adds what a bed's options say.
func (b *Bed) values(text []byte) []byte {
	if b.opts.Rollout {
		text = append(text, "\nrollOutCiliumPods: true\n"...)
	}
	return append(text, b.opts.Values...)
}

// Commit writes a file on the branch that Flux follows, as a human, and returns the
// commit. Nil content removes the file.
func (b *Bed) Commit(t testing.TB, path string, content []byte) string {
	t.Helper()
	return b.Forge.Push(t, branch, map[string][]byte{path: content})
}

// Edit replaces text in a file of the branch that Flux follows and returns the
// commit; it fails the test when the file does not hold it.
func (b *Bed) Edit(t testing.TB, path, was, is string) string {
	t.Helper()
	text := b.Forge.Show(t, branch, path)
	if !strings.Contains(text, was) {
		t.Fatalf("%s does not hold %q:\n%s", path, was, text)
	}
	return b.Commit(t, path, []byte(strings.Replace(text, was, is, 1)))
}

// Break merges the incident: a native routing CIDR that leaves the pods out.
func (b *Bed) Break(t testing.TB) string { return b.Edit(t, ValuesPath, NativeCIDR, BadCIDR) }

// Cure takes [Bed.Break] back.
func (b *Bed) Cure(t testing.TB) string { return b.Edit(t, ValuesPath, BadCIDR, NativeCIDR) }

// eventually asks until the answer is empty; otherwise it is what is in the way.
func eventually(t testing.TB, within time.Duration, what string, is func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		why := is()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %s", within, what, why)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %s", what, why)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
