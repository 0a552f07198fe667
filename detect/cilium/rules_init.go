package cilium

import (
	"strconv"
	"strings"
)

// initRules are initEnv's, in its order (daemon/cmd/daemon_main.go, 1.18.6).
// Since 1.19 some of them moved into other stages.
var initRules = []Rule{
	{
		ID: "V70", Kind: KindAgent, stage: stageInit,
		Title:   "allow-localhost has an unknown value",
		Message: "Invalid setting for --allow-localhost, must be { auto, always, policy }",
		Keys:    []string{"allow-localhost"},
		Source:  "daemon/cmd/daemon_main.go:1110-1116 (1.18.6)",
		check: func(a *agent) verdict {
			v := strings.ToLower(a.text("allow-localhost"))
			return refuse(v != "auto" && v != "always" && v != "policy",
				"Invalid setting for --allow-localhost, must be { auto, always, policy }")
		},
	}, {
		ID: "V71", Kind: KindAgent, stage: stageInit,
		Title:   "monitor-aggregation has an unknown value",
		Message: "Failed to parse monitor-aggregation",
		Keys:    []string{"monitor-aggregation"},
		Source:  "daemon/cmd/daemon_main.go:1155 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(!monitorAggregation(a.text("monitor-aggregation")), "Failed to parse monitor-aggregation")
		},
	}, {
		ID: "V12", Kind: KindAgent, stage: stageInit,
		Title:   "Both address families are off",
		Message: "Either IPv4 or IPv6 addressing must be enabled",
		Keys:    []string{"enable-ipv4", "enable-ipv6"},
		Source:  "daemon/cmd/daemon_main.go:1170-1172 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(!a.ipv4() && !a.ipv6(), "Either IPv4 or IPv6 addressing must be enabled")
		},
	}, {
		ID: "V33", Kind: KindAgent, stage: stageInit, Until: "1.20",
		Title:   "netkit needs kernel support",
		Message: "netkit devices need kernel 6.7.0 or newer and CONFIG_NETKIT",
		Keys:    []string{"datapath-mode"},
		Source:  "daemon/cmd/daemon_main.go:1177-1187 (1.18.6)",
		Needs:   "kernel 6.7 with CONFIG_NETKIT",
		check: func(a *agent) verdict {
			m := a.text("datapath-mode")
			return depends(m == "netkit" || m == "netkit-l2", a.cfg.Node.Netkit,
				"whether the nodes' kernel is 6.7 or newer with CONFIG_NETKIT",
				"netkit devices need kernel 6.7.0 or newer and CONFIG_NETKIT")
		},
	}, {
		ID: "V34", Kind: KindAgent, stage: stageInit, Until: "1.20",
		Title:   "datapath-mode has an unknown value",
		Message: "Invalid datapath mode",
		Keys:    []string{"datapath-mode"},
		Source:  "daemon/cmd/daemon_main.go:1188 (1.18.6)",
		check: func(a *agent) verdict {
			m := a.text("datapath-mode")
			return refuse(m != "veth" && m != "netkit" && m != "netkit-l2", "Invalid datapath mode")
		},
	}, {
		ID: "V35", Kind: KindAgent, stage: stageInit, Until: "1.20",
		Title:   "The L7 proxy needs iptables rules",
		Message: l7NeedsIPTables,
		Keys:    []string{"enable-l7-proxy", "install-iptables-rules"},
		Source:  "daemon/cmd/daemon_main.go:1192-1194 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-l7-proxy") && !a.on("install-iptables-rules"), l7NeedsIPTables)
		},
	}, {
		ID: "V35", Kind: KindAgent, stage: stageInit, From: "1.20",
		Title:   "The L7 proxy needs iptables rules or BPF TProxy",
		Message: l7NeedsIPTables + " or BPF TProxy (--enable-bpf-tproxy=\"true\")",
		Keys:    []string{"enable-l7-proxy", "install-iptables-rules", "enable-bpf-tproxy"},
		Source:  "daemon/cmd/daemon_main.go:1058 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-l7-proxy") && !a.on("install-iptables-rules") && !a.on("enable-bpf-tproxy"),
				l7NeedsIPTables+" or BPF TProxy (--enable-bpf-tproxy=\"true\")")
		},
	}, {
		ID: "V31", Kind: KindAgent, stage: stageInit, Until: "1.19",
		Title: "IPsec with the L7 proxy needs transparent DNS", Message: ipsecNeedsDNS,
		Keys:   []string{"enable-ipsec", "enable-l7-proxy", "dnsproxy-enable-transparent-mode", "dnsproxy-insecure-skip-transparent-mode-check"},
		Source: "daemon/cmd/daemon_main.go:1196-1200 (1.18.6)",
		check:  ipsecDNS,
	}, {
		ID: "V92", Kind: KindAgent, stage: stageInit, Until: "1.19",
		Title: "IPsec in a tunnel needs kernel support", Message: noOutputMasks,
		Keys: []string{"enable-ipsec", "routing-mode"}, Source: "daemon/cmd/daemon_main.go:1202-1206 (1.18.6)", Needs: "xfrm state output masks",
		check: outputMasks,
	}, {
		ID: "V59", Kind: KindAgent, stage: stageInit, From: "1.19",
		Title:   "Masquerading towards remote nodes needs BPF masquerade",
		Message: "Option enable-remote-node-masquerade requires BPF masquerade to be enabled (enable-bpf-masquerade)",
		Keys:    []string{"enable-remote-node-masquerade", "enable-bpf-masquerade"},
		Source:  "daemon/cmd/daemon_main.go:1062 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-remote-node-masquerade") && !a.bpfMasquerade(),
				"Option enable-remote-node-masquerade requires BPF masquerade to be enabled (enable-bpf-masquerade)")
		},
	}, {
		ID: "V9", Kind: KindAgent, stage: stageInit,
		Title:   "Automatic direct routes do not go with a tunnel",
		Message: "auto-direct-node-routes cannot be used with tunneling. Packets must be routed through the tunnel device.",
		Keys:    []string{"auto-direct-node-routes", "routing-mode"},
		Source:  "daemon/cmd/daemon_main.go:1212-1214 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.tunnelling() && a.on("auto-direct-node-routes"),
				"auto-direct-node-routes cannot be used with tunneling. Packets must be routed through the tunnel device.")
		},
	}, {
		ID: "V72", Kind: KindAgent, stage: stageInit,
		Title: "SRv6 needs IPv6", Message: "SRv6 requires IPv6.",
		Keys:   []string{"enable-srv6", "enable-ipv6"},
		Source: "daemon/cmd/daemon_main.go:1218-1222 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-srv6") && !a.ipv6(), "SRv6 requires IPv6.")
		},
	}, {
		ID: "V28", Kind: KindAgent, stage: stageInit, Until: "1.19",
		Title: "IPsec and the host firewall exclude each other", Message: ipsecHostFirewall,
		Keys:   []string{"enable-host-firewall", "enable-ipsec"},
		Source: "daemon/cmd/daemon_main.go:1224-1228 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-host-firewall") && a.ipsec(), ipsecHostFirewall)
		},
	}, {
		ID: "V36", Kind: KindAgent, stage: stageInit,
		Title:   "A local router address needs native routing, and endpoint routes before 1.20",
		Message: "Cannot specify local-router-ipv4 or local-router-ipv6 in tunnel mode.",
		Keys:    []string{"local-router-ipv4", "local-router-ipv6", "routing-mode", "enable-endpoint-routes", "enable-ipsec"},
		Source:  "daemon/cmd/daemon_main.go:1249-1260 (1.18.6); :1094 (1.20.2)",
		check:   localRouter,
	}, {
		ID: "V47", Kind: KindAgent, stage: stageInit,
		Title: "ENI IPAM does not go with a tunnel", Message: "Cannot specify IPAM mode eni in tunnel mode.",
		Keys:   []string{"ipam", "routing-mode"},
		Source: "daemon/cmd/daemon_main.go:1282 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.text("ipam") == "eni" && a.tunnelling(), "Cannot specify IPAM mode eni in tunnel mode.")
		},
	}, {
		ID: "V32", Kind: KindAgent, stage: stageInit, Until: "1.19",
		Title:   "Multi-pool IPAM with IPsec needs a tunnel",
		Message: "IPAM mode multi-pool with enable-ipsec is supported only in tunnel mode.",
		Keys:    []string{"ipam", "enable-ipsec", "routing-mode"},
		Source:  "daemon/cmd/daemon_main.go:1286-1288 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.text("ipam") == "multi-pool" && a.ipsec() && !a.tunnelling(),
				"IPAM mode multi-pool with enable-ipsec is supported only in tunnel mode.")
		},
	}, {
		ID: "V24", Kind: KindAgent, stage: stageInit,
		Title:   "No-conntrack rules need native routing and IPv4",
		Message: "install-no-conntrack-iptables-rules requires the agent to run in direct routing mode.",
		Keys:    []string{"install-no-conntrack-iptables-rules", "routing-mode", "enable-ipv4"},
		Source:  "daemon/cmd/daemon_main.go:1290-1304 (1.18.6)",
		check: func(a *agent) verdict {
			if !a.on("install-no-conntrack-iptables-rules") {
				return verdict{}
			}
			if a.tunnelling() {
				return refuse(true, "install-no-conntrack-iptables-rules requires the agent to run in direct routing mode.")
			}
			return refuse(!a.ipv4(), "install-no-conntrack-iptables-rules requires IPv4 support.")
		},
	},
}

