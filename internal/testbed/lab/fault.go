//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// Cut loses packets on the wire between nodes: all that match every field that is
// set. Neighbour discovery is never lost.
type Cut struct {
	// From and To are the nodes, with their pods; nil is any.
	From, To *Node
	// OneWay loses only what goes from From to To; else both directions.
	OneWay bool
	// Family is IPv4 or IPv6; empty is both.
	Family string
	// Protocol TCP, UDP or ICMP, and the port that the packets from From go to.
	Protocol string
	Port     int
	// Percent of the packets, each by chance; 0 is all of them.
	Percent int
	// LongerThan in bytes of an IP packet: a wire with a smaller MTU than its
	// devices, of which nobody is told.
	LongerThan int
}

// Cut begins a fault on the wire and returns what ends it.
func (l *Lab) Cut(c Cut) (undo func()) {
	l.t.Helper()
	rules := c.rules(c.From, c.To, "dport")
	// Between any nodes the rules are those of the other direction too, and a packet
	// that a share of them loses must not be tossed for twice.
	if !c.OneWay && (c.From != c.To || c.Port != 0) {
		rules = append(rules, c.rules(c.To, c.From, "sport")...)
	}
	return l.fault(l.wire, "bridge", map[string][]string{"forward": append([]string{
		"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept",
	}, rules...)})
}

func (c Cut) rules(from, to *Node, port string) []string {
	families := []string{cidr.IPv4, cidr.IPv6}
	if c.Family != "" {
		families = []string{c.Family}
	}
	var out []string
	for _, family := range families {
		var b strings.Builder
		device := "port*"
		if from != nil {
			device = from.port() + "*"
		}
		fmt.Fprintf(&b, "iifname %q meta protocol %s", device, tableFamily(family))
		if to != nil {
			fmt.Fprintf(&b, " %s daddr { %s, %s }", tableFamily(family), to.IP(family), to.PodCIDR(family))
		}
		b.WriteString(c.match(family, port))
		out = append(out, b.String()+" drop")
	}
	return out
}

// match is what the packets themselves are told by.
func (c Cut) match(family, port string) string {
	var b strings.Builder
	switch {
	case c.Protocol == "ICMP" && family == cidr.IPv4:
		b.WriteString(" meta l4proto icmp")
	case c.Protocol == "ICMP":
		b.WriteString(" meta l4proto ipv6-icmp")
	case c.Protocol != "":
		fmt.Fprintf(&b, " meta l4proto %s", strings.ToLower(c.Protocol))
	}
	if c.Port != 0 {
		fmt.Fprintf(&b, " th %s %d", port, c.Port)
	}
	switch {
	case c.LongerThan == 0:
	case family == cidr.IPv4:
		fmt.Fprintf(&b, " ip length > %d", c.LongerThan)
	default:
		fmt.Fprintf(&b, " ip6 length > %d", c.LongerThan-ip6Header)
	}
	if c.Percent != 0 {
		fmt.Fprintf(&b, " numgen random mod 100 < %d", c.Percent)
	}
	return b.String()
}

// ip6Header is what an IPv6 packet's length field leaves out.
const ip6Header = 40

// fault puts rules into hooks of a space, as a table of its own.
func (l *Lab) fault(s *Space, family string, hooks map[string][]string) (undo func()) {
	l.t.Helper()
	table := l.nextName("fault")
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", family, table)
	for hook, rules := range hooks {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority -10; policy accept;\n%s\t}\n", hook, hook, lines(rules))
	}
	b.WriteString("}\n")
	l.must(s.nft(b.String()))
	return l.undo(func() error { return s.nft(fmt.Sprintf("delete table %s %s\n", family, table)) })
}

// undo makes f run at most once.
func (l *Lab) undo(f func() error) func() {
	var once sync.Once
	return func() {
		l.t.Helper()
		once.Do(func() { l.must(f()) })
	}
}

// both joins undos.
func both(undos ...func()) func() {
	return func() {
		for _, u := range undos {
			u()
		}
	}
}

