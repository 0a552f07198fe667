package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/remediate"
)

// due are the causes that are not to be had from a change that is on its way; what the
// others wait for is shown. While a merged one of ours is, its verdict tells what becomes
// of it.
func (r *PolicyReconciler) due(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look, all []v1alpha1.RemediationSpec) ([]v1alpha1.RemediationSpec, error) {
	since := r.sighted(l.key, all)
	merged, proposed := r.underWay(p, l)
	var due []v1alpha1.RemediationSpec
	for _, spec := range all {
		wait, why := waitOf(p, spec.Signature, proposed)
		left := wait - r.now().Sub(since[spec.Signature])
		switch {
		case merged:
			l.postpone(p, spec, "a merged change is followed, whose verdict tells what becomes of it")
		case left > 0:
			l.postpone(p, spec, why)
			l.lookIn(left)
		default:
			due = append(due, spec)
		}
	}
	out, err := r.damp(ctx, l, slices.Clone(due), since)
	for _, spec := range due {
		if err == nil && !slices.Contains(out, spec) {
			l.postpone(p, spec, fmt.Sprintf("it was seen while an agent started: what is seen %s after that counts", calm))
		}
	}
	return out, err
}

// waitOf is for how long a cause has to be confirmed, and why. That agents run an older
// configuration is what every rollout begins with, and its end is known when the facts
// are read. While a change is proposed it may just have been merged, which is known an
// interval later.
func waitOf(p *v1alpha1.RemediationPolicy, id v1alpha1.SignatureID, proposed bool) (time.Duration, string) {
	switch {
	case id == signature.ConfigNotActive:
		wait := p.Spec.Verify.GetGrace() + remediate.FactsSoon
		return wait, fmt.Sprintf("agents have %s to take a configuration up (spec.verify.grace, and %s to see that they did)", wait, remediate.FactsSoon)
	case proposed:
		wait := p.GetRequeueAfter()
		return wait, fmt.Sprintf("a pull request is open, and may have been merged just now: it counts after %s", wait)
	}
	return 0, ""
}

// postpone shows a confirmed cause that gets no Remediation yet, and why.
func (l *look) postpone(p *v1alpha1.RemediationPolicy, spec v1alpha1.RemediationSpec, why string) {
	if !isActive(l.all, spec.Signature) {
		f := v1alpha1.PendingFinding{Signature: string(spec.Signature), Family: spec.Family, Lacks: "it is confirmed, and has no Remediation yet: " + why}
		p.Status.Pending = slices.Insert(p.Status.Pending, 0, f)
	}
}

// lookIn has the policy looked at again when that is sooner than it would be.
func (l *look) lookIn(d time.Duration) {
	if l.again == 0 || d < l.again {
		l.again = d
	}
}
