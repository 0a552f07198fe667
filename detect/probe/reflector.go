package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	maxTCP  = 256
	maxHTTP = 128
	// messageTime is how long the other end may take to send one message and
	// connTime how long a connection may last: what a prober waits, and some.
	messageTime = 2 * time.Second
	connTime    = 5 * time.Second
	// maxHeader bounds an HTTP request's header: a full-size packet in base64.
	maxHeader = 24 << 10
	// retryAfter is the pause after a failed accept (no file descriptors left).
	retryAfter = 50 * time.Millisecond
)

// Reflector answers over TCP, UDP and HTTP with what it sees of a request: the
// source address and port and how much arrived, and who it is itself. Nobody gets
// such an answer who does not know the shared key; over UDP nobody else gets any,
// and none is longer than its request. Set the fields before Start.
type Reflector struct {
	Identity Identity
	Keys     *Keyring
	// Addrs are the pod's own addresses. Each has sockets of its own, so that
	// answers come from the address that was asked.
	Addrs []netip.Addr
	// Port of TCP and UDP, [mesh.Port] as a rule, and HTTPPort, [mesh.HTTPPort]; 0 is
	// any free one.
	Port, HTTPPort uint16
	// Report is the body of GET /report for those who know the key; nil has none.
	// It is called from several goroutines.
	Report func() []byte
	// Within runs the creation of sockets, in another network namespace for
	// example; nil runs it where it is.
	Within func(open func())

	tcp, http []*gate
	udp       []*net.UDPConn
	servers   []*http.Server
	tasks     sync.WaitGroup
	done      chan struct{}
	failed    chan error
	heard     heard
}

// Run answers until the context ends, whose error it does not return, or until it
// cannot any more.
func (r *Reflector) Run(ctx context.Context) error {
	if err := r.Start(); err != nil {
		return err
	}
	defer r.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.failed:
		return err
	}
}

// Start opens the sockets and answers in the background, until Close.
func (r *Reflector) Start() error {
	if err := r.check(); err != nil {
		return err
	}
	r.done = make(chan struct{})
	r.failed = make(chan error, 1)
	for _, addr := range r.Addrs {
		if err := r.open(addr); err != nil {
			r.Close()
			return err
		}
	}
	for _, g := range r.tcp {
		r.tasks.Go(func() { r.serveTCP(g) })
	}
	for _, c := range r.udp {
		r.tasks.Go(func() { r.serveUDP(c) })
	}
	for _, g := range r.http {
		s := r.server()
		r.servers = append(r.servers, s)
		r.tasks.Go(func() {
			if err := s.Serve(g); !errors.Is(err, http.ErrServerClosed) {
				r.fail(fmt.Errorf("the reflector stopped answering over HTTP on %s: %w", g.Addr(), err))
			}
		})
	}
	return nil
}

// check refuses an identity that would not fit into the answer to a small request.
func (r *Reflector) check() error {
	if r.Keys == nil {
		return errors.New("the reflector has no shared key")
	}
	if len(r.Addrs) == 0 {
		return errors.New("the reflector has no address to listen on: the pod has no IPs (POD_IPS)")
	}
	b, err := answer{from: r.Identity}.encode(r.Keys.signing())
	if err != nil {
		return fmt.Errorf("the reflector cannot tell who it is: %w", err)
	}
	if len(b) > smallUDP {
		return fmt.Errorf("the names of node, namespace and pod are together %d bytes too long for an answer", len(b)-smallUDP)
	}
	return nil
}

func (r *Reflector) within(open func()) {
	if r.Within == nil {
		open()
		return
	}
	r.Within(open)
}

func (r *Reflector) open(addr netip.Addr) (err error) {
	r.within(func() { err = r.openHere(addr) })
	if err != nil {
		return fmt.Errorf("the reflector cannot listen on %s: %w", addr, err)
	}
	return nil
}

