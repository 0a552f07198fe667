package datapath

import (
	"fmt"
	"net/netip"
	"path"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Sources of the rules, as of Cilium 1.18.6.
const (
	srcIPSet        = "pkg/datapath/iptables/iptables.go:1863 (1.18.6)"
	srcEgressAll    = "pkg/datapath/iptables/iptables.go:1892 (1.18.6)"
	srcRouteSource  = "pkg/datapath/iptables/iptables.go:1267 (1.18.6)"
	srcExclusion    = "pkg/datapath/iptables/iptables.go:1666 (1.18.6)"
	srcFamilyOff    = "pkg/option/config.go:2200 (1.18.6)"
	srcRoutingStack = "pkg/endpoint/api/endpoint_api_manager.go:88 (1.18.6)"
	srcBPFNode      = "bpf/lib/nat.h:1653 (1.18.6)"
	srcBPFGateway   = "bpf/lib/nat.h:1688 (1.18.6)"
	srcBPFExclusion = "bpf/lib/nat.h:1703 (1.18.6)"
	srcBPFAgent     = "bpf/lib/nat.h:1716 (1.18.6)"
	srcBPFRemote    = "bpf/lib/nat.h:1734 (1.18.6)"
	srcBPFLocal     = "bpf/lib/nat.h:1743 (1.18.6)"
	srcMultiPool    = "Documentation/network/concepts/ipam/multi-pool.rst:247 (1.18.6)"
)

// ruling is the masquerade decision on one packet.
type ruling struct {
	// by is off when the source stays, empty when it is not known.
	by     cilium.Masquerade
	why    string
	source string
}

func keep(why, source string) ruling { return ruling{cilium.MasqueradeOff, why, source} }

func unsure(why, source string) ruling { return ruling{"", why, source} }

// masquerade decides on the first packet of a flow that takes the given way.
func (w *walk) masquerade() ruling {
	s, fam := &w.src.node.agent.Settings, w.f.Family
	switch {
	case w.src.kind != EndPod:
		return keep("a node's own packets keep a node's address", srcBPFNode)
	case w.sameNode && w.dst.kind == EndNode:
		return keep("delivered to its own node, the packet is not forwarded", srcEgressAll)
	case s.Masquerade[fam] == "":
		return unsure("whether "+fam+" is masqueraded is not known", srcFamilyOff)
	case s.Masquerade[fam] == cilium.MasqueradeOff:
		return keep(fam+" masquerading is off", srcFamilyOff)
	case w.sameNode && !w.throughStack():
		return keep("pod to pod on one node is delivered in BPF, and passes neither POSTROUTING nor to-netdev", srcRoutingStack)
	case w.route == routeTunnel:
		return keep("the packet leaves through the tunnel device cilium_*", srcEgressAll)
	case !w.dst.addr.IsValid() && (w.dst.role != roleAdded || s.RoutingMode == "tunnel"):
		return unsure("no "+fam+" address of the destination is known", "")
	case s.Masquerade[fam] == cilium.MasqueradeBPF:
		return w.masqueradeBPF()
	}
	r := w.masqueradeIPTables()
	if r.by == cilium.MasqueradeIPTables && everythingNative(s) {
		return unsure("the native routing CIDR of a family is all addresses: iptables of the nf_tables kind refuses the rule of that, and the agent then puts none of its rules in force", srcEgressAll)
	}
	return r
}

// everythingNative: the rule "! -d 0.0.0.0/0", or "::/0", is in vain with iptables-legacy
// and an error with iptables-nft, after which the agent's chains of both families are
// hung in nowhere, while the agent says that it is well (measured with 1.18.6 and
// iptables 1.8.9; pkg/datapath/iptables/iptables.go:1510 and 1892).
func everythingNative(s *cilium.Settings) bool {
	for family, native := range s.NativeRoutingCIDR {
		if native.Bits() == 0 && s.Masquerade[family] == cilium.MasqueradeIPTables {
			return true
		}
	}
	return false
}

// throughStack says whether a packet between two pods of one node passes the
// kernel's netfilter hooks: endpoint routes delegate routing to the stack, and
// only iptables then masquerades it (measured with 1.18.6).
func (w *walk) throughStack() bool {
	s := &w.src.node.agent.Settings
	return s.EndpointRoutes && s.Masquerade[w.f.Family] == cilium.MasqueradeIPTables
}

// masqueradeIPTables walks chain CILIUM_POST_nat in its order.
func (w *walk) masqueradeIPTables() ruling {
	s := &w.src.node.agent.Settings
	if limited := len(s.EgressMasqueradeInterfaces) > 0; limited && !s.MasqueradeToRouteSource {
		out := w.leavesBy(s.EgressMasqueradeInterfaces)
		if out == snapshot.Unknown {
			return unsure("egress-masquerade-interfaces is set, and by which device the packet leaves is not known", srcEgressAll)
		}
		if out == snapshot.No {
			return keep("the packet leaves by none of the egress-masquerade-interfaces", srcEgressAll)
		}
	} else if r, decided := w.sourceMatch(); decided {
		return r
	}
	if w.inNodeSet() {
		return keep("the destination is a node's InternalIP (ipset cilium_node_set)", srcIPSet)
	}
	if s.MasqueradeToRouteSource {
		return w.masqueradeRouteSource()
	}
	return w.byExclusion(srcEgressAll, cilium.MasqueradeIPTables)
}

// sourceMatch judges the "-s allocCIDR" of the rules: decided when it does not match.
func (w *walk) sourceMatch() (ruling, bool) {
	if w.src.node.agent.IPAM == "multi-pool" {
		return unsure("iptables masquerading in IPAM mode multi-pool needs egress-masquerade-interfaces", srcMultiPool), true
	}
	alloc := w.src.node.alloc[w.fi]
	if !w.src.addr.IsValid() || len(alloc) == 0 || cidr.InAny(w.src.addr, alloc) {
		return ruling{}, false
	}
	return keep(fmt.Sprintf("the source %s is outside its node's pod CIDR %s", w.src.addr, alloc[0]), srcEgressAll), true
}

// inNodeSet says whether the destination is in cilium_node_set_v{4,6}, which
// holds InternalIPs only and is not used in tunnel mode.
func (w *walk) inNodeSet() bool {
	native := w.src.node.agent.RoutingMode != "tunnel"
	return native && w.dst.kind == EndNode && (w.dst.role == roleInternal || w.dst.role == roleAdded)
}

// leavesBy says whether the device that the packet leaves by matches a pattern.
func (w *walk) leavesBy(patterns []string) snapshot.Tri {
	if w.sameNode {
		return matchAny(patterns, "lxc0")
	}
	devices := w.src.node.agent.devices
	if len(devices) == 0 {
		return snapshot.Unknown
	}
	first := matchAny(patterns, devices[0])
	for _, d := range devices[1:] {
		if matchAny(patterns, d) != first {
			return snapshot.Unknown
		}
	}
	return first
}

// matchAny compares a device with names in the manner of iptables: a trailing
// "+" stands for anything.
func matchAny(patterns []string, device string) snapshot.Tri {
	for _, p := range patterns {
		if n := len(p); n > 0 && p[n-1] == '+' {
			p = p[:n-1] + "*"
		}
		if ok, err := path.Match(p, device); err == nil && ok {
			return snapshot.Yes
		}
	}
	return snapshot.No
}

// masqueradeRouteSource judges the SNAT rules that enable-masquerade-to-route-source
// makes of the main table's routes: one per route with a source address, by
// "-d <route's destination>", default routes last with "! -d <exclusion>".
func (w *walk) masqueradeRouteSource() ruling {
	s := &w.src.node.agent.Settings
	if w.sameNode {
		return keep("source-route rules name uplinks only, and the packet stays on the node", srcRouteSource)
	}
	if len(s.EgressMasqueradeInterfaces) > 0 && w.leavesBy(s.EgressMasqueradeInterfaces) != snapshot.Yes {
		return unsure("by which device the packet leaves is not known", srcRouteSource)
	}
	if r, decided := w.connectedRoute(); decided {
		return r
	}
	excluded, prefix, known := w.excluded()
	switch {
	case !known:
		return unsure("the exclusion CIDR is detected by the agent and not known here", srcExclusion)
	case excluded:
		return keep(fmt.Sprintf("the destination is inside %s", prefix), srcRouteSource)
	case w.m.in.Topology.DefaultRouteSource == snapshot.Yes:
		return ruling{cilium.MasqueradeIPTables, "the default route names a source address", srcRouteSource}
	case w.m.in.Topology.DefaultRouteSource == snapshot.No:
		return keep("no route to the destination names a source address, so there is no SNAT rule for it", srcRouteSource)
	}
	return unsure("whether the default route names a source address is not known", srcRouteSource)
}

// connectedRoute judges the rule of the node's connected route. The kernel gives
// such routes a source address for IPv4 only; a route equal to the exclusion
// CIDR gets no rule.
func (w *walk) connectedRoute() (ruling, bool) {
	if w.fi != 0 {
		return ruling{}, false
	}
	own := w.src.node.first(w.fi)
	for _, p := range w.m.in.Topology.OnLink {
		if !p.Contains(own) || !p.Contains(w.dst.addr) {
			continue
		}
		if native, set := w.src.node.agent.NativeRoutingCIDR[w.f.Family]; set && native.Masked() == p.Masked() {
			return ruling{}, false
		}
		return ruling{cilium.MasqueradeIPTables, fmt.Sprintf("the connected route %s has a source address", p), srcRouteSource}, true
	}
	return ruling{}, false
}

// masqueradeBPF walks snat_v{4,6}_needs_masquerade in its order.
func (w *walk) masqueradeBPF() ruling {
	s := &w.src.node.agent.Settings
	if s.EgressGateway && w.dst.kind == EndOutside {
		return unsure("an egress gateway policy may choose another source", srcBPFGateway)
	}
	excluded, prefix, known := w.excluded()
	switch {
	case !known:
		return unsure("the exclusion CIDR is detected by the agent and not known here", srcBPFExclusion)
	case excluded:
		return keep(fmt.Sprintf("the destination is inside %s", prefix), srcBPFExclusion)
	}
	if s.IPMasqAgent {
		for _, p := range s.NonMasquerade {
			if p.Contains(w.dst.addr) {
				return keep(fmt.Sprintf("ip-masq-agent exempts %s", p), srcBPFAgent)
			}
		}
	}
	if w.dst.kind == EndNode && w.dst.role != roleOther && s.RoutingMode != "tunnel" {
		if !s.RemoteNodeMasquerade || (w.dst.role != roleInternal && w.dst.role != roleAdded) {
			return keep("the destination's identity is a remote node", srcBPFRemote)
		}
	}
	return ruling{cilium.MasqueradeBPF, w.outsideWords(), srcBPFLocal}
}

// byExclusion masquerades what is outside the exclusion CIDR.
func (w *walk) byExclusion(source string, by cilium.Masquerade) ruling {
	excluded, prefix, known := w.excluded()
	switch {
	case !known:
		return unsure("the exclusion CIDR is detected by the agent and not known here", srcExclusion)
	case excluded:
		return keep(fmt.Sprintf("the destination is inside %s", prefix), source)
	}
	return ruling{by, w.outsideWords(), source}
}

func (w *walk) outsideWords() string {
	s, key := &w.src.node.agent.Settings, "ipv4-native-routing-cidr"
	if w.fi == 1 {
		key = "ipv6-native-routing-cidr"
	}
	native, set := s.NativeRoutingCIDR[w.f.Family]
	switch {
	case set && s.IPMasqAgent:
		return fmt.Sprintf("the destination is outside %s %s, and ip-masq-agent exempts no range that holds it", key, native)
	case set:
		return fmt.Sprintf("the destination is outside %s %s", key, native)
	case s.IPMasqAgent:
		return "ip-masq-agent exempts no range that holds the destination"
	}
	return "the destination is outside the node's own pod CIDR"
}

// excluded says whether the destination is inside the one CIDR that both
// implementations exempt: the native routing CIDR, else the node's own pod CIDR;
// with ip-masq-agent the former or nothing (pkg/datapath/linux/config/config.go:568,
// 1.18.6). known is false where the agent detects it (IPAM mode eni, alibabacloud).
func (w *walk) excluded() (in bool, prefix netip.Prefix, known bool) {
	s := &w.src.node.agent.Settings
	if native, set := s.NativeRoutingCIDR[w.f.Family]; set {
		return native.Contains(w.dst.addr), native, true
	}
	if s.IPMasqAgent && s.Masquerade[w.f.Family] == cilium.MasqueradeBPF {
		return false, netip.Prefix{}, true
	}
	if w.fi == 0 && (s.IPAM == "eni" || s.IPAM == "alibabacloud") {
		return false, netip.Prefix{}, false
	}
	for _, p := range w.src.node.alloc[w.fi] {
		if (w.sameNode && w.dst.kind == EndPod) || p.Contains(w.dst.addr) {
			return true, p, true
		}
	}
	return false, netip.Prefix{}, true
}
