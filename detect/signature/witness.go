package signature

import (
	"fmt"
	"net/netip"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// witnessed is what the probes say about the source address of pod traffic
// between nodes.
type witnessed struct {
	evidence           []v1alpha1.Evidence
	confirmed, refuted bool
	// arrived describes an observation in which a packet reached another node.
	arrived string
	// smallLost is the size in bytes of the smallest packet that was lost.
	smallLost int
}

// witness reads every reliable cross-node pod observation of one family.
// Unreliable observations and the host network's never confirm anything.
func witness(in *Input, family string, pods []snapshot.CIDR) witnessed {
	var w witnessed
	reached := map[[2]string]string{}
	lost := map[[2]string]string{}
	for _, o := range in.Snapshot.Probes {
		if !counts(in, o, family) {
			continue
		}
		pair := [2]string{o.From.Node, o.To.Node}
		w.source(in, o)
		if isDrop(o) {
			w.confirmed = true
			w.add(o, fmt.Sprintf("drop at ingress, %s, source identity %s", o.DropReason, o.SourceIdentity))
		}
		switch {
		case o.Outcome == v1alpha1.OutcomeOK && in.isOpen(o):
			reached[pair] = o.Source
			w.arrived = o.Source
		case o.Outcome == v1alpha1.OutcomeTimeout && in.isGuarded(o):
			lost[pair] = o.Source
		}
		if o.Outcome == v1alpha1.OutcomeTimeout && o.Bytes > 0 && (w.smallLost == 0 || o.Bytes < w.smallLost) {
			w.smallLost = o.Bytes
		}
		if o.Outcome == v1alpha1.OutcomeTimeout {
			w.add(o, fmt.Sprintf("%s %s %s → %s: %s", o.Protocol, o.Via, end(o.From), end(o.To), timeoutText(o)))
		}
	}
	for pair, open := range reached {
		if guarded, ok := lost[pair]; ok {
			w.confirmed = true
			w.evidence = append(w.evidence, v1alpha1.Evidence{Kind: "probe", Source: open + " and " + guarded,
				Text: fmt.Sprintf("from %s to %s an open target is reached and a guarded one is not", pair[0], pair[1])})
		}
	}
	sortEvidence(w.evidence)
	return w
}

func (w *witnessed) add(o snapshot.ProbeObservation, text string) {
	w.evidence = append(w.evidence, v1alpha1.Evidence{Kind: "probe", Text: text, Source: o.Source})
}

// source judges the address that the target saw.
func (w *witnessed) source(in *Input, o snapshot.ProbeObservation) {
	seen, err := netip.ParseAddr(o.SourceSeen)
	if err != nil {
		return
	}
	w.arrived = o.Source
	switch node := in.Snapshot.NodeByName(o.From.Node); {
	case o.SourceSeen == o.From.IP:
		w.refuted = true
		w.add(o, fmt.Sprintf("%s on %s saw %s, the pod's own address", end(o.To), o.To.Node, seen))
	case node != nil && hasAddr(node, seen):
		w.confirmed = true
		w.add(o, fmt.Sprintf("%s on %s saw %s as source: the address of %s, not of the pod %s", end(o.To), o.To.Node, seen, o.From.Node, o.From.IP))
	}
}

// counts: a reliable observation from a pod to a pod of another node.
func counts(in *Input, o snapshot.ProbeObservation, family string) bool {
	if o.Family != family || o.Unreliable || o.HostNetwork || o.Outcome == v1alpha1.OutcomeNotChecked {
		return false
	}
	if o.Via != "PodIP" && o.Via != "ClusterIP" {
		return false
	}
	return o.From.Node != "" && o.To.Node != "" && o.From.Node != o.To.Node
}

func isDrop(o snapshot.ProbeObservation) bool {
	return o.DropReason == "Policy denied" &&
		(o.SourceIdentity == policy.RemoteNode || o.SourceIdentity == policy.KubeAPIServer)
}

// isOpen: declared so, or its namespace is known to have no policy.
func (in *Input) isOpen(o snapshot.ProbeObservation) bool {
	if o.Target != "" {
		return o.Target == v1alpha1.TargetOpen
	}
	return in.policiesKnown() && !in.hasPolicy(o.To.Namespace)
}

func (in *Input) isGuarded(o snapshot.ProbeObservation) bool {
	if o.Target != "" {
		return o.Target == v1alpha1.TargetGuarded
	}
	return in.hasPolicy(o.To.Namespace) && o.From.Namespace == o.To.Namespace
}

func (in *Input) policiesKnown() bool {
	return in.Snapshot.Read("NetworkPolicy") && (in.Snapshot.Read("CiliumNetworkPolicy") || len(in.Snapshot.Policies) > 0)
}

// anyDropped: some class of pod traffic of the family is lost by the model, or
// may be for all that is known.
func (in *Input) anyDropped(family string) bool {
	for _, c := range in.Analysis.Classes {
		if c.Family == family && c.Kind == datapath.KindPodPod && !c.Hypothetical && c.Result.Delivered != snapshot.Yes {
			return true
		}
	}
	return false
}

func (in *Input) hasPolicy(namespace string) bool {
	for _, p := range in.Snapshot.Policies {
		if p.Namespace == namespace || p.Kind == "CiliumClusterwideNetworkPolicy" {
			return true
		}
	}
	return false
}

func hasAddr(n *snapshot.Node, a netip.Addr) bool {
	for _, list := range [][]netip.Addr{n.InternalIPs, n.ExternalIPs, n.CiliumInternalIPs} {
		for _, x := range list {
			if x == a {
				return true
			}
		}
	}
	return false
}

func end(e v1alpha1.Endpoint) string {
	switch {
	case e.Pod != "":
		return e.Namespace + "/" + e.Pod
	case e.IP != "":
		return e.IP
	}
	return e.Node
}

func timeoutText(o snapshot.ProbeObservation) string {
	if o.Sent > 0 {
		return fmt.Sprintf("%d sent, %d received", o.Sent, o.Received)
	}
	return "no answer"
}
