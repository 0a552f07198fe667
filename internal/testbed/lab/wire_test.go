//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// pair is two nodes with a pod each, which reflect.
func pair(t *testing.T, spec Spec) (l *Lab, a, b *Pod) {
	spec.Nodes, spec.Daemons = 2, []PodSpec{{Namespace: "x", Name: "open"}}
	l = New(t, spec)
	for _, p := range l.Pods() {
		reflect(t, p.Space, "9971")
	}
	return l, l.Pod("x", "open-1"), l.Pod("x", "open-2")
}

const floodPort = 7000

// flood sends datagrams of a size, with the don't-fragment bit, and counts those that
// arrive and those whose answer arrives, until there are as many as are expected of
// both; then it waits for more.
func flood(t *testing.T, from, to *Pod, family string, count, size, wantThere, wantBack int) (there, back int) {
	t.Helper()
	server, err := to.ListenPacket("udp", fmt.Sprint(":", floodPort))
	if err != nil {
		t.Fatal(err)
	}
	client, err := from.DialContext(t.Context(), "udp", netip.AddrPortFrom(to.IP(family), floodPort).String())
	if err != nil {
		t.Fatal(err)
	}
	dontFragment(t, client.(*net.UDPConn))
	var arrived, answered atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 9000)
		for {
			n, peer, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			arrived.Add(1)
			_, _ = server.WriteTo(buf[:min(n, 10)], peer)
		}
	})
	wg.Go(func() {
		buf := make([]byte, 100)
		for {
			_, err := client.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				answered.Add(1)
			}
		}
	})
	for range count {
		_, _ = client.Write(make([]byte, size)) // the kernel may refuse the size
	}
	deadline := time.Now().Add(late)
	for time.Now().Before(deadline) && (arrived.Load() < int64(wantThere) || answered.Load() < int64(wantBack)) {
		time.Sleep(time.Millisecond)
	}
	if wantThere < count || wantBack < count {
		time.Sleep(soon)
	}
	server.Close()
	client.Close()
	wg.Wait()
	return int(arrived.Load()), int(answered.Load())
}

// expectFlood floods, and complains when other numbers arrive.
func expectFlood(t *testing.T, what string, from, to *Pod, family string, size, wantThere, wantBack int) {
	t.Helper()
	there, back := flood(t, from, to, family, 5, size, wantThere, wantBack)
	if there != wantThere || back != wantBack {
		t.Errorf("%s, %s: %d arrived and %d answers, want %d and %d", what, family, there, back, wantThere, wantBack)
	}
}

func dontFragment(t *testing.T, c *net.UDPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneWay(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	for _, family := range families() {
		undo := l.Cut(Cut{From: l.Nodes[0], To: l.Nodes[1], OneWay: true, Family: family})
		expectFlood(t, "the way that is cut", a, b, family, 10, 0, 0)
		expectFlood(t, "the other way", b, a, family, 10, 5, 0)
		undo()
		expectFlood(t, "undone", a, b, family, 10, 5, 5)
		undo = l.Cut(Cut{From: l.Nodes[0], To: l.Nodes[1], Protocol: "UDP", Port: floodPort, Family: family})
		expectFlood(t, "to the port that is cut", a, b, family, 10, 0, 0)
		expectFlood(t, "to the same port the other way", b, a, family, 10, 5, 5)
		undo()
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	// A flood fits into the receiver's buffer, however late it reads.
	const sent, rounds = 200, 5
	for _, c := range []Cut{{From: l.Nodes[0], To: l.Nodes[1], OneWay: true, Percent: 10}, {From: l.Nodes[1], To: l.Nodes[0], Percent: 50}, {Percent: 50}} {
		undo, percent := l.Cut(c), c.Percent
		there := 0
		for range rounds {
			n, _ := flood(t, a, b, cidr.IPv6, sent, 10, 0, 0)
			there += n
		}
		// Five standard deviations of 1000 tosses of a coin are 79.
		all := sent * rounds
		if lost := all - there; lost < all*percent/100-79 || lost > all*percent/100+79 {
			t.Errorf("%d %%: %d of %d lost", percent, lost, all)
		}
		undo()
	}
}

// TestBlackHole: on a wire of 1450 under devices of 1500 a packet of 1450 arrives,
// one of 1451 is lost in silence, and a TCP connection opens and then stalls.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	for family, header := range map[string]int{cidr.IPv4: 28, cidr.IPv6: 48} {
		undo := l.Cut(Cut{LongerThan: 1450})
		expectFlood(t, "1450 bytes", a, b, family, 1450-header, 5, 5)
		expectFlood(t, "1451 bytes", a, b, family, 1451-header, 0, 0)
		expectFlood(t, "1500 bytes", a, b, family, 1500-header, 0, 0)
		if bulk(t, a, b, family, soon) {
			t.Errorf("%s: a bulk transfer got through", family)
		}
		undo()
		expectFlood(t, "1500 bytes, undone", a, b, family, 1500-header, 5, 5)
		if !bulk(t, a, b, family, late) {
			t.Errorf("%s, undone: no bulk transfer", family)
		}
	}
}

