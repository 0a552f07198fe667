package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	fluxcontroller "github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/pprof"
	"github.com/fluxcd/pkg/runtime/predicates"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"k8s.io/client-go/util/workqueue"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/remediate"
)

// Parts replace what a manager is made of; nil fields are the real ones.
type Parts struct {
	Watching   Watching
	Reconciler func(*RemediationReconciler)
	Resolver   func(*Targets)
}

// New makes a manager with both reconcilers.
func New(cfg *rest.Config, o Options, userAgent string, parts Parts) (ctrl.Manager, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	lock, err := o.lease(cfg)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Logger: o.Logger, Cache: o.cache(), Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                metricsserver.Options{BindAddress: o.MetricsAddr, ExtraHandlers: pprof.GetHandlers()},
		HealthProbeBindAddress: o.HealthAddr,
		LeaderElection:         o.LeaderElection.Enable, LeaderElectionID: LeaseName, LeaderElectionNamespace: o.Namespace,
		LeaderElectionReleaseOnCancel: o.LeaderElection.ReleaseOnCancel, LeaseDuration: &o.LeaderElection.LeaseDuration,
		RenewDeadline: &o.LeaderElection.RenewDeadline, RetryPeriod: &o.LeaderElection.RetryPeriod,
		LeaderElectionResourceLockInterface: lock, GracefulShutdownTimeout: new(gracefully),
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	return mgr, errors.Join(mgr.AddReadyzCheck("ping", healthz.Ping), mgr.AddHealthzCheck("ping", healthz.Ping), o.add(mgr, cfg, userAgent, parts))
}

// gracefully is how long steps may take to end: all of them can be cut short.
const gracefully = 8 * time.Second

// cache holds only what is watched, without what nobody reads: Flux's objects, our
// own, and of ConfigMaps the one of Cilium. Pods, endpoints and identities are read a
// page at a time when a plan is made.
func (o *Options) cache() cache.Options {
	out := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	out.ByObject = map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{observe.DefaultCiliumNamespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", ciliumConfig)}}},
	}
	if !o.WatchAllNamespaces {
		own := map[string]cache.Config{o.Namespace: {}}
		out.ByObject[&v1alpha1.RemediationPolicy{}] = cache.ByObject{Namespaces: own}
		out.ByObject[&v1alpha1.Remediation{}] = cache.ByObject{Namespaces: own}
	}
	return out
}

const ciliumConfig = "cilium-config"

// add registers everything with the manager.
func (o *Options) add(mgr ctrl.Manager, cfg *rest.Config, userAgent string, parts Parts) error {
	events, err := newRecorder(mgr, o.EventsAddr)
	if err != nil {
		return err
	}
	watchers := NewWatchers(cfg, mgr.GetLogger().WithName("probes"))
	targets := &Targets{resolver: &resolver{Client: mgr.GetClient(), Direct: mgr.GetAPIReader(), SameNamespace: o.ACL.NoCrossNamespaceRefs, UserAgent: userAgent}}
	if parts.Resolver != nil {
		parts.Resolver(targets)
	}
	measured := fluxcontroller.NewMetrics(mgr, recorded())
	policies := &PolicyReconciler{Client: mgr.GetClient(), Metrics: measured, Watching: watchers, Targets: targets, Direct: mgr.GetAPIReader(), Namespace: o.Namespace, Jitter: o.jitter()}
	remediations := &RemediationReconciler{Client: mgr.GetClient(), Metrics: measured, Events: events, Watching: watchers, Targets: targets,
		Cluster: cfg, Agents: &remediate.AgentMetrics{Cluster: cfg}, Namespace: o.Namespace, Storage: o.Storage}
	if parts.Watching != nil {
		policies.Watching, remediations.Watching = parts.Watching, parts.Watching
	}
	if parts.Reconciler != nil {
		parts.Reconciler(remediations)
	}
	return errors.Join(mgr.Add(events), mgr.Add(watchers), policies.setup(mgr, o, watchers), remediations.setup(mgr, o, watchers))
}

func (o *Options) jitter() func(time.Duration) time.Duration {
	if err := o.Jitter.SetGlobalJitter(nil); err != nil {
		return nil
	}
	return jitter.JitteredIntervalDuration
}

// ours are changes of our own kinds that are no doing of ours: of the spec, or a
// request for a look.
func ours() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicates.ReconcileRequestedPredicate{}, approved{})
}

