package plan

import (
	"fmt"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// unexplained lists symptoms in view that the model, with the findings, does not
// account for: time-outs in namespaces whose flows it says are delivered, and
// probes that fail where it says they work.
func (p *planner) unexplained(out *v1alpha1.Plan) {
	seen := map[string]bool{}
	for _, e := range p.in.Facts.Snapshot.Events {
		ns := namespaceOf(e.Object)
		if ns == "" || seen[ns] || !timesOut(e.Message) || p.namespaceFails(ns) {
			continue
		}
		seen[ns] = true
		why := "no policy is known to select its pods, so the model has its traffic delivered"
		if !p.in.Facts.Snapshot.Read("NetworkPolicy") {
			why = "its policies are not in view"
		}
		out.Unexplained = append(out.Unexplained, fmt.Sprintf("time-outs in %s (%s): %s", ns, e.Source, why))
	}
	for _, o := range p.in.Facts.Snapshot.Probes {
		if text := p.probeContradicts(o); text != "" {
			out.Unexplained = append(out.Unexplained, text)
		}
	}
	sort.Strings(out.Unexplained)
}

// namespaceOf an object reference "Pod namespace/name".
func namespaceOf(object string) string {
	_, ref, _ := strings.Cut(object, " ")
	ns, _, ok := strings.Cut(ref, "/")
	if !ok {
		return ""
	}
	return ns
}

func timesOut(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{"i/o timeout", "timed out", "deadline exceeded", "timeout"} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}

// namespaceFails: the model loses a masqueraded or unroutable flow between nodes
// to a pod of the namespace, judged by a few of its pods. What a policy means to
// deny explains no symptom.
func (p *planner) namespaceFails(ns string) bool {
	const sample = 3
	var own []*snapshot.Pod
	pods := p.in.Facts.Snapshot.Pods
	for i := range pods {
		if pods[i].Namespace == ns && !pods[i].HostNetwork && len(own) < sample {
			own = append(own, &pods[i])
		}
	}
	for _, to := range own {
		if from := p.peerElsewhere(to); from != nil && p.loses(from, to) {
			return true
		}
	}
	return false
}

// peerElsewhere is a pod on another node, of the same namespace if there is one.
func (p *planner) peerElsewhere(of *snapshot.Pod) *snapshot.Pod {
	var any *snapshot.Pod
	pods := p.in.Facts.Snapshot.Pods
	for i := range pods {
		c := &pods[i]
		if c.HostNetwork || c.Node == "" || c.Node == of.Node {
			continue
		}
		if c.Namespace == of.Namespace {
			return c
		}
		if any == nil {
			any = c
		}
	}
	return any
}

func (p *planner) loses(from, to *snapshot.Pod) bool {
	for _, family := range p.in.Facts.Families() {
		a, okA := datapath.PodEnd(from, family)
		b, okB := datapath.PodEnd(to, family)
		if !okA || !okB {
			continue
		}
		r := p.in.Facts.Model.Trace(datapath.Flow{From: a, To: b, Family: family, Protocol: "TCP"})
		if r.Delivered == snapshot.No && (masqueraded(r) || r.Verdict.Verdict != policy.Deny) {
			return true
		}
	}
	return false
}

// probeContradicts compares a reliable failed pod probe with the model.
func (p *planner) probeContradicts(o snapshot.ProbeObservation) string {
	if o.Outcome != v1alpha1.OutcomeTimeout || o.Unreliable || o.HostNetwork || o.Via != "PodIP" {
		return ""
	}
	s := p.in.Facts.Snapshot
	from, to := s.PodByName(o.From.Namespace, o.From.Pod), s.PodByName(o.To.Namespace, o.To.Pod)
	if from == nil || to == nil {
		return ""
	}
	a, okA := datapath.PodEnd(from, o.Family)
	b, okB := datapath.PodEnd(to, o.Family)
	if !okA || !okB {
		return ""
	}
	protocol := o.Protocol
	if protocol == "HTTP" {
		protocol = "TCP"
	}
	r := p.in.Facts.Model.Trace(datapath.Flow{From: a, To: b, Family: o.Family, Protocol: protocol, Port: o.To.Port, Size: o.Bytes})
	if r.Delivered != snapshot.Yes {
		return ""
	}
	return fmt.Sprintf("%s: %s %s → %s failed, and the model has it delivered", o.Source, o.Family, o.From.Pod, o.To.Pod)
}
