//go:build linux

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/remediate-dev/remediate/internal/cidr"
)

const (
	dnsPort = "53"
	// dnsService is the last part of the DNS Service's ClusterIPs.
	dnsService = 10
	// dnsTTL in seconds.
	dnsTTL    = 5
	maxLookup = 4096
)

// DNS is the cluster's DNS: a pod that answers over UDP and TCP, behind the Service
// kube-system/kube-dns. It knows each service as name.namespace.svc.cluster.local.,
// and what [DNS.Add] told it.
type DNS struct {
	Pod     *Pod
	Service Service

	space   *Space
	lab     *Lab // whose services it knows; nil for none's
	mu      sync.Mutex
	records map[string][]netip.Addr
	close   func()
}

// StartDNS starts cluster DNS in a pod of the node. Processes that start in pods
// afterwards have it in /etc/resolv.conf.
func (l *Lab) StartDNS(n *Node) *DNS {
	l.t.Helper()
	pod := n.AddPod(PodSpec{Namespace: "kube-system", Name: "coredns", Labels: map[string]string{"k8s-app": "kube-dns"}})
	d := &DNS{Pod: pod, space: pod.Space, lab: l, records: map[string][]netip.Addr{}}
	s := Service{
		Namespace: "kube-system", Name: "kube-dns", Endpoints: pod.IPs(),
		Ports: []ServicePort{{Protocol: "UDP", Port: 53}, {Protocol: "TCP", Port: 53}},
	}
	for _, family := range l.spec.families() {
		s.ClusterIPs = append(s.ClusterIPs, serviceAddr(family, dnsService))
		d.records["kubernetes.default.svc.cluster.local."] = append(d.records["kubernetes.default.svc.cluster.local."], serviceAddr(family, 1))
	}
	d.Service = l.AddService(s)
	l.must(l.writeResolver(d.Service.ClusterIPs))
	l.must(d.Start())
	l.t.Cleanup(d.Stop)
	return d
}

// NewDNS is a server in a namespace that is no pod of a lab's, which knows what
// [DNS.Add] told it and answers from [DNS.Start] on.
func NewDNS(s *Space) *DNS { return &DNS{space: s, records: map[string][]netip.Addr{}} }

func (l *Lab) writeResolver(servers []netip.Addr) error {
	var b strings.Builder
	b.WriteString("search svc.cluster.local cluster.local\noptions ndots:5\n")
	for _, a := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if err := os.WriteFile(l.path("resolv.conf"), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("failed to write the pods' resolv.conf: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolver = l.path("resolv.conf")
	return nil
}

// Add makes a name known, which ends with a dot.
func (d *DNS) Add(name string, addrs ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[strings.ToLower(name)] = addrs
}

// Start makes the server answer, again after [DNS.Stop].
func (d *DNS) Start() error {
	d.Stop()
	udp, err := d.space.ListenPacket("udp", ":"+dnsPort)
	if err != nil {
		return fmt.Errorf("failed to start cluster DNS: %w", err)
	}
	tcp, err := d.space.Listen("tcp", ":"+dnsPort)
	if err != nil {
		_ = udp.Close()
		return fmt.Errorf("failed to start cluster DNS: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.serveUDP(udp) })
	wg.Go(func() { d.serveTCP(tcp) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close = sync.OnceFunc(func() {
		_ = udp.Close()
		_ = tcp.Close()
		wg.Wait()
	})
	return nil
}

// Stop ends the server while its pod goes on: its port is closed.
func (d *DNS) Stop() {
	d.mu.Lock()
	stop := d.close
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (d *DNS) serveUDP(c net.PacketConn) {
	buf := make([]byte, maxLookup)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if answer, err := d.answer(buf[:n]); err == nil {
			_, _ = c.WriteTo(answer, from)
		}
	}
}

func (d *DNS) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = d.once(c)
		_ = c.Close()
	}
}

// once answers one question of a connection.
func (d *DNS) once(c net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return err
	}
	answer, err := d.answer(query)
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

func (d *DNS) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	addrs, known := d.lookup(strings.ToLower(q.Name.String()))
	header.Response, header.Authoritative, header.RecursionAvailable = true, true, true
	if !known {
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers(), resources(&b, q, addrs)); err != nil {
		return nil, err
	}
	return b.Finish()
}

func resources(b *dnsmessage.Builder, q dnsmessage.Question, addrs []netip.Addr) error {
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}
	var errs []error
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			errs = append(errs, b.AResource(header, dnsmessage.AResource{A: a.As4()}))
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			errs = append(errs, b.AAAAResource(header, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	return errors.Join(errs...)
}

func (d *DNS) lookup(name string) ([]netip.Addr, bool) {
	d.mu.Lock()
	addrs, known := d.records[name]
	d.mu.Unlock()
	if known || d.lab == nil {
		return addrs, known
	}
	for _, s := range d.lab.Services() {
		if name == s.Name+"."+s.Namespace+".svc.cluster.local." {
			return s.ClusterIPs, true
		}
	}
	return nil, false
}

// Resolver looks names up at cluster DNS from within the namespace, at the Service's
// address of a family.
func (s *Space) Resolver(d *DNS, family string) *net.Resolver {
	servers := cidr.AddrsOfFamily(d.Service.ClusterIPs, family)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, fmt.Errorf("cluster DNS has no %s address", family)
		}
		return s.DialContext(ctx, network, net.JoinHostPort(servers[0].String(), dnsPort))
	}}
}
