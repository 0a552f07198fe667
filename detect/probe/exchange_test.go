package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

func newReader(conn net.Conn) *bufio.Reader { return bufio.NewReader(conn) }

// serveConn serves connections on a loopback port until the test's end.
func serveConn(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	tasks.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			tasks.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		tasks.Wait()
	})
	return addrPort(l.Addr())
}

// often is a datagram as often as a prober looks at strange ones, so that it need
// not wait for its time to end.
func often(b []byte) [][]byte {
	var out [][]byte
	for range maxDatagrams {
		out = append(out, b)
	}
	return out
}

// servePacket answers datagrams on a loopback port until the test's end.
func servePacket(t *testing.T, serve func([]byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, MaxMessage)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, b := range serve(buf[:n]) {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return addrPort(conn.LocalAddr())
}

func TestNotCheckable(t *testing.T) {
	good := checkAt(netip.MustParseAddrPort("127.0.0.1:9"), "TCP")
	tests := []struct {
		name   string
		change func(*mesh.Check)
		want   string
	}{
		{"no address", func(c *mesh.Check) { c.To.IP = "" }, "no address"},
		{"no IP", func(c *mesh.Check) { c.To.IP = "node-2\x1b" }, "cannot be probed"},
		{"link-local with zone", func(c *mesh.Check) { c.To.IP = "fe80::1%eth0" }, "cannot be probed"},
		{"multicast", func(c *mesh.Check) { c.To.IP = "224.0.0.1" }, "cannot be probed"},
		{"everything", func(c *mesh.Check) { c.To.IP = "0.0.0.0" }, "cannot be probed"},
		{"other family", func(c *mesh.Check) { c.Family = "IPv6" }, "is not IPv6"},
		{"no port", func(c *mesh.Check) { c.To.Port = 0 }, "no port"},
		{"port too high", func(c *mesh.Check) { c.To.Port = 65536 }, "no port"},
		{"unknown protocol", func(c *mesh.Check) { c.Protocol = "SCTP" }, "SCTP"},
		{"DNS over HTTP", func(c *mesh.Check) { c.Via, c.Protocol = "DNS", "HTTP" }, "only asked"},
		{"no DNS name", func(c *mesh.Check) { c.Via, c.Protocol, c.Name = "DNS", "UDP", strings.Repeat("a", 300) }, "no DNS name"},
		{"external over UDP", func(c *mesh.Check) { c.Via, c.Protocol = "External", "UDP" }, "only probed"},
		{"sender without a valid name", func(c *mesh.Check) { c.From.Node = "a b"; c.Protocol = "UDP" }, "cannot be sent"},
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		o := (&Prober{Keys: testRing(t, testKey(1))}).Do(t.Context(), c)
		if o.Outcome != v1alpha1.OutcomeNotChecked || !strings.Contains(o.Reason, tt.want) || o.Sent != 0 {
			t.Errorf("%s: %s %q sent %d", tt.name, o.Outcome, o.Reason, o.Sent)
		}
		if strings.Contains(o.Reason, "\x1b") {
			t.Errorf("%s: control characters in %q", tt.name, o.Reason)
		}
	}
	if o := (&Prober{}).Do(t.Context(), good); o.Outcome != v1alpha1.OutcomeNotChecked {
		t.Errorf("without a key: %+v", o)
	}
}

// closedPort is a loopback port that nobody listens on.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return addrPort(l.Addr())
}

func TestRefused(t *testing.T) {
	at := closedPort(t)
	for _, tt := range []struct{ via, protocol, want string }{
		{"PodIP", "TCP", "Refused"},
		{"PodIP", "UDP", "Refused"},
		{"PodIP", "HTTP", "Refused"},
		{"External", "TCP", "Refused"},
		{"DNS", "UDP", "Refused"},
		{"NodeIP", "TCP", "OK"},
	} {
		c := checkAt(at, tt.protocol)
		c.Via = tt.via
		if tt.via != "PodIP" {
			c.To.Pod, c.To.Namespace, c.Target = "", "", ""
		}
		o := (&Prober{Keys: testRing(t, testKey(1)), Timeout: 5 * time.Second}).Do(t.Context(), c)
		if o.Outcome != tt.want {
			t.Errorf("%+v: %s %q", tt, o.Outcome, o.Reason)
		}
		if o.Outcome == "OK" && !strings.Contains(o.Reason, "refused") {
			t.Errorf("%+v: reason %q", tt, o.Reason)
		}
	}
}

