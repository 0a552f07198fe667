package datapath

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// maxExamples is how many classes of each fate a Delta shows.
const maxExamples = 5

// Delta is what a change of configuration does to flows.
type Delta struct {
	// Fixed classes were not delivered and now are; Broken the reverse. Unknown
	// ones are not known before or after; Unchanged the rest.
	Fixed, Broken, Unchanged, Unknown int
	// The same in flows.
	FixedFlows, BrokenFlows, UnchangedFlows, UnknownFlows int64
	// Conditional is how many of Fixed, Broken and Unchanged hold only when the
	// network carries packets between segments, which nobody said.
	Conditional int
	// FixedExamples, BrokenExamples and UnknownExamples are those with the most
	// flows, then by class id.
	FixedExamples, BrokenExamples, UnknownExamples []v1alpha1.FlowExample
	// Masquerade lists destinations whose masquerading changes, sorted.
	Masquerade []v1alpha1.MasqueradeChange
	// Notes of both analyses.
	Notes []string
}

// Compare says what becomes of each class. Both analyses must be of the same
// snapshot; where their configurations name different ranges they are repeated
// at a grain that tells apart what either does. Counts of classes of several
// comparisons can be set side by side when all of them are made at one grain:
// when the models' Input.Ranges, or the ranges given to [Model.AnalyseWith], name
// what any of the configurations names. Counts of flows always can.
func Compare(before, after Analysis) Delta {
	if before.model != nil && after.model != nil && !before.grain.equal(after.grain) {
		return compareAt(before.grain.join(after.grain), before.model, after.model)
	}
	c := comparison{masquerade: map[v1alpha1.MasqueradeChange]bool{}}
	c.delta.Notes = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(before.Notes), after.Notes...))))
	merge(before.Classes, after.Classes, c.pair, func(x *Class, isBefore bool) { c.lone(x, isBefore, before.off, after.off) })
	return c.finish()
}

// CompareModels is [Compare] of two models' analyses, without those that Compare
// would have to repeat. More ranges are told apart as in [Model.AnalyseWith].
func CompareModels(before, after *Model, ranges []netip.Prefix) Delta {
	return compareAt(before.grain(ranges...).join(after.grain(ranges...)), before, after)
}

func compareAt(g grain, before, after *Model) Delta {
	return Compare(before.analyse(g), after.analyse(g))
}

// merge walks two lists that are sorted by ID.
func merge(before, after []Class, pair func(b, a *Class), lone func(c *Class, isBefore bool)) {
	for i, j := 0, 0; i < len(before) || j < len(after); {
		switch {
		case j == len(after) || (i < len(before) && before[i].ID < after[j].ID):
			lone(&before[i], true)
			i++
		case i == len(before) || after[j].ID < before[i].ID:
			lone(&after[j], false)
			j++
		default:
			pair(&before[i], &after[j])
			i, j = i+1, j+1
		}
	}
}

type example struct {
	id    string
	flows int64
	flow  v1alpha1.FlowExample
}

// Counts are the delta as a plan states it, with examples of what is fixed, then
// of what is broken.
func (d *Delta) Counts() v1alpha1.FlowCounts {
	return v1alpha1.FlowCounts{
		Fixed: d.Fixed, Broken: d.Broken, Unchanged: d.Unchanged, Unknown: d.Unknown,
		Examples: append(slices.Clone(d.FixedExamples), d.BrokenExamples...),
	}
}

type comparison struct {
	delta                  Delta
	fixed, broken, unknown []example
	masquerade             map[v1alpha1.MasqueradeChange]bool
}

// lone is a class that only one analysis has: the other's agents lack the family,
// or there was no room.
func (c *comparison) lone(x *Class, isBefore bool, offBefore, offAfter [2]bool) {
	other, fi := *x, familyIndex(x.Family)
	other.Result = offResult(x.Family + " is off in the agent's configuration")
	switch {
	case isBefore && offAfter[fi]:
		c.pair(x, &other)
	case !isBefore && offBefore[fi]:
		c.pair(&other, x)
	case !x.Hypothetical:
		c.delta.Unknown++
		c.delta.UnknownFlows += x.Count
	}
}

func (c *comparison) pair(before, after *Class) {
	c.masqueradeChange(before, after)
	if before.Hypothetical {
		return
	}
	x, y, conditional := fates(&before.Result, &after.Result)
	d := &c.delta
	if conditional && x != snapshot.Unknown && y != snapshot.Unknown {
		d.Conditional++
	}
	switch {
	case x == snapshot.Unknown || y == snapshot.Unknown:
		d.Unknown++
		d.UnknownFlows += after.Count
		c.unknown = append(c.unknown, exampleOf(before, after))
	case x == y:
		d.Unchanged++
		d.UnchangedFlows += after.Count
	case y == snapshot.Yes:
		d.Fixed++
		d.FixedFlows += after.Count
		c.fixed = append(c.fixed, exampleOf(before, after))
	default:
		d.Broken++
		d.BrokenFlows += after.Count
		c.broken = append(c.broken, exampleOf(before, after))
	}
}

