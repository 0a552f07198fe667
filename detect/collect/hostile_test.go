package collect_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/detect/signature"
)

// pods is a cluster of real probes on loopback addresses: agents and reflectors as
// they run on nodes, a matrix that reads what they write, and a tracker that judges.
type pods struct {
	t       *testing.T
	net     byte
	members mesh.Membership
	keys    *probe.Keyring
	matrix  *collect.Matrix

	mu      sync.Mutex
	tracker confirm.Tracker
	told    map[string]int // observations about node-1, by prober
}

const nodes = 4

// newPods uses the addresses 127.net.0.0/16.
func newPods(t *testing.T, net byte) *pods {
	t.Helper()
	p := &pods{t: t, net: net, keys: keyring(t, 1), matrix: collect.NewMatrix(collect.Limits{}), told: map[string]int{}}
	p.members.Version = 1
	var names []string
	for i := range nodes {
		node := fmt.Sprintf("node-%d", i)
		names = append(names, node)
		target := func(kind string, last byte) *mesh.Target {
			return &mesh.Target{Namespace: namespace, Pod: fmt.Sprintf("%s-%d", kind, i), IPs: []netip.Addr{p.ip(i, last)}}
		}
		p.members.Members = append(p.members.Members, mesh.Member{
			Node: node, Open: target("open", 10), Guarded: target("guarded", 11), NodeIPs: []netip.Addr{p.ip(i, 1)},
		})
	}
	p.tracker.Members(names)
	return p
}

func keyring(t *testing.T, first byte) *probe.Keyring {
	t.Helper()
	keys, err := probe.NewKeyring(bytes.Repeat([]byte{first}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (p *pods) ip(node int, last byte) netip.Addr {
	return netip.AddrFrom4([4]byte{127, p.net, byte(node), last})
}

func (p *pods) target(node int, kind string) *mesh.Target {
	if kind == v1alpha1.TargetGuarded {
		return p.members.Members[node].Guarded
	}
	return p.members.Members[node].Open
}

// honest is a target as it should be; change may change what it is.
func (p *pods) honest(node int, kind string, change func(*probe.Reflector)) {
	p.t.Helper()
	to := p.target(node, kind)
	r := &probe.Reflector{
		Identity: probe.Identity{Node: p.members.Members[node].Node, Namespace: to.Namespace, Pod: to.Pod, Target: kind},
		Keys:     p.keys, Addrs: to.IPs, Port: mesh.Port, HTTPPort: mesh.HTTPPort,
	}
	if change != nil {
		change(r)
	}
	if err := r.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(r.Close)
}

// liar is a target that signs rightly, and sees another source than there is: a
// relay stands before an honest one.
func (p *pods) liar(node int, kind string) {
	p.t.Helper()
	hidden := p.ip(node, 100+p.target(node, kind).IPs[0].As4()[3])
	p.honest(node, kind, func(r *probe.Reflector) { r.Addrs = []netip.Addr{hidden} })
	feigned := p.ip(node, 200)
	p.serve(node, kind, func(in net.Conn) {
		to, err := netip.ParseAddrPort(in.LocalAddr().String())
		if err != nil {
			return
		}
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: feigned.AsSlice()}, Timeout: time.Second}
		out, err := from.Dial("tcp", netip.AddrPortFrom(hidden, to.Port()).String())
		if err != nil {
			return
		}
		go func() { io.Copy(out, in); out.Close() }()
		io.Copy(in, out)
	}, func(request []byte) []byte {
		from := net.Dialer{LocalAddr: &net.UDPAddr{IP: feigned.AsSlice()}, Timeout: time.Second}
		out, err := from.Dial("udp", netip.AddrPortFrom(hidden, mesh.Port).String())
		if err != nil {
			return nil
		}
		defer out.Close()
		out.SetDeadline(time.Now().Add(time.Second))
		out.Write(request)
		answer := make([]byte, 1<<16)
		n, _ := out.Read(answer)
		return answer[:n]
	})
}

// serve is a target that does as it likes, on all its ports.
func (p *pods) serve(node int, kind string, conn func(net.Conn), packet func([]byte) []byte) {
	p.t.Helper()
	ip := p.target(node, kind).IPs[0]
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []io.Closer
	closing := func(c io.Closer) {
		mu.Lock()
		defer mu.Unlock()
		open = append(open, c)
	}
	for _, port := range []uint16{mesh.Port, mesh.HTTPPort} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(ip, port).String())
		if err != nil {
			p.t.Fatal(err)
		}
		closing(l)
		wg.Go(func() {
			for {
				in, err := l.Accept()
				if err != nil {
					return
				}
				closing(in)
				wg.Go(func() { defer in.Close(); conn(in) })
			}
		})
	}
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, mesh.Port)))
	if err != nil {
		p.t.Fatal(err)
	}
	closing(u)
	wg.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if out := packet(bytes.Clone(buffer[:n])); len(out) > 0 {
				u.WriteToUDPAddrPort(out, from)
			}
		}
	})
	p.t.Cleanup(func() {
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// start runs the agents until the test ends.
func (p *pods) start() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, m := range p.members.Members {
		key := collect.Key{Namespace: m.Open.Namespace, Pod: m.Open.Pod}
		p.matrix.Put(collect.Target{Key: key, UID: "1", Node: m.Node, Phase: "Running"}, time.Now())
		agent := &probe.Agent{
			// What the loopback device sends has this source.
			Self:   mesh.Self{Namespace: namespace, Pod: m.Open.Pod, Node: m.Node, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, MTU: 1500},
			Prober: &probe.Prober{Keys: p.keys}, Members: &given{m: &p.members}, Out: &mouth{p, key},
		}
		wg.Go(func() {
			if err := agent.Run(ctx); err != nil {
				p.t.Error(err)
			}
		})
	}
	p.t.Cleanup(func() { cancel(); wg.Wait() })
}

// given is a membership that does not change.
type given struct{ m *mesh.Membership }

func (g *given) Poll() (m *mesh.Membership, err error) {
	m, g.m = g.m, nil
	return m, nil
}

// mouth is a probe's standard output: what comes of it goes the collector's way.
type mouth struct {
	p   *pods
	key collect.Key
}

func (m *mouth) Write(text []byte) (int, error) {
	line, dropped, err := collect.Parse(text)
	if err != nil || dropped > 0 {
		m.p.t.Errorf("%d dropped, %v: %s", dropped, err, text)
		return len(text), nil
	}
	now := time.Now()
	fresh := m.p.matrix.Add(m.key, line, collect.PathFollow, now)
	if fresh == nil {
		m.p.t.Errorf("the collector does not take %s", text)
		return len(text), nil
	}
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	m.p.tracker.Observe(now, fresh.Observations...)
	if fresh.Beat {
		var counts []confirm.Count
		for _, t := range fresh.Tallies {
			counts = append(counts, confirm.Count(t))
		}
		m.p.tracker.Beat(now, fresh.From.Node, counts...)
	}
	for _, o := range fresh.Observations {
		if o.To.Node == "node-1" && o.From.Node != "node-1" {
			m.p.told[o.From.Node]++
		}
	}
	return len(text), nil
}

// confirmed are the signatures that are, but for those that are no fault.
func (p *pods) confirmed() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.tracker.Judge(time.Now(), signature.Input{}).Findings {
		if f.Confidence == v1alpha1.ConfidenceConfirmed && f.Severity != v1alpha1.SeverityInfo {
			out = append(out, f.Signature+" "+f.Family+": "+f.Summary)
		}
	}
	return out
}

