package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/remediate"
)

// incident is one look at a Remediation.
type incident struct {
	*RemediationReconciler
	obj    *v1alpha1.Remediation
	policy *v1alpha1.RemediationPolicy
	target *target
	probes Probes
	sight  remediate.Sight
	mem    *memory
	now    time.Time
	// present: the cause is confirmed now.
	present snapshot.Tri
	// ask says that Git and the forge are due.
	ask bool
	// again is when the next look is due.
	again time.Duration
}

// step is one part of an incident's life. done ends the look: the rest waits for it.
type step interface {
	name() string
	do(ctx context.Context, i *incident) (done bool, err error)
}

// steps in their order. Each derives from Git, the forge and the cluster whether it
// has anything to do.
func steps() []step {
	return []step{resolved{}, detected{}, recalled{}, healed{}, planned{}, guarded{}, proposed{}, merged{}, delivered{}, followed{}, concluded{}}
}

func (i *incident) run(ctx context.Context) error {
	for _, s := range steps() {
		done, err := s.do(ctx, i)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		if done || i.obj.IsEnded() {
			return nil
		}
	}
	return nil
}

// key names the incident in counts and logs.
func (i *incident) key() string { return client.ObjectKeyFromObject(i.obj).String() }

// soon has the next look come no later than d.
func (i *incident) soon(d time.Duration) { i.again = min(i.again, max(d, time.Second)) }

// done, waits and unknown set a step's condition.
func (i *incident) done(step, format string, args ...any) {
	i.mark(step, "True", meta.SucceededReason, format, args...)
}

func (i *incident) waits(step, reason, format string, args ...any) {
	i.mark(step, "False", reason, format, args...)
}

func (i *incident) unknown(step, format string, args ...any) {
	i.mark(step, "Unknown", v1alpha1.NotObservedReason, format, args...)
}

func (i *incident) mark(step, status, reason, format string, args ...any) {
	message := v1alpha1.Clip(i.redact(fmt.Sprintf(format, args...)), v1alpha1.MaxMessage)
	switch status {
	case "True":
		conditions.MarkTrue(i.obj, step, reason, "%s", message)
	case "False":
		conditions.MarkFalse(i.obj, step, reason, "%s", message)
	default:
		conditions.MarkUnknown(i.obj, step, reason, "%s", message)
	}
}

func (i *incident) redact(s string) string {
	if i.target == nil || i.target.redact == nil {
		return s
	}
	return i.target.redact(s)
}

// note adds to the history what happened, once.
func (i *incident) note(step, format string, args ...any) {
	text := v1alpha1.Clip(i.redact(fmt.Sprintf(format, args...)), 200)
	h := &i.obj.Status.History
	if n := len(*h); n > 0 && (*h)[n-1].Step == step && (*h)[n-1].Text == text {
		return
	}
	*h = append(*h, v1alpha1.HistoryEntry{At: *stamp(i.now), Step: step, Text: text})
}

// phase moves on.
func (i *incident) phase(p v1alpha1.Phase) { i.obj.Status.Phase = p }

// times are the steps', made when missing.
func (i *incident) times() *v1alpha1.StepTimes {
	if i.obj.Status.Times == nil {
		i.obj.Status.Times = &v1alpha1.StepTimes{}
	}
	return i.obj.Status.Times
}

// end closes the incident with a verdict.
func (i *incident) end(v v1alpha1.Verdict, because string) {
	s := &i.obj.Status
	because = strings.TrimPrefix(because, string(v)+": ") // a look's summary begins with it
	if s.Verdict != v {
		countVerdict(i.obj.Spec.Signature, v)
	}
	s.Verdict, s.Because, s.Phase = v, i.redact(because), v1alpha1.PhaseEnded
	i.times().Ended = stamp(i.now)
	i.note(v1alpha1.VerifiedCondition, "%s: %s", v, because)
	i.tell(string(v), severityOf(v), "%s: %s", v, because)
}

// isMerged says whether a change of ours was merged and has no final verdict yet.
func (i *incident) isMerged() bool { return i.obj.Status.Commit != "" }

// finding is the confirmed finding of the incident's cause, worst first; nil when
// it is not confirmed.
func (i *incident) finding() *v1alpha1.Finding {
	all := i.sight.Confirmed()
	n := slices.IndexFunc(all, func(f v1alpha1.Finding) bool { return f.Signature == string(i.obj.Spec.Signature) })
	if n < 0 {
		return nil
	}
	return &all[n]
}

