package testbed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// moduleDir is where a Go module, written path@version, lies in the module
// cache. It is downloaded if it is not there, unless env says otherwise.
func moduleDir(t testing.TB, module string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	// Outside any module: the main module must not require it.
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var mod struct{ Dir, Error string }
	if err = errors.Join(err, json.Unmarshal(out, &mod)); err != nil {
		return "", fmt.Errorf("cannot get %s: %w: %s %s", module, err, mod.Error, stderr.String())
	}
	if mod.Dir == "" {
		return "", fmt.Errorf("cannot get %s: the go command names no folder for it", module)
	}
	return mod.Dir, nil
}

// Checkout is the root of the source tree, with the examples in it.
func Checkout() (string, error) { return checkout() }

// checkout is the root of the source tree. A binary that was built without paths
// finds it above the folder that the test runs in.
func checkout() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(file), "..", ".."); isCheckout(dir) {
			return dir, nil
		}
	}
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if isCheckout(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s does not lie in the checkout: run the test there", start)
		}
	}
}

func isCheckout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "internal", "testbed", "k8s", "go.mod"))
	return err == nil
}