func (p *pods) toldBy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.told)
}

// hostile are what the targets of one node may do to the probes of all others.
var hostile = []struct {
	name string
	be   func(p *pods, kind string)
}{
	{"lies", func(p *pods, kind string) { p.liar(1, kind) }},
	{"garbage", func(p *pods, kind string) {
		p.serve(1, kind, func(c net.Conn) { c.Write(bytes.Repeat([]byte("\x1b[2J\xff"), 100)) },
			func([]byte) []byte { return []byte("\x1b[2J\xff") })
	}},
	{"1 GB", func(p *pods, kind string) {
		chunk := bytes.Repeat([]byte("HTTP/1.1 200 OK\r\n"), 1<<12)
		p.serve(1, kind, func(c net.Conn) {
			for sent := 0; sent < 1<<30; sent += len(chunk) {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, func([]byte) []byte { return chunk[:1<<15] })
	}},
	{"nothing", func(p *pods, kind string) {
		if kind == v1alpha1.TargetGuarded { // who loses both has lost the node's pods
			p.honest(1, kind, nil)
			return
		}
		p.serve(1, kind, func(c net.Conn) { io.Copy(io.Discard, c) }, func([]byte) []byte { return nil })
	}},
	{"echo", func(p *pods, kind string) {
		p.serve(1, kind, func(c net.Conn) { io.Copy(c, c) }, func(b []byte) []byte { return b })
	}},
	{"wrong key", func(p *pods, kind string) {
		p.honest(1, kind, func(r *probe.Reflector) { r.Keys = keyring(p.t, 9) })
	}},
	{"another's name", func(p *pods, kind string) {
		p.honest(1, kind, func(r *probe.Reflector) { r.Identity.Pod, r.Identity.Node = "open-2", "node-2" })
	}},
	{"no name", func(p *pods, kind string) {
		p.honest(1, kind, func(r *probe.Reflector) { r.Identity = probe.Identity{} })
	}},
}

// Real probes meet one node's targets that lie, babble or keep silent. Nobody
// panics or leaks, what they write are lines, and nothing is confirmed.
func TestHostileReflectorsConfirmNothing(t *testing.T) {
	lasts := 20 * time.Second // as long as any quorum holds
	if os.Getenv("REMEDIATE_SOAK") != "" {
		lasts = 3 * time.Minute
	}
	for i, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			p := newPods(t, byte(101+i))
			for node := range nodes {
				for _, kind := range []string{v1alpha1.TargetOpen, v1alpha1.TargetGuarded} {
					if node == 1 {
						h.be(p, kind)
					} else {
						p.honest(node, kind, nil)
					}
				}
			}
			p.start()
			eventually(t, "all others tell of it", func() bool { return p.toldBy() == nodes-1 })
			for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				if got := p.confirmed(); len(got) > 0 {
					t.Fatalf("confirmed %q", got)
				}
			}
		})
	}
}

// The same rig confirms what is so: every target sees another source, and no
// guarded one answers.
func TestTheSameWordOfAllIsConfirmed(t *testing.T) {
	t.Parallel()
	p := newPods(t, 100)
	for node := range nodes {
		p.liar(node, v1alpha1.TargetOpen)
		p.serve(node, v1alpha1.TargetGuarded, func(c net.Conn) { io.Copy(io.Discard, c) }, func([]byte) []byte { return nil })
	}
	p.start()
	eventually(t, "the other source is confirmed", func() bool {
		return slices.ContainsFunc(p.confirmed(), func(s string) bool { return bytes.HasPrefix([]byte(s), []byte(signature.PodSourceMasqueraded+" IPv4")) })
	})
}
