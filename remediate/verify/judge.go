package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// judge goes through the steps in order; each sees what the earlier ones found.
type judge struct {
	in    Input
	out   State
	steps map[Stage]*Step
	// live: cilium-config holds the change, whoever brought it there; since is when
	// it was first known to.
	live  snapshot.Tri
	since time.Time
	// overGrace: the agents have had their time.
	overGrace bool
	// pods are the agents' by node; shutOut are the overrides' objects by node.
	pods map[string]*Pod
	// broke are flows that worked before and fail, confirmed; still says that what
	// was to be cured fails, confirmed.
	broke []string
	still []string
	// unrelated fails as it did before, and was not to be cured.
	unrelated []string
}

// Judge says how far the change got, what each step waits for, and the verdict
// that the observations allow.
func Judge(in Input) State {
	if in.Grace <= 0 {
		in.Grace = DefaultGrace
	}
	if in.Hold <= 0 {
		in.Hold = DefaultHold
	}
	j := &judge{in: in, steps: map[Stage]*Step{}}
	for _, s := range []Stage{StageMerged, StageReconciled, StageRolledOut, StageVerified} {
		j.steps[s] = &Step{Stage: s, Done: snapshot.Yes}
	}
	j.merged()
	j.reconciled()
	j.rolledOut()
	j.verified()
	return j.conclude()
}

// wait notes what a step waits for: it is not done, or that is not known.
func (j *judge) wait(stage Stage, done snapshot.Tri, object, format string, args ...any) {
	s := j.steps[stage]
	s.Done = all(s.Done, done)
	s.Waits = append(s.Waits, Wait{Object: name(object), Text: fmt.Sprintf(format, args...)})
}

// stuck is a wait for something that does not come by itself.
func (j *judge) stuck(stage Stage, object, format string, args ...any) {
	j.wait(stage, snapshot.No, object, format, args...)
	s := j.steps[stage]
	s.Waits[len(s.Waits)-1].Stuck = true
}

func (j *judge) evidence(kind, source, format string, args ...any) {
	const most = 40
	if len(j.out.Evidence) < most {
		j.out.Evidence = append(j.out.Evidence, v1alpha1.Evidence{Kind: kind, Text: fmt.Sprintf(format, args...), Source: name(source)})
	}
}

func (j *judge) done(stage Stage) bool { return j.steps[stage].Done == snapshot.Yes }

func (j *judge) merged() {
	if j.in.Merged.Commit == "" {
		j.wait(StageMerged, snapshot.No, "", "the change is not merged")
	}
}

// conclude puts the steps together. A stage is reached when no earlier step lacks
// anything.
func (j *judge) conclude() State {
	s := &j.out
	reached := true
	for _, stage := range []Stage{StageMerged, StageReconciled, StageRolledOut, StageVerified} {
		step := j.steps[stage]
		s.Steps = append(s.Steps, *step)
		if reached = reached && step.Done == snapshot.Yes; reached {
			s.Stage = stage
		}
	}
	s.Since = j.sinces()
	s.Verdict = j.verdict()
	if s.Verdict == MergedNotActive {
		s.FollowUp = j.followUp()
	}
	s.Summary = j.summary()
	return *s
}

func (j *judge) sinces() Since {
	before, now := j.in.Before, j.in.Now
	keep := func(stage Stage, was, first time.Time) time.Time {
		switch {
		case !j.done(stage):
			return time.Time{}
		case !was.IsZero():
			return was
		}
		return first
	}
	var s Since
	s.Merged = keep(StageMerged, before.Merged, latestOr(j.in.Merged.At, now))
	if j.out.Stage != StageNone && j.out.Stage != StageMerged {
		s.Reconciled = keep(StageReconciled, before.Reconciled, latestOr(j.since, now))
	}
	if j.out.Stage == StageRolledOut || j.out.Stage == StageVerified {
		s.RolledOut = keep(StageRolledOut, before.RolledOut, now)
	}
	if j.out.Stage == StageVerified {
		s.Verified = keep(StageVerified, before.Verified, now)
	}
	return s
}

