package mesh

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Ports of a probe, and those of others that it tries.
const (
	// Port answers TCP and UDP, HTTPPort HTTP; the host-network twin has the same.
	Port     = 9971
	HTTPPort = 9972
	// BackendPort and BackendHTTPPort are the same of what is behind the probes'
	// Service: the guarded targets, which ask nothing, so that the Service leads no
	// prober back to itself. Cilium before 1.19 does not carry that over IPv6
	// (bpf/bpf_lxc.c:512 and 1964, 1.18.6). Everybody is admitted there.
	BackendPort     = 9973
	BackendHTTPPort = 9974
	// KubeletPort is tried where a node has no twin: accepted or refused, the path works.
	KubeletPort = 10250
	// DNSPort is the cluster DNS's.
	DNSPort = 53
)

// Ways of a Check.
const (
	ViaPodIP     = "PodIP"
	ViaClusterIP = "ClusterIP"
	ViaNodeIP    = "NodeIP"
	ViaDNS       = "DNS"
	ViaExternal  = "External"
)

// Protocols of a Check.
const (
	TCP  = "TCP"
	UDP  = "UDP"
	HTTP = "HTTP"
	ICMP = "ICMP"
)

// Self is the probe that a plan is for.
type Self struct {
	Namespace, Pod, Node string
	// IPs are the pod's own, at most one per family.
	IPs []netip.Addr
	// HostNetwork: the probe is the twin in the node's own network, which tries other
	// nodes and their open targets, and nothing else.
	HostNetwork bool
	// MTU of the pod's device in bytes; 0 leaves the full-size checks out.
	MTU int
}

// Turn is what a slot is for. Without a reason not to, the check is to be made.
type Turn struct {
	Check Check
	// NotChecked says why the check cannot be made: nothing is sent for it.
	NotChecked string
}

// Idle says that the slot has no check.
func (t Turn) Idle() bool { return t.Check.Via == "" }

// Plan is one probe's share of the mesh.
type Plan struct {
	ring     *Ring
	self     Self
	at       int // in the ring, or -1
	families []string
	own      [][]Turn
}

// Plan is self's share. A node that is not in the ring (yet) makes only its own
// checks and meets no peer.
func (r *Ring) Plan(self Self) *Plan {
	p := &Plan{ring: r, self: self, at: r.index(self.Node)}
	for _, f := range []string{cidr.IPv6, cidr.IPv4} {
		if of(self.IPs, f).IsValid() {
			p.families = append(p.families, f)
		}
	}
	p.own = p.ownChecks()
	return p
}

// InRing says whether the probe's own node is a member.
func (p *Plan) InRing() bool { return p.at >= 0 }

// Prober is the pod whose probe asks in the name of a node, of the same kind as the
// plan's own; empty when there is none.
func (p *Plan) Prober(node string) string {
	i := p.ring.index(node)
	if i < 0 {
		return ""
	}
	t := p.ring.nodes[i].Open
	if p.self.HostNetwork {
		t = p.ring.nodes[i].Host
	}
	if t == nil {
		return ""
	}
	return t.Pod
}

// Nodes is the number of members.
func (p *Plan) Nodes() int { return p.ring.Len() }

// IsOwn says whether a slot is for the node's own checks, and the how many-th of
// its pass it is (0 to 3) and the number of that pass.
func IsOwn(slot int64) (own bool, nth, pass int64) {
	t := turnAt(slot)
	if !t.own {
		return false, 0, 0
	}
	n := int64(len(ownSlots))
	pass = floorDiv(t.number, n)
	return true, t.number - pass*n, pass
}

// At is what the probe does in a slot (see [SlotAt]).
func (p *Plan) At(slot int64) Turn {
	t := turnAt(slot)
	if t.own {
		return p.ownAt(t.number)
	}
	if p.at < 0 || p.ring.Len() < 2 || len(p.families) == 0 {
		return Turn{}
	}
	offset, visit := meeting(t.number, p.ring.Len())
	peer := &p.ring.nodes[(p.at+offset)%p.ring.Len()]
	if p.self.HostNetwork {
		return p.twinTurn(peer, offset, visit, t.number+t.pass)
	}
	family, kind := p.pick(peer, int64(offset), visit, t.pass)
	return p.peerCheck(peer, family, kinds[kind])
}