// bulk says whether 100 KB over TCP arrive in time.
func bulk(t *testing.T, from, to *Pod, family string, wait time.Duration) bool {
	t.Helper()
	l, err := to.Listen("tcp", ":7001")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- 0
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(wait))
		n, _ := io.Copy(io.Discard, c)
		done <- n
	}()
	c, err := from.DialContext(t.Context(), "tcp", netip.AddrPortFrom(to.IP(family), 7001).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(wait))
	_, _ = c.Write(bytes.Repeat([]byte("x"), 100_000))
	c.Close()
	return <-done == 100_000
}

// TestAgentMTU: pods that start under an MTU of 1450 pass a wire of 1450.
func TestAgentMTU(t *testing.T) {
	t.Parallel()
	cfg := Healthy("mtu", "1450")
	l, a, b := pair(t, Spec{Config: &cfg})
	if a.MTU != 1450 {
		t.Errorf("the pod's MTU is %d", a.MTU)
	}
	l.Cut(Cut{LongerThan: 1450})
	for _, family := range families() {
		if !bulk(t, a, b, family, late) {
			t.Errorf("%s: no bulk transfer", family)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	const each = 60 * time.Millisecond
	undo := l.Nodes[1].Delay(each)
	for _, family := range families() {
		for _, network := range []string{"udp", "tcp"} {
			start := time.Now()
			if got, err := seen(a.Space, network, b.IP(family), reflector, late); err != nil || got != a.IP(family) {
				t.Errorf("%s, %s: %v, %v", family, network, got, err)
			}
			if took := time.Since(start); took < 2*each {
				t.Errorf("%s, %s: answered after %v, want %v at least", family, network, took, 2*each)
			}
		}
		if !bulk(t, a, b, family, late) {
			t.Errorf("%s: a bulk transfer did not survive the delay", family)
		}
	}
	// Cuts go on to work while frames wait.
	cut := l.Cut(Cut{From: l.Nodes[1]})
	if _, err := seen(a.Space, "udp", b.IP(cidr.IPv4), reflector, soon); err == nil {
		t.Error("the cut has no effect under the delay")
	}
	cut()
	undo()
	if _, err := seen(a.Space, "udp", b.IP(cidr.IPv4), reflector, late); err != nil {
		t.Errorf("undone: %v", err)
	}
	links, err := l.wire.link.LinkList()
	if err != nil || len(links) != 1+1+len(l.Nodes)+1 {
		t.Errorf("undone: %d devices on the wire, %v, want lo, the bridge and three ports", len(links), err)
	}
}

// ping sends an unprivileged echo and waits for its answer.
func ping(p *Pod, to netip.Addr, wait time.Duration) error {
	network, any, kind, proto := "udp4", "0.0.0.0", icmp.Type(ipv4.ICMPTypeEcho), 1
	if to.Is6() {
		network, any, kind, proto = "udp6", "::", ipv6.ICMPTypeEchoRequest, 58
	}
	return p.Do(func() error {
		c, err := icmp.ListenPacket(network, any)
		if err != nil {
			return err
		}
		defer c.Close()
		echo, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{Seq: 1, Data: []byte("x")}}).Marshal(nil)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(echo, &net.UDPAddr{IP: to.AsSlice()}); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		buf := make([]byte, 1500)
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		_, err = icmp.ParseMessage(proto, buf[:n])
		return err
	})
}

