package controller

import (
	"context"
	"slices"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// detected says whether the cause is confirmed now.
type detected struct{}

func (detected) name() string { return "hear the probes" }

// stale is how old a judgement may be that says something about now.
const stale = time.Minute

func (detected) do(_ context.Context, i *incident) (bool, error) {
	i.probes = i.Watching.Listen(ownerKey(i.obj), i.policy.Spec.Probes)
	i.sight = i.probes.Sight()
	i.count()
	f := i.finding()
	switch {
	case i.sight.Err != nil || i.sight.At.IsZero() || i.now.Sub(i.sight.At) > stale:
		i.present = snapshot.Unknown
		if conditions.Get(i.obj, v1alpha1.DetectedCondition) == nil {
			i.unknown(v1alpha1.DetectedCondition, "the probes are not heard yet")
		}
		i.soon(2 * time.Second)
	case f != nil:
		i.present = snapshot.Yes
		i.found(f)
	default:
		i.present = snapshot.No
		if s := i.obj.Status.Finding; s != nil {
			s.Present = false
		}
		i.waits(v1alpha1.DetectedCondition, v1alpha1.NotObservedReason, "%s is not confirmed any more", i.obj.Spec.Signature)
	}
	if i.obj.Status.Phase == "" {
		i.phase(v1alpha1.PhaseDetected)
	}
	return false, nil
}

// found shows the finding.
func (i *incident) found(f *v1alpha1.Finding) {
	s := &i.obj.Status
	first := s.Finding == nil
	out := &v1alpha1.FindingStatus{Severity: f.Severity, Confidence: f.Confidence, Summary: f.Summary, Present: true}
	if s.Finding != nil {
		out.Since = s.Finding.Since
	}
	for _, r := range i.sight.Judgement.Records {
		if r.Signature != f.Signature || r.Family != f.Family {
			continue
		}
		if out.Since == nil {
			out.Since = stamp(r.Since)
		}
		if first && i.times().Confirmed == nil {
			i.times().Confirmed = stamp(r.Confirmed)
			observeBetween(timeToConfirm.WithLabelValues(f.Signature), r.Since, r.Confirmed)
		}
	}
	for _, r := range f.RuledOut {
		out.RuledOut = append(out.RuledOut, r.Signature+": "+r.Because)
	}
	s.Finding = out
	if first || conditions.IsFalse(i.obj, v1alpha1.DetectedCondition) {
		s.Evidence = slices.Clone(f.Evidence) // the judgement is shared
	}
	i.done(v1alpha1.DetectedCondition, "%s is confirmed", f.Signature)
	if first {
		if i.times().Confirmed == nil {
			i.times().Confirmed = stamp(i.now)
		}
		i.note(v1alpha1.DetectedCondition, "confirmed: %s", f.Summary)
		i.tell("Confirmed", "Warning", "%s: %s", f.Signature, f.Summary)
	}
}

// healed is for a cause that went before any change of ours was merged.
type healed struct{}

func (healed) name() string { return "see whether it healed" }

func (healed) do(_ context.Context, i *incident) (bool, error) {
	pr := i.mem.pr
	if i.isMerged() || i.present != snapshot.No || pr != nil && pr.State == forge.Merged {
		return false, nil
	}
	c := conditions.Get(i.obj, v1alpha1.DetectedCondition)
	hold := i.policy.Spec.Verify.GetHold()
	if left := c.LastTransitionTime.Add(hold).Sub(i.now); left > 0 {
		i.soon(left)
		// What is open is brought up to date meanwhile, and closed when nothing is left.
		return pr == nil || pr.State != forge.Open, nil
	}
	if pr != nil && pr.State == forge.Open {
		return false, nil // the plan on the newest base decides
	}
	verdict, because := v1alpha1.VerdictFixedElsewhere, "the failure is gone since "+c.LastTransitionTime.UTC().Format("2006-01-02 15:04 UTC")
	others := i.sight.Confirmed()
	switch {
	case i.obj.Status.Verdict != v1alpha1.VerdictNotEffective:
		because += ", and no change of ours was merged: it was fixed otherwise, or healed by itself"
	case len(others) > 0:
		verdict, because = v1alpha1.VerdictNotEffective, i.obj.Status.Because+"; it is "+others[0].Signature+" that is confirmed now"
	default:
		because += ", after a change of ours that was merged seemed to have no effect: " + i.obj.Status.Because
	}
	if i.obj.Status.Verdict == v1alpha1.VerdictClosed {
		verdict, because = v1alpha1.VerdictClosed, i.obj.Status.Because+"; the failure is gone since"
	}
	if pr != nil && pr.State == forge.Closed && pr.Why != "" {
		because += " (" + pr.Why + ")"
	}
	i.end(verdict, because)
	return true, nil
}
