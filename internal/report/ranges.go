package report

import (
	"fmt"
	"net/netip"
)

// mostRanges is how many ranges are listed one by one.
const mostRanges = 6

// summarised are ranges as they stand, or, when they are many, how many there
// are within the smallest prefix that holds them, one entry for each family.
// Texts that are no prefix stay in the list.
func summarised(ranges []string) []string {
	if len(ranges) <= mostRanges {
		return ranges
	}
	var out []string
	hull := map[bool]netip.Prefix{}
	count := map[bool]int{}
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			out = append(out, r)
			continue
		}
		v4 := p.Addr().Is4()
		if count[v4]++; count[v4] == 1 {
			hull[v4] = p.Masked()
		}
		hull[v4] = join(hull[v4], p)
	}
	for _, v4 := range []bool{true, false} {
		if count[v4] > 0 {
			out = append(out, fmt.Sprintf("%d ranges within %s", count[v4], hull[v4]))
		}
	}
	return out[:min(len(out), mostRanges):min(len(out), mostRanges)]
}

// join is the smallest prefix that holds both; they are of one family.
func join(a, b netip.Prefix) netip.Prefix {
	bits := min(a.Bits(), b.Bits())
	for bits > 0 && !netip.PrefixFrom(a.Addr(), bits).Contains(b.Addr()) {
		bits--
	}
	return netip.PrefixFrom(a.Addr(), bits).Masked()
}