// twinTurn is a twin's, which has every other turn, so that it meets each peer in one
// pass of the round: by turns a node's address, which tells the nodes' own path, and
// its open target. When only that fails the differential tells at once that the nodes'
// path works.
func (p *Plan) twinTurn(peer *Member, offset int, visit, turn int64) Turn {
	if mod(turn, 2) != 0 {
		return Turn{}
	}
	both, n := p.common(peer), int64(offset)+visit
	family := both[mod(n, int64(len(both)))]
	if mod(floorDiv(n, 2), 2) == 0 {
		return p.nodeCheck(peer, family)
	}
	return p.peerCheck(peer, family, kinds[0])
}

func (p *Plan) ownAt(n int64) Turn {
	if len(p.own) == 0 {
		return Turn{}
	}
	// Neighbours in the ring are one step apart, so that not all ask the cluster's
	// DNS at once.
	n += int64(max(p.at, 0))
	size := int64(len(p.own))
	lap := floorDiv(n, size)
	variants := p.own[n-lap*size]
	return variants[mod(lap+int64(max(p.at, 0)), int64(len(variants)))]
}

// pick is the family and the kind of a visit. The families swap from one pass to
// the next, and from visit to visit where a pass meets each peer more than once;
// where the two nodes have only one family in common, both passes are for it.
func (p *Plan) pick(peer *Member, offset, visit, pass int64) (family string, kind int64) {
	both := p.common(peer)
	swap := pass + offset
	if oftenMet(p.ring.Len()) {
		swap += visit
	}
	size := int64(len(kinds))
	if len(both) < 2 {
		return both[0], mod(2*visit+pass+offset, size)
	}
	return both[mod(swap, 2)], mod(visit+offset, size)
}

func mod(a, b int64) int64 { return a - floorDiv(a, b)*b }

// common are the families that the probe and any address of the peer share; the
// probe's own when they share none, so that it is said.
func (p *Plan) common(peer *Member) []string {
	var out []string
	for _, f := range p.families {
		if peer.has(f) {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return p.families
	}
	return out
}

func (m *Member) has(family string) bool {
	for _, t := range []*Target{m.Open, m.Guarded} {
		if t != nil && of(t.IPs, family).IsValid() {
			return true
		}
	}
	return false
}

// of is the first address of a family, or none.
func of(ips []netip.Addr, family string) netip.Addr {
	for _, a := range ips {
		if a.IsValid() && cidr.Family(a) == family {
			return a
		}
	}
	return netip.Addr{}
}

func (p *Plan) from(family string) v1alpha1.Endpoint {
	e := v1alpha1.Endpoint{Namespace: p.self.Namespace, Pod: p.self.Pod, Node: p.self.Node}
	if a := of(p.self.IPs, family); a.IsValid() {
		e.IP = a.String()
	}
	return e
}

// turn completes a check towards addr and says what stands in its way.
func (p *Plan) turn(c Check, addr netip.Addr, what string) Turn {
	c.From, c.HostNetwork = p.from(c.Family), p.self.HostNetwork
	t := Turn{Check: c}
	if addr.IsValid() {
		t.Check.To.IP = addr.String()
	}
	switch {
	case c.From.IP == "":
		t.NotChecked = "this probe has no " + c.Family + " address"
	case !addr.IsValid():
		t.NotChecked = fmt.Sprintf("%s has no %s address", what, c.Family)
	case p.ring.isTwice(addr):
		t.NotChecked = fmt.Sprintf("address %s belongs to several members", addr)
	}
	return t
}

// Holds says whether the plan still has the check's two ends, so that what was
// seen of it before the membership changed still means something.
func (p *Plan) Holds(c Check) bool {
	to, err := netip.ParseAddr(c.To.IP)
	if err != nil || c.From != p.from(c.Family) {
		return false
	}
	all := p.ring.members
	switch c.Via {
	case ViaClusterIP:
		return slices.Contains(all.Services, to)
	case ViaDNS:
		return slices.Contains(all.DNS.Services, to) || slices.Contains(all.DNS.Pods, to)
	case ViaExternal:
		return slices.Contains(all.External, netip.AddrPortFrom(to, uint16(c.To.Port)))
	}
	m := p.byNode(c.To.Node)
	if m == nil {
		return false
	}
	if c.Via == ViaNodeIP && c.To.Pod == "" {
		return slices.Contains(m.NodeIPs, to)
	}
	for _, t := range []*Target{m.Open, m.Guarded, m.Host} {
		if t != nil && t.Pod == c.To.Pod && t.Namespace == c.To.Namespace {
			return slices.Contains(t.IPs, to)
		}
	}
	return false
}
