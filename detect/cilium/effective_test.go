package cilium

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/remediate-dev/remediate/internal/cidr"
)

var compareSettings = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// defaults are what an agent of 1.18 runs with when the ConfigMap is empty.
func defaults() Settings {
	return Settings{
		Version: "1.18.6", IPv4: true, IPv6: true,
		RoutingMode: "tunnel", TunnelProtocol: "vxlan", UnderlayProtocol: "ipv4",
		LocalNodeRoute:    true,
		NativeRoutingCIDR: map[string]netip.Prefix{},
		Masquerade:        map[string]Masquerade{cidr.IPv4: MasqueradeIPTables, cidr.IPv6: MasqueradeIPTables},
		HostLegacyRouting: true,
		LoadBalancerMode:  "snat",
		PolicyEnforcement: "default",
		IPAM:              "cluster-pool",
	}
}

func TestEffectiveDefaults(t *testing.T) {
	got, _ := Effective(Config{Version: "1.18.6"})
	if diff := cmp.Diff(defaults(), got, compareSettings); diff != "" {
		t.Errorf("empty configuration (-want +got):\n%s", diff)
	}
}

// What does not parse is the default; CheckStart says that the agent refuses it.
func TestEffectiveOfBrokenValues(t *testing.T) {
	got, _ := Effective(Config{Version: "1.18.6", Values: map[string]string{
		"enable-ipv4": "yes", "enable-ipv6": "", "routing-mode": "direct", "tunnel-protocol": "gre", "underlay-protocol": "auto",
		"ipv4-native-routing-cidr": "10.0.0.0/8,10.1.0.0/16", "ipv6-native-routing-cidr": "10.0.0.0/8",
		"mtu": "1450B", "bpf-lb-mode": "dsrr", "enable-policy": "sometimes", "kube-proxy-replacement": "strict",
		"enable-bpf-masquerade": "perhaps", "policy-cidr-match-mode": "pods",
	}})
	if diff := cmp.Diff(defaults(), got, compareSettings); diff != "" {
		t.Errorf("broken configuration (-want +got):\n%s", diff)
	}
}

