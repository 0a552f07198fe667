package cilium

import (
	"net"
	"net/netip"
	"strconv"
)

// populateRules are option.Config.Populate's, in its order.
var populateRules = []Rule{
	{
		ID: "V66", Kind: KindAgent, stage: stagePopulate,
		Title:   "service-no-backend-response has an unknown value",
		Message: "Invalid value for --%s: %s (must be 'reject' or 'drop')",
		Keys:    []string{"service-no-backend-response"},
		Source:  "pkg/option/config.go:2740 (1.18.6)",
		check: func(a *agent) verdict {
			v := a.text("service-no-backend-response")
			return refuse(v != "" && v != "reject" && v != "drop", "%s", "Invalid value for --%s: %s (must be 'reject' or 'drop')")
		},
	}, {
		ID: "V84", Kind: KindAgent, stage: stagePopulate, From: "1.19",
		Title:   "policy-deny-response has an unknown value",
		Message: "Invalid value for --%s: %s (must be 'icmp' or 'none')",
		Keys:    []string{"policy-deny-response"},
		Source:  "pkg/option/config.go:2563 (1.20.2)",
		check: func(a *agent) verdict {
			v := a.text("policy-deny-response")
			return refuse(v != "" && v != "icmp" && v != "none", "%s", "Invalid value for --%s: %s (must be 'icmp' or 'none')")
		},
	}, {
		ID: "V67", Kind: KindAgent, stage: stagePopulate,
		Title:   "Two names for load balancer acceleration disagree",
		Message: "Both --bpf-lb-acceleration and --node-port-acceleration were set. Only use --bpf-lb-acceleration instead.",
		Keys:    []string{"bpf-lb-acceleration", "node-port-acceleration"},
		Source:  "pkg/option/config.go:3079-3090 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.set("node-port-acceleration") && a.set("bpf-lb-acceleration") &&
				a.text("node-port-acceleration") != a.text("bpf-lb-acceleration"),
				"Both --bpf-lb-acceleration and --node-port-acceleration were set. Only use --bpf-lb-acceleration instead.")
		},
	}, {
		ID: "V37", Kind: KindAgent, stage: stagePopulate,
		Title:   "The NAT46/NAT64 gateway needs both families",
		Message: "enable-nat46x64-gateway requires both --enable-ipv4 and --enable-ipv6 enabled",
		Keys:    []string{"enable-nat46x64-gateway", "bpf-lb-nat46x64", "enable-ipv4", "enable-ipv6"},
		Source:  "pkg/option/config.go:2775-2779 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse((a.on("enable-nat46x64-gateway") || a.on("bpf-lb-nat46x64")) && !(a.ipv4() && a.ipv6()),
				"enable-nat46x64-gateway requires both --enable-ipv4 and --enable-ipv6 enabled")
		},
	}, {
		ID: "V44", Kind: KindAgent, stage: stagePopulate,
		Title:   "The strict mode CIDR must be an IPv4 CIDR",
		Message: "encryption-strict-mode-cidr must be an IPv4 CIDR",
		Keys:    []string{"enable-encryption-strict-mode", "encryption-strict-mode-cidr", "enable-encryption-strict-mode-egress", "encryption-strict-egress-cidr"},
		Source:  "pkg/option/config.go:2781-2800 (1.18.6); :2608-2620 (1.20.2)",
		check:   strictMode,
	},
	nativeCIDRRule("ipv4-native-routing-cidr", "IPv4", 32),
	nativeCIDRRule("ipv6-native-routing-cidr", "IPv6", 128),
	{
		ID: "V3", Kind: KindAgent, stage: stagePopulate,
		Title:   "Skipping unreachable routes needs automatic direct routes",
		Message: skipUnreachable,
		Keys:    []string{"direct-routing-skip-unreachable", "auto-direct-node-routes"},
		Source:  "pkg/option/config.go:2828-2830 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("direct-routing-skip-unreachable") && !a.on("auto-direct-node-routes"), skipUnreachable)
		},
	}, {
		ID: "V43", Kind: KindAgent, stage: stagePopulate,
		Title:   "Distributed LRU needs dynamically sized maps",
		Message: "distributed LRU is only valid with a specified dynamic map size ratio",
		Keys:    []string{"bpf-distributed-lru", "bpf-map-dynamic-size-ratio"},
		Source:  "pkg/option/config.go:3238-3251 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("bpf-distributed-lru") && !a.ratioInRange(),
				"distributed LRU is only valid with a specified dynamic map size ratio")
		},
	}, {
		ID: "V79", Kind: KindAgent, stage: stagePopulate,
		Title:   "The dynamic map size ratio lies outside 0 to 1",
		Message: "specified dynamic map size ratio … must be > 0.0",
		Keys:    []string{"bpf-map-dynamic-size-ratio", "bpf-distributed-lru"},
		Source:  "pkg/option/config.go:3247-3250 (1.18.6)",
		check: func(a *agent) verdict {
			f := a.ratio()
			if a.on("bpf-distributed-lru") {
				return verdict{}
			}
			if f > 1 {
				return refuse(true, "specified dynamic map size ratio %f must be ≤ 1.0", f)
			}
			return refuse(f < 0, "specified dynamic map size ratio %f must be > 0.0", f)
		},
	}, {
		ID: "V68", Kind: KindAgent, stage: stagePopulate, Until: "1.20",
		Title:   "CiliumEndpointSlices need CiliumEndpoints",
		Message: "Running Cilium with enable-cilium-endpoint-slice=true requires disable-endpoint-crd set to false to enable CiliumEndpoint CRDs.",
		Keys:    []string{"enable-cilium-endpoint-slice", "disable-endpoint-crd"},
		Source:  "pkg/option/config.go:2963 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-cilium-endpoint-slice") && a.on("disable-endpoint-crd"),
				"Running Cilium with enable-cilium-endpoint-slice=true requires disable-endpoint-crd set to false to enable CiliumEndpoint CRDs.")
		},
	}, {
		ID: "V69", Kind: KindAgent, stage: stagePopulate,
		Title:   "identity-allocation-mode has an unknown value",
		Message: "Invalid identity allocation mode \"…\". It must be one of kvstore, crd or doublewrite-readkvstore / doublewrite-readcrd",
		Keys:    []string{"identity-allocation-mode"},
		Source:  "pkg/option/config.go:2977-2986 (1.18.6)",
		check: func(a *agent) verdict {
			switch m := a.text("identity-allocation-mode"); m {
			case "", "kvstore", "crd", "doublewrite-readkvstore", "doublewrite-readcrd":
				return verdict{}
			default:
				return refuse(true, "Invalid identity allocation mode %q. It must be one of kvstore, crd or doublewrite-readkvstore / doublewrite-readcrd", m)
			}
		},
	},
}

