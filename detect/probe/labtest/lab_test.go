//go:build linux

// Package labtest sends probes through a real kernel.
package labtest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const namespace = "remediate-probe"

func daemons() []lab.PodSpec {
	return []lab.PodSpec{{Namespace: namespace, Name: "open"}, {Namespace: namespace, Name: "guarded", Guarded: true}}
}

func families() []string { return []string{cidr.IPv4, cidr.IPv6} }

// within runs something in a space.
func within(t *testing.T, s *lab.Space) func(func()) {
	return func(open func()) {
		if err := s.Do(func() error { open(); return nil }); err != nil {
			t.Error(err)
		}
	}
}

func target(p *lab.Pod) string {
	if p.Guarded {
		return v1alpha1.TargetGuarded
	}
	return v1alpha1.TargetOpen
}

// world is a lab with a reflector in each pod.
type world struct {
	*lab.Lab
	t    *testing.T
	keys *probe.Keyring
	all  map[*lab.Pod]*probe.Reflector
}

func newWorld(t *testing.T, spec lab.Spec) *world {
	t.Helper()
	keys, err := probe.NewKeyring([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if spec.Nodes == 0 {
		spec.Nodes = 2
	}
	spec.Daemons = daemons()
	w := &world{Lab: lab.New(t, spec), t: t, keys: keys, all: map[*lab.Pod]*probe.Reflector{}}
	for _, p := range w.Pods() {
		r := &probe.Reflector{
			Identity: probe.Identity{Node: p.Node.Name, Namespace: p.Namespace, Pod: p.Name, Target: target(p)},
			Keys:     keys, Addrs: p.IPs(), Port: mesh.Port, HTTPPort: mesh.HTTPPort, Within: within(t, p.Space),
		}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		w.all[p] = r
	}
	return w
}

// pod is a node's open or guarded pod.
func (w *world) pod(node int, guarded bool) *lab.Pod {
	w.t.Helper()
	for _, p := range w.Pods() {
		if p.Node == w.Nodes[node] && p.Guarded == guarded {
			return p
		}
	}
	w.t.Fatalf("node %d has no such pod", node)
	return nil
}

func check(from, to *lab.Pod, family, protocol string) mesh.Check {
	port := mesh.Port
	if protocol == "HTTP" {
		port = mesh.HTTPPort
	}
	return mesh.Check{
		From: v1alpha1.Endpoint{Namespace: from.Namespace, Pod: from.Name, Node: from.Node.Name, IP: from.IP(family).String()},
		To:   v1alpha1.Endpoint{Namespace: to.Namespace, Pod: to.Name, Node: to.Node.Name, IP: to.IP(family).String(), Port: port},
		Via:  "PodIP", Family: family, Protocol: protocol, Target: target(to),
	}
}

// patience is how long an exchange may take that is not to be lost, on a machine
// that has other things to do.
const patience = 10 * time.Second

func (w *world) do(from *lab.Pod, c mesh.Check, timeout time.Duration) v1alpha1.Observation {
	p := &probe.Prober{Keys: w.keys, Within: within(w.t, from.Space), Timeout: timeout}
	return p.Do(w.t.Context(), c)
}

// expect does one check and compares outcome and source.
func (w *world) expect(what string, from *lab.Pod, c mesh.Check, outcome string, source netip.Addr) v1alpha1.Observation {
	w.t.Helper()
	timeout := patience
	if outcome == v1alpha1.OutcomeTimeout {
		timeout = 400 * time.Millisecond
	}
	o := w.do(from, c, timeout)
	if o.Outcome != outcome {
		w.t.Errorf("%s: %s %s %d bytes: %s %q, want %s", what, c.Family, c.Protocol, o.Bytes, o.Outcome, o.Reason, outcome)
	}
	want := ""
	if source.IsValid() {
		want = source.String()
	}
	if o.SourceSeen != want {
		w.t.Errorf("%s: %s %s: seen as %q, want %q", what, c.Family, c.Protocol, o.SourceSeen, want)
	}
	return o
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from := w.pod(0, false)
	for _, to := range []*lab.Pod{w.pod(0, true), w.pod(1, false), w.pod(1, true)} {
		for _, family := range families() {
			for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
				c := check(from, to, family, protocol)
				w.expect("small", from, c, v1alpha1.OutcomeOK, from.IP(family))
				c.Bytes, c.Back = mesh.FullSize, true
				if o := w.expect("full size", from, c, v1alpha1.OutcomeOK, from.IP(family)); o.Bytes != 1500 {
					t.Errorf("%s %s: full size is %d bytes", family, protocol, o.Bytes)
				}
			}
			c := check(from, to, family, "ICMP")
			w.expect("ping", from, c, v1alpha1.OutcomeOK, netip.Addr{})
			c.Bytes = mesh.FullSize
			if o := w.expect("full-size ping", from, c, v1alpha1.OutcomeOK, netip.Addr{}); o.Bytes != 1500 {
				t.Errorf("%s: a full-size ping has %d bytes", family, o.Bytes)
			}
		}
	}
}

func TestPingNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{NoPing: true})
	for _, family := range families() {
		o := w.expect("ping", w.pod(0, false), check(w.pod(0, false), w.pod(1, false), family, "ICMP"), v1alpha1.OutcomeNotChecked, netip.Addr{})
		if !strings.Contains(o.Reason, "ping_group_range") {
			t.Errorf("%s: %q", family, o.Reason)
		}
	}
}

