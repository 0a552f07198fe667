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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	kuberecorder "k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// RemediationReconciler takes each Remediation through its steps.
type RemediationReconciler struct {
	client.Client
	fluxcontroller.Metrics
	// Events are about the HelmRelease.
	Events kuberecorder.EventRecorder

	Watching Watching
	Targets  *Targets
	// Cluster is read for plans, a page at a time and without a cache.
	Cluster *rest.Config
	// Namespace of the controller, where the break-glass account is.
	Namespace string
	// Storage is a folder for clones and charts.
	Storage string
	// Plan is [remediate.Plan], Change [remediate.ChangeAt], when nil.
	Plan   func(context.Context, remediate.Options) (*remediate.Result, error)
	Change func(context.Context, remediate.Options, string) (*remediate.Change, error)
	// Agents are asked what they run, where nothing else tells; nil asks none.
	Agents *remediate.AgentMetrics
	// Follow looks at a merged change; nil asks Cluster. Judge is [verify.Judge] when nil.
	Follow Following
	Judge  func(verify.Input) verify.State
	// BreakGlass brings commits in; nil does it as the policy's account.
	BreakGlass BreakingGlass
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu       sync.Mutex
	memories map[types.UID]*memory
}

// Following looks at a merged change; see [remediate.Follower].
type Following interface {
	Look(ctx context.Context, f remediate.Followed, probes verify.Probes) (verify.Input, error)
}

// memory is what is kept of a Remediation between two looks, so that not all has to
// be asked again. Nothing is lost with it but time.
type memory struct {
	// asked is when Git and the forge were asked last, handled the request for a look
	// that was heeded then.
	asked   time.Time
	handled string
	// released is the release that was there then: another one has them asked again.
	released string
	// planned is what result was made of.
	planned string
	result  *remediate.Result
	// early: it was made before probes had tried all their ways.
	early bool
	// unfit is what a plan was to be made of that cannot be, and unfitBy the reason.
	unfit   string
	unfitBy error
	outcome *v1alpha1.PullRequestOutcome
	pr      *remediate.Recalled
	// change is of the commit that was merged, in the clone of that moment; behind says
	// that Flux has a revision which that clone does not.
	change *remediate.Change
	cloned time.Time
	behind bool
	// counted is since when exchanges are counted, rolledOut for which RolledOut.
	counted, rolledOut time.Time
	// state is the last look at the merged change.
	state verify.State
	// dir holds the clones.
	dir string
	// assessed is the merged commit whose way was judged, glass when bringing one in, or
	// giving the release back, failed last.
	assessed string
	glass    time.Time
	// closing is the commit by whose values the release is given back.
	closing string
	// told is the conclusion that stands below the pull request.
	told string
}

func (r *RemediationReconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// remediationConditions are those that this reconciler owns.
func remediationConditions() []string {
	return append([]string{meta.ReadyCondition, meta.ReconcilingCondition, meta.StalledCondition}, v1alpha1.Steps()...)
}

// Reconcile takes one Remediation as far as it goes now.
func (r *RemediationReconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	start := r.now()
	o := &v1alpha1.Remediation{}
	if err := r.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if o.DeletionTimestamp != nil || o.IsEnded() {
		r.drop(o)
		return ctrl.Result{}, nil
	}
	p := &v1alpha1.RemediationPolicy{}
	if err := r.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.PolicyRef.Name}, p); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil // the garbage collector follows
		}
		return ctrl.Result{}, err
	}
	if p.Spec.Suspend || p.DeletionTimestamp != nil {
		ctrl.LoggerFrom(ctx).Info("the policy is suspended or goes", "policy", p.Name)
		return ctrl.Result{}, nil
	}
	patcher := patch.NewSerialPatcher(o, r.Client)
	i := &incident{RemediationReconciler: r, obj: o, policy: p, now: start, mem: r.memory(o), again: p.GetRequeueAfter()}
	defer func() {
		if e := r.write(ctx, patcher, o); e != nil && err == nil {
			result, err = ctrl.Result{}, e
		}
		r.RecordDuration(ctx, o, start)
		if o.IsEnded() {
			r.drop(o)
		}
	}()
	return i.finish(i.run(ctx))
}

