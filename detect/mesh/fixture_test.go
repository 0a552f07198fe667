package mesh

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// epoch is where the simulations begin: any moment will do.
var epoch = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

func addr6(n, last int) netip.Addr { return addrOf("fd00:101:224:%x::%x", n, last) }
func addr4(n, last int) netip.Addr { return addrOf("10.%d.%d.%d", 101+n>>8, n&255, last) }

func addrOf(format string, args ...any) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, args...))
}

func target(n, last int) *Target {
	return &Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("probe-%d-%d", n, last), IPs: []netip.Addr{addr6(n, last), addr4(n, last)}}
}

func member(n int) Member {
	return Member{
		Node: fmt.Sprintf("node-%d", n), Zone: fmt.Sprintf("rack-%d", n%4),
		Open: target(n, 10), Guarded: target(n, 11),
		NodeIPs: []netip.Addr{addrOf("fd00:101::%x", n+1), addrOf("192.168.%d.%d", n>>8, n&255)},
	}
}

// cluster is a membership of n nodes with both families, services and DNS.
func cluster(n int) Membership {
	m := Membership{
		Version:  1,
		Services: []netip.Addr{addrOf("fd00:102::9"), addrOf("10.96.0.9")},
		DNS: DNS{
			Services: []netip.Addr{addrOf("fd00:102::a"), addrOf("10.96.0.10")},
			Pods:     []netip.Addr{addr6(0, 20), addr4(0, 20), addr6(1, 20), addr4(1, 20)},
			Name:     "kubernetes.default.svc.cluster.local.",
		},
	}
	for i := range n {
		m.Members = append(m.Members, member(i))
	}
	return m
}

// selfOf is the prober on a member's node.
func selfOf(m Member) Self {
	return Self{Namespace: m.Open.Namespace, Pod: m.Open.Pod, Node: m.Node, IPs: m.Open.IPs, MTU: 1500}
}

// plans are those of all members, in their order.
func plans(m Membership) []*Plan {
	ring := NewRing(m)
	out := make([]*Plan, len(m.Members))
	for i, member := range m.Members {
		out[i] = ring.Plan(selfOf(member))
	}
	return out
}

// brief is a check in a few words.
func brief(c Check) string {
	to := c.To.Node
	if to == "" {
		to = c.To.IP
	}
	words := []string{c.Via, c.Family, c.Protocol, c.Target, to}
	if c.Bytes > 0 {
		words = append(words, fmt.Sprint(c.Bytes))
	}
	if c.Back {
		words = append(words, "back")
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// isRing says whether the check is one with a peer.
func isRing(c Check) bool {
	return c.To.Node != "" && c.To.Node != c.From.Node && (c.Via == ViaPodIP || c.Via == ViaNodeIP)
}

// arrives says whether the check reaches pods or the node's own address of a member.
func arrives(t Turn) bool { return !t.Idle() && t.NotChecked == "" && t.Check.To.Node != "" }

var _ = v1alpha1.OutcomeOK
