//go:build linux

package cilium

import (
	"net/netip"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
)

func TestParseEvent(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Event
	}{
		{
			"xx drop (Policy denied) flow 0x0 to endpoint 1234, ifindex 12, file bpf_lxc.c:2125, , identity remote-node->4009: fd00:101::21 -> fd00:101:224:2::8f33 icmp EchoRequest",
			Event{Kind: "drop", Reason: "Policy denied", Protocol: "ICMP", Identity: "remote-node", From: netip.MustParseAddrPort("[fd00:101::21]:0"), To: netip.MustParseAddrPort("[fd00:101:224:2::8f33]:0")},
		},
		{
			"Policy verdict log: flow 0x0 local EP ID 12, remote ID 4009, proto 6, ingress, action allow, auth: disabled, match L3-Only, 10.0.0.1:1000 -> 10.0.0.2:8080 tcp SYN",
			Event{Kind: "verdict", Identity: "4009", Direction: "ingress", Action: "allow", Protocol: "TCP", From: netip.MustParseAddrPort("10.0.0.1:1000"), To: netip.MustParseAddrPort("10.0.0.2:8080")},
		},
		{
			"-> endpoint 12 flow 0x0 , identity 4009->4010 state new ifindex lxc1 orig-ip fd00::1: [fd00::1]:1000 -> [fd00::2]:8081 udp",
			Event{Kind: "trace", Point: "-> endpoint", Protocol: "UDP", Identity: "4009", From: netip.MustParseAddrPort("[fd00::1]:1000"), To: netip.MustParseAddrPort("[fd00::2]:8081")},
		},
		{
			"<- host flow 0xb03c04ae , identity 1611->unknown state unknown ifindex eth0 orig-ip ::: fd00::1 -> fd00::2 icmp EchoReply",
			Event{Kind: "trace", Point: "<- host", Identity: "1611", From: netip.MustParseAddrPort("[fd00::1]:0"), To: netip.MustParseAddrPort("[fd00::2]:0")},
		},
	} {
		got, ok := parseEvent(tt.line)
		tt.want.Text = tt.line
		if !ok || got != tt.want {
			t.Errorf("parseEvent(%q)\n got %+v, %v\nwant %+v", tt.line, got, ok, tt.want)
		}
	}
	for _, line := range []string{"", "Press Ctrl-C to quit", "xx drop (Policy denied) of nothing", ">> Endpoint regenerated: {}"} {
		if e, ok := parseEvent(line); ok {
			t.Errorf("parseEvent(%q) = %+v", line, e)
		}
	}
}

func TestTranslations(t *testing.T) {
	from, to, node := netip.MustParseAddr("fd00:101:224:1::8"), netip.MustParseAddr("fd00:101:224:2::9"), netip.MustParseAddr("fd00:101::10")
	const tracked = "tcp      6 115 SYN_SENT src=fd00:101:224:1::8 dst=fd00:101:224:2::9 sport=10001 dport=8080 [UNREPLIED] src=fd00:101:224:2::9 dst=fd00:101::10 sport=8080 dport=10001 mark=0 use=1\n"
	got := trackedSource(tracked, "TCP", from, to, 10001)
	if got == nil || got.By != cilium.MasqueradeIPTables || got.Source != node {
		t.Errorf("trackedSource = %+v", got)
	}
	for _, other := range []*Translation{
		trackedSource(tracked, "UDP", from, to, 10001), trackedSource(tracked, "TCP", to, from, 10001), trackedSource(tracked, "TCP", from, to, 10002), trackedSource("", "TCP", from, to, 1),
	} {
		if other != nil {
			t.Errorf("another flow's: %+v", other)
		}
	}
	const mapped = "TCP OUT [fd00:101:224:1::8]:10001 -> [fd00:101:224:2::9]:8080 XLATE_SRC [fd00:101::10]:61234 Created=1sec ago NeedsCT=1"
	if got := mappedSource(mapped, "TCP", from, 10001); got == nil || got.By != cilium.MasqueradeBPF || got.Source != node {
		t.Errorf("mappedSource = %+v", got)
	}
	if got := mappedSource(mapped, "TCP", from, 10002); got != nil {
		t.Errorf("another flow's: %+v", got)
	}
}

func TestPlumbingIsGiven(t *testing.T) {
	keys := map[string]bool{}
	for _, p := range plumbing("/kubeconfig") {
		if p.why == "" || keys[p.key] {
			t.Errorf("key %q: reason %q, or twice", p.key, p.why)
		}
		keys[p.key] = true
	}
	values := map[string]string{"devices": "eth1", "ipam": "cluster-pool", "write-cni-conf-when-ready": "x", "mtu": "1400"}
	for _, p := range plumbing("/kubeconfig") {
		p.lay(values)
	}
	if values["devices"] != "eth1" || values["ipam"] != "kubernetes" || values["mtu"] != "1400" {
		t.Errorf("values %v", values)
	}
	if _, there := values["write-cni-conf-when-ready"]; there {
		t.Error("a key that goes is there")
	}
}

func TestParsePacket(t *testing.T) {
	echo := []byte{0x60, 0, 0, 0, 0, 8, 58, 64}
	from, to := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	echo = append(append(echo, from.AsSlice()...), to.AsSlice()...)
	echo = append(echo, 128, 0, 0, 0, 0x12, 0x34, 0, 1)
	p, ok := parsePacket(echo)
	if !ok || p.Protocol != "ICMP" || p.From != from || p.To != to || p.FromPort != 0x1234 {
		t.Errorf("parsePacket = %+v, %v", p, ok)
	}
	for n := range len(echo) {
		if _, ok := parsePacket(echo[:n]); ok {
			t.Errorf("%d bytes pass for a packet", n)
		}
	}
}

func TestMerge(t *testing.T) {
	got := map[string]any{"bpf": map[string]any{"masquerade": false, "lbMode": "snat"}, "MTU": 1500}
	merge(got, map[string]any{"bpf": map[string]any{"masquerade": true}, "MTU": 1400})
	bpf, _ := got["bpf"].(map[string]any)
	if bpf["masquerade"] != true || bpf["lbMode"] != "snat" || got["MTU"] != 1400 {
		t.Errorf("merge = %v", got)
	}
}
