package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// exchangeTime is how long one exchange may take. The kernel repeats a lost SYN
// after one second (RFC 6298, section 2), so an exchange stands or falls with the
// first.
const exchangeTime = time.Second

// atFormat is RFC 3339 with milliseconds.
const atFormat = "2006-01-02T15:04:05.000Z07:00"

// Prober does exchanges with reflectors and with other addresses. Its zero value
// with Keys set is ready; Do may be called from several goroutines.
type Prober struct {
	Keys *Keyring
	// Timeout of an exchange, 1 s when 0.
	Timeout time.Duration
	// Starvation measures the process's own scheduling; nil measures only how late
	// an exchange noticed that its time was over.
	Starvation *Starvation
	// Now is the clock, time.Now when nil.
	Now func() time.Time
	// Within runs the creation of sockets, in another network namespace for
	// example; nil runs it where it is.
	Within func(open func())

	mu     sync.Mutex
	proofs map[netip.Addr]proof
}

func (p *Prober) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Prober) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return exchangeTime
}

func (p *Prober) within(open func()) {
	if p.Within == nil {
		open()
		return
	}
	p.Within(open)
}

// Do tries one check with a socket of its own and says what became of it. It
// returns soon after the time limit or the end of ctx; a check that ctx cut short
// counts as not checked.
func (p *Prober) Do(ctx context.Context, c mesh.Check) v1alpha1.Observation {
	start := p.now()
	o := v1alpha1.Observation{From: c.From, To: c.To, Via: c.Via, Family: c.Family,
		Protocol: c.Protocol, Target: c.Target, HostNetwork: c.HostNetwork,
		At: start.UTC().Format(atFormat)}
	to, err := destination(c)
	if err != nil {
		fill(&o, c, notChecked("%v", err))
		return o
	}
	within, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	r := p.exchange(within, c, to)
	o.Unreliable = p.starved(start)
	if ctx.Err() != nil && r.outcome == v1alpha1.OutcomeTimeout {
		r = notChecked("the prober was stopped")
	}
	fill(&o, c, p.doubt(ctx, c, to, r))
	return o
}

// starved tells whether the process was not scheduled in time since start.
func (p *Prober) starved(start time.Time) bool {
	over := p.now().Sub(start) - p.timeout()
	if p.Starvation == nil {
		return over > starvedAfter
	}
	p.Starvation.overran(over)
	return over > starvedAfter || p.Starvation.Since(start) > starvedAfter
}

// destination is where a check goes, or why it goes nowhere.
func destination(c mesh.Check) (netip.AddrPort, error) {
	if c.To.IP == "" {
		return netip.AddrPort{}, errors.New("the target has no address of this family")
	}
	ip, err := netip.ParseAddr(c.To.IP)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("the target's address %q cannot be probed", printable(c.To.IP))
	}
	ip = ip.Unmap()
	if cidr.Family(ip) != c.Family {
		return netip.AddrPort{}, fmt.Errorf("the target's address %s is not %s", ip, c.Family)
	}
	if c.To.Port < 0 || c.To.Port > 65535 || (c.To.Port == 0 && c.Protocol != mesh.ICMP) {
		return netip.AddrPort{}, fmt.Errorf("%d is no port", c.To.Port)
	}
	return netip.AddrPortFrom(ip, uint16(c.To.Port)), nil
}

func (p *Prober) exchange(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	switch {
	case c.Protocol == mesh.ICMP:
		return p.ping(ctx, c, to.Addr())
	case c.Via == mesh.ViaDNS:
		return p.resolve(ctx, c, to)
	case c.Via == mesh.ViaExternal, c.Via == mesh.ViaNodeIP && c.To.Pod == "":
		return p.connect(ctx, c, to)
	}
	if p.Keys == nil {
		return notChecked("the prober has no shared key")
	}
	var r verdict
	switch c.Protocol {
	case mesh.TCP:
		r = p.tcp(ctx, c, to)
	case mesh.UDP:
		r = p.udp(ctx, c, to)
	case mesh.HTTP:
		r = p.http(ctx, c, to)
	default:
		return notChecked("unknown protocol %q", printable(c.Protocol))
	}
	return identify(c, r)
}

// identify compares who answered with who was asked.
func identify(c mesh.Check, r verdict) verdict {
	if r.outcome != v1alpha1.OutcomeOK || r.answer == nil {
		return r
	}
	who := r.answer.from
	other := (c.To.Pod != "" && who.Pod != c.To.Pod) || (c.To.Namespace != "" && who.Namespace != c.To.Namespace)
	switch {
	case c.Via == mesh.ViaClusterIP:
	case other:
		n := notChecked("another pod answers at this address: %s/%s", who.Namespace, who.Pod)
		n.sent, n.received = r.sent, r.received
		return n
	case c.Target != "" && who.Target != c.Target:
		return verdict{outcome: v1alpha1.OutcomeError, sent: r.sent, received: r.received,
			reason: fmt.Sprintf("the target says it is %q, not %q", who.Target, c.Target)}
	}
	return r
}

// fill writes a result into its observation.
func fill(o *v1alpha1.Observation, c mesh.Check, r verdict) {
	o.Outcome, o.Reason, o.Sent, o.Received = r.outcome, r.reason, r.sent, r.received
	if o.Bytes = r.bytes; o.Bytes == 0 {
		o.Bytes = max(c.Bytes, 0)
	}
	if o.From.IP == "" && r.local.IsValid() {
		o.From.IP = r.local.String()
	}
	if r.outcome != v1alpha1.OutcomeOK || r.answer == nil {
		return
	}
	o.SourceSeen = r.answer.source.Addr().String()
	if c.Via == mesh.ViaClusterIP {
		o.To.Node, o.To.Namespace, o.To.Pod = r.answer.from.Node, r.answer.from.Namespace, r.answer.from.Pod
	}
}

// dial opens a socket that ends with ctx.
func (p *Prober) dial(ctx context.Context, network string, to netip.AddrPort, whole bool) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	d.SetMultipathTCP(false)
	if whole {
		d.Control = controlWhole
	}
	var conn net.Conn
	var err error
	p.within(func() { conn, err = d.DialContext(ctx, network, to.String()) })
	if err != nil {
		return nil, p.noPort(err, to.Addr())
	}
	return bound(ctx, conn)
}

// bound gives a connection the deadline and the end of ctx.
func bound(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			end(conn)
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &boundConn{Conn: conn, stop: stop}, nil
}

// boundConn is a connection that a context ends.
type boundConn struct {
	net.Conn
	stop func() bool
}

// Close ends the connection.
func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// SyscallConn gives access to the socket's options.
func (c *boundConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no socket", c.Conn)
	}
	return sc.SyscallConn()
}

// end closes what there is nothing to learn from in closing.
func end(c io.Closer) { c.Close() }

func localAddr(conn net.Conn) netip.Addr { return addrPort(conn.LocalAddr()).Addr() }

func isV6(conn net.Conn) bool { return localAddr(conn).Is6() }

// headers are the bytes of the IP header and of what follows before the payload.
func headers(to netip.Addr, transport int) int {
	if to.Is4() {
		return 20 + transport
	}
	return 40 + transport
}
