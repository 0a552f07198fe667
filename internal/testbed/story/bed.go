//go:build linux

package story

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Main runs a package's tests in namespaces of their own, see [lab.Main].
func Main(m *testing.M) { lab.Main(m) }

// Options of a bed. The zero value is three nodes, all of Flux on the first, and
// probes.
type Options struct {
	// Nodes, 1 to 15; 0 is 3.
	Nodes int
	// Interval at which Flux looks at the repository; 0 is 2 s.
	Interval time.Duration
	// Rollout sets rollOutCiliumPods, so that agents restart when their
	// configuration changes.
	Rollout bool
	// Values is YAML to add to the release's values.
	Values string
	// Apart puts kustomize- and helm-controller on another node than
	// source-controller, so that the incident cuts Flux.
	Apart bool
	// WithoutProbes leaves their installation to the test.
	WithoutProbes bool
	// Quiet leaves out who tells the probes who takes part, as the controller under
	// test does that.
	Quiet bool
	// APIServer are flags to add to the API server's.
	APIServer []string
	// Datapath is nil for [Model].
	Datapath Datapath
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	if o.Datapath == nil {
		o.Datapath = Model()
	}
	return o
}

// Bed is the cluster and what it is run from. Everything ends with the test.
type Bed struct {
	// Lab is the network, bare under real agents. What changes it goes through
	// [Bed.Change].
	Lab *lab.Lab
	DNS *lab.DNS
	// Server is the API server, Kubelet stands in for the nodes'.
	Server  *testbed.Server
	Kubelet *kubelet.Kubelet
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	Client  client.Client
	// Forge has the repository that Flux follows, at its branch main.
	Forge *forges.GiteaRepo
	Flux  Flux
	// Chart is the version of Cilium's.
	Chart string

	opts       Options
	charts     *httptest.Server
	gate       *relay
	kubeconfig string
	binaries   map[string]string
	began      time.Time
	// mu: the datapath is changed by one at a time.
	mu       sync.Mutex
	pods     map[string]*Pod // by namespace/name
	failures []error         // of what ended in the background
}

// New builds a bed whose cluster is healthy: Flux has released Cilium, each agent
// runs what the repository says, and the probes are up. It takes about half a minute
// on an idle machine with the servers built.
func New(t testing.TB, o Options) *Bed {
	t.Helper()
	b := &Bed{opts: o.withDefaults(), began: time.Now(), binaries: map[string]string{}, pods: map[string]*Pod{}}
	b.Flux = Flux{b}
	b.build(t)
	b.opts.Datapath.network(t, b)
	b.step(t, "the API server is ready")
	b.controlPlane(t)
	b.servers(t)
	b.nodes(t)
	b.installFlux(t)
	b.Flux.UntilReady(t, patience, "HelmRelease", ciliumNamespace, release)
	b.step(t, "Flux has released Cilium")
	b.UntilAgents(t)
	b.step(t, "the agents run")
	if !b.opts.WithoutProbes {
		b.installProbes(t)
		b.step(t, "the probes run")
	}
	return b
}

// patience with what takes seconds on an idle machine.
const patience = 3 * time.Minute

func (b *Bed) step(t testing.TB, what string) {
	t.Helper()
	t.Logf("%5.1f s: %s", time.Since(b.began).Seconds(), what)
}

// build makes the binaries first, as the time of the test's other parts is short.
func (b *Bed) build(t testing.TB) {
	t.Helper()
	for _, name := range fluxControllers() {
		b.binaries[name] = testbed.Tool(t, name)
	}
	b.binaries[deploy.Name] = buildProbe(t)
	b.step(t, "the binaries are there")
}

// serviceRange are the lab's ClusterIPs: addresses of its services stand in objects
// of kind Service as well.
const serviceRange = "fd00:101:96::/108,10.96.0.0/12"

