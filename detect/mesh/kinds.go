package mesh

import (
	"net/netip"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// kind is one way to meet a peer.
type kind struct {
	target, protocol string
	full, back       bool
	node             bool
}

// kinds in the order in which a pair goes through them: what tells most comes first.
var kinds = [...]kind{
	{target: v1alpha1.TargetOpen, protocol: TCP},
	{target: v1alpha1.TargetGuarded, protocol: TCP},
	{target: v1alpha1.TargetOpen, protocol: UDP},
	{target: v1alpha1.TargetOpen, protocol: UDP, full: true},
	{target: v1alpha1.TargetGuarded, protocol: UDP},
	{target: v1alpha1.TargetOpen, protocol: HTTP},
	{target: v1alpha1.TargetOpen, protocol: UDP, full: true, back: true},
	{target: v1alpha1.TargetOpen, protocol: ICMP},
	{protocol: TCP, node: true},
}

// peerCheck is one exchange with the targets of m. From a node's own network it is
// the node's address that is tried instead of the guarded target: whether a policy
// admits a node depends on where the node is, so that no outcome says anything.
func (p *Plan) peerCheck(m *Member, family string, k kind) Turn {
	if k.node || k.target == v1alpha1.TargetGuarded && p.self.HostNetwork {
		return p.nodeCheck(m, family)
	}
	t, what := m.Open, "open target of "+m.Node
	if k.target == v1alpha1.TargetGuarded {
		t, what = m.Guarded, "guarded target of "+m.Node
	}
	c := Check{Via: ViaPodIP, Family: family, Protocol: k.protocol, Target: k.target}
	c.To = v1alpha1.Endpoint{Node: m.Node, Port: port(k.protocol)}
	if t == nil {
		return p.turn(c, netip.Addr{}, what)
	}
	c.To.Namespace, c.To.Pod = t.Namespace, t.Pod
	addr := of(t.IPs, family)
	if !k.full {
		return p.turn(c, addr, what)
	}
	c.Bytes, c.Back = p.self.MTU, k.back
	out := p.turn(c, addr, what)
	if p.self.MTU == 0 && out.NotChecked == "" {
		out.NotChecked = "the MTU of this probe's device is not known"
	}
	return out
}

// nodeCheck tries the node's own address: the host-network twin where there is one,
// the kubelet's port where there is none.
func (p *Plan) nodeCheck(m *Member, family string) Turn {
	c := Check{Via: ViaNodeIP, Family: family, Protocol: TCP}
	c.To = v1alpha1.Endpoint{Node: m.Node, Port: KubeletPort}
	if m.Host != nil && of(m.Host.IPs, family).IsValid() {
		c.To.Namespace, c.To.Pod, c.To.Port = m.Host.Namespace, m.Host.Pod, Port
		return p.turn(c, of(m.Host.IPs, family), "host target of "+m.Node)
	}
	return p.turn(c, of(m.NodeIPs, family), "node "+m.Node)
}

func (p *Plan) serviceCheck(family, protocol string) Turn {
	c := Check{Via: ViaClusterIP, Family: family, Protocol: protocol, Target: v1alpha1.TargetOpen}
	c.To.Port = port(protocol)
	return p.turn(c, of(p.ring.members.Services, family), "the probes' service")
}

func (p *Plan) dnsCheck(addr netip.Addr, protocol string) Turn {
	c := Check{Via: ViaDNS, Family: cidr.Family(addr), Protocol: protocol, Name: p.ring.members.DNS.Name}
	c.To.Port = DNSPort
	return p.turn(c, addr, "cluster DNS")
}

func (p *Plan) externalCheck(to netip.AddrPort) Turn {
	c := Check{Via: ViaExternal, Family: cidr.Family(to.Addr()), Protocol: TCP}
	c.To.Port = int(to.Port())
	return p.turn(c, to.Addr(), "outside address")
}

func port(protocol string) int {
	switch protocol {
	case HTTP:
		return HTTPPort
	case ICMP:
		return 0
	}
	return Port
}

// ownChecks are the probe's own: each entry is a check or several that take turns.
// The order spreads services and DNS, whose failure touches everybody: the one comes
// at every fourth turn at least, the other at every third.
func (p *Plan) ownChecks() [][]Turn {
	if p.self.HostNetwork {
		return nil
	}
	rows := []func(family string) []Turn{
		func(f string) []Turn { return p.services(f, TCP) },
		func(f string) []Turn { return p.dns(p.ring.members.DNS.Services, f, UDP) },
		p.sameNode,
		func(f string) []Turn { return p.services(f, UDP) },
		func(f string) []Turn { return p.dns(p.ring.members.DNS.Services, f, TCP) },
		p.ownNode,
		func(f string) []Turn { return p.dns(p.ring.members.DNS.Pods, f, UDP) },
		p.external,
	}
	var out [][]Turn
	for _, f := range p.families {
		for _, row := range rows {
			if turns := row(f); len(turns) > 0 {
				out = append(out, turns)
			}
		}
	}
	return out
}

func (p *Plan) services(family, protocol string) []Turn {
	if !of(p.ring.members.Services, family).IsValid() {
		return nil
	}
	return []Turn{p.serviceCheck(family, protocol)}
}

func (p *Plan) dns(addrs []netip.Addr, family, protocol string) []Turn {
	var out []Turn
	for _, a := range cidr.AddrsOfFamily(addrs, family) {
		out = append(out, p.dnsCheck(a, protocol))
	}
	return out
}

// sameNode are the targets of the probe's own node. Its open target is mostly the
// probe's own pod, which tells nothing of the network but that the reflector answers;
// the guarded one is another pod behind the node's datapath.
func (p *Plan) sameNode(family string) []Turn {
	m := p.member()
	if m == nil {
		return nil
	}
	var out []Turn
	if m.Guarded != nil {
		out = append(out, p.peerCheck(m, family, kinds[1]), p.peerCheck(m, family, kinds[4]))
	}
	if m.Open != nil {
		out = append(out, p.peerCheck(m, family, kinds[0]))
	}
	return out
}

func (p *Plan) ownNode(family string) []Turn {
	m := p.member()
	if m == nil || !of(m.NodeIPs, family).IsValid() {
		return nil
	}
	return []Turn{p.nodeCheck(m, family)}
}

func (p *Plan) external(family string) []Turn {
	var out []Turn
	for _, to := range p.ring.members.External {
		if cidr.Family(to.Addr()) == family {
			out = append(out, p.externalCheck(to))
		}
	}
	return out
}

// member is the probe's own, nil when its node is not in the ring.
func (p *Plan) member() *Member {
	if p.at < 0 {
		return nil
	}
	return &p.ring.nodes[p.at]
}
