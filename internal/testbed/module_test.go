package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModuleDirSaysWhyNot(t *testing.T) {
	// Without a proxy and not in the cache.
	t.Setenv("GOPROXY", "off")
	_, err := moduleDir(t, "example.com/not/there@v1.2.3")
	if err == nil || !strings.Contains(err.Error(), "cannot get example.com/not/there@v1.2.3") || !strings.Contains(err.Error(), "GOPROXY=off") {
		t.Errorf("error = %v, want the reason", err)
	}
}

func TestCheckout(t *testing.T) {
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module github.com/remediate-dev/remediate\n") {
		t.Errorf("%s is not the checkout (%v)", root, err)
	}
	if isCheckout(t.TempDir()) {
		t.Error("an empty folder counts as the checkout")
	}
}

func TestChartDir(t *testing.T) {
	t.Setenv("REMEDIATE_CHART", "/a/chart")
	if got := ChartDir(t); got != "/a/chart" {
		t.Errorf("ChartDir = %q", got)
	}
	t.Setenv("REMEDIATE_CHART", "")
	dir := ChartDir(t)
	text, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if want := "version: " + strings.TrimPrefix(ciliumVersion(), "v") + "\n"; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("the chart in %s is not of %s (%v)", dir, want, err)
	}
}
