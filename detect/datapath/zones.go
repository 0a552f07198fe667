package datapath

import (
	"net/netip"
	"slices"
	"strings"
)

// zone is a set of addresses that no rule tells apart: those in exactly the same
// sets of a grain.
type zone int32

// zoneNone and zoneAbsent stand for an address in no set, and for no address.
const (
	zoneNone   zone = -1
	zoneAbsent zone = -2
)

// zones finds an address's zone by binary search.
type zones struct {
	// starts are the first addresses of stretches of one zone, IPv4 before IPv6.
	starts []netip.Addr
	of     []zone // by stretch
	words  []string
}

// edge is an address at which a set begins or has ended.
type edge struct {
	at    netip.Addr
	set   int
	delta int
}

func newZones(sets []rangeSet) *zones {
	z, index := &zones{}, map[uint64]zone{0: zoneNone}
	depth, mask := make([]int, len(sets)), uint64(0)
	edges := edgesOf(sets)
	for i, e := range edges {
		depth[e.set] += e.delta
		if mask &^= 1 << e.set; depth[e.set] > 0 {
			mask |= 1 << e.set
		}
		if i+1 < len(edges) && edges[i+1].at == e.at {
			continue
		}
		n, ok := index[mask]
		if !ok {
			n = zone(len(z.words))
			index[mask] = n
			z.words = append(z.words, zoneWords(sets, mask))
		}
		z.starts, z.of = append(z.starts, e.at), append(z.of, n)
	}
	return z
}

func edgesOf(sets []rangeSet) []edge {
	var edges []edge
	for i := range sets {
		for _, p := range sets[i].prefixes {
			edges = append(edges, edge{p.Addr(), i, 1})
			if end := lastOf(p).Next(); end.IsValid() {
				edges = append(edges, edge{end, i, -1})
			} else if p.Addr().Is4() {
				edges = append(edges, edge{netip.IPv6Unspecified(), i, -1})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	return edges
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	offset := 128 - p.Addr().BitLen()
	for bit := p.Bits() + offset; bit < 128; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

// zoneWords name a zone by the longest single prefix that holds it, and by its
// lists. The sets are sorted by [bySet].
func zoneWords(sets []rangeSet, mask uint64) string {
	var words []string
	for i := range sets {
		if mask&(1<<i) == 0 {
			continue
		}
		if list := len(sets[i].prefixes) > 1; list || len(words) == 0 {
			words = append(words, sets[i].name)
		}
	}
	return "in " + strings.Join(words, " and ")
}

// zoneOf finds the zone of an address.
func (z *zones) zoneOf(a netip.Addr) zone {
	if !a.IsValid() {
		return zoneAbsent
	}
	i, found := slices.BinarySearchFunc(z.starts, a, netip.Addr.Compare)
	if !found {
		i--
	}
	if i < 0 {
		return zoneNone
	}
	return z.of[i]
}

// zoneName says where an address of the zone lies, the same in every analysis of
// one grain.
func (z *zones) zoneName(n zone) string {
	switch n {
	case zoneAbsent:
		return ""
	case zoneNone:
		return "outside every range"
	}
	return z.words[n]
}