// The incident: across nodes the open target sees the node, and the guarded one
// does not answer; on the same node all is well.
func TestMasqueraded(t *testing.T) {
	t.Parallel()
	cfg := lab.Incident()
	w := newWorld(t, lab.Spec{Config: &cfg})
	from, node := w.pod(0, false), w.Nodes[0]
	for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
		w.expect("open", from, check(from, w.pod(1, false), cidr.IPv6, protocol), v1alpha1.OutcomeOK, node.IP(cidr.IPv6))
		w.expect("guarded", from, check(from, w.pod(1, true), cidr.IPv6, protocol), v1alpha1.OutcomeTimeout, netip.Addr{})
		w.expect("guarded on the same node", from, check(from, w.pod(0, true), cidr.IPv6, protocol), v1alpha1.OutcomeOK, from.IP(cidr.IPv6))
		w.expect("guarded over the other family", from, check(from, w.pod(1, true), cidr.IPv4, protocol), v1alpha1.OutcomeOK, from.IP(cidr.IPv4))
	}
}

func TestRefusedUnreachableTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	each := func(what, outcome string) {
		t.Helper()
		for _, family := range families() {
			for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
				w.expect(what, from, check(from, to, family, protocol), outcome, netip.Addr{})
			}
		}
	}
	undo := w.Nodes[1].CutPods()
	each("pods cut off", v1alpha1.OutcomeTimeout)
	undo()
	w.all[to].Close()
	each("reflector gone", v1alpha1.OutcomeRefused)
	for _, family := range families() {
		route := []string{"-4", "route", "add", "unreachable", to.IP(family).String()}
		if family == cidr.IPv6 {
			route[0] = "-6"
		}
		if out, err := from.Run(t.Context(), "ip", route...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	each("no route", v1alpha1.OutcomeUnreachable)
}

// A policy of the prober's own node that forbids it to send is no loss.
func TestBlockedSocketIsNoLoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	rules := "table inet blocked { chain output { type filter hook output priority 0; meta l4proto { udp, icmp, ipv6-icmp } drop; }; }"
	if out, err := from.Run(t.Context(), "nft", rules); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Of a ping over IPv6 the kernel does not tell its sender.
	for _, c := range []mesh.Check{
		check(from, to, cidr.IPv4, "UDP"), check(from, to, cidr.IPv6, "UDP"), check(from, to, cidr.IPv4, "ICMP"),
	} {
		o := w.expect("blocked", from, c, v1alpha1.OutcomeNotChecked, netip.Addr{})
		if o.Sent != 0 || !strings.Contains(o.Reason, "own node") {
			t.Errorf("%s %s: %+v", c.Family, c.Protocol, o)
		}
	}
}

// A prober that has run out of ports has not lost a packet.
func TestOutOfPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	if err := from.Sysctl(map[string]string{"ipv4/ip_local_port_range": "40000 40000"}); err != nil {
		t.Fatal(err)
	}
	for _, family := range families() {
		for _, network := range []string{"tcp", "udp"} {
			at := netip.AddrPortFrom(to.IP(family), mesh.Port).String()
			held, err := from.DialContext(t.Context(), network, at)
			if err != nil {
				t.Fatalf("%s %s: %v", family, network, err)
			}
			o := w.expect("out of ports", from, check(from, to, family, strings.ToUpper(network)), v1alpha1.OutcomeNotChecked, netip.Addr{})
			if o.Sent != 0 {
				t.Errorf("%s %s: %+v", family, network, o)
			}
			held.Close()
		}
	}
}

// Pods without a family cannot be asked over it, and cannot ask.
func TestOneFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{IPv4: true})
	from, to := w.pod(0, false), w.pod(1, false)
	c := check(from, to, cidr.IPv4, "TCP")
	w.expect("the family that is there", from, c, v1alpha1.OutcomeOK, from.IP(cidr.IPv4))
	c.Family, c.To.IP = cidr.IPv6, ""
	w.expect("no address", from, c, v1alpha1.OutcomeNotChecked, netip.Addr{})
	for _, protocol := range []string{"TCP", "UDP", "HTTP", "ICMP"} {
		c.Protocol, c.To.IP = protocol, "fd00:101:224:2::101"
		w.expect("no address of its own", from, c, v1alpha1.OutcomeUnreachable, netip.Addr{})
	}
}

