//go:build linux

package cilium

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// packet is one that arrived at a device.
type packet struct {
	At       time.Time
	Protocol string // ICMP, TCP, UDP
	From, To netip.Addr
	// Ports of TCP and UDP; of an ICMP echo request From's is the identifier.
	FromPort, ToPort int
}

// capture keeps the last packets that arrived: TCP's first ones, UDP, echo requests.
type capture struct {
	mu   sync.Mutex
	seen []packet
}

const keepPackets = 4096

// newCapture watches all devices of the process's network namespace.
func newCapture() (*capture, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL)))
	if err != nil {
		return nil, err
	}
	c := &capture{}
	go c.read(fd)
	return c, nil
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// read lasts as long as the process.
func (c *capture) read(fd int) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			continue // the device went down
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if p, ok := parsePacket(buf[:n]); ok {
			c.keep(p)
		}
	}
}

func (c *capture) keep(p packet) {
	p.At = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == keepPackets {
		c.seen = append(c.seen[:0], c.seen[keepPackets/2:]...)
	}
	c.seen = append(c.seen, p)
}

func (c *capture) since(t time.Time) (out []packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.seen {
		if !p.At.Before(t) {
			out = append(out, p)
		}
	}
	return out
}

// parsePacket reads an IP packet without extension headers.
func parsePacket(b []byte) (p packet, ok bool) {
	if len(b) < 20 {
		return p, false
	}
	var next byte
	switch b[0] >> 4 {
	case 4:
		p.From, p.To = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		next = b[9]
		b = b[min(len(b), int(b[0]&0xf)*4):]
	case 6:
		if len(b) < 40 {
			return p, false
		}
		p.From, p.To = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		next = b[6]
		b = b[40:]
	default:
		return p, false
	}
	return p.transport(next, b)
}

// transport reads what begins an exchange.
func (p packet) transport(next byte, b []byte) (packet, bool) {
	if len(b) < 8 {
		return p, false
	}
	const syn, ack = 0x02, 0x10
	switch next {
	case unix.IPPROTO_TCP:
		if len(b) < 14 || b[13]&(syn|ack) != syn {
			return p, false
		}
		p.Protocol = "TCP"
	case unix.IPPROTO_UDP:
		p.Protocol = "UDP"
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if b[0] != 8 && b[0] != 128 {
			return p, false
		}
		p.Protocol, p.FromPort = "ICMP", int(binary.BigEndian.Uint16(b[4:]))
		return p, true
	default:
		return p, false
	}
	p.FromPort, p.ToPort = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	return p, true
}
