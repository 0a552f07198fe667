package cilium

import (
	"net"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// masqueradeRules come last: up to 1.18 after device detection, since 1.19
// partly before it, in initAndValidateDaemonConfig.
var masqueradeRules = append([]Rule{
	{
		ID: "V60", Kind: KindAgent, stage: stageDaemon, From: "1.20",
		Title:   "kube-proxy replacement and BPF masquerade need iptables rules",
		Message: iptablesRules,
		Keys:    []string{"kube-proxy-replacement", "enable-bpf-masquerade", "install-iptables-rules"}, Source: "daemon/cmd/daemon.go:83 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse((a.kubeProxyReplacement() || a.bpfMasquerade()) && !a.on("install-iptables-rules"), iptablesRules)
		},
	}, {
		ID: "V26", Kind: KindAgent, stage: stageDevices,
		Title: "No device fits for direct routing", Message: noDirectDevice,
		Keys: []string{"devices", "direct-routing-device", "kube-proxy-replacement", "enable-host-firewall", "enable-wireguard", "enable-ipsec"}, Source: "daemon/cmd/daemon.go:522-528 and pkg/option/config.go:2140 (1.18.6)",
		Needs: "the nodes' devices",
		check: directDevice,
	}, {
		ID: "V37", Kind: KindAgent, stage: stageDevices,
		Title: "Service NAT46/NAT64 needs the SNAT mode", Message: "NAT46/NAT64 requires SNAT mode for services",
		Keys: []string{"bpf-lb-nat46x64", "bpf-lb-mode"}, Source: "daemon/cmd/kube_proxy_replacement.go:288 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("bpf-lb-nat46x64") && a.lbMode() != "snat", "NAT46/NAT64 requires SNAT mode for services")
		},
	}, {
		ID: "V27", Kind: KindAgent, stage: stageLate,
		Title: "The host firewall finds no device", Message: "Host firewall's external facing device could not be determined. Use --devices to specify.",
		Keys: []string{"enable-host-firewall", "devices"}, Source: "daemon/cmd/daemon.go:574-583 (1.18.6)", Needs: "the nodes' devices",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-host-firewall") && a.devices() == snapshot.No,
				"Host firewall's external facing device could not be determined. Use --devices to specify.")
		},
	}, {
		ID: "V52", Kind: KindAgent, stage: stageLate,
		Title: "ipam has an unknown value", Message: "Unknown IPAM backend …",
		Keys: []string{"ipam"}, Source: "pkg/ipam/ipam.go:137 (1.18.6)",
		check: func(a *agent) verdict {
			ipam := a.text("ipam")
			return refuse(!slices.Contains([]string{"kubernetes", "cluster-pool", "multi-pool", "crd", "eni", "azure", "alibabacloud", "delegated-plugin"}, ipam),
				"Unknown IPAM backend %s", ipam)
		},
	}, {
		ID: "V90", Kind: KindAgent, stage: stageLate,
		Title: "A local router address is no IP address", Message: "Invalid local-router-ip: …",
		Keys: []string{"local-router-ipv4", "local-router-ipv6", "enable-ipv4", "enable-ipv6"}, Source: "daemon/cmd/ipam.go:36-58 (1.18.6)",
		check: routerAddress,
	}, {
		ID: "V62", Kind: KindAgent, stage: stageLate, From: "1.20",
		Title: "The NAT46/NAT64 gateway panics in 1.20", Message: "panic: As4 called on IPv6 address",
		Keys: []string{"enable-nat46x64-gateway"}, Source: "pkg/datapath/config/node.go:74 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-nat46x64-gateway"), "panic: As4 called on IPv6 address")
		},
	}, {
		ID: "V61", Kind: KindDatapath, stage: stageLate, Until: "1.19",
		Title: "The folder of the ip-masq-agent file is missing", Message: `Daemon start failed: failed to create ipmasq agent: Failed to add "/etc/config" dir to fsnotify watcher: no such file or directory`,
		Keys: []string{"enable-ip-masq-agent", "ip-masq-agent-config-path"}, Source: "daemon/cmd/daemon_main.go:1478, 1584 (1.18.6)", Needs: "the agent's volumes; the chart mounts the folder",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-ip-masq-agent") && a.cfg.Node.MasqAgentFolder == snapshot.No,
				"Daemon start failed: failed to create ipmasq agent: Failed to add %q dir to fsnotify watcher: no such file or directory", folder(a.text("ip-masq-agent-config-path")))
		},
	}, {
		ID: "V61", Kind: KindAgent, stage: stageLate, From: "1.19",
		Title: "The folder of the ip-masq-agent file is missing", Message: `failed to start ip-masq-agent: failed to add "/etc/config" dir to fsnotify watcher: no such file or directory`,
		Keys: []string{"enable-ip-masq-agent", "ip-masq-agent-config-path"}, Source: "pkg/ipmasq/ipmasq.go:133 (1.20.2)", Needs: "the agent's volumes; the chart mounts the folder",
		check: func(a *agent) verdict {
			return refuse(a.on("enable-ip-masq-agent") && a.cfg.Node.MasqAgentFolder == snapshot.No,
				"failed to start ip-masq-agent: failed to add %q dir to fsnotify watcher: no such file or directory", folder(a.text("ip-masq-agent-config-path")))
		},
	}, {
		ID: "V85", Kind: KindAgent, stage: stageDaemon, From: "1.20",
		Title: "Dynamic pod egress routing needs BPF host routing", Message: "legacy routing mode does not support dynamic pod egress routing (disable with --fib-table-id-annotation)",
		Keys:   []string{"fib-table-id-annotation", "enable-host-legacy-routing", "enable-bpf-masquerade", "kube-proxy-replacement"},
		Source: "daemon/cmd/daemon.go:120-135 (1.20.2)", Needs: "kernel support for FIB lookups by table",
		check: func(a *agent) verdict {
			return refuse(a.on("fib-table-id-annotation") && (a.on("enable-host-legacy-routing") || a.legacyRoutingFallback() != ""),
				"legacy routing mode does not support dynamic pod egress routing (disable with --fib-table-id-annotation)")
		},
	},
}, append(bpfMasqueradeRules(stageLate, "", "1.19"), bpfMasqueradeRules(stageDaemon, "1.19", "")...)...)

