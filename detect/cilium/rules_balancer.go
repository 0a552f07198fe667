package cilium

import (
	"fmt"
	"net"
)

// balancerRules are the kube-proxy replacement's, in its order; the agent
// prints them after "unable to initialize kube-proxy replacement options: ".
// They apply only while NodePort is on.
var balancerRules = nodePortRules([]Rule{
	rssRule("bpf-lb-rss-ipv4-src-cidr", true),
	rssRule("bpf-lb-rss-ipv6-src-cidr", false),
	{
		ID: "V21", Kind: KindAgent, stage: stageDaemon, Until: "1.19",
		Title: "IPIP dispatch needs XDP acceleration", Message: `DSR dispatch mode "ipip" currently only available under XDP acceleration`,
		Keys: []string{"bpf-lb-mode", "bpf-lb-dsr-dispatch", "bpf-lb-acceleration"}, Source: "daemon/cmd/kube_proxy_replacement.go:86-89 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.dsrIPIP() && a.acceleration() == "disabled", `DSR dispatch mode "ipip" currently only available under XDP acceleration`)
		},
	}, {
		ID: "V22", Kind: KindAgent, stage: stageDaemon,
		Title: "RSS CIDRs need DSR with IPIP dispatch", Message: "Invalid value for --bpf-lb-rss-ipv4-src-cidr/bpf-lb-rss-ipv6-src-cidr: currently only supported under ipip dispatch for DSR",
		Keys: []string{"bpf-lb-rss-ipv4-src-cidr", "bpf-lb-rss-ipv6-src-cidr", "bpf-lb-mode", "bpf-lb-dsr-dispatch"}, Source: "daemon/cmd/kube_proxy_replacement.go:91-94 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.text("bpf-lb-rss-ipv4-src-cidr")+a.text("bpf-lb-rss-ipv6-src-cidr") != "" && !a.dsrIPIP(),
				"Invalid value for --bpf-lb-rss-ipv4-src-cidr/bpf-lb-rss-ipv6-src-cidr: currently only supported under ipip dispatch for DSR")
		},
	}, {
		ID: "V23", Kind: KindAgent, stage: stageDaemon,
		Title: "XDP acceleration needs an IPv4 underlay", Message: "XDP acceleration cannot be used with an IPv6 underlay",
		Keys: []string{"bpf-lb-acceleration", "routing-mode", "underlay-protocol"}, Source: "daemon/cmd/kube_proxy_replacement.go:111-114 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.tunnelling() && a.underlay() == "ipv6" && a.acceleration() != "disabled", "XDP acceleration cannot be used with an IPv6 underlay")
		},
	}, {
		ID: "V18", Kind: KindAgent, stage: stageDaemon,
		Title: "DSR does not go through a VXLAN tunnel", Message: `Node Port "…" mode cannot be used with vxlan tunneling.`,
		Keys: []string{"bpf-lb-mode", "bpf-lb-mode-annotation", "routing-mode", "tunnel-protocol"}, Source: "daemon/cmd/kube_proxy_replacement.go:116-119 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.tunnelling() && a.text("tunnel-protocol") == "vxlan" && a.tunnelDSR(),
				"Node Port %q mode cannot be used with vxlan tunneling.", a.lbMode())
		},
	}, {
		ID: "V88", Kind: KindAgent, stage: stageDaemon, From: "1.20",
		Title: "Mode annotations through a VXLAN tunnel need IPIP dispatch", Message: "Only --bpf-lb-dsr-dispatch=ipip is supported with vxlan tunneling when --bpf-lb-mode-annotation is set",
		Keys: []string{"bpf-lb-mode-annotation", "bpf-lb-dsr-dispatch", "routing-mode", "tunnel-protocol"}, Source: "pkg/kpr/initializer/kube_proxy_replacement.go:135 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.tunnelling() && a.text("tunnel-protocol") == "vxlan" && a.on("bpf-lb-mode-annotation") && a.dsrDispatch() != "ipip",
				"Only --bpf-lb-dsr-dispatch=ipip is supported with vxlan tunneling when --bpf-lb-mode-annotation is set")
		},
	}, {
		ID: "V19", Kind: KindAgent, stage: stageDaemon,
		Title: "DSR through a tunnel needs GENEVE dispatch", Message: `Tunnel routing with Node Port "…" mode requires geneve dispatch.`,
		Keys: []string{"bpf-lb-mode", "bpf-lb-mode-annotation", "bpf-lb-dsr-dispatch", "routing-mode"}, Source: "daemon/cmd/kube_proxy_replacement.go:121-125 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.tunnelling() && a.tunnelDSR() && a.dsrDispatch() != "geneve",
				"Tunnel routing with Node Port %q mode requires geneve dispatch.", a.lbMode())
		},
	}, {
		ID: "V20", Kind: KindAgent, stage: stageDaemon,
		Title: "GENEVE dispatch needs the GENEVE tunnel protocol", Message: `Node Port "…" mode with "geneve" dispatch requires geneve tunnel protocol.`,
		Keys: []string{"bpf-lb-mode", "bpf-lb-mode-annotation", "bpf-lb-dsr-dispatch", "tunnel-protocol"}, Source: "daemon/cmd/kube_proxy_replacement.go:127-132 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.usesDSR() && a.dsrDispatch() == "geneve" && a.text("tunnel-protocol") != "geneve",
				"Node Port %q mode with \"geneve\" dispatch requires geneve tunnel protocol.", a.lbMode())
		},
	}, {
		ID: "V78", Kind: KindAgent, stage: stageDaemon,
		Title: "The IPIP socket mark needs IPIP dispatch", Message: `Node Port "…" mode with IPIP socket mark logic requires ipip dispatch.`,
		Keys: []string{"bpf-lb-ipip-sock-mark", "bpf-lb-mode", "bpf-lb-dsr-dispatch"}, Source: "daemon/cmd/kube_proxy_replacement.go:134-140 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("bpf-lb-ipip-sock-mark") && !a.dsrIPIP(), "Node Port %q mode with IPIP socket mark logic requires ipip dispatch.", a.lbMode())
		},
	}, {
		ID: "V24", Kind: KindAgent, stage: stageDaemon,
		Title: "No-conntrack rules need kube-proxy replacement and BPF masquerade", Message: "install-no-conntrack-iptables-rules requires the agent to run with enable-bpf-masquerade.",
		Keys: []string{"install-no-conntrack-iptables-rules", "kube-proxy-replacement", "enable-bpf-masquerade", "enable-ipv4-masquerade", "enable-ipv6-masquerade"}, Source: "daemon/cmd/kube_proxy_replacement.go:143-156 (1.18.6)",
		check: noConntrack,
	}, {
		ID: "V25", Kind: KindAgent, stage: stageDaemon,
		Title: "The NodePort range clashes with the ephemeral ports", Message: "NodePort port range (…) must not clash with ephemeral port range (…).",
		Keys: []string{"node-port-range", "enable-auto-protect-node-port-range"}, Source: "daemon/cmd/kube_proxy_replacement.go:383-475 (1.18.6)",
		Needs: "net.ipv4.ip_local_port_range where it is not the kernel's default",
		check: ephemeralPorts,
	},
})

