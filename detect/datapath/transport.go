package datapath

import (
	"fmt"
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	srcRouterSource = "pkg/datapath/linux/node.go:510 (1.18.6)"
	srcEndpointRule = "pkg/endpoint/api/endpoint_api_manager.go:88 (1.18.6)"
	srcIPCache      = "bpf/bpf_host.c:88 (1.18.6)"
	srcNodeIdentity = "pkg/node/manager/manager.go:610 (1.18.6)"
	srcOverlay      = "bpf/bpf_overlay.c:120 (1.18.6)"
	srcHostRouting  = "daemon/cmd/kube_proxy_replacement.go:269 (1.18.6)"
)

// walk is the state of one packet on its way, policies aside.
type walk struct {
	m        *Model
	f        Flow
	fi       int
	src, dst site
	sameNode bool
	segment  snapshot.Tri
	route    string
}

// leg is what the way makes of a packet, before any policy is asked.
type leg struct {
	walk   walk
	out    way
	back   way
	masq   ruling
	source SourceKind
	addr   netip.Addr
	// why and whySource explain the source address.
	why, whySource string
	identity       string
	// peers are the identities that the receiver may resolve: more than one
	// when it is not known whether the node is an API server.
	peers []policy.Peer
	size  fit
	// unmodelled says what of the configuration the model does not know.
	unmodelled string
	// off says that an end lacks the family; all else is then empty.
	off string
}

// carry takes the packet from src to dst.
func (w *walk) carry() leg {
	l := leg{out: w.forward()}
	w.route = l.out.route
	l.walk = *w
	l.masq = w.masquerade()
	l.source, l.addr, l.why, l.whySource = w.sourceSeen(l.masq)
	l.identity, l.peers = w.identity(l.source)
	l.back = w.reply(l.source)
	l.size = w.probed(w.fits())
	l.unmodelled = w.unmodelled(l.masq)
	return l
}

// forward is the way to the destination.
func (w *walk) forward() way {
	switch {
	case w.sameNode:
		return way{routeLocal, snapshot.Yes, "both ends are on one node", srcRoutingStack}
	case w.dst.kind == EndOutside:
		return way{routeDefault, snapshot.Yes, "the kernel's own routes lead outside", ""}
	case w.dst.kind == EndNode && w.dst.role != roleRouter:
		return way{routeDefault, snapshot.Yes, "nodes reach each other's addresses without Cilium", ""}
	}
	return w.m.toPods(w.src.node, w.segment)
}

// reply is the way back to the source that the receiver saw.
func (w *walk) reply(seen SourceKind) way {
	switch {
	case w.sameNode:
		return way{routeLocal, snapshot.Yes, "both ends are on one node", ""}
	case seen == SourceNode:
		return way{routeDefault, snapshot.Yes, "a node's address is reached without Cilium", ""}
	case w.dst.kind == EndOutside:
		return w.replyFromOutside(seen)
	}
	return w.m.toPods(w.dst.node, w.segment)
}

func (w *walk) replyFromOutside(seen SourceKind) way {
	if seen != SourceUnknown && unroutable(w.src.addr) && !unroutable(w.dst.addr) {
		return way{routeNone, snapshot.No, "the internet has no route to the private address " + w.src.addr.String(), ""}
	}
	return w.m.byRouter("the host outside sees a pod's address", "")
}

