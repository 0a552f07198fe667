//go:build e2e

package testbed

import (
	"os/exec"
	"testing"
)

// TestDatapathTools builds Cilium's agent and its helpers, which takes five minutes and
// 3.3 GB of memory once. make e2e runs it first, as the tests have no network.
func TestDatapathTools(t *testing.T) {
	for _, name := range datapathNames() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), Tool(t, name), "--help")
			cmd.Env = append(cmd.Environ(), "CNI_COMMAND=VERSION")
			if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
				t.Errorf("%s --help: %v\n%s", name, err, out)
			}
		})
	}
	CiliumSource(t)
}
