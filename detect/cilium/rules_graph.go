package cilium

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// graphRules are checked by constructors, after "failed to populate object
// graph: ". Their order among each other follows from who needs whom.
var graphRules = []Rule{
	{
		ID: "V15", Kind: KindAgent, stage: stageGraph, Until: "1.19",
		Title: "kube-proxy-replacement is neither true nor false", Message: "invalid value for kube-proxy-replacement",
		Keys: []string{"kube-proxy-replacement"}, Source: "pkg/kpr/kpr.go:74-76 (1.18.6); a bool, so V49, since 1.19",
		check: func(a *agent) verdict {
			v := a.text("kube-proxy-replacement")
			return refuse(v != "true" && v != "false", "invalid value for kube-proxy-replacement")
		},
	}, {
		ID: "V93", Kind: KindAgent, stage: stageGraph, From: "1.19",
		Title: "The MTU is a decimal", Message: "cannot parse 'MTU' as int: strconv.ParseInt: parsing \"…\": invalid syntax",
		Keys: []string{"mtu"}, Source: "pkg/mtu/cell.go:70 (1.19.6); measured on 1.19.6 and 1.20.2",
		check: func(a *agent) verdict {
			v := a.text("mtu")
			_, err := strconv.ParseInt(v, 0, 64)
			return refuse(v != "" && err != nil, "cannot parse 'MTU' as int: strconv.ParseInt: parsing %q: invalid syntax", v)
		},
	}, {
		ID: "V53", Kind: KindAgent, stage: stageGraph,
		Title: "tunnel-protocol has an unknown value", Message: `invalid tunnel protocol "…"`,
		Keys: []string{"tunnel-protocol"}, Source: "pkg/datapath/tunnel/tunnel.go:83-88 (1.18.6)",
		check: func(a *agent) verdict {
			p := a.text("tunnel-protocol")
			return refuse(p != "vxlan" && p != "geneve", "invalid tunnel protocol %q", p)
		},
	}, {
		ID: "V54", Kind: KindAgent, stage: stageGraph,
		Title: "underlay-protocol is unknown, or its family is off (1.20)", Message: `invalid IP family for underlay "…"`,
		Keys:   []string{"underlay-protocol", "enable-ipv4", "enable-ipv6"},
		Source: "pkg/datapath/tunnel/tunnel.go:90-94 (1.18.6); :101-125 (1.20.2)",
		check:  underlayProtocol,
	}, {
		ID: "V80", Kind: KindAgent, stage: stageGraph,
		Title: "The tunnel's source port range does not parse", Message: `invalid tunnel source port range "…"`,
		Keys: []string{"tunnel-source-port-range"}, Source: "pkg/datapath/tunnel/tunnel.go:106 (1.18.6)",
		check: func(a *agent) verdict {
			var low, high uint16
			_, err := fmt.Sscanf(a.text("tunnel-source-port-range"), "%d-%d", &low, &high)
			return refuse(err != nil, "invalid tunnel source port range %q", a.text("tunnel-source-port-range"))
		},
	}, {
		ID: "V76", Kind: KindAgent, stage: stageGraph,
		Title: "A load balancer map has an impossible size", Message: "specified LBMap max entries … must be a value greater than 0",
		Keys: []string{"bpf-lb-map-max", "bpf-sock-rev-map-max"}, Source: "pkg/loadbalancer/config.go:334-372 (1.18.6)",
		check: balancerMaps,
	}, {
		ID: "V91", Kind: KindAgent, stage: stageGraph,
		Title: "The Maglev table size is not one of the supported primes", Message: "Invalid value for --bpf-lb-maglev-table-size: …, supported values are: …",
		Keys: []string{"bpf-lb-maglev-table-size"}, Source: "pkg/maglev/maglev.go:68-72 (1.18.6)",
		check: func(a *agent) verdict {
			n := a.number("bpf-lb-maglev-table-size")
			sizes := []int{251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071}
			return refuse(!slices.Contains(sizes, n), "Invalid value for --bpf-lb-maglev-table-size: %d, supported values are: %v", n, sizes)
		},
	}, {
		ID: "V57", Kind: KindAgent, stage: stageGraph,
		Title: "The NodePort range is malformed", Message: "NodePort range min port must be smaller than max port",
		Keys: []string{"node-port-range"}, Source: "pkg/loadbalancer/config.go:388-411 (1.18.6)",
		check: func(a *agent) verdict {
			_, _, m := a.nodePorts()
			return refuse(m != "", "%s", m)
		},
	}, {
		ID: "V56", Kind: KindAgent, stage: stageGraph,
		Title: "bpf-lb-algorithm has an unknown value", Message: "Invalid value for --bpf-lb-algorithm: …",
		Keys: []string{"bpf-lb-algorithm", "node-port-algorithm"}, Source: "pkg/loadbalancer/config.go:413-420 (1.18.6)",
		check: func(a *agent) verdict {
			v := a.text("bpf-lb-algorithm")
			if old := a.text("node-port-algorithm"); old != "" {
				v = old
			}
			return refuse(v != "random" && v != "maglev", "Invalid value for --bpf-lb-algorithm: %s", v)
		},
	}, {
		ID: "V16", Kind: KindAgent, stage: stageGraph,
		Title: "bpf-lb-mode has an unknown value", Message: "Invalid value for --bpf-lb-mode: …",
		Keys: []string{"bpf-lb-mode", "node-port-mode"}, Source: "pkg/loadbalancer/config.go:419-429 (1.18.6)",
		check: func(a *agent) verdict {
			if a.text("node-port-mode") != "" && a.text("bpf-lb-mode") != "snat" {
				return refuse(true, "both --bpf-lb-mode and --node-port-mode were set. Use --bpf-lb-mode instead.")
			}
			m := a.lbMode()
			return refuse(m != "snat" && m != "dsr" && m != "hybrid", "Invalid value for --bpf-lb-mode: %s", m)
		},
	}, {
		ID: "V17", Kind: KindAgent, stage: stageGraph,
		Title: "Mode annotations do not go with the hybrid mode", Message: "The value --bpf-lb-mode=hybrid is not supported as default under annotation mode",
		Keys: []string{"bpf-lb-mode-annotation", "bpf-lb-mode"}, Source: "pkg/loadbalancer/config.go:431-434 (1.18.6)",
		check: func(a *agent) verdict {
			return refuse(a.on("bpf-lb-mode-annotation") && a.lbMode() == "hybrid",
				"The value --bpf-lb-mode=hybrid is not supported as default under annotation mode")
		},
	}, {
		ID: "V77", Kind: KindAgent, stage: stageGraph, From: "1.20",
		Title: "lb-reflector-wait-time is not positive", Message: "--lb-reflector-wait-time must be greater than 0, got …",
		Keys: []string{"lb-reflector-wait-time"}, Source: "pkg/loadbalancer/config.go:465 (1.20.2)",
		check: func(a *agent) verdict {
			d, err := time.ParseDuration(a.text("lb-reflector-wait-time"))
			return refuse(err == nil && d <= 0, "--lb-reflector-wait-time must be greater than 0, got %s", d)
		},
	}, {
		ID: "V65", Kind: KindAgent, stage: stageGraph, From: "1.19",
		Title: "bpf-lb-dsr-dispatch has an unknown value", Message: "Invalid value for --bpf-lb-dsr-dispatch: …",
		Keys: []string{"bpf-lb-dsr-dispatch"}, Source: "pkg/loadbalancer/config.go:455-459 (1.19.6), :469-473 (1.20.2)",
		check: func(a *agent) verdict {
			d := a.dsrDispatch()
			return refuse(d != "opt" && d != "ipip" && d != "geneve", "Invalid value for --bpf-lb-dsr-dispatch: %s", d)
		},
	}, {
		ID: "V55", Kind: KindAgent, stage: stageGraph,
		Title: "Load balancer acceleration has an unknown value", Message: "Invalid value for --node-port-acceleration: …",
		Keys: []string{"bpf-lb-acceleration", "node-port-acceleration"}, Source: "pkg/datapath/xdp/cell.go:36-48 (1.18.6)",
		check: func(a *agent) verdict {
			v := a.acceleration()
			return refuse(!slices.Contains([]string{"disabled", "testing-only", "best-effort", "native"}, v), "Invalid value for --node-port-acceleration: %s", v)
		},
	}, {
		ID: "V33", Kind: KindAgent, stage: stageGraph, From: "1.20",
		Title: "netkit needs kernel support, BPF masquerade and kube-proxy replacement", Message: "netkit connector not available: …",
		Keys:   []string{"datapath-mode", "enable-bpf-masquerade", "kube-proxy-replacement", "enable-host-legacy-routing", "enable-bpf-tproxy"},
		Source: "pkg/datapath/connector/config.go:123-205 (1.20.2)", Needs: "kernel 6.7 with CONFIG_NETKIT",
		check: netkit,
	}, {
		ID: "V34", Kind: KindAgent, stage: stageGraph, From: "1.20",
		Title: "datapath-mode has an unknown value", Message: "invalid datapath mode: …",
		Keys: []string{"datapath-mode"}, Source: "pkg/datapath/connector/config.go:189 (1.20.2)",
		check: func(a *agent) verdict {
			m := a.text("datapath-mode")
			return refuse(!slices.Contains([]string{"veth", "netkit", "netkit-l2", "auto"}, m), "invalid datapath mode: %s", m)
		},
	}, {
		ID: "V29", Kind: KindAgent, stage: stageGraph, Until: "1.19",
		Title: "WireGuard and IPsec exclude each other", Message: wireguardIPsec,
		Keys: []string{"enable-wireguard", "enable-ipsec"}, Source: "pkg/datapath/cells.go:156-160 (1.18.6)",
		check: func(a *agent) verdict { return refuse(a.wireguard() && a.ipsec(), wireguardIPsec) },
	}, {
		ID: "V42", Kind: KindAgent, stage: stageGraph,
		Title: "Egress gateway needs CRD identities and no CiliumEndpointSlices", Message: "egress gateway is not supported in combination with the CiliumEndpointSlice feature",
		Keys:   []string{"enable-egress-gateway", "enable-ipv4-egress-gateway", "identity-allocation-mode", "kvstore", "enable-cilium-endpoint-slice"},
		Source: "pkg/egressgateway/manager.go:188-194 (1.18.6)",
		check:  egressGatewayIdentities,
	}, {
		ID: "V41", Kind: KindAgent, stage: stageGraph,
		Title: "Egress gateway needs IPv4 and BPF masquerade", Message: egressGatewayMasquerade,
		Keys:   []string{"enable-egress-gateway", "enable-ipv4-egress-gateway", "enable-ipv4-masquerade", "enable-bpf-masquerade", "underlay-protocol"},
		Source: "pkg/egressgateway/manager.go:198-200 (1.18.6); :202-207 (1.20.2)",
		check:  egressGatewayNeeds,
	}, {
		ID: "V38", Kind: KindAgent, stage: stageGraph,
		Title: "BIG TCP needs native routing, no encryption, and no explicit legacy host routing", Message: "BIG TCP is not supported with legacy host routing",
		Keys:   []string{"enable-ipv4-big-tcp", "enable-ipv6-big-tcp", "routing-mode", "enable-ipsec", "enable-host-legacy-routing", "bpf-lb-dsr-dispatch"},
		Source: "pkg/datapath/linux/bigtcp/bigtcp.go:212-225 (1.18.6); :258-282 (1.20.2)", Needs: "kernel support for BIG TCP in UDP tunnels (1.19 and later, with a tunnel)",
		check: bigTCP,
	}, {
		ID: "V58", Kind: KindAgent, stage: stageGraph, From: "1.19",
		Title: "Masquerading the default pool only needs BPF masquerade", Message: "--only-masquerade-default-pool requires --enable-bpf-masquerade to be enabled",
		Keys: []string{"only-masquerade-default-pool", "enable-bpf-masquerade"}, Source: "pkg/ipam/cell/cell.go:94 (1.20.2)",
		check: func(a *agent) verdict {
			return refuse(a.on("only-masquerade-default-pool") && !a.bpfMasquerade(),
				"--only-masquerade-default-pool requires --enable-bpf-masquerade to be enabled")
		},
	}, {
		ID: "V81", Kind: KindAgent, stage: stageGraph, From: "1.19",
		Title:   "iptables masquerade without interfaces needs cluster-pool or kubernetes IPAM",
		Message: "panic: Egress masquerading interfaces cannot be empty when IP masquerading is enabled with IPAM mode other than ClusterPool or Kubernetes",
		Keys:    []string{"ipam", "enable-bpf-masquerade", "egress-masquerade-interfaces", "enable-ipv4-masquerade", "enable-ipv6-masquerade"},
		Source:  "pkg/datapath/iptables/iptables.go:449-452 (1.20.2)",
		check: func(a *agent) verdict {
			ipam := a.text("ipam")
			return refuse(a.iptablesMasquerading() && len(a.list("egress-masquerade-interfaces")) == 0 && ipam != "cluster-pool" && ipam != "kubernetes",
				"panic: Egress masquerading interfaces cannot be empty when IP masquerading is enabled with IPAM mode other than ClusterPool or Kubernetes")
		},
	},
}