func TestConnectOnly(t *testing.T) {
	at := serveConn(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for _, via := range []string{"External", "NodeIP"} {
		c := checkAt(at, "TCP")
		c.Via, c.To.Pod, c.Target = via, "", ""
		o := (&Prober{Timeout: 5 * time.Second}).Do(t.Context(), c)
		if o.Outcome != v1alpha1.OutcomeOK || o.Reason != "" || o.From.IP != "127.0.0.1" {
			t.Errorf("%s: %+v", via, o)
		}
	}
}

func TestStoppedProberSaysNothing(t *testing.T) {
	noLeaks(t)
	accepted := make(chan struct{}, 8)
	at := serveConn(t, func(conn net.Conn) {
		accepted <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	for _, protocol := range []string{"TCP", "HTTP"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-accepted; cancel() }()
		o := (&Prober{Keys: testRing(t, testKey(1)), Timeout: time.Minute}).Do(ctx, checkAt(at, protocol))
		if o.Outcome != v1alpha1.OutcomeNotChecked || !strings.Contains(o.Reason, "stopped") {
			t.Errorf("%s: %s %q", protocol, o.Outcome, o.Reason)
		}
	}
	udp := servePacket(t, func([]byte) [][]byte { accepted <- struct{}{}; return nil })
	for _, via := range []string{"PodIP", "DNS"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-accepted; cancel() }()
		c := checkAt(udp, "UDP")
		c.Via, c.Name = via, "kubernetes.default.svc.cluster.local."
		o := (&Prober{Keys: testRing(t, testKey(1)), Timeout: time.Minute}).Do(ctx, c)
		if o.Outcome != v1alpha1.OutcomeNotChecked || !strings.Contains(o.Reason, "stopped") {
			t.Errorf("UDP %s: %s %q", via, o.Outcome, o.Reason)
		}
	}
}

// pingAllowed tells whether this process's group may open ping sockets.
func pingAllowed(t *testing.T) bool {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range")
	if err != nil {
		t.Fatal(err)
	}
	var low, high int
	if _, err := fmt.Sscan(string(raw), &low, &high); err != nil {
		t.Fatal(err)
	}
	return low <= os.Getgid() && os.Getgid() <= high
}

func TestPing(t *testing.T) {
	want, reason := v1alpha1.OutcomeNotChecked, "ping_group_range"
	if pingAllowed(t) {
		want, reason = v1alpha1.OutcomeOK, ""
	}
	for _, addr := range loopbacks {
		for _, size := range []int{0, 1400, mesh.FullSize} {
			c := checkAt(netip.AddrPortFrom(addr, 0), "ICMP")
			c.Bytes = size
			o := (&Prober{Timeout: 5 * time.Second}).Do(t.Context(), c)
			if o.Outcome != want || !strings.Contains(o.Reason, reason) {
				t.Errorf("%s, %d bytes: %s %q", addr, size, o.Outcome, o.Reason)
			}
			if o.Outcome == v1alpha1.OutcomeNotChecked && o.Sent != 0 {
				t.Errorf("%s: %d sent", addr, o.Sent)
			}
		}
	}
}

// What no packet can hold is sent as large as the device takes, and said so.
func TestLargerThanTheDevice(t *testing.T) {
	ring := testRing(t, testKey(1))
	r := reflectHere(t, ring)
	c := checkOf(r, "UDP", 1)
	c.Bytes = 1 << 20
	o := (&Prober{Keys: ring, Timeout: 5 * time.Second}).Do(t.Context(), c)
	if o.Outcome != v1alpha1.OutcomeOK || o.Bytes > 1<<16 || o.Bytes < 1500 {
		t.Errorf("%+v", o)
	}
}
