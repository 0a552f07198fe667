package cilium

import (
	"regexp"
	"strconv"
)

// validateRules are option.Config.Validate's, in its order; the agent prints
// them after "invalid daemon configuration: ".
var validateRules = []Rule{
	{
		ID: "V13", Kind: KindAgent, stage: stageValidate, Until: "1.19",
		Title: "The MTU is negative", Message: "MTU '…' cannot be negative",
		Keys: []string{"mtu"}, Source: "pkg/option/config.go:2391 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.number("mtu") < 0, "MTU '%d' cannot be negative", a.number("mtu"))
		},
	}, {
		ID: "V73", Kind: KindAgent, stage: stageValidate,
		Title: "The route metric is negative", Message: "RouteMetric '…' cannot be negative",
		Keys: []string{"route-metric"}, Source: "pkg/option/config.go:2396 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.number("route-metric") < 0, "RouteMetric '%d' cannot be negative", a.number("route-metric"))
		},
	}, {
		ID: "V14", Kind: KindAgent, stage: stageValidate, Until: "1.20",
		Title: "ENI IPAM has no IPv6", Message: "IPv6 cannot be enabled in ENI IPAM mode",
		Keys: []string{"ipam", "enable-ipv6"}, Source: "pkg/option/config.go:2399 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.text("ipam") == "eni" && a.ipv6(), "IPv6 cannot be enabled in ENI IPAM mode")
		},
	}, {
		ID: "V74", Kind: KindAgent, stage: stageValidate,
		Title: "IPv6 NDP needs IPv6 and a device", Message: "IPv6NDP cannot be enabled when IPv6 is not enabled",
		Keys: []string{"enable-ipv6-ndp", "enable-ipv6", "ipv6-mcast-device"}, Source: "pkg/option/config.go:2403-2410 (1.18.6)",
		check: func(a *agent) verdict {
			if !a.on("enable-ipv6-ndp") {
				return verdict{}
			}
			if !a.ipv6() {
				return refuse(true, "IPv6NDP cannot be enabled when IPv6 is not enabled")
			}
			return refuse(a.text("ipv6-mcast-device") == "", "IPv6NDP cannot be enabled without ipv6-mcast-device")
		},
	}, {
		ID: "V10", Kind: KindAgent, stage: stageValidate,
		Title: "routing-mode has an unknown value", Message: `invalid routing mode "…", valid modes = {"tunnel", "native"}`,
		Keys: []string{"routing-mode"}, Source: "pkg/option/config.go:2412-2417 (1.18.6)",
		check: func(a *agent) verdict {
			m := a.text("routing-mode")
			return refuse(m != "native" && m != "tunnel", `invalid routing mode %q, valid modes = {"tunnel", "native"}`, m)
		},
	}, {
		ID: "V48", Kind: KindAgent, stage: stageValidate,
		Title: "The cluster's id or name is invalid", Message: "invalid cluster id …: must be in range 0..255",
		Keys:   []string{"cluster-id", "cluster-name", "max-connected-clusters"},
		Source: "pkg/clustermesh/types/option.go:50-92 and types.go:41-79 (1.18.6)",
		check:  clusterIdentity,
	}, {
		ID: "V1", Kind: KindAgent, stage: stageValidate,
		Title:   "Native routing with IPv4 masquerade needs the IPv4 native routing CIDR",
		Message: "native routing cidr must be configured with option --ipv4-native-routing-cidr in combination with …",
		Keys:    []string{"ipv4-native-routing-cidr", "enable-ipv4", "enable-ipv4-masquerade", "enable-ip-masq-agent", "routing-mode", "ipam"},
		Source:  "pkg/option/config.go:3141-3166 (1.18.6)",
		check: func(a *agent) verdict {
			ipam := a.text("ipam")
			return refuse(a.nativeCIDRMissing("ipv4-native-routing-cidr", a.masquerade4()) && ipam != "eni" && ipam != "alibabacloud",
				nativeCIDRNeeded+" --ipam=%s", "ipv4", "ipv4", "ipv4", ipam)
		},
	}, {
		ID: "V2", Kind: KindAgent, stage: stageValidate,
		Title:   "Native routing with IPv6 masquerade needs the IPv6 native routing CIDR",
		Message: "native routing cidr must be configured with option --ipv6-native-routing-cidr in combination with …",
		Keys:    []string{"ipv6-native-routing-cidr", "enable-ipv6", "enable-ipv6-masquerade", "enable-ip-masq-agent", "routing-mode"},
		Source:  "pkg/option/config.go:3168-3188 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.nativeCIDRMissing("ipv6-native-routing-cidr", a.masquerade6()), nativeCIDRNeeded, "ipv6", "ipv6", "ipv6")
		},
	}, {
		ID: "V46", Kind: KindAgent, stage: stageValidate,
		Title:   "Delegated IPAM needs router addresses, and neither health endpoints nor Envoy configuration",
		Message: "--enable-endpoint-health-checking must be disabled with --ipam=delegated-plugin",
		Keys:    []string{"ipam", "local-router-ipv4", "local-router-ipv6", "enable-endpoint-health-checking", "enable-envoy-config", "enable-ipv4", "enable-ipv6"},
		Source:  "pkg/option/config.go:3190-3212 (1.18.6)",
		check:   delegatedIPAM,
	}, {
		ID: "V75", Kind: KindAgent, stage: stageValidate,
		Title: "policy-cidr-match-mode has an unknown value", Message: "unknown CIDR match mode: …",
		Keys: []string{"policy-cidr-match-mode"}, Source: "pkg/option/config.go:2311-2322 (1.18.6); :2145-2156 (1.20.2), which knows \"pods\" too",
		check: func(a *agent) verdict {
			for _, m := range a.list("policy-cidr-match-mode") {
				if m != "nodes" && (m != "pods" || !a.from(1, 20)) {
					return refuse(true, "unknown CIDR match mode: %s", m)
				}
			}
			return verdict{}
		},
	},
}

