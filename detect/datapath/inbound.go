package datapath

import (
	"errors"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

var (
	errNoNode    = errors.New("a flow from one outside host to another does not touch the cluster")
	errInboundLB = errors.New("traffic from outside to a service (NodePort, load balancer) is not modelled: trace it to a pod or a node")
)

// inbound says why a flow from outside is not modelled, if it is not.
func (w *walk) inbound() error {
	switch {
	case w.src.node != nil:
		return nil
	case w.f.To.Kind == EndService:
		return errInboundLB
	case w.dst.node == nil:
		return errNoNode
	}
	return nil
}

// carryAny also takes packets from outside, which no agent touches before they
// reach the destination's node.
func (w *walk) carryAny() leg {
	if w.src.node != nil {
		return w.carry()
	}
	l := leg{
		walk: *w, masq: keep("Cilium does not masquerade what comes from outside", srcBPFLocal),
		source: SourceOutside, addr: w.src.addr, why: "the packet comes from outside",
		identity: policy.World, peers: []policy.Peer{{Reserved: []string{policy.World}, IP: w.src.addr}},
		back: way{routeDefault, snapshot.Yes, "the kernel's own routes lead outside", ""},
		size: fit{ok: snapshot.Yes},
		out:  way{routeDefault, snapshot.Yes, "the network reaches nodes without Cilium", ""},
	}
	if w.dst.kind == EndPod {
		l.out = w.m.byRouter("the packet is addressed to a pod", "")
	}
	if w.f.Size > 0 {
		l.size = fit{why: "the size of packets from outside is not modelled"}
	}
	if w.dst.kind == EndNode && w.dst.node.agent.HostFirewall {
		l.unmodelled = "the host firewall is on, and its policies are not modelled"
	} else {
		l.unmodelled = w.receiverMasquerades()
	}
	l.walk.route = l.out.route
	return l
}
