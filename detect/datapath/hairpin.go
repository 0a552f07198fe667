package datapath

import (
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const srcLoopback = "bpf/bpf_lxc.c:512 and 1964 (1.18.6)"

// hairpin says whether a service leads the sender back to itself.
func (w *walk) hairpin() bool {
	return w.f.To.Kind == EndService && w.src.kind == EndPod && w.dst.kind == EndPod && w.sameNode &&
		w.src.addr.IsValid() && w.src.addr == w.dst.addr
}

// toItself is what becomes of a packet that a service leads back to its sender. A
// socket's never leaves the pod; one that is translated on the pod's device comes back
// from the agent's loopback address, past all policies, where there is such an address.
func (l *leg) toItself() Result {
	s := &l.walk.src.node.agent.Settings
	allow := policy.Decision{Verdict: policy.Allow, Reason: "a pod needs no policy to reach itself"}
	r := Result{
		Delivered: snapshot.Yes, IfRouted: snapshot.Yes, Source: SourcePod, SourceAddr: l.walk.src.addr, Identity: "pod",
		MasqueradeBy: cilium.MasqueradeOff, MasqueradeWhy: "the packet does not leave the pod's device",
		Route: routeLocal, ReplyRoute: routeLocal, Egress: allow, Verdict: allow,
	}
	switch r.Translated = l.walk.translation(); {
	case r.Translated == translatedSocket:
	case r.Translated == translatedKubeProxy:
		return unknownResult("whether kube-proxy lets a pod reach itself by a service is not modelled")
	case !s.ServiceLoopback(l.walk.f.Family):
		r.Delivered, r.IfRouted = snapshot.No, snapshot.No
		r.Reason = "the service leads back to the pod itself, which Cilium before 1.19 does not carry over IPv6"
		switch r.Egress, r.Verdict = l.walk.egress(), l.ingress(); {
		case r.Egress.Verdict == policy.Deny:
			r.DropReason, r.Source, r.SourceAddr, r.Verdict = denial(r.Egress), SourceUnknown, netip.Addr{}, policy.Decision{}
		case r.Verdict.Verdict == policy.Deny:
			r.DropReason = denial(r.Verdict)
		}
	default:
		r.Source, r.SourceAddr, r.MasqueradeBy = SourceUnknown, netip.Addr{}, ""
		r.MasqueradeWhy = "the source becomes the agent's loopback address"
	}
	r.Steps = l.loopbackSteps(&r)
	return r
}

func (l *leg) loopbackSteps(r *Result) []Step {
	back := Step{Where: l.at(l.walk.src), What: "comes back to the pod itself", Why: r.MasqueradeWhy, Source: srcLoopback}
	if r.Delivered == snapshot.No {
		back.Why, back.Bad = r.Reason, true
	}
	return append(l.translationSteps(r), back)
}
