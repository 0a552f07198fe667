package datapath

import (
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Values of Result.Route.
const (
	routeLocal   = "local"
	routeDirect  = "direct"
	routeTunnel  = "tunnel"
	routeDefault = "default gateway"
	routeNone    = "none"
	routeUnknown = "unknown"
)

const (
	srcDirectRoute = "pkg/datapath/linux/node.go:141 (1.18.6)"
	srcSkip        = "pkg/datapath/linux/node.go:162 (1.18.6)"
	srcTunnel      = "bpf/lib/encap.h:24 (1.18.6)"
)

// way is a route with its reason. carried is No when the packet is lost on it
// and Unknown when nothing says whether the network carries it.
type way struct {
	route   string
	carried snapshot.Tri
	why     string
	source  string
}

// toPods is the way from one node to the pods of another, by the sender's
// configuration; segment says whether the two share one.
func (m *Model) toPods(from *node, segment snapshot.Tri) way {
	s := &from.agent.Settings
	switch {
	case s.RoutingMode == "tunnel":
		return way{routeTunnel, snapshot.Yes, "routing-mode is tunnel (" + s.TunnelProtocol + ")", srcTunnel}
	case !s.AutoDirectNodeRoutes:
		return m.byRouter("auto-direct-node-routes is off, so the agent installs no route to other nodes' pods", srcDirectRoute)
	case segment == snapshot.Yes:
		return way{routeDirect, snapshot.Yes, "auto-direct-node-routes: the nodes share a segment", srcDirectRoute}
	case segment == snapshot.No && s.DirectRoutingSkipUnreachable:
		return m.byRouter("direct-routing-skip-unreachable: the route to a node behind a gateway is skipped, logged at debug level only", srcSkip)
	case segment == snapshot.No:
		return m.byRouter("auto-direct-node-routes refuses the route to a node behind a gateway, and warns", srcSkip)
	}
	return way{routeUnknown, snapshot.Unknown, "whether the nodes share a segment is not known", srcDirectRoute}
}

// byRouter is the way over the default gateway.
func (m *Model) byRouter(because, source string) way {
	switch m.in.Topology.RouterHasPodRoutes {
	case snapshot.Yes:
		return way{routeDefault, snapshot.Yes, because + "; the network routes pod CIDRs", source}
	case snapshot.No:
		return way{routeNone, snapshot.No, because + ", and the network has no route to pods", source}
	}
	return way{routeUnknown, snapshot.Unknown, because + "; whether the network routes pod CIDRs (BGP, static routes) is not known", source}
}

// segment says whether two nodes share a layer-2 segment.
func (w *world) segment(a, b *host, fi int) snapshot.Tri {
	if a == b {
		return snapshot.Yes
	}
	if w.in.Topology.SameSegment != nil {
		return w.in.Topology.SameSegment(a.name, b.name)
	}
	x, y := w.linkOf(a, fi), w.linkOf(b, fi)
	switch {
	case !x.IsValid() || !y.IsValid():
		return snapshot.Unknown
	case x == y:
		return snapshot.Yes
	}
	return w.apart(x, y)
}

// linkOf is the prefix that the node's first address is taken to be on: a known
// on-link prefix, else the /64 or /24 around it.
func (w *world) linkOf(n *host, fi int) netip.Prefix {
	a := n.first(fi)
	if !a.IsValid() {
		if other := n.first(1 - fi); other.IsValid() {
			return w.linkOf(n, 1-fi)
		}
		return netip.Prefix{}
	}
	for _, p := range w.in.Topology.OnLink {
		if p.Contains(a) {
			return p.Masked()
		}
	}
	bits := 64
	if fi == 0 {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// apart judges two different links: IPv6 links are /64s and known ones are
// exact, but two IPv4 /24s may be one wider link.
func (w *world) apart(x, y netip.Prefix) snapshot.Tri {
	known := func(p netip.Prefix) bool {
		return cidr.Family(p.Addr()) == cidr.IPv6 ||
			slices.ContainsFunc(w.in.Topology.OnLink, func(link netip.Prefix) bool { return cidr.Contains(link, p) })
	}
	if known(x) && known(y) && cidr.Family(x.Addr()) == cidr.Family(y.Addr()) {
		return snapshot.No
	}
	return snapshot.Unknown
}
