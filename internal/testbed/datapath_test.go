//go:build e2e

package testbed

import (
	"os/exec"
	"strings"
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
	CiliumSource(t, "")
}

// TestDatapathReleases builds the same of the other releases, and operators, one after
// another: each release takes what TestDatapathTools says. make conformance-full
// runs it first.
func TestDatapathReleases(t *testing.T) {
	releases, err := CiliumReleases()
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range append([]string{""}, releases...) {
		_, version := CiliumSource(t, release)
		if !strings.HasPrefix(version, release) {
			t.Errorf("cilium/module/%s builds %s", release, version)
		}
		for _, name := range releaseNames() {
			if name == "cilium-operator" && !CiliumOperator(release) {
				continue
			}
			Tool(t, strings.TrimSuffix(name+"@"+release, "@"))
		}
	}
}