// approved is a changed approval of break-glass.
type approved struct{ predicate.Funcs }

// Update says whether the annotation is another one.
func (approved) Update(e event.UpdateEvent) bool {
	return e.ObjectOld != nil && e.ObjectNew != nil &&
		e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationApproveBreakGlass] != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationApproveBreakGlass]
}

// Create, Delete and Generic are others' to decide.
func (approved) Create(event.CreateEvent) bool   { return false }
func (approved) Delete(event.DeleteEvent) bool   { return false }
func (approved) Generic(event.GenericEvent) bool { return false }

func (r *PolicyReconciler) setup(mgr ctrl.Manager, o *Options, w *Watchers) error {
	all := handler.EnqueueRequestsFromMapFunc(r.everyPolicy)
	return ctrl.NewControllerManagedBy(mgr).Named("remediationpolicy").
		For(&v1alpha1.RemediationPolicy{}, builder.WithPredicates(ours())).
		Watches(&v1alpha1.RemediationPolicy{}, all, builder.WithPredicates(deletions())).
		Owns(&v1alpha1.Remediation{}, builder.WithPredicates(predicate.Or(deletions(), endings{}))).
		Watches(&helmv2.HelmRelease{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&kustomizev1.Kustomization{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&sourcev1.GitRepository{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(changedPolicies(w)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, RateLimiter: fluxcontroller.GetRateLimiter(o.RateLimiter)}).
		Complete(r)
}

// changedPolicies are those whose probes say something else.
func changedPolicies(w *Watchers) source.TypedSource[reconcile.Request] {
	return source.TypedChannel(w.Changed, handler.TypedFuncs[types.NamespacedName, reconcile.Request]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[types.NamespacedName], q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			q.Add(reconcile.Request{NamespacedName: e.Object})
		},
	})
}

// everyPolicy is looked at when a Flux object changes: which of them it concerns is
// known once it is resolved.
func (r *PolicyReconciler) everyPolicy(ctx context.Context, _ client.Object) []reconcile.Request {
	var all v1alpha1.RemediationPolicyList
	if err := r.List(ctx, &all); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list policies")
		return nil
	}
	var out []reconcile.Request
	for _, p := range all.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&p)})
	}
	return out
}

// deletions are of objects only.
func deletions() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// endings are Remediations that have just ended.
type endings struct{ predicate.Funcs }

// Update says whether it ended.
func (endings) Update(e event.UpdateEvent) bool {
	was, okWas := e.ObjectOld.(*v1alpha1.Remediation)
	is, okIs := e.ObjectNew.(*v1alpha1.Remediation)
	return okWas && okIs && !was.IsEnded() && is.IsEnded()
}

// Create, Delete and Generic are others' to decide.
func (endings) Create(event.CreateEvent) bool   { return false }
func (endings) Delete(event.DeleteEvent) bool   { return false }
func (endings) Generic(event.GenericEvent) bool { return false }

func (r *RemediationReconciler) setup(mgr ctrl.Manager, o *Options, w *Watchers) error {
	all := handler.EnqueueRequestsFromMapFunc(r.everyActive)
	return ctrl.NewControllerManagedBy(mgr).Named("remediation").
		For(&v1alpha1.Remediation{}, builder.WithPredicates(ours())).
		Watches(&v1alpha1.RemediationPolicy{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&helmv2.HelmRelease{}, all, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			w.Refresh()
			return r.everyActive(ctx, o)
		}), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Concurrent, RateLimiter: fluxcontroller.GetRateLimiter(o.RateLimiter)}).
		Complete(r)
}

// everyActive Remediation whose change is proposed or on its way is looked at when
// Flux or Cilium change something.
func (r *RemediationReconciler) everyActive(ctx context.Context, changed client.Object) []reconcile.Request {
	var all v1alpha1.RemediationList
	if err := r.List(ctx, &all); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Remediations")
		return nil
	}
	_, policy := changed.(*v1alpha1.RemediationPolicy)
	var out []reconcile.Request
	for _, o := range all.Items {
		if o.IsEnded() || policy && (o.Namespace != changed.GetNamespace() || o.Spec.PolicyRef.Name != changed.GetName()) || !policy && o.Status.Commit == "" && o.Status.PullRequest == nil {
			continue
		}
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&o)})
	}
	return out
}
