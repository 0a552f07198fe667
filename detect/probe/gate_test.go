package probe

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// scripted is a listener that fails as often as it is told, then accepts one
// connection, and then waits for its end.
type scripted struct {
	failures int
	conn     net.Conn
	done     chan struct{}
	once     sync.Once
}

func (s *scripted) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if c := s.conn; c != nil {
		s.conn = nil
		return c, nil
	}
	<-s.done
	return nil, net.ErrClosed
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func (s *scripted) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A reflector that has run out of file descriptors goes on when there are some again.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &scripted{failures: 3, conn: near, done: make(chan struct{})}
		r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, testKey(1)), done: make(chan struct{})}
		g := newGate(l, 2, nil)
		start := time.Now()
		r.tasks.Go(func() { r.serveTCP(g) })
		if _, err := far.Write(encoded(t, testRequest(overTCP), testKey(1))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 3*retryAfter {
			t.Errorf("answered after %v", took)
		}
		far.Close()
		g.Close()
		r.tasks.Wait()
		if n := g.open(); n != 0 {
			t.Errorf("%d connections are still counted", n)
		}
	})
}

// Without file descriptors a reflector still ends at once.
func TestEndsWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, testKey(1)), done: make(chan struct{})}
		g := newGate(&scripted{failures: 1 << 30, done: make(chan struct{})}, 2, nil)
		r.tasks.Go(func() { r.serveTCP(g) })
		time.Sleep(time.Minute)
		close(r.done)
		r.tasks.Wait()
	})
}

func TestGateChoosesWhoGoes(t *testing.T) {
	g := newGate(&scripted{done: make(chan struct{})}, 2, nil)
	conn := func() *gateConn {
		c, _ := net.Pipe()
		return &gateConn{Conn: c, gate: g}
	}
	first, second, third, fourth := conn(), conn(), conn(), conn()
	if v := g.admit(first); v != nil {
		t.Error("the first has no place")
	}
	first.trusted()
	if v := g.admit(second); v != nil {
		t.Error("the second has no place")
	}
	if v := g.admit(third); v != second {
		t.Error("the oldest stranger must go, not the one that is known")
	}
	third.trusted()
	if v := g.admit(fourth); v != fourth || g.open() != 2 {
		t.Errorf("with all known the newcomer must go; %d are open", g.open())
	}
	second.trusted()
	if g.open() != 2 {
		t.Error("a connection that was pushed out is counted again")
	}
	g.closeAll()
	if g.open() != 0 {
		t.Errorf("%d are open after all were closed", g.open())
	}
	if err := errors.Join(first.Close(), third.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// What else answers a ping socket is no reply to this ping.
func TestHostilePing(t *testing.T) {
	noLeaks(t)
	packet := echo(loopbacks[0], smallPing)
	reply := func(change func([]byte) []byte) func([]byte) [][]byte {
		return func(b []byte) [][]byte {
			b = append([]byte(nil), b...)
			b[0] = echoReplyV4
			return often(change(b))
		}
	}
	tests := []struct {
		name  string
		serve func([]byte) [][]byte
		want  string
	}{
		{"a reply", reply(func(b []byte) []byte { return b }), v1alpha1.OutcomeOK},
		{"a request", reply(func(b []byte) []byte { b[0] = echoV4; return b }), v1alpha1.OutcomeError},
		{"a reply of the other family", reply(func(b []byte) []byte { b[0] = echoReplyV6; return b }), v1alpha1.OutcomeError},
		{"another payload", reply(func(b []byte) []byte { b[20] ^= 1; return b }), v1alpha1.OutcomeError},
		{"longer", reply(func(b []byte) []byte { return append(b, 0) }), v1alpha1.OutcomeError},
		{"shorter", reply(func(b []byte) []byte { return b[:len(b)-1] }), v1alpha1.OutcomeError},
		{"shorter than a header", reply(func(b []byte) []byte { return b[:1] }), v1alpha1.OutcomeError},
		{"empty", reply(func([]byte) []byte { return nil }), v1alpha1.OutcomeError},
	}
	for _, tt := range tests {
		conn, err := net.Dial("udp", servePacket(t, tt.serve).String())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if r := askPing(conn, packet); r.outcome != tt.want {
			t.Errorf("%s: %s %q, want %s", tt.name, r.outcome, r.reason, tt.want)
		}
		conn.Close()
	}
}
