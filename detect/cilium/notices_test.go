package cilium

import (
	"strings"
	"testing"
)

func noticeByID(ns []Notice, id string) Notice {
	for _, n := range ns {
		if n.ID == id {
			return n
		}
	}
	return Notice{}
}

func TestNotices(t *testing.T) {
	broken, fine := "nonMasqueradeCIDRs: [10.0.0.0]", "nonMasqueradeCIDRs: [10.0.0.0/8]"
	pool := map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.101.0.0/17", "cluster-pool-ipv6-cidr": "fd00:101:224::/60"}
	for _, c := range []struct {
		id, version string
		change      map[string]string
		masqAgent   *string
		want        string // empty: no such notice
	}{
		{"W1", "1.18.6", map[string]string{"kube-proxy-replacement": "false"}, nil, "legacy host routing"},
		{"W1", "1.18.6", nil, nil, ""},
		{"W1", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "enable-host-legacy-routing": "true"}, nil, ""},
		{"W2", "1.18.6", nil, nil, "BPF host routing requires enable-bpf-masquerade. Falling back to legacy host routing (enable-host-legacy-routing=true)."},
		{"W2", "1.18.6", map[string]string{bpf: "true"}, nil, ""},
		{"W2", "1.18.6", map[string]string{bpf: "true", "enable-ipsec": "true"}, nil, "incompatible with enable-ipsec"},
		{"W2", "1.19.5", map[string]string{bpf: "true", "enable-ipsec": "true"}, nil, ""},
		{"W2", "1.18.6", map[string]string{bpf: "true", "kube-proxy-replacement": "false", "enable-node-port": "true"}, nil, "requires kube-proxy-replacement=true."},
		{"W2", "1.18.6", map[string]string{"kube-proxy-replacement": "false"}, nil, ""},
		{"W2", "1.20.2", map[string]string{bpf: "true", "kube-proxy-replacement": "false"}, nil, "BPF host routing requires kube-proxy-replacement. Falling"},
		{"W2", "1.20.2", map[string]string{"kube-proxy-replacement": "false"}, nil, "BPF host routing requires enable-bpf-masquerade. Falling"},
		{"W3", "1.18.6", map[string]string{"enable-endpoint-routes": "true"}, nil, "enable-local-node-route is set to false"},
		{"W3", "1.18.6", map[string]string{"enable-endpoint-routes": "true", "enable-local-node-route": "false"}, nil, ""},
		{"W4", "1.18.6", map[string]string{"kube-proxy-replacement": "false", "bpf-lb-sock-hostns-only": "true"}, nil, "bpf-lb-sock-hostns-only only takes effect when bpf-lb-sock is true"},
		{"W4", "1.18.6", map[string]string{"bpf-lb-sock-hostns-only": "true"}, nil, ""},
		{"W5", "1.18.6", map[string]string{"bpf-lb-sock-hostns-only": "true"}, nil, "tracing off"},
		{"W5", "1.19.5", map[string]string{"bpf-lb-sock-hostns-only": "true"}, nil, ""},
		{"W6", "1.18.6", map[string]string{"bpf-lb-sock": "false"}, nil, "bpf-lb-sock=false has no effect"},
		{"W6", "1.18.6", map[string]string{"bpf-lb-sock": "true"}, nil, ""},
		{"W6", "1.20.2", map[string]string{"enable-node-port": "false"}, nil, ""},
		{"W7", "1.18.6", map[string]string{"policy-audit-mode": "true"}, nil, "PolicyAuditMode is enabled"},
		{"W7", "1.18.6", nil, nil, ""},
		{"W8", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", "devices": "eth0 eth1"}, nil, "rp_filter"},
		{"W8", "1.18.6", map[string]string{"bpf-lb-mode": "dsr", "devices": "eth0"}, nil, ""},
		{"W9", "1.18.6", map[string]string{"bpf-lb-acceleration": "native", "enable-wireguard": "true", "encrypt-node": "true"}, nil, "not encrypted"},
		{"W9", "1.18.6", map[string]string{"enable-wireguard": "true", "encrypt-node": "true"}, nil, ""},
		{"W10", "1.18.6", pool, nil, "ipv6-native-routing-cidr fd00:101::/48 does not contain the pod pool fd00:101:224::/60"},
		{"W10", "1.18.6", map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.101.0.0/17"}, nil, ""},
		{"W11", "1.18.6", map[string]string{tunnel: "tunnel", auto: "false"}, nil, "only exempts"},
		{"W11", "1.18.6", nil, nil, ""},
		{"W12", "1.18.6", map[string]string{"enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false", "egress-masquerade-interfaces": "eth0"}, nil, "ignored"},
		{"W12", "1.18.6", map[string]string{"egress-masquerade-interfaces": "eth0"}, nil, ""},
		{"W17", "1.18.6", map[string]string{"enable-policy": "Sometimes"}, nil, `enable-policy "sometimes" is not known`},
		{"W17", "1.18.6", map[string]string{"enable-policy": "ALWAYS"}, nil, ""},
		{"W18", "1.18.6", map[string]string{bpf: "true", "enable-ip-masq-agent": "true"}, &broken, "rejected as a whole"},
		{"W18", "1.18.6", map[string]string{bpf: "true", "enable-ip-masq-agent": "true"}, &fine, ""},
		{"W18", "1.18.6", nil, &broken, ""},
		{"W19", "1.20.2", map[string]string{"enable-node-port": "true"}, nil, "no flag enable-node-port"},
		{"W19", "1.18.6", map[string]string{"enable-remote-node-masquerade": "true"}, nil, "no flag enable-remote-node-masquerade"},
		{"W19", "1.18.6", map[string]string{"enable-node-port": "true", "cluster-pool-ipv4-cidr": "10.0.0.0/8"}, nil, ""},
		{"W20", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "fd00:101:224:1::/48"}, nil, "the agent uses fd00:101:224::/48"},
		{"W20", "1.18.6", map[string]string{"ipv6-native-routing-cidr": "FD00:101:0::/48"}, nil, ""},
		{"W21", "1.18.6", map[string]string{"enable-ipv6": "false"}, nil, "enable-ipv6 is false: enable-ipv6-masquerade has no effect"},
		{"W21", "1.18.6", nil, nil, ""},
		{"V40", "1.18.6", map[string]string{"enable-bandwidth-manager": "true", "enable-ipsec": "true"}, nil, "Disabling the bandwidth manager"},
		{"O5", "1.18.6", map[string]string{"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.0.0.0/26", "cluster-pool-ipv6-cidr": "fd00::/104"}, nil, "no remaining CIDRs left to allocate in the accepted range (10.0.0.0/26)"},
		{"O5", "1.18.6", map[string]string{"cluster-pool-ipv4-cidr": "10.0.0.0/26"}, nil, ""},
	} {
		cfg := base(c.version, c.change)
		cfg.MasqAgent = c.masqAgent
		_, notices := Effective(cfg)
		n := noticeByID(notices, c.id)
		if (n.ID != "") != (c.want != "") || !strings.Contains(n.Message, c.want) {
			t.Errorf("%s in %s with %v: %q, want %q", c.id, c.version, c.change, n.Message, c.want)
		}
		if n.ID != "" && (n.Key == "" || n.Source == "") {
			t.Errorf("%s has no key or source: %+v", c.id, n)
		}
	}
}

func TestNoticesAreSorted(t *testing.T) {
	_, notices := Effective(base("1.20.2", map[string]string{
		"enable-endpoint-routes": "true", "policy-audit-mode": "true", "enable-policy": "x", "enable-ipv6": "false",
		"enable-node-port": "true", "enable-host-port": "true", "node-port-mode": "dsr",
	}))
	var got []string
	for _, n := range notices {
		got = append(got, n.ID)
	}
	if want := "W2 W3 W7 W17 W19 W19 W19 W21"; strings.Join(got, " ") != want {
		t.Errorf("ids %v, want %s", got, want)
	}
}