const skipUnreachable = "Flag direct-routing-skip-unreachable cannot be enabled when auto-direct-node-routes is not enabled. " +
	"As if auto-direct-node-routes is then enabled, it may lead to unexpected behaviour causing network connectivity issues."

func nativeCIDRRule(key, family string, bits int) Rule {
	return Rule{
		ID: "V11", Kind: KindAgent, stage: stagePopulate,
		Title:   "The " + family + " native routing CIDR is not one " + family + " CIDR",
		Message: "Unable to parse CIDR '…', or: " + key + " must be an " + family + " CIDR",
		Keys:    []string{key},
		Source:  "pkg/option/config.go:2802-2826 (1.18.6)",
		check: func(a *agent) verdict {
			text := a.text(key)
			if text == "" {
				return verdict{}
			}
			p, ok := goCIDR(text)
			if !ok {
				return refuse(true, "Unable to parse CIDR '%s'", text)
			}
			return refuse(p.Addr().BitLen() != bits, "%s must be an %s CIDR", key, family)
		},
	}
}

// goCIDR reads a CIDR as the agent does, with net.ParseCIDR: host bits are
// fine, zones, lists and bare addresses are not.
func goCIDR(s string) (netip.Prefix, bool) {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits), ok
}

// strictMode: the option was renamed in 1.19; the old names work until 1.20.
func strictMode(a *agent) verdict {
	key := ""
	switch {
	case a.on("enable-encryption-strict-mode-egress"):
		key = "encryption-strict-egress-cidr"
	case a.on("enable-encryption-strict-mode"):
		key = "encryption-strict-mode-cidr"
	default:
		return verdict{}
	}
	p, err := netip.ParsePrefix(a.text(key))
	if err != nil {
		return refuse(true, "Cannot parse CIDR %s from --%s option", a.text(key), key)
	}
	return refuse(!p.Addr().Is4(), "%s must be an IPv4 CIDR", key)
}

func (a *agent) ratio() float64 {
	f, err := strconv.ParseFloat(a.text("bpf-map-dynamic-size-ratio"), 64)
	if err != nil {
		return 0
	}
	return f
}

func (a *agent) ratioInRange() bool { return a.ratio() > 0 && a.ratio() <= 1 }