const (
	wireguardIPsec          = "WireGuard (--enable-wireguard) cannot be used with IPsec (--enable-ipsec)"
	egressGatewayMasquerade = `egress gateway requires --enable-ipv4-masquerade="true" and --enable-bpf-masquerade="true"`
)

func splitPorts(s string) []string {
	parts := strings.Fields(s)
	if len(parts) == 1 {
		parts = strings.Split(parts[0], ",")
	}
	return parts
}

// acceleration: the older name wins where it is set.
func (a *agent) acceleration() string {
	if a.set("node-port-acceleration") {
		return a.text("node-port-acceleration")
	}
	return a.text("bpf-lb-acceleration")
}

func underlayProtocol(a *agent) verdict {
	u := a.text("underlay-protocol")
	known := u == "ipv4" || u == "ipv6" || (u == "auto" && a.from(1, 20))
	switch {
	case !known:
		return refuse(true, "invalid IP family for underlay %q", u)
	case !a.from(1, 20):
		return verdict{}
	case u == "ipv4" && !a.ipv4():
		return refuse(true, "underlay protocol set to IPv4, but IPv4 is disabled")
	case u == "ipv6" && !a.ipv6():
		return refuse(true, "underlay protocol set to IPv6, but IPv6 is disabled")
	}
	return verdict{}
}

