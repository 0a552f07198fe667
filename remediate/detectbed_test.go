package remediate

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

// probed is a cluster of a real API server and stand-ins of its kubelets, on which
// the real agents run as probes; only what becomes of an exchange is made up.
type probed struct {
	cfg     *rest.Config
	kube    kubernetes.Interface
	kubelet *kubelet.Kubelet

	mu      sync.Mutex
	network func(mesh.Check, *v1alpha1.Observation)
	pods    int
	refuse  error
}

// probeNamespace is the one whose DaemonSets the stand-ins run.
const probeNamespace = "probes"

func newProbed(t *testing.T, nodes int) *probed {
	t.Helper()
	b := &probed{cfg: servers.APIServer(t), network: func(mesh.Check, *v1alpha1.Observation) {}}
	fast := rest.CopyConfig(b.cfg)
	fast.QPS, fast.Burst = 200, 400
	kube, err := kubernetes.NewForConfig(fast)
	if err != nil {
		t.Fatal(err)
	}
	b.kube = kube
	b.kubelet = kubelet.Start(t, b.cfg, kubelet.Options{Namespaces: []string{probeNamespace, probeNamespace + "-host"}, Start: b.start})
	for i := range nodes {
		b.kubelet.AddNodes(t, kubelet.Node{
			Name:      fmt.Sprintf("node-%d", i+1),
			Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("fd00:1::%d", i+1)), netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1))},
		})
	}
	b.finalize(t)
	return b
}

// finalize does what the controller of namespaces does once they are empty.
func (b *probed) finalize(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			b.finalizeOnce(ctx)
			time.Sleep(50 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func (b *probed) finalizeOnce(ctx context.Context) {
	list, err := b.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, ns := range list.Items {
		pods, err := b.kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{})
		if ns.DeletionTimestamp != nil && err == nil && len(pods.Items) == 0 {
			ns.Spec.Finalizers = nil
			_, _ = b.kube.CoreV1().Namespaces().Finalize(ctx, &ns, metav1.UpdateOptions{})
		}
	}
}

// start runs the agent of a probe that probes; guarded ones have addresses only.
func (b *probed) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return nil, nil, b.refuse
	}
	b.pods++
	ips := []netip.Addr{netip.MustParseAddr(fmt.Sprintf("fd00:2::%x", b.pods)), netip.AddrFrom4([4]byte{10, 1, 0, byte(b.pods)})}
	switch node := strings.TrimPrefix(pod.Spec.NodeName, "node-"); pod.Labels[deploy.LabelTarget] {
	case v1alpha1.TargetGuarded:
		return func() {}, ips, nil
	case deploy.TargetHost:
		ips = []netip.Addr{netip.MustParseAddr("fd00:1::" + node), netip.MustParseAddr("192.0.2." + node)}
	}
	agent := &probe.Agent{
		Self:   mesh.Self{Namespace: pod.Namespace, Pod: pod.Name, Node: pod.Spec.NodeName, IPs: ips, MTU: 1500, HostNetwork: pod.Spec.HostNetwork},
		Prober: b, Members: &probe.Members{Dir: dir + deploy.MembersDir}, Out: stdout,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = agent.Run(ctx); close(done) }()
	return func() { cancel(); <-done }, ips, nil
}

// Do makes an exchange that is answered as it should be, or as the network has it.
func (b *probed) Do(_ context.Context, c mesh.Check) v1alpha1.Observation {
	o := v1alpha1.Observation{
		From: c.From, To: c.To, Via: c.Via, Family: c.Family, Protocol: c.Protocol, Target: c.Target, HostNetwork: c.HostNetwork,
		Outcome: v1alpha1.OutcomeOK, Sent: 1, Received: 1, Bytes: c.Bytes, At: time.Now().UTC().Format(time.RFC3339Nano),
	}
	if c.Via == mesh.ViaPodIP && c.Protocol != mesh.ICMP {
		o.SourceSeen = c.From.IP
	}
	b.mu.Lock()
	network := b.network
	b.mu.Unlock()
	network(c, &o)
	return o
}

func (b *probed) is(network func(mesh.Check, *v1alpha1.Observation)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.network = network
}

// masquerades is the incident: between nodes pods' IPv6 leaves with the node's
// address, and a policy that admits pods drops it.
func masquerades(c mesh.Check, o *v1alpha1.Observation) {
	if c.Family != "IPv6" || c.Via != mesh.ViaPodIP || c.From.Node == c.To.Node || c.HostNetwork {
		return
	}
	if c.Target == v1alpha1.TargetGuarded {
		o.Outcome, o.Received, o.SourceSeen = v1alpha1.OutcomeTimeout, 0, ""
		return
	}
	if o.SourceSeen != "" {
		o.SourceSeen = "fd00:1::" + strings.TrimPrefix(c.From.Node, "node-")
	}
}

// objects lists what a run makes, all over the cluster.
func (b *probed) objects(t *testing.T) []string {
	t.Helper()
	var out []string
	add := func(kind string, o metav1.Object) { out = append(out, kind+" "+o.GetNamespace()+"/"+o.GetName()) }
	all, ctx := metav1.ListOptions{}, context.Background()
	namespaces, err := b.kube.CoreV1().Namespaces().List(ctx, all)
	must(t, err)
	for i := range namespaces.Items {
		add("Namespace", &namespaces.Items[i])
	}
	pods, err := b.kube.CoreV1().Pods("").List(ctx, all)
	must(t, err)
	for i := range pods.Items {
		add("Pod", &pods.Items[i])
	}
	daemons, err := b.kube.AppsV1().DaemonSets("").List(ctx, all)
	must(t, err)
	for i := range daemons.Items {
		add("DaemonSet", &daemons.Items[i])
	}
	secrets, err := b.kube.CoreV1().Secrets("").List(ctx, all)
	must(t, err)
	for i := range secrets.Items {
		add("Secret", &secrets.Items[i])
	}
	maps, err := b.kube.CoreV1().ConfigMaps("").List(ctx, all)
	must(t, err)
	for i := range maps.Items {
		add("ConfigMap", &maps.Items[i])
	}
	slices.Sort(out)
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options of a run that asks nobody.
func (b *probed) options() DetectOptions {
	return DetectOptions{
		Options: Options{Cluster: b.cfg},
		Probes:  ProbeOptions{Namespace: probeNamespace, Image: "example.com/probe:1", By: "test", StartWithin: time.Minute},
		For:     15 * time.Second,
		Ask:     func(context.Context, Question) (bool, error) { return true, nil },
	}
}
