package matrix

import "fmt"

// Base are the Helm values below every configuration.
const Base = `ipv4: {enabled: true}
ipv6: {enabled: true}
ipam: {mode: kubernetes}
k8sServiceHost: localhost
k8sServicePort: 7445
routingMode: native
autoDirectNodeRoutes: true
kubeProxyReplacement: true
enableIPv4Masquerade: true
enableIPv6Masquerade: true
ipv4NativeRoutingCIDR: 10.101.0.0/16
ipv6NativeRoutingCIDR: fd00:101::/32
`

// Config is a configuration of agents: Helm values over [Base].
type Config struct{ Name, Values string }

// Configs are all configurations.
func Configs() []Config {
	out := nativeCIDRs()
	for _, more := range [][]Config{everything(), otherMasquerading(), services(), routing(), tunnels(), enforcement(), sizes()} {
		out = append(out, more...)
	}
	return out
}

// ConfigOf finds a configuration by its name.
func ConfigOf(name string) (Config, error) {
	for _, c := range Configs() {
		if c.Name == name {
			return c, nil
		}
	}
	return Config{}, fmt.Errorf("no configuration is called %q: see e2e/matrix", name)
}

// The addresses: nodes are fd00:101::10 to ::12 and 10.101.0.10 to .12, pods in
// fd00:101:224:N::/64 and 10.101.224.(32*N)/27, services in fd00:101:96::/108 and
// 10.96.0.0/12; outside there are near (fd00:101::99, 10.101.0.99), wide
// (fd00:101:500::99, 10.101.200.99) and far (2001:db8:b::99, 203.0.113.99).

// nativeCIDRs are ranges that hold none, some or all of pods, nodes and hosts outside,
// with each way of masquerading.
func nativeCIDRs() (out []Config) {
	const iptables = "bpf: {masquerade: false}\n"
	const legacy = "bpf: {masquerade: true, hostLegacyRouting: true}\n"
	const bpf = "bpf: {masquerade: true, hostLegacyRouting: false}\n"
	for _, r := range ranges() {
		cidrs := fmt.Sprintf("ipv4NativeRoutingCIDR: %s\nipv6NativeRoutingCIDR: %s\n", r.v4, r.v6)
		for _, way := range []Config{{"iptables", iptables}, {"BPF, legacy host routing", legacy}, {"BPF", bpf}} {
			out = append(out, Config{way.Name + ", native CIDR " + r.holds, way.Values + cidrs})
		}
	}
	return out
}

type nativeRange struct{ holds, v4, v6 string }

func ranges() []nativeRange {
	return []nativeRange{
		{"holds everything", "0.0.0.0/0", "::/0"},
		{"holds nodes, pods and wide", "10.101.0.0/16", "fd00:101::/32"},
		{"holds pods", "10.101.224.0/19", "fd00:101:224::/60"},
		{"holds one node's pods", "10.101.224.64/27", "fd00:101:224:2::/64"},
		{"holds nodes and near", "10.101.0.0/24", "fd00:101::/48"},
		{"holds one node", "10.101.0.11/32", "fd00:101::11/128"},
		{"holds far", "203.0.113.0/24", "2001:db8::/32"},
		{"holds nobody", "192.0.2.0/24", "fd00:b::/48"},
	}
}

// everything of one family: iptables of the nf_tables kind refuses the agent's rule of
// that family, and the agent then puts none of the other's in force.
func everything() []Config {
	return []Config{
		{"iptables, native CIDR holds every IPv4 address and IPv6 pods", "ipv4NativeRoutingCIDR: 0.0.0.0/0\nipv6NativeRoutingCIDR: fd00:101:224::/60\n"},
		{"iptables, native CIDR holds IPv4 pods and every IPv6 address", "ipv4NativeRoutingCIDR: 10.101.224.0/19\nipv6NativeRoutingCIDR: ::/0\n"},
	}
}

// otherMasquerading is what else decides on it.
func otherMasquerading() []Config {
	const nodes = "ipv4NativeRoutingCIDR: 10.101.0.0/24\nipv6NativeRoutingCIDR: fd00:101::/48\n"
	const unset = "ipv4NativeRoutingCIDR: ''\nipv6NativeRoutingCIDR: ''\n"
	const agent = "bpf: {masquerade: true}\n"
	return []Config{
		{"ip-masq-agent, built-in list", agent + unset + "ipMasqAgent: {enabled: true}\n"},
		{"ip-masq-agent lists IPv4 pods", agent + unset + "ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [10.101.224.0/19]}}\n"},
		{"ip-masq-agent lists pods", agent + unset + "ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [10.101.224.0/19, 'fd00:101:224::/60']}}\n"},
		{"ip-masq-agent lists nothing", agent + unset + "ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: []}}\n"},
		{"ip-masq-agent beside a native CIDR", agent + nodes + "ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [10.101.200.0/24, 'fd00:101:500::/48'], masqLinkLocal: true}}\n"},
		{"ip-masq-agent lists far", agent + unset + "ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [203.0.113.0/24, '2001:db8::/32']}}\n"},
		{"iptables, IPv4 off", nodes + "enableIPv4Masquerade: false\n"},
		{"iptables, IPv6 off", nodes + "enableIPv6Masquerade: false\n"},
		{"masquerading off", nodes + "enableIPv4Masquerade: false\nenableIPv6Masquerade: false\n"},
		{"BPF, IPv4 off", agent + nodes + "enableIPv4Masquerade: false\n"},
		{"BPF, IPv6 off", agent + nodes + "enableIPv6Masquerade: false\n"},
		{"iptables, random ports", nodes + "iptablesRandomFully: true\n"},
		{"iptables on eth0", nodes + "egressMasqueradeInterfaces: eth0\n"},
		{"iptables on eth+", nodes + "egressMasqueradeInterfaces: eth+\n"},
		{"iptables on a device that nodes lack", nodes + "egressMasqueradeInterfaces: ens+\n"},
		{"iptables to the route's source", nodes + "enableMasqueradeRouteSource: true\n"},
		{"iptables to the route's source, native CIDR holds nobody", "ipv4NativeRoutingCIDR: 192.0.2.0/24\nipv6NativeRoutingCIDR: fd00:b::/48\nenableMasqueradeRouteSource: true\n"},
		{"iptables to the route's source on eth0", nodes + "enableMasqueradeRouteSource: true\negressMasqueradeInterfaces: eth0\n"},
	}
}