func balancerMaps(a *agent) verdict {
	const least, most = 1 << 10, 1 << 24
	if n := a.number("bpf-lb-map-max"); n <= 0 {
		return refuse(true, "specified LBMap max entries %d must be a value greater than 0", n)
	}
	n := a.number("bpf-sock-rev-map-max")
	if n > most {
		return refuse(true, "specified Socket Reverse NAT tables size %d must not exceed maximum %d", n, most)
	}
	return refuse(n != 0 && n < least, "specified Socket Reverse NAT table size %d must be greater or equal to %d", n, least)
}

// netkit: the kernel is probed first, but the other needs refuse in any case.
func netkit(a *agent) verdict {
	const prefix = "netkit connector not available: "
	m := a.text("datapath-mode")
	kernelMay := a.cfg.Node.Netkit != snapshot.No
	switch {
	case m != "netkit" && m != "netkit-l2":
		return verdict{}
	case kernelMay && a.on("enable-host-legacy-routing"):
		return refuse(true, prefix+"netkit devices cannot be used with --enable-host-legacy-routing=true")
	case kernelMay && a.iptablesMasquerading():
		return refuse(true, prefix+"netkit devices require BPF masquerade (--enable-bpf-masquerade=true)")
	case kernelMay && !a.kubeProxyReplacement():
		return refuse(true, prefix+"netkit devices require --kube-proxy-replacement")
	}
	return depends(true, a.cfg.Node.Netkit, "whether the nodes' kernel is 6.7 or newer with CONFIG_NETKIT",
		prefix+"netkit device probe failed, requires kernel 6.7.0+ and CONFIG_NETKIT")
}

