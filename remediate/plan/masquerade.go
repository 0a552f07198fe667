package plan

import (
	"fmt"
	"math/big"
	"net/netip"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// rangeSize counts addresses, which for IPv6 is more than 64 bits hold.
type rangeSize struct{ n *big.Int }

func sizeOf(ps []netip.Prefix) rangeSize {
	sum := new(big.Int)
	for _, p := range ps {
		sum.Add(sum, new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())))
	}
	return rangeSize{sum}
}

func (r rangeSize) compare(o rangeSize) int {
	a, b := r.n, o.n
	if a == nil {
		a = new(big.Int)
	}
	if b == nil {
		b = new(big.Int)
	}
	return a.Cmp(b)
}

func (r rangeSize) String() string {
	if r.n == nil || r.n.Sign() == 0 {
		return "no range"
	}
	return fmt.Sprintf("about 2^%d addresses", r.n.BitLen()-1)
}

// spared is what pods reach without masquerade, of one family, beyond nodes.
func spared(s cilium.Settings, family string) []netip.Prefix {
	var out []netip.Prefix
	if n := s.NativeRoutingCIDR[family]; n.IsValid() {
		out = append(out, n.Masked())
	}
	if s.IPMasqAgent && s.Masquerade[family] == cilium.MasqueradeBPF {
		for _, p := range cidr.OfFamily(s.NonMasquerade, family) {
			// Link-local packets are never forwarded, so sparing them means nothing.
			if !p.Addr().IsLinkLocalUnicast() {
				out = append(out, p)
			}
		}
	}
	return out
}

// sideEffects lists which known addresses and ranges change between masqueraded
// and not, and says in words what that means.
func (p *planner) sideEffects(c *v1alpha1.Candidate, out *proven, after cilium.Settings) {
	before := p.in.Facts.Settings
	c.SideEffects = []string{}
	var allAdded []netip.Prefix
	for _, family := range out.families {
		pods, _ := p.in.Facts.PodRanges(family)
		was, is := spared(before, family), spared(after, family)
		added := cidr.Difference(cidr.Difference(is, was), prefixes(pods))
		removed := cidr.Difference(cidr.Difference(was, is), prefixes(pods))
		allAdded = append(allAdded, added...)
		out.removed = out.removed || len(removed) > 0
		for _, a := range added {
			c.AddedRange = append(c.AddedRange, a.String())
		}
		for _, r := range removed {
			c.RemovedRange = append(c.RemovedRange, r.String())
		}
		p.knownDestinations(c, family, was, is)
		if len(added) > 0 {
			c.SideEffects = append(c.SideEffects, fmt.Sprintf("pods stop being masqueraded towards hosts that are no nodes in %s: such a host needs a route back to the pods", summarise(added)))
		}
		if len(removed) > 0 {
			c.SideEffects = append(c.SideEffects, fmt.Sprintf("pods start being masqueraded towards hosts that are no nodes in %s: such a host then sees the node's address", summarise(removed)))
		}
	}
	out.added = sizeOf(allAdded)
	c.SideEffects = append(c.SideEffects, out.notes...)
	if out.observedOnly {
		c.SideEffects = append(c.SideEffects, "it holds just the pod CIDRs seen so far: the pods of a new node may fall outside")
	}
	p.implementationEffects(c, after)
}

// implementationEffects are consequences outside of the ranges.
func (p *planner) implementationEffects(c *v1alpha1.Candidate, after cilium.Settings) {
	before := p.in.Facts.Settings
	for _, family := range []string{cidr.IPv6, cidr.IPv4} {
		was, is := before.Masquerade[family], after.Masquerade[family]
		if was == is || is == "" {
			continue
		}
		text := fmt.Sprintf("%s masquerade changes from %s to %s", family, was, is)
		if family == cidr.IPv6 && is == cilium.MasqueradeBPF {
			text += "; Cilium documents BPF masquerade of IPv6 as beta"
		}
		c.SideEffects = append(c.SideEffects, text)
	}
	if before.HostLegacyRouting != after.HostLegacyRouting {
		mode := map[bool]string{true: "legacy", false: "BPF"}
		c.SideEffects = append(c.SideEffects, fmt.Sprintf("host routing changes from %s to %s", mode[before.HostLegacyRouting], mode[after.HostLegacyRouting]))
	}
	if after.IPMasqAgent && !before.IPMasqAgent {
		c.SideEffects = append(c.SideEffects, "later changes of the list are reloaded without a restart (with rollOutCiliumPods they restart the agents all the same)")
	}
}

// knownDestinations compares each known range: pods, services, node networks.
func (p *planner) knownDestinations(c *v1alpha1.Candidate, family string, was, is []netip.Prefix) {
	in := p.in.Facts
	sparedNow, sparedThen := cidr.NewSet(was), cidr.NewSet(is)
	add := func(dsts []netip.Prefix, what string) {
		for _, dst := range few(dsts) {
			before, after := treated(dst, sparedNow), treated(dst, sparedThen)
			if before != after {
				c.Masquerade = append(c.Masquerade, v1alpha1.MasqueradeChange{Destination: dst.String(), What: what, Before: before, After: after})
			}
		}
	}
	pods, _ := in.PodRanges(family)
	add(prefixes(pods), "pods of other nodes")
	add(prefixes(in.Snapshot.ServiceRange(family)), "services (translated to a pod first: no effect)")
	add(nodeNetworks(p, family), "hosts on the nodes' network (the nodes themselves are always spared)")
}

// mostRanges is how many ranges a person still reads one by one.
const mostRanges = 32

// few is the list, or its hull when it is too long to be read.
func few(ps []netip.Prefix) []netip.Prefix {
	if len(ps) > mostRanges {
		if hull, err := cidr.Supernet(ps...); err == nil {
			return []netip.Prefix{hull}
		}
	}
	return ps
}

// nodeNetworks are the on-link networks of node addresses: /64 and /24.
func nodeNetworks(p *planner, family string) []netip.Prefix {
	bits := 64
	if family == cidr.IPv4 {
		bits = 24
	}
	var out []netip.Prefix
	seen := map[netip.Prefix]bool{}
	for _, n := range p.in.Facts.Snapshot.Nodes {
		for _, a := range cidr.AddrsOfFamily(n.InternalIPs, family) {
			if net, err := a.Prefix(bits); err == nil && !seen[net] {
				seen[net] = true
				out = append(out, net)
			}
		}
	}
	return out
}

func treated(dst netip.Prefix, spared cidr.Set) string {
	switch {
	case spared.Covers(dst):
		return "not masqueraded"
	case spared.Overlaps(dst):
		return "partly masqueraded"
	}
	return "masqueraded"
}

func summarise(ps []netip.Prefix) string {
	if len(ps) > 3 {
		if all, err := cidr.Supernet(ps...); err == nil {
			return fmt.Sprintf("%d ranges within %s", len(ps), all)
		}
	}
	return joined(ps)
}