// proposer looks after the pull requests of a policy.
func proposer(p *v1alpha1.RemediationPolicy, t *target) *remediate.Proposer {
	spec := p.GetPullRequest()
	out := &remediate.Proposer{Forge: t.forge, Remote: t.remote, Spec: spec, Signer: t.signer, Cluster: t.cluster, Base: t.source.Branch, Limits: remediate.LimitsOf(spec.Limits)}
	if c := p.Spec.Commands; c != nil {
		out.Hears = c.Hears
	}
	return out
}

func (i *incident) proposer() *remediate.Proposer {
	out := proposer(i.policy, i.target)
	out.Signature, out.Now, out.Gone = string(i.obj.Spec.Signature), i.RemediationReconciler.now, i.gone()
	return out
}

// gone: the probes have seen for the hold time that nothing confirms the cause.
func (i *incident) gone() bool {
	c := conditions.Get(i.obj, v1alpha1.DetectedCondition)
	return i.present == snapshot.No && c != nil && !i.now.Before(c.LastTransitionTime.Add(i.policy.Spec.Verify.GetHold()))
}

// resolved finds where changes go.
type resolved struct{}

func (resolved) name() string { return "find the repository" }

func (resolved) do(ctx context.Context, i *incident) (bool, error) {
	if err := valid(i.policy, i.Namespace); err != nil {
		return true, err
	}
	if err := oldest(ctx, i.Client, i.policy); err != nil {
		return true, err
	}
	t, err := i.Targets.of(ctx, i.policy)
	i.target = t
	if err != nil {
		return true, err
	}
	requested, _ := meta.ReconcileAnnotationValue(i.obj.Annotations)
	due := i.mem.asked.Add(i.policy.GetRequeueAfter() - time.Second)
	released := releasedAs(t.object)
	i.ask = !i.now.Before(due) || requested != i.mem.handled || released != i.mem.released
	i.mem.handled, i.mem.released = requested, released
	return false, nil
}

// releasedAs tells releases of a HelmRelease apart. A new one may be what was merged.
func releasedAs(o *helmv2.HelmRelease) string {
	if latest := o.Status.History.Latest(); latest != nil {
		return digest(latest.ConfigDigest, latest.Version, latest.ChartVersion)
	}
	return ""
}

// recalled finds the incident's pull request: by the branch that the status names,
// or by the record in it.
type recalled struct{}

func (recalled) name() string { return "look for the pull request" }

// recallSince is how far back a pull request is looked for whose branch is not known.
const recallSince = 14 * 24 * time.Hour

func (recalled) do(ctx context.Context, i *incident) (bool, error) {
	if i.target.forge == nil || i.isMerged() || i.mem.pr != nil && !i.ask {
		return false, nil
	}
	i.mem.asked = i.now
	var err error
	if pr := i.obj.Status.PullRequest; pr != nil && pr.Branch != "" && pr.Number > 0 {
		i.mem.pr, err = i.proposer().RecallBranch(ctx, pr.Branch)
		if err != nil || i.mem.pr == nil || i.mem.pr.State != forge.Closed {
			return false, failing(v1alpha1.ForgeReason, err)
		}
	}
	found, err := i.find(ctx)
	if found != nil {
		i.mem.pr = found
	}
	return false, failing(v1alpha1.ForgeReason, err)
}

// find looks through our pull requests for the newest of this cause that is open, or
// merged and without a final verdict.
func (i *incident) find(ctx context.Context) (*remediate.Recalled, error) {
	prs, err := i.proposer().Recall(ctx, i.now.Add(-recallSince))
	if err != nil {
		return nil, err
	}
	for _, pr := range prs {
		tried := slices.ContainsFunc(i.obj.Status.Attempts, func(a v1alpha1.Attempt) bool { return a.PullRequest == pr.URL && a.Verdict.Final() })
		if pr.Signature != string(i.obj.Spec.Signature) || pr.State == forge.Closed || tried {
			continue
		}
		full, err := i.proposer().RecallBranch(ctx, pr.Branch)
		if err != nil || full == nil || pr.State == forge.Open {
			return full, err
		}
		// Another incident's: it has its verdict, or ended before this one began.
		if v1alpha1.Verdict(full.Verdict).Final() || i.present == snapshot.Yes && full.Ended.Before(i.obj.CreationTimestamp.Add(-i.policy.Spec.Verify.GetTimeout())) {
			return nil, nil
		}
		return full, nil
	}
	return nil, nil
}