func TestPing(t *testing.T) {
	t.Parallel()
	cfg := Incident()
	l, a, b := pair(t, Spec{Config: &cfg})
	guarded := l.Nodes[1].AddPod(PodSpec{Namespace: "x", Name: "guarded", Guarded: true})
	for _, family := range families() {
		if err := ping(a, b.IP(family), late); err != nil {
			t.Errorf("%s: %v", family, err)
		}
	}
	if err := ping(a, guarded.IP(cidr.IPv4), late); err != nil {
		t.Errorf("guarded, IPv4: %v", err)
	}
	if err := ping(a, guarded.IP(cidr.IPv6), soon); err == nil {
		t.Error("guarded, IPv6: answered")
	}
	_, a, b = pair(t, Spec{NoPing: true})
	if err := ping(a, b.IP(cidr.IPv4), late); err == nil {
		t.Error("ping sockets are on")
	}
}

func TestOutside(t *testing.T) {
	t.Parallel()
	cfg := IncidentIPv4("ipv6-native-routing-cidr", "fd00:101::/32")
	l, a, _ := pair(t, Spec{Config: &cfg})
	reflect(t, l.Internet, "9971")
	for _, addr := range Outside() {
		got, err := seen(a.Space, "tcp", addr, reflector, late)
		if err != nil || got != l.Nodes[0].IP(cidr.Family(addr)) {
			t.Errorf("%s: seen %v, %v", addr, got, err)
		}
	}
	// Without masquerading the answer finds no way back.
	if err := l.Apply(Healthy("enable-ipv6-masquerade", "false")); err != nil {
		t.Fatal(err)
	}
	for _, addr := range Outside() {
		if got, err := seen(a.Space, "tcp", addr, reflector, soon); err == nil {
			t.Errorf("%s: seen %v", addr, got)
		}
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	cfg := Incident()
	l, a, b := pair(t, Spec{Config: &cfg})
	svc := l.AddService(Service{
		Namespace: "x", Name: "svc", Endpoints: AddressesOf(b),
		Ports: []ServicePort{{Protocol: "TCP", Port: 80, TargetPort: 9971}},
	})
	for _, to := range svc.ClusterIPs {
		family := cidr.Family(to)
		want := map[string]netip.Addr{cidr.IPv4: a.IP(family), cidr.IPv6: l.Nodes[0].IP(family)}[family]
		if got, err := seen(a.Space, "tcp", to, 80, late); err != nil || got != want {
			t.Errorf("%s: seen %v, %v, want %v", to, got, err, want)
		}
		if got, err := seen(l.Nodes[0].Space, "tcp", to, 80, late); err != nil || got != l.Nodes[0].IP(family) {
			t.Errorf("%s from the node: seen %v, %v", to, got, err)
		}
		if _, err := seen(b.Space, "tcp", to, 80, late); err != nil {
			t.Errorf("%s, a pod to itself: %v", to, err)
		}
	}
	l.SetEndpoints("x", "svc")
	for _, to := range svc.ClusterIPs {
		if _, err := seen(a.Space, "tcp", to, 80, soon); err == nil {
			t.Errorf("%s answers without backends", to)
		}
	}
}

// TestCancel: a dial ends with its context.
func TestCancel(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	l.Cut(Cut{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.DialContext(ctx, "tcp", netip.AddrPortFrom(b.IP(cidr.IPv6), reflector).String()); err == nil {
		t.Error("dialled through a cut")
	}
}
