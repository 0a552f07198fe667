package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

var loopbacks = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}

var reflectorSelf = Identity{Node: "node-2", Namespace: "remediate-probe", Pod: "remediate-probe-b", Target: "open"}

// noLeaks fails the test when goroutines outlive it and what it cleans up.
func noLeaks(t testing.TB) {
	t.Helper()
	opt := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, opt) })
}

// reflectHere starts a reflector on both loopback addresses for the test's time.
func reflectHere(t testing.TB, keys *Keyring, change ...func(*Reflector)) *Reflector {
	t.Helper()
	noLeaks(t)
	r := &Reflector{Identity: reflectorSelf, Keys: keys, Addrs: loopbacks}
	for _, f := range change {
		f(r)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// Answers come from the address that was asked, of several on one device.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	ring := testRing(t, testKey(1))
	second := netip.MustParseAddr("127.0.0.2")
	r := reflectHere(t, ring, func(r *Reflector) { r.Addrs = []netip.Addr{loopbacks[0], second} })
	for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
		o := (&Prober{Keys: ring, Timeout: 5 * time.Second}).Do(t.Context(), checkOf(r, protocol, 1))
		if o.Outcome != v1alpha1.OutcomeOK {
			t.Errorf("%s: %s %q", protocol, o.Outcome, o.Reason)
		}
	}
}

// While duplicate address detection runs, the pod has its IPv6 address and cannot use it.
func TestListensOnAddressThatIsYetToCome(t *testing.T) {
	reflectHere(t, testRing(t, testKey(1)), func(r *Reflector) {
		r.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77")}
	})
}

// checkOf is a check of the i-th address of a reflector.
func checkOf(r *Reflector, protocol string, i int) mesh.Check {
	at := map[string][]netip.AddrPort{"TCP": r.TCPAddrs(), "UDP": r.UDPAddrs(), "HTTP": r.HTTPAddrs()}[protocol][i]
	return checkAt(at, protocol)
}

func checkAt(at netip.AddrPort, protocol string) mesh.Check {
	return mesh.Check{
		From: v1alpha1.Endpoint{Namespace: "remediate-probe", Pod: "remediate-probe-a", Node: "node-1"},
		To: v1alpha1.Endpoint{Namespace: reflectorSelf.Namespace, Pod: reflectorSelf.Pod, Node: reflectorSelf.Node,
			IP: at.Addr().String(), Port: int(at.Port())},
		Via: "PodIP", Family: cidr.Family(at.Addr()), Protocol: protocol, Target: "open",
	}
}

func TestReflect(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	p := &Prober{Keys: ring, Timeout: 5 * time.Second}
	for i, addr := range loopbacks {
		for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
			for _, size := range []struct {
				bytes int
				back  bool
			}{{0, false}, {1200, false}, {1200, true}, {mesh.FullSize, false}, {mesh.FullSize, true}} {
				c := checkOf(r, protocol, i)
				c.Bytes, c.Back = size.bytes, size.back
				o := p.Do(t.Context(), c)
				name := fmt.Sprintf("%s %s %+v", protocol, addr, size)
				if o.Outcome != v1alpha1.OutcomeOK || o.Reason != "" {
					t.Errorf("%s: %s %s", name, o.Outcome, o.Reason)
				}
				if o.SourceSeen != addr.String() || o.From.IP != addr.String() {
					t.Errorf("%s: seen as %q, sent from %q", name, o.SourceSeen, o.From.IP)
				}
				if o.Sent == 0 || o.Sent != o.Received || o.At == "" {
					t.Errorf("%s: %+v", name, o)
				}
				if size.bytes > 0 && o.Bytes != size.bytes || size.bytes < 0 && o.Bytes < 16<<10 {
					t.Errorf("%s: %d bytes", name, o.Bytes)
				}
			}
		}
	}
}

// What is called small must fit in every path.
func TestSmallIsSmall(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	p := &Prober{Keys: ring, Timeout: 5 * time.Second}
	for _, protocol := range []string{"TCP", "UDP"} {
		for i, most := range []int{576, 1280} {
			if o := p.Do(t.Context(), checkOf(r, protocol, i)); o.Bytes == 0 || o.Bytes > most {
				t.Errorf("%s %s: %d bytes", protocol, loopbacks[i], o.Bytes)
			}
		}
	}
}

