// Package cilium knows what a Cilium version makes of an agent configuration:
// defaults, silent changes, and the start-up rules that would refuse it.
//
// It is pure: a [Config] goes in, [Settings], [Notice]s and [Refusal]s come out.
package cilium

import (
	"net/netip"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Config is the configuration of one agent as its ConfigMap cilium-config
// states it: one entry per key, values as strings, nothing defaulted.
type Config struct {
	// Version of Cilium, "1.18.6"; empty when unknown.
	Version string
	Values  map[string]string
	// Unknown are keys whose value nobody could tell, each with why; they are not
	// in Values. A rule that reads one of them decides nothing.
	Unknown map[string]string
	// MasqAgent is the content of the ip-masq-agent file (ConfigMap
	// ip-masq-agent, key "config"); nil when there is no such ConfigMap.
	MasqAgent *string
	// Source says where the configuration was read or rendered.
	Source string
	// Node are facts of the node that start-up rules depend on; the zero value
	// knows none.
	Node NodeFacts
}

// NodeFacts are what start-up rules need to know of a node beyond the
// configuration: its devices, its kernel, files mounted into the agent.
type NodeFacts struct {
	// Devices are the names of the node's external devices; nil is unknown.
	Devices []string
	// WireGuard, Netkit, Geneve and IPIP: the kernel has that kind of device.
	WireGuard, Netkit, Geneve, IPIP snapshot.Tri
	// OutputMasks: the kernel has xfrm state output masks, Linux 4.19 with CONFIG_XFRM.
	OutputMasks snapshot.Tri
	// DefaultQdisc: net.core.default_qdisc can be read, which takes the machine's own
	// network namespace; without it the agent turns the bandwidth manager off
	// (pkg/datapath/linux/bandwidth/bandwidth.go:171, 1.18.6).
	DefaultQdisc snapshot.Tri
	// IP6Tables: the ip6tables tables that IPv6 needs are available.
	IP6Tables snapshot.Tri
	// IPsecKey: the file that ipsec-key-file names exists.
	IPsecKey snapshot.Tri
	// MasqAgentFolder: the folder of the ip-masq-agent file is mounted. The
	// chart always mounts it.
	MasqAgentFolder snapshot.Tri
	// EphemeralPorts is net.ipv4.ip_local_port_range; zero stands for the
	// kernel's default, 32768 to 60999.
	EphemeralPorts [2]int
}

// Masquerade names who masquerades one address family.
type Masquerade string

const (
	MasqueradeOff      Masquerade = "off"
	MasqueradeIPTables Masquerade = "iptables"
	MasqueradeBPF      Masquerade = "bpf"
)

// Settings are what the agent runs with after its defaults and silent changes.
// Maps are keyed by cidr.IPv4 and cidr.IPv6.
type Settings struct {
	Version    string
	IPv4, IPv6 bool
	// RoutingMode is "native" or "tunnel".
	RoutingMode      string
	TunnelProtocol   string
	UnderlayProtocol string

	AutoDirectNodeRoutes         bool
	DirectRoutingSkipUnreachable bool
	EndpointRoutes               bool
	LocalNodeRoute               bool

	// NativeRoutingCIDR is absent for a family when it is not configured.
	NativeRoutingCIDR map[string]netip.Prefix
	Masquerade        map[string]Masquerade
	// IPMasqAgent: BPF masquerade consults NonMasquerade.
	IPMasqAgent bool
	// NonMasquerade is what the ip-masq-agent file makes of itself, link-local
	// ranges and built-in defaults included.
	NonMasquerade              []netip.Prefix
	EgressMasqueradeInterfaces []string
	MasqueradeToRouteSource    bool
	// RemoteNodeMasquerade is enable-remote-node-masquerade (1.19 and later).
	RemoteNodeMasquerade bool

	KubeProxyReplacement bool
	SocketLB             bool
	SocketLBHostNSOnly   bool
	// HostLegacyRouting is the effective value, fallbacks included.
	HostLegacyRouting bool
	LoadBalancerMode  string

	// PolicyEnforcement is "default", "always" or "never".
	PolicyEnforcement   string
	PolicyAuditMode     bool
	PolicyCIDRMatchNode bool
	PolicyCIDRMatchPods bool // 1.20 and later
	// PolicyLocalCluster: selectors of pods that name no cluster mean the own one.
	PolicyLocalCluster bool
	NodeSelectorLabels bool

	// MTU is the configured MTU; 0 means detected from the device.
	MTU           int
	PMTUDiscovery bool
	// PathMTUProbing: the TCP of pods tries smaller segments by itself when long ones are
	// lost (1.19 and later, of pods made since).
	PathMTUProbing bool
	IPAM           string
	WireGuard      bool
	IPsec          bool
	EgressGateway  bool
	HostFirewall   bool
}

// IPTablesMasquerading says whether any family is masqueraded by iptables
// (pkg/option/config.go, IptablesMasqueradingEnabled, 1.18.6).
func (s *Settings) IPTablesMasquerading() bool {
	for _, m := range s.Masquerade {
		if m == MasqueradeIPTables {
			return true
		}
	}
	return false
}

// Notice is a silent change or a warning (W1…): the agent starts, and does
// something other than what the configuration says.
type Notice struct {
	ID      string
	Message string
	// Key is the configuration key that is without effect or changed.
	Key    string
	Source string
}

// Refusal is a start-up rule that stops the agent (V1…) or the operator (O1…).
type Refusal struct {
	ID string
	// Message is what the process prints, without wrappers.
	Message string
	// Keys are the configuration keys that the rule depends on.
	Keys []string
	// Operator: the operator refuses, not the agent.
	Operator bool
	Source   string
}
