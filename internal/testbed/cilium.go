package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// CiliumReleases are the minor releases, "1.20", whose datapath is built besides that
// of cilium/module itself: the folders in there, in order.
func CiliumReleases() ([]string, error) {
	root, err := checkout()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "internal", "testbed", "cilium", "module")
	mods, err := filepath.Glob(filepath.Join(dir, "*", "go.mod"))
	if err != nil || len(mods) == 0 {
		return nil, errors.Join(err, fmt.Errorf("there is no module of another release in %s", dir))
	}
	var out []string
	for _, path := range mods {
		out = append(out, filepath.Base(filepath.Dir(path)))
	}
	slices.Sort(out)
	return out, nil
}

// CiliumOperator says whether the operator of a release is built too. That of 1.20.2
// requires sigs.k8s.io/mcs-api/controllers v0.5.2, which the Go module proxy refuses.
func CiliumOperator(release string) bool { return release != "1.20" }

// CiliumSource returns the folder of the Cilium module that the datapath's binaries
// are built from, and its version, "1.18.6". The release is one of [CiliumReleases],
// or empty for that of cilium/module. The folder is read-only.
func CiliumSource(t testing.TB, release string) (dir, version string) {
	t.Helper()
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "internal", "testbed", "cilium", "module", release, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := required.FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s does not require github.com/cilium/cilium at a release", path)
	}
	version = string(m[1])
	if dir, err = moduleDir(t, "github.com/cilium/cilium@"+version); err != nil {
		t.Fatal(err)
	}
	return dir, version[1:]
}

// CiliumCRDs lists the files of the custom resource definitions in a folder of
// [CiliumSource].
func CiliumCRDs(source string) ([]string, error) {
	pattern := filepath.Join(source, "pkg", "k8s", "apis", "cilium.io", "client", "crds", "*", "*.yaml")
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no %s", pattern)
	}
	slices.Sort(files)
	return files, err
}