// fates are the two outcomes. Where only the route is unknown, and it is the
// same route, the outcomes are those that a network with that route gives.
func fates(before, after *Result) (x, y snapshot.Tri, conditional bool) {
	x, y = before.Delivered, after.Delivered
	sameWay := before.Route == after.Route && (before.Route == routeUnknown || before.ReplyRoute == after.ReplyRoute)
	if !sameWay || (x != snapshot.Unknown && y != snapshot.Unknown) {
		return x, y, false
	}
	return before.IfRouted, after.IfRouted, true
}

func exampleOf(before, after *Class) example {
	return example{id: after.ID, flows: after.Count, flow: v1alpha1.FlowExample{
		From: endWords(after.From), To: toWords(after), Family: after.Family,
		Before: before.Result.Outcome(), After: after.Result.Outcome(),
		Flows: int(min(after.Count, math.MaxInt)),
	}}
}

func toWords(c *Class) string {
	words := endWords(c.To)
	if c.Destination != "" {
		words = c.Destination
	}
	if c.Port > 0 {
		words += fmt.Sprintf(" %s/%d", c.Protocol, c.Port)
	}
	return words
}

func endWords(e End) string {
	switch e.Kind {
	case EndPod:
		return fmt.Sprintf("pod %s/%s on %s", e.Namespace, e.Name, e.Node)
	case EndNode:
		return "node " + e.Node
	case EndService:
		words := fmt.Sprintf("service %s/%s", e.Namespace, e.Name)
		if e.Backend != nil {
			words += " on " + e.Backend.Node
		}
		return words
	}
	return e.Addr.String()
}

// Outcome is the result in one phrase.
func (r *Result) Outcome() string {
	words := "not known"
	switch r.Delivered {
	case snapshot.Yes:
		words = "delivered"
	case snapshot.No:
		words = "lost"
	}
	if r.DropReason != "" {
		words = "dropped: " + r.DropReason
	}
	switch {
	case r.Identity != "" && r.Identity != "pod":
		words += ", seen as " + r.Identity
	case r.Source == SourcePod:
		words += ", seen as the pod"
	case r.Source == SourceNode || r.Source == SourceRouter:
		words += ", seen as the node"
	}
	if r.DropReason == "" && r.Delivered != snapshot.Yes && r.Reason != "" {
		words += " (" + r.Reason + ")"
	}
	return words
}

func (c *comparison) masqueradeChange(before, after *Class) {
	b, a := before.Result.MasqueradeBy, after.Result.MasqueradeBy
	if b == a || before.Kind == KindNodePod || before.Kind == KindPodService {
		return
	}
	if denied(before) || denied(after) {
		return
	}
	change := v1alpha1.MasqueradeChange{Before: masqueradeWords(b), After: masqueradeWords(a)}
	switch {
	case before.Kind == KindPodPod:
		change.Destination, change.What = before.Family+" pods", "pods, "+before.Relation
	case before.Kind == KindPodNode:
		change.Destination, change.What = before.Family+" nodes", "nodes, "+before.Relation
	case before.Hypothetical:
		change.Destination, change.What = before.Destination, "hosts that are no nodes, pods or services"
	default:
		change.Destination, change.What = before.Family+" "+before.Destination, "public hosts"
	}
	c.masquerade[change] = true
}

// denied: an egress policy drops the flow before masquerading is decided.
func denied(c *Class) bool { return c.Result.DropReason != "" && c.Result.Source == SourceUnknown }

func masqueradeWords(m cilium.Masquerade) string {
	switch m {
	case cilium.MasqueradeOff:
		return "not masqueraded"
	case "":
		return "not known"
	}
	return "masqueraded by " + string(m)
}

func (c *comparison) finish() Delta {
	d := c.delta
	d.FixedExamples, d.BrokenExamples, d.UnknownExamples = top(c.fixed), top(c.broken), top(c.unknown)
	for change := range c.masquerade {
		d.Masquerade = append(d.Masquerade, change)
	}
	slices.SortFunc(d.Masquerade, func(a, b v1alpha1.MasqueradeChange) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.What, b.What),
			cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After))
	})
	return d
}

func top(all []example) []v1alpha1.FlowExample {
	slices.SortFunc(all, func(a, b example) int {
		return cmp.Or(cmp.Compare(b.flows, a.flows), cmp.Compare(a.id, b.id))
	})
	var out []v1alpha1.FlowExample
	for _, e := range all[:min(len(all), maxExamples)] {
		out = append(out, e.flow)
	}
	return out
}
