package datapath

import (
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Kinds of flow classes.
const (
	KindPodPod     = "pod to pod"
	KindPodService = "pod to service"
	KindPodNode    = "pod to node"
	KindNodePod    = "node to pod"
	KindPodOutside = "pod to outside"
)

// maxClasses and maxPairWork bound an analysis of a hostile or very mixed
// snapshot: classes kept, and pairs of policy classes looked at.
const (
	maxClasses  = 100_000
	maxPairWork = 400_000_000
)

// Class is a set of flows that one configuration treats alike, whichever it is,
// with one flow of it walked.
type Class struct {
	// ID is the same in two analyses of one snapshot under two configurations.
	ID   string
	Kind string
	// From and To are one flow's ends, which stand for all.
	From, To End
	// FromNodes and ToNodes describe the nodes that the ends are on.
	FromNodes, ToNodes string
	// Relation of the two nodes: "same node", "same segment", "other segment",
	// "other node" (whether they share a segment is not known), or "outside".
	Relation         string
	Family, Protocol string
	// Port is 0 for a port that no policy names.
	Port int
	// Destination names an outside destination, a host or a range.
	Destination string
	// Hypothetical: no such host is known; the class only shows masquerading and
	// is counted neither as fixed nor as broken.
	Hypothetical bool
	// Count of flows: pod pairs, pods times nodes, pods times services.
	Count  int64
	Result Result
}

// Analysis is all classes of flows of one snapshot under one configuration.
type Analysis struct {
	// Classes in the order of their IDs.
	Classes []Class
	// Assumed: the snapshot has no pods, and assumed ones were analysed.
	Assumed bool
	// Notes say what was left out.
	Notes []string

	model *Model
	grain grain
	off   [2]bool // families that no agent has
}

// Analyse walks one flow of every class. Its cost grows with nodes and pods
// linearly, and with the square of the number of policy classes. Classes are
// found once for all models that [Model.With] derives, as long as they tell the
// same ranges apart: those of Input.Ranges and of the configurations.
func (m *Model) Analyse() Analysis { return m.analyse(m.grain()) }

// AnalyseWith is [Model.Analyse] with more ranges told apart.
func (m *Model) AnalyseWith(ranges []netip.Prefix) Analysis { return m.analyse(m.grain(ranges...)) }

func (m *Model) analyse(g grain) Analysis {
	o := m.outline(g)
	out := Analysis{Assumed: m.assumed, Notes: slices.Clone(o.notes), model: m, grain: g}
	for fi := range families() {
		out.off[fi] = m.off(fi)
	}
	e := evaluation{m: m, o: o, legs: make([]*leg, len(o.ways))}
	out.Classes = make([]Class, 0, len(o.specs))
	for i := range o.specs {
		s := &o.specs[i]
		if out.off[o.ways[s.way].fi] {
			continue
		}
		c := s.Class
		c.Result = e.result(s)
		out.Classes = append(out.Classes, c)
	}
	return out
}

// evaluation walks the ways of an outline under one configuration.
type evaluation struct {
	m    *Model
	o    *outline
	legs []*leg
}

func (e *evaluation) result(s *spec) Result {
	l := e.legs[s.way]
	if l == nil {
		walked := e.bound(e.o.ways[s.way]).result()
		l = &walked
		e.legs[s.way] = l
	}
	if l.off != "" {
		return offResult(l.off)
	}
	r := e.judged(*l, e.class(s.from), e.class(s.to), s.port)
	if s.Kind == KindPodService {
		service := l.walk
		service.f.To.Kind = EndService
		r.Translated = service.translation()
	}
	return r
}

func (e *evaluation) class(k int) *podClass {
	if k == anyClass {
		return nil
	}
	return &e.o.classes[k]
}

// bound is the walk with the nodes of the evaluation's model.
func (e *evaluation) bound(w walk) *walk {
	w.m = e.m
	for _, s := range []*site{&w.src, &w.dst} {
		if s.node != nil {
			s.node = &e.m.nodes[s.node.index]
		}
	}
	return &w
}

// result is the leg, also where the family is switched off.
func (w *walk) result() leg {
	if why := w.familyOff(); why != "" {
		return leg{walk: *w, off: why}
	}
	return w.carry()
}

// offResult is what becomes of a flow of a family that an end does not have.
func offResult(why string) Result {
	return Result{Delivered: snapshot.No, IfRouted: snapshot.No, Reason: why, Route: routeNone, MasqueradeBy: cilium.MasqueradeOff, MasqueradeWhy: why}
}

// judged settles a leg between two policy classes.
func (e *evaluation) judged(l leg, from, to *podClass, port policy.Port) Result {
	w := &l.walk
	w.f = Flow{Family: w.f.Family, Protocol: port.Protocol, Port: port.Number}
	egress, ingress := policy.Decision{Verdict: policy.Allow}, policy.Decision{Verdict: policy.Allow}
	if from != nil {
		w.src.namespace, w.src.labels = from.rep.Namespace, from.rep.Labels
		l.peers = slices.Clone(l.peers)
		for i := range l.peers {
			if len(l.peers[i].Reserved) == 0 {
				l.peers[i] = w.src.podPeer()
			}
		}
	}
	if to != nil {
		w.dst.namespace, w.dst.labels = to.rep.Namespace, to.rep.Labels
		ingress = l.ingress()
	}
	if from != nil {
		egress = w.egress()
	}
	return l.settle(egress, ingress)
}