// services are ways to translate ClusterIPs.
func services() []Config {
	const nodes = "ipv4NativeRoutingCIDR: 10.101.0.0/24\nipv6NativeRoutingCIDR: fd00:101::/48\n"
	const hostOnly = "socketLB: {hostNamespaceOnly: true}\n"
	return []Config{
		{"iptables, socket LB for the host only", nodes + hostOnly},
		{"BPF, socket LB for the host only", nodes + hostOnly + "bpf: {masquerade: true}\n"},
		{"iptables, socket LB without kube-proxy replacement", nodes + "kubeProxyReplacement: false\nsocketLB: {enabled: true}\n"},
		{"iptables, socket LB for the host only without kube-proxy replacement", nodes + "kubeProxyReplacement: false\nsocketLB: {enabled: true, hostNamespaceOnly: true}\n"},
	}
}

// routing are ways to reach pods on other nodes, and on the own one.
func routing() []Config {
	const nodes = "ipv4NativeRoutingCIDR: 10.101.0.0/24\nipv6NativeRoutingCIDR: fd00:101::/48\n"
	const endpoints = "endpointRoutes: {enabled: true}\n"
	const skip = "directRoutingSkipUnreachable: true\n"
	const none = "autoDirectNodeRoutes: false\n"
	return []Config{
		{"endpoint routes, iptables, native CIDR holds nodes", endpoints + nodes},
		{"endpoint routes, BPF, native CIDR holds nodes", endpoints + nodes + "bpf: {masquerade: true}\n"},
		{"endpoint routes, iptables, native CIDR holds pods", endpoints},
		{"direct routes", "# as the base\n"},
		{"direct routes, unreachable nodes skipped", skip},
		{"direct routes, unreachable nodes skipped, native CIDR holds nodes", skip + nodes},
		{"no direct routes", none},
		{"no direct routes, native CIDR holds nodes", none + nodes},
		{"no direct routes, BPF", none + nodes + "bpf: {masquerade: true}\n"},
		{"endpoint routes, iptables on lxc+", endpoints + nodes + "egressMasqueradeInterfaces: lxc+\n"},
		{"endpoint routes, iptables on eth0", endpoints + nodes + "egressMasqueradeInterfaces: eth0\n"},
		{"endpoint routes, iptables to the route's source", endpoints + nodes + "enableMasqueradeRouteSource: true\n"},
		{"IPv6 off", none + "ipv6: {enabled: false}\nenableIPv6Masquerade: false\n"},
	}
}

func tunnels() []Config {
	const tunnel = "routingMode: tunnel\ntunnelProtocol: vxlan\nautoDirectNodeRoutes: false\n"
	const unset = "ipv4NativeRoutingCIDR: ''\nipv6NativeRoutingCIDR: ''\n"
	const nodes = "ipv4NativeRoutingCIDR: 10.101.0.0/24\nipv6NativeRoutingCIDR: fd00:101::/48\n"
	return []Config{
		{"tunnel, iptables", tunnel + unset},
		{"tunnel, BPF", tunnel + unset + "bpf: {masquerade: true}\n"},
		{"tunnel, iptables, native CIDR holds nodes", tunnel + nodes},
		{"tunnel, BPF, native CIDR holds nodes", tunnel + nodes + "bpf: {masquerade: true}\n"},
		{"tunnel, masquerading off", tunnel + unset + "enableIPv4Masquerade: false\nenableIPv6Masquerade: false\n"},
		{"tunnel, iptables, socket LB for the host only", tunnel + unset + "socketLB: {hostNamespaceOnly: true}\n"},
		{"tunnel, iptables, endpoint routes", tunnel + unset + "endpointRoutes: {enabled: true}\n"},
	}
}

// half is the incident's shape: IPv4 keeps the pod's address, IPv6 does not.
const half = "enableIPv4Masquerade: false\nipv6NativeRoutingCIDR: fd00:101::/48\n"

func enforcement() []Config {
	return []Config{
		{"IPv6 pods outside the native CIDR", half},
		{"enforcement always", half + "policyEnforcementMode: always\n"},
		{"enforcement never", half + "policyEnforcementMode: never\n"},
		{"policies in audit mode", half + "policyAuditMode: true\n"},
		{"CIDR rules match nodes", half + "policyCIDRMatchMode: [nodes]\n"},
	}
}

func sizes() []Config {
	return []Config{
		{"mtu 1500", "MTU: 1500\n"},
		{"mtu 1500, BPF host routing", "MTU: 1500\nbpf: {masquerade: true}\n"},
		{"mtu 1450, BPF host routing", "MTU: 1450\nbpf: {masquerade: true}\n"},
	}
}
