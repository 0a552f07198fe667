package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// connect opens a TCP connection and closes it: to a node's kubelet, or to an
// address outside. A node that refuses has been reached.
func (p *Prober) connect(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	if c.Protocol != mesh.TCP {
		return notChecked("%s addresses are only probed over TCP and ICMP", printable(c.Via))
	}
	conn, err := p.dial(ctx, "tcp", to, false)
	if err != nil {
		r := fail(err, 1)
		if r.outcome == v1alpha1.OutcomeRefused && c.Via == mesh.ViaNodeIP {
			return verdict{outcome: v1alpha1.OutcomeOK, sent: 1, received: 1, reason: "the node refused the connection, so the path to it works"}
		}
		return r
	}
	defer end(conn)
	r := ok(nil)
	r.local = localAddr(conn)
	return r
}

const (
	icmpHeader = 8
	// smallPing is the payload of a small echo request, as ping(8) sends it.
	smallPing = 56

	echoV4, echoReplyV4 = 8, 0
	echoV6, echoReplyV6 = 128, 129
)

// ping sends one ICMP echo request and waits for its reply (RFC 792, RFC 4443).
func (p *Prober) ping(ctx context.Context, c mesh.Check, to netip.Addr) verdict {
	conn, err := p.pingConn(ctx, to)
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return notChecked("the kernel lets this group send no pings (net.ipv4.ping_group_range)")
	case errors.Is(err, syscall.EPROTONOSUPPORT):
		return notChecked("the kernel has no ping sockets for %s", cidr.Family(to))
	case err != nil:
		return fail(err, 1)
	}
	defer end(conn)
	payload := datagram(conn, c.Bytes, headers(to, icmpHeader), smallPing)
	r := askPing(conn, echo(to, payload))
	r.local, r.bytes = localAddr(conn), payload+headers(to, icmpHeader)
	return p.tooBig(ctx, r, to)
}

func (p *Prober) pingConn(ctx context.Context, to netip.Addr) (net.Conn, error) {
	var conn net.Conn
	var err error
	p.within(func() { conn, err = pingSocket(to) })
	if err != nil {
		return nil, p.noPort(err, to)
	}
	return bound(ctx, conn)
}

// echo is an echo request with a random payload; the kernel fills in checksum and
// identifier.
func echo(to netip.Addr, payload int) []byte {
	b := make([]byte, icmpHeader+payload)
	b[0] = echoV4
	if to.Is6() {
		b[0] = echoV6
	}
	binary.BigEndian.PutUint16(b[6:], 1)
	_, _ = rand.Read(b[icmpHeader:])
	return b
}

func askPing(conn net.Conn, packet []byte) verdict {
	if _, err := conn.Write(packet); err != nil {
		return fail(err, 1)
	}
	buf := make([]byte, len(packet)+1)
	for range maxDatagrams {
		n, err := conn.Read(buf)
		if err != nil {
			return fail(err, 1)
		}
		reply := buf[0] == echoReplyV4 && packet[0] == echoV4 || buf[0] == echoReplyV6 && packet[0] == echoV6
		if n == len(packet) && reply && string(buf[icmpHeader:n]) == string(packet[icmpHeader:]) {
			return ok(nil)
		}
	}
	return fail(fmt.Errorf("%w: replies to other pings", errNotOurs), 1)
}

// noPort tells the two reasons for which there is no local address: the machine
// has none of this family, or it has run out of ports.
func (p *Prober) noPort(err error, to netip.Addr) error {
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return err
	}
	var addrs []net.Addr
	p.within(func() { addrs, _ = net.InterfaceAddrs() })
	for _, a := range addrs {
		prefix, perr := netip.ParsePrefix(a.String())
		if perr == nil && prefix.Addr().IsGlobalUnicast() && cidr.Family(prefix.Addr()) == cidr.Family(to) {
			return syscall.EADDRINUSE
		}
	}
	return err
}
