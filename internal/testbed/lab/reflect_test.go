//go:build linux

package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// reflect answers every TCP connection and every datagram to a port of the space
// with the source address that it saw, until the test ends.
func reflect(t *testing.T, s *Space, port string) {
	t.Helper()
	l, err := s.Listen("tcp", ":"+port)
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.ListenPacket("udp", ":"+port)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); u.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, c.RemoteAddr().String())
			c.Close()
		}
	})
	wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			_, from, err := u.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = u.WriteTo([]byte(from.String()), from)
			}
		}
	})
}

const (
	// soon is how long a test waits for what must not come: too short a wait never
	// fails a test.
	soon = 150 * time.Millisecond
	// late is how long a test waits for what must come, on however busy a machine.
	late = 20 * time.Second
)

// again is how long a datagram is waited for before the next is sent.
const again = 500 * time.Millisecond

// seen is the source address that a reflector saw, or why it did not answer. It
// tries again until the time is over: after a fault a kernel takes its time to ask
// for a neighbour once more.
func seen(s *Space, network string, to netip.Addr, port uint16, wait time.Duration) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for {
		from, err := seenOnce(ctx, s, network, netip.AddrPortFrom(to, port))
		if err == nil || ctx.Err() != nil {
			return from, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func seenOnce(ctx context.Context, s *Space, network string, to netip.AddrPort) (netip.Addr, error) {
	c, err := s.DialContext(ctx, network, to.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if network == "udp" {
		deadline = earlier(deadline, time.Now().Add(again))
		if _, err := c.Write([]byte("?")); err != nil {
			return netip.Addr{}, err
		}
	}
	if err := c.SetDeadline(deadline); err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil {
		return netip.Addr{}, err
	}
	from, err := netip.ParseAddrPort(string(buf[:n]))
	return from.Addr().Unmap(), err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