// latestOr is t, or otherwise when t is not known or lies ahead, as the clocks of
// two machines may have it.
func latestOr(t, otherwise time.Time) time.Time {
	if t.IsZero() || t.After(otherwise) {
		return otherwise
	}
	return t
}

// verdict: what broke weighs more than what is not cured, and either more than
// what is not active.
func (j *judge) verdict() Verdict {
	switch {
	case len(j.broke) > 0:
		return Regressed
	case len(j.still) > 0:
		return NotEffective
	case j.out.Stage == StageVerified:
		return Verified
	case j.out.Stage == StageReconciled && j.overGrace && j.steps[StageRolledOut].stuck() != "":
		return MergedNotActive
	}
	return Pending
}

// stuck is the first wait for somebody, or nothing.
func (s Step) stuck() string {
	for _, w := range s.Waits {
		if w.Stuck {
			return w.String()
		}
	}
	return ""
}

func (j *judge) summary() string {
	s := &j.out
	switch s.Verdict {
	case Verified:
		works := "what failed works from every node"
		if len(j.failed()) == 0 {
			works = "nothing was seen to fail before, and what is tried " + j.between() + " works"
		}
		still := "what worked still does"
		if len(j.worked()) == 0 {
			still = "so does all else that probes try"
		}
		return fmt.Sprintf("Verified: %s, %s after every agent had the change; %s%s", works, lasted(j.in.Now.Sub(s.Since.RolledOut)), still, j.failsOn())
	case NotEffective:
		return "NotEffective: every agent runs the change, and " + j.still[0]
	case Regressed:
		return "Regressed: " + j.broke[0]
	case MergedNotActive:
		return fmt.Sprintf("MergedNotActive: Flux applied the change %s ago, and %s", lasted(j.in.Now.Sub(j.appliedAt())), j.notActive())
	}
	if s.Stage == StageNone {
		return "not merged"
	}
	text := "no verdict yet: " + string(s.Stage)
	if w := s.Waits(); len(w) > 0 {
		text += ", and then it waits: " + w[0].String()
	}
	return text
}

// failsOn tells beside the verdict what was not to be cured.
func (j *judge) failsOn() string {
	if len(j.unrelated) == 0 {
		return ""
	}
	return fmt.Sprintf(". Not cured by it, and not meant to be: %s", some(j.unrelated))
}

func (w Wait) String() string {
	if w.Object == "" {
		return w.Text
	}
	return w.Object + ": " + w.Text
}

// notActive names the nodes for one sentence, or what else did not restart.
func (j *judge) notActive() string {
	var no, untold, unknown []string
	for _, n := range j.out.Nodes {
		switch {
		case n.Active == snapshot.No && n.lack == lackTold:
			untold = append(untold, n.Node)
		case n.Active == snapshot.No:
			no = append(no, n.Node)
		case n.Active == snapshot.Unknown:
			unknown = append(unknown, n.Node)
		}
	}
	of := plural(len(j.out.Nodes), "node", "nodes")
	var parts []string
	switch {
	case len(no) == len(j.out.Nodes) && len(no) > 0:
		parts = append(parts, fmt.Sprintf("no node of %d runs it", len(no)))
	case len(no) > 0:
		parts = append(parts, fmt.Sprintf("%d of %s do not run it: %s", len(no), of, some(no)))
	}
	if len(untold) > 0 {
		parts = append(parts, fmt.Sprintf("of %d of %s it cannot be told: %s", len(untold), of, some(untold)))
	}
	if len(parts) == 0 {
		return j.steps[StageRolledOut].stuck()
	}
	if len(unknown) > 0 {
		parts = append(parts, "not known of "+some(unknown))
	}
	return strings.Join(parts, "; ")
}

// appliedAt is when the change was in place for agents to read.
func (j *judge) appliedAt() time.Time {
	return latestOr(earliest(j.in.Before.Reconciled, j.since), j.in.Now)
}

// sorted puts what is not fine first.
func sorted(nodes []NodeState) []NodeState {
	rank := map[snapshot.Tri]int{snapshot.No: 0, snapshot.Unknown: 1, snapshot.Yes: 2}
	slices.SortStableFunc(nodes, func(a, b NodeState) int { return rank[a.Active] - rank[b.Active] })
	return nodes
}
