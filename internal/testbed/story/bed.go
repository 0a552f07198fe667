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
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	return o
}

// Bed is the cluster and what it is run from. Everything ends with the test.
type Bed struct {
	// Lab is the network. What changes it goes through [Bed.Change].
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
	// mu: the lab is changed by one at a time.
	mu sync.Mutex
}

// New builds a bed whose cluster is healthy: Flux has released Cilium, each agent
// runs what the repository says, and the probes are up. It takes about half a minute
// on an idle machine with the servers built.
func New(t testing.TB, o Options) *Bed {
	t.Helper()
	b := &Bed{opts: o.withDefaults(), began: time.Now(), binaries: map[string]string{}}
	b.Flux = Flux{b}
	b.build(t)
	b.network(t)
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

func (b *Bed) network(t testing.TB) {
	t.Helper()
	b.Lab = lab.New(t, lab.Spec{Nodes: b.opts.Nodes})
	b.DNS = b.Lab.StartDNS(b.Lab.Nodes[0])
	b.step(t, "the network is there")
}

// serviceRange are the lab's ClusterIPs: addresses of its services stand in objects
// of kind Service as well.
const serviceRange = "fd00:101:96::/108,10.96.0.0/12"

func (b *Bed) controlPlane(t testing.TB) {
	t.Helper()
	// Without a default route the server must be told which address it has.
	flags := append([]string{"--advertise-address=192.0.2.1", "--service-cluster-ip-range=" + serviceRange}, b.opts.APIServer...)
	b.Server = testbed.Start(t, flags...)
	b.step(t, "the API server is ready")
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
	b.Kubelet = kubelet.Start(t, b.Server.Config, kubelet.Options{
		Namespaces:        []string{ciliumNamespace, FluxNamespace, deploy.Name, deploy.HostNamespace(deploy.Name)},
		ControllerManager: true, Start: b.start, Mounts: mounts,
	})
	for _, n := range b.Lab.Nodes {
		b.Kubelet.AddNodes(t, kubelet.Node{Name: n.Name, Addresses: n.IPs(), PodCIDRs: n.PodCIDRs()})
		b.addCiliumNode(t, n)
	}
	b.step(t, "the nodes are there")
}

func (b *Bed) installFlux(t testing.TB) {
	t.Helper()
	b.must(t, b.createNamespace(t.Context(), FluxNamespace))
	service := b.Lab.AddService(lab.Service{
		Namespace: FluxNamespace, Name: sourceController,
		ClusterIPs: []netip.Addr{netip.MustParseAddr("fd00:101:96::100")},
		Ports:      []lab.ServicePort{{Protocol: "TCP", Port: 80, TargetPort: storagePort}},
	})
	for _, o := range b.fluxObjects(service) {
		b.must(t, b.Client.Create(t.Context(), o))
	}
	b.Flux.Until(t)
	b.step(t, "Flux runs")
	b.applySync(t)
}

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

// start runs a pod's container as what it is.
func (b *Bed) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	node := b.Lab.Node(pod.Spec.NodeName)
	switch {
	case node == nil:
		return nil, nil, fmt.Errorf("the lab has no node %s", pod.Spec.NodeName)
	case isAgent(pod):
		return b.startAgent(node, pod)
	case pod.Labels[lab.TargetLabel] != "":
		return b.startProbe(node, pod, dir, stdout)
	case pod.Namespace == FluxNamespace && b.binaries[pod.Labels["app"]] != "":
		return b.startFlux(pod, dir, stdout)
	case pod.Spec.HostNetwork:
		return func() {}, node.IPs(), nil
	}
	p := node.AddPod(lab.PodSpec{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels})
	return func() {}, p.IPs(), nil
}

// mounts: what Cilium's chart mounts is of hosts that are not there.
func mounts(pod *corev1.Pod) bool { return pod.Namespace != ciliumNamespace }
