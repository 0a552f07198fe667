//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// commandTime bounds a command that the lab itself runs, such as nft.
const commandTime = 30 * time.Second

// Space is a network namespace: of a node, of a pod, of the wire between them.
// Its methods may be called from any goroutine.
type Space struct {
	Name string

	handle netns.NsHandle
	link   *netlink.Handle
	// resolver is the file that processes find as /etc/resolv.conf; empty for theirs.
	resolver func() string

	mu      sync.Mutex
	running map[*exec.Cmd]chan struct{}
}

// newSpace makes a namespace with the given keys of /proc/sys/net set.
func newSpace(name string, sysctls map[string]string) (*Space, error) {
	s := &Space{Name: name, resolver: func() string { return "" }, running: map[*exec.Cmd]chan struct{}{}}
	if err := s.unshare(); err != nil {
		return nil, fmt.Errorf("failed to make the network namespace of %s: %w", name, err)
	}
	link, err := netlink.NewHandleAt(s.handle)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("failed to open netlink in %s: %w", name, err)
	}
	s.link = link
	if err := s.Sysctl(sysctls); err != nil {
		s.close()
		return nil, err
	}
	if err := s.up("lo"); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Space) unshare() error {
	return onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		s.handle, err = netns.Get()
		return err
	})
}

// onThread runs f on this goroutine's thread and gives the thread its network
// namespace back.
func onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("failed to open the thread's network namespace: %w", err)
	}
	defer func() {
		// A thread that cannot go home stays locked, and ends with its goroutine.
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		_ = home.Close()
	}()
	return f()
}

// Do runs f in the namespace: sockets that f opens belong to it for good and may be
// used anywhere afterwards. What f starts with a go statement is not in it.
func (s *Space) Do(f func() error) error {
	return onThread(func() error {
		if err := s.enter(); err != nil {
			return fmt.Errorf("failed to enter %s: %w", s.Name, err)
		}
		return f()
	})
}

// enter brings this thread into the namespace, unless it is closed: what dials in the
// background may outlive its lab.
func (s *Space) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.handle.IsOpen() {
		return net.ErrClosed
	}
	return netns.Set(s.handle)
}

// DialContext is [net.Dialer.DialContext] from within the namespace. The address is
// an IP address and a port: names are not looked up.
func (s *Space) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = s.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen is [net.Listen] within the namespace.
func (s *Space) Listen(network, address string) (l net.Listener, err error) {
	err = s.bind(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket is [net.ListenPacket] within the namespace.
func (s *Space) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = s.bind(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Of a port that was just closed, a process that is starting may hold a copy, until
// its exec.
const (
	bindTime  = 3 * time.Second
	bindAgain = 5 * time.Millisecond
)

func (s *Space) bind(f func() error) error {
	for deadline := time.Now().Add(bindTime); ; time.Sleep(bindAgain) {
		err := s.Do(f)
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
	}
}

// Start starts a process in the namespace. It is killed with the lab; [Space.Stop]
// ends it before that.
func (s *Space) Start(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// The thread gets mounts of its own and therefore ends here.
		runtime.LockOSThread()
		started <- s.startHere(cmd)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("failed to start %s in %s: %w", filepath.Base(cmd.Path), s.Name, err)
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.running[cmd] = ended
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // [exec.Cmd.ProcessState] has the outcome
		close(ended)
	}()
	return nil
}

func (s *Space) startHere(cmd *exec.Cmd) error {
	if err := s.enter(); err != nil {
		return err
	}
	if file := s.resolver(); file != "" {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("failed to mount /etc/resolv.conf: %w", err)
		}
	}
	return cmd.Start()
}

// Stop kills a process that [Space.Start] started and waits for its end. It does
// nothing to one that has ended.
func (s *Space) Stop(cmd *exec.Cmd) {
	if ended := s.forget(cmd); ended != nil {
		_ = cmd.Process.Kill()
		<-ended
	}
}

// Wait waits for the end of a process that [Space.Start] started; its outcome is in
// cmd.ProcessState.
func (s *Space) Wait(cmd *exec.Cmd) {
	s.mu.Lock()
	ended := s.running[cmd]
	s.mu.Unlock()
	if ended != nil {
		<-ended
		s.forget(cmd)
	}
}

func (s *Space) forget(cmd *exec.Cmd) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := s.running[cmd]
	delete(s.running, cmd)
	return ended
}

// Run runs a command in the namespace to its end and returns what it printed.
func (s *Space) Run(ctx context.Context, name string, args ...string) (string, error) {
	return s.run(exec.CommandContext(ctx, name, args...))
}

func (s *Space) run(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.Start(cmd); err != nil {
		return "", err
	}
	s.Wait(cmd)
	if !cmd.ProcessState.Success() {
		return out.String(), fmt.Errorf("%s in %s: %s: %s", filepath.Base(cmd.Path), s.Name, cmd.ProcessState, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// nft gives a script to nft, which takes all of it or nothing.
func (s *Space) nft(script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	path, err := exec.LookPath("nft")
	if err != nil {
		if path = "/usr/sbin/nft"; !exists(path) {
			return errors.New("the command nft is missing: install the package nftables")
		}
	}
	cmd := exec.CommandContext(ctx, path, "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	_, err = s.run(cmd)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Sysctl sets keys of /proc/sys/net, "ipv4/ip_forward" say.
func (s *Space) Sysctl(values map[string]string) error {
	return s.Do(func() error {
		for key, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644); err != nil {
				return fmt.Errorf("failed to set net/%s in %s: %w", key, s.Name, err)
			}
		}
		return nil
	})
}

// up sets a device up.
func (s *Space) up(device string) error { return s.set(device, s.linkUp) }

func (s *Space) down(device string) error { return s.set(device, s.linkDown) }

func (s *Space) linkUp(l netlink.Link) error   { return s.link.LinkSetUp(l) }
func (s *Space) linkDown(l netlink.Link) error { return s.link.LinkSetDown(l) }

func (s *Space) set(device string, do func(netlink.Link) error) error {
	l, err := s.link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("failed to find %s in %s: %w", device, s.Name, err)
	}
	if err := do(l); err != nil {
		return fmt.Errorf("failed to change %s in %s: %w", device, s.Name, err)
	}
	return nil
}

// close ends the processes and lets the namespace go.
func (s *Space) close() {
	s.mu.Lock()
	var all []*exec.Cmd
	for cmd := range s.running {
		all = append(all, cmd)
	}
	s.mu.Unlock()
	for _, cmd := range all {
		s.Stop(cmd)
	}
	if s.link != nil {
		s.link.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.handle.Close()
}
