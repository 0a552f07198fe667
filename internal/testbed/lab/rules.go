//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// ruleset is everything that the node's agent installs, as one script for nft that
// replaces what was there. Chain and set names are Cilium's where it has one
// (pkg/datapath/iptables/iptables.go, 1.18.6); what Cilium does in BPF stands where
// the kernel meets it in the same order.
func (n *Node) ruleset() string {
	var b strings.Builder
	for _, family := range []string{cidr.IPv4, cidr.IPv6} {
		table := tableFamily(family)
		fmt.Fprintf(&b, "add table %[1]s cilium\ndelete table %[1]s cilium\n", table)
		if n.has(family) {
			fmt.Fprintf(&b, "table %s cilium {\n%s%s%s}\n", table, n.masquerade(family), n.translate(family), n.enforce(family))
		}
	}
	return b.String()
}

// tableFamily is nft's name of a family, of its tables and of its header fields.
func tableFamily(family string) string {
	if family == cidr.IPv4 {
		return "ip"
	}
	return "ip6"
}

// set is a named set of addresses or prefixes in nft's language.
func set[T fmt.Stringer](name, family string, elements []T) string {
	kind := map[string]string{cidr.IPv4: "ipv4_addr", cidr.IPv6: "ipv6_addr"}[family]
	var b strings.Builder
	fmt.Fprintf(&b, "\tset %s { type %s; flags interval; auto-merge;", name, kind)
	if len(elements) > 0 {
		var list []string
		for _, e := range elements {
			list = append(list, e.String())
		}
		fmt.Fprintf(&b, " elements = { %s };", strings.Join(list, ", "))
	}
	b.WriteString(" }\n")
	return b.String()
}

// masquerade is the nat chain after routing.
func (n *Node) masquerade(family string) string {
	var nodes []netip.Addr
	for _, other := range n.lab.Nodes {
		nodes = append(nodes, other.IP(family))
	}
	rules := append(n.hairpin(family), fmt.Sprintf(
		// What the node itself sends to a service has its backend's address before it
		// gets a source, as the socket is translated.
		"ct status dnat oifname \"lxc*\" %s saddr %s snat to %s", tableFamily(family), n.IP(family), n.sourceToPods(family)))
	by := n.settings.Masquerade[family]
	if !n.settings.EndpointRoutes || by == cilium.MasqueradeBPF {
		// Between pods of one node BPF delivers, and no netfilter hook sees it.
		rules = append(rules, fmt.Sprintf("%s saddr %s oifname \"lxc*\" accept", tableFamily(family), n.PodCIDR(family)))
	}
	switch by {
	case cilium.MasqueradeIPTables:
		rules = append(rules, n.masqueradeIPTables(family)...)
	case cilium.MasqueradeBPF:
		rules = append(rules, n.masqueradeBPF(family)...)
	}
	return set("cilium_node_set", family, nodes) +
		set("ip_masq_agent", family, cidr.OfFamily(n.settings.NonMasquerade, family)) +
		"\tchain CILIUM_POST_nat {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n" + lines(rules) + "\t}\n"
}

func lines(rules []string) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "\t\t%s\n", r)
	}
	return b.String()
}

// hairpin masquerades what a pod sends to itself by way of a service.
func (n *Node) hairpin(family string) []string {
	var out []string
	for _, p := range n.Pods() {
		if a := p.IP(family); a.IsValid() {
			out = append(out, fmt.Sprintf("%[1]s saddr %[2]s %[1]s daddr %[2]s masquerade", tableFamily(family), a))
		}
	}
	return out
}

// masqueradeIPTables is nodeIpsetNATCmds and allEgressMasqueradeCmds
// (pkg/datapath/iptables/iptables.go:1863 and :1892, 1.18.6).
func (n *Node) masqueradeIPTables(family string) []string {
	ip, own, excluded := tableFamily(family), n.PodCIDR(family), n.exclusion(family)
	if devices := n.settings.EgressMasqueradeInterfaces; len(devices) > 0 {
		var out []string
		for _, d := range devices {
			d = strings.Replace(d, "+", "*", 1)
			out = append(out,
				fmt.Sprintf("oifname %q %s daddr @cilium_node_set accept", d, ip),
				fmt.Sprintf("oifname %q %s daddr != %s masquerade", d, ip, excluded))
		}
		return out
	}
	return []string{
		fmt.Sprintf("%[1]s saddr %[2]s %[1]s daddr @cilium_node_set accept", ip, own),
		fmt.Sprintf("%[1]s saddr %[2]s %[1]s daddr != %[3]s oifname != \"cilium_*\" masquerade", ip, own, excluded),
	}
}

