package datapath

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// TestEverythingNative: whether an agent's iptables rules are in force at all is not
// known where one of them excludes all addresses of a family.
func TestEverythingNative(t *testing.T) {
	outside := End{Kind: EndOutside, Addr: netip.MustParseAddr("2001:db8::9")}
	for _, tc := range []struct {
		name   string
		config []string
		want   cilium.Masquerade
	}{
		{"a range of each family", []string{"ipv4-native-routing-cidr", "10.0.0.0/8"}, cilium.MasqueradeIPTables},
		{"all of IPv4", []string{"ipv4-native-routing-cidr", "0.0.0.0/0"}, ""},
		{"all of IPv4, not masqueraded", []string{"ipv4-native-routing-cidr", "0.0.0.0/0", "enable-ipv4-masquerade", "false"}, cilium.MasqueradeIPTables},
		{"all of IPv4, BPF", []string{"ipv4-native-routing-cidr", "0.0.0.0/0", "enable-bpf-masquerade", "true"}, cilium.MasqueradeBPF},
		{"all of both", []string{"ipv4-native-routing-cidr", "0.0.0.0/0", "ipv6-native-routing-cidr", "::/0"}, cilium.MasqueradeOff},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := append([]string{"ipv6-native-routing-cidr", "fd00:101::/32"}, tc.config...)
			r := newModel(t, Input{Config: config(all...), Snapshot: lab()}).Trace(Flow{From: pod("a"), To: outside, Family: "IPv6", Protocol: "TCP"})
			if r.MasqueradeBy != tc.want {
				t.Errorf("masqueraded by %q, want %q: %s", r.MasqueradeBy, tc.want, r.MasqueradeWhy)
			}
			if tc.want == "" && !strings.Contains(r.MasqueradeWhy, "all addresses") {
				t.Errorf("why: %s", r.MasqueradeWhy)
			}
		})
	}
}
