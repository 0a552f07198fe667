package testbed

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// defaultCilium is the version used when conformance/go.mod cannot be read.
const defaultCilium = "v1.18.6"

var required = regexp.MustCompile(`(?m)^\s*(?:require\s+)?github\.com/cilium/cilium (v\S+)`)

// ChartDir returns the directory of Cilium's Helm chart, of the version that
// conformance/go.mod requires. REMEDIATE_CHART overrides it. The chart lies in
// the Go module, which is downloaded if it is not in the module cache; the
// test fails when it cannot be had.
func ChartDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("REMEDIATE_CHART"); dir != "" {
		return dir
	}
	dir, err := moduleDir(t, "github.com/cilium/cilium@"+ciliumVersion())
	if err != nil {
		t.Fatalf("Cilium's chart: %v; set REMEDIATE_CHART to install/kubernetes/cilium of a checkout", err)
	}
	return filepath.Join(dir, "install", "kubernetes", "cilium")
}

// CachedChart returns the directory of the chart of another version, "v1.20.2",
// where the Go module cache holds it. Nothing is downloaded.
func CachedChart(t testing.TB, version string) (dir string, ok bool) {
	t.Helper()
	dir, err := moduleDir(t, "github.com/cilium/cilium@"+version, "GOPROXY=off")
	return filepath.Join(dir, "install", "kubernetes", "cilium"), err == nil
}

func ciliumVersion() string {
	root, err := checkout()
	if err != nil {
		return defaultCilium
	}
	src, err := os.ReadFile(filepath.Join(root, "conformance", "go.mod"))
	if err != nil {
		return defaultCilium
	}
	if m := required.FindSubmatch(src); m != nil {
		return string(m[1])
	}
	return defaultCilium
}
