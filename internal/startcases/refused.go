package startcases

import (
	"slices"
	"strings"
)

// Agent are configurations that the agent refuses: each rule that no fact of the node
// decides has at least one, and so has each of its wordings.
func Agent() []Refused {
	return slices.Concat(ofRouting(), ofFeatures(), ofValues(), ofReleases())
}

// ofRouting are those of routing, masquerading and load balancing.
func ofRouting() []Refused {
	return []Refused{
		{"V1", "1.18.6", Change{"ipv4-native-routing-cidr": "-"}, "--ipv4-native-routing-cidr in combination with --enable-ipv4=true --enable-ipv4-masquerade=true --enable-ip-masq-agent=false --routing-mode=native --ipam=kubernetes"},
		{"V1", "1.18.6", Change{"ipv4-native-routing-cidr": "", "enable-ipv4-masquerade": "-"}, ""},
		{"V2", "1.20.2", Change{"ipv6-native-routing-cidr": "-"}, "--enable-ipv6-masquerade=true --enable-ip-masq-agent=false --routing-mode=native"},
		{"V3", "1.18.6", Change{"direct-routing-skip-unreachable": "true", "auto-direct-node-routes": "false"}, ""},
		{"V4", "1.18.6", Change{"enable-ip-masq-agent": "true"}, ""},
		{"V4", "1.20.2", Change{"enable-ip-masq-agent": "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false", "enable-bpf-masquerade": "true"}, ""},
		{"V5", "1.18.6", Change{"enable-bpf-masquerade": "true", "kube-proxy-replacement": "false"}, ""},
		{"V6", "1.18.6", Change{"enable-bpf-masquerade": "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false"}, ""},
		{"V6", "1.19.5", Change{"enable-bpf-masquerade": "true", "enable-ipv4": "false", "enable-ipv6-masquerade": "false"}, ""},
		{"V7", "1.18.6", Change{"enable-bpf-masquerade": "true", "egress-masquerade-interfaces": "eth0"}, ""},
		{"V7", "1.20.2", Change{"enable-bpf-masquerade": "true", "egress-masquerade-interfaces": "eth0", "enable-masquerade-to-route-source": "true"}, ""},
		{"V8", "1.18.6", Change{"enable-bpf-masquerade": "true", "enable-masquerade-to-route-source": "true"}, ""},
		{"V8", "1.20.2", Change{"enable-bpf-masquerade": "true", "enable-masquerade-to-route-source": "true"}, ""},
		{"V9", "1.18.6", Change{"routing-mode": "tunnel"}, ""},
		{"V9", "1.18.6", Change{"routing-mode": "direct"}, ""}, // hides V10
		{"V10", "1.18.6", Change{"routing-mode": "direct", "auto-direct-node-routes": "false"}, `invalid routing mode "direct"`},
		{"V10", "1.18.6", Change{"routing-mode": "", "auto-direct-node-routes": "false"}, `invalid routing mode ""`},
		{"V11", "1.18.6", Change{"ipv6-native-routing-cidr": "fd00:101::/129"}, "Unable to parse CIDR 'fd00:101::/129'"},
		{"V11", "1.18.6", Change{"ipv6-native-routing-cidr": "10.0.0.0/8"}, "ipv6-native-routing-cidr must be an IPv6 CIDR"},
		{"V11", "1.18.6", Change{"ipv4-native-routing-cidr": "fd00::/8"}, "ipv4-native-routing-cidr must be an IPv4 CIDR"},
		{"V11", "1.18.6", Change{"ipv4-native-routing-cidr": "10.0.0.0/8,10.1.0.0/16"}, "Unable to parse CIDR '10.0.0.0/8,10.1.0.0/16'"},
		{"V12", "1.18.6", Change{"enable-ipv4": "false", "enable-ipv6": "false"}, ""},
		{"V13", "1.18.6", Change{"mtu": "-1"}, "MTU '-1' cannot be negative"},
		{"V13", "1.20.2", Change{"mtu": "-1"}, "failed to set MTU -1 for cilium_host: invalid argument"},
		{"V14", "1.18.6", Change{"ipam": "eni"}, ""},
		{"V15", "1.18.6", Change{"kube-proxy-replacement": "strict"}, ""},
		{"V15", "1.18.6", Change{"kube-proxy-replacement": "True"}, ""},
		{"V16", "1.18.6", Change{"bpf-lb-mode": "dsrr"}, "Invalid value for --bpf-lb-mode: dsrr"},
		{"V16", "1.18.6", Change{"bpf-lb-mode": "dsr", "node-port-mode": "snat"}, "both --bpf-lb-mode and --node-port-mode were set"},
		{"V17", "1.18.6", Change{"bpf-lb-mode": "hybrid", "bpf-lb-mode-annotation": "true"}, ""},
		{"V18", "1.18.6", Change{"bpf-lb-mode": "dsr", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, `Node Port "dsr" mode`},
		{"V18", "1.18.6", Change{"bpf-lb-mode-annotation": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, `Node Port "snat" mode`},
		{"V19", "1.18.6", Change{"bpf-lb-mode": "dsr", "routing-mode": "tunnel", "auto-direct-node-routes": "false", "tunnel-protocol": "geneve"}, `Tunnel routing with Node Port "dsr"`},
		{"V20", "1.18.6", Change{"bpf-lb-mode": "hybrid", "bpf-lb-dsr-dispatch": "geneve"}, `Node Port "hybrid" mode with "geneve" dispatch`},
		{"V21", "1.18.6", Change{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip"}, ""},
		{"V22", "1.18.6", Change{"bpf-lb-rss-ipv4-src-cidr": "10.0.0.0/8"}, ""},
		{"V22", "1.18.6", Change{"bpf-lb-rss-ipv4-src-cidr": "fd00::/8"}, "Invalid value for --bpf-lb-rss-ipv4-src-cidr: fd00::/8"},
		{"V22", "1.18.6", Change{"bpf-lb-rss-ipv6-src-cidr": "::/0"}, "Invalid value for --bpf-lb-rss-ipv6-src-cidr: ::/0"},
		{"V23", "1.18.6", Change{"bpf-lb-acceleration": "native", "routing-mode": "tunnel", "auto-direct-node-routes": "false", "underlay-protocol": "ipv6"}, ""},
		{"V24", "1.18.6", Change{"install-no-conntrack-iptables-rules": "true"}, ""},
		{"V24", "1.18.6", Change{"install-no-conntrack-iptables-rules": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, ""},
		{"V24", "1.18.6", Change{"install-no-conntrack-iptables-rules": "true", "enable-ipv4": "false"}, "requires IPv4 support."},
		{"V24", "1.18.6", Change{"install-no-conntrack-iptables-rules": "true", "kube-proxy-replacement": "false"}, "requires the agent to run with kube-proxy-replacement=true."},
		{"V24", "1.20.2", Change{"install-no-conntrack-iptables-rules": "true", "kube-proxy-replacement": "false"}, "requires the agent to run with kube-proxy-replacement."},
	}
}

// ofFeatures are those that need another feature, or do not go with one.
func ofFeatures() []Refused {
	return []Refused{
		{"V25", "1.18.6", Change{"node-port-range": "40000,41000", "enable-auto-protect-node-port-range": "false"}, "(40000-41000) must not clash with ephemeral port range (32768\t60999)"},
		{"V25", "1.18.6", Change{"node-port-range": "61000,62000"}, "is not allowed to be after ephemeral port range"},
		{"V26", "1.18.6", Change{"devices": "enp9s9"}, ""},
		{"V28", "1.18.6", Change{"enable-ipsec": "true", "enable-host-firewall": "true"}, ""},
		{"V29", "1.18.6", Change{"enable-ipsec": "true", "enable-wireguard": "true"}, ""},
		{"V31", "1.18.6", Change{"enable-ipsec": "true", "enable-l7-proxy": "true"}, ""},
		{"V32", "1.18.6", Change{"enable-ipsec": "true", "ipam": "multi-pool"}, ""},
		{"V33", "1.20.2", Change{"datapath-mode": "netkit"}, "netkit devices require BPF masquerade"},
		{"V33", "1.20.2", Change{"datapath-mode": "netkit", "enable-bpf-masquerade": "true", "kube-proxy-replacement": "false"}, "netkit devices require --kube-proxy-replacement"},
		{"V33", "1.20.2", Change{"datapath-mode": "netkit-l2", "enable-host-legacy-routing": "true"}, "netkit devices cannot be used with --enable-host-legacy-routing=true"},
		{"V34", "1.18.6", Change{"datapath-mode": "vethh"}, "Invalid datapath mode"},
		{"V34", "1.18.6", Change{"datapath-mode": "auto"}, "Invalid datapath mode"},
		{"V34", "1.20.2", Change{"datapath-mode": "vethh"}, "invalid datapath mode: vethh"},
		{"V35", "1.18.6", Change{"enable-l7-proxy": "true", "install-iptables-rules": "false"}, ""},
		{"V35", "1.20.2", Change{"enable-l7-proxy": "true", "install-iptables-rules": "false"}, "or BPF TProxy"},
		{"V36", "1.18.6", Change{"local-router-ipv4": "169.254.23.0", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, ""},
		{"V36", "1.18.6", Change{"local-router-ipv4": "169.254.23.0"}, "local-router-ipv6  without enable-endpoint-routes."},
		{"V36", "1.18.6", Change{"local-router-ipv6": "fd00::1", "enable-endpoint-routes": "true", "enable-ipsec": "true"}, "with enable-ipsec."},
		{"V37", "1.18.6", Change{"enable-nat46x64-gateway": "true", "enable-ipv4": "false"}, ""},
		{"V37", "1.18.6", Change{"bpf-lb-nat46x64": "true", "bpf-lb-mode": "dsr"}, "NAT46/NAT64 requires SNAT mode for services"},
		{"V38", "1.18.6", Change{"enable-ipv6-big-tcp": "true", "enable-host-legacy-routing": "true"}, ""},
		{"V38", "1.18.6", Change{"enable-ipv4-big-tcp": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, "BIG TCP is not supported in tunneling mode"},
		{"V38", "1.18.6", Change{"enable-ipv4-big-tcp": "true", "enable-ipsec": "true"}, "BIG TCP is not supported with encryption enabled"},
		{"V38", "1.20.2", Change{"enable-ipv4-big-tcp": "true", "bpf-lb-dsr-dispatch": "ipip"}, "aren't compatible with BIG TCP"},
		{"V39", "1.18.6", Change{"enable-bandwidth-manager": "true", "enable-bbr": "true", "enable-host-legacy-routing": "true"}, ""},
		{"V39", "1.18.6", Change{"enable-bandwidth-manager": "true", "enable-bbr-hostns-only": "true"}, "without enabling --enable-bbr"},
		{"V41", "1.18.6", Change{"enable-egress-gateway": "true"}, ""},
		{"V41", "1.18.6", Change{"enable-ipv4-egress-gateway": "true"}, ""},
		{"V41", "1.20.2", Change{"enable-egress-gateway": "true", "enable-bpf-masquerade": "true", "underlay-protocol": "ipv6"}, "egress gateway requires an IPv4 underlay"},
		{"V42", "1.18.6", Change{"enable-egress-gateway": "true", "enable-bpf-masquerade": "true", "enable-cilium-endpoint-slice": "true"}, ""},
		{"V42", "1.18.6", Change{"enable-egress-gateway": "true", "enable-bpf-masquerade": "true", "kvstore": "etcd", "identity-allocation-mode": "kvstore"}, "not supported in kvstore identity allocation mode"},
		{"V43", "1.18.6", Change{"bpf-distributed-lru": "true", "bpf-map-dynamic-size-ratio": "0"}, ""},
		{"V44", "1.18.6", Change{"enable-encryption-strict-mode": "true", "encryption-strict-mode-cidr": "fd00::/8"}, ""},
		{"V44", "1.18.6", Change{"enable-encryption-strict-mode": "true"}, "Cannot parse CIDR  from --encryption-strict-mode-cidr option"},
		{"V44", "1.20.2", Change{"enable-encryption-strict-mode-egress": "true", "encryption-strict-egress-cidr": "x"}, "Cannot parse CIDR x from --encryption-strict-egress-cidr option"},
		{"V46", "1.18.6", Change{"ipam": "delegated-plugin", "enable-endpoint-routes": "true", "local-router-ipv4": "10.0.0.1", "local-router-ipv6": "fd00::1"}, ""},
		{"V46", "1.18.6", Change{"ipam": "delegated-plugin"}, "--local-router-ipv4 must be provided when IPv4 is enabled with --ipam=delegated-plugin"},
		{"V46", "1.18.6", Change{"ipam": "delegated-plugin", "enable-ipv4": "false"}, "--local-router-ipv6 must be provided"},
		{"V46", "1.18.6", Change{"ipam": "delegated-plugin", "enable-ipv4": "false", "enable-endpoint-routes": "true", "local-router-ipv6": "fd00::1", "enable-endpoint-health-checking": "false", "enable-envoy-config": "true"}, "--enable-envoy-config must be disabled"},
		{"V47", "1.18.6", Change{"ipam": "eni", "enable-ipv6": "false", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, ""},
	}
}

// ofValues are values that cannot be read, or are out of range.
func ofValues() []Refused {
	return []Refused{
		{"V48", "1.18.6", Change{"cluster-id": "256", "cluster-name": "a"}, "invalid cluster id 256: must be in range 0..255"},
		{"V48", "1.18.6", Change{"cluster-id": "1"}, "cannot use default cluster name (default) with option cluster-id"},
		{"V48", "1.18.6", Change{"cluster-name": "A_b"}, "must consist of lower case alphanumeric characters"},
		{"V48", "1.18.6", Change{"cluster-name": strings.Repeat("a", 33)}, "must not be more than 32 characters"},
		{"V48", "1.18.6", Change{"cluster-name": ""}, "must not be empty"},
		{"V48", "1.18.6", Change{"max-connected-clusters": "300"}, "--max-connected-clusters=300 is invalid; supported values are [255, 511]"},
		{"V49", "1.18.6", Change{"auto-direct-node-routes": "yes"}, `option auto-direct-node-routes: strconv.ParseBool: parsing "yes": invalid syntax`},
		{"V49", "1.18.6", Change{"auto-direct-node-routes": ""}, `strconv.ParseBool: parsing "": invalid syntax`},
		{"V49", "1.18.6", Change{"mtu": "1450B"}, `option mtu: unable to cast "1450B" of type string to int: strconv.ParseInt: parsing "1450B": invalid syntax`},
		{"V49", "1.20.2", Change{"kube-proxy-replacement": "partial"}, `option kube-proxy-replacement: strconv.ParseBool: parsing "partial": invalid syntax`},
		{"V51", "1.18.6", Change{"mtu": "60"}, ""},
		{"V51", "1.20.2", Change{"mtu": "70000"}, "failed to set MTU 70000 for cilium_host"},
		{"V52", "1.18.6", Change{"ipam": "cluster-poool"}, "Unknown IPAM backend cluster-poool"},
		{"V93", "1.20.2", Change{"mtu": "1450.5"}, `parsing "1450.5": invalid syntax`},
		{"V53", "1.18.6", Change{"tunnel-protocol": "gre"}, `invalid tunnel protocol "gre"`},
		{"V54", "1.18.6", Change{"underlay-protocol": "auto"}, `invalid IP family for underlay "auto"`},
		{"V54", "1.20.2", Change{"underlay-protocol": "ipv4", "enable-ipv4": "false"}, "underlay protocol set to IPv4, but IPv4 is disabled"},
		{"V54", "1.20.2", Change{"underlay-protocol": "ipv6", "enable-ipv6": "false"}, "underlay protocol set to IPv6, but IPv6 is disabled"},
		{"V55", "1.18.6", Change{"bpf-lb-acceleration": "fast"}, "Invalid value for --node-port-acceleration: fast"},
		{"V56", "1.18.6", Change{"bpf-lb-algorithm": "round-robin"}, "Invalid value for --bpf-lb-algorithm: round-robin"},
		{"V56", "1.18.6", Change{"node-port-algorithm": "x"}, "Invalid value for --bpf-lb-algorithm: x"},
		{"V57", "1.18.6", Change{"node-port-range": "32767,30000"}, ""},
		{"V57", "1.18.6", Change{"node-port-range": "30000"}, "Unable to parse min/max port value for NodePort range: node-port-range"},
		{"V57", "1.18.6", Change{"node-port-range": "a,b"}, `Unable to parse min port value for NodePort range: strconv.ParseUint: parsing "a": invalid syntax`},
		{"V57", "1.18.6", Change{"node-port-range": "1,70000"}, "Unable to parse max port value for NodePort range: strconv.ParseUint: parsing \"70000\": value out of range"},
		{"V58", "1.20.2", Change{"only-masquerade-default-pool": "true"}, ""},
		{"V59", "1.20.2", Change{"enable-remote-node-masquerade": "true"}, ""},
		{"V60", "1.20.2", Change{"install-iptables-rules": "false"}, ""},
	}
}

// ofReleases are those that were found in one release or another by starting it.
func ofReleases() []Refused {
	return []Refused{
		{"V62", "1.20.2", Change{"enable-nat46x64-gateway": "true"}, ""},
		{"V63", "1.18.6", Change{"enable-ipsec": "true"}, "open : no such file or directory"},
		{"V65", "1.20.2", Change{"bpf-lb-dsr-dispatch": "vxlan"}, "Invalid value for --bpf-lb-dsr-dispatch: vxlan"},
		{"V66", "1.18.6", Change{"service-no-backend-response": "ignore"}, ""},
		{"V67", "1.18.6", Change{"bpf-lb-acceleration": "native", "node-port-acceleration": "disabled"}, ""},
		{"V68", "1.18.6", Change{"enable-cilium-endpoint-slice": "true", "disable-endpoint-crd": "true"}, ""},
		{"V69", "1.18.6", Change{"identity-allocation-mode": "etcd"}, `Invalid identity allocation mode "etcd"`},
		{"V70", "1.18.6", Change{"allow-localhost": "sometimes"}, ""},
		{"V71", "1.18.6", Change{"monitor-aggregation": "5"}, ""},
		{"V71", "1.18.6", Change{"monitor-aggregation": "much"}, ""},
		{"V72", "1.18.6", Change{"enable-srv6": "true", "enable-ipv6": "false"}, ""},
		{"V73", "1.18.6", Change{"route-metric": "-3"}, "RouteMetric '-3' cannot be negative"},
		{"V74", "1.18.6", Change{"enable-ipv6-ndp": "true", "enable-ipv6": "false"}, ""},
		{"V74", "1.18.6", Change{"enable-ipv6-ndp": "true"}, "IPv6NDP cannot be enabled without ipv6-mcast-device"},
		{"V75", "1.18.6", Change{"policy-cidr-match-mode": "nodes pods"}, "unknown CIDR match mode: pods"},
		{"V75", "1.20.2", Change{"policy-cidr-match-mode": "nodes services"}, "unknown CIDR match mode: services"},
		{"V76", "1.18.6", Change{"bpf-lb-map-max": "0"}, "specified LBMap max entries 0 must be a value greater than 0"},
		{"V76", "1.18.6", Change{"bpf-sock-rev-map-max": "10"}, "table size 10 must be greater or equal to 1024"},
		{"V76", "1.18.6", Change{"bpf-sock-rev-map-max": "16777217"}, "tables size 16777217 must not exceed maximum 16777216"},
		{"V77", "1.20.2", Change{"lb-reflector-wait-time": "0s"}, "--lb-reflector-wait-time must be greater than 0, got 0s"},
		{"V78", "1.18.6", Change{"bpf-lb-ipip-sock-mark": "true"}, `Node Port "snat" mode with IPIP socket mark logic`},
		{"V79", "1.18.6", Change{"bpf-map-dynamic-size-ratio": "-0.5"}, "specified dynamic map size ratio -0.500000 must be > 0.0"},
		{"V79", "1.18.6", Change{"bpf-map-dynamic-size-ratio": "2"}, "specified dynamic map size ratio 2.000000 must be ≤ 1.0"},
		{"V80", "1.18.6", Change{"tunnel-source-port-range": "x"}, `invalid tunnel source port range "x"`},
		{"V81", "1.20.2", Change{"ipam": "crd"}, ""},
		{"V81", "1.20.2", Change{"ipam": "cluster-poool"}, ""}, // hides V52
		{"V82", "1.18.6", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-ipsec-encrypted-overlay": "true"}, ""},
		{"V82", "1.18.6", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-ipsec-encrypted-overlay": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false", "tunnel-protocol": "geneve"}, "EncryptedOverlay support requires VXLAN tunneling protocol"},
		{"V84", "1.20.2", Change{"policy-deny-response": "rst"}, ""},
		{"V85", "1.20.2", Change{"fib-table-id-annotation": "true"}, ""},
		{"V88", "1.20.2", Change{"bpf-lb-mode-annotation": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, ""},
		{"V28", "1.20.2", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-host-firewall": "true"}, ""},
		{"V29", "1.20.2", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-wireguard": "true"}, ""},
		{"V30", "1.18.6", Change{"enable-wireguard": "true", "routing-mode": "tunnel", "auto-direct-node-routes": "false", "underlay-protocol": "ipv6"}, ""},
		{"V31", "1.20.2", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-l7-proxy": "true"}, ""},
		{"V36", "1.20.2", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "local-router-ipv4": "10.0.0.1"}, ""},
		{"V89", "1.20.2", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "enable-encryption-strict-mode-ingress": "true"}, ""},
		{"V90", "1.18.6", Change{"local-router-ipv4": "here", "enable-endpoint-routes": "true"}, "Invalid local-router-ip: here"},
		{"V90", "1.20.2", Change{"local-router-ipv6": "here"}, "invalid local-router-ip: here"},
		{"V91", "1.18.6", Change{"bpf-lb-maglev-table-size": "100"}, "Invalid value for --bpf-lb-maglev-table-size: 100, supported values are: [251 509 "},
	}
}

// Operator are configurations that the operator refuses.
func Operator() []Refused {
	return []Refused{
		{"O1", "1.18.6", Change{"ipam": "cluster-pool", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}, "cluster-pool-ipv4-cidr must be provided when using ClusterPool"},
		{"O1", "1.18.6", Change{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/8"}, "cluster-pool-ipv6-cidr must be provided when using ClusterPool"},
		{"O2", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv6-cidr": "fd00::/104"}, "cluster-pool-ipv6-cidr must not be set if IPv6 is disabled"},
		{"O2", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}, "cluster-pool-ipv4-cidr must not be set if IPv4 is disabled"},
		{"O3", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00:101:224::/60", "cluster-pool-ipv6-mask-size": "120"}, "the node CIDR size is too big"},
		{"O4", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "33"}, "SubNetMask is invalid"},
		{"O4", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "129"}, "SubNetMask is invalid"},
		{"O6", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "fd00::/104"}, "CIDR is not v4 family: fd00::/104"},
		{"O6", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "10.0.0.0/8"}, "CIDR is not v6 family: 10.0.0.0/8"},
		{"O7", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8,10.1.0.0/16"}, "invalid CIDR address: 10.0.0.0/8,10.1.0.0/16"},
		{"O7", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "pods"}, "unable to initialize IPv6 allocator: invalid CIDR address: pods"},
		{"O8", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8 10.1.0.0/16"}, "requested CIDR 10.1.0.0/16 collides with clusterCIDR: 10.0.0.0/8, nodeMask: 24"},
		{"O8", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104 fd00::/112", "cluster-pool-ipv6-mask-size": "116"}, "requested CIDR fd00::/112 collides with clusterCIDR: fd00::/104, nodeMask: 116"},
		{"O9", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv6": "false", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv4-mask-size": "big"}, `option cluster-pool-ipv4-mask-size: unable to cast "big" of type string to int`},
		{"O9", "1.18.6", Change{"ipam": "cluster-pool", "enable-ipv4": "false", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "big"}, `option cluster-pool-ipv6-mask-size`},
	}
}

// ByFacts are configurations that a fact of the node decides about, such as a kernel
// without some kind of device, and those that leave the datapath uninitialised. The
// files that they name are not there, but for [IPsecKeyFile].
func ByFacts() []Refused {
	return []Refused{
		{"V26", "1.18.6", Change{"kube-proxy-replacement": "false", "enable-host-firewall": "true", "devices": "x+"}, ""},
		{"V33", "1.18.6", Change{"datapath-mode": "netkit"}, ""},
		{"V33", "1.20.2", Change{"datapath-mode": "netkit", "enable-bpf-masquerade": "true"}, ""},
		{"V61", "1.20.2", Change{"enable-bpf-masquerade": "true", "enable-ip-masq-agent": "true", "ip-masq-agent-config-path": "/run/nowhere/ip-masq-agent"}, ""},
		{"V63", "1.18.6", Change{"enable-ipsec": "true", "ipsec-key-file": "/run/nowhere/keys"}, ""},
		{"V64", "1.18.6", Change{"mtu": "1000"}, ""},
		{"V83", "1.18.6", Change{"routing-mode": "tunnel", "auto-direct-node-routes": "false", "tunnel-protocol": "geneve"}, ""},
		{"V83", "1.20.2", Change{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "geneve", "tunnel-protocol": "geneve"}, ""},
		{"V86", "1.18.6", Change{"enable-ipip-termination": "true"}, ""},
		{"V86", "1.20.2", Change{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip"}, ""},
		{"V86", "1.20.2", Change{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip", "bpf-lb-acceleration": "native"}, ""},
		{"V92", "1.18.6", Change{"enable-ipsec": "true", "ipsec-key-file": IPsecKeyFile, "routing-mode": "tunnel", "auto-direct-node-routes": "false"}, ""},
		{"V87", "1.18.6", Change{"enable-wireguard": "true"}, ""},
		{"V87", "1.20.2", Change{"enable-wireguard": "true"}, ""},
	}
}