// effective are changes of the base configuration and what they change in the
// settings.
var effective = []struct {
	name      string
	version   string
	change    map[string]string
	masqAgent string
	want      func(*Settings)
}{
	{"base", "1.18.6", nil, "", func(*Settings) {}},
	{"BPF masquerade turns BPF host routing on", "1.18.6", map[string]string{bpf: "true"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
		s.HostLegacyRouting = false
	}},
	{"masquerade off for both families does too", "1.18.6", map[string]string{"enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeOff, cidr.IPv6: MasqueradeOff}
		s.HostLegacyRouting = false
	}},
	{"unless legacy host routing is set", "1.18.6", map[string]string{bpf: "true", "enable-host-legacy-routing": "true"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
	}},
	{"one family off", "1.18.6", map[string]string{"enable-ipv6-masquerade": "false"}, "", func(s *Settings) {
		s.Masquerade[cidr.IPv6] = MasqueradeOff
	}},
	{"a family that is off is not masqueraded", "1.18.6", map[string]string{"enable-ipv6": "false"}, "", func(s *Settings) {
		s.IPv6 = false
		s.Masquerade[cidr.IPv6] = MasqueradeOff
	}},
	{"IPsec up to 1.18 uses legacy host routing", "1.18.6", map[string]string{bpf: "true", "enable-ipsec": "true"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
		s.IPsec = true
	}},
	{"and not since 1.19", "1.19.5", map[string]string{bpf: "true", "enable-ipsec": "true"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
		s.IPsec, s.HostLegacyRouting = true, false
	}},
	{"no kube-proxy replacement", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "bpf-lb-sock-hostns-only": "true"}, "", func(s *Settings) {
		s.KubeProxyReplacement, s.SocketLB = false, false
	}},
	{"NodePort and socket load balancer by parts", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "enable-node-port": "true", "bpf-lb-sock": "true", "bpf-lb-sock-hostns-only": "true"}, "", func(s *Settings) {
		s.SocketLBHostNSOnly = true
	}},
	{"parts are gone in 1.19", "1.19.5", map[string]string{"kube-proxy-replacement": "false", "enable-node-port": "true"}, "", func(s *Settings) {
		s.KubeProxyReplacement, s.SocketLB = false, false
	}},
	{"replacement overrides its parts", "1.18.6", map[string]string{"bpf-lb-sock": "false"}, "", func(*Settings) {}},
	{"capital True is a bool since 1.19", "1.19.5", map[string]string{"kube-proxy-replacement": "True"}, "", func(*Settings) {}},
	{"BPF masquerade without replacement in 1.20", "1.20.2", map[string]string{bpf: "true", "kube-proxy-replacement": "false"}, "", func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
		s.KubeProxyReplacement, s.SocketLB = false, false
	}},
	{"underlay auto", "1.20.2", map[string]string{"enable-ipv4": "false"}, "", func(s *Settings) {
		s.IPv4, s.UnderlayProtocol = false, "ipv6"
		s.Masquerade[cidr.IPv4] = MasqueradeOff
	}},
	{"endpoint routes", "1.18.6", map[string]string{"enable-endpoint-routes": "true"}, "", func(s *Settings) {
		s.EndpointRoutes, s.LocalNodeRoute = true, false
	}},
	{"tunnel", "1.18.6", map[string]string{tunnel: "tunnel", auto: "false", "tunnel-protocol": "geneve", "underlay-protocol": "ipv6", "mtu": "1450"}, "", func(s *Settings) {
		s.RoutingMode, s.AutoDirectNodeRoutes, s.TunnelProtocol, s.UnderlayProtocol, s.MTU = "tunnel", false, "geneve", "ipv6", 1450
	}},
	{"capital keys reach the agent too", "1.18.6", map[string]string{"MTU": "1400"}, "", func(s *Settings) { s.MTU = 1400 }},
	{"policy", "1.18.6", map[string]string{"enable-policy": "Always", "policy-audit-mode": "true", "policy-cidr-match-mode": "nodes", "enable-node-selector-labels": "true", "enable-host-firewall": "true"}, "", func(s *Settings) {
		s.PolicyEnforcement, s.PolicyAuditMode, s.PolicyCIDRMatchNode, s.NodeSelectorLabels, s.HostFirewall = "always", true, true, true, true
	}},
	{"CIDR rules match pods since 1.20", "1.20.2", map[string]string{"policy-cidr-match-mode": "nodes pods"}, "", func(s *Settings) {
		s.PolicyCIDRMatchNode, s.PolicyCIDRMatchPods = true, true
	}},
	{"CIDR rules do not match pods in 1.19", "1.19.6", map[string]string{"policy-cidr-match-mode": "nodes pods"}, "", func(s *Settings) { s.PolicyCIDRMatchNode = true }},
	{"selectors mean any cluster", "1.19.6", map[string]string{"policy-default-local-cluster": "false"}, "", func(s *Settings) { s.PolicyLocalCluster = false }},
	{"pods do not look for the path's MTU", "1.19.6", map[string]string{"packetization-layer-pmtud-mode": "disabled"}, "", func(s *Settings) { s.PathMTUProbing = false }},
	{"pods look for the path's MTU at once", "1.20.2", map[string]string{"packetization-layer-pmtud-mode": "always"}, "", func(*Settings) {}},
	{"pods do not look for the path's MTU in 1.18", "1.18.6", map[string]string{"packetization-layer-pmtud-mode": "blackhole"}, "", func(*Settings) {}},
	{"selectors mean the own cluster", "1.18.6", map[string]string{"policy-default-local-cluster": "true"}, "", func(s *Settings) { s.PolicyLocalCluster = true }},
	{"iptables extras", "1.18.6", map[string]string{"egress-masquerade-interfaces": "eth0 eth1", "enable-masquerade-to-route-source": "true"}, "", func(s *Settings) {
		s.EgressMasqueradeInterfaces, s.MasqueradeToRouteSource = []string{"eth0", "eth1"}, true
	}},
	{"ip-masq-agent without BPF masquerade does nothing", "1.18.6", map[string]string{"enable-ip-masq-agent": "true"}, masqFile, func(*Settings) {}},
	{"ip-masq-agent", "1.18.6", map[string]string{"enable-ip-masq-agent": "true", bpf: "true"}, masqFile, func(s *Settings) {
		s.Masquerade = map[string]Masquerade{cidr.IPv4: MasqueradeBPF, cidr.IPv6: MasqueradeBPF}
		s.HostLegacyRouting, s.IPMasqAgent = false, true
		s.NonMasquerade = prefixes("10.0.0.0/8", "fd00:101:224::/60", "fe80::/10")
	}},
	{"remote node masquerade is of 1.19", "1.18.6", map[string]string{"enable-remote-node-masquerade": "true"}, "", func(*Settings) {}},
	{"remote node masquerade", "1.19.5", map[string]string{"enable-remote-node-masquerade": "true"}, "", func(s *Settings) { s.RemoteNodeMasquerade = true }},
	{"old egress gateway key", "1.18.6", map[string]string{"enable-ipv4-egress-gateway": "true"}, "", func(s *Settings) { s.EgressGateway = true }},
	{"old egress gateway key in 1.20", "1.20.2", map[string]string{"enable-ipv4-egress-gateway": "true"}, "", func(*Settings) {}},
	{"WireGuard and MTU discovery", "1.18.6", map[string]string{"enable-wireguard": "true", "enable-pmtu-discovery": "true", "bpf-lb-mode": "hybrid"}, "", func(s *Settings) {
		s.WireGuard, s.PMTUDiscovery, s.LoadBalancerMode = true, true, "hybrid"
	}},
	{"deprecated mode key", "1.18.6", map[string]string{"node-port-mode": "dsr"}, "", func(s *Settings) { s.LoadBalancerMode = "dsr" }},
	{"skip unreachable", "1.18.6", map[string]string{"direct-routing-skip-unreachable": "true"}, "", func(s *Settings) { s.DirectRoutingSkipUnreachable = true }},
	{"host bits", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224:1::/48"}, "", func(s *Settings) {
		s.NativeRoutingCIDR[cidr.IPv6] = netip.MustParsePrefix("fd00:101:224::/48")
	}},
}

