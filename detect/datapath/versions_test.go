package datapath

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// TestVersionsOfProbing: a transfer that a silent path swallows goes on where the pod's
// TCP looks for a smaller size, and one packet stays lost.
func TestVersionsOfProbing(t *testing.T) {
	const mode = "packetization-layer-pmtud-mode"
	for _, tc := range []struct {
		name, version string
		config        []string
		from          End
		protocol      string
		size          int
		want          snapshot.Tri
	}{
		{"1.18", "1.18.6", nil, pod("a"), "TCP", 1 << 20, no},
		{"1.18 does not know the key", "1.18.6", []string{mode, "blackhole"}, pod("a"), "TCP", 1 << 20, no},
		{"1.19", "1.19.6", nil, pod("a"), "TCP", 1 << 20, yes},
		{"1.20", "1.20.2", nil, pod("a"), "TCP", 1 << 20, yes},
		{"always", "1.20.2", []string{mode, "always"}, pod("a"), "TCP", 1 << 20, yes},
		{"disabled", "1.20.2", []string{mode, "disabled"}, pod("a"), "TCP", 1 << 20, no},
		{"the host's own setting", "1.20.2", []string{mode, "unset"}, pod("a"), "TCP", 1 << 20, no},
		{"one packet", "1.20.2", nil, pod("a"), "UDP", 1500, no},
		{"a node", "1.20.2", nil, toNode("node-0000"), "TCP", 1 << 20, no},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := config(tc.config...)
			cfg.Version = tc.version
			silent := Topology{DeviceMTU: 1500, PodMTU: 1500, PathMTU: 1450, PathAnswersTooBig: no}
			m := newModel(t, Input{Config: cfg, Snapshot: lab(), Topology: silent})
			want{delivered: tc.want}.check(t, m.Trace(Flow{From: tc.from, To: pod("d"), Family: "IPv6", Protocol: tc.protocol, Size: tc.size}))
		})
	}
}

// TestVersionsOfBlocks: what an ipBlock under ingress means to each version.
func TestVersionsOfBlocks(t *testing.T) {
	const local, match = "policy-default-local-cluster", "policy-cidr-match-mode"
	far := outside("2001:db8::9")
	for _, tc := range []struct {
		name, version string
		config        []string
		block         string
		from          End
		want          snapshot.Tri
	}{
		{"1.18", "1.18.6", nil, "2001:db8::/32", far, yes},
		{"1.18 refuses it beside the local cluster", "1.18.6", []string{local, "true"}, "2001:db8::/32", far, snapshot.Unknown},
		{"1.19 has the local cluster by default", "1.19.6", nil, "2001:db8::/32", far, yes},
		{"1.20", "1.20.2", []string{local, "true"}, "2001:db8::/32", far, yes},
		{"pods are no addresses", "1.20.2", nil, "fd00:101::/32", pod("c"), no},
		{"pods are in 1.20 if so configured", "1.20.2", []string{match, "pods"}, "fd00:101::/32", pod("c"), yes},
		{"and not in 1.19", "1.19.6", []string{match, "pods"}, "fd00:101::/32", pod("c"), no},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := lab()
			policy := sameNamespace("team-guarded")
			policy.Kubernetes.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: tc.block}}}
			s.Policies = []snapshot.Policy{policy}
			cfg := config(append(tc.config, "ipv6-native-routing-cidr", "fd00:101::/32")...)
			cfg.Version = tc.version
			m := newModel(t, Input{Config: cfg, Snapshot: s, Topology: Topology{RouterHasPodRoutes: yes}})
			drop := map[snapshot.Tri]string{no: PolicyDenied}[tc.want]
			want{delivered: tc.want, drop: drop}.check(t, m.Trace(Flow{From: tc.from, To: pod("a"), Family: "IPv6", Protocol: "TCP", Port: 8080}))
		})
	}
}

// TestVersionsOfTooLong: what BPF host routing says of a packet that the node's device
// does not take.
func TestVersionsOfTooLong(t *testing.T) {
	bpf := []string{"enable-bpf-masquerade", "true"}
	for _, tc := range []struct {
		name, version string
		config        []string
		drop          string
	}{
		{"1.18", "1.18.6", bpf, ""},
		{"1.19", "1.19.6", bpf, TooLong},
		{"1.20", "1.20.2", bpf, TooLong},
		{"legacy host routing", "1.20.2", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := config(tc.config...)
			cfg.Version = tc.version
			m := newModel(t, Input{Config: cfg, Snapshot: lab(), Topology: Topology{DeviceMTU: 1450, PodMTU: 1500}})
			want{delivered: no, drop: tc.drop}.check(t, m.Trace(Flow{From: pod("a"), To: pod("b"), Family: "IPv6", Protocol: "UDP", Size: 1500}))
		})
	}
}
