package guard

import "time"

// Mode is how far the loop may go.
type Mode string

const (
	// Observe plans and proposes nothing.
	Observe Mode = "Observe"
	// Propose opens pull requests.
	Propose Mode = "Propose"
)

// Limits are what the operator allows.
type Limits struct {
	Mode Mode
	// Signatures that may be proposed for; empty allows all.
	Signatures []string
	// MaxOpen pull requests at once, MaxPerDay opened within 24 hours; 0 is no limit.
	MaxOpen, MaxPerDay int
	// MaxNotReadyPercent of nodes that are not ready, 0 to 100, above which all is frozen.
	MaxNotReadyPercent int
}

// DefaultLimits: one open pull request, five a day, at most a fifth of the nodes not ready.
func DefaultLimits() Limits {
	return Limits{Mode: Propose, MaxOpen: 1, MaxPerDay: 5, MaxNotReadyPercent: 20}
}

// Cluster is what freezes proposals. Unknown facts freeze nothing and are said.
type Cluster struct {
	// Upgrading names the rollout that runs: "DaemonSet kube-system/cilium: 3 of 12 agents updated"; empty: none.
	Upgrading string
	// Suspended names the suspended Flux object; empty: none.
	Suspended string
	// Nodes and NotReady count; Nodes is 0 when they are not known.
	Nodes, NotReady int
}

// Proposal is the change that asks to be let through.
type Proposal struct {
	Cluster   string
	Signature string
	// Change is the hash of the intended change, Facts that of the facts it rests on.
	Change, Facts string
	Confidence    string
	// Replaces is the number of the pull request that this one replaces; 0: none.
	Replaces int
}

// Past is an earlier pull request of ours.
type Past struct {
	Number  int
	URL     string
	State   string // open, closed or merged
	Opened  time.Time
	Ended   time.Time
	Cluster string
	// Signature, Change and Facts as in [Proposal].
	Signature, Change, Facts string
	// ByUs: we closed it ourselves.
	ByUs bool
	// Commands are what people with write access said in it, oldest first.
	Commands []Command
}

// Rival is a human's open pull request that changes the same keys.
type Rival struct {
	Number int
	URL    string
	Keys   []string
}

// Decision is the guard's answer.
type Decision struct {
	Allowed bool
	// Because says why: every reason, or what was checked.
	Because []string
	// Rule is the kebab-case name of the first rule that refused: mode, scope,
	// refused, snoozed, merged, max-open, max-per-day, upgrading, suspended,
	// nodes-not-ready, rival.
	Rule string
	// Retry is when the answer can change by itself; zero: it needs a human or new facts.
	Retry time.Time
}
