package datapath

import (
	"fmt"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

const srcMTU = "pkg/mtu/mtu.go:20 (1.18.6)"

// fit says whether a packet of the flow's size gets through.
type fit struct {
	ok  snapshot.Tri
	why string
	// stalls: small packets pass, so a connection opens and then hangs.
	stalls bool
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
	if w.sameNode {
		return 0
	}
	s, n := &w.src.node.agent.Settings, 0
	if w.route == routeTunnel {
		n = overheadIPv4
		if s.UnderlayProtocol == "ipv6" {
			n = overheadIPv6
		}
	}
	switch {
	case s.WireGuard:
		n += overheadWireGuard
	case s.IPsec:
		n += overheadIPsec
	}
	return n
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

// receiverMTU is that of the receiving pod where its own agent sets it, 0 otherwise:
// TCP's receiver says what it takes in one segment.
func (w *walk) receiverMTU() int {
	if w.dst.kind != EndPod || w.m.in.Topology.PodMTU != 0 {
		return 0
	}
	return w.dst.node.agent.MTU
}

// mtus are those of the pod, of the node's device and of the wire.
func (w *walk) mtus() (pod, device, path int) {
	t, n := &w.m.in.Topology, w.src.node
	device, pod, path = t.DeviceMTU, t.PodMTU, t.PathMTU
	if device == 0 {
		device = n.mtu
	}
	if pod == 0 {
		pod = n.agent.MTU
	}
	if pod == 0 {
		pod = device - w.overhead()
	}
	return max(pod, 0), device, path
}

// onDevice: legacy host routing answers "too big" when the node's device is
// smaller than the packet; BPF host routing drops it silently (measured, 1.18.6).
func (w *walk) onDevice(size, device int, tcp bool) fit {
	words := fmt.Sprintf("%d bytes do not fit the node device's MTU of %d", size, device)
	switch {
	case !tcp:
		return fit{ok: snapshot.No, why: words}
	case w.src.node.agent.HostLegacyRouting:
		return fit{ok: snapshot.Yes, why: words + "; the node answers \"too big\" and TCP adapts"}
	}
	return fit{ok: snapshot.No, why: words + ", and BPF host routing says nothing", stalls: true}
}

func (w *walk) onPath(size, path int, tcp bool) fit {
	words := fmt.Sprintf("%d bytes do not fit the path's MTU of %d", size, path)
	switch {
	case !tcp:
		return fit{ok: snapshot.No, why: words}
	case w.m.in.Topology.PathAnswersTooBig == snapshot.Yes:
		return fit{ok: snapshot.Yes, why: words + "; the path answers \"too big\" and TCP adapts"}
	case w.m.in.Topology.PathAnswersTooBig == snapshot.No:
		return fit{ok: snapshot.No, why: words + ", and nothing answers", stalls: true}
	}
	return fit{ok: snapshot.Unknown, why: words + "; whether the path answers \"too big\" is not known", stalls: true}
}
