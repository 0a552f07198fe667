package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	// The smallest package there is: it keeps Cilium's module, which holds the
	// chart, in go.mod.
	_ "github.com/cilium/cilium/pkg/iana"
)

const ciliumModule = "github.com/cilium/cilium"

// ChartDir is the folder of the Cilium Helm chart inside the Cilium module that
// go.mod requires. It runs the go command.
func ChartDir() (string, error) {
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("find the conformance module: the binary has no file names")
	}
	out, err := goOutput(filepath.Dir(self), "list", "-m", "-f", "{{.Dir}}", ciliumModule)
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", ciliumModule, err)
	}
	if out == "" {
		return "", fmt.Errorf("module %s is not downloaded: run go mod download %s in conformance/", ciliumModule, ciliumModule)
	}
	dir := filepath.Join(out, "install", "kubernetes", "cilium")
	if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err != nil {
		return "", fmt.Errorf("no Cilium chart in module %s: %w", ciliumModule, err)
	}
	return dir, nil
}

// goOutput runs the go command in dir and returns what it prints, trimmed.
func goOutput(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
