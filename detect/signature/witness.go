package signature

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// witnessed is what the probes say about the source address of pod traffic
// between nodes.
type witnessed struct {
	evidence []v1alpha1.Evidence
	// told is the evidence by what it shows.
	told      [shownKinds][]v1alpha1.Evidence
	confirmed bool
	// sawPod: a target saw the pod's own address. answered are the directions,
	// "from a to b", in which a guarded target answered. Both refute the fault.
	sawPod   bool
	answered []string
	// arrived describes an observation in which a packet reached another node.
	arrived string
	// smallLost is the size in bytes of the smallest packet that was lost, 0 when
	// none was lost that every path must carry.
	smallLost int
}

// What a piece of evidence shows, the most telling first.
const (
	shownDrop = iota
	shownSource
	shownApart
	shownAnswer
	shownLoss
	shownKinds
)

// mostShown pieces of evidence show the same thing. With hundreds of nodes there are
// tens of thousands, and the probes' reports hold them all.
const mostShown = 6

// sum gathers the evidence: of each kind a few, from all over the cluster, in turn,
// so that the first ones show the whole of it.
func (w *witnessed) sum() {
	for k, es := range w.told {
		sortEvidence(es)
		w.told[k] = slices.Compact(es)
	}
	for i := range mostShown {
		for _, es := range w.told {
			if n := min(len(es), mostShown); i < n {
				w.evidence = append(w.evidence, es[i*len(es)/n])
			}
		}
	}
}

// smallest is what every path carries in bytes: IPv6's least MTU (RFC 8200,
// section 5), and for IPv4 what every host must take (RFC 791, section 3.1).
func smallest(family string) int {
	if family == cidr.IPv6 {
		return 1280
	}
	return 576
}

// witness reads every reliable cross-node pod observation of one family that
// was sent from the nodes in question. Unreliable observations and the host
// network's never confirm anything.
func witness(in *Input, family string, from func(node string) bool) witnessed {
	var w witnessed
	pairs := map[[2]string]*pairProbes{}
	for _, o := range in.Snapshot.Probes {
		if !counts(in, o, family) || !from(o.From.Node) {
			continue
		}
		w.source(in, o)
		if isDrop(o) {
			w.confirmed = true
			w.add(shownDrop, o, fmt.Sprintf("drop at ingress, %s, source identity %s", o.DropReason, o.SourceIdentity))
		}
		key := [2]string{o.From.Node, o.To.Node}
		if pairs[key] == nil {
			pairs[key] = &pairProbes{}
		}
		switch o.Outcome {
		case v1alpha1.OutcomeOK:
			w.arrived = o.Source
			w.answer(in, o)
		case v1alpha1.OutcomeTimeout:
			w.lost(o, family)
		}
		pairs[key].add(in, o)
	}
	for pair, p := range pairs {
		if open, guarded, ok := p.tellApart(smallest(family)); ok {
			w.confirmed = true
			w.told[shownApart] = append(w.told[shownApart], v1alpha1.Evidence{Kind: "probe", Source: both(open, guarded),
				Text: fmt.Sprintf("from %s to %s an open target is reached and a guarded one is not", pair[0], pair[1])})
		}
	}
	w.sum()
	slices.Sort(w.answered)
	w.answered = slices.Compact(w.answered)
	return w
}

func (w *witnessed) lost(o snapshot.ProbeObservation, family string) {
	if o.Bytes > 0 && o.Bytes <= smallest(family) && (w.smallLost == 0 || o.Bytes < w.smallLost) {
		w.smallLost = o.Bytes
	}
	w.add(shownLoss, o, fmt.Sprintf("%s %s %s → %s: %s", o.Protocol, o.Via, end(o.From), end(o.To), timeoutText(o)))
}

// answer judges a target that answered and did not say which address it saw:
// behind a policy that admits pods only it would not, had the address been
// rewritten.
func (w *witnessed) answer(in *Input, o snapshot.ProbeObservation) {
	if o.SourceSeen != "" || !in.isGuarded(o) || otherNamespaces(o) {
		return
	}
	r, modelled := in.trace(o)
	switch {
	case modelled && r.Delivered == snapshot.Yes:
		return // its policies admit nodes too
	case o.Target == "" && !(modelled && r.Denied() && (r.Source == datapath.SourceNode || r.Source == datapath.SourceRouter)):
		return
	}
	w.answered = append(w.answered, fmt.Sprintf("from %s to %s", o.From.Node, o.To.Node))
	w.add(shownAnswer, o, fmt.Sprintf("guarded target %s on %s answered %s on %s: with the node's address as source its policy would have dropped the packet",
		end(o.To), o.To.Node, end(o.From), o.From.Node))
}

