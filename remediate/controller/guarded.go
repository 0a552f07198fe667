package controller

import (
	"context"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
)

// guarded holds back what the policy does not let through. What hangs on the forge
// and the cluster the proposer asks the guard about.
type guarded struct{}

func (guarded) name() string { return "guard" }

func (guarded) do(_ context.Context, i *incident) (bool, error) {
	open := i.mem.pr != nil && i.mem.pr.State == forge.Open
	if i.isMerged() || i.mem.pr != nil && i.mem.pr.State == forge.Merged {
		i.done(v1alpha1.GuardedCondition, "people merged it")
		return false, nil
	}
	if i.policy.GetMode() != v1alpha1.ModePropose {
		i.held("the policy's mode is Observe: the plan is published, and nothing is opened", "Observed")
		return true, nil
	}
	if why, until := frozen(i.policy.Spec.Freezes, i.now); why != "" && !open {
		i.soon(until.Sub(i.now))
		i.held(why, v1alpha1.HeldReason)
		return true, nil
	}
	return false, nil
}

// held shows why nothing is proposed; once it is told.
func (i *incident) held(why, event string) {
	i.waits(v1alpha1.GuardedCondition, v1alpha1.HeldReason, "%s", why)
	if i.obj.Status.Phase != v1alpha1.PhaseHeld {
		i.note(v1alpha1.GuardedCondition, "held: %s", why)
		i.tell(event, "Normal", "held: %s", why)
	}
	i.phase(v1alpha1.PhaseHeld)
}