const (
	l7NeedsIPTables   = `L7 proxy requires iptables rules (--install-iptables-rules="true")`
	ipsecNeedsDNS     = `IPSec requires DNS proxy transparent mode to be enabled (--dnsproxy-enable-transparent-mode="true")`
	routerIPsec       = "Cannot specify local-router-ipv4 or local-router-ipv6 with enable-ipsec."
	ipsecHostFirewall = "IPSec cannot be used with the host firewall."
)

func ipsecDNS(a *agent) verdict {
	return refuse(!a.on("dnsproxy-insecure-skip-transparent-mode-check") && a.ipsec() &&
		a.on("enable-l7-proxy") && !a.on("dnsproxy-enable-transparent-mode"), ipsecNeedsDNS)
}

// localRouter: the two spaces are Cilium's.
func localRouter(a *agent) verdict {
	switch {
	case a.text("local-router-ipv4") == "" && a.text("local-router-ipv6") == "":
		return verdict{}
	case a.tunnelling():
		return refuse(true, "Cannot specify local-router-ipv4 or local-router-ipv6 in tunnel mode.")
	case !a.from(1, 20) && !a.on("enable-endpoint-routes"):
		return refuse(true, "Cannot specify local-router-ipv4 or local-router-ipv6  without enable-endpoint-routes.")
	}
	return refuse(a.ipsec() && !a.from(1, 19), routerIPsec)
}

// monitorAggregation says whether the level parses (pkg/option/monitor.go:86, 1.18.6).
func monitorAggregation(v string) bool {
	switch strings.ToLower(v) {
	case "", "none", "disabled", "lowest", "low", "medium", "max", "maximum":
		return true
	}
	n, err := strconv.Atoi(v)
	return err == nil && n >= 0 && n <= 4
}
