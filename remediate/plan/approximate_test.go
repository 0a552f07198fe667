package plan

import (
	"strings"
	"testing"
)

func TestFromValues(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		values        map[string]any
		want          map[string]string // "-" is absent, "?" unknown
	}{
		{"nothing", "1.18.6", nil, map[string]string{"enable-ipv6": "false", "ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/8", "cluster-pool-ipv6-cidr": "-", "routing-mode": "-"}},
		{"both families", "1.18.6", map[string]any{"ipv6": map[string]any{"enabled": true}}, map[string]string{"enable-ipv6": "true", "cluster-pool-ipv6-cidr": "fd00::/104", "cluster-pool-ipv6-mask-size": "120"}},
		{"pools of another IPAM mode", "1.18.6", map[string]any{"ipam": map[string]any{"mode": "kubernetes", "operator": map[string]any{"clusterPoolIPv4PodCIDRList": []any{"10.1.0.0/16"}}}},
			map[string]string{"ipam": "kubernetes", "cluster-pool-ipv4-cidr": "-"}},
		{"nulls are the default", "1.18.6", map[string]any{"ipam": map[string]any{"mode": nil}, "bpf": map[string]any{"masquerade": nil}}, map[string]string{"ipam": "cluster-pool", "enable-bpf-masquerade": "-"}},
		{"WireGuard", "1.18.6", map[string]any{"encryption": map[string]any{"enabled": true, "type": "wireguard", "nodeEncryption": true}}, map[string]string{"enable-wireguard": "true", "enable-ipsec": "-", "encrypt-node": "true"}},
		{"IPsec", "1.18.6", map[string]any{"encryption": map[string]any{"enabled": true}}, map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/etc/ipsec/keys"}},
		{"encryption that is off", "1.18.6", map[string]any{"encryption": map[string]any{"type": "wireguard", "nodeEncryption": true}}, map[string]string{"enable-wireguard": "-", "encrypt-node": "-"}},
		{"a key as it is", "1.18.6", map[string]any{"extraConfig": map[string]any{"enable-ipv6": "true", "mtu": "{{ .Values.x }}"}}, map[string]string{"enable-ipv6": "true", "mtu": "-"}},
		{"a cloud", "1.18.6", map[string]any{"eni": map[string]any{"enabled": true}, "ipam": map[string]any{"mode": "eni"}}, map[string]string{"ipam": "?", "routing-mode": "?"}},
		{"a key as it is outweighs", "1.18.6", map[string]any{"gke": map[string]any{"enabled": true}, "extraConfig": map[string]any{"routing-mode": "native"}}, map[string]string{"routing-mode": "native", "enable-endpoint-routes": "?"}},
		{"a value that the version does not read", "1.17.8", map[string]any{"underlayProtocol": "ipv6"}, map[string]string{"underlay-protocol": "-"}},
		{"and one that does", "1.18.6", map[string]any{"underlayProtocol": "ipv6"}, map[string]string{"underlay-protocol": "ipv6"}},
		{"first installed with 1.9", "1.18.6", map[string]any{"upgradeCompatibility": "1.9"}, map[string]string{"enable-bpf-masquerade": "?"}},
		{"first installed with 1.14", "1.18.6", map[string]any{"upgradeCompatibility": "1.14"}, map[string]string{"enable-bpf-masquerade": "-"}},
		{"first installed with 1.12", "1.18.6", map[string]any{"upgradeCompatibility": 1.12}, map[string]string{"enable-bpf-masquerade": "-"}},
		{"no version", "", map[string]any{"underlayProtocol": "ipv6"}, map[string]string{"underlay-protocol": "ipv6"}},
	} {
		cfg := FromValues(tt.values, tt.version)
		for k, want := range tt.want {
			got, ok := cfg.Values[k]
			if !ok {
				got = "-"
			}
			if _, unknown := cfg.Unknown[k]; unknown {
				got = strings.TrimSuffix("?"+got, "-")
			}
			if got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, k, got, want)
			}
		}
	}
	if chartDefaults["ipam"] != "cluster-pool" || len(chartDefaults) != 5 {
		t.Errorf("the defaults were changed: %v", chartDefaults)
	}
}
