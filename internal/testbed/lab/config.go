//go:build linux

package lab

import (
	"maps"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// Incident is the cilium-config of the bundled incident, as far as the lab reads it:
// native routing, IPv6 masqueraded by iptables, and pods outside
// ipv6-native-routing-cidr. Changes are pairs of a key and its value; an empty value
// takes the key away.
func Incident(changes ...string) cilium.Config {
	values := map[string]string{
		"auto-direct-node-routes":           "true",
		"bpf-lb-sock":                       "true",
		"bpf-lb-sock-hostns-only":           "true",
		"direct-routing-skip-unreachable":   "true",
		"enable-bpf-masquerade":             "false",
		"enable-host-legacy-routing":        "true",
		"enable-ipv4":                       "true",
		"enable-ipv4-masquerade":            "false",
		"enable-ipv6":                       "true",
		"enable-ipv6-masquerade":            "true",
		"enable-masquerade-to-route-source": "false",
		"enable-node-selector-labels":       "false",
		"enable-policy":                     "default",
		"ipam":                              "kubernetes",
		"ipv4-native-routing-cidr":          "10.101.0.0/16",
		"ipv6-native-routing-cidr":          "fd00:101::/48",
		"kube-proxy-replacement":            "true",
		"routing-mode":                      "native",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i+1] == "" {
			delete(values, changes[i])
			continue
		}
		values[changes[i]] = changes[i+1]
	}
	return cilium.Config{Version: "1.18.6", Values: values}
}

// IncidentIPv4 is the incident in the other family: IPv4 is masqueraded with pods
// outside ipv4-native-routing-cidr, IPv6 is as it should be.
func IncidentIPv4(changes ...string) cilium.Config {
	return Healthy(append([]string{
		"enable-ipv4-masquerade", "true", "ipv4-native-routing-cidr", "10.101.0.0/24",
	}, changes...)...)
}

// Healthy is the incident's configuration with the change that cures it:
// ipv6-native-routing-cidr holds nodes and pods.
func Healthy(changes ...string) cilium.Config {
	return Incident(append([]string{"ipv6-native-routing-cidr", "fd00:101::/32"}, changes...)...)
}

// MasqAgent is Healthy with BPF masquerading of both families and an ip-masq-agent
// of this configuration file instead of native routing CIDRs.
func MasqAgent(file string, changes ...string) cilium.Config {
	cfg := Healthy(append([]string{
		"enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true",
		"enable-ipv4-masquerade", "true",
		"ipv4-native-routing-cidr", "", "ipv6-native-routing-cidr", "",
	}, changes...)...)
	cfg.MasqAgent = &file
	return cfg
}

// clone keeps a configuration from later changes of its maker.
func clone(cfg cilium.Config) cilium.Config {
	cfg.Values = maps.Clone(cfg.Values)
	return cfg
}
