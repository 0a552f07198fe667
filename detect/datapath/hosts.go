package datapath

import (
	"net/netip"
	"slices"
	"strconv"

	"go4.org/netipx"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Internet is the label of the destination that stands for public hosts.
const Internet = "internet"

// maxOutside is how many ranges of one family get a host of their own.
const maxOutside = 64

// destination is an outside destination to ask about.
type destination struct {
	addr  netip.Addr
	label string
	// real: there certainly is such a destination.
	real bool
}

// internetHosts are one public address per family. The IPv4 one is no
// documentation address: ip-masq-agent's built-in list exempts those.
func internetHosts() [2]destination {
	return [2]destination{
		{netip.AddrFrom4([4]byte{1, 1, 1, 1}), Internet, true},
		{netip.MustParseAddr("2001:db8::1"), Internet, true},
	}
}

// outsiders are the outside destinations that the configurations may treat
// differently: the internet, and per range an address that is in no longer one
// and belongs to no node, pod or service.
func (a *outliner) outsiders() []destination {
	out := []destination{internetHosts()[a.fi]}
	taken := a.taken()
	ranges := a.freeRanges(taken)
	if len(ranges) > maxOutside {
		a.note("%d ranges beyond %d were not asked about as destinations outside", len(ranges)-maxOutside, maxOutside)
		ranges = ranges[len(ranges)-maxOutside:]
	}
	for i, r := range ranges {
		if addr, ok := freeAddr(r, ranges[:i], taken); ok {
			out = append(out, destination{addr: addr, label: r.String()})
		}
	}
	return out
}

// freeRanges are the family's prefixes of the grain that hold an address which
// nothing in the cluster has, the longest first.
func (a *outliner) freeRanges(taken *netipx.IPSet) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range a.g.sets {
		for _, r := range s.prefixes {
			linkLocal := a.fi == 1 && r.Addr().IsLinkLocalUnicast() // never routed
			if familyIndex(cidr.Family(r.Addr())) == a.fi && !linkLocal && !taken.ContainsPrefix(r) {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, byLength)
	return slices.Compact(out)
}

// freeAddr is an address of the range in none of the longer ranges and not
// taken, and not one of the first few where there is room.
func freeAddr(r netip.Prefix, longer []netip.Prefix, taken *netipx.IPSet) (netip.Addr, bool) {
	var set netipx.IPSetBuilder
	set.AddPrefix(r)
	for _, p := range longer {
		set.RemovePrefix(p)
	}
	rest, err := set.IPSet()
	if err != nil {
		return netip.Addr{}, false
	}
	used := taken.Ranges()
	for _, part := range rest.Ranges() {
		at := part.From()
		i, _ := slices.BinarySearchFunc(used, at, func(u netipx.IPRange, a netip.Addr) int { return u.To().Compare(a) })
		for ; i < len(used) && used[i].Contains(at); i++ {
			at = used[i].To().Next()
		}
		if at.IsValid() && part.Contains(at) {
			return inner(at, part, used[i:]), true
		}
	}
	return netip.Addr{}, false
}

// inner moves a little further into a stretch of free addresses.
func inner(at netip.Addr, part netipx.IPRange, used []netipx.IPRange) netip.Addr {
	for range 10 {
		next := at.Next()
		if !part.Contains(next) || (len(used) > 0 && used[0].Contains(next)) {
			break
		}
		at = next
	}
	return at
}

// taken is everything known in the cluster.
func (a *outliner) taken() *netipx.IPSet {
	var set netipx.IPSetBuilder
	for _, h := range a.hosts {
		for _, p := range h.alloc[a.fi] {
			set.AddPrefix(p.Masked())
		}
		for _, list := range [][]netip.Addr{h.internal[a.fi], h.external[a.fi]} {
			for _, ip := range list {
				set.Add(ip.Unmap().WithZone(""))
			}
		}
	}
	for _, list := range [][]snapshot.CIDR{a.in.Snapshot.PodPools, a.in.Snapshot.ServiceCIDRs} {
		for _, c := range list {
			if c.Prefix.IsValid() {
				set.AddPrefix(c.Prefix.Masked())
			}
		}
	}
	out, err := set.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return out
}

func (a *outliner) podsToOutside() {
	for _, h := range a.outsiders() {
		for from := range a.sites {
			if a.has(from, a.fi) && a.spend(len(a.classes)) {
				a.outsideClasses(from, h)
			}
		}
	}
}

func (a *outliner) outsideClasses(from int, h destination) {
	src := a.podSite(a.sites[from].reps[0])
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, src: src, dst: site{kind: EndOutside, addr: h.addr}}
	l := a.addWay(w)
	for _, p := range a.byEgress(w.destinationPeers(), anyPort(a.fi)) {
		a.add(spec{way: l, from: p.sources[0], to: anyClass, port: anyPort(a.fi), Class: Class{
			Kind: KindPodOutside, Relation: "outside", Protocol: "TCP", Count: a.podsIn(from, p.sources),
			From: a.exampleOf(from, p.sources), To: w.dst.end(), FromNodes: a.words(a.sites[from].key.group),
			Destination: h.label, Hypothetical: !h.real,
		}}, a.sites[from].name, h.label, strconv.Itoa(int(p.code)))
	}
}
