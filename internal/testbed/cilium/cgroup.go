//go:build linux

package cilium

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Agents attach the socket load balancer to the cgroup of their node. Cgroups are the
// only thing of a cluster that is not in a namespace of its own.
const (
	groupMount  = temporary + "/cgroup2"
	groupPrefix = "remediate-e2e-"
	// staleAfter is the age at which a cgroup without processes is a leftover of a
	// run that was killed: a running one gets its processes at once.
	staleAfter = time.Minute
	// groupTime is how long the kernel may take to see the end of killed processes.
	groupTime = 5 * time.Second
)

// newGroup mounts the cgroup hierarchy, removes leftovers, and makes the cgroup that
// holds those of the nodes.
func newGroup() (string, error) {
	if err := os.MkdirAll(groupMount, 0o755); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(groupMount, "cgroup.procs")); err != nil {
		if err := unix.Mount("cgroup2", groupMount, "cgroup2", 0, ""); err != nil {
			return "", fmt.Errorf("failed to mount the cgroups: %w; the kernel must have cgroup v2", err)
		}
	}
	if err := sweepGroups(time.Now().Add(-staleAfter)); err != nil {
		return "", err
	}
	return os.MkdirTemp(groupMount, groupPrefix)
}

// sweepGroups removes what killed runs left before a time.
func sweepGroups(before time.Time) error {
	all, err := filepath.Glob(filepath.Join(groupMount, groupPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range all {
		info, err := os.Stat(dir)
		if err != nil || info.ModTime().After(before) || populated(dir) {
			continue // of another run
		}
		if err := removeGroup(dir); err != nil {
			return fmt.Errorf("a leftover: %w", err)
		}
	}
	return nil
}

func populated(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return err != nil || strings.Contains(string(text), "populated 1")
}

// removeGroup ends what runs in a cgroup, such as a compiler whose agent was killed,
// and removes it and those in it.
func removeGroup(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("failed to end what runs in cgroup %s: %w", dir, err)
	}
	children, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, c := range children {
		if c.IsDir() {
			if err := removeGroup(filepath.Join(dir, c.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(groupTime); ; time.Sleep(pollEvery) {
		err := unix.Rmdir(dir)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			if err != nil {
				return fmt.Errorf("failed to remove cgroup %s: %w", dir, err)
			}
			return nil
		}
	}
}
