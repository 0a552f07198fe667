package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// defaultName is what is asked for: a name that every cluster has.
const defaultName = "kubernetes.default.svc.cluster.local."

// resolve asks a DNS server one question. Any well-formed answer to it counts,
// whatever it says: the path works.
func (p *Prober) resolve(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	question, err := newQuestion(c)
	if err != nil {
		return notChecked("%v", err)
	}
	network := "udp"
	if c.Protocol == mesh.TCP {
		network = "tcp"
	} else if c.Protocol != mesh.UDP {
		return notChecked("DNS is only asked over UDP and TCP")
	}
	conn, err := p.dial(ctx, network, to, false)
	if err != nil {
		return fail(err, 1)
	}
	defer end(conn)
	ask := askDatagram
	if network == "tcp" {
		ask = askStream
	}
	code, err := ask(conn, question)
	r := ok(nil)
	if err != nil {
		r = fail(err, 1)
	} else if code != dnsmessage.RCodeSuccess {
		r.reason = printable(code.String())
	}
	r.local = localAddr(conn)
	return r
}

// question is a query and what its answer must repeat.
type question struct {
	id  uint16
	q   dnsmessage.Question
	raw []byte
}

func newQuestion(c mesh.Check) (question, error) {
	name := c.Name
	if name == "" {
		name = defaultName
	}
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return question{}, fmt.Errorf("%q is no DNS name", printable(name))
	}
	q := question{q: dnsmessage.Question{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
	if c.Family == cidr.IPv6 {
		q.q.Type = dnsmessage.TypeAAAA
	}
	nonce := newNonce()
	q.id = binary.BigEndian.Uint16(nonce[:])
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.id, RecursionDesired: true}, Questions: []dnsmessage.Question{q.q}}
	if q.raw, err = m.Pack(); err != nil {
		return question{}, fmt.Errorf("%q is no DNS name", printable(name))
	}
	return q, nil
}

// read takes a server's answer to the question apart.
func (q question) read(raw []byte) (dnsmessage.RCode, error) {
	var p dnsmessage.Parser
	h, err := p.Start(raw)
	if err != nil || !h.Response || h.ID != q.id {
		return 0, fmt.Errorf("%w: no answer to this DNS question", errNotOurs)
	}
	got, err := p.Question()
	if err != nil || got.Type != q.q.Type || got.Class != q.q.Class || !sameName(got.Name, q.q.Name) {
		return 0, fmt.Errorf("%w: an answer to another DNS question", errNotOurs)
	}
	return h.RCode, nil
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

func askDatagram(conn net.Conn, q question) (dnsmessage.RCode, error) {
	if _, err := conn.Write(q.raw); err != nil {
		return 0, err
	}
	buf := make([]byte, 4096)
	var strange error
	for range maxDatagrams {
		n, err := conn.Read(buf)
		if err != nil {
			if outcome, _ := classify(err); strange != nil && outcome == v1alpha1.OutcomeTimeout {
				return 0, strange
			}
			return 0, err
		}
		code, err := q.read(buf[:n])
		if err == nil {
			return code, nil
		}
		strange = err
	}
	return 0, strange
}

func askStream(conn net.Conn, q question) (dnsmessage.RCode, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q.raw))), q.raw...)); err != nil {
		return 0, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return 0, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return 0, err
	}
	return q.read(raw)
}
