//go:build linux

package lab

import (
	"fmt"
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// uplink is a node's device on the wire.
const uplink = "eth0"

// Node is a cluster node: its host network namespace.
type Node struct {
	*Space
	// Number from 1 on, and the layer-2 segment from 0 on.
	Number, Segment int

	lab  *Lab
	pods int // ever made
	// config is what the agent was started with last, settings what it made of it.
	config   cilium.Config
	settings cilium.Settings
	// direct are the peers' pod CIDRs that this node has a direct route to.
	direct map[netip.Prefix]netip.Addr
	// noServices: addresses of services are not translated.
	noServices bool
}

// newNode returns a node also with an error when there is one to close.
func (l *Lab) newNode(number int) (*Node, error) {
	s, err := newSpace(fmt.Sprintf("node-%d", number), forwarding())
	if err != nil {
		return nil, err
	}
	n := &Node{Space: s, Number: number, Segment: (number - 1) % l.spec.Segments, lab: l, direct: map[netip.Prefix]netip.Addr{}}
	if err := l.plug(s, uplink, n.Segment, n.port()); err != nil {
		return n, err
	}
	return n, n.address()
}

// port is the node's port on the bridge.
func (n *Node) port() string { return fmt.Sprintf("port%02d", n.Number) }

// address gives the node its addresses, cilium_host with the router's, the default
// routes, and no way to pod addresses that no pod has.
func (n *Node) address() error {
	if n.lab.spec.Bare {
		return n.addressUplink()
	}
	if err := n.veth("cilium_host", n.Space, "cilium_net", n.lab.spec.MTU); err != nil {
		return err
	}
	for _, device := range []string{"cilium_host", "cilium_net"} {
		if err := n.up(device); err != nil {
			return err
		}
	}
	if err := n.addressUplink(); err != nil {
		return err
	}
	for _, family := range n.lab.spec.families() {
		router := routerAddr(family, n.Number)
		if err := n.addAddr("cilium_host", netip.PrefixFrom(router, router.BitLen())); err != nil {
			return err
		}
		if err := n.addBlackhole(n.PodCIDR(family)); err != nil {
			return err
		}
	}
	return nil
}

// addressUplink gives the node its addresses and default routes.
func (n *Node) addressUplink() error {
	for _, family := range n.lab.spec.families() {
		if err := n.addAddr(uplink, nodePrefix(family, n.Segment, n.Number)); err != nil {
			return err
		}
		if err := n.addRoute(everywhere(family), gatewayPrefix(family, n.Segment).Addr(), uplink, netip.Addr{}); err != nil {
			return err
		}
	}
	return nil
}

// IP is the node's InternalIP of a family.
func (n *Node) IP(family string) netip.Addr { return nodePrefix(family, n.Segment, n.Number).Addr() }

// IPs are the node's InternalIPs.
func (n *Node) IPs() []netip.Addr {
	var out []netip.Addr
	for _, family := range n.lab.spec.families() {
		out = append(out, n.IP(family))
	}
	return out
}

// PodCIDR is the range of the node's pods.
func (n *Node) PodCIDR(family string) netip.Prefix { return podCIDR(family, n.Number) }

// PodCIDRs are the ranges of the node's pods, one per family.
func (n *Node) PodCIDRs() []netip.Prefix {
	var out []netip.Prefix
	for _, family := range n.lab.spec.families() {
		out = append(out, n.PodCIDR(family))
	}
	return out
}

// RouterIP is cilium_host's address.
func (n *Node) RouterIP(family string) netip.Addr { return routerAddr(family, n.Number) }

// Pods are those of the node.
func (n *Node) Pods() []*Pod {
	var out []*Pod
	for _, p := range n.lab.Pods() {
		if p.Node == n {
			out = append(out, p)
		}
	}
	return out
}
