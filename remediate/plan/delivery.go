package plan

import (
	"fmt"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// delivery says whether Flux can reconcile a fix while the fault lasts, and
// which ways in the model finds open.
func (p *planner) delivery(out *v1alpha1.Plan) {
	in := p.in.Facts
	victim := false
	for _, f := range p.in.Findings {
		victim = victim || f.Signature == signature.FluxIsAVictim
	}
	out.Delivery.FluxAffected = victim
	if !victim {
		out.Delivery.How = "merge the change; nothing known keeps Flux from reconciling it"
		if len(signature.FluxPaths(in.Snapshot)) == 0 {
			out.Delivery.How = "merge the change; whether Flux itself is affected is not known: no pods of Flux are in view"
		}
		return
	}
	out.Delivery.How = "Flux itself cannot fetch the change across nodes while the fault lasts: merging it is not enough. Use one of the ways below, then watch the HelmRelease and the agents' restart"
	out.Delivery.Ways = append(out.Delivery.Ways, p.sameNode(), p.otherFamily(), v1alpha1.DeliveryWay{
		Way: "by hand", Open: "yes",
		Because: "the API server is reached from outside the pod network: run helm upgrade with the values of the merged change, restart the agents; Flux then finds nothing left to do",
	})
}

// sameNode: a controller on source-controller's node is never masqueraded towards it.
func (p *planner) sameNode() v1alpha1.DeliveryWay {
	w := v1alpha1.DeliveryWay{Way: "same node", Open: "unknown", Because: "no pods of Flux are in view"}
	for _, path := range signature.FluxPaths(p.in.Facts.Snapshot) {
		for _, family := range p.in.Facts.Families() {
			r, ok := path.TraceOn(p.in.Facts.Model, family, path.To.Node)
			if !ok {
				continue
			}
			w.Open = r.Delivered.String()
			w.Because = fmt.Sprintf("a controller that runs on %s beside source-controller is not masqueraded towards it; move kustomize-controller and helm-controller there (cordon the others, delete the pods) until the fix is live", path.To.Node)
			if r.Delivered != snapshot.Yes {
				w.Because = r.Reason
				return w
			}
		}
	}
	return w
}

// otherFamily: the same fetch over the family that is not broken.
func (p *planner) otherFamily() v1alpha1.DeliveryWay {
	w := v1alpha1.DeliveryWay{Way: "the other address family", Open: "no", Because: "every address family in use suffers from the fault"}
	for _, family := range p.in.Facts.Families() {
		if p.familyBroken(family) {
			continue
		}
		for _, path := range signature.FluxPaths(p.in.Facts.Snapshot) {
			r, ok := path.Trace(p.in.Facts.Model, family)
			if !ok {
				continue
			}
			w.Open = r.Delivered.String()
			w.Because = r.Reason
			if r.Delivered == snapshot.Yes {
				w.Because = fmt.Sprintf("%s between pods of different nodes works by the model: give Service source-controller an %s ClusterIP first (ipFamilyPolicy: PreferDualStack, ipFamilies: [%s, …])", family, family, family)
			}
			return w
		}
		w.Because = fmt.Sprintf("%s is not broken by this fault, but Flux' pods have no %s address in view", family, family)
		w.Open = "unknown"
	}
	return w
}

func (p *planner) familyBroken(family string) bool {
	for _, f := range p.in.Findings {
		if f.Family == family && f.Severity == v1alpha1.SeverityCritical && f.CausedBy == "" {
			return true
		}
	}
	return false
}
