package probe

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// Silence over UDP is looked into once a minute at most, and never again once the
// target has accepted the key.
func TestSilenceIsDoubtedSeldom(t *testing.T) {
	noLeaks(t)
	at := serveConn(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	now, sockets := time.Now(), 0
	ring := testRing(t, testKey(1))
	p := &Prober{Keys: ring, Timeout: 50 * time.Millisecond, Now: func() time.Time { return now },
		Within: func(open func()) { sockets++; open() }}
	lost := func(when string, want int) {
		t.Helper()
		sockets = 0
		if o := p.Do(t.Context(), checkAt(at, "UDP")); o.Outcome != v1alpha1.OutcomeTimeout || o.Unreliable {
			t.Errorf("%s: %+v", when, o)
		}
		if sockets != want {
			t.Errorf("%s: %d sockets, want %d", when, sockets, want)
		}
	}
	lost("first", 2)
	lost("at once again", 1)
	now = now.Add(askAgain)
	lost("a minute later", 2)
	p.trust(at.Addr(), ok(nil))
	now = now.Add(time.Hour)
	lost("after it accepted the key", 1)
	if err := ring.Roll(testKey(2)); err != nil {
		t.Fatal(err)
	}
	lost("with a new key", 2)
}

func TestProofsAreBounded(t *testing.T) {
	p := &Prober{Keys: testRing(t, testKey(1))}
	addr := netip.MustParseAddr("10.0.0.1")
	for range 3 * maxProofs {
		p.trust(addr, ok(nil))
		if !p.isTrusted(addr) || len(p.proofs) > maxProofs {
			t.Fatalf("%s: trusted %v, %d proofs", addr, p.isTrusted(addr), len(p.proofs))
		}
		addr = addr.Next()
	}
}

func TestFailureProvesNothing(t *testing.T) {
	p := &Prober{Keys: testRing(t, testKey(1))}
	addr := netip.MustParseAddr("10.0.0.1")
	p.trust(addr, verdict{outcome: v1alpha1.OutcomeTimeout})
	if p.isTrusted(addr) {
		t.Error("a target that did not answer is trusted")
	}
}
