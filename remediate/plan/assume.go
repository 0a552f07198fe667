package plan

import (
	"net/netip"

	"go4.org/netipx"

	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// withAssumedNodes is the snapshot with two nodes cut from the stated pools, for
// a proof where no node is known: the flow between two nodes' pods is then still
// followed. Nothing is reported of them but that they were assumed.
func withAssumedNodes(in *signature.Input) (s *snapshot.Snapshot, assumed bool) {
	if len(in.Snapshot.Nodes) > 0 {
		return in.Snapshot, false
	}
	a, b := snapshot.Node{Name: "(node a)", Source: "assumed"}, snapshot.Node{Name: "(node b)", Source: "assumed"}
	for _, family := range in.Families() {
		ranges, _ := in.PodRanges(family)
		if len(ranges) == 0 {
			continue
		}
		if first, second, ok := split(ranges[0].Prefix.Masked()); ok {
			a.PodCIDRs, b.PodCIDRs = append(a.PodCIDRs, first), append(b.PodCIDRs, second)
		}
	}
	if len(a.PodCIDRs) == 0 {
		return in.Snapshot, false
	}
	a.CiliumPodCIDRs, b.CiliumPodCIDRs = a.PodCIDRs, b.PodCIDRs
	out := *in.Snapshot
	out.Nodes = []snapshot.Node{a, b}
	return out.Indexed(), true
}

// split cuts the first two ranges of a usual node size out of a pool: /64 or
// /24, or halves of a smaller pool.
func split(pool netip.Prefix) (first, second netip.Prefix, ok bool) {
	bits := 64
	if cidr.Family(pool.Addr()) == cidr.IPv4 {
		bits = 24
	}
	bits = max(bits, pool.Bits()+1)
	if bits > pool.Addr().BitLen() {
		return netip.Prefix{}, netip.Prefix{}, false
	}
	first = netip.PrefixFrom(pool.Addr(), bits)
	second = netip.PrefixFrom(netipx.PrefixLastIP(first).Next(), bits)
	return first, second, true
}
