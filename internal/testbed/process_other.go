//go:build !linux

package testbed

import "syscall"

// diesWithParent: only Linux can tie a process to its parent's end. Elsewhere an
// interrupt at the terminal ends both, and cleanup the rest.
func diesWithParent() *syscall.SysProcAttr { return nil }