// memory of a Remediation.
func (r *RemediationReconciler) memory(o *v1alpha1.Remediation) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memories[o.UID]
	if m == nil {
		if r.memories == nil {
			r.memories = map[types.UID]*memory{}
		}
		m = &memory{}
		r.memories[o.UID] = m
	}
	return m
}

// drop forgets an ended Remediation, and removes its clones.
func (r *RemediationReconciler) drop(o *v1alpha1.Remediation) {
	r.mu.Lock()
	m := r.memories[o.UID]
	delete(r.memories, o.UID)
	r.mu.Unlock()
	if m != nil {
		m.close()
	}
	r.stopCounting(o)
}

func (r *RemediationReconciler) write(ctx context.Context, patcher *patch.SerialPatcher, o *v1alpha1.Remediation) error {
	o.Status.Bound()
	err := patcher.Patch(ctx, o, patch.WithOwnedConditions{Conditions: remediationConditions()}, patch.WithFieldOwner(Name))
	return client.IgnoreNotFound(err)
}

// finish puts what became of the steps into the conditions.
func (i *incident) finish(err error) (ctrl.Result, error) {
	o := i.obj
	if v, ok := meta.ReconcileAnnotationValue(o.Annotations); ok {
		o.Status.SetLastHandledReconcileRequest(v)
	}
	o.Status.ObservedGeneration = o.Generation
	if o.IsEnded() {
		return i.ended()
	}
	if err == nil {
		conditions.Delete(o, meta.StalledCondition)
		message := i.waitsFor()
		conditions.MarkReconciling(o, meta.ProgressingReason, "%s", message)
		conditions.MarkUnknown(o, meta.ReadyCondition, meta.ProgressingReason, "%s", message)
		return ctrl.Result{RequeueAfter: i.again}, nil
	}
	f := asFault(err)
	if i.target != nil {
		f.err = redacted(f.err, i.target.redact)
	}
	message := v1alpha1.Clip(f.Error(), v1alpha1.MaxMessage)
	conditions.MarkFalse(o, meta.ReadyCondition, f.reason, "%s", message)
	switch {
	case f.stalled:
		conditions.Delete(o, meta.ReconcilingCondition)
		conditions.MarkStalled(o, f.reason, "%s", message)
		return ctrl.Result{RequeueAfter: max(i.policy.GetRequeueAfter(), stalledAgain)}, nil
	case f.again > 0:
		i.again = f.again
	}
	conditions.Delete(o, meta.StalledCondition)
	conditions.MarkReconciling(o, meta.ProgressingWithRetryReason, "%s", message)
	if f.again > 0 {
		return ctrl.Result{RequeueAfter: f.again}, nil
	}
	return ctrl.Result{}, fmt.Errorf("%s: %w", f.reason, f.err)
}

// ended: good or not, nothing more is done.
func (i *incident) ended() (ctrl.Result, error) {
	o := i.obj
	conditions.Delete(o, meta.ReconcilingCondition)
	conditions.Delete(o, meta.StalledCondition)
	message := v1alpha1.Clip(string(o.Status.Verdict)+": "+o.Status.Because, v1alpha1.MaxMessage)
	if o.Status.Verdict == v1alpha1.VerdictRegressed || o.Status.Verdict == v1alpha1.VerdictNotEffective {
		conditions.MarkFalse(o, meta.ReadyCondition, string(o.Status.Verdict), "%s", message)
		return ctrl.Result{}, nil
	}
	conditions.MarkTrue(o, meta.ReadyCondition, string(o.Status.Verdict), "%s", message)
	return ctrl.Result{}, nil
}

// waitsFor is the message of the first step that is not done.
func (i *incident) waitsFor() string {
	for _, step := range v1alpha1.Steps() {
		if c := conditions.Get(i.obj, step); c != nil && c.Status != "True" && step != v1alpha1.DetectedCondition {
			return v1alpha1.Clip(step+": "+c.Message, v1alpha1.MaxMessage)
		}
	}
	return "under way"
}

// redacted hides credentials in an error.
func redacted(err error, redact func(string) string) error {
	if text := redact(err.Error()); text != err.Error() {
		return fmt.Errorf("%s", text)
	}
	return err
}
