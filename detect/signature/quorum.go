package signature

import (
	"fmt"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Quorum is how many independent observations, over how long, confirm a
// signature in a live cluster. Observations are independent when their probers
// differ: one probe that lies, or that is broken, never confirms alone. In a
// cluster that is too small for the numbers, all there are will do. The zero
// value means that the facts decide and no quorum is needed.
type Quorum struct {
	// Probers is how many nodes must say so, and Pairs how many pairs of a
	// prober's node and a target's.
	Probers, Pairs int
	// Targets is how many nodes' targets they must say it of, so that no reflector
	// that lies, or hangs, has its word taken alone.
	Targets int
	// Exchanges is how many exchanges they must have made together.
	Exchanges int
	// Window is how far apart the first and the last of them may lie.
	Window time.Duration
	// BothDirections: between two of the nodes each must say so of the other, or, where
	// several probers are asked for, [crossing] nodes must say so and be said of.
	BothDirections bool
	// Hold is how long the observations must have agreed.
	Hold time.Duration
}

// Needed says whether the signature needs a quorum at all.
func (q Quorum) Needed() bool { return q != Quorum{} }

// String is the quorum as a sentence for people.
func (q Quorum) String() string {
	if !q.Needed() {
		return ""
	}
	var parts []string
	if q.Exchanges > 0 {
		parts = append(parts, fmt.Sprintf("%d exchanges", q.Exchanges))
	}
	if q.Pairs > 0 {
		parts = append(parts, fmt.Sprintf("%d %s of nodes", q.Pairs, plural("pair", q.Pairs)))
	}
	parts = append(parts, fmt.Sprintf("%d %s", q.Probers, plural("prober", q.Probers)))
	text := strings.Join(parts, " of ")
	if q.Targets > 0 {
		text += fmt.Sprintf(" to %d nodes", q.Targets)
	}
	text += fmt.Sprintf(" within %s", q.Window)
	if q.BothDirections {
		text += ", " + q.ways() + " in both directions"
	}
	return text + fmt.Sprintf(", agreeing for %s", q.Hold)
}

// crossing is how many nodes that fail in both directions, each with whomever it met,
// stand for a pair that does: in a large cluster the two ways of a pair have their
// turns minutes apart.
const crossing = 3

func (q Quorum) ways() string {
	if q.Probers < crossing {
		return "some pair of nodes"
	}
	return fmt.Sprintf("some pair or %d nodes", crossing)
}

// Support is what live observations say for a finding.
type Support struct {
	// Probers and Targets are the nodes, sorted.
	Probers, Targets []string
	// Pairs and Exchanges count as in [Quorum].
	Pairs, Exchanges int
	// Both: some pair said so in both directions, or [crossing] nodes did and were said of.
	Both bool
	// First and Last are the times of the oldest and the newest.
	First, Last time.Time
	// Decided is the differential that told the cause from its neighbours.
	Decided []v1alpha1.Evidence
}

// Missing names what the quorum still asks for in a cluster of nodes; empty
// when it is met but for [Quorum.Hold], which takes a history.
func (q Quorum) Missing(s Support, nodes int) []string {
	var out []string
	lack := func(have, want int, what string) {
		if have < want {
			out = append(out, fmt.Sprintf("%d more of %d %s", want-have, want, what))
		}
	}
	if nodes < 2 {
		nodes = 2
	}
	lack(len(s.Probers), min(q.Probers, nodes), "probers that say so")
	lack(len(s.Targets), min(q.Targets, nodes), "nodes that they say it of")
	lack(s.Pairs, min(q.Pairs, nodes*(nodes-1)), "pairs of nodes")
	lack(s.Exchanges, q.Exchanges, "exchanges")
	if q.BothDirections && !s.Both {
		out = append(out, q.ways()+" in both directions")
	}
	return out
}
