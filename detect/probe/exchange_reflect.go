package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

const (
	udpHeader = 8
	// tcpHeader includes the timestamps option (RFC 7323), as Linux sends it.
	tcpHeader = 32
	// maxDatagrams are those read while waiting for the right one.
	maxDatagrams = 16
)

func (p *Prober) request(c mesh.Check, over byte, size int, back bool) (request, []byte, error) {
	q := request{over: over, nonce: newNonce(), size: size, node: c.From.Node, pod: c.From.Pod, key: p.Keys.signing()}
	if back {
		q.want = size
	}
	raw, err := q.encode(q.key)
	q.size = len(raw)
	return q, raw, err
}

// check compares an answer with its request. A reflector that contradicts what
// the prober knows says nothing that counts.
func (q request) check(a answer, to netip.Addr) error {
	switch {
	case a.nonce != q.nonce:
		return fmt.Errorf("%w: the answer belongs to another request", errNotOurs)
	case a.received != q.size:
		return fmt.Errorf("%w: it says that %d bytes arrived, and %d were sent", errNotOurs, a.received, q.size)
	case !a.source.IsValid() || a.source.Addr().IsUnspecified() || cidr.Family(a.source.Addr()) != cidr.Family(to):
		return fmt.Errorf("%w: the source address that it saw is none of this family", errNotOurs)
	case q.want > 0 && a.size != q.want:
		return fmt.Errorf("%w: the answer has %d bytes, and %d were wanted", errNotOurs, a.size, q.want)
	}
	return nil
}

// tcp opens a connection, does a small exchange, and with a size a second one
// that fills whole segments.
func (p *Prober) tcp(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	conn, err := p.dial(ctx, "tcp", to, false)
	if err != nil {
		return fail(err, 1)
	}
	defer end(conn)
	r := p.askTCP(conn, c, to.Addr(), 0)
	r.local = localAddr(conn)
	p.trust(to.Addr(), r)
	if c.Bytes == 0 || r.outcome != v1alpha1.OutcomeOK {
		return r
	}
	size, packet := tcpSize(segment(conn), headers(to.Addr(), tcpHeader), c.Bytes)
	big := p.askTCP(conn, c, to.Addr(), size)
	big.sent, big.received, big.bytes, big.local = big.sent+1, big.received+1, packet, r.local
	if big.outcome != v1alpha1.OutcomeOK {
		big.reason = joined("a small exchange on the same connection passed", big.reason)
	}
	return big
}

// tcpSize is how long a message must be, in bytes, for packets of the wanted size,
// and what size they get: two full segments when the wanted size needs them.
func tcpSize(mss, header, want int) (size, packet int) {
	payload := want - header
	if want == mesh.FullSize || payload > mss {
		payload = mss
	}
	payload = max(payload, 1)
	size = payload
	if payload == mss {
		size = 2 * mss
	}
	return min(size, MaxMessage), min(payload, MaxMessage) + header
}

func (p *Prober) askTCP(conn net.Conn, c mesh.Check, to netip.Addr, size int) verdict {
	q, raw, err := p.request(c, overTCP, size, size > 0 && c.Back)
	if err != nil {
		return notChecked("%v", err)
	}
	if _, err := conn.Write(raw); err != nil {
		return fail(err, 1)
	}
	a, err := readAnswer(conn, overTCP, p.Keys.all())
	if err == nil {
		err = q.check(a, to)
	}
	if err != nil {
		return fail(err, 1)
	}
	r := ok(&a)
	r.bytes = len(raw) + headers(to, tcpHeader)
	return r
}

func joined(first, second string) string {
	if second == "" {
		return first
	}
	return first + "; " + second
}

// udp sends one datagram and waits for its answer.
func (p *Prober) udp(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	conn, err := p.dial(ctx, "udp", to, true)
	if err != nil {
		return fail(err, 1)
	}
	defer end(conn)
	size := datagram(conn, c.Bytes, headers(to.Addr(), udpHeader), smallUDP)
	q, raw, err := p.request(c, overUDP, size, c.Bytes != 0 && c.Back)
	if err != nil {
		return notChecked("%v", err)
	}
	r := p.askUDP(conn, q, raw, to.Addr())
	r.local, r.bytes = localAddr(conn), len(raw)+headers(to.Addr(), udpHeader)
	p.trust(to.Addr(), r)
	return p.tooBig(ctx, r, to.Addr())
}

// datagram is the payload in bytes of a packet of the wanted size, or of the
// largest that the kernel would send there: a route may carry less than its device
// (Cilium's tunnels), and pods' TCP obeys that.
func datagram(conn net.Conn, want, header, small int) int {
	if want == 0 {
		return small
	}
	if known := pathMTU(conn); want == mesh.FullSize || known > 0 && want > known {
		want = min(known, MaxMessage)
	}
	return max(want-header, small)
}

