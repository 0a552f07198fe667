package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// DNSNamespace and DNSLabel are where every installer puts the cluster's DNS.
const (
	DNSNamespace = "kube-system"
	DNSLabel     = "k8s-app=kube-dns"
)

// Facts are the objects that membership is made of, each list sorted by namespace
// and name. They are shared: nobody may change them.
type Facts struct {
	Nodes    []*corev1.Node
	Pods     []*corev1.Pod
	Services []*corev1.Service
	// Slices are the EndpointSlices of the cluster's DNS.
	Slices     []*discoveryv1.EndpointSlice
	DaemonSets []*appsv1.DaemonSet
}

// Watch follows the objects of an installation.
type Watch struct {
	namespaces []string
	factories  []informers.SharedInformerFactory
	nodes      cache.SharedIndexInformer
	pods       []cache.SharedIndexInformer
	services   []cache.SharedIndexInformer
	daemons    []cache.SharedIndexInformer
	slices     cache.SharedIndexInformer // nil without DNS
	changed    chan struct{}
}

// syncWithin is how long the first lists may take: those of 5,000 nodes take a busy
// API server half a minute.
const syncWithin = 2 * time.Minute

// Follow begins to watch the probes of a namespace, their twins', the nodes and,
// where the credentials may, the cluster's DNS, and returns when all was read once.
// It ends with ctx.
func (c *Client) Follow(ctx context.Context, namespace string, host bool) (*Watch, error) {
	w := &Watch{namespaces: []string{namespace}, changed: make(chan struct{}, 1)}
	if host {
		w.namespaces = append(w.namespaces, HostNamespace(namespace))
	}
	everywhere := informers.NewSharedInformerFactory(c.Kube, 0)
	w.nodes = everywhere.Core().V1().Nodes().Informer()
	w.factories = append(w.factories, everywhere)
	for _, ns := range w.namespaces {
		f := informers.NewSharedInformerFactoryWithOptions(c.Kube, 0, informers.WithNamespace(ns))
		w.pods = append(w.pods, f.Core().V1().Pods().Informer())
		w.services = append(w.services, f.Core().V1().Services().Informer())
		w.daemons = append(w.daemons, f.Apps().V1().DaemonSets().Informer())
		w.factories = append(w.factories, f)
	}
	seesDNS, err := c.seesDNS(ctx)
	if err != nil {
		return nil, err
	}
	if seesDNS {
		dns := informers.NewSharedInformerFactoryWithOptions(c.Kube, 0, informers.WithNamespace(DNSNamespace), informers.WithTweakListOptions(dnsOnly))
		w.services = append(w.services, dns.Core().V1().Services().Informer())
		w.slices = dns.Discovery().V1().EndpointSlices().Informer()
		w.factories = append(w.factories, dns)
	}
	return w, w.start(ctx)
}

// seesDNS asks whether the cluster's DNS may be looked at, which is in a namespace
// of its own.
func (c *Client) seesDNS(ctx context.Context) (bool, error) {
	for _, verb := range []string{"list", "watch"} {
		for group, resource := range map[string]string{"": "services", "discovery.k8s.io": "endpointslices"} {
			if allowed, err := c.may(ctx, DNSNamespace, verb, group, resource); err != nil || !allowed {
				return false, err
			}
		}
	}
	return true, nil
}

// SeesDNS says whether the cluster's DNS is among the [Facts].
func (w *Watch) SeesDNS() bool { return w.slices != nil }

func (w *Watch) start(ctx context.Context) error {
	var synced []cache.InformerSynced
	for _, i := range w.all() {
		if err := i.SetTransform(slim); err != nil {
			return fmt.Errorf("watch the probes: %w", err)
		}
		if _, err := i.AddEventHandler(w.handler()); err != nil {
			return fmt.Errorf("watch the probes: %w", err)
		}
		synced = append(synced, i.HasSynced)
	}
	// The informers' own messages would go to standard error.
	quiet := klog.NewContext(ctx, logr.Discard())
	for _, f := range w.factories {
		f.StartWithContext(quiet)
	}
	within, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	if !cache.WaitForCacheSync(within.Done(), synced...) {
		return fmt.Errorf("the API server did not list the probes' objects in time: %w", within.Err())
	}
	return nil
}

// slim drops what nobody here reads, which is most of an object's size.
func slim(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Node:
		o.Annotations, o.Spec = nil, corev1.NodeSpec{Unschedulable: o.Spec.Unschedulable}
		o.Status = corev1.NodeStatus{Addresses: o.Status.Addresses, Conditions: those(o.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })}
	case *corev1.Pod:
		slimPod(o)
	}
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// slimPod keeps what membership and progress are told from.
func slimPod(p *corev1.Pod) {
	for name := range p.Annotations {
		if name != annotationMembers {
			delete(p.Annotations, name)
		}
	}
	p.OwnerReferences = nil
	p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork}
	s := &p.Status
	*s = corev1.PodStatus{Phase: s.Phase, Reason: s.Reason, Message: s.Message, PodIP: s.PodIP, PodIPs: s.PodIPs,
		Conditions:        those(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady || c.Type == corev1.PodScheduled }),
		ContainerStatuses: s.ContainerStatuses}
	for i, c := range s.ContainerStatuses {
		s.ContainerStatuses[i] = corev1.ContainerStatus{Name: c.Name, Ready: c.Ready, State: c.State, LastTerminationState: c.LastTerminationState, RestartCount: c.RestartCount}
	}
}

// those are the elements for which keep says so, in an array of their own size.
func those[T any](in []T, keep func(T) bool) []T {
	var out []T
	for _, x := range in {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}

func (w *Watch) all() []cache.SharedIndexInformer {
	all := append(slices.Concat(w.pods, w.services, w.daemons), w.nodes)
	if w.slices != nil {
		all = append(all, w.slices)
	}
	return all
}

func (w *Watch) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.poke() },
		UpdateFunc: func(any, any) { w.poke() },
		DeleteFunc: func(any) { w.poke() },
	}
}

func (w *Watch) poke() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Changed receives after something changed; several changes may be one. It has
// one reader.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Close waits until the watches have ended, which the end of their context asks
// of them.
func (w *Watch) Close() {
	for _, f := range w.factories {
		f.Shutdown()
	}
}

// Facts are the objects as they are known now.
func (w *Watch) Facts() Facts {
	f := Facts{
		Nodes:      listOf[*corev1.Node](w.nodes),
		Pods:       listOf[*corev1.Pod](w.pods...),
		Services:   listOf[*corev1.Service](w.services...),
		DaemonSets: listOf[*appsv1.DaemonSet](w.daemons...),
	}
	if w.slices != nil {
		f.Slices = listOf[*discoveryv1.EndpointSlice](w.slices)
	}
	return f
}

func listOf[T named](from ...cache.SharedIndexInformer) []T {
	var out []T
	for _, i := range from {
		_ = cache.ListAll(i.GetStore(), labels.Everything(), func(o any) {
			if t, ok := o.(T); ok {
				out = append(out, t)
			}
		})
	}
	slices.SortFunc(out, func(a, b T) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

type named interface {
	GetNamespace() string
	GetName() string
}

func dnsOnly(o *metav1.ListOptions) { o.LabelSelector = DNSLabel }