// CutPods loses all packets between the node's pods and other nodes, while the
// node's own go through: the pod path without the node path.
func (n *Node) CutPods() (undo func()) {
	n.lab.t.Helper()
	return n.lab.fault(n.Space, "inet", map[string][]string{"forward": {
		fmt.Sprintf("iifname \"lxc*\" oifname %q drop", uplink),
		fmt.Sprintf("iifname %q oifname \"lxc*\" drop", uplink),
	}})
}

// Isolate loses every packet from and to the node's pods, from the node itself too.
func (n *Node) Isolate() (undo func()) {
	n.lab.t.Helper()
	return n.lab.fault(n.Space, "inet", isolation("lxc*"))
}

// Isolate loses every packet from and to the pod.
func (p *Pod) Isolate() (undo func()) {
	p.Node.lab.t.Helper()
	return p.Node.lab.fault(p.Node.Space, "inet", isolation(p.Device()))
}

func isolation(device string) map[string][]string {
	from, to := fmt.Sprintf("iifname %q drop", device), fmt.Sprintf("oifname %q drop", device)
	return map[string][]string{"forward": {from, to}, "input": {from}, "output": {to}}
}

// CutPodNetwork takes the pod network away: no packet reaches or leaves any pod.
func (l *Lab) CutPodNetwork() (undo func()) {
	l.t.Helper()
	var undos []func()
	for _, n := range l.Nodes {
		undos = append(undos, n.Isolate())
	}
	return both(undos...)
}

// Unplug takes the node off the wire: its device has no carrier, nobody hears of it.
func (n *Node) Unplug() (undo func()) {
	n.lab.t.Helper()
	l := n.lab
	l.must(l.wire.down(n.port()))
	return l.undo(func() error { return l.wire.up(n.port()) })
}

// Down is a node without power: off the wire, and its pods reach nobody.
func (n *Node) Down() (undo func()) {
	n.lab.t.Helper()
	return both(n.Unplug(), n.Isolate())
}

// LoseRoutes takes the node's direct routes to peers' pods away, of one family or,
// with "", of both; without peers, of all of them. [Node.Apply] brings them back too.
func (n *Node) LoseRoutes(family string, peers ...*Node) (undo func()) {
	n.lab.t.Helper()
	if len(peers) == 0 {
		peers = n.lab.Nodes
	}
	lost := map[netip.Prefix]netip.Addr{}
	for _, p := range peers {
		for _, dst := range p.PodCIDRs() {
			if via, ok := n.direct[dst]; ok && (family == "" || cidr.Family(dst.Addr()) == family) {
				n.lab.must(n.delRoute(dst))
				lost[dst] = via
			}
		}
	}
	return n.lab.undo(func() error {
		var errs []error
		for dst, via := range lost {
			errs = append(errs, n.addRoute(dst, via, uplink, netip.Addr{}))
		}
		return errors.Join(errs...)
	})
}

// LoseRoutes takes all direct routes of all nodes away.
func (l *Lab) LoseRoutes(family string) (undo func()) {
	l.t.Helper()
	var undos []func()
	for _, n := range l.Nodes {
		undos = append(undos, n.LoseRoutes(family))
	}
	return both(undos...)
}

// BreakServices stops the node from translating ClusterIPs; pods' own addresses work.
func (n *Node) BreakServices() (undo func()) {
	n.lab.t.Helper()
	set := func(broken bool) error {
		n.noServices = broken
		return n.lab.program(n)
	}
	n.lab.must(set(true))
	return n.lab.undo(func() error { return set(false) })
}

// BreakServices stops all nodes from translating ClusterIPs.
func (l *Lab) BreakServices() (undo func()) {
	l.t.Helper()
	var undos []func()
	for _, n := range l.Nodes {
		undos = append(undos, n.BreakServices())
	}
	return both(undos...)
}

// SetMTU changes the MTU of the node's device on the wire.
func (n *Node) SetMTU(bytes int) (undo func()) {
	n.lab.t.Helper()
	set := func(mtu int) error {
		return n.set(uplink, func(d netlink.Link) error { return n.link.LinkSetMTU(d, mtu) })
	}
	n.lab.must(set(bytes))
	return n.lab.undo(func() error { return set(n.lab.spec.MTU) })
}
