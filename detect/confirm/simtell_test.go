package confirm_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
)

func lostOrMasked(o v1alpha1.Observation) (lost, masked bool) {
	switch o.Outcome {
	case v1alpha1.OutcomeOK:
		return false, (o.Via == mesh.ViaPodIP || o.Via == mesh.ViaClusterIP) && o.SourceSeen != "" && o.SourceSeen != o.From.IP
	case v1alpha1.OutcomeNotChecked:
		return false, false
	case v1alpha1.OutcomeRefused:
		return o.Via != mesh.ViaNodeIP || o.To.Pod != "", false
	}
	return true, false
}

func (p *prober) take(r result) {
	w := p.node.w
	lost, masked := lostOrMasked(r.o)
	k := confirm.Count{Via: r.o.Via, Family: r.o.Family, Protocol: r.o.Protocol, Target: r.o.Target, SameNode: r.o.To.Node == r.o.From.Node}
	n := p.tally[k]
	if n == nil {
		n = &confirm.Count{Via: k.Via, Family: k.Family, Protocol: k.Protocol, Target: k.Target, SameNode: k.SameNode}
		p.tally[k] = n
	}
	key := r.check
	key.Differential = false
	_, before := p.wrong[key]
	tell := r.check.Differential
	switch {
	case r.o.Outcome == v1alpha1.OutcomeNotChecked:
		n.NotChecked++
	case r.o.Unreliable:
		n.Unreliable++
	case lost || masked:
		if lost {
			n.Lost++
		} else {
			n.Masked++
		}
		p.wrong[key], tell = r.o, true
	default:
		n.OK++
		delete(p.wrong, key)
		tell = tell || before
	}
	if tell {
		p.tell(r.o)
	}
	if r.check.Differential || r.o.Unreliable {
		return
	}
	switch {
	case (lost || masked) && p.bursts.Failed(w.now, r.check, r.o.Outcome):
		p.bursts.Add(p.plan.Differential(r.check))
	case !lost && !masked && before && len(p.wrong) > 0 && p.bursts.Recovered(w.now):
		p.bursts.Add(p.deviating())
	}
}

// deviating are the checks of what is not as it should be, in a fixed order.
func (p *prober) deviating() []mesh.Check {
	out := slices.Collect(maps.Keys(p.wrong))
	slices.SortFunc(out, func(a, b mesh.Check) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for i := range out {
		out[i].Differential = true
	}
	return out
}

// tell is a line on its way: here it arrives at once.
func (p *prober) tell(o ...v1alpha1.Observation) {
	if w := p.node.w; w.hears(p.node.at) {
		w.tracker.Observe(w.now, o...)
	}
}

func (w *world) hears(node int) bool {
	return w.heard == nil || w.began.IsZero() || w.now.Before(w.began) || w.heard(node, w.now.Sub(w.began))
}

func (n *simNode) beat() {
	w := n.w
	n.nextBeat = w.now.Add(10 * time.Second)
	n.full++
	for _, p := range n.plans {
		var counts []confirm.Count
		for _, c := range p.tally {
			counts = append(counts, *c)
		}
		clear(p.tally)
		if !w.hears(n.at) {
			continue
		}
		if p.self.HostNetwork {
			w.tracker.Twin(w.now)
		} else {
			w.tracker.Beat(w.now, n.name, counts...)
		}
		if n.full%6 == 0 {
			for _, o := range p.wrong {
				p.tell(o)
			}
		}
	}
}
