package v1alpha1

// VerifyResult is the answer of `remediate verify`: how far a merged change got,
// and whether it helped.
type VerifyResult struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Commit is the one that is followed, PullRequest where it came from.
	Commit      string `json:"commit"`
	PullRequest string `json:"pullRequest,omitempty"`
	// Release is NAMESPACE/NAME of the HelmRelease.
	Release string `json:"release"`
	// Stage is the last step that is done: Merged, Reconciled, RolledOut or
	// Verified; empty when the change is not merged.
	Stage string `json:"stage"`
	// Verdict is Verified, MergedNotActive, NotEffective or Regressed; empty as
	// long as nothing was seen that would allow one.
	Verdict string `json:"verdict"`
	// Summary says both in one sentence.
	Summary string       `json:"summary"`
	Steps   []VerifyStep `json:"steps"`
	// Nodes, those that lack the change first.
	Nodes    []VerifyNode    `json:"nodes"`
	FollowUp *VerifyFollowUp `json:"followUp,omitempty"`
	// Flows compare what probes saw before the change and since every agent has it.
	Flows    []VerifyFlow `json:"flows,omitempty"`
	Evidence []Evidence   `json:"evidence"`
	// NotChecked says what was not, and why, a sentence each.
	NotChecked []string `json:"notChecked,omitempty"`
}

// VerifyStep is one step of a merged change.
type VerifyStep struct {
	// Step is Merged, Reconciled, RolledOut or Verified.
	Step string `json:"step"`
	// Done is yes, no or unknown.
	Done string `json:"done"`
	// Since is when it was first seen done, RFC 3339; empty when it is not.
	Since string       `json:"since,omitempty"`
	Waits []VerifyWait `json:"waits,omitempty"`
}

// VerifyWait is what a step waits for.
type VerifyWait struct {
	// Object that has to change: "GitRepository flux-system/flux-system".
	Object string `json:"object,omitempty"`
	Text   string `json:"text"`
	// Stuck: it does not come by itself.
	Stuck bool `json:"stuck,omitempty"`
}

// VerifyNode says whether a node's agent runs with the change.
type VerifyNode struct {
	Node string `json:"node"`
	// Active is yes, no or unknown.
	Active string `json:"active"`
	Reason string `json:"reason"`
}

// VerifyFollowUp is what brings a merged change to the agents. Either of its
// parts is enough.
type VerifyFollowUp struct {
	Why string `json:"why"`
	// Commands for a shell, in order.
	Commands []string `json:"commands,omitempty"`
	// Values of the chart that make it happen by itself, for a pull request.
	Values map[string]any `json:"values,omitempty"`
}

// VerifyFlow is one class of flows, before and after.
type VerifyFlow struct {
	// Class is "IPv6 TCP PodIP guarded, other node".
	Class  string `json:"class"`
	Before string `json:"before"`
	After  string `json:"after"`
	// Works now: yes, no or unknown.
	Works string `json:"works"`
}
