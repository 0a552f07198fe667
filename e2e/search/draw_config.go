package search

import "maps"

// Valid says whether an agent starts with a configuration, given as the YAML of
// [Case.Config].
type Valid func(config string) bool

// rounds is how often a configuration that no agent starts with is drawn again. What
// then still has none is given the base's.
const rounds = 100

// State draws the configuration of each node, and has no policies and flows yet. In a
// last state an address family may be off, which pods do not come back from.
func (d *Draw) State(last bool, valid Valid) error {
	d.now.Policies, d.now.Flows, d.now.APIServer = nil, nil, ""
	if d.chance(20) {
		d.now.APIServer = pick(d, "node-1", "node-2", "node-3")
	}
	off := ""
	if last && d.chance(30) {
		off = pick(d, "ipv4", "ipv6")
	}
	for n := range d.now.Nodes {
		if err := d.node(n, off, valid); err != nil {
			return err
		}
	}
	return nil
}

func (d *Draw) node(n int, off string, valid Valid) error {
	for range rounds {
		d.now.Nodes[n] = Values{}
		for _, part := range []func() Values{d.masquerading, d.exclusions, d.balancing, d.enforcing} {
			maps.Copy(d.now.Nodes[n], part())
		}
		if off != "" {
			d.now.Nodes[n][off+".enabled"] = false
			d.now.Nodes[n][map[string]string{"ipv4": "enableIPv4Masquerade", "ipv6": "enableIPv6Masquerade"}[off]] = false
		}
		text, err := d.now.Config(n)
		if err != nil {
			return err
		}
		if valid(text) {
			return nil
		}
	}
	d.now.Nodes[n] = Values{}
	return nil
}

// masquerading is who does it, and for which family.
func (d *Draw) masquerading() Values {
	v := Values{"bpf.masquerade": d.chance(50)}
	for _, key := range []string{"enableIPv4Masquerade", "enableIPv6Masquerade"} {
		if d.chance(15) {
			v[key] = false
		}
	}
	if d.chance(30) {
		v["bpf.hostLegacyRouting"] = d.chance(60)
	}
	if d.chance(10) {
		v["iptablesRandomFully"] = true
	}
	if d.chance(15) {
		v["enableMasqueradeRouteSource"] = true
	}
	if d.chance(15) {
		v["egressMasqueradeInterfaces"] = pick(d, "eth0", "eth+", "ens+", "lxc+", "eth0 lxc+", "cilium_vxlan", "cilium_+")
	}
	if d.chance(15) {
		v["devices"] = pick(d, "eth0", "eth+", "e+")
	}
	return v
}

// exclusions are the destinations that keep a pod's address.
func (d *Draw) exclusions() Values {
	v := Values{}
	if d.chance(75) {
		v["ipv4NativeRoutingCIDR"] = pick(d, ranges4()...)
	}
	if d.chance(75) {
		v["ipv6NativeRoutingCIDR"] = pick(d, ranges6()...)
	}
	if d.chance(20) {
		v["ipMasqAgent.enabled"], v["bpf.masquerade"] = true, true
		if d.chance(75) {
			v["ipMasqAgent.config.nonMasqueradeCIDRs"] = some(d, 4, d.anyRange)
		}
		if d.chance(25) {
			v["ipMasqAgent.config.masqLinkLocal"] = d.chance(50)
		}
		if d.chance(25) {
			v["ipMasqAgent.config.masqLinkLocalIPv6"] = d.chance(50)
		}
	}
	return v
}

func (d *Draw) anyRange() any { return pick(d, append(ranges4()[1:], ranges6()[1:]...)...) }

// ranges4 begin with none. Some have bits set that their length does not cover.
func ranges4() []any {
	return []any{
		"", "0.0.0.0/0", "10.0.0.0/8", "10.101.0.0/16", "10.101.0.0/24", "10.101.0.77/24", "10.101.0.8/29", "10.101.0.11/32",
		"10.101.1.0/24", "10.101.224.0/19", "10.101.224.32/27", "10.101.224.64/27", "10.101.224.64/26", "10.101.0.96/28", "10.101.200.0/24",
		"203.0.113.0/24", "192.0.2.0/24", "128.0.0.0/1", "0.0.0.0/1", "10.96.0.0/12",
	}
}

func ranges6() []any {
	return []any{
		"", "::/0", "fd00::/8", "fd00:101::/32", "fd00:101::/48", "fd00:101::/64", "fd00:101::77/64", "fd00:101::10/124", "fd00:101::11/128",
		"fd00:101:0:1::/64", "fd00:101:224::/60", "fd00:101:224:1::/64", "fd00:101:224:2::/64", "fd00:101:224:2::/63", "fd00:101:500::/48",
		"2001:db8::/32", "fd00:b::/48", "8000::/1", "::/1", "fd00:101:96::/108",
	}
}

// balancing is who translates ClusterIPs.
func (d *Draw) balancing() Values {
	v := Values{}
	if d.chance(15) {
		v["kubeProxyReplacement"] = false
	}
	if d.chance(30) {
		v["socketLB.enabled"] = d.chance(80)
	}
	if d.chance(30) {
		v["socketLB.hostNamespaceOnly"] = true
	}
	if d.chance(10) {
		v["loadBalancer.mode"] = pick(d, "snat", "dsr", "hybrid")
	}
	return v
}

// enforcing is what policies mean.
func (d *Draw) enforcing() Values {
	v := Values{}
	if d.chance(25) {
		v["policyEnforcementMode"] = pick(d, "always", "always", "never")
	}
	if d.chance(8) {
		v["policyAuditMode"] = true
	}
	if d.chance(25) {
		v["policyCIDRMatchMode"] = []any{"nodes"}
	}
	return v
}
