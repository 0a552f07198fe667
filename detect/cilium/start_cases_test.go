package cilium

import (
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/startcases"
)

// base is a configuration that starts in every release, changed.
func base(version string, change map[string]string) Config {
	cfg := Config{Version: version, Values: startcases.Values(change), Node: NodeFacts{Devices: []string{"eth0"}}}
	if cfg.Values["ipsec-key-file"] == startcases.IPsecKeyFile {
		cfg.Node.IPsecKey = snapshot.Yes
	}
	return cfg
}

// refused are the configurations that agent or operator refuse without any fact.
func refused() []startcases.Refused {
	return append(startcases.Agent(), startcases.Operator()...)
}

const (
	bpf    = "enable-bpf-masquerade"
	tunnel = "routing-mode"
	auto   = "auto-direct-node-routes"
)

// byFacts are the rules that only a fact of the node makes refuse.
var byFacts = []struct {
	id, version string
	change      map[string]string
	node        NodeFacts
}{
	{"V27", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "enable-host-firewall": "true", "devices": "x+"}, NodeFacts{Devices: []string{"eth0"}}},
	{"V33", "1.18.6", map[string]string{"datapath-mode": "netkit"}, NodeFacts{Netkit: snapshot.No}},
	{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit", bpf: "true"}, NodeFacts{Netkit: snapshot.No}},
	{"V45", "1.18.6", nil, NodeFacts{IP6Tables: snapshot.No}},
	{"V61", "1.20.2", map[string]string{bpf: "true", "enable-ip-masq-agent": "true"}, NodeFacts{MasqAgentFolder: snapshot.No}},
	{"V63", "1.18.6", map[string]string{"enable-ipsec": "true", "ipsec-key-file": startcases.IPsecKeyFile}, NodeFacts{IPsecKey: snapshot.No}},
	{"V92", "1.18.6", map[string]string{"enable-ipsec": "true", tunnel: "tunnel", auto: "false"}, NodeFacts{OutputMasks: snapshot.No}},
	{"V92", "1.20.2", map[string]string{"enable-ipsec": "true", tunnel: "tunnel", auto: "false"}, NodeFacts{OutputMasks: snapshot.No}},
	{"V87", "1.18.6", map[string]string{"enable-wireguard": "true"}, NodeFacts{WireGuard: snapshot.No}},
	{"V87", "1.20.2", map[string]string{"enable-wireguard": "true"}, NodeFacts{WireGuard: snapshot.No}},
}