// exclusion is remoteSNATDstAddrExclusionCIDR (pkg/datapath/iptables/iptables.go:1666,
// 1.18.6): the native routing CIDR, else the node's own.
func (n *Node) exclusion(family string) netip.Prefix {
	if p, ok := n.settings.NativeRoutingCIDR[family]; ok {
		return p.Masked()
	}
	return n.PodCIDR(family)
}

// masqueradeBPF is the order of bpf/lib/nat.h:1653 to :1743 (1.18.6), on the uplink.
func (n *Node) masqueradeBPF(family string) []string {
	ip := tableFamily(family)
	var out []string
	if _, native := n.settings.NativeRoutingCIDR[family]; native || !n.settings.IPMasqAgent {
		out = append(out, fmt.Sprintf("%s daddr %s accept", ip, n.exclusion(family)))
	}
	if n.settings.IPMasqAgent {
		out = append(out, ip+" daddr @ip_masq_agent accept")
	}
	if !n.settings.RemoteNodeMasquerade {
		out = append(out, ip+" daddr @cilium_node_set accept")
	}
	return append(out, fmt.Sprintf("oifname %q %s saddr %s masquerade", uplink, ip, n.PodCIDR(family)))
}

// translate is what services are made of: packets of pods and of the node itself to
// a ClusterIP get a backend's address. A service without backends drops.
func (n *Node) translate(family string) string {
	if n.noServices {
		return ""
	}
	var chains strings.Builder
	var rules []string
	for i, s := range n.lab.Services() {
		to := slices.IndexFunc(s.ClusterIPs, func(a netip.Addr) bool { return cidr.Family(a) == family })
		if to < 0 {
			continue
		}
		backends := cidr.AddrsOfFamily(s.Endpoints, family)
		for j, port := range s.Ports {
			name := fmt.Sprintf("service_%d_%d", i, j)
			fmt.Fprintf(&chains, "%s\tchain %s {\n%s\t}\n", backendChains(name, family, port, backends), name, lines([]string{choose(name, backends)}))
			rules = append(rules, fmt.Sprintf("%s daddr %s %s dport %d goto %s",
				tableFamily(family), s.ClusterIPs[to], strings.ToLower(port.Protocol), port.Port, name))
		}
	}
	return chains.String() +
		"\tchain services_pods {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n" + lines(rules) + "\t}\n" +
		"\tchain services_node {\n\t\ttype nat hook output priority -100; policy accept;\n" + lines(rules) + "\t}\n"
}

func backendChains(name, family string, port ServicePort, backends []netip.Addr) string {
	var b strings.Builder
	for k, a := range backends {
		fmt.Fprintf(&b, "\tchain %s_%d {\n\t\tmeta l4proto { tcp, udp } dnat to %s\n\t}\n", name, k, netip.AddrPortFrom(a, uint16(port.target())))
	}
	return b.String()
}

// choose picks a backend at random.
func choose(name string, backends []netip.Addr) string {
	if len(backends) == 0 {
		return "drop"
	}
	var list []string
	for k := range backends {
		list = append(list, fmt.Sprintf("%d : goto %s_%d", k, name, k))
	}
	return fmt.Sprintf("numgen random mod %d vmap { %s }", len(backends), strings.Join(list, ", "))
}

// enforce is ingress policy at the pods' devices. A packet is whose its source
// address is, as Cilium's ipcache has it under native routing: a pod's, or else a
// node's or the world's, which no selector of a NetworkPolicy matches. It is judged
// before this node masquerades: between pods of one node Cilium knows the sender
// without looking at the address. The node itself is always admitted.
func (n *Node) enforce(family string) string {
	ip := tableFamily(family)
	var sets strings.Builder
	var rules []string
	known := map[string]bool{}
	for _, p := range n.Pods() {
		if !p.Guarded || !p.IP(family).IsValid() {
			continue
		}
		name := "pods_of_" + identifier(p.Namespace)
		if !known[name] {
			known[name] = true
			sets.WriteString(set(name, family, n.lab.addresses(p.Namespace, family)))
		}
		for _, port := range p.OpenPorts {
			rules = append(rules, fmt.Sprintf("oifname %q meta l4proto { tcp, udp } th dport %d accept", p.Device(), port))
		}
		rules = append(rules,
			fmt.Sprintf("oifname %q %s saddr @%s accept", p.Device(), ip, name),
			fmt.Sprintf("oifname %q counter drop comment \"policy denied: %s\"", p.Device(), p.Name))
	}
	return sets.String() + "\tchain ingress_policy {\n\t\ttype filter hook forward priority filter; policy accept;\n" +
		"\t\tct state established,related accept\n" + lines(rules) + "\t}\n"
}

// identifier turns a Kubernetes name into one that nft takes.
func identifier(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

func (l *Lab) addresses(namespace, family string) []netip.Addr {
	var out []netip.Addr
	for _, p := range l.Pods() {
		if a := p.IP(family); p.Namespace == namespace && a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}
