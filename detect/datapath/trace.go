package datapath

import (
	"net/netip"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// PolicyDenied and DeniedByRule are Cilium's names of drop reasons: no rule allows it,
// and a deny rule forbids it (pkg/monitor/api/drop.go:17 and 82, 1.18.6).
const (
	PolicyDenied = "Policy denied"
	DeniedByRule = "Policy denied by denylist"
	// UnsupportedFamily: the pod sends what its agent has switched off (drop.go:41).
	UnsupportedFamily = "Unsupported L3 protocol"
	// TooLong is that of a packet for which the kernel's bpf_fib_lookup answers "too long
	// for the device" (BPF_FIB_LKUP_RET_FRAG_NEEDED, 8).
	TooLong = "FIB lookup failed, 8"
)

// Trace walks the first packet of a flow from end to end. What the snapshot
// lacks makes the result Unknown, with Reason naming it.
func (m *Model) Trace(f Flow) Result {
	w, err := m.begin(f)
	if err != nil {
		return unknownResult(err.Error())
	}
	if why := w.familyOff(); why != "" {
		r := Result{Delivered: snapshot.No, IfRouted: snapshot.No, Reason: why, Route: routeNone}
		if w.src.kind == EndPod {
			r.DropReason = UnsupportedFamily
		}
		return r
	}
	l := w.carryAny()
	if w.hairpin() {
		return l.toItself()
	}
	r := l.settle(w.egress(), l.ingress())
	r.Translated = w.translation()
	r.Steps = l.steps(&r)
	return r
}

func unknownResult(reason string) Result {
	return Result{Reason: reason, Route: routeUnknown}
}

func (m *Model) begin(f Flow) (*walk, error) {
	if f.Family != cidr.IPv6 {
		f.Family = cidr.IPv4
	}
	w := &walk{m: m, f: f, fi: familyIndex(f.Family)}
	var err error
	if w.src, err = m.resolve(f.From, w.fi); err != nil {
		return nil, err
	}
	if w.dst, err = m.resolve(f.To, w.fi); err != nil {
		return nil, err
	}
	if err := w.inbound(); err != nil {
		return nil, err
	}
	w.sameNode = w.src.node == w.dst.node
	if w.src.node != nil && w.dst.node != nil {
		w.segment = m.segment(w.src.node.host, w.dst.node.host, w.fi)
	}
	return w, nil
}

// familyOff says why the flow's family does not exist here.
func (w *walk) familyOff() string {
	for _, s := range []*site{&w.src, &w.dst} {
		peerNode := s == &w.dst && s.kind == EndNode && w.src.node != nil
		if s.node != nil && !peerNode && !s.node.agent.has(w.fi) {
			return w.f.Family + " is off in the agent's configuration"
		}
	}
	return ""
}

func (w *walk) port() policy.Port {
	p := policy.Port{Protocol: w.f.Protocol, Number: w.f.Port, Family: w.f.Family, ICMPType: -1}
	if p.Protocol == "ICMP" {
		p.ICMPType = [2]int{8, 128}[w.fi]
	}
	return p
}

// egress asks the sender's policies.
func (w *walk) egress() policy.Decision {
	if w.src.kind != EndPod {
		return policy.Decision{Verdict: policy.Allow}
	}
	set := w.src.node.agent.policies
	var all []policy.Decision
	for _, peer := range w.destinationPeers() {
		all = append(all, set.Egress(w.src.subject(), peer, w.port()))
	}
	return agree(all)
}

// ingress asks the receiver's policies about whom it takes the sender for.
func (l *leg) ingress() policy.Decision {
	w := &l.walk
	switch {
	case w.dst.kind != EndPod:
		return policy.Decision{Verdict: policy.Allow}
	}
	set := w.dst.node.agent.policies
	var all []policy.Decision
	for _, peer := range l.peers {
		all = append(all, set.Ingress(w.dst.subject(), peer, w.port()))
	}
	return agree(all)
}

// agree is the decision that all alternatives share, else unknown.
func agree(all []policy.Decision) policy.Decision {
	if len(all) == 0 {
		return policy.Decision{Verdict: policy.Unknown, Reason: "nothing is known of whom the packet is taken for"}
	}
	d := all[0]
	for _, other := range all[1:] {
		if other.Verdict != d.Verdict {
			d.Verdict = policy.Unknown
			d.Reason = "it depends on which identity is seen, and that is not known"
		}
	}
	return d
}

func triOf(v policy.Verdict) snapshot.Tri {
	switch v {
	case policy.Allow:
		return snapshot.Yes
	case policy.Deny:
		return snapshot.No
	}
	return snapshot.Unknown
}

// condition is one thing that must hold for a flow to be delivered.
type condition struct {
	holds snapshot.Tri
	why   string
	// route: unknown only because nobody said what the network carries.
	route bool
}

// settle joins the way with the policies' decisions.
func (l *leg) settle(egress, ingress policy.Decision) Result {
	r := Result{
		Source: l.source, SourceAddr: l.addr, Identity: l.identity,
		MasqueradeBy: l.masq.by, MasqueradeWhy: l.masq.why,
		Route: l.out.route, ReplyRoute: l.back.route, Egress: egress, Verdict: ingress,
	}
	conditions := []condition{
		{holds: triOf(egress.Verdict), why: "egress policy: " + egress.Reason},
		{holds: l.out.carried, why: l.out.why, route: true},
		{holds: l.size.ok, why: l.size.why},
		{holds: triOf(ingress.Verdict), why: "ingress policy: " + ingress.Reason},
		{holds: l.back.carried, why: "no way back: " + l.back.why, route: true},
		{holds: known(l.unmodelled), why: l.unmodelled},
	}
	r.Delivered, r.Reason = conjunction(conditions, false)
	r.IfRouted, _ = conjunction(conditions, true)
	l.trim(&r)
	return r
}

func known(unmodelled string) snapshot.Tri {
	if unmodelled == "" {
		return snapshot.Yes
	}
	return snapshot.Unknown
}

// conjunction is No with the first condition that fails, else Unknown with the
// first that is not known, else Yes.
func conjunction(conditions []condition, assumeRoutes bool) (snapshot.Tri, string) {
	out, why := snapshot.Yes, ""
	for _, c := range conditions {
		switch {
		case c.holds == snapshot.No:
			return snapshot.No, c.why
		case c.holds == snapshot.Unknown && (!c.route || !assumeRoutes) && out == snapshot.Yes:
			out, why = snapshot.Unknown, c.why
		}
	}
	return out, why
}

// trim takes back what a packet that never arrives cannot show.
func (l *leg) trim(r *Result) {
	lost := l.out.carried == snapshot.No || (l.size.ok == snapshot.No && !l.size.stalls)
	switch {
	case r.Egress.Verdict == policy.Deny:
		r.DropReason = denial(r.Egress)
		r.MasqueradeBy, r.MasqueradeWhy = cilium.MasqueradeOff, "dropped by egress policy before any masquerading"
		lost = true
	case !lost && r.Verdict.Verdict == policy.Deny:
		r.DropReason = denial(r.Verdict)
	case l.size.ok == snapshot.No && l.out.carried != snapshot.No:
		r.DropReason = l.size.drop
	}
	if lost {
		r.Source, r.SourceAddr, r.Identity, r.Verdict = SourceUnknown, netip.Addr{}, "", policy.Decision{}
	}
}

// Denied says that a policy drops the packet, for want of a rule or by one.
func (r *Result) Denied() bool { return r.DropReason == PolicyDenied || r.DropReason == DeniedByRule }

// denial is the reason that Cilium gives for a drop by policy.
func denial(d policy.Decision) string {
	if d.Explicit {
		return DeniedByRule
	}
	return PolicyDenied
}
