package datapath

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// Internet is the label of the destination that stands for public hosts.
const Internet = "internet"

// host is an outside destination to ask about.
type host struct {
	addr  netip.Addr
	label string
	// real: there certainly is such a destination.
	real bool
}

// internetHosts are one public address per family. The IPv4 one is no
// documentation address: ip-masq-agent's built-in list exempts those.
func internetHosts() [2]host {
	return [2]host{
		{netip.AddrFrom4([4]byte{1, 1, 1, 1}), Internet, true},
		{netip.MustParseAddr("2001:db8::1"), Internet, true},
	}
}

// hosts are the outside destinations that the configurations may treat
// differently: the internet, and per range an address that is in no longer one
// and belongs to no node, pod or service.
func (a *analysis) hosts() []host {
	out := []host{internetHosts()[a.fi]}
	taken := a.taken()
	for _, r := range a.g.ranges {
		linkLocal := a.fi == 1 && r.Addr().IsLinkLocalUnicast() // never routed
		if familyIndex(cidr.Family(r.Addr())) != a.fi || linkLocal {
			continue
		}
		inner := slices.DeleteFunc(slices.Clone(a.g.ranges), func(p netip.Prefix) bool {
			return p == r || !cidr.Contains(r, p)
		})
		free := cidr.Difference([]netip.Prefix{r}, append(inner, taken...))
		if len(free) == 0 {
			continue
		}
		out = append(out, host{addr: within(free[0]), label: r.String()})
	}
	return out
}

// taken are the prefixes of everything known in the cluster.
func (a *analysis) taken() []netip.Prefix {
	var out []netip.Prefix
	for _, name := range a.m.names {
		n := a.m.nodes[name]
		out = append(out, n.alloc[a.fi]...)
		for _, ip := range append(slices.Clone(n.internal[a.fi]), n.external[a.fi]...) {
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	s := a.m.in.Snapshot
	for _, c := range append(slices.Clone(s.PodPools), s.ServiceCIDRs...) {
		if c.Prefix.IsValid() {
			out = append(out, c.Prefix.Masked())
		}
	}
	return out
}

func (a *analysis) podsToOutside() {
	for _, h := range a.hosts() {
		for from := range a.sites {
			if a.has(from, a.fi) && a.spend(len(a.classes)) {
				a.outsideClasses(from, h)
			}
		}
	}
}

func (a *analysis) outsideClasses(from int, h host) {
	src := a.podSite(a.sites[from].reps[0])
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, src: src, dst: site{kind: EndOutside, addr: h.addr}}
	l := w.result()
	for _, p := range a.byEgress(w.destinationPeers(), anyPort(a.fi)) {
		a.add(Class{
			Kind: KindPodOutside, Relation: "outside", Protocol: "TCP", Count: a.podsIn(from, p.sources),
			From: a.exampleOf(from, p.sources), To: w.dst.end(), FromNodes: a.words(a.sites[from].key.group),
			Destination: h.label, Hypothetical: !h.real,
			Result: a.judged(l, &a.classes[p.sources[0]], nil, anyPort(a.fi)),
		}, a.sites[from].name, h.label, strconv.Itoa(int(p.code)))
	}
}
