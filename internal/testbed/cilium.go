package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// CiliumSource returns the folder of the Cilium module that the datapath's binaries
// are built from (cilium/module), and its version, "1.18.6". The folder is read-only.
func CiliumSource(t testing.TB) (dir, version string) {
	t.Helper()
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "internal", "testbed", "cilium", "module", "go.mod")
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
