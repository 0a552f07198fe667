//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Apply starts the node's agent again with a configuration: routes and rules are
// those that it makes of it, and pods that start later get its MTU. Connections that
// are open keep their translation, as in the kernel of a real node. What the agent
// would refuse at its start is an error and changes nothing.
func (n *Node) Apply(cfg cilium.Config) error {
	if err := n.configure(cfg); err != nil {
		return err
	}
	return n.lab.program(n)
}

// configure is Apply without the rules.
func (n *Node) configure(cfg cilium.Config) error {
	if refusal := cilium.CheckStart(cfg).First(); refusal != nil {
		return fmt.Errorf("the agent of %s does not start: %s: %s", n.Name, refusal.ID, refusal.Message)
	}
	settings, _ := cilium.Effective(cfg)
	if err := supported(&settings); err != nil {
		return fmt.Errorf("the agent of %s: %w", n.Name, err)
	}
	n.config, n.settings = clone(cfg), settings
	return errors.Join(n.routeDirect(), n.routePods())
}

// routePods renews the routes to the node's own pods.
func (n *Node) routePods() error {
	var errs []error
	for _, p := range n.Pods() {
		for _, a := range p.IPs() {
			full := netip.PrefixFrom(a, a.BitLen())
			errs = append(errs, n.addRoute(full, netip.Addr{}, p.Device(), n.sourceToPods(cidr.Family(a))))
		}
	}
	return errors.Join(errs...)
}

// Config is what the node's agent was started with last.
func (n *Node) Config() cilium.Config { return clone(n.config) }

func supported(s *cilium.Settings) error {
	switch {
	case s.RoutingMode != "native":
		return errors.New("the lab knows no tunnels: set routing-mode to native")
	case s.MasqueradeToRouteSource:
		return errors.New("the lab knows no enable-masquerade-to-route-source")
	case s.WireGuard || s.IPsec:
		return errors.New("the lab knows no encryption")
	case s.EgressGateway:
		return errors.New("the lab knows no egress gateway")
	}
	return nil
}

// has says whether the agent and the lab have a family.
func (n *Node) has(family string) bool {
	if family == cidr.IPv4 {
		return n.settings.IPv4 && n.lab.spec.IPv4
	}
	return n.settings.IPv6 && n.lab.spec.IPv6
}

// routeDirect makes the routes of auto-direct-node-routes, and takes away what an
// earlier configuration made: to each peer's pods by its node address, where that is
// on the node's own segment. To others there is none, whatever
// direct-routing-skip-unreachable says: that only decides whether the agent complains.
func (n *Node) routeDirect() error {
	want := map[netip.Prefix]netip.Addr{}
	for _, peer := range n.lab.Nodes {
		for _, family := range n.lab.spec.families() {
			if n.settings.AutoDirectNodeRoutes && n.has(family) && peer != n && peer.Segment == n.Segment {
				want[peer.PodCIDR(family)] = peer.IP(family)
			}
		}
	}
	for dst := range n.direct {
		if _, keep := want[dst]; !keep {
			if err := n.delRoute(dst); err != nil {
				return err
			}
		}
	}
	for dst, via := range want {
		if err := n.addRoute(dst, via, uplink, netip.Addr{}); err != nil {
			return err
		}
	}
	n.direct = want
	return nil
}

// delRoute takes the direct route to a peer's pods away; it may be gone already.
func (n *Node) delRoute(dst netip.Prefix) error {
	r, err := n.route(dst, n.direct[dst], uplink, netip.Addr{})
	if err != nil {
		return err
	}
	if err := n.link.RouteDel(r); err != nil && !errors.Is(err, errNoRoute) {
		return fmt.Errorf("failed to take the route to %s in %s away: %w", dst, n.Name, err)
	}
	return nil
}
