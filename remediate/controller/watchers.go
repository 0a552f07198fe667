package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// Probes are what the probes of one namespace say.
type Probes interface {
	Sight() remediate.Sight
	// Reports are the newest observations, for a plan.
	Reports() []v1alpha1.ProbeReport
	Grids() []report.Grid
	Pairs() remediate.Pairs
	// CountFrom counts exchanges from a moment on, under a name, until StopCounting.
	// Baseline and Probes are what was counted; see [remediate.Watcher].
	CountFrom(name string, at time.Time)
	StopCounting(name string)
	Baseline(name string) (verify.Baseline, bool)
	Probes(name string) verify.Probes
}

// Watching gives the probes that a policy names.
type Watching interface {
	// Listen makes sure that the policy's probes are listened to.
	Listen(policy types.NamespacedName, spec *v1alpha1.ProbesSpec) Probes
	// Of are the probes that a policy has had listened to.
	Of(policy types.NamespacedName) Probes
	// Leave ends that.
	Leave(policy types.NamespacedName)
}

// Watchers run one [remediate.Watcher] for each namespace of probes, however many
// policies want it.
type Watchers struct {
	Cluster *rest.Config
	Log     logr.Logger
	// Changed receives each policy whose probes confirm something else than before.
	Changed chan event.TypedGenericEvent[types.NamespacedName]

	mu      sync.Mutex
	ctx     context.Context
	running map[string]*watching
	wishes  map[types.NamespacedName]wish
	wait    sync.WaitGroup
}

// wish is how a policy wants its probes.
type wish struct {
	namespace string
	// reads: somebody else tells the probes who takes part.
	reads, host bool
	external    []netip.AddrPort
}

func (w wish) equal(o wish) bool {
	return w.namespace == o.namespace && w.host == o.host && w.reads == o.reads && slices.Equal(w.external, o.external)
}

// watching is a watcher that runs, as the wishes for it were.
type watching struct {
	*remediate.Watcher
	wish wish
	stop context.CancelFunc
}

// NewWatchers listens on a cluster, once it is started.
func NewWatchers(cluster *rest.Config, log logr.Logger) *Watchers {
	return &Watchers{Cluster: cluster, Log: log, Changed: make(chan event.TypedGenericEvent[types.NamespacedName], 256),
		running: map[string]*watching{}, wishes: map[types.NamespacedName]wish{}}
}

// NeedLeaderElection says that only the leader listens.
func (w *Watchers) NeedLeaderElection() bool { return true }

// Start listens to what policies wish for until ctx ends.
func (w *Watchers) Start(ctx context.Context) error {
	w.mu.Lock()
	w.ctx = ctx
	for namespace := range w.wished() {
		w.arrange(namespace)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.wait.Wait()
	return nil
}

func (w *Watchers) wished() map[string]bool {
	out := map[string]bool{}
	for _, x := range w.wishes {
		out[x.namespace] = true
	}
	return out
}

// Listen makes sure that the policy's probes are listened to.
func (w *Watchers) Listen(policy types.NamespacedName, spec *v1alpha1.ProbesSpec) Probes {
	wanted := wishOf(spec)
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.wishes[policy]
	w.wishes[policy] = wanted
	if known && was.namespace != wanted.namespace {
		w.arrange(was.namespace)
	}
	w.arrange(wanted.namespace)
	return w.of(wanted.namespace)
}

// Of are the probes that a policy has had listened to.
func (w *Watchers) Of(policy types.NamespacedName) Probes {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of(w.wishes[policy].namespace)
}

func (w *Watchers) of(namespace string) Probes {
	if r := w.running[namespace]; r != nil {
		return r.Watcher
	}
	return &remediate.Watcher{} // nothing is heard before the start
}

// Leave ends the policy's wish.
func (w *Watchers) Leave(policy types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.wishes[policy]
	delete(w.wishes, policy)
	if known {
		w.arrange(was.namespace)
	}
}

func wishOf(spec *v1alpha1.ProbesSpec) wish {
	out := wish{namespace: spec.GetNamespace(), reads: !spec.IsManaged()}
	if spec == nil {
		return out
	}
	out.host = spec.Host
	for _, e := range spec.External {
		if at, err := netip.ParseAddrPort(string(e)); err == nil {
			out.external = append(out.external, at)
		}
	}
	return out
}

// arrange starts, restarts or ends the watcher of a namespace.
func (w *Watchers) arrange(namespace string) {
	sum, wanted := w.sum(namespace)
	running := w.running[namespace]
	if running != nil && wanted && running.wish.equal(sum) {
		return
	}
	if running != nil {
		running.stop()
		delete(w.running, namespace)
	}
	if wanted && w.ctx != nil && w.ctx.Err() == nil {
		w.running[namespace] = w.start(sum)
	}
}

// sum is what all policies together wish of a namespace.
func (w *Watchers) sum(namespace string) (wish, bool) {
	sum, wanted := wish{namespace: namespace}, false
	for _, x := range w.wishes {
		if x.namespace == namespace {
			sum.reads = x.reads && (sum.reads || !wanted)
			wanted = true
			sum.host = sum.host || x.host
			sum.external = append(sum.external, x.external...)
		}
	}
	slices.SortFunc(sum.external, netip.AddrPort.Compare)
	sum.external = slices.Compact(sum.external)
	return sum, wanted
}

func (w *Watchers) start(x wish) *watching {
	ctx, stop := context.WithCancel(w.ctx)
	log := w.Log.WithValues("probes", x.namespace)
	out := &watching{wish: x, stop: stop}
	out.Watcher = &remediate.Watcher{
		Cluster: w.Cluster, Namespace: x.namespace, Host: x.host, External: x.external, Reads: x.reads,
		Changed: func() { w.tell(x.namespace) },
		Failed: func(err error) {
			if err != nil {
				log.Error(err, "the probes cannot be listened to")
			}
			w.tell(x.namespace)
		},
	}
	w.wait.Add(1)
	go func() {
		defer w.wait.Done()
		out.Run(ctx)
	}()
	return out
}

// tell has the policies looked at that wish for a namespace.
func (w *Watchers) tell(namespace string) {
	w.mu.Lock()
	var policies []types.NamespacedName
	for p, x := range w.wishes {
		if x.namespace == namespace {
			policies = append(policies, p)
		}
	}
	w.mu.Unlock()
	for _, p := range policies {
		select {
		case w.Changed <- event.TypedGenericEvent[types.NamespacedName]{Object: p}:
		default: // it is looked at in the next interval
		}
	}
}

// Refresh has all watchers read the cluster's facts anew.
func (w *Watchers) Refresh() {
	w.mu.Lock()
	all := slices.Collect(maps.Values(w.running))
	w.mu.Unlock()
	for _, r := range all {
		r.Refresh()
	}
}

// measure sets the metrics of a namespace's probes.
func measure(namespace string, s remediate.Sight) {
	silentProbes.WithLabelValues(namespace).Set(float64(len(s.Silent)))
	heard := 0.0
	if !s.LastHeard.IsZero() {
		heard = float64(s.LastHeard.UnixMilli()) / float64(time.Second/time.Millisecond)
	}
	lastHeard.WithLabelValues(namespace).Set(heard)
}