func TestReflectThroughService(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	c := checkOf(r, "TCP", 0)
	c.Via, c.To.Pod, c.To.Node, c.To.Namespace = "ClusterIP", "", "", ""
	o := (&Prober{Keys: ring, Timeout: 5 * time.Second}).Do(t.Context(), c)
	if o.Outcome != v1alpha1.OutcomeOK || o.To.Pod != reflectorSelf.Pod || o.To.Node != reflectorSelf.Node || o.To.Namespace != reflectorSelf.Namespace {
		t.Errorf("%+v", o)
	}
}

func TestAnotherPodAnswers(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	p := &Prober{Keys: ring, Timeout: 5 * time.Second}
	for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
		c := checkOf(r, protocol, 0)
		c.To.Pod = "remediate-probe-gone"
		o := p.Do(t.Context(), c)
		if o.Outcome != v1alpha1.OutcomeNotChecked || !strings.Contains(o.Reason, "another pod answers") || o.SourceSeen != "" {
			t.Errorf("%s, another pod: %+v", protocol, o)
		}
		c = checkOf(r, protocol, 0)
		c.Target = "guarded"
		if o := p.Do(t.Context(), c); o.Outcome != v1alpha1.OutcomeError || o.SourceSeen != "" {
			t.Errorf("%s, another target: %+v", protocol, o)
		}
	}
}

func TestWrongKeyIsNoLoss(t *testing.T) {
	r := reflectHere(t, testRing(t, testKey(1)))
	for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
		p := &Prober{Keys: testRing(t, testKey(2)), Timeout: 2 * time.Second}
		o := p.Do(t.Context(), checkOf(r, protocol, 0))
		if o.Outcome != v1alpha1.OutcomeNotChecked || !strings.Contains(o.Reason, "key") {
			t.Errorf("%s: %s %q", protocol, o.Outcome, o.Reason)
		}
		if strings.Contains(o.Reason, string(testKey(2)[:4])) || o.SourceSeen != "" {
			t.Errorf("%s: %+v", protocol, o)
		}
	}
}

// While a Secret is being rolled out either end may be the first to have the new key.
func TestKeyRoll(t *testing.T) {
	reflector, prober := testRing(t, testKey(1)), testRing(t, testKey(1))
	r := reflectHere(t, reflector)
	p := &Prober{Keys: prober, Timeout: 2 * time.Second}
	expect := func(when, want string) {
		t.Helper()
		for _, protocol := range []string{"UDP", "TCP", "HTTP"} {
			if o := p.Do(t.Context(), checkOf(r, protocol, 0)); o.Outcome != want {
				t.Errorf("%s over %s: %s %q, want %s", when, protocol, o.Outcome, o.Reason, want)
			}
		}
	}
	roll := func(k *Keyring, seed byte) {
		t.Helper()
		if err := k.Roll(testKey(seed)); err != nil {
			t.Fatal(err)
		}
	}
	expect("before", v1alpha1.OutcomeOK)
	roll(reflector, 2)
	expect("the reflector first", v1alpha1.OutcomeOK)
	roll(prober, 2)
	expect("both", v1alpha1.OutcomeOK)
	roll(prober, 3)
	expect("the prober first", v1alpha1.OutcomeNotChecked)
	roll(reflector, 3)
	expect("both again", v1alpha1.OutcomeOK)
}

// Over UDP strangers get nothing, and nobody gets more than was sent.
func TestNoAmplification(t *testing.T) {
	key := testKey(1)
	r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, key)}
	source := netip.MustParseAddrPort("127.0.0.1:5")
	ask := func(size, want int, key []byte) []byte {
		return encoded(t, request{over: overUDP, size: size, want: want, node: "node-1", pod: "a"}, key)
	}
	tests := []struct {
		name     string
		datagram []byte
		answered bool
	}{
		{"small", ask(smallUDP, 0, key), true},
		{"large, small wanted", ask(1400, 0, key), true},
		{"large, large wanted", ask(1400, 1400, key), true},
		{"more wanted than sent", ask(smallUDP, 1400, key), false},
		{"too short for the answer", ask(0, 0, key), false},
		{"wrong key", ask(smallUDP, 0, testKey(2)), false},
		{"trailing bytes", append(ask(smallUDP, 0, key), 0), false},
		{"an answer", encoded(t, testAnswer(overUDP), key), false},
		{"made for TCP", encoded(t, request{over: overTCP, size: smallUDP}, key), false},
		{"garbage", bytes.Repeat([]byte{0xff}, 1400), false},
		{"nothing", nil, false},
	}
	for _, tt := range tests {
		b := r.reflectUDP(tt.datagram, source)
		if (b != nil) != tt.answered {
			t.Errorf("%s: answered with %d bytes", tt.name, len(b))
		}
		if len(b) > len(tt.datagram) {
			t.Errorf("%s: %d bytes for %d", tt.name, len(b), len(tt.datagram))
		}
	}
}

