// Package testbed provides the real parts that tests use.
package testbed

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
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
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/cilium/cilium@"+ciliumVersion())
	// Outside any module: the main module must not require Cilium.
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var mod struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &mod); err != nil || jsonErr != nil || mod.Dir == "" {
		t.Fatalf("cannot get Cilium's chart: %v %s %s; set REMEDIATE_CHART to install/kubernetes/cilium of a checkout", err, mod.Error, stderr.String())
	}
	return filepath.Join(mod.Dir, "install", "kubernetes", "cilium")
}

func ciliumVersion() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return defaultCilium
	}
	src, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "..", "conformance", "go.mod"))
	if err != nil {
		return defaultCilium
	}
	if m := required.FindSubmatch(src); m != nil {
		return string(m[1])
	}
	return defaultCilium
}
