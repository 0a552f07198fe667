package plan

import (
	"fmt"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// walks draws one failing packet's way now and under the first candidate.
func (p *planner) walks(out *v1alpha1.Plan, cs []proven) {
	var after *datapath.Model
	if len(cs) > 0 {
		after = cs[0].model
	}
	flow, ok := p.exampleFlow(after)
	if !ok {
		return
	}
	title := fmt.Sprintf("%s %s", flow.Family, flow.Protocol)
	out.Walks = append(out.Walks, walk(title, "current", flow, p.current.Trace(flow)))
	if len(cs) > 0 {
		out.Walks = append(out.Walks, walk(title, cs[0].id, flow, cs[0].model.Trace(flow)))
	}
}

// exampleFlow prefers a flow that a probe saw fail, then Flux' own, then any
// class that the model has failing; with a model of the change, one that it repairs.
func (p *planner) exampleFlow(after *datapath.Model) (datapath.Flow, bool) {
	in := p.in.Facts
	if !p.dropsTraffic() {
		return datapath.Flow{}, false
	}
	for _, o := range in.Snapshot.Probes {
		if o.Outcome != v1alpha1.OutcomeTimeout || o.Via != "PodIP" || o.HostNetwork || o.Unreliable {
			continue
		}
		from, to := in.Snapshot.PodByName(o.From.Namespace, o.From.Pod), in.Snapshot.PodByName(o.To.Namespace, o.To.Pod)
		if from == nil || to == nil {
			continue
		}
		a, okA := datapath.PodEnd(from, o.Family)
		b, okB := datapath.PodEnd(to, o.Family)
		f := datapath.Flow{From: a, To: b, Family: o.Family, Protocol: o.Protocol, Port: o.To.Port}
		if f.Protocol == "HTTP" {
			f.Protocol = "TCP"
		}
		if okA && okB && p.repairs(f, after) {
			return f, true
		}
	}
	for _, path := range signature.FluxPaths(in.Snapshot) {
		for _, family := range in.Families() {
			if f, ok := path.Flow(family); ok && p.repairs(f, after) {
				return f, true
			}
		}
	}
	return p.firstFailing(after)
}

// repairs: the flow is lost today, and not under the change.
func (p *planner) repairs(f datapath.Flow, after *datapath.Model) bool {
	return p.current.Trace(f).Delivered == snapshot.No && (after == nil || after.Trace(f).Delivered != snapshot.No)
}

// dropsTraffic: a finding says that traffic is lost. Packets that a policy means
// to deny are no example of a fault.
func (p *planner) dropsTraffic() bool {
	for _, f := range p.in.Findings {
		switch f.Signature {
		case signature.AgentRefusesToStart, signature.ChartRefusesValues, signature.NodeCIDRMaskImpossible:
			continue
		}
		if f.Severity == v1alpha1.SeverityCritical {
			return true
		}
	}
	return false
}

// firstFailing is a class that is lost between nodes, a masqueraded one if there
// is any.
func (p *planner) firstFailing(after *datapath.Model) (datapath.Flow, bool) {
	var first *datapath.Class
	for i := range p.before.Classes {
		c := &p.before.Classes[i]
		if c.Kind != datapath.KindPodPod || c.Result.Delivered != snapshot.No || c.Hypothetical || c.Result.Route == "local" {
			continue
		}
		if !masqueraded(c.Result) && c.Result.Verdict.Verdict == policy.Deny {
			continue // denied as intended
		}
		if (first == nil || masqueraded(c.Result) && !masqueraded(first.Result)) && p.repairs(flowOf(c), after) {
			first = c
		}
	}
	if first == nil {
		return datapath.Flow{}, false
	}
	return flowOf(first), true
}

func flowOf(c *datapath.Class) datapath.Flow {
	return datapath.Flow{From: c.From, To: c.To, Family: c.Family, Protocol: c.Protocol, Port: c.Port}
}

func masqueraded(r datapath.Result) bool {
	return r.MasqueradeBy == cilium.MasqueradeIPTables || r.MasqueradeBy == cilium.MasqueradeBPF
}

func walk(title, config string, f datapath.Flow, r datapath.Result) v1alpha1.Walk {
	w := v1alpha1.Walk{Title: title, Config: config, From: endText(f.From), To: endText(f.To), Outcome: outcomeText(r)}
	for _, s := range r.Steps {
		w.Steps = append(w.Steps, v1alpha1.WalkStep{Where: s.Where, What: s.What, Why: s.Why, Source: s.Source, Bad: s.Bad})
	}
	return w
}

func endText(e datapath.End) string {
	name := e.Node
	if e.Kind != datapath.EndNode && e.Name != "" {
		name = e.Namespace + "/" + e.Name
	}
	if !e.Addr.IsValid() {
		return name
	}
	if name == "" {
		return e.Addr.String()
	}
	return fmt.Sprintf("%s (%s)", name, e.Addr)
}

func outcomeText(r datapath.Result) string {
	switch r.Delivered {
	case snapshot.Yes:
		return "delivered"
	case snapshot.No:
		return "lost: " + r.Reason
	}
	return "unknown: " + r.Reason
}
