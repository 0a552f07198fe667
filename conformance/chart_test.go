package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChartDir(t *testing.T) {
	dir, err := ChartDir()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(chart), "\nname: cilium\n") {
		t.Errorf("%s is not the chart of Cilium:\n%s", dir, chart)
	}
}

// TestOneCilium: the chart and the policy engine are of one version.
func TestOneCilium(t *testing.T) {
	var versions []string
	for _, dir := range []string{".", "oracle"} {
		v, err := goOutput(dir, "list", "-m", "-f", "{{.Version}}", ciliumModule)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	if versions[0] != versions[1] {
		t.Errorf("conformance requires Cilium %s, its oracle %s", versions[0], versions[1])
	}
}
