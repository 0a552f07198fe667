//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside marks the environment of a test binary that runs in namespaces of its own.
const inside = "REMEDIATE_LAB_INSIDE"

// forbidden says what to do where a process may not make namespaces.
const forbidden = `the kernel refuses user namespaces to this process; one of these lets them in:
  sysctl -w user.max_user_namespaces=10000
  sysctl -w kernel.unprivileged_userns_clone=1               (Debian)
  sysctl -w kernel.apparmor_restrict_unprivileged_userns=0   (Ubuntu)
in a container: its seccomp profile must allow unshare and mount`

// Main runs a package's tests in new user, network, mount and process namespaces,
// and exits with their code. Arguments, environment, standard streams and signals
// are passed on. Inside, the process is root of its namespaces, /run is empty, and
// the only network device is lo.
func Main(m *testing.M) { run(m, outside) }

// RootMain is Main for tests that load BPF programs, which the kernel allows only
// outside of user namespaces: the caller must be root.
func RootMain(m *testing.M) {
	run(m, func() int { return outsideWith(func() (*exec.Cmd, error) { return startAs(0) }) })
}

func run(m *testing.M, outside func() int) {
	if os.Getenv(inside) == "" {
		os.Exit(outside())
	}
	_ = os.Unsetenv(inside) // a child is to have namespaces of its own
	if err := settle(); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n%s\n", err, forbidden)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// outside runs this binary again in namespaces of its own and returns its code.
func outside() int { return outsideWith(start) }

func outsideWith(start func() (*exec.Cmd, error)) int {
	// The kernel ends the child with the thread that started it.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	cmd, err := start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n%s\n", err, forbidden)
		return 1
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintf(os.Stderr, "lab: the tests ended: %v\n", err)
	return 1
}

// start tries with a user namespace, and where root may not have one, without.
func start() (*exec.Cmd, error) {
	cmd, err := startAs(unix.CLONE_NEWUSER)
	if err != nil && os.Geteuid() == 0 {
		return startAs(0)
	}
	return cmd, err
}

func startAs(more uintptr) (*exec.Cmd, error) {
	cmd := rerun(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | more)
	return cmd, cmd.Start()
}

func rerun(flags uintptr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// settle makes the new namespaces livable: mounts of its own, /proc of its own
// processes, an empty /run, and lo.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("failed to make the mounts private: %w", err)
	}
	// A container may not show its own /proc; the old one serves then, with other
	// process ids.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	resolver, _ := os.Readlink("/etc/resolv.conf")
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("failed to mount a tmpfs on /run: %w", err)
	}
	if err := keepResolver(resolver); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("failed to find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("failed to set lo up: %w", err)
	}
	return nil
}

// keepResolver makes an empty file where /etc/resolv.conf points into /run, so that
// a pod's can be mounted over it.
func keepResolver(link string) error {
	if link == "" {
		return nil
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join("/etc", link)
	}
	if !strings.HasPrefix(link, "/run/") {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return fmt.Errorf("failed to keep /etc/resolv.conf: %w", err)
	}
	return os.WriteFile(link, nil, 0o644)
}
