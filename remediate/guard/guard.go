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

// The rules, in the order in which they are asked. All are asked every time.
const (
	// RuleMode: only mode Propose proposes.
	RuleMode = "mode"
	// RuleScope: the operator does not let this signature through.
	RuleScope = "scope"
	// RuleRefused: a human closed or rejected the same change while the facts were
	// the same, and nobody said replan since.
	RuleRefused = "refused"
	// RuleSnoozed: a human asked to be left alone about this cluster.
	RuleSnoozed = "snoozed"
	// RuleMerged: the same change was merged; the verification has the word.
	RuleMerged = "merged"
	// RuleMaxOpen: as many pull requests are open as may be.
	RuleMaxOpen = "max-open"
	// RuleMaxPerDay: as many were opened in the last 24 hours as may be.
	RuleMaxPerDay = "max-per-day"
	// RuleUpgrading: Cilium rolls out.
	RuleUpgrading = "upgrading"
	// RuleSuspended: Flux would not apply the change.
	RuleSuspended = "suspended"
	// RuleNodes: more nodes are not ready than one cause explains.
	RuleNodes = "nodes-not-ready"
	// RuleRival: a human's open pull request changes the same keys.
	RuleRival = "rival"
)

// Limits are what the operator allows.
type Limits struct {
	Mode Mode
	// Signatures that may be proposed for; empty allows all.
	Signatures []string
	// MaxOpen pull requests at once, MaxPerDay opened within 24 hours, both counted
	// over the whole repository; 0 is no limit.
	MaxOpen, MaxPerDay int
	// MaxNotReadyPercent of nodes that are not ready, 0 to 100, above which all is frozen.
	MaxNotReadyPercent int
}

// DefaultLimits are one open pull request, five a day, at most a fifth of the nodes not ready.
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
	// Unknown names what could not be read: "whether Cilium rolls out". It is said
	// when a proposal is let through.
	Unknown []string
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

// Past is an earlier pull request of ours, of any cluster in the repository.
type Past struct {
	Number  int
	URL     string
	State   string // open, closed or merged
	Opened  time.Time
	Ended   time.Time
	Cluster string
	// Signature, Change and Facts as in [Proposal]. Facts is empty when the pull
	// request's record is gone; they then count as the same.
	Signature, Change, Facts string
	// ByUs: we closed it ourselves. A [Reject] among the commands is a refusal all
	// the same.
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
	// Because says why: every reason, or what was checked. One printable line each.
	Because []string
	// Rule is the kebab-case name of the first rule that refused: mode, scope,
	// refused, snoozed, merged, max-open, max-per-day, upgrading, suspended,
	// nodes-not-ready, rival.
	Rule string
	// Retry is when the answer can change by itself; zero: it needs a human or new facts.
	Retry time.Time
}

// Decide lets a proposal through, or says every reason why not. past are all of
// our pull requests that are open, that ended for this cluster, or that were
// opened in the last 24 hours.
func Decide(l Limits, c Cluster, p Proposal, past []Past, rivals []Rival, now time.Time) Decision {
	a := asked{l, c, p, past, rivals, now}
	var passed []string
	var d Decision
	waits := true
	for _, r := range rules() {
		v := r.ask(a)
		if !v.refused {
			passed = append(passed, v.because...)
			continue
		}
		if d.Rule == "" {
			d.Rule = r.name
		}
		d.Because = append(d.Because, v.because...)
		waits = waits && !v.retry.IsZero()
		if v.retry.After(d.Retry) {
			d.Retry = v.retry
		}
	}
	if d.Rule == "" {
		if len(c.Unknown) > 0 {
			passed = append(passed, "not known of the cluster: "+listed(c.Unknown))
		}
		return Decision{Allowed: true, Because: passed}
	}
	if !waits {
		d.Retry = time.Time{}
	}
	return d
}
