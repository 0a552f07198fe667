package cilium

import "github.com/remediate-dev/remediate/detect/snapshot"

// startRules are start hooks that run before the daemon's own, and devices that
// are set up around it.
var startRules = []Rule{
	{
		ID: "V39", Kind: KindAgent, stage: stageStart,
		Title: "BBR needs BPF host routing and the bandwidth manager", Message: "BPF bandwidth manager's BBR setup requires BPF host routing.",
		Keys:   []string{"enable-bandwidth-manager", "enable-bbr", "enable-bbr-hostns-only", "enable-host-legacy-routing"},
		Source: "pkg/datapath/linux/bandwidth/bandwidth.go:166-196 (1.18.6)", Needs: "kernel 5.18 for BBR",
		check: bbr,
	}, {
		ID: "V87", Kind: KindAgent, stage: stageStart, From: "1.19",
		Title: "WireGuard needs kernel support", Message: noWireGuard,
		Keys: []string{"enable-wireguard"}, Source: "measured on 1.20.2", Needs: "kernel module wireguard",
		check: wireguardKernel,
	}, {
		ID: "V63", Kind: KindAgent, stage: stageStart,
		Title: "IPsec needs its key file", Message: "open …: no such file or directory",
		Keys: []string{"enable-ipsec", "ipsec-key-file"}, Source: "pkg/datapath/linux/ipsec/ipsec_linux.go:1005 (1.18.6)",
		Needs: "the key file, mounted from a Secret",
		check: func(a *agent) verdict {
			file := a.text("ipsec-key-file")
			present := a.cfg.Node.IPsecKey
			if file == "" {
				present = snapshot.No
			}
			return depends(a.ipsec(), present, "whether "+file+" exists in the agent's container", "open %s: no such file or directory", file)
		},
	}, {
		ID: "V13", Kind: KindAgent, stage: stageStart, From: "1.19",
		Title: "The MTU is negative", Message: "failed to reinitialize host device: failed to setup base devices: failed to set MTU … for cilium_host: invalid argument",
		Keys: []string{"mtu"}, Source: "pkg/datapath/loader/netlink.go:143 (1.19.5); measured on 1.20.2",
		check: func(a *agent) verdict { return refuse(a.number("mtu") < 0, mtuRefused, a.number("mtu")) },
	}, {
		ID: "V51", Kind: KindAgent, stage: stageStart,
		Title: "The kernel refuses the MTU", Message: "failed to reinitialize host device: failed to setup base devices: invalid argument",
		Keys: []string{"mtu"}, Source: "pkg/datapath/loader/base.go:396-402 (1.18.6); 68 and 65535 are the limits of a veth device",
		check: func(a *agent) verdict {
			mtu := a.number("mtu")
			outside := (mtu > 0 && mtu < 68) || mtu > 65535
			if !a.from(1, 19) {
				return refuse(outside, "failed to reinitialize host device: failed to setup base devices: invalid argument")
			}
			return refuse(outside, mtuRefused, mtu)
		},
	}, {
		ID: "V64", Kind: KindDatapath, stage: stageStart, Until: "1.19",
		Title: "An MTU below 1280 takes IPv6 off the devices", Message: noForwarding("failed to setup base devices"),
		Keys: []string{"mtu", "enable-ipv6"}, Source: "measured on 1.18.6; RFC 8200 section 5",
		check: smallMTU("failed to setup base devices"),
	}, {
		ID: "V64", Kind: KindDatapath, stage: stageStart, From: "1.19",
		Title: "An MTU below 1280 takes IPv6 off the devices", Message: noForwarding(vethForwarding),
		Keys: []string{"mtu", "enable-ipv6"}, Source: "pkg/datapath/loader/netlink.go:105-124 (1.19.6); measured on 1.19.6 and 1.20.2; RFC 8200 section 5",
		check: smallMTU(vethForwarding),
	}, {
		ID: "V83", Kind: KindDatapath, stage: stageStart,
		Title:   "GENEVE needs kernel support",
		Message: "Failed to initialize datapath, retrying later: failed to setup geneve tunnel device: setting up geneve device: creating geneve device: creating device cilium_geneve: operation not supported, maybe kernel module for geneve is not available?",
		Keys:    []string{"tunnel-protocol", "routing-mode", "bpf-lb-mode", "bpf-lb-mode-annotation", "bpf-lb-dsr-dispatch", "kube-proxy-replacement", "enable-egress-gateway"},
		Source:  "pkg/datapath/loader/base.go:416-419 and netlink.go:186-421 (1.18.6)", Needs: "kernel module geneve",
		check: func(a *agent) verdict {
			device := a.tunnelling() || a.egressGateway() || (a.nodePort() && a.usesDSR() && a.dsrDispatch() == "geneve")
			return depends(a.text("tunnel-protocol") == "geneve" && device, a.cfg.Node.Geneve,
				"whether the nodes' kernel has GENEVE devices",
				"Failed to initialize datapath, retrying later: failed to setup geneve tunnel device: setting up geneve device: creating geneve device: creating device cilium_geneve: operation not supported, maybe kernel module for geneve is not available?")
		},
	}, {
		ID: "V86", Kind: KindDatapath, stage: stageStart,
		Title:   "IPIP termination, and IPIP dispatch since 1.19, need kernel support",
		Message: "Failed to initialize datapath, retrying later: unable to create ipip devices: creating cilium_ipip4: creating device cilium_ipip4: operation not supported, maybe kernel module for ipip is not available?",
		Keys:    []string{"enable-ipip-termination", "bpf-lb-acceleration", "bpf-lb-mode", "bpf-lb-mode-annotation", "bpf-lb-dsr-dispatch", "kube-proxy-replacement"},
		Source:  "pkg/datapath/loader/base.go:403-412 (1.18.6), :382 (1.19.6); pkg/kpr/initializer/kube_proxy_replacement.go:103-106 (1.19.6), :100-103 (1.20.2)", Needs: "kernel modules ipip and ip6_tunnel",
		check: func(a *agent) verdict {
			return depends(a.on("enable-ipip-termination") || a.dispatchDevices(), a.cfg.Node.IPIP,
				"whether the nodes' kernel has IPIP devices",
				"Failed to initialize datapath, retrying later: unable to create ipip devices: creating cilium_ipip4: creating device cilium_ipip4: operation not supported, maybe kernel module for ipip is not available?")
		},
	}, {
		ID: "V30", Kind: KindAgent, stage: stageDaemon, Until: "1.19",
		Title: "WireGuard in a tunnel needs an IPv4 underlay", Message: "WireGuard requires an IPv4 underlay",
		Keys: []string{"enable-wireguard", "routing-mode", "underlay-protocol"}, Source: "daemon/cmd/daemon.go:240-244 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.wireguard() && a.tunnelling() && a.underlay() == "ipv6", "WireGuard requires an IPv4 underlay")
		},
	}, {
		ID: "V82", Kind: KindAgent, stage: stageDaemon, Until: "1.19",
		Title: "IPsec's encrypted overlay needs a VXLAN tunnel", Message: "EncryptedOverlay support requires VXLAN tunneling mode",
		Keys: []string{"enable-ipsec", "enable-ipsec-encrypted-overlay", "routing-mode", "tunnel-protocol"}, Source: "daemon/cmd/daemon.go:229-238 (1.18.6)",
		check: func(a *agent) verdict {
			if !a.ipsec() || !a.on("enable-ipsec-encrypted-overlay") {
				return verdict{}
			}
			if a.tunnelling() {
				return refuse(a.text("tunnel-protocol") != "vxlan", "EncryptedOverlay support requires VXLAN tunneling protocol")
			}
			return refuse(true, "EncryptedOverlay support requires VXLAN tunneling mode")
		},
	}, {
		ID: "V29", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "WireGuard and IPsec exclude each other", Message: wireguardIPsec,
		Keys: []string{"enable-wireguard", "enable-ipsec"}, Source: "daemon/cmd/daemon.go:30 (1.20.2)",
		check: func(a *agent) verdict { return refuse(a.wireguard() && a.ipsec(), wireguardIPsec) },
	}, {
		ID: "V31", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "IPsec with the L7 proxy needs transparent DNS", Message: ipsecNeedsDNS,
		Keys:   []string{"enable-ipsec", "enable-l7-proxy", "dnsproxy-enable-transparent-mode", "dnsproxy-insecure-skip-transparent-mode-check"},
		Source: "daemon/cmd/daemon.go:34-38 (1.20.2)", check: ipsecDNS,
	}, {
		ID: "V92", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "IPsec in a tunnel needs kernel support", Message: noOutputMasks,
		Keys: []string{"enable-ipsec", "routing-mode"}, Source: "daemon/cmd/daemon.go:40-44 (1.20.2)", Needs: "xfrm state output masks",
		check: outputMasks,
	}, {
		ID: "V89", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "IPsec has no strict ingress encryption", Message: "IPSec doesnt support strict ingress encryption.",
		Keys: []string{"enable-ipsec", "enable-encryption-strict-mode-ingress"}, Source: "daemon/cmd/daemon.go:46 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.ipsec() && a.on("enable-encryption-strict-mode-ingress"), "IPSec doesnt support strict ingress encryption.")
		},
	}, {
		ID: "V28", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "IPsec and the host firewall exclude each other", Message: ipsecHostFirewall,
		Keys: []string{"enable-host-firewall", "enable-ipsec"}, Source: "daemon/cmd/daemon.go:50-54 (1.20.2)",
		check: func(a *agent) verdict { return refuse(a.on("enable-host-firewall") && a.ipsec(), ipsecHostFirewall) },
	}, {
		ID: "V36", Kind: KindAgent, stage: stageDaemon, From: "1.19",
		Title: "A local router address does not go with IPsec", Message: routerIPsec,
		Keys: []string{"local-router-ipv4", "local-router-ipv6", "enable-ipsec"}, Source: "daemon/cmd/daemon.go:56-60 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.ipsec() && a.text("local-router-ipv4")+a.text("local-router-ipv6") != "", routerIPsec)
		},
	}, {
		ID: "V87", Kind: KindAgent, stage: stageDevices, Until: "1.19",
		Title: "WireGuard needs kernel support", Message: noWireGuard,
		Keys: []string{"enable-wireguard"}, Source: "daemon/cmd/daemon.go:503-510 (1.18.6)", Needs: "kernel module wireguard",
		check: wireguardKernel,
	}, {
		ID: "V45", Kind: KindAgent, stage: stageStart,
		Title:   "IPv6 needs ip6tables",
		Message: "IPv6 is enabled, but the needed ip6tables tables are unavailable (…)",
		Keys:    []string{"enable-ipv6"}, Source: "pkg/datapath/iptables/iptables.go:413-432 (1.18.6)", Needs: "the kernel's ip6tables tables",
		check: func(a *agent) verdict {
			return refuse(a.ipv6() && a.cfg.Node.IP6Tables == snapshot.No,
				"IPv6 is enabled, but the needed ip6tables tables are unavailable (try disabling IPv6 in Cilium or installing ip6tables and kernel modules: ip6_tables, ip6table_mangle, ip6table_raw, ip6table_filter)")
		},
	},
}

