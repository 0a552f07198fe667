package mesh

import (
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Differential is what to try at once when a check failed, or was answered but
// showed a wrong source: the alternatives of exactly that flow, what decides soonest
// first, each once but the flow itself, which is tried twice again. What cannot be
// checked is left out. All have Differential set.
func (p *Plan) Differential(failed Check) []Check {
	d := &differ{plan: p, failed: failed}
	d.again()
	d.again()
	switch failed.Via {
	case ViaPodIP:
		d.podIP()
	case ViaNodeIP:
		d.nodeIP()
	case ViaClusterIP:
		d.clusterIP()
	case ViaDNS:
		d.dns()
	case ViaExternal:
		d.external()
	}
	return d.out
}

// differ collects the checks of one differential.
type differ struct {
	plan   *Plan
	failed Check
	out    []Check
}

func (d *differ) again() {
	c := d.failed
	c.Differential = true
	d.out = append(d.out, c)
}

func (d *differ) add(turns ...Turn) {
	for _, t := range turns {
		c := t.Check
		c.Differential = true
		if t.Idle() || t.NotChecked != "" || slices.Contains(d.out, c) {
			continue
		}
		d.out = append(d.out, c)
	}
}

// other is the family that the failed check was not of.
func (d *differ) other() string {
	if d.failed.Family == cidr.IPv4 {
		return cidr.IPv6
	}
	return cidr.IPv4
}

func (d *differ) podIP() {
	f, p := d.failed, d.plan
	m := p.byNode(f.To.Node)
	if m == nil {
		return
	}
	same := kind{target: f.Target, protocol: f.Protocol, full: f.Bytes > 0, back: f.Back}
	small := kind{target: f.Target, protocol: f.Protocol}
	opposite := small
	opposite.target = v1alpha1.TargetOpen
	if f.Target == v1alpha1.TargetOpen {
		opposite.target = v1alpha1.TargetGuarded
	}
	if same != small {
		d.add(p.peerCheck(m, f.Family, small))
	}
	d.add(p.peerCheck(m, f.Family, opposite), p.peerCheck(m, d.other(), same))
	neighbour, far := p.nearAndFar(m)
	for _, n := range []*Member{p.guardedSelf(m), neighbour, far} {
		if n != nil {
			d.add(p.peerCheck(n, f.Family, sameNodeKind(n, p, same)))
		}
	}
	d.add(p.nodeCheck(m, f.Family))
	for _, protocol := range []string{TCP, UDP, ICMP, HTTP} {
		d.add(p.peerCheck(m, f.Family, kind{target: v1alpha1.TargetOpen, protocol: protocol}))
	}
	d.services(f.Family)
	d.sizes(m, f.Family)
	d.add(p.peerCheck(m, d.other(), opposite), p.nodeCheck(m, d.other()))
	// Of a direction that is lost, datagrams alone tell which it is, in each family.
	d.sizes(m, d.other())
	for _, n := range []*Member{neighbour, far} {
		if n != nil {
			d.add(p.peerCheck(n, f.Family, opposite), p.peerCheck(n, d.other(), small), p.nodeCheck(n, f.Family))
		}
	}
}

// sameNodeKind is k, towards the guarded target on the probe's own node: the open
// one there is mostly the probe itself.
func sameNodeKind(m *Member, p *Plan, k kind) kind {
	if m.Node == p.self.Node && m.Guarded != nil {
		k.target = v1alpha1.TargetGuarded
	}
	return k
}

// guardedSelf is the probe's own node, unless that is the one that failed.
func (p *Plan) guardedSelf(failed *Member) *Member {
	if own := p.member(); own != nil && own != failed {
		return own
	}
	return nil
}

// sizes tries small, full, and full both ways.
func (d *differ) sizes(m *Member, family string) {
	open := kind{target: v1alpha1.TargetOpen, protocol: UDP}
	d.add(d.plan.peerCheck(m, family, open))
	open.full = true
	d.add(d.plan.peerCheck(m, family, open))
	open.back = true
	d.add(d.plan.peerCheck(m, family, open))
}

func (d *differ) services(family string) {
	d.add(d.plan.serviceCheck(family, TCP), d.plan.serviceCheck(family, UDP))
}

func (d *differ) nodeIP() {
	f, p := d.failed, d.plan
	m := p.byNode(f.To.Node)
	if m == nil {
		return
	}
	open := kind{target: v1alpha1.TargetOpen, protocol: TCP}
	d.add(p.peerCheck(m, f.Family, open), p.nodeCheck(m, d.other()), p.peerCheck(m, d.other(), open))
	neighbour, far := p.nearAndFar(m)
	for _, n := range []*Member{neighbour, far, p.member()} {
		if n != nil {
			d.add(p.nodeCheck(n, f.Family))
		}
	}
	for _, n := range []*Member{neighbour, far} {
		if n != nil {
			d.add(p.peerCheck(n, f.Family, open))
		}
	}
}

func (d *differ) clusterIP() {
	f := d.failed
	d.services(f.Family)
	d.add(d.plan.serviceCheck(f.Family, HTTP))
	d.pods(f.Family, f.Protocol)
	d.services(d.other())
	d.dnsChecks(f.Family)
}

// pods tries two other nodes' open targets and the own node's guarded one.
func (d *differ) pods(family, protocol string) {
	p := d.plan
	if own := p.member(); own != nil {
		near, far := p.nearAndFar(own)
		for _, n := range []*Member{near, far} {
			if n != nil {
				d.add(p.peerCheck(n, family, kind{target: v1alpha1.TargetOpen, protocol: protocol}))
			}
		}
		d.add(p.peerCheck(own, family, kind{target: v1alpha1.TargetGuarded, protocol: protocol}))
	}
}

// dnsChecks are the pods and the services of the cluster's DNS, UDP and TCP; of
// the pods at most three.
func (d *differ) dnsChecks(family string) {
	dns := d.plan.ring.members.DNS
	pods := cidr.AddrsOfFamily(dns.Pods, family)
	for _, addrs := range [][]netip.Addr{pods[:min(len(pods), 3)], cidr.AddrsOfFamily(dns.Services, family)} {
		for _, protocol := range []string{UDP, TCP} {
			for _, a := range addrs {
				d.add(d.plan.dnsCheck(a, protocol))
			}
		}
	}
}

func (d *differ) dns() {
	d.dnsChecks(d.failed.Family)
	d.services(d.failed.Family)
	d.pods(d.failed.Family, d.failed.Protocol)
	d.dnsChecks(d.other())
}

func (d *differ) external() {
	for _, to := range d.plan.ring.members.External {
		d.add(d.plan.externalCheck(to))
	}
	d.pods(d.failed.Family, TCP)
	d.dnsChecks(d.failed.Family)
}

// byNode is a member by its node's name, nil when there is none.
func (p *Plan) byNode(node string) *Member {
	if i := p.ring.index(node); i >= 0 {
		return &p.ring.nodes[i]
	}
	return nil
}

// nearAndFar are a neighbour of m, in its zone where zones are known, and another
// node, of another zone where there is one. Neither is m nor the probe's own node;
// nil where there is no such node.
func (p *Plan) nearAndFar(m *Member) (near, far *Member) {
	start, n := p.ring.index(m.Node), p.ring.Len()
	var rest []*Member
	for i := 1; i < n; i++ {
		c := &p.ring.nodes[(start+i)%n]
		switch {
		case c.Node == p.self.Node:
		case near == nil && c.Zone == m.Zone && m.Zone != "":
			near = c
		case far == nil && c.Zone != m.Zone && c.Zone != "":
			far = c
		case len(rest) < 2:
			rest = append(rest, c)
		}
	}
	if near == nil && len(rest) > 0 {
		near, rest = rest[0], rest[1:]
	}
	if far == nil && len(rest) > 0 {
		far = rest[0]
	}
	return near, far
}
