package probe

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// Masked says whether an answered exchange was seen with another source address
// than the prober's own. Only pod and service addresses are judged: towards nodes
// and the outside another source is right.
func Masked(o v1alpha1.Observation) bool {
	if o.Outcome != v1alpha1.OutcomeOK || o.SourceSeen == "" || o.From.IP == "" {
		return false
	}
	if o.Via != mesh.ViaPodIP && o.Via != mesh.ViaClusterIP {
		return false
	}
	return !sameAddr(o.SourceSeen, o.From.IP)
}

func sameAddr(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// Lost says whether the exchange was tried and not answered as it should be. A
// refused connection to a node's kubelet port proves the path as well as an
// accepted one.
func Lost(o v1alpha1.Observation) bool {
	switch o.Outcome {
	case v1alpha1.OutcomeOK, v1alpha1.OutcomeNotChecked:
		return false
	case v1alpha1.OutcomeRefused:
		return o.Via != mesh.ViaNodeIP || o.To.Pod != ""
	}
	return true
}

const (
	// maxFlows is how many flows that are not as they should be are remembered.
	maxFlows = 256
	// maxSkips is how many reasons for not checking are.
	maxSkips = 64
	// maxReason bounds a reason's bytes in a line.
	maxReason = 256
)

// flows is what deviates at present: nothing of a healthy flow is kept, so that
// five thousand nodes cost no more than ten.
type flows struct {
	wrong map[mesh.Check]v1alpha1.Observation
	// skipped holds one observation per kind and reason of what is not checked.
	skipped map[skip]v1alpha1.Observation
	// more counts flows beyond the bound since the last full heartbeat.
	more int
}

type skip struct{ via, family, protocol, target, reason string }

// note takes a result in and says whether a line should tell it, whether it is a
// failure that a differential should look into, and whether one is over.
func (f *flows) note(c mesh.Check, o v1alpha1.Observation) (tell, failed, healed bool) {
	key := c
	key.Differential = false
	_, before := f.wrong[key]
	switch {
	case o.Outcome == v1alpha1.OutcomeNotChecked:
		return f.noteSkip(o) || c.Differential, false, false
	case o.Unreliable:
		return c.Differential, false, false
	case Lost(o) || Masked(o):
		f.keep(key, o, before)
		return true, true, false
	}
	delete(f.wrong, key)
	return before || c.Differential, false, before
}

func (f *flows) keep(key mesh.Check, o v1alpha1.Observation, before bool) {
	if f.wrong == nil {
		f.wrong = map[mesh.Check]v1alpha1.Observation{}
	}
	if !before && len(f.wrong) >= maxFlows {
		f.more++
		return
	}
	f.wrong[key] = o
}

func (f *flows) noteSkip(o v1alpha1.Observation) (isNew bool) {
	s := skip{o.Via, o.Family, o.Protocol, o.Target, o.Reason}
	if _, ok := f.skipped[s]; ok || len(f.skipped) >= maxSkips {
		return false
	}
	if f.skipped == nil {
		f.skipped = map[skip]v1alpha1.Observation{}
	}
	f.skipped[s] = o
	return true
}

// all is what deviates, in a fixed order, and forgets what was not checked, so
// that it is told again if it still holds.
func (f *flows) all() []v1alpha1.Observation {
	out := make([]v1alpha1.Observation, 0, len(f.wrong)+len(f.skipped))
	for _, o := range f.wrong {
		out = append(out, o)
	}
	for _, o := range f.skipped {
		out = append(out, o)
	}
	clear(f.skipped)
	slices.SortFunc(out, compareObservations)
	return out
}

func compareObservations(a, b v1alpha1.Observation) int {
	for _, pair := range [][2]string{
		{a.Outcome, b.Outcome}, {a.Via, b.Via}, {a.Family, b.Family}, {a.To.Node, b.To.Node},
		{a.To.IP, b.To.IP}, {a.Protocol, b.Protocol}, {a.Target, b.Target}, {a.Reason, b.Reason}, {a.At, b.At},
	} {
		if n := strings.Compare(pair[0], pair[1]); n != 0 {
			return n
		}
	}
	return a.Bytes - b.Bytes
}

// oldest is the deviating flow that was looked at longest ago, before a time.
func (f *flows) oldest(before time.Time) (mesh.Check, bool) {
	limit := stamp(before)
	var best mesh.Check
	found := false
	for c, o := range f.wrong {
		if o.At >= limit {
			continue
		}
		if !found || o.At < f.wrong[best].At || (o.At == f.wrong[best].At && compareObservations(o, f.wrong[best]) < 0) {
			best, found = c, true
		}
	}
	return best, found
}

// checks are those of the deviating flows, in a fixed order, as a differential's.
func (f *flows) checks() []mesh.Check {
	out := slices.Collect(maps.Keys(f.wrong))
	slices.SortFunc(out, func(a, b mesh.Check) int { return compareObservations(f.wrong[a], f.wrong[b]) })
	for i := range out {
		out[i].Differential = true
	}
	return out
}

// retain forgets flows to pods that are no longer members, and from addresses
// that are no longer the probe's.
func (f *flows) retain(keep func(mesh.Check) bool) {
	for c := range f.wrong {
		if !keep(c) {
			delete(f.wrong, c)
		}
	}
}

// tallies counts checks by kind.
type tallies map[tallyKey]*Tally

type tallyKey struct {
	via, family, protocol, target string
	sameNode                      bool
}

func (t tallies) add(o v1alpha1.Observation, took time.Duration) {
	k := tallyKey{o.Via, o.Family, o.Protocol, o.Target, o.To.Node != "" && o.To.Node == o.From.Node}
	n := t[k]
	if n == nil {
		n = &Tally{Via: k.via, Family: k.family, Protocol: k.protocol, Target: k.target, SameNode: k.sameNode}
		t[k] = n
	}
	switch {
	case o.Outcome == v1alpha1.OutcomeNotChecked:
		n.NotChecked++
	case o.Unreliable:
		n.Unreliable++
	case Lost(o):
		n.Lost++
	case Masked(o):
		n.Masked++
		n.SlowestMs = max(n.SlowestMs, int(took.Milliseconds()))
	default:
		n.OK++
		n.SlowestMs = max(n.SlowestMs, int(took.Milliseconds()))
	}
}

// take gives the counts in a fixed order and begins anew.
func (t tallies) take() []Tally {
	out := make([]Tally, 0, len(t))
	for _, n := range t {
		out = append(out, *n)
	}
	clear(t)
	slices.SortFunc(out, func(a, b Tally) int {
		for _, pair := range [][2]string{{a.Via, b.Via}, {a.Family, b.Family}, {a.Protocol, b.Protocol}, {a.Target, b.Target}} {
			if n := strings.Compare(pair[0], pair[1]); n != 0 {
				return n
			}
		}
		if a.SameNode == b.SameNode {
			return 0
		}
		if a.SameNode {
			return -1
		}
		return 1
	})
	return out
}

// printable bounds a reason and takes control characters out of it.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "")
}