func (b *Bed) controlPlane(t testing.TB) {
	t.Helper()
	b.Server.ControllerManager(t)
	b.step(t, "the controller manager is ready")
	b.kubeconfig = testbed.Kubeconfig(t, b.Server.Config)
	fast := rest.CopyConfig(b.Server.Config)
	fast.QPS, fast.Burst = 500, 1000
	var err error
	if b.Kube, err = kubernetes.NewForConfig(fast); err != nil {
		t.Fatal(err)
	}
	if b.Dynamic, err = dynamic.NewForConfig(fast); err != nil {
		t.Fatal(err)
	}
	if b.Client, err = client.New(fast, client.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.gate = newRelay(l, strings.TrimPrefix(b.Server.Config.Host, "https://"))
	t.Cleanup(b.gate.close)
	testbed.InstallCRDs(t, fast)
	b.step(t, "the kinds of Flux and Cilium are known")
}

func (b *Bed) servers(t testing.TB) {
	t.Helper()
	dir := testbed.ChartDir(t)
	var err error
	if b.Chart, err = chartVersion(dir); err != nil {
		t.Fatal(err)
	}
	b.charts = chartServer(t, dir, b.Chart)
	b.Forge = forges.Gitea(t)
	b.Forge.Push(t, branch, b.layout(t))
	b.step(t, "the forge has the repository")
}

func (b *Bed) nodes(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		for _, err := range b.failures {
			t.Errorf("the end of a pod: %v", err)
		}
	})
	b.Kubelet = kubelet.Start(t, b.Server.Config, kubelet.Options{
		Namespaces:        []string{ciliumNamespace, FluxNamespace, deploy.Name, deploy.HostNamespace(deploy.Name)},
		ControllerManager: true, Start: b.start, Mounts: mounts,
	})
	for _, n := range b.Lab.Nodes {
		b.Kubelet.AddNodes(t, kubelet.Node{Name: n.Name, Addresses: n.IPs(), PodCIDRs: n.PodCIDRs()})
	}
	b.opts.Datapath.nodes(t, b)
	b.step(t, "the nodes are there")
}

func (b *Bed) installFlux(t testing.TB) {
	t.Helper()
	b.must(t, b.createNamespace(t.Context(), FluxNamespace))
	service := lab.Service{
		Namespace: FluxNamespace, Name: sourceController, ClusterIPs: []netip.Addr{sourceAddr()},
		Ports: []lab.ServicePort{{Protocol: "TCP", Port: 80, TargetPort: storagePort}},
	}
	b.Change(func(*lab.Lab) { b.opts.Datapath.service(service) })
	for _, o := range b.fluxObjects(service) {
		b.must(t, b.Client.Create(t.Context(), o))
	}
	b.Flux.Until(t)
	b.step(t, "Flux runs")
	b.applySync(t)
}

// sourceAddr is the ClusterIP of source-controller.
func sourceAddr() netip.Addr { return netip.MustParseAddr("fd00:101:96::100") }

func (b *Bed) createNamespace(ctx context.Context, name string) error {
	_, err := b.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

func (b *Bed) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Change calls do with the lab to itself: pods start meanwhile for none.
func (b *Bed) Change(do func(*lab.Lab)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do(b.Lab)
}

// start runs a pod's container.
func (b *Bed) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stop, ips, err := b.run(pod, dir, stdout)
	if p := b.pods[pod.Namespace+"/"+pod.Name]; err != nil && p != nil {
		b.drop(p)
	}
	return stop, ips, err
}

// run runs a container as what it is.
func (b *Bed) run(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	switch node := b.Lab.Node(pod.Spec.NodeName); {
	case node == nil:
		return nil, nil, fmt.Errorf("the lab has no node %s", pod.Spec.NodeName)
	case isAgent(pod):
		return b.startAgent(pod)
	case pod.Labels[lab.TargetLabel] != "":
		return b.startProbe(pod, dir, stdout)
	case pod.Labels["k8s-app"] == dnsLabel:
		return b.startDNS(pod)
	case pod.Namespace == FluxNamespace && b.binaries[pod.Labels["app"]] != "":
		return b.startFlux(pod, dir, stdout)
	case pod.Spec.HostNetwork:
		return func() {}, b.opts.Datapath.host(pod).IPs(), nil
	}
	p, err := b.attach(pod, false)
	if err != nil {
		return nil, nil, err
	}
	return func() { b.detach(p) }, p.IPs(), nil
}

// mounts: what Cilium's chart mounts is of hosts that are not there.
func mounts(pod *corev1.Pod) bool { return pod.Namespace != ciliumNamespace }
