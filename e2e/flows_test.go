//go:build e2e && linux

package e2e

import (
	"net/netip"
	"testing"

	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

// TestKinds: flows between ends of every kind, with BPF masquerading, and the model
// beside them.
func TestKinds(t *testing.T) {
	c := cilium.Start(t, cilium.Options{Nodes: 2, Config: cilium.Render(t, incidentValues(t), `
ipv4NativeRoutingCIDR: 10.101.224.0/19
ipv6NativeRoutingCIDR: fd00:101:224::/60
enableIPv4Masquerade: true
bpf: {masquerade: true, hostLegacyRouting: false}
socketLB: {hostNamespaceOnly: false}
`)})
	pods := c.AddPods(t,
		cilium.PodSpec{Namespace: "team-a", Name: "a1", Node: "node-1", Labels: map[string]string{"app": "a"}},
		cilium.PodSpec{Namespace: "team-b", Name: "b2", Node: "node-2", Labels: map[string]string{"app": "b"}})
	a, b := pods[0].Host, pods[1].Host
	outside := c.AddHost(t, "outside", 0, netip.MustParsePrefix("10.101.0.99/24"), netip.MustParsePrefix("fd00:101::99/64"))
	service := c.AddService(t, cilium.Service{Namespace: "team-b", Name: "s", Backends: pods[1:]})
	c.Log(t, "pods, the host and the service are there")
	node1, node2 := c.Nodes[0].Host, c.Nodes[1].Host
	var flows []cilium.Flow
	for _, ends := range [][2]*cilium.Host{
		{a, b}, {a, node2}, {a, node1}, {node2, a}, {node1, a}, {node1, b}, {node1, node2}, {a, outside}, {outside, a}, {outside, node1},
	} {
		flows = append(flows, everyWay(cilium.Flow{From: ends[0], To: ends[1]})...)
	}
	for _, from := range []*cilium.Host{a, node1} {
		flows = append(flows, everyWay(cilium.Flow{From: from, To: b, Service: service})...)
	}
	for i, o := range sendAndCompare(t, c, flows) {
		t.Logf("%s: %s, source %s (%s), identity %q, drop %q, masqueraded %q", name(flows[i]), o.Result, o.Source, o.SourceSeen, o.Identity, o.DropReason, o.MasqueradeBy)
	}
}

// everyWay is a flow in all families and protocols; a ClusterIP answers no ICMP.
func everyWay(f cilium.Flow) (out []cilium.Flow) {
	for _, f.Family = range []string{cidr.IPv4, cidr.IPv6} {
		for _, f.Protocol = range []string{"ICMP", "TCP", "UDP"} {
			if f.Service == nil || f.Protocol != "ICMP" {
				out = append(out, f)
			}
		}
	}
	return out
}
