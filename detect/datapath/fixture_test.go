package datapath

import (
	"fmt"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// config is a native-routing, dual-stack configuration with changes; an empty
// value takes a key away.
func config(changes ...string) cilium.Config {
	values := map[string]string{
		"enable-ipv4": "true", "enable-ipv6": "true", "routing-mode": "native",
		"auto-direct-node-routes": "true", "kube-proxy-replacement": "true",
		"enable-ipv4-masquerade": "true", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "false",
		"ipv4-native-routing-cidr": "10.101.0.0/16", "ipv6-native-routing-cidr": "fd00:101::/48", "ipam": "kubernetes",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
		if changes[i+1] == "" {
			delete(values, changes[i])
		}
	}
	return cilium.Config{Version: "1.18.6", Values: values}
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// sameNamespace admits pods of the policy's own namespace.
func sameNamespace(namespace string) snapshot.Policy {
	return snapshot.Policy{
		Kind: "NetworkPolicy", Namespace: namespace, Name: "same", Source: "NetworkPolicy " + namespace + "/same",
		Kubernetes: &networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}},
		},
	}
}

// cluster has n nodes with pod CIDRs and addresses as the flagship incident's,
// perNode pods on each, in turn of the given namespaces; namespaces that end in
// "-guarded" admit their own pods only.
func cluster(n, perNode int, namespaces ...string) *snapshot.Snapshot {
	s := &snapshot.Snapshot{ReadKinds: map[string]bool{"NetworkPolicy": true, "Pod": true}}
	for _, ns := range namespaces {
		s.Namespaces = append(s.Namespaces, snapshot.Namespace{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}})
		if len(ns) > 8 && ns[len(ns)-8:] == "-guarded" {
			s.Policies = append(s.Policies, sameNamespace(ns))
		}
	}
	pod := 0
	for i := range n {
		node := snapshot.Node{
			Name:        fmt.Sprintf("node-%04d", i),
			InternalIPs: []netip.Addr{v6(0x21 + i), v4(10<<24 | 101<<16 | 0x21 + i)},
			PodCIDRs:    []netip.Prefix{netip.PrefixFrom(podV6(i, 0), 64), netip.PrefixFrom(v4(10<<24|128<<16|i<<7), 25)},
			APIServer:   snapshot.TriOf(i%50 == 0),
		}
		s.Nodes = append(s.Nodes, node)
		for j := range perNode {
			ns := namespaces[pod%len(namespaces)]
			s.Pods = append(s.Pods, snapshot.Pod{
				Namespace: ns, Name: fmt.Sprintf("pod-%06d", pod), Node: node.Name,
				Labels: map[string]string{"app": fmt.Sprintf("app-%d", pod%7), "pod-template-hash": fmt.Sprint(pod % 1000)},
				IPs:    []netip.Addr{podV6(i, j+2), v4(10<<24 | 128<<16 | i<<7 | (j + 2))},
			})
			pod++
		}
	}
	return s
}

// v6 is a node's address in fd00:101::/64, podV6 a pod's in a /64 of its node out
// of fd00:101:2000::/36.
func v6(host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 2: 1, 3: 1, 14: byte(host >> 8), 15: byte(host)})
}

func podV6(node, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 2: 1, 3: 1, 4: 0x20, 6: byte(node >> 8), 7: byte(node), 14: byte(host >> 8), 15: byte(host)})
}

func v4(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func newModel(t testing.TB, in Input) *Model {
	t.Helper()
	m, err := New(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