// A black hole for large packets: small ones pass, full-size ones do not, and
// nobody says why.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	w.Cut(lab.Cut{LongerThan: 1450})
	for _, family := range families() {
		for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
			c := check(from, to, family, protocol)
			w.expect("small", from, c, v1alpha1.OutcomeOK, from.IP(family))
			c.Bytes = 1450
			w.expect("as the path carries", from, c, v1alpha1.OutcomeOK, from.IP(family))
			c.Bytes = mesh.FullSize
			o := w.expect("full size", from, c, v1alpha1.OutcomeTimeout, netip.Addr{})
			if o.Bytes != 1500 || (protocol == "TCP" && !strings.Contains(o.Reason, "a small exchange")) {
				t.Errorf("%s %s: %d bytes, %q", family, protocol, o.Bytes, o.Reason)
			}
		}
	}
}

// One direction only: there the large packets get through, and back they do not.
func TestBlackHoleOnTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	w.Cut(lab.Cut{From: w.Nodes[1], To: w.Nodes[0], OneWay: true, LongerThan: 1450})
	for _, family := range families() {
		for _, protocol := range []string{"TCP", "UDP"} {
			c := check(from, to, family, protocol)
			c.Bytes = mesh.FullSize
			w.expect("there", from, c, v1alpha1.OutcomeOK, from.IP(family))
			c.Back = true
			w.expect("and back", from, c, v1alpha1.OutcomeTimeout, netip.Addr{})
		}
	}
}

// A router that says what it carries: the first packet to an address tells, and
// then the kernel knows and full size is what the path carries.
func TestTooBig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from := w.pod(0, false)
	w.Nodes[0].SetMTU(1450)
	for _, family := range families() {
		for _, c := range []mesh.Check{
			check(from, w.pod(1, false), family, "UDP"), check(from, w.pod(1, true), family, "ICMP"),
		} {
			c.Bytes = 1500
			o := w.expect("1500 bytes", from, c, v1alpha1.OutcomeTooBig, netip.Addr{})
			if !strings.Contains(o.Reason, "1450") || o.Bytes != 1500 {
				t.Errorf("%s %s: %d bytes, %q", family, c.Protocol, o.Bytes, o.Reason)
			}
			for _, size := range []int{1500, 9000, mesh.FullSize} {
				c.Bytes = size
				if o := w.do(from, c, patience); o.Outcome != v1alpha1.OutcomeOK || o.Bytes != 1450 {
					t.Errorf("%s %s: %d bytes become %d, %s %q", family, c.Protocol, size, o.Bytes, o.Outcome, o.Reason)
				}
			}
		}
	}
}

// A route that carries less than its device, as tunnels make them, is no fault.
func TestRouteMTU(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	w.Cut(lab.Cut{LongerThan: 1450})
	for _, family := range families() {
		flag := "-4"
		if family == cidr.IPv6 {
			flag = "-6"
		}
		via := w.Nodes[0].RouterIP(family).String()
		if out, err := from.Run(t.Context(), "ip", flag, "route", "replace", "default", "via", via, "dev", "eth0", "mtu", "1450"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, protocol := range []string{"TCP", "UDP", "HTTP", "ICMP"} {
			c := check(from, to, family, protocol)
			c.Bytes = 1500
			if o := w.do(from, c, patience); o.Outcome != v1alpha1.OutcomeOK || o.Bytes != 1450 {
				t.Errorf("%s %s: %d bytes, %s %q", family, protocol, o.Bytes, o.Outcome, o.Reason)
			}
		}
	}
}

// A service answers with the pod behind it; the answers' source is the prober.
func TestService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from, to := w.pod(0, false), w.pod(1, false)
	ports := []lab.ServicePort{{Protocol: "TCP", Port: mesh.Port}, {Protocol: "UDP", Port: mesh.Port}, {Protocol: "TCP", Port: mesh.HTTPPort}}
	svc := w.AddService(lab.Service{Namespace: namespace, Name: "remediate-probe", Ports: ports, Endpoints: lab.AddressesOf(to)})
	for _, ip := range svc.ClusterIPs {
		family := cidr.Family(ip)
		for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
			c := check(from, to, family, protocol)
			c.Via, c.To = "ClusterIP", v1alpha1.Endpoint{IP: ip.String(), Port: c.To.Port}
			o := w.expect("service", from, c, v1alpha1.OutcomeOK, from.IP(family))
			if o.To.Pod != to.Name || o.To.Node != to.Node.Name || o.To.IP != ip.String() {
				t.Errorf("%s %s: answered by %+v", family, protocol, o.To)
			}
		}
	}
}

// The kubelet's port is closed in the lab: a node that refuses has been reached,
// one that is off the wire has not.
func TestNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Spec{})
	from := w.pod(0, false)
	node := func(family string) mesh.Check {
		c := check(from, from, family, "TCP")
		c.Via, c.Target = "NodeIP", ""
		c.To = v1alpha1.Endpoint{Node: w.Nodes[1].Name, IP: w.Nodes[1].IP(family).String(), Port: 10250}
		return c
	}
	for _, family := range families() {
		w.expect("node", from, node(family), v1alpha1.OutcomeOK, netip.Addr{})
	}
	w.Cut(lab.Cut{From: w.Nodes[0], To: w.Nodes[1]})
	for _, family := range families() {
		w.expect("node cut off", from, node(family), v1alpha1.OutcomeTimeout, netip.Addr{})
	}
}
