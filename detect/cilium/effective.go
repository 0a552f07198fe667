package cilium

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// Effective is what the agent runs with: its defaults and silent changes
// applied. It works for partial and broken configurations too: a value that
// does not parse counts as the default, and [CheckStart] says that the agent
// refuses it. Notices are in the order of their ids.
func Effective(cfg Config) (Settings, []Notice) {
	a := newAgent(cfg)
	s := Settings{
		Version:             cfg.Version,
		IPv4:                a.ipv4(),
		IPv6:                a.ipv6(),
		EndpointRoutes:      a.on("enable-endpoint-routes"),
		NativeRoutingCIDR:   map[string]netip.Prefix{},
		Masquerade:          map[string]Masquerade{},
		PolicyAuditMode:     a.on("policy-audit-mode"),
		NodeSelectorLabels:  a.on("enable-node-selector-labels"),
		MTU:                 max(0, a.number("mtu")),
		PMTUDiscovery:       a.on("enable-pmtu-discovery"),
		PathMTUProbing:      a.from(1, 19) && a.probesPathMTU(),
		IPAM:                a.text("ipam"),
		WireGuard:           a.wireguard(),
		IPsec:               a.ipsec(),
		EgressGateway:       a.egressGateway(),
		HostFirewall:        a.on("enable-host-firewall"),
		PolicyEnforcement:   a.policyEnforcement(),
		PolicyCIDRMatchNode: a.cidrMatches("nodes"),
		PolicyCIDRMatchPods: a.from(1, 20) && a.cidrMatches("pods"),
		PolicyLocalCluster:  a.on("policy-default-local-cluster"),
	}
	a.routing(&s)
	a.masquerade(&s)
	a.services(&s)
	return s, a.notices()
}

func (a *agent) routing(s *Settings) {
	s.RoutingMode = "tunnel"
	if !a.tunnelling() {
		s.RoutingMode = "native"
	}
	s.TunnelProtocol = oneOf(a.text("tunnel-protocol"), "vxlan", "geneve")
	s.UnderlayProtocol = oneOf(a.underlay(), "ipv4", "ipv6")
	s.AutoDirectNodeRoutes = a.on("auto-direct-node-routes")
	s.DirectRoutingSkipUnreachable = a.on("direct-routing-skip-unreachable")
	s.LocalNodeRoute = a.on("enable-local-node-route") && !s.EndpointRoutes
	s.HostLegacyRouting = a.on("enable-host-legacy-routing") || a.legacyRoutingFallback() != ""
}

func (a *agent) masquerade(s *Settings) {
	for family, f := range map[string]struct {
		key  string
		bits int
		on   bool
	}{
		cidr.IPv4: {"ipv4-native-routing-cidr", 32, a.masquerade4()},
		cidr.IPv6: {"ipv6-native-routing-cidr", 128, a.masquerade6()},
	} {
		if p, ok := a.prefix(f.key, f.bits); ok {
			s.NativeRoutingCIDR[family] = p
		}
		s.Masquerade[family] = a.masqueraderOf(f.on)
	}
	s.EgressMasqueradeInterfaces = a.list("egress-masquerade-interfaces")
	s.MasqueradeToRouteSource = a.on("enable-masquerade-to-route-source")
	s.RemoteNodeMasquerade = a.on("enable-remote-node-masquerade")
	s.IPMasqAgent = a.on("enable-ip-masq-agent") && a.masquerading() && a.bpfMasquerade()
	if s.IPMasqAgent {
		s.NonMasquerade, _ = NonMasquerade(a.cfg.MasqAgent)
	}
}

func (a *agent) masqueraderOf(on bool) Masquerade {
	switch {
	case !on:
		return MasqueradeOff
	case a.bpfMasquerade():
		return MasqueradeBPF
	}
	return MasqueradeIPTables
}

func (a *agent) services(s *Settings) {
	s.KubeProxyReplacement = a.nodePort()
	s.SocketLB = a.socketLB()
	s.SocketLBHostNSOnly = s.SocketLB && a.on("bpf-lb-sock-hostns-only")
	s.LoadBalancerMode = oneOf(a.lbMode(), "snat", "dsr", "hybrid")
}

// legacyRoutingFallback is the agent's reason to leave BPF host routing, empty
// when there is none (daemon/cmd/kube_proxy_replacement.go:45 and :269, 1.18.6;
// pkg/kpr/initializer/kube_proxy_replacement.go:43, 1.20.2).
func (a *agent) legacyRoutingFallback() string {
	switch {
	case !a.from(1, 20) && !a.nodePort():
		return "kube-proxy replacement is off"
	case !a.from(1, 19) && a.ipsec():
		return "BPF host routing is incompatible with enable-ipsec."
	case a.iptablesMasquerading():
		return "BPF host routing requires enable-bpf-masquerade."
	case !a.kubeProxyReplacement() && a.from(1, 19):
		return "BPF host routing requires kube-proxy-replacement."
	case !a.kubeProxyReplacement():
		return "BPF host routing requires kube-proxy-replacement=true."
	}
	return ""
}

// policyEnforcement: case does not matter, and what is neither "always" nor
// "never" behaves as the default (pkg/policy/repository.go:360, 1.18.6).
func (a *agent) policyEnforcement() string {
	return oneOf(strings.ToLower(a.text("enable-policy")), "default", "always", "never")
}

// cidrMatches says whether CIDR rules match nodes, or pods
// (pkg/option/config.go:2302, 1.18.6; :2131-2137, 1.20.2).
func (a *agent) cidrMatches(what string) bool {
	return slices.Contains(a.list("policy-cidr-match-mode"), what)
}

// probesPathMTU: the CNI plugin sets net.ipv4.tcp_mtu_probing in a pod's namespace, for
// both families (pkg/mtu/cell.go:83 and :110, plugins/cilium-cni/cmd/cmd.go:1396-1418,
// 1.20.2).
func (a *agent) probesPathMTU() bool {
	mode := a.text("packetization-layer-pmtud-mode")
	return mode == "blackhole" || mode == "always"
}

// oneOf is v when it is allowed, else the first allowed value.
func oneOf(v string, allowed ...string) string {
	for _, w := range allowed {
		if v == w {
			return v
		}
	}
	return allowed[0]
}

// ServiceLoopback says whether a pod that a service leads back to itself, packet by
// packet, is heard: over IPv6 since 1.19 (bpf/bpf_lxc.c:512, 1.18.6: "No
// hairpin/loopback support for IPv6"; :299, 1.20.2; measured on 1.19.6 and 1.20.2).
func (s *Settings) ServiceLoopback(family string) bool {
	return family != cidr.IPv6 || !modelled(s.Version).less(release{1, 19, 0})
}

// LocalClusterBlocks says whether agents with PolicyLocalCluster take a NetworkPolicy with
// an ipBlock under ingress: up to 1.18 they add their cluster's label to that peer too, and
// refuse the policy (pkg/k8s/network_policy.go:76-97, 1.18.6; :76-83, 1.19.6; measured on
// 1.19.6 and 1.20.2).
func (s *Settings) LocalClusterBlocks() bool {
	return !modelled(s.Version).less(release{1, 19, 0})
}

// DropsTooLong says whether BPF host routing looks up every packet's route, and drops what
// is too long for the node's device with a reason. Up to 1.18 it does not where there is
// one device (pkg/datapath/linux/config/config.go:921 and bpf/lib/fib.h:274, 1.18.6;
// measured on 1.19.6 and 1.20.2).
func (s *Settings) DropsTooLong() bool {
	return !s.HostLegacyRouting && !modelled(s.Version).less(release{1, 19, 0})
}
