package datapath

import (
	"fmt"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	srcSocketLB    = "bpf/bpf_sock.c:277 (1.18.6)"
	srcPerPacketLB = "bpf/bpf_lxc.c:65 (1.18.6)"
	srcKubeProxy   = "pkg/kpr/kpr.go:88 (1.18.6)"
)

// Values of Result.Translated.
const (
	translatedSocket    = "socket"
	translatedPerPacket = "per packet"
	translatedKubeProxy = "kube-proxy"
)

// translation says where a service address becomes a backend's.
func (w *walk) translation() string {
	if w.f.To.Kind != EndService || w.src.node == nil {
		return ""
	}
	s := &w.src.node.agent.Settings
	switch {
	case s.SocketLB && (!s.SocketLBHostNSOnly || w.src.kind == EndNode):
		return translatedSocket
	case s.KubeProxyReplacement || (s.SocketLBHostNSOnly && w.src.kind == EndPod):
		return translatedPerPacket
	}
	return translatedKubeProxy
}

// steps tells the walk in the order in which it happens.
func (l *leg) steps(r *Result) []Step {
	out := l.translationSteps(r)
	out = l.egressStep(out, r)
	if r.Egress.Verdict == policy.Deny {
		return out
	}
	out = append(out, l.routeStep(r))
	out = l.masqueradeStep(out, r)
	out = l.sizeStep(out)
	if r.Route == routeNone || (l.size.ok == snapshot.No && !l.size.stalls) {
		return out
	}
	out = l.receiverSteps(out, r)
	return l.replyStep(out)
}

func (l *leg) translationSteps(r *Result) []Step {
	w := &l.walk
	backend := fmt.Sprintf("service %s/%s becomes %s (%s)", w.f.To.Namespace, w.f.To.Name, w.dst, w.dst.addr)
	switch r.Translated {
	case translatedSocket:
		return []Step{{Where: l.at(w.src), What: backend, Why: "socket load balancing at connect()", Source: srcSocketLB}}
	case translatedPerPacket:
		return []Step{{Where: l.at(w.src), What: backend, Why: "per packet, on the pod's device: the socket load balancer does not serve pods", Source: srcPerPacketLB}}
	case translatedKubeProxy:
		return []Step{{Where: l.at(w.src), What: backend, Why: "kube-proxy, before routing", Source: srcKubeProxy}}
	}
	return nil
}

func (l *leg) at(s site) string {
	if s.node == nil || s.kind == EndNode {
		return s.String()
	}
	return fmt.Sprintf("%s on %s", s, s.node.name)
}

// sender is the node that the packet leaves, or the network for one from outside.
func (l *leg) sender() string {
	if n := l.walk.src.node; n != nil {
		return "node " + n.name
	}
	return "network"
}

func (l *leg) egressStep(out []Step, r *Result) []Step {
	if l.walk.src.kind != EndPod || (!r.Egress.Enforced && r.Egress.Verdict == policy.Allow) {
		return out
	}
	return append(out, Step{
		Where: l.at(l.walk.src), What: "egress policy: " + r.Egress.Verdict.String(),
		Why: r.Egress.Reason, Source: r.Egress.By, Bad: r.Egress.Verdict == policy.Deny,
	})
}

func (l *leg) routeStep(r *Result) Step {
	what := "route: " + r.Route
	if r.Route == routeLocal {
		what = "delivered on the node"
	}
	return Step{Where: l.sender(), What: what, Why: l.out.why, Source: l.out.source, Bad: l.out.carried == snapshot.No}
}

func (l *leg) masqueradeStep(out []Step, r *Result) []Step {
	if l.walk.src.kind != EndPod {
		return out
	}
	step := Step{Where: l.sender(), What: "not masqueraded", Why: l.masq.why, Source: l.masq.source}
	switch l.masq.by {
	case "":
		step.What = "masqueraded or not: unknown"
	case cilium.MasqueradeIPTables, cilium.MasqueradeBPF:
		step.What = fmt.Sprintf("masqueraded by %s: the source becomes %s", l.masq.by, sourceWords(l.source, l.addr.String(), l.addr.IsValid()))
		step.Bad = r.DropReason != "" && r.Identity != "pod"
	}
	return append(out, step)
}

func sourceWords(kind SourceKind, addr string, valid bool) string {
	words := "unknown"
	switch kind {
	case SourcePod:
		words = "the pod's address"
	case SourceNode:
		words = "the node's address"
	case SourceRouter:
		words = "the node's cilium_host address"
	case SourceOutside:
		words = "the outside host's address"
	}
	if valid {
		words += " " + addr
	}
	return words
}

func (l *leg) sizeStep(out []Step) []Step {
	if l.size.why == "" {
		return out
	}
	return append(out, Step{
		Where: l.sender(), What: fmt.Sprintf("size %d", l.walk.f.Size),
		Why: l.size.why, Source: srcMTU, Bad: l.size.ok == snapshot.No,
	})
}

func (l *leg) receiverSteps(out []Step, r *Result) []Step {
	where := l.at(l.walk.dst)
	seen := "sees source " + sourceWords(r.Source, r.SourceAddr.String(), r.SourceAddr.IsValid())
	if r.Source == SourceUnknown {
		seen = "sees a source that is not known"
	}
	out = append(out, Step{Where: where, What: seen, Why: l.why, Source: l.whySource})
	if r.Identity != "" {
		why, source := l.identityWhy()
		out = append(out, Step{Where: where, What: "resolves identity " + r.Identity, Why: why, Source: source})
	}
	if l.walk.dst.kind != EndPod {
		return out
	}
	what := "ingress policy: " + r.Verdict.Verdict.String()
	if !r.Verdict.Enforced && r.Verdict.Verdict == policy.Allow {
		what = "no ingress policy selects the pod"
	}
	return append(out, Step{
		Where: where, What: what, Why: r.Verdict.Reason, Source: r.Verdict.By, Bad: r.Verdict.Verdict == policy.Deny,
	})
}

func (l *leg) identityWhy() (why, source string) {
	switch {
	case l.walk.src.kind == EndOutside:
		return "the ipcache knows no pod or node of that address", srcIPCache
	case l.walk.sameNode:
		return "on one node the identity travels in the packet's mark", srcIPCache
	case l.walk.route == routeTunnel:
		return "the tunnel header carries the identity", srcOverlay
	case l.identity == "pod":
		return "native routing carries no identity; the ipcache maps the source to the pod", srcIPCache
	}
	return "native routing carries no identity; the ipcache maps the source to its node", srcNodeIdentity
}

func (l *leg) replyStep(out []Step) []Step {
	if l.back.carried == snapshot.Yes {
		return out
	}
	what := "the answer finds no way back"
	if l.back.carried == snapshot.Unknown {
		what = "whether the answer finds a way back is not known"
	}
	return append(out, Step{Where: l.at(l.walk.dst), What: what, Why: l.back.why, Source: l.back.source, Bad: l.back.carried == snapshot.No})
}