func (r *Reflector) openHere(addr netip.Addr) error {
	lc := net.ListenConfig{Control: controlListener, KeepAlive: -1}
	lc.SetMultipathTCP(false)
	ctx := context.Background()
	l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr, r.Port).String())
	if err != nil {
		return err
	}
	r.tcp = append(r.tcp, newGate(l, maxTCP, refusal(overTCP, codeBusy)))
	h, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr, r.HTTPPort).String())
	if err != nil {
		return err
	}
	r.http = append(r.http, newGate(h, maxHTTP, []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")))
	u, err := lc.ListenPacket(ctx, "udp", l.Addr().String())
	if err != nil {
		return err
	}
	udp, ok := u.(*net.UDPConn)
	if !ok {
		return errors.Join(fmt.Errorf("%T is no UDP socket", u), u.Close())
	}
	r.udp = append(r.udp, udp)
	return nil
}

// Close ends all sockets and waits for what was being answered.
func (r *Reflector) Close() {
	if r.done == nil {
		return
	}
	close(r.done)
	for _, s := range r.servers {
		end(s)
	}
	for _, g := range append(r.tcp, r.http...) {
		end(g)
		g.closeAll()
	}
	for _, c := range r.udp {
		end(c)
	}
	r.tasks.Wait()
	r.tcp, r.http, r.udp, r.servers, r.done = nil, nil, nil, nil, nil
}

// TCPAddrs are where it listens for TCP, in the order of Addrs.
func (r *Reflector) TCPAddrs() []netip.AddrPort { return gateAddrs(r.tcp) }

// HTTPAddrs are where it listens for HTTP, in the order of Addrs.
func (r *Reflector) HTTPAddrs() []netip.AddrPort { return gateAddrs(r.http) }

// UDPAddrs are where it listens for UDP, in the order of Addrs.
func (r *Reflector) UDPAddrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, c := range r.udp {
		out = append(out, addrPort(c.LocalAddr()))
	}
	return out
}

func gateAddrs(gates []*gate) []netip.AddrPort {
	var out []netip.AddrPort
	for _, g := range gates {
		out = append(out, addrPort(g.Addr()))
	}
	return out
}

// addrPort is a socket's address without an IPv4 address in IPv6 clothes and
// without a zone.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return plain(ap)
}

func plain(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

func (r *Reflector) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

func (r *Reflector) serveTCP(g *gate) {
	for {
		conn, err := g.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-r.done:
				return
			case <-time.After(retryAfter):
			}
			continue
		}
		r.tasks.Go(func() { r.converse(conn) })
	}
}

// converse answers what comes over one connection: a small request, and a
// full-size one if that is wanted.
func (r *Reflector) converse(conn net.Conn) {
	defer end(conn)
	end := time.Now().Add(connTime)
	for {
		deadline := time.Now().Add(messageTime)
		if deadline.After(end) {
			deadline = end
		}
		if conn.SetDeadline(deadline) != nil {
			return
		}
		q, err := readRequest(conn, overTCP, r.Keys.all())
		if errors.Is(err, errMAC) {
			_, _ = conn.Write(refusal(overTCP, codeKey))
		}
		if err != nil {
			return
		}
		if c, ok := conn.(*gateConn); ok {
			c.trusted()
		}
		b, err := r.answer(q, addrPort(conn.RemoteAddr()))
		if err != nil {
			return
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// answer is signed with the key of its request, so that whoever asked knows it.
func (r *Reflector) answer(q request, source netip.AddrPort) ([]byte, error) {
	r.heard.note(q.node, q.pod, source.Addr(), time.Now())
	return answer{over: q.over, nonce: q.nonce, size: q.want, received: q.size,
		source: source, from: r.Identity}.encode(q.key)
}

func (r *Reflector) serveUDP(conn *net.UDPConn) {
	buf := make([]byte, MaxMessage+1)
	failures := 0
	for {
		n, source, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if failures++; failures > 100 {
				r.fail(fmt.Errorf("the reflector stopped answering over UDP on %s: %w", conn.LocalAddr(), err))
				return
			}
			continue
		}
		failures = 0
		if b := r.reflectUDP(buf[:n], plain(source)); b != nil {
			// A lost answer is what the prober measures.
			_, _ = conn.WriteToUDPAddrPort(b, source)
		}
	}
}

// reflectUDP is the answer to one datagram; nil where there must be none.
func (r *Reflector) reflectUDP(datagram []byte, source netip.AddrPort) []byte {
	in := bytes.NewReader(datagram)
	q, err := readRequest(in, overUDP, r.Keys.all())
	if err != nil || in.Len() > 0 || q.want > q.size {
		return nil
	}
	b, err := r.answer(q, source)
	if err != nil || len(b) > len(datagram) {
		return nil
	}
	return b
}

func (r *Reflector) server() *http.Server {
	s := &http.Server{
		Handler:           r.handler(),
		ReadHeaderTimeout: messageTime,
		ReadTimeout:       messageTime,
		WriteTimeout:      connTime,
		IdleTimeout:       time.Second,
		MaxHeaderBytes:    maxHeader,
		// What strangers send is none of the log's business.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s.SetKeepAlivesEnabled(false)
	return s
}

func (r *Reflector) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader("ok\n"))
	})
	mux.HandleFunc("GET /reflect", r.serveReflect)
	mux.HandleFunc("GET /report", r.serveReport)
	return mux
}
