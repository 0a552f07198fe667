package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	fluxcontroller "github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/patch"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate"
)

// PolicyReconciler looks after RemediationPolicies: it finds what they name, listens
// to the probes, and makes a Remediation for each confirmed cause.
type PolicyReconciler struct {
	client.Client
	fluxcontroller.Metrics

	Watching Watching
	Targets  *Targets
	// Direct reads what is not cached; nil is Client.
	Direct client.Reader
	// Namespace of the controller.
	Namespace string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Jitter spreads the intervals; nil does not.
	Jitter func(time.Duration) time.Duration

	mu sync.Mutex
	// known are the Remediations of a policy at the last look: when one is gone, the
	// forge is asked what there is.
	known map[types.NamespacedName]map[string]bool
	// since is from when on causes are confirmed.
	since map[types.NamespacedName]map[v1alpha1.SignatureID]time.Time
}

// stalledAgain is how often a policy is looked at that somebody has to change first:
// what it waits for may be a Secret, which nobody watches.
const stalledAgain = 2 * time.Minute

func (r *PolicyReconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// policyConditions are those that this reconciler owns.
func policyConditions() []string {
	return []string{meta.ReadyCondition, meta.ReconcilingCondition, meta.StalledCondition, v1alpha1.ResolvedCondition, v1alpha1.ObservingCondition}
}

// Reconcile looks at one policy.
func (r *PolicyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	start := r.now()
	p := &v1alpha1.RemediationPolicy{}
	if err := r.Get(ctx, req.NamespacedName, p); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if p.DeletionTimestamp != nil || p.Spec.Suspend {
		r.forget(req.NamespacedName)
		if p.DeletionTimestamp != nil {
			return ctrl.Result{}, nil
		}
		r.RecordSuspend(ctx, p, true)
		ctrl.LoggerFrom(ctx).Info("suspended")
		return ctrl.Result{}, nil
	}
	patcher := patch.NewSerialPatcher(p, r.Client)
	defer func() {
		if e := r.write(ctx, patcher, p); e != nil && err == nil {
			result, err = ctrl.Result{}, e
		}
		r.RecordSuspend(ctx, p, false)
		r.RecordDuration(ctx, p, start)
	}()
	l := &look{key: req.NamespacedName}
	return r.finish(p, l, r.reconcile(ctx, p, l))
}

// forget ends what goes on for a policy.
func (r *PolicyReconciler) forget(policy types.NamespacedName) {
	r.Watching.Leave(policy)
	r.Targets.Drop(policy)
	r.mu.Lock()
	delete(r.known, policy)
	delete(r.since, policy)
	r.mu.Unlock()
}

// policyStep is one part of a look at a policy.
type policyStep func(context.Context, *v1alpha1.RemediationPolicy, *look) error

// look is what the steps of one look share.
type look struct {
	key    types.NamespacedName
	target *target
	probes Probes
	sight  remediate.Sight
	all    []v1alpha1.Remediation
	// again is when the next look is due, if that is before the policy's interval.
	again time.Duration
}

func (r *PolicyReconciler) reconcile(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	for _, do := range []policyStep{r.validate, r.resolve, r.listen, r.incidents, r.prune, r.hears} {
		if err := do(ctx, p, l); err != nil {
			return err
		}
	}
	return nil
}

// validate checks the policy itself. One that is not in force does not listen.
func (r *PolicyReconciler) validate(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	err := valid(p, r.Namespace)
	if err == nil {
		err = oldest(ctx, r.Client, p)
	}
	if err != nil {
		r.Watching.Leave(l.key)
	}
	return err
}

// resolve finds the target. One that cannot be found does not keep the probes from
// being listened to.
func (r *PolicyReconciler) resolve(ctx context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	t, err := r.Targets.of(ctx, p)
	l.target = t
	// The target is shared with who works on Remediations.
	if t != nil && t.release.Name != "" {
		release := t.release
		p.Status.Release = &release
	}
	if t != nil && t.source.URL != "" {
		source := t.source
		p.Status.Source = &source
	}
	if err != nil {
		f := asFault(err)
		conditions.MarkFalse(p, v1alpha1.ResolvedCondition, f.reason, "%s", v1alpha1.Clip(f.Error(), v1alpha1.MaxMessage))
		return err
	}
	conditions.MarkTrue(p, v1alpha1.ResolvedCondition, meta.SucceededReason, "HelmRelease %s, changed in %s", t.name(), v1alpha1.Clip(t.source.URL, 500))
	return nil
}

// listen shows what the probes say.
func (r *PolicyReconciler) listen(_ context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	l.probes = r.Watching.Listen(l.key, p.Spec.Probes)
	l.sight = l.probes.Sight()
	measure(p.Spec.Probes.GetNamespace(), l.sight)
	showSight(p, l.sight, l.probes.Pairs())
	return nil
}

// hears: a policy whose probes cannot start without its user would find nothing, or
// less than it asks for. What was begun goes on.
func (r *PolicyReconciler) hears(_ context.Context, p *v1alpha1.RemediationPolicy, l *look) error {
	if text := noKey(p.Spec.Probes, l.sight); text != "" {
		return stalled(v1alpha1.SecretReason, "%s", text)
	}
	return nil
}

// finish puts the outcome into the conditions.
func (r *PolicyReconciler) finish(p *v1alpha1.RemediationPolicy, l *look, err error) (ctrl.Result, error) {
	if v, ok := meta.ReconcileAnnotationValue(p.Annotations); ok {
		p.Status.SetLastHandledReconcileRequest(v)
	}
	p.Status.ObservedGeneration = p.Generation
	again := p.GetRequeueAfter()
	if r.Jitter != nil {
		again = r.Jitter(again)
	}
	if l.again > 0 {
		again = min(again, l.again)
	}
	if err == nil {
		conditions.Delete(p, meta.ReconcilingCondition)
		conditions.Delete(p, meta.StalledCondition)
		conditions.MarkTrue(p, meta.ReadyCondition, meta.SucceededReason, "%s", readyMessage(p))
		return ctrl.Result{RequeueAfter: again}, nil
	}
	f := asFault(err)
	message := v1alpha1.Clip(f.Error(), v1alpha1.MaxMessage)
	conditions.MarkFalse(p, meta.ReadyCondition, f.reason, "%s", message)
	if f.stalled {
		conditions.Delete(p, meta.ReconcilingCondition)
		conditions.MarkStalled(p, f.reason, "%s", message)
		return ctrl.Result{RequeueAfter: max(again, stalledAgain)}, nil
	}
	conditions.Delete(p, meta.StalledCondition)
	conditions.MarkReconciling(p, meta.ProgressingWithRetryReason, "%s", message)
	if f.again > 0 {
		return ctrl.Result{RequeueAfter: f.again}, nil
	}
	return ctrl.Result{}, fmt.Errorf("%s: %w", f.reason, err)
}

func readyMessage(p *v1alpha1.RemediationPolicy) string {
	ref := p.GetRelease()
	text := fmt.Sprintf("looks after HelmRelease %s/%s in mode %s", ref.Namespace, ref.Name, p.GetMode())
	if n := len(p.Status.Active); n > 0 {
		text += fmt.Sprintf("; %d active", n)
	}
	return text
}

func (r *PolicyReconciler) write(ctx context.Context, patcher *patch.SerialPatcher, p *v1alpha1.RemediationPolicy) error {
	p.Status.Bound()
	err := patcher.Patch(ctx, p, patch.WithOwnedConditions{Conditions: policyConditions()}, patch.WithFieldOwner(Name))
	return client.IgnoreNotFound(err)
}

// stamp is a time as a status has it; nil for none.
func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}