// unroutable addresses mean nothing on the internet: RFC 1918, RFC 4193, and the
// shared address space of RFC 6598.
func unroutable(a netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
	return a.IsPrivate() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// sourceSeen is the source address at the receiver.
func (w *walk) sourceSeen(r ruling) (kind SourceKind, addr netip.Addr, why, source string) {
	n := w.src.node
	switch {
	case w.src.kind == EndPod && r.by == cilium.MasqueradeOff:
		return SourcePod, w.src.addr, "not masqueraded: " + r.why, r.source
	case w.src.kind == EndPod && r.by == "":
		return SourceUnknown, netip.Addr{}, r.why, r.source
	case w.src.kind == EndPod && w.sameNode && w.fi == 1:
		return SourceRouter, n.router[w.fi], "the endpoint's route prefers the cilium_host address as IPv6 source", srcEndpointRule
	case w.src.kind == EndPod:
		return SourceNode, n.first(w.fi), fmt.Sprintf("masqueraded by %s: %s", r.by, r.why), r.source
	case w.sameNode && w.dst.kind == EndPod && n.agent.EndpointRoutes && w.fi == 0:
		return SourceNode, n.first(w.fi), "endpoint routes: the kernel picks the node's IPv4 address", srcEndpointRule
	case w.sameNode && w.dst.kind == EndPod:
		return SourceRouter, n.router[w.fi], "the route to local pods names the cilium_host address as source", srcRouterSource
	case w.route == routeTunnel:
		return SourceRouter, n.router[w.fi], "the route into the tunnel names the cilium_host address as source", srcRouterSource
	}
	return SourceNode, w.nodeAddr(), "a node's own packet keeps the node's address", srcBPFNode
}

func (w *walk) nodeAddr() netip.Addr {
	if w.src.role == roleInternal || w.src.role == roleExternal {
		return w.src.addr
	}
	return w.src.node.first(w.fi)
}

// identity is what the receiver resolves: on one node and in a tunnel it travels
// beside the packet, otherwise the ipcache maps the source address to it.
func (w *walk) identity(seen SourceKind) (string, []policy.Peer) {
	switch {
	case w.dst.kind == EndOutside:
		return "", nil
	case w.src.kind == EndPod && (w.sameNode || w.route == routeTunnel || seen == SourcePod):
		return "pod", []policy.Peer{w.src.podPeer()}
	case seen == SourceUnknown:
		either := append([]policy.Peer{w.src.podPeer()}, w.nodePeers(w.src.node, false, w.src.node.first(w.fi))...)
		return "", either
	case w.sameNode:
		return policy.Host, w.nodePeers(w.src.node, true, w.src.addr)
	case seen == SourceRouter:
		// The API server's label hangs on the InternalIP, not on cilium_host's.
		return policy.RemoteNode, []policy.Peer{{Reserved: []string{policy.RemoteNode}, Labels: w.src.node.labels}}
	}
	peers := w.nodePeers(w.src.node, false, w.src.node.first(w.fi))
	if w.src.node.api == snapshot.Yes {
		return policy.KubeAPIServer, peers
	}
	return policy.RemoteNode, peers
}

func (w *walk) nodePeers(n *node, own bool, addr netip.Addr) []policy.Peer {
	var peers []policy.Peer
	for _, reserved := range n.reserved(own) {
		peers = append(peers, policy.Peer{Reserved: reserved, Labels: n.labels, IP: addr})
	}
	return peers
}

// destinationPeers are the identities that the sender's egress policy may see.
func (w *walk) destinationPeers() []policy.Peer {
	switch w.dst.kind {
	case EndPod:
		return []policy.Peer{w.dst.podPeer()}
	case EndNode:
		if w.dst.role == roleOther {
			return []policy.Peer{{Reserved: []string{policy.World}, IP: w.dst.addr}}
		}
		return w.nodePeers(w.dst.node, w.sameNode, w.dst.addr)
	}
	return []policy.Peer{{Reserved: []string{policy.World}, IP: w.dst.addr}}
}

// unmodelled names what makes the outcome unknown although the rest is known.
func (w *walk) unmodelled(r ruling) string {
	s := &w.src.node.agent.Settings
	switch {
	case w.sameNode:
		return ""
	case s.HostFirewall && (w.src.kind == EndNode || w.dst.kind == EndNode):
		return "the host firewall is on, and its policies are not modelled"
	case (s.WireGuard || s.IPsec) && r.by != cilium.MasqueradeOff:
		return "the order of encryption and masquerading is not modelled"
	}
	return w.receiverMasquerades()
}

// receiverMasquerades: with endpoint routes, packets leave for pods by their own
// devices. Where egress-masquerade-interfaces names those, the receiver's node
// masquerades what others sent it, and answers are lost (measured with 1.18.6).
func (w *walk) receiverMasquerades() string {
	if w.dst.kind != EndPod {
		return ""
	}
	s := &w.dst.node.agent.Settings
	if s.EndpointRoutes && !s.MasqueradeToRouteSource && s.Masquerade[w.f.Family] == cilium.MasqueradeIPTables &&
		matchAny(s.EgressMasqueradeInterfaces, "lxc0") == snapshot.Yes {
		return "egress-masquerade-interfaces names the pods' own devices, and what that makes of packets that reach the node is not modelled"
	}
	return ""
}