const nativeCIDRNeeded = "native routing cidr must be configured with option --%s-native-routing-cidr in combination with " +
	"--enable-%s=true --enable-%s-masquerade=true --enable-ip-masq-agent=false --routing-mode=native"

func (a *agent) nativeCIDRMissing(key string, masquerade bool) bool {
	return masquerade && !a.tunnelling() && !a.on("enable-ip-masq-agent") && a.text(key) == ""
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func clusterIdentity(a *agent) verdict {
	id, name, most := a.number("cluster-id"), a.text("cluster-name"), a.number("max-connected-clusters")
	if most != 255 && most != 511 {
		return refuse(true, "--max-connected-clusters=%d is invalid; supported values are [255, 511]", most)
	}
	switch {
	case id < 0 || id > most:
		return refuse(true, "invalid cluster id %d: must be in range 0..%d", id, most)
	case name == "":
		return refuse(true, "invalid cluster name: must not be empty")
	case len(name) > 32:
		return refuse(true, "invalid cluster name: must not be more than 32 characters")
	case !clusterName.MatchString(name):
		return refuse(true, "invalid cluster name: must consist of lower case alphanumeric characters and '-', and must start and end with an alphanumeric character")
	}
	return refuse(id != 0 && name == "default", "cannot use default cluster name (default) with option cluster-id")
}

func delegatedIPAM(a *agent) verdict {
	const mode = "--ipam=delegated-plugin"
	switch {
	case a.text("ipam") != "delegated-plugin":
		return verdict{}
	case a.ipv4() && a.text("local-router-ipv4") == "":
		return refuse(true, "--local-router-ipv4 must be provided when IPv4 is enabled with "+mode)
	case a.ipv6() && a.text("local-router-ipv6") == "":
		return refuse(true, "--local-router-ipv6 must be provided when IPv6 is enabled with "+mode)
	case a.on("enable-endpoint-health-checking"):
		return refuse(true, "--enable-endpoint-health-checking must be disabled with "+mode)
	}
	return refuse(a.on("enable-envoy-config"), "--enable-envoy-config must be disabled with "+mode)
}

// nodePorts is the NodePort range, or what the agent says of a malformed one
// (pkg/loadbalancer/config.go:388-411, 1.18.6).
func (a *agent) nodePorts() (low, high uint64, message string) {
	parts := splitPorts(a.text("node-port-range"))
	switch len(parts) {
	case 0:
		return 30000, 32767, ""
	case 2:
	default:
		return 0, 0, "Unable to parse min/max port value for NodePort range: node-port-range"
	}
	low, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil {
		return 0, 0, "Unable to parse min port value for NodePort range: " + err.Error()
	}
	high, err = strconv.ParseUint(parts[1], 10, 16)
	if err != nil {
		return 0, 0, "Unable to parse max port value for NodePort range: " + err.Error()
	}
	if high <= low {
		return 0, 0, "NodePort range min port must be smaller than max port"
	}
	return low, high, ""
}