// tooBig adds what the kernel knows of the path to such a result. It asks a new
// socket, which sends nothing: the old one may not have heard.
func (p *Prober) tooBig(ctx context.Context, r verdict, to netip.Addr) verdict {
	if r.outcome != v1alpha1.OutcomeTooBig {
		return r
	}
	conn, err := p.dial(ctx, "udp", netip.AddrPortFrom(to, mesh.Port), false)
	if err != nil {
		return r
	}
	defer end(conn)
	if mtu := pathMTU(conn); mtu > 0 && mtu < r.bytes {
		r.reason = fmt.Sprintf("the path carries %d bytes", mtu)
	}
	return r
}

func (p *Prober) askUDP(conn net.Conn, q request, raw []byte, to netip.Addr) verdict {
	if _, err := conn.Write(raw); err != nil {
		return fail(err, 1)
	}
	buf := make([]byte, max(len(raw), smallUDP)+1)
	var strange error
	for range maxDatagrams {
		n, err := conn.Read(buf)
		if err != nil {
			r := fail(err, 1)
			if strange != nil && r.outcome == v1alpha1.OutcomeTimeout {
				r = fail(strange, 1)
			}
			return r
		}
		a, err := oneAnswer(buf[:n], p.Keys.all())
		if err == nil {
			err = q.check(a, to)
		}
		if err == nil {
			return ok(&a)
		}
		strange = err
	}
	return fail(strange, 1)
}

// oneAnswer reads an answer that is a whole datagram.
func oneAnswer(datagram []byte, keys [][]byte) (answer, error) {
	in := bytes.NewReader(datagram)
	a, err := readAnswer(in, overUDP, keys)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errKey), errors.Is(err, errBusy):
		return answer{}, errNotOurs
	case err == nil && in.Len() > 0:
		return answer{}, errNotOurs
	}
	return a, err
}

// http does a GET on a connection of its own.
func (p *Prober) http(ctx context.Context, c mesh.Check, to netip.AddrPort) verdict {
	conn, err := p.dial(ctx, "tcp", to, false)
	if err != nil {
		return fail(err, 1)
	}
	defer end(conn)
	size, packet := 0, 0
	if c.Bytes != 0 {
		size, packet = tcpSize(segment(conn), headers(to.Addr(), tcpHeader), c.Bytes)
		size = httpSize(size)
	}
	q, raw, err := p.request(c, overHTTP, size, c.Bytes != 0 && c.Back)
	if err != nil {
		return notChecked("%v", err)
	}
	a, err := askHTTP(ctx, conn, to, raw, p.Keys.all())
	if err == nil {
		err = q.check(a, to.Addr())
	}
	r := ok(&a)
	if err != nil {
		r = fail(err, 1)
	}
	r.local, r.bytes = localAddr(conn), packet
	p.trust(to.Addr(), r)
	return r
}

// httpHeader is about what a request has beside its message, in bytes.
const httpHeader = 180

// httpSize is how long a message may be for a request of size bytes, in which it
// stands in base64.
func httpSize(size int) int {
	return max(min((size-httpHeader)/4*3, maxHTTPMessage), 0)
}

// maxResponse is the most that is read of a response: header and message.
const maxResponse = maxHeader + MaxMessage

// askHTTP does one request on conn and nothing else. It does without an
// http.Transport, which would write what a hostile server sends to the log.
func askHTTP(ctx context.Context, conn net.Conn, to netip.AddrPort, raw []byte, keys [][]byte) (answer, error) {
	hr, err := get(ctx, to, "/reflect", raw)
	if err != nil {
		return answer{}, err
	}
	hr.Close = true
	if err := hr.Write(conn); err != nil {
		return answer{}, err
	}
	in := &limited{r: conn, left: maxResponse}
	resp, err := http.ReadResponse(bufio.NewReader(in), hr)
	if err != nil {
		return answer{}, in.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, statusError(resp, overHTTP)
	}
	return readAnswer(resp.Body, overHTTP, keys)
}

// limited reads up to a number of bytes and keeps the connection's own error,
// which net/http replaces in places.
type limited struct {
	r    io.Reader
	left int
	err  error
}

// Read reads while there is something left.
func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: the response is longer than %d bytes", errNotOurs, maxResponse)
	}
	n, err := l.r.Read(b[:min(len(b), l.left)])
	l.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

// explain is the connection's error if it had one. All else means that what came
// is not HTTP.
func (l *limited) explain(err error) error {
	switch {
	case l.err != nil:
		return l.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNotOurs):
		return err
	}
	return fmt.Errorf("%w: no HTTP response", errNotOurs)
}
