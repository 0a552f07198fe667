package verify

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Stage is how far a change got: the last step of which nothing is missing.
type Stage string

// Stages in order. The first is that of a change that is not merged.
const (
	StageNone       Stage = ""
	StageMerged     Stage = "Merged"
	StageReconciled Stage = "Reconciled"
	StageRolledOut  Stage = "RolledOut"
	StageVerified   Stage = "Verified"
)

// Verdict ends the life of a change.
type Verdict string

const (
	// Pending: nothing was seen yet that would allow a verdict.
	Pending Verdict = ""
	// Verified: what failed works for the hold time, and what worked still does.
	Verified Verdict = "Verified"
	// MergedNotActive: Flux applied it, and after the grace time some agents do
	// not run it.
	MergedNotActive Verdict = "MergedNotActive"
	// NotEffective: every agent runs it, and the failure is still confirmed.
	NotEffective Verdict = "NotEffective"
	// Regressed: with it, flows fail that worked before.
	Regressed Verdict = "Regressed"
)

// Since is when each step was first seen done, by the clock of who looked; zero
// when it is not. It is what one look hands to the next ([Input.Before]). Without
// it the steps are derived again, and only the hold time begins anew.
type Since struct {
	Merged     time.Time `json:"merged,omitzero"`
	Reconciled time.Time `json:"reconciled,omitzero"`
	RolledOut  time.Time `json:"rolledOut,omitzero"`
	Verified   time.Time `json:"verified,omitzero"`
}

// Wait is what a step waits for.
type Wait struct {
	// Object that has to change: "Kustomization flux-system/cilium"; may be empty.
	Object string
	Text   string
	// Stuck: it will not come by itself; somebody has to do something.
	Stuck bool
}

// Step is one step with what it waits for.
type Step struct {
	Stage Stage
	Done  snapshot.Tri
	Waits []Wait
}

// NodeState says whether a node's agent runs with the change.
type NodeState struct {
	Node   string
	Active snapshot.Tri
	Reason string
	lack   lack
}

// lack is why a node's agent does not run the change, as far as that decides what
// to do about it.
type lack int

const (
	// lackRestart: its pod is from before the change.
	lackRestart lack = iota + 1
	// lackTold: nothing tells whether it has the change; a restart would.
	lackTold
	// lackOverride: a CiliumNodeConfig goes before cilium-config.
	lackOverride
)

// FollowUp is what brings a merged change to the agents.
type FollowUp struct {
	Why string
	// Commands for a shell; the names in them are checked, nothing needs quotes.
	Commands []string
	// Values of the chart that do it from the next change on, and with this one if
	// they are merged now: {"rollOutCiliumPods": true}.
	Values map[string]any
}

// FlowState is one class of flows before and after.
type FlowState struct {
	Class  Class
	Before Count
	After  Count
	Works  snapshot.Tri
}

// State is what [Judge] concludes.
type State struct {
	Stage   Stage
	Verdict Verdict
	// Summary says both in one sentence.
	Summary string
	// Steps are Merged, Reconciled, RolledOut and Verified, in this order.
	Steps []Step
	// Nodes, those that are not active first, then those that are not known; nil
	// as long as cilium-config does not hold the change.
	Nodes    []NodeState
	FollowUp *FollowUp
	Flows    []FlowState
	Evidence []v1alpha1.Evidence
	Since    Since
}

// Waits are those of the first step that is not done.
func (s State) Waits() []Wait {
	for _, step := range s.Steps {
		if step.Done != snapshot.Yes {
			return step.Waits
		}
	}
	return nil
}

// Step is the step of that stage.
func (s State) Step(stage Stage) Step {
	for _, step := range s.Steps {
		if step.Stage == stage {
			return step
		}
	}
	return Step{Stage: stage}
}

// Stuck says whether the first step that is not done waits for somebody.
func (s State) Stuck() bool {
	for _, w := range s.Waits() {
		if w.Stuck {
			return true
		}
	}
	return false
}

// Result is the state as the contract has it. The names of commit and release are
// the caller's.
func (s State) Result() v1alpha1.VerifyResult {
	r := v1alpha1.VerifyResult{APIVersion: v1alpha1.APIVersion, Kind: "VerifyResult", Stage: string(s.Stage), Verdict: string(s.Verdict),
		Summary: s.Summary, Steps: []v1alpha1.VerifyStep{}, Nodes: []v1alpha1.VerifyNode{}, Evidence: s.Evidence}
	if r.Evidence == nil {
		r.Evidence = []v1alpha1.Evidence{}
	}
	for _, step := range s.Steps {
		out := v1alpha1.VerifyStep{Step: string(step.Stage), Done: step.Done.String(), Since: stamp(s.Since.of(step.Stage))}
		for _, w := range step.Waits {
			out.Waits = append(out.Waits, v1alpha1.VerifyWait(w))
		}
		r.Steps = append(r.Steps, out)
	}
	for _, n := range s.Nodes {
		r.Nodes = append(r.Nodes, v1alpha1.VerifyNode{Node: n.Node, Active: n.Active.String(), Reason: n.Reason})
	}
	for _, f := range s.Flows {
		r.Flows = append(r.Flows, v1alpha1.VerifyFlow{Class: f.Class.String(), Before: f.Before.String(), After: f.After.String(), Works: f.Works.String()})
	}
	if f := s.FollowUp; f != nil {
		r.FollowUp = &v1alpha1.VerifyFollowUp{Why: f.Why, Commands: f.Commands, Values: f.Values}
	}
	return r
}

func (s Since) of(stage Stage) time.Time {
	switch stage {
	case StageMerged:
		return s.Merged
	case StageReconciled:
		return s.Reconciled
	case StageRolledOut:
		return s.RolledOut
	case StageVerified:
		return s.Verified
	}
	return time.Time{}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