// nodePortRules makes the rules apply only while NodePort is on; those for
// no-conntrack rules say so themselves.
func nodePortRules(rules []Rule) []Rule {
	for i := range rules {
		check := rules[i].check
		if rules[i].ID == "V24" {
			continue
		}
		rules[i].Keys = append(rules[i].Keys, "kube-proxy-replacement")
		rules[i].check = func(a *agent) verdict {
			if !a.nodePort() {
				return verdict{}
			}
			return check(a)
		}
	}
	return rules
}

func (a *agent) dsrIPIP() bool { return a.usesDSR() && a.dsrDispatch() == "ipip" }

// tunnelDSR: since 1.20 mode annotations alone no longer count as DSR here.
func (a *agent) tunnelDSR() bool {
	if a.from(1, 20) {
		return a.lbMode() != "snat"
	}
	return a.usesDSR()
}

func rssRule(key string, v4 bool) Rule {
	return Rule{
		ID: "V22", Kind: KindAgent, stage: stageDaemon,
		Title: "An RSS source CIDR is malformed", Message: "Invalid value for --" + key + ": …",
		Keys: []string{key}, Source: "daemon/cmd/kube_proxy_replacement.go:51-84 (1.18.6)",
		check: func(a *agent) verdict {
			text := a.text(key)
			if text == "" {
				return verdict{}
			}
			ip, network, err := net.ParseCIDR(text)
			bad := err != nil || (ip.To4() != nil) != v4
			if !bad {
				ones, _ := network.Mask.Size()
				bad = ones == 0
			}
			return refuse(bad, "Invalid value for --%s: %s", key, text)
		},
	}
}

func noConntrack(a *agent) verdict {
	const key = "install-no-conntrack-iptables-rules"
	if !a.on(key) {
		return verdict{}
	}
	full := a.kubeProxyReplacement()
	if !a.from(1, 19) {
		full = full || (a.on("enable-host-port") && a.on("enable-node-port") && a.on("enable-external-ips") && a.socketLB())
	}
	if !full && a.from(1, 19) {
		return refuse(true, key+" requires the agent to run with kube-proxy-replacement.")
	}
	if !full {
		return refuse(true, key+" requires the agent to run with kube-proxy-replacement=true.")
	}
	return refuse(a.iptablesMasquerading(), key+" requires the agent to run with enable-bpf-masquerade.")
}

// ephemeralPorts compares with the kernel's default range unless the node's is known.
func ephemeralPorts(a *agent) verdict {
	low, high, malformed := a.nodePorts()
	ephemeral := a.cfg.Node.EphemeralPorts
	if ephemeral == [2]int{} {
		ephemeral = [2]int{32768, 60999}
	}
	if malformed != "" || int(high) < ephemeral[0] {
		return verdict{}
	}
	ports := fmt.Sprintf("%d-%d", low, high)
	kernel := fmt.Sprintf("%d\t%d", ephemeral[0], ephemeral[1])
	if int(low) > ephemeral[1] {
		return refuse(true, "NodePort port range (%s) is not allowed to be after ephemeral port range (%s)", ports, kernel)
	}
	return refuse(!a.on("enable-auto-protect-node-port-range"),
		"NodePort port range (%s) must not clash with ephemeral port range (%s). "+
			`Adjust ephemeral range port with "sysctl -w net.ipv4.ip_local_port_range='MIN MAX'", or `+
			`protect the NodePort range by appending it to "net.ipv4.ip_local_reserved_ports", or `+
			`set --enable-auto-protect-node-port-range=true to auto-append the range to "net.ipv4.ip_local_reserved_ports"`, ports, kernel)
}
