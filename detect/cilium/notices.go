package cilium

import (
	"net/netip"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// notices are the silent changes that apply to the configuration, by id.
func (a *agent) notices() []Notice {
	var out []Notice
	for _, r := range noticeRules {
		if r.check == nil || !r.in(a.rel) {
			continue
		}
		v, unknown := a.unknownTo(r.check)
		if len(unknown) > 0 {
			continue
		}
		for _, m := range v.messages {
			out = append(out, Notice{ID: r.ID, Message: printable(m), Key: r.Keys[0], Source: r.Source})
		}
	}
	why := unmodelled(a.cfg.Version)
	if a.cfg.Version == "" {
		why = "the Cilium version is not known: rules and defaults of 1.18 are assumed"
	}
	if why != "" {
		out = append(out, Notice{ID: "W16", Message: printable(why)})
	}
	sort.SliceStable(out, func(i, j int) bool { return idLess(out[i].ID, out[j].ID) })
	return out
}

// unmodelled says why the rules may not fit the version; empty when they do.
func unmodelled(version string) string {
	r, ok := parseRelease(version)
	switch {
	case version == "":
		return ""
	case !ok:
		return "the Cilium version \"" + version + "\" is not a release number: only what the rules of 1.18 to 1.20 agree on is known"
	case r.less(oldest):
		return "Cilium " + version + " is older than the oldest release that the rules know: start-up rules are known from 1.16 to 1.20"
	case !r.known():
		return "Cilium " + version + " is newer than the newest release that the rules know: start-up rules are known from 1.16 to 1.20"
	}
	return ""
}

func notice(id, title, source string, keys []string, check func(*agent) verdict) Rule {
	return Rule{ID: id, Kind: KindNotice, Title: title, Message: title, Source: source, Keys: keys, check: check}
}

// noticeRules are what the agent changes, ignores or warns of while it starts.
var noticeRules = []Rule{
	notice("W1", "Without kube-proxy replacement the agent uses legacy host routing", "daemon/cmd/kube_proxy_replacement.go:45-47 (1.18.6)",
		[]string{"enable-host-legacy-routing", "kube-proxy-replacement", "enable-node-port"},
		func(a *agent) verdict {
			return refuse(!a.from(1, 20) && !a.nodePort() && !a.on("enable-host-legacy-routing"),
				"kube-proxy replacement is off: the agent uses legacy host routing")
		}),
	notice("W2", "BPF host routing falls back to legacy host routing", "daemon/cmd/kube_proxy_replacement.go:269-286 (1.18.6)",
		[]string{"enable-host-legacy-routing", "enable-bpf-masquerade", "enable-ipv4-masquerade", "enable-ipv6-masquerade", "enable-ipsec", "kube-proxy-replacement"},
		func(a *agent) verdict {
			why := a.legacyRoutingFallback()
			return refuse(why != "" && (a.nodePort() || a.from(1, 20)) && !a.on("enable-host-legacy-routing"),
				"%s Falling back to legacy host routing (enable-host-legacy-routing=true).", why)
		}),
	notice("W3", "Endpoint routes replace the local node route", "daemon/cmd/daemon_main.go:1262-1269 (1.18.6)",
		[]string{"enable-local-node-route", "enable-endpoint-routes"},
		func(a *agent) verdict {
			return refuse(a.on("enable-endpoint-routes") && a.on("enable-local-node-route"), "endpoint routes are on: enable-local-node-route is set to false")
		}),
	notice("W4", "The socket load balancer is off, so its host-namespace mode is reset", "daemon/cmd/kube_proxy_replacement.go:251-254 (1.18.6)",
		[]string{"bpf-lb-sock-hostns-only", "bpf-lb-sock", "kube-proxy-replacement"},
		func(a *agent) verdict {
			return refuse(a.on("bpf-lb-sock-hostns-only") && !a.socketLB(), "bpf-lb-sock-hostns-only only takes effect when bpf-lb-sock is true")
		}),
	notice("W5", "The host-namespace mode of the socket load balancer turns socket tracing off", "daemon/cmd/kube_proxy_replacement.go:157-159 (1.18.6)",
		[]string{"trace-sock", "bpf-lb-sock-hostns-only"},
		func(a *agent) verdict {
			return refuse(!a.from(1, 19) && a.on("bpf-lb-sock-hostns-only") && a.socketLB() && a.text("trace-sock") == "true",
				"bpf-lb-sock-hostns-only turns socket tracing off")
		}),
	notice("W6", "kube-proxy replacement turns its parts on, whatever they say", "pkg/kpr/kpr.go:88-94 (1.18.6)",
		[]string{"kube-proxy-replacement", "bpf-lb-sock", "enable-node-port", "enable-host-port", "enable-external-ips", "enable-session-affinity"}, overriddenParts),
	notice("W7", "Audit mode enforces nothing", "daemon/cmd/daemon_main.go:1162-1164 (1.18.6)", []string{"policy-audit-mode"},
		func(a *agent) verdict {
			return refuse(a.on("policy-audit-mode"), "PolicyAuditMode is enabled. Network policy will not be enforced.")
		}),
	notice("W8", "DSR with several devices may meet a strict rp_filter", "daemon/cmd/kube_proxy_replacement.go:292-317 (1.18.6)",
		[]string{"bpf-lb-mode", "bpf-lb-mode-annotation", "devices", "routing-mode"},
		func(a *agent) verdict {
			return refuse(a.ipv4() && !a.tunnelling() && a.usesDSR() && len(strings.Fields(a.text("devices"))) > 1,
				"DSR might not work for requests sent to other than the direct routing device where its rp_filter is 1")
		}),
	notice("W9", "XDP acceleration leaves north-south traffic unencrypted", "daemon/cmd/kube_proxy_replacement.go:96-105 (1.18.6)",
		[]string{"bpf-lb-acceleration", "enable-wireguard", "encrypt-node"},
		func(a *agent) verdict {
			return refuse(a.nodePort() && a.acceleration() != "disabled" && a.wireguard() && a.on("encrypt-node"),
				"with acceleration and node encryption, load-balanced traffic from outside is not encrypted between nodes")
		}),
	notice("W10", "A native routing CIDR that misses the pods is neither checked nor logged", "daemon/cmd/ipam.go:476-501 (1.18.6)",
		[]string{"ipv4-native-routing-cidr", "ipv6-native-routing-cidr", "cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"}, poolOutsideNative),
	notice("W11", "In tunnel mode the native routing CIDR only exempts from masquerade", "pkg/datapath/iptables/iptables.go:1666-1673 (1.18.6)",
		[]string{"ipv4-native-routing-cidr", "ipv6-native-routing-cidr", "routing-mode"},
		func(a *agent) verdict {
			return refuse(a.tunnelling() && a.text("ipv4-native-routing-cidr")+a.text("ipv6-native-routing-cidr") != "",
				"routing-mode is tunnel: the native routing CIDR only exempts destinations from masquerade")
		}),
	notice("W12", "Masquerade options without masquerade are ignored", "pkg/datapath/iptables/iptables.go:1582-1608 (1.18.6)",
		[]string{"egress-masquerade-interfaces", "enable-masquerade-to-route-source", "enable-ipv4-masquerade", "enable-ipv6-masquerade"},
		func(a *agent) verdict {
			return refuse(!a.masquerading() && (len(a.list("egress-masquerade-interfaces")) > 0 || a.on("enable-masquerade-to-route-source")),
				"masquerade is off for every family: egress interfaces and masquerade to the route's source are ignored")
		}),
	notice("W13", "Direct routes of a family that a node lacks are logged as errors and left out", "pkg/datapath/linux/node.go:251-267 (1.18.6)", []string{"auto-direct-node-routes"}, nil),
	notice("W14", "Without xt_socket the agent turns ip_early_demux off", "pkg/datapath/iptables/iptables.go:434-463 (1.18.6)", []string{"enable-l7-proxy"}, nil),
	notice("W15", "The agent waits for the node's pod CIDR of each enabled family", "daemon/k8s/init.go:25-75 and pkg/option/config.go:3000-3010 (1.18.6)",
		[]string{"k8s-require-ipv6-pod-cidr", "k8s-require-ipv4-pod-cidr", "ipam"}, nil),
	notice("W16", "The version is outside of what the rules know", "", []string{""}, nil),
	notice("W17", "An unknown enable-policy behaves as the default", "pkg/policy/repository.go:360-391 (1.18.6); measured", []string{"enable-policy"},
		func(a *agent) verdict {
			v := strings.ToLower(a.text("enable-policy"))
			return refuse(v != a.policyEnforcement(), "enable-policy \"%s\" is not known and behaves as \"default\"", v)
		}),
	notice("W18", "A broken ip-masq-agent file is rejected as a whole", "pkg/ipmasq/ipmasq.go:153-166 (1.18.6)", []string{"enable-ip-masq-agent"},
		func(a *agent) verdict {
			_, err := NonMasquerade(a.cfg.MasqAgent)
			return refuse(a.on("enable-ip-masq-agent") && err != nil, "%v", err)
		}),
	notice("W19", "Keys of other releases are ignored", "measured on 1.20.2", []string{"enable-node-port", "enable-ipv4-egress-gateway"}, ignoredKeys),
	notice("W20", "Host bits of a native routing CIDR are dropped", "measured on 1.18.6", []string{"ipv4-native-routing-cidr", "ipv6-native-routing-cidr"},
		func(a *agent) verdict {
			var out verdict
			for _, key := range []string{"ipv4-native-routing-cidr", "ipv6-native-routing-cidr"} {
				p, err := netip.ParsePrefix(a.text(key))
				if masked, ok := goCIDR(a.text(key)); ok && err == nil && p.Addr() != masked.Addr() {
					out.messages = append(out.messages, key+" \""+a.text(key)+"\" has host bits: the agent uses "+masked.String())
				}
			}
			return out
		}),
	notice("W21", "Masquerade of a family that is off is off", "pkg/option/config.go:2717-2718 (1.18.6)", []string{"enable-ipv4-masquerade", "enable-ipv6-masquerade"},
		func(a *agent) verdict {
			var out verdict
			for _, f := range []string{"ipv4", "ipv6"} {
				if !a.on("enable-"+f) && a.set("enable-"+f+"-masquerade") && a.on("enable-"+f+"-masquerade") {
					out.messages = append(out.messages, "enable-"+f+" is false: enable-"+f+"-masquerade has no effect")
				}
			}
			return out
		}),
	notice("V40", "IPsec turns the bandwidth manager off", "pkg/datapath/linux/bandwidth/bandwidth.go:197-200 (1.18.6)", []string{"enable-bandwidth-manager", "enable-ipsec"},
		func(a *agent) verdict {
			return refuse(a.on("enable-bandwidth-manager") && a.ipsec(), "The bandwidth manager cannot be used with IPSec. Disabling the bandwidth manager.")
		}),
	notice("O5", "A pool CIDR smaller than one node's share has nothing to hand out", "pkg/ipam/cidrset/cidr_set.go:63-91 (1.18.6)",
		[]string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr", "cluster-pool-ipv4-mask-size", "cluster-pool-ipv6-mask-size"}, exhausted),
}

func overriddenParts(a *agent) verdict {
	var out verdict
	if !a.kubeProxyReplacement() {
		return out
	}
	for _, key := range []string{"bpf-lb-sock", "enable-external-ips", "enable-host-port", "enable-node-port", "enable-session-affinity"} {
		if a.set(key) && !a.on(key) {
			out.messages = append(out.messages, key+"=false has no effect while kube-proxy-replacement is true")
		}
	}
	return out
}

func poolOutsideNative(a *agent) verdict {
	var out verdict
	for _, f := range []struct {
		family     string
		bits       int
		masquerade bool
	}{{"4", 32, a.masquerade4()}, {"6", 128, a.masquerade6()}} {
		native, ok := a.prefix("ipv"+f.family+"-native-routing-cidr", f.bits)
		if !ok || !f.masquerade || a.stated("ipam") != "cluster-pool" {
			continue
		}
		for _, text := range a.list("cluster-pool-ipv" + f.family + "-cidr") {
			if p, ok := goCIDR(text); ok && !cidr.Contains(native, p) {
				out.messages = append(out.messages, "ipv"+f.family+"-native-routing-cidr "+native.String()+" does not contain the pod pool "+p.String()+": the agent neither checks nor logs it")
			}
		}
	}
	return out
}

// ignoredKeys are keys that some release defines and this one does not.
func ignoredKeys(a *agent) verdict {
	var out verdict
	for key := range a.values {
		ts := typedFlags()[key]
		defined := false
		for _, t := range ts {
			defined = defined || t.in(a.rel)
		}
		if len(ts) > 0 && !defined {
			out.messages = append(out.messages, "this release has no flag "+key+" and ignores the key")
		}
	}
	sort.Strings(out.messages)
	return out
}
