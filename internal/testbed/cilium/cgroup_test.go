//go:build e2e && linux

package cilium

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// TestSweep: what a killed run left goes at the next start, what runs stays.
func TestSweep(t *testing.T) {
	dir, err := newGroup()
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(dir, "node-1")
	if err := os.Mkdir(node, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(node)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(in.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := sweepGroups(time.Now().Add(time.Hour)); err != nil || gone(node) {
		t.Errorf("swept a cgroup with a process: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := sweepGroups(time.Now().Add(-time.Hour)); err != nil || gone(node) {
		t.Errorf("swept a cgroup that was just made: %v", err)
	}
	if err := sweepGroups(time.Now().Add(time.Hour)); err != nil || !gone(dir) {
		t.Errorf("a leftover stays: %v", err)
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
