package probe

import (
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// Line is one line of JSON on a probe's standard output: what changed, or a
// heartbeat. The kubelet keeps it and the API server's pod log subresource gives it
// out, which needs no pod network. A line is at most [MaxLine] bytes long.
type Line struct {
	// Version of this format: 1.
	Version int `json:"v"`
	// Boot tells starts of the same pod apart; Seq counts lines from 1 within it.
	Boot string    `json:"boot"`
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	// Who says it.
	From v1alpha1.Endpoint `json:"from"`
	// HostNetwork: the prober is in the node's own network.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// Members is the hash of the membership in use and Nodes their number; 0 while there is none.
	Members string `json:"members,omitempty"`
	Nodes   int    `json:"nodes,omitempty"`
	// Beat is a heartbeat: nothing changed, or all that is wrong is told again (Full).
	Beat bool `json:"beat,omitempty"`
	Full bool `json:"full,omitempty"`
	// Delay is the prober's worst own scheduling delay since the last line, in milliseconds.
	Delay int `json:"delayMs,omitempty"`
	// Dropped is the number of lines lost since the last one because nobody read
	// them; their sequence numbers are missing.
	Dropped int `json:"dropped,omitempty"`
	// Notes are what a reader should know of the probe itself: a membership that
	// cannot be read, its own node missing from it.
	Notes []string `json:"notes,omitempty"`
	// Tallies count the checks since the last heartbeat.
	Tallies []Tally `json:"tallies,omitempty"`
	// Observations: changes, all of a differential, and with Full all that deviates now.
	Observations []v1alpha1.Observation `json:"obs,omitempty"`
}

// MaxLine is the most bytes of a line, newline included: container runtimes cut
// lines at 16 KiB (CRI's partial tag).
const MaxLine = 12 << 10

// Tally counts the checks of one kind by what became of them.
type Tally struct {
	Via      string `json:"via"`
	Family   string `json:"family"`
	Protocol string `json:"protocol"`
	Target   string `json:"target,omitempty"`
	// SameNode: the target was on the prober's node.
	SameNode bool `json:"sameNode,omitempty"`
	// OK were answered and, where the target says so, seen with the prober's own
	// address; Masked were answered and seen with another; Lost were not answered;
	// Unreliable happened while the prober was starved, and NotChecked did not happen.
	OK         int `json:"ok,omitempty"`
	Masked     int `json:"masked,omitempty"`
	Lost       int `json:"lost,omitempty"`
	Unreliable int `json:"unreliable,omitempty"`
	NotChecked int `json:"notChecked,omitempty"`
	// SlowestMs is the longest answer's time.
	SlowestMs int `json:"slowestMs,omitempty"`
}
