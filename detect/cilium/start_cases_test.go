package cilium

import (
	"maps"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// base is a configuration that starts in every release: dual stack, native
// routing, iptables masquerade. A value "-" takes a key away.
func base(version string, change map[string]string) Config {
	values := map[string]string{
		"enable-ipv4": "true", "enable-ipv6": "true", "ipam": "kubernetes",
		"routing-mode": "native", "auto-direct-node-routes": "true", "kube-proxy-replacement": "true",
		"ipv4-native-routing-cidr": "10.101.0.0/16", "ipv6-native-routing-cidr": "fd00:101::/48",
		"enable-ipv4-masquerade": "true", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "false",
		"enable-l7-proxy": "false",
	}
	maps.Copy(values, change)
	for k, v := range values {
		if v == "-" {
			delete(values, k)
		}
	}
	return Config{Version: version, Values: values, Node: NodeFacts{Devices: []string{"eth0"}}}
}

const (
	bpf    = "enable-bpf-masquerade"
	tunnel = "routing-mode"
	auto   = "auto-direct-node-routes"
)

// refused are configurations and the refusal that the process prints. Each rule
// and wording has at least one.
var refused = []struct {
	id, version string
	change      map[string]string
	message     string // a part of it; empty is the catalogue's
}{
	{"V1", "1.18.6", map[string]string{"ipv4-native-routing-cidr": "-"}, "--ipv4-native-routing-cidr in combination with --enable-ipv4=true --enable-ipv4-masquerade=true --enable-ip-masq-agent=false --routing-mode=native --ipam=kubernetes"},
	{"V1", "1.18.6", map[string]string{"ipv4-native-routing-cidr": "", "enable-ipv4-masquerade": "-"}, ""},
	{"V2", "1.20.2", map[string]string{"ipv6-native-routing-cidr": "-"}, "--enable-ipv6-masquerade=true --enable-ip-masq-agent=false --routing-mode=native"},
	{"V3", "1.18.6", map[string]string{"direct-routing-skip-unreachable": "true", auto: "false"}, ""},
	{"V4", "1.18.6", map[string]string{"enable-ip-masq-agent": "true"}, ""},
	{"V4", "1.20.2", map[string]string{"enable-ip-masq-agent": "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false", bpf: "true"}, ""},
	{"V5", "1.18.6", map[string]string{bpf: "true", "kube-proxy-replacement": "false"}, ""},
	{"V6", "1.18.6", map[string]string{bpf: "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false"}, ""},
	{"V6", "1.19.5", map[string]string{bpf: "true", "enable-ipv4": "false", "enable-ipv6-masquerade": "false"}, ""},
	{"V7", "1.18.6", map[string]string{bpf: "true", "egress-masquerade-interfaces": "eth0"}, ""},
	{"V7", "1.20.2", map[string]string{bpf: "true", "egress-masquerade-interfaces": "eth0", "enable-masquerade-to-route-source": "true"}, ""},
	{"V8", "1.18.6", map[string]string{bpf: "true", "enable-masquerade-to-route-source": "true"}, ""},
	{"V8", "1.20.2", map[string]string{bpf: "true", "enable-masquerade-to-route-source": "true"}, ""},
	{"V9", "1.18.6", map[string]string{tunnel: "tunnel"}, ""},
	{"V9", "1.18.6", map[string]string{tunnel: "direct"}, ""}, // hides V10
	{"V10", "1.18.6", map[string]string{tunnel: "direct", auto: "false"}, `invalid routing mode "direct"`},
	{"V10", "1.18.6", map[string]string{tunnel: "", auto: "false"}, `invalid routing mode ""`},
	{"V11", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "fd00:101::/129"}, "Unable to parse CIDR 'fd00:101::/129'"},
	{"V11", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "10.0.0.0/8"}, "ipv6-native-routing-cidr must be an IPv6 CIDR"},
	{"V11", "1.18.6", map[string]string{"ipv4-native-routing-cidr": "fd00::/8"}, "ipv4-native-routing-cidr must be an IPv4 CIDR"},
	{"V11", "1.18.6", map[string]string{"ipv4-native-routing-cidr": "10.0.0.0/8,10.1.0.0/16"}, "Unable to parse CIDR '10.0.0.0/8,10.1.0.0/16'"},
	{"V12", "1.18.6", map[string]string{"enable-ipv4": "false", "enable-ipv6": "false"}, ""},
	{"V13", "1.18.6", map[string]string{"mtu": "-1"}, "MTU '-1' cannot be negative"},
	{"V13", "1.20.2", map[string]string{"mtu": "-1"}, "failed to set MTU -1 for cilium_host: invalid argument"},
	{"V14", "1.18.6", map[string]string{"ipam": "eni"}, ""},
	{"V15", "1.18.6", map[string]string{"kube-proxy-replacement": "strict"}, ""},
	{"V15", "1.18.6", map[string]string{"kube-proxy-replacement": "True"}, ""},
	{"V16", "1.18.6", map[string]string{"bpf-lb-mode": "dsrr"}, "Invalid value for --bpf-lb-mode: dsrr"},
	{"V16", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", "node-port-mode": "snat"}, "both --bpf-lb-mode and --node-port-mode were set"},
	{"V17", "1.18.6", map[string]string{"bpf-lb-mode": "hybrid", "bpf-lb-mode-annotation": "true"}, ""},
	{"V18", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", tunnel: "tunnel", auto: "false"}, `Node Port "dsr" mode`},
	{"V18", "1.18.6", map[string]string{"bpf-lb-mode-annotation": "true", tunnel: "tunnel", auto: "false"}, `Node Port "snat" mode`},
	{"V19", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", tunnel: "tunnel", auto: "false", "tunnel-protocol": "geneve"}, `Tunnel routing with Node Port "dsr"`},
	{"V20", "1.18.6", map[string]string{"bpf-lb-mode": "hybrid", "bpf-lb-dsr-dispatch": "geneve"}, `Node Port "hybrid" mode with "geneve" dispatch`},
	{"V21", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip"}, ""},
	{"V22", "1.18.6", map[string]string{"bpf-lb-rss-ipv4-src-cidr": "10.0.0.0/8"}, ""},
	{"V22", "1.18.6", map[string]string{"bpf-lb-rss-ipv4-src-cidr": "fd00::/8"}, "Invalid value for --bpf-lb-rss-ipv4-src-cidr: fd00::/8"},
	{"V22", "1.18.6", map[string]string{"bpf-lb-rss-ipv6-src-cidr": "::/0"}, "Invalid value for --bpf-lb-rss-ipv6-src-cidr: ::/0"},
	{"V23", "1.18.6", map[string]string{"bpf-lb-acceleration": "native", tunnel: "tunnel", auto: "false", "underlay-protocol": "ipv6"}, ""},
	{"V24", "1.18.6", map[string]string{"install-no-conntrack-iptables-rules": "true"}, ""},
	{"V24", "1.18.6", map[string]string{"install-no-conntrack-iptables-rules": "true", tunnel: "tunnel", auto: "false"}, ""},
	{"V24", "1.18.6", map[string]string{"install-no-conntrack-iptables-rules": "true", "enable-ipv4": "false"}, "requires IPv4 support."},
	{"V24", "1.18.6", map[string]string{"install-no-conntrack-iptables-rules": "true", "kube-proxy-replacement": "false"}, "requires the agent to run with kube-proxy-replacement=true."},
	{"V24", "1.20.2", map[string]string{"install-no-conntrack-iptables-rules": "true", "kube-proxy-replacement": "false"}, "requires the agent to run with kube-proxy-replacement."},
	{"V25", "1.18.6", map[string]string{"node-port-range": "40000,41000", "enable-auto-protect-node-port-range": "false"}, "(40000-41000) must not clash with ephemeral port range (32768\t60999)"},
	{"V25", "1.18.6", map[string]string{"node-port-range": "61000,62000"}, "is not allowed to be after ephemeral port range"},
	{"V26", "1.18.6", map[string]string{"devices": "enp9s9"}, ""},
	{"V28", "1.18.6", map[string]string{"enable-ipsec": "true", "enable-host-firewall": "true"}, ""},
	{"V29", "1.18.6", map[string]string{"enable-ipsec": "true", "enable-wireguard": "true"}, ""},
	{"V31", "1.18.6", map[string]string{"enable-ipsec": "true", "enable-l7-proxy": "true"}, ""},
	{"V32", "1.18.6", map[string]string{"enable-ipsec": "true", "ipam": "multi-pool"}, ""},
	{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit"}, "netkit devices require BPF masquerade"},
	{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit", bpf: "true", "kube-proxy-replacement": "false"}, "netkit devices require --kube-proxy-replacement"},
	{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit-l2", "enable-host-legacy-routing": "true"}, "netkit devices cannot be used with --enable-host-legacy-routing=true"},
	{"V34", "1.18.6", map[string]string{"datapath-mode": "vethh"}, "Invalid datapath mode"},
	{"V34", "1.18.6", map[string]string{"datapath-mode": "auto"}, "Invalid datapath mode"},
	{"V34", "1.20.2", map[string]string{"datapath-mode": "vethh"}, "invalid datapath mode: vethh"},
	{"V35", "1.18.6", map[string]string{"enable-l7-proxy": "true", "install-iptables-rules": "false"}, ""},
	{"V35", "1.20.2", map[string]string{"enable-l7-proxy": "true", "install-iptables-rules": "false"}, "or BPF TProxy"},
	{"V36", "1.18.6", map[string]string{"local-router-ipv4": "169.254.23.0", tunnel: "tunnel", auto: "false"}, ""},
	{"V36", "1.18.6", map[string]string{"local-router-ipv4": "169.254.23.0"}, "local-router-ipv6  without enable-endpoint-routes."},
	{"V36", "1.18.6", map[string]string{"local-router-ipv6": "fd00::1", "enable-endpoint-routes": "true", "enable-ipsec": "true"}, "with enable-ipsec."},
	{"V37", "1.18.6", map[string]string{"enable-nat46x64-gateway": "true", "enable-ipv4": "false"}, ""},
	{"V37", "1.18.6", map[string]string{"bpf-lb-nat46x64": "true", "bpf-lb-mode": "dsr"}, "NAT46/NAT64 requires SNAT mode for services"},
	{"V38", "1.18.6", map[string]string{"enable-ipv6-big-tcp": "true", "enable-host-legacy-routing": "true"}, ""},
	{"V38", "1.18.6", map[string]string{"enable-ipv4-big-tcp": "true", tunnel: "tunnel", auto: "false"}, "BIG TCP is not supported in tunneling mode"},
	{"V38", "1.18.6", map[string]string{"enable-ipv4-big-tcp": "true", "enable-ipsec": "true"}, "BIG TCP is not supported with encryption enabled"},
	{"V38", "1.20.2", map[string]string{"enable-ipv4-big-tcp": "true", "bpf-lb-dsr-dispatch": "ipip"}, "aren't compatible with BIG TCP"},
	{"V39", "1.18.6", map[string]string{"enable-bandwidth-manager": "true", "enable-bbr": "true", "enable-host-legacy-routing": "true"}, ""},
	{"V39", "1.18.6", map[string]string{"enable-bandwidth-manager": "true", "enable-bbr-hostns-only": "true"}, "without enabling --enable-bbr"},
	{"V41", "1.18.6", map[string]string{"enable-egress-gateway": "true"}, ""},
	{"V41", "1.18.6", map[string]string{"enable-ipv4-egress-gateway": "true"}, ""},
	{"V41", "1.20.2", map[string]string{"enable-egress-gateway": "true", bpf: "true", "underlay-protocol": "ipv6"}, "egress gateway requires an IPv4 underlay"},
	{"V42", "1.18.6", map[string]string{"enable-egress-gateway": "true", bpf: "true", "enable-cilium-endpoint-slice": "true"}, ""},
	{"V42", "1.18.6", map[string]string{"enable-egress-gateway": "true", bpf: "true", "kvstore": "etcd", "identity-allocation-mode": "kvstore"}, "not supported in kvstore identity allocation mode"},
	{"V43", "1.18.6", map[string]string{"bpf-distributed-lru": "true", "bpf-map-dynamic-size-ratio": "0"}, ""},
	{"V44", "1.18.6", map[string]string{"enable-encryption-strict-mode": "true", "encryption-strict-mode-cidr": "fd00::/8"}, ""},
	{"V44", "1.18.6", map[string]string{"enable-encryption-strict-mode": "true"}, "Cannot parse CIDR  from --encryption-strict-mode-cidr option"},
	{"V44", "1.20.2", map[string]string{"enable-encryption-strict-mode-egress": "true", "encryption-strict-egress-cidr": "x"}, "Cannot parse CIDR x from --encryption-strict-egress-cidr option"},
	{"V46", "1.18.6", map[string]string{"ipam": "delegated-plugin", "enable-endpoint-routes": "true", "local-router-ipv4": "10.0.0.1", "local-router-ipv6": "fd00::1"}, ""},
	{"V46", "1.18.6", map[string]string{"ipam": "delegated-plugin"}, "--local-router-ipv4 must be provided when IPv4 is enabled with --ipam=delegated-plugin"},
	{"V46", "1.18.6", map[string]string{"ipam": "delegated-plugin", "enable-ipv4": "false"}, "--local-router-ipv6 must be provided"},
	{"V46", "1.18.6", map[string]string{"ipam": "delegated-plugin", "enable-ipv4": "false", "enable-endpoint-routes": "true", "local-router-ipv6": "fd00::1", "enable-endpoint-health-checking": "false", "enable-envoy-config": "true"}, "--enable-envoy-config must be disabled"},
	{"V47", "1.18.6", map[string]string{"ipam": "eni", "enable-ipv6": "false", tunnel: "tunnel", auto: "false"}, ""},
	{"V48", "1.18.6", map[string]string{"cluster-id": "256", "cluster-name": "a"}, "invalid cluster id 256: must be in range 0..255"},
	{"V48", "1.18.6", map[string]string{"cluster-id": "1"}, "cannot use default cluster name (default) with option cluster-id"},
	{"V48", "1.18.6", map[string]string{"cluster-name": "A_b"}, "must consist of lower case alphanumeric characters"},
	{"V48", "1.18.6", map[string]string{"cluster-name": strings.Repeat("a", 33)}, "must not be more than 32 characters"},
	{"V48", "1.18.6", map[string]string{"cluster-name": ""}, "must not be empty"},
	{"V48", "1.18.6", map[string]string{"max-connected-clusters": "300"}, "--max-connected-clusters=300 is invalid; supported values are [255, 511]"},
	{"V49", "1.18.6", map[string]string{auto: "yes"}, `option auto-direct-node-routes: strconv.ParseBool: parsing "yes": invalid syntax`},
	{"V49", "1.18.6", map[string]string{auto: ""}, `strconv.ParseBool: parsing "": invalid syntax`},
	{"V49", "1.18.6", map[string]string{"mtu": "1450B"}, `option mtu: unable to cast "1450B" of type string to int: strconv.ParseInt: parsing "1450B": invalid syntax`},
	{"V49", "1.20.2", map[string]string{"kube-proxy-replacement": "partial"}, `option kube-proxy-replacement: strconv.ParseBool: parsing "partial": invalid syntax`},
	{"V51", "1.18.6", map[string]string{"mtu": "60"}, ""},
	{"V51", "1.20.2", map[string]string{"mtu": "70000"}, "failed to set MTU 70000 for cilium_host"},
	{"V52", "1.18.6", map[string]string{"ipam": "cluster-poool"}, "Unknown IPAM backend cluster-poool"},
	{"V53", "1.18.6", map[string]string{"tunnel-protocol": "gre"}, `invalid tunnel protocol "gre"`},
	{"V54", "1.18.6", map[string]string{"underlay-protocol": "auto"}, `invalid IP family for underlay "auto"`},
	{"V54", "1.20.2", map[string]string{"underlay-protocol": "ipv4", "enable-ipv4": "false"}, "underlay protocol set to IPv4, but IPv4 is disabled"},
	{"V54", "1.20.2", map[string]string{"underlay-protocol": "ipv6", "enable-ipv6": "false"}, "underlay protocol set to IPv6, but IPv6 is disabled"},
	{"V55", "1.18.6", map[string]string{"bpf-lb-acceleration": "fast"}, "Invalid value for --node-port-acceleration: fast"},
	{"V56", "1.18.6", map[string]string{"bpf-lb-algorithm": "round-robin"}, "Invalid value for --bpf-lb-algorithm: round-robin"},
	{"V56", "1.18.6", map[string]string{"node-port-algorithm": "x"}, "Invalid value for --bpf-lb-algorithm: x"},
	{"V57", "1.18.6", map[string]string{"node-port-range": "32767,30000"}, ""},
	{"V57", "1.18.6", map[string]string{"node-port-range": "30000"}, "Unable to parse min/max port value for NodePort range: node-port-range"},
	{"V57", "1.18.6", map[string]string{"node-port-range": "a,b"}, `Unable to parse min port value for NodePort range: strconv.ParseUint: parsing "a": invalid syntax`},
	{"V57", "1.18.6", map[string]string{"node-port-range": "1,70000"}, "Unable to parse max port value for NodePort range: strconv.ParseUint: parsing \"70000\": value out of range"},
	{"V58", "1.20.2", map[string]string{"only-masquerade-default-pool": "true"}, ""},
	{"V59", "1.20.2", map[string]string{"enable-remote-node-masquerade": "true"}, ""},
	{"V60", "1.20.2", map[string]string{"install-iptables-rules": "false"}, ""},
	{"V62", "1.20.2", map[string]string{"enable-nat46x64-gateway": "true"}, ""},
	{"V63", "1.18.6", map[string]string{"enable-ipsec": "true"}, "open : no such file or directory"},
	{"V65", "1.20.2", map[string]string{"bpf-lb-dsr-dispatch": "vxlan"}, "Invalid value for --bpf-lb-dsr-dispatch: vxlan"},
	{"V66", "1.18.6", map[string]string{"service-no-backend-response": "ignore"}, ""},
	{"V67", "1.18.6", map[string]string{"bpf-lb-acceleration": "native", "node-port-acceleration": "disabled"}, ""},
	{"V68", "1.18.6", map[string]string{"enable-cilium-endpoint-slice": "true", "disable-endpoint-crd": "true"}, ""},
	{"V69", "1.18.6", map[string]string{"identity-allocation-mode": "etcd"}, `Invalid identity allocation mode "etcd"`},
	{"V70", "1.18.6", map[string]string{"allow-localhost": "sometimes"}, ""},
	{"V71", "1.18.6", map[string]string{"monitor-aggregation": "5"}, ""},
	{"V71", "1.18.6", map[string]string{"monitor-aggregation": "much"}, ""},
	{"V72", "1.18.6", map[string]string{"enable-srv6": "true", "enable-ipv6": "false"}, ""},
	{"V73", "1.18.6", map[string]string{"route-metric": "-3"}, "RouteMetric '-3' cannot be negative"},
	{"V74", "1.18.6", map[string]string{"enable-ipv6-ndp": "true", "enable-ipv6": "false"}, ""},
	{"V74", "1.18.6", map[string]string{"enable-ipv6-ndp": "true"}, "IPv6NDP cannot be enabled without ipv6-mcast-device"},
	{"V75", "1.18.6", map[string]string{"policy-cidr-match-mode": "nodes pods"}, "unknown CIDR match mode: pods"},
	{"V76", "1.18.6", map[string]string{"bpf-lb-map-max": "0"}, "specified LBMap max entries 0 must be a value greater than 0"},
	{"V76", "1.18.6", map[string]string{"bpf-sock-rev-map-max": "10"}, "table size 10 must be greater or equal to 1024"},
	{"V76", "1.18.6", map[string]string{"bpf-sock-rev-map-max": "16777217"}, "tables size 16777217 must not exceed maximum 16777216"},
	{"V77", "1.20.2", map[string]string{"lb-reflector-wait-time": "0s"}, "--lb-reflector-wait-time must be greater than 0, got 0s"},
	{"V78", "1.18.6", map[string]string{"bpf-lb-ipip-sock-mark": "true"}, `Node Port "snat" mode with IPIP socket mark logic`},
	{"V79", "1.18.6", map[string]string{"bpf-map-dynamic-size-ratio": "-0.5"}, "specified dynamic map size ratio -0.500000 must be > 0.0"},
	{"V79", "1.18.6", map[string]string{"bpf-map-dynamic-size-ratio": "2"}, "specified dynamic map size ratio 2.000000 must be ≤ 1.0"},
	{"V80", "1.18.6", map[string]string{"tunnel-source-port-range": "x"}, `invalid tunnel source port range "x"`},
	{"V81", "1.20.2", map[string]string{"ipam": "crd"}, ""},
	{"V81", "1.20.2", map[string]string{"ipam": "cluster-poool"}, ""}, // hides V52
	{"V82", "1.18.6", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-ipsec-encrypted-overlay": "true"}, ""},
	{"V82", "1.18.6", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-ipsec-encrypted-overlay": "true", tunnel: "tunnel", auto: "false", "tunnel-protocol": "geneve"}, "EncryptedOverlay support requires VXLAN tunneling protocol"},
	{"V84", "1.20.2", map[string]string{"policy-deny-response": "rst"}, ""},
	{"V85", "1.20.2", map[string]string{"fib-table-id-annotation": "true"}, ""},
	{"V88", "1.20.2", map[string]string{"bpf-lb-mode-annotation": "true", tunnel: "tunnel", auto: "false"}, ""},
	{"V28", "1.20.2", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-host-firewall": "true"}, ""},
	{"V29", "1.20.2", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-wireguard": "true"}, ""},
	{"V30", "1.18.6", map[string]string{"enable-wireguard": "true", tunnel: "tunnel", auto: "false", "underlay-protocol": "ipv6"}, ""},
	{"V31", "1.20.2", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-l7-proxy": "true"}, ""},
	{"V36", "1.20.2", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "local-router-ipv4": "10.0.0.1"}, ""},
	{"V89", "1.20.2", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys", "enable-encryption-strict-mode-ingress": "true"}, ""},
	{"V90", "1.18.6", map[string]string{"local-router-ipv4": "here", "enable-endpoint-routes": "true"}, "Invalid local-router-ip: here"},
	{"V90", "1.20.2", map[string]string{"local-router-ipv6": "here"}, "invalid local-router-ip: here"},
	{"V91", "1.18.6", map[string]string{"bpf-lb-maglev-table-size": "100"}, "Invalid value for --bpf-lb-maglev-table-size: 100, supported values are: [251 509 "},
	{"O1", "1.18.6", map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}, "cluster-pool-ipv4-cidr must be provided when using ClusterPool"},
	{"O1", "1.18.6", map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/8"}, "cluster-pool-ipv6-cidr must be provided when using ClusterPool"},
	{"O2", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv6-cidr": "fd00::/104"}, "cluster-pool-ipv6-cidr must not be set if IPv6 is disabled"},
	{"O2", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}, "cluster-pool-ipv4-cidr must not be set if IPv4 is disabled"},
	{"O3", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00:101:224::/60", "cluster-pool-ipv6-mask-size": "120"}, "the node CIDR size is too big"},
	{"O4", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "33"}, "SubNetMask is invalid"},
	{"O4", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "129"}, "SubNetMask is invalid"},
	{"O6", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "fd00::/104"}, "CIDR is not v4 family: fd00::/104"},
	{"O6", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "10.0.0.0/8"}, "CIDR is not v6 family: 10.0.0.0/8"},
	{"O7", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8,10.1.0.0/16"}, "invalid CIDR address: 10.0.0.0/8,10.1.0.0/16"},
	{"O7", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "pods"}, "unable to initialize IPv6 allocator: invalid CIDR address: pods"},
	{"O8", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8 10.1.0.0/16"}, "requested CIDR 10.1.0.0/16 collides with 10.0.0.0/8"},
	{"O8", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104 fd00::/112", "cluster-pool-ipv6-mask-size": "116"}, "requested CIDR fd00::/112 collides with fd00::/104"},
	{"O9", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "big"}, `option cluster-pool-ipv4-mask-size: unable to cast "big" of type string to int`},
	{"O9", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "big"}, `option cluster-pool-ipv6-mask-size`},
}

// byFacts are the rules that only a fact of the node makes refuse.
var byFacts = []struct {
	id, version string
	change      map[string]string
	node        NodeFacts
}{
	{"V27", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "enable-host-firewall": "true", "devices": "x+"}, NodeFacts{Devices: []string{"eth0"}}},
	{"V33", "1.18.6", map[string]string{"datapath-mode": "netkit"}, NodeFacts{Netkit: snapshot.No}},
	{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit", bpf: "true"}, NodeFacts{Netkit: snapshot.No}},
	{"V45", "1.18.6", nil, NodeFacts{IP6Tables: snapshot.No}},
	{"V61", "1.20.2", map[string]string{bpf: "true", "enable-ip-masq-agent": "true"}, NodeFacts{MasqAgentFolder: snapshot.No}},
	{"V63", "1.18.6", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys"}, NodeFacts{IPsecKey: snapshot.No}},
	{"V87", "1.18.6", map[string]string{"enable-wireguard": "true"}, NodeFacts{WireGuard: snapshot.No}},
	{"V87", "1.20.2", map[string]string{"enable-wireguard": "true"}, NodeFacts{WireGuard: snapshot.No}},
}

// starting are configurations that look wrong and start.
var starting = []struct {
	name, version string
	change        map[string]string
}{
	{"base", "1.18.6", nil},
	{"BPF masquerade", "1.18.6", map[string]string{bpf: "true"}},
	{"one family's masquerade off under BPF", "1.18.6", map[string]string{bpf: "true", "enable-ipv6-masquerade": "false"}},
	{"tunnel without native CIDRs", "1.18.6", map[string]string{tunnel: "-", auto: "false", "ipv4-native-routing-cidr": "-", "ipv6-native-routing-cidr": "-"}},
	{"ip-masq-agent instead of a native CIDR", "1.18.6", map[string]string{bpf: "true", "enable-ip-masq-agent": "true", "ipv6-native-routing-cidr": "-"}},
	{"masquerade of a family that is off", "1.18.6", map[string]string{"enable-ipv6": "false", "ipv6-native-routing-cidr": "-"}},
	{"native CIDR elsewhere", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "fd00:9::/48"}},
	{"native CIDR with host bits", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224:1::/48"}},
	{"native CIDR of a family that is off", "1.18.6", map[string]string{"enable-ipv6": "false"}},
	{"bool 1", "1.18.6", map[string]string{auto: "1"}},
	{"bool with white space", "1.18.6", map[string]string{auto: " true\n"}},
	{"empty int", "1.18.6", map[string]string{"mtu": ""}},
	{"decimal int", "1.18.6", map[string]string{"mtu": "1450.0"}},
	{"hex int", "1.18.6", map[string]string{"mtu": "0x5dc"}},
	{"unknown key", "1.18.6", map[string]string{"no-such-flag": "x", "MTU": "1450"}},
	{"nonsense enable-policy", "1.18.6", map[string]string{"enable-policy": "sometimes"}},
	{"direct-routing-device that does not exist", "1.18.6", map[string]string{"direct-routing-device": "enp9s9"}},
	{"wildcard device", "1.18.6", map[string]string{"devices": "enp+ eth+"}},
	{"DSR without NodePort", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "bpf-lb-mode": "dsr", tunnel: "tunnel", auto: "false"}},
	{"gateway with DSR", "1.18.6", map[string]string{"enable-nat46x64-gateway": "true", "bpf-lb-mode": "dsr"}},
	{"BIG TCP under the automatic fallback", "1.18.6", map[string]string{"enable-ipv6-big-tcp": "true"}},
	{"NodePorts up to the ephemeral ports, protected", "1.18.6", map[string]string{"node-port-range": "30000,40000"}},
	{"no-conntrack rules without masquerade", "1.18.6", map[string]string{"install-no-conntrack-iptables-rules": "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false"}},
	{"NodePort alone under BPF masquerade", "1.18.6", map[string]string{bpf: "true", "kube-proxy-replacement": "false", "enable-node-port": "true"}},
	{"ENI on IPv4", "1.18.6", map[string]string{"ipam": "eni", "enable-ipv6": "false", "ipv4-native-routing-cidr": "-"}},
	{"unknown dispatch without DSR", "1.18.6", map[string]string{"bpf-lb-dsr-dispatch": "vxlan"}},
	{"keys of a later release", "1.18.6", map[string]string{"enable-remote-node-masquerade": "true", "only-masquerade-default-pool": "nonsense"}},
	{"BPF masquerade without kube-proxy replacement", "1.20.2", map[string]string{bpf: "true", "kube-proxy-replacement": "false"}},
	{"capital True", "1.20.2", map[string]string{"kube-proxy-replacement": "True"}},
	{"router address without endpoint routes", "1.20.2", map[string]string{"local-router-ipv4": "169.254.23.0"}},
	{"the old egress gateway key", "1.20.2", map[string]string{"enable-ipv4-egress-gateway": "true"}},
	{"the old NodePort key, of any type", "1.20.2", map[string]string{"enable-node-port": "nonsense"}},
	{"datapath-mode auto", "1.20.2", map[string]string{"datapath-mode": "auto"}},
	{"underlay auto with one family", "1.20.2", map[string]string{"enable-ipv4": "false"}},
	{"cluster pool", "1.18.6", map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/8 172.16.0.0/12", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}},
	{"an IPv4 pool may be 24 bits shorter than a node's share", "1.18.6", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "32"}},
}