func otherNamespaces(o snapshot.ProbeObservation) bool {
	return o.From.Namespace != "" && o.To.Namespace != "" && o.From.Namespace != o.To.Namespace
}

func (w *witnessed) refuted() bool { return w.sawPod || len(w.answered) > 0 }

// contradictions are what would have to be explained before the fault counts.
func (w *witnessed) contradictions() []string {
	var out []string
	if w.confirmed {
		out = append(out, "agreement between probes: some show the node's address as source and some the pod's (agents may run different configurations)")
	} else if w.sawPod {
		out = append(out, "an explanation for targets on other nodes that saw the pod's own address: what runs differs from this configuration")
	}
	if len(w.answered) > 0 {
		out = append(out, "an explanation for guarded targets that answered "+nodeList(w.answered, 4)+": what runs, or a policy, differs from what was read")
	}
	return out
}

// pairProbes are the probes between two nodes that a lost identity is told by.
type pairProbes struct{ open, guarded *snapshot.ProbeObservation }

// add keeps the largest packet that reached an open target and the smallest
// that a guarded one did not answer; one of unknown size counts as small.
func (p *pairProbes) add(in *Input, o snapshot.ProbeObservation) {
	switch {
	case o.Outcome == v1alpha1.OutcomeOK && in.isOpen(o):
		if p.open == nil || o.Bytes > p.open.Bytes {
			p.open = &o
		}
	case o.Outcome == v1alpha1.OutcomeTimeout && in.isGuarded(o):
		if p.guarded == nil || o.Bytes < p.guarded.Bytes {
			p.guarded = &o
		}
	}
}

// tellApart: an open target was reached and a guarded one was not, and the size
// of the packets is no reason.
func (p *pairProbes) tellApart(small int) (open, guarded string, ok bool) {
	if p.open == nil || p.guarded == nil || p.guarded.Bytes > max(small, p.open.Bytes) {
		return "", "", false
	}
	return p.open.Source, p.guarded.Source, true
}

// trace follows the observed packet through the model; ok is false when a pod
// is not known or has no address of the family.
func (in *Input) trace(o snapshot.ProbeObservation) (datapath.Result, bool) {
	from, to := in.Snapshot.PodByName(o.From.Namespace, o.From.Pod), in.Snapshot.PodByName(o.To.Namespace, o.To.Pod)
	if from == nil || to == nil || in.Model == nil {
		return datapath.Result{}, false
	}
	a, okA := datapath.PodEnd(from, o.Family)
	b, okB := datapath.PodEnd(to, o.Family)
	if !okA || !okB {
		return datapath.Result{}, false
	}
	protocol := o.Protocol
	if protocol == "HTTP" || protocol == "" {
		protocol = "TCP"
	}
	return in.Model.Trace(datapath.Flow{From: a, To: b, Family: o.Family, Protocol: protocol, Port: o.To.Port}), true
}

func (w *witnessed) add(shows int, o snapshot.ProbeObservation, text string) {
	w.told[shows] = append(w.told[shows], v1alpha1.Evidence{Kind: "probe", Text: text, Source: o.Source})
}

// both names two sources, once when they are the same.
func both(a, b string) string {
	if a == b {
		return a
	}
	return a + " and " + b
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
		w.sawPod = true
		w.add(shownSource, o, fmt.Sprintf("%s on %s saw %s, the pod's own address", end(o.To), o.To.Node, seen))
	case node != nil && hasAddr(node, seen):
		w.confirmed = true
		w.add(shownSource, o, fmt.Sprintf("%s on %s saw %s as source: the address of %s, not of the pod %s", end(o.To), o.To.Node, seen, o.From.Node, o.From.IP))
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
	return o.DropReason == datapath.PolicyDenied && isNodeIdentity(o.SourceIdentity)
}

// isNodeIdentity: a name, a label ("reserved:remote-node", several joined by
// commas) or a number of another node's identity: 6 is remote-node, 7 is
// kube-apiserver (pkg/identity/numericidentity.go:95-138, 1.18.6).
func isNodeIdentity(identity string) bool {
	for _, word := range strings.FieldsFunc(identity, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch strings.TrimPrefix(word, "reserved:") {
		case policy.RemoteNode, policy.KubeAPIServer, "6", "7":
			return true
		}
	}
	return false
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

// anyDropped: some class of pod traffic of the family from the nodes in question
// is lost by the model, or may be for all that is known.
func (in *Input) anyDropped(family string, from func(node string) bool) bool {
	for _, c := range in.Analysis.Classes {
		if c.Family == family && from(c.From.Node) && c.Kind == datapath.KindPodPod && !c.Hypothetical && c.Result.Delivered != snapshot.Yes {
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
