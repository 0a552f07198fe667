package collect

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// changes gathers which probes' pods changed since the scheduler looked.
type changes struct {
	mu       sync.Mutex
	put      map[Key]Target
	returned bool
	wake     chan struct{}
}

func (c *changes) note(k Key, t Target) {
	c.mu.Lock()
	if c.put == nil {
		c.put = map[Key]Target{}
	}
	c.put[k] = t
	c.mu.Unlock()
	c.signal()
}

// back says that the API server answers again.
func (c *changes) back() {
	c.mu.Lock()
	c.returned = true
	c.mu.Unlock()
	c.signal()
}

func (c *changes) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take hands out what was gathered. A target without a UID is gone.
func (c *changes) take() (put map[Key]Target, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	put, returned = c.put, c.returned
	c.put, c.returned = nil, false
	return put, returned
}

// watch follows the probes' pods and the nodes until the context ends; stop waits
// for that.
func (c *Collector) watch(ctx context.Context) (stop func(), err error) {
	// The informers' own messages would go to standard error.
	ctx = klog.NewContext(ctx, logr.Discard())
	all := informers.NewSharedInformerFactory(c.kube, 0)
	nodes := all.Core().V1().Nodes().Informer()
	factories := []informers.SharedInformerFactory{all}
	if err := prepare(nodes, slimNode, handlers(c.putNode, c.dropNode)); err != nil {
		return nil, err
	}
	for _, ns := range c.opts.Namespaces {
		f := informers.NewSharedInformerFactoryWithOptions(c.kube, 0, informers.WithNamespace(ns),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = c.opts.Selector }))
		if err := prepare(f.Core().V1().Pods().Informer(), slimPod, handlers(c.putPod, c.dropPod)); err != nil {
			return nil, err
		}
		factories = append(factories, f)
	}
	for _, f := range factories {
		f.StartWithContext(ctx)
	}
	return func() {
		for _, f := range factories {
			f.Shutdown()
		}
	}, nil
}

func prepare(i cache.SharedIndexInformer, slim cache.TransformFunc, h cache.ResourceEventHandler) error {
	if err := i.SetTransform(slim); err != nil {
		return fmt.Errorf("watch the probes: %w", err)
	}
	if _, err := i.AddEventHandler(h); err != nil {
		return fmt.Errorf("watch the probes: %w", err)
	}
	return nil
}

func handlers(put, drop func(any)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, o any) { put(o) },
		DeleteFunc: func(o any) {
			if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			drop(o)
		},
	}
}

func (c *Collector) putPod(o any) {
	if p, ok := o.(*corev1.Pod); ok {
		t := targetOf(p, c.opts.Container)
		c.matrix.Put(t, c.opts.Now())
		c.changes.note(t.Key, t)
	}
}

func (c *Collector) dropPod(o any) {
	if p, ok := o.(*corev1.Pod); ok {
		k := Key{p.Namespace, p.Name}
		c.matrix.Gone(k, c.opts.Now())
		c.changes.note(k, Target{Key: k})
	}
}

func (c *Collector) putNode(o any) {
	if n, ok := o.(*corev1.Node); ok {
		c.matrix.PutNode(nodeOf(n))
	}
}

func (c *Collector) dropNode(o any) {
	if n, ok := o.(*corev1.Node); ok {
		c.matrix.DropNode(n.Name)
	}
}

func targetOf(p *corev1.Pod, container string) Target {
	t := Target{
		Key: Key{p.Namespace, p.Name}, UID: p.UID, Node: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork,
		Phase: string(p.Status.Phase), Deleted: p.DeletionTimestamp != nil,
	}
	for _, ip := range p.Status.PodIPs {
		t.IPs = appendAddr(t.IPs, ip.IP)
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == container {
			t.Waiting = plain(waiting(s.State))
		}
	}
	return t
}

func waiting(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return "waiting: " + s.Waiting.Reason
	case s.Terminated != nil:
		return "ended: " + s.Terminated.Reason
	}
	return ""
}

func nodeOf(n *corev1.Node) Node {
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return Node{Name: n.Name, Ready: ready, Cordoned: n.Spec.Unschedulable, Deleted: n.DeletionTimestamp != nil}
}

// slimPod and slimNode keep what is read here: a Node's list of images alone may
// be 20 kB.
func slimPod(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	return &corev1.Pod{
		ObjectMeta: slimMeta(p.ObjectMeta),
		Spec:       corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork},
		Status: corev1.PodStatus{
			Phase: p.Status.Phase, PodIPs: p.Status.PodIPs, ContainerStatuses: slimStatuses(p.Status.ContainerStatuses),
		},
	}, nil
}

func slimStatuses(in []corev1.ContainerStatus) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for _, s := range in {
		out = append(out, corev1.ContainerStatus{Name: s.Name, State: s.State})
	}
	return out
}

func slimNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	out := &corev1.Node{ObjectMeta: slimMeta(n.ObjectMeta), Spec: corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable}}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Status.Conditions = append(out.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	return out, nil
}

func slimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID,
		ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp,
	}
}