func TestReflectorRefusesToStart(t *testing.T) {
	long := strings.Repeat("a", 250)
	tests := []struct {
		name string
		r    *Reflector
		want string
	}{
		{"no key", &Reflector{Addrs: loopbacks}, "key"},
		{"no address", &Reflector{Keys: testRing(t, testKey(1))}, "POD_IPS"},
		{"names too long", &Reflector{Keys: testRing(t, testKey(1)), Addrs: loopbacks, Identity: Identity{Node: long, Pod: long}}, "too long"},
		{"no name", &Reflector{Keys: testRing(t, testKey(1)), Addrs: loopbacks, Identity: Identity{Node: "a b"}}, "a b"},
		{"bad address", &Reflector{Keys: testRing(t, testKey(1)), Addrs: []netip.Addr{netip.MustParseAddr("ff02::1%lo")}}, "ff02::1"},
	}
	for _, tt := range tests {
		if err := tt.r.Start(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
			tt.r.Close()
		}
	}
}

func TestReflectorRuns(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, testKey(1)), Addrs: loopbacks}
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	taken := reflectHere(t, testRing(t, testKey(1)))
	r = &Reflector{Identity: reflectorSelf, Keys: testRing(t, testKey(1)), Addrs: loopbacks[:1], Port: taken.TCPAddrs()[0].Port()}
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// silent opens n connections that say nothing, in the background of the test.
func silent(t testing.TB, at netip.AddrPort, n int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	return conns
}

// Who opens a thousand connections and says nothing shuts nobody out, and costs little.
func TestReflectorUnderThousandConnections(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	p := &Prober{Keys: ring, Timeout: 5 * time.Second}
	before := heap()
	conns := silent(t, r.TCPAddrs()[0], 700)
	conns = append(conns, silent(t, r.HTTPAddrs()[0], 300)...)
	for _, protocol := range []string{"TCP", "HTTP", "UDP"} {
		if o := p.Do(t.Context(), checkOf(r, protocol, 0)); o.Outcome != v1alpha1.OutcomeOK {
			t.Errorf("%s: %s %q", protocol, o.Outcome, o.Reason)
		}
	}
	if n := r.tcp[0].open() + r.http[0].open(); n > maxTCP+maxHTTP {
		t.Errorf("%d connections are open", n)
	}
	t.Logf("%d connections cost %d KiB, both ends", len(conns), (heap()-before)>>10)
	if used := heap() - before; used > 8<<20 {
		t.Errorf("%d connections cost %d KiB", len(conns), used>>10)
	}
}

// heap is what the heap and the stacks take, in bytes, after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestPushedOutIsTold(t *testing.T) {
	r := reflectHere(t, testRing(t, testKey(1)))
	first := silent(t, r.TCPAddrs()[0], 1)[0]
	silent(t, r.TCPAddrs()[0], maxTCP)
	if err := first.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAnswer(first, overTCP, nil); !errors.Is(err, errBusy) {
		t.Errorf("the oldest connection got %v", err)
	}
}

// Connections that proved to know the key are not pushed out by strangers.
func TestKnownStay(t *testing.T) {
	key := testKey(1)
	r := reflectHere(t, testRing(t, key))
	conn := silent(t, r.TCPAddrs()[0], 1)[0]
	for range 2 {
		if _, err := conn.Write(encoded(t, testRequest(overTCP), key)); err != nil {
			t.Fatal(err)
		}
		if _, err := readAnswer(conn, overTCP, [][]byte{key}); err != nil {
			t.Fatal(err)
		}
		silent(t, r.TCPAddrs()[0], maxTCP)
	}
}
