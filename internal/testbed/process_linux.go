package testbed

import "syscall"

// diesWithParent has the kernel end the process when the test's process ends,
// be it by a panic or a signal; an interrupt at the terminal does not reach it
// before its time.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
