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
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/remediate"
)

// showSight puts what the probes say into a policy's status.
func showSight(p *v1alpha1.RemediationPolicy, s remediate.Sight, pairs remediate.Pairs) {
	p.Status.LastJudged = stamp(s.At)
	p.Status.Probes = probesStatus(p.Spec.Probes, s)
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
	silent, keyless, namespace := silentNodes(p.Spec.Probes, s), noKey(p.Spec.Probes, s), p.Spec.Probes.GetNamespace()
	switch {
	case s.Err != nil:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.ClusterReason, "%s", v1alpha1.Clip(s.Err.Error(), v1alpha1.MaxMessage))
	case s.At.IsZero():
		conditions.MarkUnknown(p, v1alpha1.ObservingCondition, meta.ProgressingReason, "waiting for the first probe")
	case keyless != "":
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.SecretReason, "%s", keyless)
	case s.Wanted == 0 && len(s.Why) > 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.NotFoundReason, "no probe runs in namespace %s: %s", namespace, v1alpha1.Clip(s.Why[0], 500))
	case s.Wanted == 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.NotFoundReason,
			"no probes run in namespace %s: install them, or correct spec.probes.namespace", namespace)
	case len(silent) > 0:
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.ProbesSilentReason, "nothing is heard of %s", v1alpha1.Clip(some(silent), 500))
	case p.Spec.Probes.HasTwins() && slices.Contains(s.Idle, deploy.HostNamespace(namespace)):
		conditions.MarkFalse(p, v1alpha1.ObservingCondition, v1alpha1.NotFoundReason,
			"no probe runs in namespace %s: install the twins (config/probe/host, or the chart's probe.host), or leave spec.probes.host out", deploy.HostNamespace(namespace))
	default:
		conditions.MarkTrue(p, v1alpha1.ObservingCondition, meta.SucceededReason, "every probe is heard")
	}
}

// noKey says what to do where people have to make the key of the probes that a policy
// asks for: the controller may make no Secret.
func noKey(spec *v1alpha1.ProbesSpec, s remediate.Sight) string {
	namespace := spec.GetNamespace()
	twins := deploy.HostNamespace(namespace)
	var where, commands []string
	if slices.Contains(s.Keyless, namespace) {
		where, commands = append(where, namespace), append(commands, remediate.MakeKey(namespace))
	}
	if spec.HasTwins() && slices.Contains(s.Keyless, twins) {
		where, commands = append(where, twins), append(commands, remediate.CopyKey(namespace))
	}
	if len(where) == 0 {
		return ""
	}
	return fmt.Sprintf("no probe runs in namespace %s, since the Secret with their shared key is missing; make it: %s", strings.Join(where, " and "), strings.Join(commands, " && "))
}

// unreadFor is how long a log may not have been read: those of a large cluster are
// read in turn.
const unreadFor = 5 * time.Minute

// silentNodes are the nodes whose probes are not heard for as long as the policy says,
// sorted.
func silentNodes(spec *v1alpha1.ProbesSpec, s remediate.Sight) []string {
	var out []string
	for _, x := range s.Silent {
		least := spec.GetSilentAfter()
		if x.Reason == collect.ReasonUnread {
			least = max(least, unreadFor)
		}
		if s.At.Sub(x.Since) < least {
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

func probesStatus(spec *v1alpha1.ProbesSpec, s remediate.Sight) *v1alpha1.ProbesStatus {
	out := &v1alpha1.ProbesStatus{Wanted: int32(s.Wanted), Heard: int32(s.Heard), LastHeard: stamp(s.LastHeard), Silent: silentNodes(spec, s)}
	for _, x := range s.Silent {
		if !x.Probe.HostNetwork && !x.Probe.Heard.IsZero() && out.Heard > 0 {
			out.Heard--
		}
		if since := stamp(x.Since); since != nil && (out.Oldest == nil || since.Before(out.Oldest)) {
			out.Oldest = since
		}
	}
	return out
}

func matrixStatus(p remediate.Pairs) *v1alpha1.MatrixStatus {
	return &v1alpha1.MatrixStatus{Nodes: int32(p.Nodes), Pairs: int32(p.Nodes * max(0, p.Nodes-1)), Broken: int32(p.Broken), Unknown: int32(p.Unknown)}
}
