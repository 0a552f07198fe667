// Package startcases are configurations that Cilium's agent or operator refuses, or that
// look wrong and start. The catalogue of start-up rules is held against them, and so are
// the real agents.
package startcases

import "maps"

// IPsecKeyFile is the key that cases with IPsec mean: it exists.
const IPsecKeyFile = "/run/cilium/ipsec-keys"

// Change is keys of the ConfigMap laid over the base; "-" takes a key away.
type Change map[string]string

// Refused is a configuration and who refuses it.
type Refused struct {
	// Rule is the catalogue's id of the first rule that refuses it in Version.
	Rule, Version string
	Change        Change
	// Message is a part of what is printed; empty leaves it to the catalogue.
	Message string
}

// Starting is a configuration that looks wrong and starts.
type Starting struct {
	Name, Version string
	Change        Change
}

// Values are a whole configuration: one that starts in every release (dual stack, native
// routing, iptables masquerade), with the change.
func Values(change Change) map[string]string {
	values := map[string]string{
		"enable-ipv4": "true", "enable-ipv6": "true", "ipam": "kubernetes",
		"routing-mode": "native", "auto-direct-node-routes": "true", "kube-proxy-replacement": "true",
		"ipv4-native-routing-cidr": "10.101.0.0/16", "ipv6-native-routing-cidr": "fd00:101::/48",
		"enable-ipv4-masquerade": "true", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "false",
		"enable-l7-proxy": "false",
	}
	maps.Copy(values, change)
	maps.DeleteFunc(values, func(_, v string) bool { return v == "-" })
	return values
}