const (
	iptablesRules  = `kube-proxy replacement (--kube-proxy-replacement) or BPF masquerade (--enable-bpf-masquerade) requires iptables rules (--install-iptables-rules="true")`
	noDirectDevice = "unable to determine direct routing device. Use --direct-routing-device to specify it"
	masqFamilies   = `(--enable-ipv4-masquerade="true" or --enable-ipv6-masquerade="true")`
)

// bpfMasqueradeRules exclude each other: the agent asks one after the other
// (daemon/cmd/daemon.go:545-573, 1.18.6; :101-118, 1.20.2).
func bpfMasqueradeRules(at stage, from, until string) []Rule {
	source := "daemon/cmd/daemon.go:545-573 (1.18.6)"
	if from != "" {
		source = "daemon/cmd/daemon.go:101-118 (1.20.2)"
	}
	family := []string{"enable-bpf-masquerade", "enable-ipv4", "enable-ipv6", "enable-ipv4-masquerade", "enable-ipv6-masquerade"}
	replacement := []string{"kube-proxy-replacement"}
	rule := func(id, title, message string, keys []string, cond func(*agent) bool) Rule {
		return Rule{
			ID: id, Kind: KindAgent, stage: at, From: from, Until: until, Title: title, Message: message,
			Keys: append(slices.Clone(keys), family...), Source: source,
			check: func(a *agent) verdict { return refuse(cond(a), "%s", message) },
		}
	}
	active := func(a *agent) bool { return a.masquerading() && a.bpfMasquerade() }
	needsNodePort := func(a *agent) bool { return !a.from(1, 19) && !a.nodePort() }
	interfaces := func(a *agent) bool { return len(a.list("egress-masquerade-interfaces")) > 0 }
	rules := []Rule{
		rule("V7", "BPF masquerade takes devices, not egress interfaces",
			"BPF masquerade does not allow to specify devices via --egress-masquerade-interfaces (use --devices instead)",
			append(slices.Clone(replacement), "egress-masquerade-interfaces"),
			func(a *agent) bool { return active(a) && !needsNodePort(a) && interfaces(a) }),
		rule("V8", "BPF masquerade does not masquerade to the route's source",
			`BPF masquerading to route source (--enable-masquerade-to-route-source="true") currently not supported with BPF-based masquerading (--enable-bpf-masquerade="true")`,
			append(slices.Clone(replacement), "enable-masquerade-to-route-source", "egress-masquerade-interfaces"),
			func(a *agent) bool {
				return active(a) && !needsNodePort(a) && !interfaces(a) && a.on("enable-masquerade-to-route-source")
			}),
		rule("V4", "The ip-masq-agent needs BPF masquerade of a family",
			`BPF ip-masq-agent requires `+masqFamilies+` and --enable-bpf-masquerade="true"`,
			[]string{"enable-ip-masq-agent"},
			func(a *agent) bool { return !active(a) && a.on("enable-ip-masq-agent") }),
		rule("V6", "BPF masquerade with nothing to masquerade", "BPF masquerade requires "+masqFamilies, []string{"enable-ip-masq-agent"},
			func(a *agent) bool { return !a.on("enable-ip-masq-agent") && !a.masquerading() && a.bpfMasquerade() }),
	}
	if until == "" {
		return rules
	}
	return append([]Rule{rule("V5", "BPF masquerade needs NodePort", `BPF masquerade requires NodePort (--enable-node-port="true")`,
		replacement,
		func(a *agent) bool { return active(a) && needsNodePort(a) })}, rules...)
}

