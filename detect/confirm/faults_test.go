package confirm_test

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
)

func drop(when bool) effect {
	if when {
		return effect{outcome: v1alpha1.OutcomeTimeout}
	}
	return effect{}
}

// pure drops what a rule picks.
func pure(pick func(h hop) bool) fault {
	return func(_ *world, _ time.Duration, h hop) effect { return drop(pick(h)) }
}

// podPath is whatever needs a route to a pod: what pods send to nodes too, whose
// answer goes to a pod, and what nodes send to pods.
func podPath(h hop) bool { return h.cross() && !(h.host && h.via == mesh.ViaNodeIP) }

func masquerade(family string) fault {
	return func(_ *world, _ time.Duration, h hop) effect {
		return effect{masked: h.cross() && h.pods() && !h.host && (family == "" || h.family == family)}
	}
}

// loss of a share of the packets: an exchange over TCP takes more of them.
func loss(share float64) fault {
	return func(w *world, _ time.Duration, h hop) effect {
		if !h.cross() {
			return effect{}
		}
		packets := 2
		if h.protocol != mesh.UDP {
			packets = 4
		}
		for i := range packets {
			if w.rng.Float64() < share {
				e := drop(true)
				e.arrived = i > 0
				return e
			}
		}
		return effect{}
	}
}

// scenario is a fault with the one signature that it must be confirmed as.
type scenario struct {
	name  string
	fault fault
	want  string
	// within is the p95 that the issue asks for; 0 is the pair's own bound.
	within time.Duration
	// least nodes for the shape to exist, zones, and whether host twins are there.
	least, zones int
	twins        bool
	heard        func(node int, at time.Duration) bool
	// settle is how long it may take at most.
	settle time.Duration
}

func notNode(n int) func(int, time.Duration) bool {
	return func(node int, _ time.Duration) bool { return node != n }
}

func scenarios() []scenario {
	const most, one = 10 * time.Second, 20 * time.Second
	sideA := func(n int) bool { return n%2 == 0 }
	return []scenario{
		{name: "source masqueraded, IPv6", fault: masquerade("IPv6"), want: signature.PodSourceMasqueraded, within: most},
		{name: "source masqueraded, IPv4", fault: masquerade("IPv4"), want: signature.PodSourceMasqueraded, within: most},
		{name: "source masqueraded, both", fault: masquerade(""), want: signature.PodSourceMasqueraded, within: most},
		{name: "all routes missing, IPv6, twins", fault: pure(func(h hop) bool { return podPath(h) && h.family == "IPv6" }), twins: true, want: signature.NoRouteBetweenNodes, within: most},
		{name: "all routes missing", fault: pure(podPath), want: signature.NoRouteBetweenNodes, within: most},
		{name: "all routes missing, IPv6, said so", want: signature.NoRouteBetweenNodes, within: most,
			fault: func(_ *world, _ time.Duration, h hop) effect {
				if h.family == "IPv6" && h.via == mesh.ViaNodeIP {
					return drop(podPath(h))
				}
				if podPath(h) && h.family == "IPv6" {
					return effect{outcome: v1alpha1.OutcomeUnreachable}
				}
				return effect{}
			}},
		{name: "one family down", fault: pure(func(h hop) bool { return h.cross() && h.family == "IPv6" }), want: signature.FamilyDown, within: most},
		{name: "one family down, twins", fault: pure(func(h hop) bool { return h.cross() && h.family == "IPv4" }), twins: true, want: signature.FamilyDown, within: most},
		{name: "node path down too", fault: pure(hop.cross), twins: true, want: signature.NodePathDown, within: most},
		{name: "services broken", fault: pure(func(h hop) bool {
			return h.via == mesh.ViaClusterIP || h.via == mesh.ViaDNS && h.ip == addr(svcKind, h.family, 0, 10).String()
		}), want: signature.ServiceTranslationBroken, within: most},
		{name: "DNS down", fault: pure(func(h hop) bool { return h.via == mesh.ViaDNS }), want: signature.ClusterDNSDown, within: most},
		{name: "MTU black hole", fault: pure(func(h hop) bool { return h.cross() && h.big }), want: signature.MTUMismatch, settle: time.Minute},
		{name: "pods of one node", fault: pure(func(h hop) bool { return h.cross() && h.touches(2) && h.pods() }), least: 3, want: signature.NodePodsUnreachable, within: one},
		{name: "one node down", fault: pure(func(h hop) bool { return h.cross() && h.touches(2) }), heard: notNode(2), least: 3, want: signature.NodeDown, within: one},
		{name: "one node down, twins", fault: pure(func(h hop) bool { return h.cross() && h.touches(2) }), heard: notNode(2), twins: true, least: 3, want: signature.NodeDown, within: one},
		{name: "network of one node, heard", fault: pure(func(h hop) bool { return h.cross() && h.touches(2) }), twins: true, least: 3, want: signature.NodePathDown, within: one},
		{name: "to one node only", fault: pure(func(h hop) bool { return h.cross() && h.to == 2 && h.via != mesh.ViaNodeIP }), least: 4, want: signature.OneDirectionDown, within: one},
		{name: "answers of one node lost", least: 4, want: signature.OneDirectionDown, within: one,
			fault: func(_ *world, _ time.Duration, h hop) effect {
				e := drop(h.cross() && h.touches(2))
				e.arrived = e.outcome != "" && h.to == 2 && h.target != ""
				return e
			}},
		{name: "one direction of a pair, requests seen", least: 4, want: signature.OneDirectionDown, settle: 3 * time.Minute,
			fault: func(_ *world, _ time.Duration, h hop) effect {
				e := drop(h.cross() && h.between(1, 2))
				e.arrived = e.outcome != "" && h.to == 2 && h.target != ""
				return e
			}},
		{name: "route to one peer missing", least: 4, want: signature.RouteToPeerMissing, settle: 3 * time.Minute,
			fault: pure(func(h hop) bool { return podPath(h) && h.between(1, 2) && !(h.via == mesh.ViaNodeIP && h.from == 1) })},
		{name: "one pair down", fault: pure(func(h hop) bool { return h.between(1, 2) }), least: 4, want: signature.PairDown, settle: 3 * time.Minute},
		{name: "zone cut", fault: pure(func(h hop) bool { return h.cross() && sideA(h.from) != sideA(h.to) }), zones: 2, least: 5, want: signature.ZoneCut, within: one},
		{name: "zone cut, no labels", fault: pure(func(h hop) bool { return h.cross() && sideA(h.from) != sideA(h.to) }), least: 5, want: signature.ZoneCut, within: one},
		{name: "pod routes between segments", fault: pure(func(h hop) bool { return podPath(h) && sideA(h.from) != sideA(h.to) }), twins: true, least: 5, want: signature.RouteToPeerMissing, within: one},
		{name: "10 % loss", fault: loss(0.1), want: signature.PacketLoss, settle: 3 * time.Minute},
		{name: "50 % loss", fault: loss(0.5), want: signature.PacketLoss, settle: 3 * time.Minute},
	}
}
