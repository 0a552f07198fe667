// Package cidr answers every question about prefixes: containment, overlap, the
// smallest common supernet, and what a change of prefix adds and removes.
package cidr

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"
)

// IPv4 and IPv6 name the address families as Kubernetes does.
const (
	IPv4 = "IPv4"
	IPv6 = "IPv6"
)

// Family of an address; IPv4-mapped IPv6 counts as IPv4.
func Family(a netip.Addr) string {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// OfFamily keeps the prefixes of one family, in order.
func OfFamily(ps []netip.Prefix, family string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		if p.IsValid() && Family(p.Addr()) == family {
			out = append(out, p)
		}
	}
	return out
}

// AddrsOfFamily keeps the addresses of one family, in order.
func AddrsOfFamily(as []netip.Addr, family string) []netip.Addr {
	var out []netip.Addr
	for _, a := range as {
		if a.IsValid() && Family(a) == family {
			out = append(out, a)
		}
	}
	return out
}

// Contains says whether outer holds all of inner.
func Contains(outer, inner netip.Prefix) bool {
	return outer.IsValid() && inner.IsValid() &&
		outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// Supernet is the longest prefix that holds all of ps, which must be of one
// family and not empty.
func Supernet(ps ...netip.Prefix) (netip.Prefix, error) {
	if len(ps) == 0 {
		return netip.Prefix{}, fmt.Errorf("no prefixes to cover")
	}
	out := ps[0].Masked()
	for _, p := range ps[1:] {
		if Family(p.Addr()) != Family(out.Addr()) {
			return netip.Prefix{}, fmt.Errorf("no prefix covers both %s and %s: different address families", out, p)
		}
		for !Contains(out, p) {
			out = netip.PrefixFrom(out.Addr(), out.Bits()-1).Masked()
		}
	}
	return out, nil
}

// Align widens a prefix to the boundary at which a person writes it: 16 bits
// (a hextet) for IPv6, 8 bits (an octet) for IPv4.
func Align(p netip.Prefix) netip.Prefix {
	step := 16
	if Family(p.Addr()) == IPv4 {
		step = 8
	}
	return netip.PrefixFrom(p.Addr(), p.Bits()/step*step).Masked()
}

// Difference is what is in a and not in b, as the fewest prefixes.
func Difference(a, b []netip.Prefix) []netip.Prefix {
	var set netipx.IPSetBuilder
	for _, p := range a {
		set.AddPrefix(p)
	}
	for _, p := range b {
		set.RemovePrefix(p)
	}
	s, err := set.IPSet()
	if err != nil {
		return nil
	}
	return s.Prefixes()
}

// Set is a union of prefixes that is asked many times.
type Set struct{ set *netipx.IPSet }

// NewSet builds the union of ps.
func NewSet(ps []netip.Prefix) Set {
	var b netipx.IPSetBuilder
	for _, p := range ps {
		b.AddPrefix(p)
	}
	s, err := b.IPSet()
	if err != nil {
		s = &netipx.IPSet{}
	}
	return Set{s}
}

// Covers says whether the union holds all of p.
func (s Set) Covers(p netip.Prefix) bool { return s.set.ContainsPrefix(p) }

// Overlaps says whether the union shares an address with p.
func (s Set) Overlaps(p netip.Prefix) bool { return s.set.OverlapsPrefix(p) }

// Overlaps says whether any prefix of as shares an address with p.
func Overlaps(p netip.Prefix, as ...netip.Prefix) bool {
	for _, a := range as {
		if a.Overlaps(p) {
			return true
		}
	}
	return false
}

// InAny says whether any of ps contains the address.
func InAny(a netip.Addr, ps []netip.Prefix) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// CoveredBy says whether the union of ps holds all of inner.
func CoveredBy(inner netip.Prefix, ps []netip.Prefix) bool {
	return len(Difference([]netip.Prefix{inner}, ps)) == 0
}