// devices says whether any of the configured devices exists on the node.
func (a *agent) devices() snapshot.Tri {
	wanted := strings.FieldsFunc(a.text("devices"), func(r rune) bool { return r == ' ' || r == ',' })
	if len(wanted) == 0 {
		return snapshot.Yes
	}
	if a.cfg.Node.Devices == nil {
		return snapshot.Unknown
	}
	for _, w := range wanted {
		prefix, wildcard := strings.CutSuffix(w, "+")
		for _, d := range a.cfg.Node.Devices {
			if d == w || (wildcard && strings.HasPrefix(d, prefix)) {
				return snapshot.Yes
			}
		}
	}
	return snapshot.No
}

// directDevice: a direct-routing-device that does not exist starts, for the
// agent falls back to the device with the node's address; devices that do not
// exist leave nothing to fall back to.
func directDevice(a *agent) verdict {
	required := a.nodePort() || a.on("enable-host-firewall") || a.wireguard() || a.on("enable-l2-announcements") || a.ipsec()
	return depends(required, a.devices(), "whether a device of \""+a.text("devices")+"\" exists on the nodes", noDirectDevice)
}

// routerAddress: the message is in lower case since 1.19
// (daemon/infraendpoints/infra_ip_allocation.go:124, 1.20.2).
func routerAddress(a *agent) verdict {
	word := "Invalid"
	if a.from(1, 19) {
		word = "invalid"
	}
	for _, f := range []string{"ipv4", "ipv6"} {
		v := a.text("local-router-" + f)
		if a.on("enable-"+f) && v != "" && net.ParseIP(v) == nil {
			return refuse(true, "%s local-router-ip: %s", word, v)
		}
	}
	return verdict{}
}

// folder is the path without its last element.
func folder(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "."
}
