// Package kubelet stands in for the kubelets of a cluster and for the controller of
// its DaemonSets, beside a real API server. It registers nodes, makes one pod of
// each DaemonSet for each of them, writes the pods' volumes as files and swaps them
// when their objects change, starts the containers by a function that the test
// gives, and serves their logs to the API server's pod log subresource.
//
// What it does not do: images, probes of pods, taints, resources. Of the containers
// of a pod only the first is started; init containers are said to have finished.
package kubelet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Options of the kubelets.
type Options struct {
	// Namespaces whose DaemonSets are run.
	Namespaces []string
	// ControllerManager: a kube-controller-manager runs beside, which makes and
	// deletes pods. The stand-in then gives pods to nodes, as the scheduler does,
	// and runs those of every owner.
	ControllerManager bool
	// Start runs the container of a pod and returns how it is ended and the pod's
	// addresses. dir is what the container sees as its root: a volume mounted at
	// /etc/x is dir/etc/x. stdout is its log. Stop is called once; nothing may be
	// written after it returned. Nil runs nothing and gives no address.
	Start func(pod *corev1.Pod, dir string, stdout io.Writer) (stop func(), ips []netip.Addr, err error)
	// Mounts says whether a pod gets its volumes; nil gives every pod its own. One
	// without them may have volumes of any kind, and nothing is waited for.
	Mounts func(pod *corev1.Pod) bool
	// LogSize is the number of bytes at which a log file is rotated; 10 MiB, as
	// the kubelet's containerLogMaxSize.
	LogSize int
	// Forward reaches ports of pods for kubectl port-forward; nil refuses.
	Forward Dialer
}

// Node is a node to register.
type Node struct {
	Name string
	// Addresses are its InternalIPs; PodCIDRs its spec's.
	Addresses []netip.Addr
	PodCIDRs  []netip.Prefix
	Labels    map[string]string
}

// Kubelet is all kubelets of a cluster.
type Kubelet struct {
	opts Options
	kube kubernetes.Interface
	dir  string
	port int

	mu    sync.Mutex
	nodes map[string]*node
	pods  map[string]*pod // by namespace/name
	errs  map[string]string
	wake  chan struct{}
	// bound are the nodes that pods were given which the caches may not show yet.
	bound map[types.UID]string

	stores stores
}

// node is a machine.
type node struct {
	Node
	down bool
}

// stores are the caches of what the kubelets look at.
type stores struct{ daemons, pods, configs, secrets []cache.Store }

// Start runs the kubelets until the test ends; then every container has ended.
func Start(t testing.TB, cfg *rest.Config, o Options) *Kubelet {
	t.Helper()
	if o.LogSize == 0 {
		o.LogSize = 10 << 20
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 500, 1000
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatalf("kubelet: %v", err)
	}
	k := &Kubelet{
		bound: map[types.UID]string{},
		opts:  o, kube: kube, dir: t.TempDir(),
		nodes: map[string]*node{}, pods: map[string]*pod{}, errs: map[string]string{},
		wake: make(chan struct{}, 1),
	}
	server := k.serve(t)
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	factories := k.watch(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		// A pod that is known before its DaemonSet would pass for an orphan.
		for _, f := range factories {
			f.WaitForCacheSync(ctx.Done())
		}
		k.run(ctx)
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		for _, f := range factories {
			f.Shutdown()
		}
		k.stopAll()
		server.CloseClientConnections()
		server.Close()
		if client, err := rest.HTTPClientFor(cfg); err == nil {
			client.CloseIdleConnections()
		}
	})
	return k
}

// watch fills the stores and wakes the loop at every change.
func (k *Kubelet) watch(ctx context.Context) (factories []informers.SharedInformerFactory) {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.poke() }, UpdateFunc: func(_, _ any) { k.poke() }, DeleteFunc: func(any) { k.poke() },
	}
	for _, ns := range k.opts.Namespaces {
		f := informers.NewSharedInformerFactoryWithOptions(k.kube, 0, informers.WithNamespace(ns))
		for list, i := range map[*[]cache.Store]cache.SharedIndexInformer{
			&k.stores.daemons: f.Apps().V1().DaemonSets().Informer(),
			&k.stores.pods:    f.Core().V1().Pods().Informer(),
			&k.stores.configs: f.Core().V1().ConfigMaps().Informer(),
			&k.stores.secrets: f.Core().V1().Secrets().Informer(),
		} {
			if _, err := i.AddEventHandler(handler); err != nil {
				k.note("watch "+ns, err)
			}
			*list = append(*list, i.GetStore())
		}
		factories = append(factories, f)
	}
	for _, f := range factories {
		f.StartWithContext(ctx)
	}
	return factories
}

func (k *Kubelet) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// retryEvery is the wait after something failed.
const retryEvery = 200 * time.Millisecond

func (k *Kubelet) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-time.After(retryEvery):
		}
		k.sync(ctx)
	}
}

// note keeps the last error about a thing; nil takes it away.
func (k *Kubelet) note(about string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		delete(k.errs, about)
		return
	}
	k.errs[about] = err.Error()
}

// Errors are what fails at present, by what it is about: "pod NAMESPACE/NAME".
func (k *Kubelet) Errors() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]string, len(k.errs))
	for about, err := range k.errs {
		out[about] = err
	}
	return out
}

func (k *Kubelet) stopAll() {
	k.mu.Lock()
	pods := k.pods
	k.pods = map[string]*pod{}
	k.mu.Unlock()
	for _, p := range pods {
		p.end()
	}
}

// listenPort is the port of a test server's address.
func listenPort(a net.Addr) (int, error) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no TCP address", a)
	}
	return tcp.Port, nil
}

var _ http.Handler = (*Kubelet)(nil)
