package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/remediate"
)

// showSight puts what the probes say into a policy's status.
func showSight(p *v1alpha1.RemediationPolicy, s remediate.Sight, pairs remediate.Pairs) {
	p.Status.LastJudged = stamp(s.At)
	p.Status.Probes = probesStatus(s)
	p.Status.Matrix = matrixStatus(pairs)
	p.Status.Pending = nil
	for _, f := range s.Judgement.Pending {
		if p.Spec.Signatures.Looks(f.Signature) {
			p.Status.Pending = append(p.Status.Pending, v1alpha1.PendingFinding{Signature: f.Signature, Family: f.Family, Lacks: strings.Join(f.Lacked, "; ")})
		}
	}
	observing(p, s)
}

func observing(p *v1alpha1.RemediationPolicy, s remediate.Sight) {
	silent := silentNodes(s)
	switch {
	case s.Err != nil:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.ClusterReason, "%s", v1alpha1.Clip(s.Err.Error(), v1alpha1.MaxMessage))
	case s.At.IsZero():
		conditions.MarkUnknown(p, v1alpha1.ObservingCondition, meta.ProgressingReason, "waiting for the first probe")
	case s.NoKey():
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.SecretReason, "%s", noKey(p.Spec.Probes.GetNamespace()))
	case s.Wanted == 0 && len(s.Why) > 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.NotFoundReason, "no probe runs in namespace %s: %s", p.Spec.Probes.GetNamespace(), v1alpha1.Clip(s.Why[0], 500))
	case s.Wanted == 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.NotFoundReason,
			"no probes run in namespace %s: install them, or correct spec.probes.namespace", p.Spec.Probes.GetNamespace())
	case len(silent) > 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.ProbesSilentReason, "nothing is heard of %s", v1alpha1.Clip(some(silent), 500))
	default:
		conditions.MarkTrue(p, v1alpha1.ObservingCondition, meta.SucceededReason, "every probe is heard")
	}
}

// noKey says what to do where people have to make the probes' key: the controller may
// make no Secret.
func noKey(namespace string) string {
	return fmt.Sprintf("no probe runs in namespace %s, since the Secret with their shared key is missing; make it: %s", namespace, remediate.MakeKey(namespace))
}

// unreadFor is how long a log may not have been read: those of a large cluster are
// read in turn.
const unreadFor = 5 * time.Minute

// silentNodes are the nodes whose probes are not heard, sorted.
func silentNodes(s remediate.Sight) []string {
	var out []string
	for _, x := range s.Silent {
		if x.Reason == collect.ReasonUnread && s.At.Sub(x.Since) < unreadFor {
			continue
		}
		out = append(out, x.Probe.Node)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// some is a list of names, cut to a few.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func probesStatus(s remediate.Sight) *v1alpha1.ProbesStatus {
	out := &v1alpha1.ProbesStatus{Wanted: int32(s.Wanted), Heard: int32(max(0, s.Heard-len(s.Silent))), LastHeard: stamp(s.LastHeard), Silent: silentNodes(s)}
	for _, x := range s.Silent {
		if since := stamp(x.Since); since != nil && (out.Oldest == nil || since.Before(out.Oldest)) {
			out.Oldest = since
		}
	}
	return out
}

func matrixStatus(p remediate.Pairs) *v1alpha1.MatrixStatus {
	return &v1alpha1.MatrixStatus{Nodes: int32(p.Nodes), Pairs: int32(p.Nodes * max(0, p.Nodes-1)), Broken: int32(p.Broken), Unknown: int32(p.Unknown)}
}