const (
	mtuRefused  = "failed to reinitialize host device: failed to setup base devices: failed to set MTU %d for cilium_host: invalid argument"
	noWireGuard = "WireGuard not supported by the Linux kernel (netlink: operation not supported). Please upgrade your kernel, or manually install the kernel module (https://www.wireguard.com/install/)"
)

func wireguardKernel(a *agent) verdict {
	return depends(a.wireguard(), a.cfg.Node.WireGuard, "whether the nodes' kernel has WireGuard", noWireGuard)
}

// dispatchDevices: 1.19 needs IPIP devices only where XDP does not do it.
func (a *agent) dispatchDevices() bool {
	return a.nodePort() && a.dsrIPIP() && (a.from(1, 20) || (a.from(1, 19) && a.acceleration() == "disabled"))
}

const vethForwarding = "failed to setup base devices: failed to setup veth pair: failed to enable forwarding on veth: failed to apply sysctl settings for cilium_host"

func noForwarding(where string) string {
	return "Failed to initialize datapath, retrying later: " + where + ": timeout waiting for parameter [net ipv6 conf cilium_host forwarding] reconciliation"
}

func smallMTU(where string) func(*agent) verdict {
	return func(a *agent) verdict {
		mtu := a.number("mtu")
		return refuse(a.ipv6() && mtu >= 68 && mtu < 1280, "%s", noForwarding(where))
	}
}

const noOutputMasks = "IPSec with tunneling requires support for xfrm state output masks (Linux 4.19 or later)"

func outputMasks(a *agent) verdict {
	return refuse(a.ipsec() && a.tunnelling() && a.cfg.Node.OutputMasks == snapshot.No, noOutputMasks)
}

// bbr: legacy host routing counts where it is set explicitly; the automatic
// fallback comes later in 1.18 and earlier since 1.19.
func bbr(a *agent) verdict {
	if !a.on("enable-bandwidth-manager") || a.cfg.Node.DefaultQdisc == snapshot.No {
		return verdict{}
	}
	legacy := a.on("enable-host-legacy-routing") || (a.from(1, 19) && a.legacyRoutingFallback() != "")
	switch {
	case !a.on("enable-bbr") && a.on("enable-bbr-hostns-only"):
		return refuse(true, "cannot enable --enable-bbr-hostns-only without enabling --enable-bbr")
	case a.on("enable-bbr") && legacy && !a.on("enable-bbr-hostns-only"):
		return refuse(true, "BPF bandwidth manager's BBR setup requires BPF host routing.")
	}
	return verdict{}
}
