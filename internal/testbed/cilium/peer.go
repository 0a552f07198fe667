//go:build linux

package cilium

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// peerMark is in the environment of a test binary that runs as a peer: the process of
// a pod, of a node or of a host outside, which sends, answers and watches what
// arrives. It is a process of its own because the socket load balancer goes by the
// cgroup. Its value are the addresses to answer at, with commas between.
const peerMark = "REMEDIATE_E2E_PEER"

// Ports that every peer answers at.
const (
	TCPPort = 8080
	UDPPort = 8081
)

// What came of an exchange.
const (
	Reached    = "ok"
	TurnedAway = "refused"
	Lost       = "lost"
)

// question to a peer: send a packet of a protocol, or, without one, say what arrived.
type question struct {
	ID       int
	Protocol string        `json:",omitempty"` // ICMP, TCP, UDP
	From, To netip.Addr    // From is invalid for the kernel's choice
	Port     int           // at To
	Source   int           // port or ICMP identifier
	Size     int           // bytes of payload
	Within   time.Duration // for the answer
	Since    time.Time     // of what arrived
}

// answer of a peer.
type answer struct {
	ID     int
	Result string     `json:",omitempty"`
	Error  string     `json:",omitempty"`
	Source netip.Addr // that the other side says it saw
	Seen   []packet   `json:",omitempty"`
}

// servePeer answers questions, one per line, until there are no more.
func servePeer(in io.Reader, out io.Writer) int {
	c, err := newCapture()
	if err == nil {
		err = answerAll(strings.Split(os.Getenv(peerMark), ","))
	}
	encoder := json.NewEncoder(out)
	var mu sync.Mutex
	say := func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		_ = encoder.Encode(a) // whoever asked may have gone
	}
	if err != nil {
		say(answer{Error: err.Error()})
		return 1
	}
	say(answer{Result: Reached})
	var wg sync.WaitGroup
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			say(answer{Error: err.Error()})
			continue
		}
		wg.Go(func() {
			if q.Protocol == "" {
				say(answer{ID: q.ID, Seen: c.since(q.Since)})
				return
			}
			say(q.do())
		})
	}
	wg.Wait()
	return 0
}

// answerAll listens for TCP at all addresses, and for UDP at each, so that replies come
// from where the request went.
func answerAll(addresses []string) error {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(TCPPort))
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerTCP(conn)
		}
	}()
	for _, a := range addresses {
		if a == "" {
			continue
		}
		c, err := net.ListenPacket("udp", net.JoinHostPort(a, strconv.Itoa(UDPPort)))
		if err != nil {
			return err
		}
		go answerUDP(c)
	}
	return nil
}

// answerTCP reads to the end and then says from where it came.
func answerTCP(c net.Conn) {
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return
	}
	if _, err := io.Copy(io.Discard, c); err == nil {
		_, _ = io.WriteString(c, hostOf(c.RemoteAddr())+"\n")
	}
}

func answerUDP(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		_, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = c.WriteTo([]byte(hostOf(from)), from)
		}
	}
}

func hostOf(a net.Addr) string {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	return p.Addr().Unmap().WithZone("").String()
}

// do makes one exchange.
func (q question) do() answer {
	ctx, cancel := context.WithTimeout(context.Background(), q.Within)
	defer cancel()
	var source string
	var err error
	switch q.Protocol {
	case "ICMP":
		err = q.ping(ctx)
	case "UDP":
		source, err = q.udp(ctx)
	default:
		source, err = q.tcp(ctx)
	}
	a := answer{ID: q.ID, Result: Reached}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		a.Result, a.Error = TurnedAway, err.Error()
	case err != nil:
		a.Result, a.Error = Lost, err.Error()
	case source != "":
		if a.Source, err = netip.ParseAddr(source); err != nil {
			a.Error = err.Error()
		}
	}
	return a
}

func (q question) dial(ctx context.Context, network string, local net.Addr) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local, Control: dontFragment}
	c, err := d.DialContext(ctx, network, net.JoinHostPort(q.To.String(), strconv.Itoa(q.Port)))
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return c, c.SetDeadline(deadline)
}

// localIP is nil for the kernel's choice.
func (q question) localIP() net.IP { return q.From.AsSlice() }

func (q question) tcp(ctx context.Context) (source string, err error) {
	c, err := q.dial(ctx, "tcp", &net.TCPAddr{IP: q.localIP(), Port: q.Source})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(make([]byte, max(1, q.Size))); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

func (q question) udp(ctx context.Context) (source string, err error) {
	c, err := q.dial(ctx, "udp", &net.UDPAddr{IP: q.localIP(), Port: q.Source})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(make([]byte, max(1, q.Size))); err != nil {
		return "", err
	}
	buf := make([]byte, 256)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

// ping sends one echo request and waits for its reply.
func (q question) ping(ctx context.Context) error {
	network, number := "ip4:icmp", 1
	var request, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if q.To.Is6() {
		network, number, request, reply = "ip6:ipv6-icmp", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	local := ""
	if q.From.IsValid() {
		local = q.From.String()
	}
	c, err := (&net.ListenConfig{Control: dontFragment}).ListenPacket(ctx, network, local)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	message := icmp.Message{Type: request, Body: &icmp.Echo{ID: q.Source, Seq: 1, Data: make([]byte, q.Size)}}
	text, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := c.WriteTo(text, &net.IPAddr{IP: q.To.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(number, buf[:n])
		if echo, ok := body(m, err); ok && m.Type == reply && echo.ID == q.Source {
			return nil
		}
	}
}

func body(m *icmp.Message, err error) (*icmp.Echo, bool) {
	if err != nil {
		return nil, false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return echo, ok
}

// dontFragment has packets that do not fit be refused, not cut up.
func dontFragment(network, _ string, raw syscall.RawConn) error {
	var errs error
	err := raw.Control(func(fd uintptr) {
		if strings.Contains(network, "6") {
			errs = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
			return
		}
		errs = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	return errors.Join(err, errs)
}