const masqFile = `{"nonMasqueradeCIDRs":["10.0.0.0/8","fd00:101:224::1/60"],"masqLinkLocal":true}`

func TestEffective(t *testing.T) {
	for _, c := range effective {
		t.Run(c.name, func(t *testing.T) {
			want := defaults()
			want.Version = c.version
			want.PolicyLocalCluster = !modelled(c.version).less(release{1, 19, 0})
			want.PathMTUProbing = want.PolicyLocalCluster
			want.RoutingMode, want.AutoDirectNodeRoutes, want.IPAM = "native", true, "kubernetes"
			want.KubeProxyReplacement, want.SocketLB = true, true
			want.NativeRoutingCIDR = map[string]netip.Prefix{
				cidr.IPv4: netip.MustParsePrefix("10.101.0.0/16"), cidr.IPv6: netip.MustParsePrefix("fd00:101::/48"),
			}
			c.want(&want)
			cfg := base(c.version, c.change)
			if c.masqAgent != "" {
				cfg.MasqAgent = &c.masqAgent
			}
			got, _ := Effective(cfg)
			if diff := cmp.Diff(want, got, compareSettings); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func prefixes(ss ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(ss))
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestNonMasquerade(t *testing.T) {
	builtin := prefixes("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "fe80::/10")
	linkLocal := prefixes("169.254.0.0/16", "fe80::/10")
	for _, c := range []struct {
		name, file string
		missing    bool
		want       []netip.Prefix
	}{
		{name: "missing", missing: true, want: builtin},
		{name: "empty", file: "", want: builtin},
		{name: "white space is a file without CIDRs", file: "\n", want: linkLocal},
		{name: "no CIDRs is not empty", file: "nonMasqueradeCIDRs: []\n", want: linkLocal},
		{name: "YAML", file: "nonMasqueradeCIDRs:\n- 10.0.0.0/8\n- fd00::/8\n", want: prefixes("10.0.0.0/8", "169.254.0.0/16", "fd00::/8", "fe80::/10")},
		{name: "JSON with host bits and a duplicate", file: `{"nonMasqueradeCIDRs":["10.1.2.3/8","10.0.0.0/8"]}`, want: prefixes("10.0.0.0/8", "169.254.0.0/16", "fe80::/10")},
		{name: "link-local of both families", file: "nonMasqueradeCIDRs: [10.0.0.0/8]\nmasqLinkLocal: true\nmasqLinkLocalIPv6: true", want: prefixes("10.0.0.0/8")},
		{name: "unknown keys", file: "resyncInterval: 60s\nnonMasqueradeCIDRs: [10.0.0.0/8]", want: prefixes("10.0.0.0/8", "169.254.0.0/16", "fe80::/10")},
	} {
		file := &c.file
		if c.missing {
			file = nil
		}
		got, err := NonMasquerade(file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got, compareSettings); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestNonMasqueradeRejects(t *testing.T) {
	for _, file := range []string{
		"nonMasqueradeCIDRs: [10.0.0.0]", "nonMasqueradeCIDRs: [10]", "nonMasqueradeCIDRs: ['']", "nonMasqueradeCIDRs: [null]",
		"nonMasqueradeCIDRs: 10.0.0.0/8", "masqLinkLocal: sometimes", "nonMasqueradeCIDRs: [10.0.0.0/8", "- a\n- b",
		"nonMasqueradeCIDRs: [10.0.0.0/8]" + strings.Repeat(" ", maxMasqAgentFile),
	} {
		got, err := NonMasquerade(&file)
		if err == nil || got != nil {
			t.Errorf("%.60q: %v, %v; want an error", file, got, err)
		}
	}
}