// identities is the allocation mode after the agent's own correction: without a
// kvstore it is always crd (pkg/option/config.go:2989-2993, 1.18.6).
func (a *agent) identities() string {
	if a.text("kvstore") == "" {
		return "crd"
	}
	return a.text("identity-allocation-mode")
}

func egressGatewayIdentities(a *agent) verdict {
	switch {
	case !a.egressGateway():
		return verdict{}
	case a.identities() != "crd":
		return refuse(true, "egress gateway is not supported in %s identity allocation mode", a.identities())
	}
	return refuse(a.on("enable-cilium-endpoint-slice"), "egress gateway is not supported in combination with the CiliumEndpointSlice feature")
}

func egressGatewayNeeds(a *agent) verdict {
	switch {
	case !a.egressGateway():
		return verdict{}
	case !a.masquerade4() || !a.bpfMasquerade():
		return refuse(true, egressGatewayMasquerade)
	}
	return refuse(a.from(1, 19) && a.underlay() != "ipv4", "egress gateway requires an IPv4 underlay")
}

// bigTCP is decided before the automatic fallback to legacy host routing, so
// only an explicit one refuses.
func bigTCP(a *agent) verdict {
	if !a.on("enable-ipv4-big-tcp") && !a.on("enable-ipv6-big-tcp") {
		return verdict{}
	}
	tunnel := ""
	switch {
	case a.from(1, 19) && a.dsrDispatch() == "ipip":
		return refuse(true, "bpf-lb-dsr-dispatch ipip creates IPIP tunnels that aren't compatible with BIG TCP")
	case !a.from(1, 19) && a.tunnelling():
		return refuse(true, "BIG TCP is not supported in tunneling mode")
	case a.from(1, 19) && (a.tunnelling() || a.dsrDispatch() != "opt"):
		tunnel = "whether the nodes' kernel supports BIG TCP in UDP tunnels"
	}
	if a.ipsec() {
		return refuse(true, "BIG TCP is not supported with encryption enabled")
	}
	v := refuse(a.on("enable-host-legacy-routing"), "BIG TCP is not supported with legacy host routing")
	v.unknown = tunnel
	return v
}
