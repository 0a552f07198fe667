package cilium

import (
	"net/netip"
	"strings"
)

// operatorRules are the operator's own, which reads the same ConfigMap
// (pkg/ipam/allocator/clusterpool/clusterpool.go:34-65, 1.18.6).
var operatorRules = func() []Rule {
	v4 := pool{family: "4", name: "IPv4", bits: 32}
	v6 := pool{family: "6", name: "IPv6", bits: 128}
	var out []Rule
	for _, p := range []pool{v4, v6} {
		out = append(out, p.rules()...)
	}
	return out
}()

// pool is the cluster pool of one family.
type pool struct {
	family, name string
	bits         int
}

func (p pool) cidrKey() string { return "cluster-pool-ipv" + p.family + "-cidr" }
func (p pool) maskKey() string { return "cluster-pool-ipv" + p.family + "-mask-size" }

func (p pool) on(a *agent) bool { return a.on("enable-ipv" + p.family) }

func (p pool) keys(more ...string) []string {
	return append([]string{"ipam", "enable-ipv" + p.family, p.cidrKey()}, more...)
}

func (p pool) rules() []Rule {
	const source = "pkg/ipam/allocator/clusterpool/clusterpool.go:37-63 (1.18.6)"
	const cidrset = "pkg/ipam/cidrset/cidr_set.go:45-91 (1.18.6)"
	tooBig := "New CIDR set failed; the node CIDR size is too big"
	badMask := "SubNetMask is invalid, should be lower or equal to 32 for IPv4 and to 128 for IPv6"
	rule := func(id, title, message, source string, keys []string, check func(*agent) verdict) Rule {
		return Rule{
			ID: id, Kind: KindOperator, stage: stageOperator, Title: title, Message: message, Keys: keys, Source: source,
			check: func(a *agent) verdict {
				if a.stated("ipam") != "cluster-pool" {
					return verdict{}
				}
				return check(a)
			},
		}
	}
	rules := []Rule{
		rule("O9", "A node mask size is no number", "Incorrect config-map flag value: option "+p.maskKey()+": …", "pkg/option/config.go:3682 (1.18.6)", p.keys(p.maskKey()),
			func(a *agent) verdict {
				err := typedFlag{kind: "int"}.parse(a.text(p.maskKey()))
				return refuse(err != nil, "Incorrect config-map flag value: option %s: %v", p.maskKey(), err)
			}),
		rule("O1", p.name+" cluster pool without a CIDR", p.cidrKey()+" must be provided when using ClusterPool", source, p.keys(),
			func(a *agent) verdict {
				return refuse(p.on(a) && len(a.list(p.cidrKey())) == 0, "%s must be provided when using ClusterPool", p.cidrKey())
			}),
		rule("O2", p.name+" cluster pool while "+p.name+" is off", p.cidrKey()+" must not be set if "+p.name+" is disabled", source, p.keys(),
			func(a *agent) verdict {
				return refuse(!p.on(a) && len(a.list(p.cidrKey())) > 0, "%s must not be set if %s is disabled", p.cidrKey(), p.name)
			}),
		rule("O7", "A pool CIDR does not parse", "unable to initialize "+p.name+" allocator: invalid CIDR address: …", "pkg/ipam/allocator/clusterpool/cidralloc/cidralloc.go:44-47 (1.18.6)", p.keys(),
			p.first(func(_ *agent, text string, c netip.Prefix, _ []netip.Prefix) verdict {
				return refuse(!c.IsValid(), "unable to initialize %s allocator: invalid CIDR address: %s", p.name, text)
			})),
		rule("O8", "Pool CIDRs overlap", "unable to initialize "+p.name+" allocator: requested CIDR … collides with clusterCIDR: …, nodeMask: …", "pkg/ipam/allocator/clusterpool/cidralloc/cidralloc.go:34 and :49-56, pkg/ipam/cidrset/cidr_set.go:102 (1.18.6)", p.keys(),
			p.first(func(a *agent, text string, c netip.Prefix, before []netip.Prefix) verdict {
				for _, b := range before {
					if c.IsValid() && b.IsValid() && c.Overlaps(b) {
						return refuse(true, "unable to initialize %s allocator: requested CIDR %s collides with clusterCIDR: %s, nodeMask: %d", p.name, text, b, a.number(p.maskKey()))
					}
				}
				return verdict{}
			})),
		rule("O6", "A pool CIDR of the other family", "unable to initialize "+p.name+" allocator: CIDR is not v"+p.family+" family: …", "pkg/ipam/allocator/clusterpool/cidralloc/cidralloc.go:58-63 (1.18.6)", p.keys(),
			p.first(func(_ *agent, _ string, c netip.Prefix, _ []netip.Prefix) verdict {
				return refuse(c.IsValid() && c.Addr().BitLen() != p.bits, "unable to initialize %s allocator: CIDR is not v%s family: %s", p.name, p.family, c)
			})),
		rule("O4", "The node mask is longer than an address", badMask, cidrset, p.keys(p.maskKey()),
			p.first(func(a *agent, _ string, _ netip.Prefix, _ []netip.Prefix) verdict {
				return refuse(a.number(p.maskKey()) > p.bits, "unable to initialize %s allocator: %s", p.name, badMask)
			})),
	}
	if p.bits == 32 {
		return rules
	}
	return append(rules,
		rule("O3", "An IPv6 node mask more than 16 bits longer than the pool's", tooBig, cidrset, p.keys(p.maskKey()),
			p.first(func(a *agent, _ string, c netip.Prefix, _ []netip.Prefix) verdict {
				mask := a.number(p.maskKey())
				return refuse(mask <= 128 && p.fits(c) && mask-c.Bits() > 16, "unable to initialize %s allocator: %s", p.name, tooBig)
			})))
}

func (p pool) fits(c netip.Prefix) bool { return c.IsValid() && c.Addr().BitLen() == p.bits }

// first is the verdict over the first CIDR of the list that has one.
func (p pool) first(check func(a *agent, text string, c netip.Prefix, before []netip.Prefix) verdict) func(*agent) verdict {
	return func(a *agent) verdict {
		if !p.on(a) {
			return verdict{}
		}
		var before []netip.Prefix
		for _, text := range a.list(p.cidrKey()) {
			c, _ := goCIDR(text)
			if v := check(a, text, c, before); len(v.messages) > 0 {
				return v
			}
			before = append(before, c)
		}
		return verdict{}
	}
}

// exhausted are pool CIDRs that are smaller than one node's share: the operator
// starts and has nothing to hand out.
func exhausted(a *agent) verdict {
	if a.stated("ipam") != "cluster-pool" {
		return verdict{}
	}
	var small []string
	for _, p := range []pool{{family: "4", bits: 32}, {family: "6", bits: 128}} {
		for _, text := range a.list(p.cidrKey()) {
			if c, ok := goCIDR(text); ok && p.on(a) && p.fits(c) && a.number(p.maskKey()) < c.Bits() {
				small = append(small, text)
			}
		}
	}
	return refuse(len(small) > 0,
		"CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range (%s)", strings.Join(small, ", "))
}
