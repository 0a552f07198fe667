package datapath

import (
	"fmt"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

const srcMTU = "pkg/mtu/mtu.go:20 (1.18.6)"

// fit says whether a packet of the flow's size gets through.
type fit struct {
	ok  snapshot.Tri
	why string
	// stalls: small packets pass, so a connection opens and then hangs.
	stalls bool
	// drop is Cilium's reason, where it gives one.
	drop string
}

// Overheads in bytes (pkg/mtu/mtu.go:20, 1.18.6).
const (
	overheadIPv4      = 50
	overheadIPv6      = 70
	overheadWireGuard = 80
	overheadIPsec     = 77
)

// overhead that the way adds to the packet.
func (w *walk) overhead() int {
	s := &w.src.node.agent.Settings
	switch {
	case w.sameNode:
		return 0
	case w.route == routeTunnel:
		return encapsulation(s)
	}
	return encryption(s)
}

// encapsulation is the most that an agent's packets may grow by.
func encapsulation(s *cilium.Settings) int {
	switch {
	case s.RoutingMode != "tunnel":
		return encryption(s)
	case s.UnderlayProtocol == "ipv6":
		return encryption(s) + overheadIPv6
	}
	return encryption(s) + overheadIPv4
}

func encryption(s *cilium.Settings) int {
	switch {
	case s.WireGuard:
		return overheadWireGuard
	case s.IPsec:
		return overheadIPsec
	}
	return 0
}

// fits compares the flow's size with the pod's device, the node's device and the
// path. A TCP transfer adapts wherever somebody answers "too big"; one packet
// with don't-fragment does not.
func (w *walk) fits() fit {
	if w.f.Size == 0 {
		return fit{ok: snapshot.Yes}
	}
	tcp, size := w.f.Protocol == "TCP", w.f.Size
	pod, device, path := w.mtus()
	if w.src.kind == EndPod && pod > 0 && size > pod {
		if !tcp {
			return fit{ok: snapshot.No, why: fmt.Sprintf("%d bytes do not fit the pod's MTU of %d", size, pod)}
		}
		size = pod
	}
	if peer := w.receiverMTU(); tcp && peer > 0 {
		size = min(size, peer)
	}
	if w.sameNode {
		return fit{ok: snapshot.Yes}
	}
	if tcp && w.src.kind != EndPod && device > 0 {
		size = min(size, device-w.overhead()) // a node's own TCP knows its device
	}
	size += w.overhead()
	if device > 0 && size > device {
		return w.onDevice(size, device, tcp)
	}
	if path > 0 && size > path {
		return w.onPath(size, path, tcp)
	}
	if device == 0 && path == 0 {
		return fit{ok: snapshot.Unknown, why: "the MTU of the path is not known"}
	}
	return fit{ok: snapshot.Yes}
}

// probed is what becomes of a TCP transfer whose sender looks for a smaller size by
// itself: after some seconds without an answer it goes on (measured, 1.19.6, 1.20.2).
func (w *walk) probed(f fit) fit {
	if !f.stalls || w.src.kind != EndPod || !w.src.node.agent.PathMTUProbing {
		return f
	}
	return fit{ok: snapshot.Yes, why: f.why + "; after some seconds the pod's TCP sends less at a time (packetization-layer-pmtud-mode)"}
}

// receiverMTU is what the receiving pod's routes take where its own agent sets it, 0
// otherwise: TCP's receiver says what it takes in one segment.
func (w *walk) receiverMTU() int {
	n := w.dst.node
	if w.dst.kind != EndPod || w.m.in.Topology.PodMTU != 0 || n.agent.MTU == 0 {
		return 0
	}
	return max(0, n.agent.MTU-encapsulation(&n.agent.Settings))
}

// mtus are those of the pod's default route, of the node's device and of the wire. The
// route leaves room for the tunnel wherever it leads, also to a pod of the same node
// (pkg/mtu/mtu.go:135 and plugins/cilium-cni/cmd/cmd.go:707, 1.18.6).
func (w *walk) mtus() (pod, device, path int) {
	t, n := &w.m.in.Topology, w.src.node
	device, path = t.DeviceMTU, t.PathMTU
	if device == 0 {
		device = n.mtu
	}
	for _, pod = range []int{t.PodMTU, n.agent.MTU, device} {
		if pod != 0 {
			break
		}
	}
	return max(0, pod-encapsulation(&n.agent.Settings)), device, path
}

// onDevice: legacy host routing answers "too big" when the node's device is
// smaller than the packet; BPF host routing drops it silently (measured, 1.18.6).
func (w *walk) onDevice(size, device int, tcp bool) fit {
	words, drop := fmt.Sprintf("%d bytes do not fit the node device's MTU of %d", size, device), ""
	if w.src.kind == EndPod && w.route != routeTunnel && w.src.node.agent.DropsTooLong() {
		drop = TooLong
	}
	switch {
	case !tcp:
		return fit{ok: snapshot.No, why: words, drop: drop}
	case w.src.node.agent.HostLegacyRouting:
		return fit{ok: snapshot.Yes, why: words + "; the node answers \"too big\" and TCP adapts"}
	}
	return fit{ok: snapshot.No, why: words + ", and BPF host routing says nothing", stalls: true, drop: drop}
}

func (w *walk) onPath(size, path int, tcp bool) fit {
	words := fmt.Sprintf("%d bytes do not fit the path's MTU of %d", size, path)
	switch {
	case !tcp:
		return fit{ok: snapshot.No, why: words}
	case w.m.in.Topology.PathAnswersTooBig == snapshot.Yes:
		return w.onAnswer(words + "; the path answers \"too big\"")
	case w.m.in.Topology.PathAnswersTooBig == snapshot.No:
		return fit{ok: snapshot.No, why: words + ", and nothing answers", stalls: true}
	}
	return fit{ok: snapshot.Unknown, why: words + "; whether the path answers \"too big\" is not known", stalls: true}
}

// icmpTooBig is ICMPv6's Packet Too Big (RFC 4443).
const icmpTooBig = 2

// onAnswer: a router's "too big" has to get past the sender's policies. Cilium lets
// IPv4's in by itself, and IPv6's only where a policy does: connection tracking relates
// an error to its flow only when it comes from the flow's other end
// (bpf/lib/policy.h:159 and bpf/lib/conntrack.h:544, 1.18.6; measured).
func (w *walk) onAnswer(words string) fit {
	if w.src.kind != EndPod || w.route == routeTunnel || w.f.Family != cidr.IPv6 {
		return fit{ok: snapshot.Yes, why: words + " and TCP adapts"}
	}
	router := policy.Peer{Reserved: []string{policy.World}}
	answer := policy.Port{Protocol: "ICMP", Family: w.f.Family, ICMPType: icmpTooBig}
	switch d := w.src.node.agent.policies.Ingress(w.src.subject(), router, answer); d.Verdict {
	case policy.Allow:
		return fit{ok: snapshot.Yes, why: words + " and TCP adapts"}
	case policy.Deny:
		return fit{ok: snapshot.No, why: words + ", which the sender's policies do not let in: " + d.Reason, stalls: true}
	default:
		return fit{ok: snapshot.Unknown, why: words + "; whether the sender's policies let that in is not known: " + d.Reason, stalls: true}
	}
}
