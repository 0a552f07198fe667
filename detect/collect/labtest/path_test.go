//go:build linux

// Package labtest shows in a kernel's own network that what the probes say arrives
// while the pod network, service addresses and cluster DNS are cut.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// cluster is a lab with a real API server, whose kubelets run the real probes in the
// lab's pods.
type cluster struct {
	lab     *lab.Lab
	kubelet *kubelet.Kubelet
	cfg     *rest.Config
	kube    kubernetes.Interface
	binary  string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{lab: lab.New(t, lab.Spec{Nodes: 3}), cfg: apiServer(t), binary: build(t)}
	var err error
	if c.kube, err = kubernetes.NewForConfig(c.cfg); err != nil {
		t.Fatal(err)
	}
	c.kubelet = kubelet.Start(t, c.cfg, kubelet.Options{Namespaces: []string{deploy.Name}, Start: c.start})
	for _, n := range c.lab.Nodes {
		c.kubelet.AddNodes(t, kubelet.Node{Name: n.Name, Addresses: n.IPs(), PodCIDRs: n.PodCIDRs()})
	}
	client, err := deploy.New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Create(t.Context(), deploy.Options{}); err != nil {
		t.Fatal(err)
	}
	c.write(t, client)
	c.kubelet.Until(t)
	return c
}

// write tells the probes who takes part until the test ends.
func (c *cluster) write(t *testing.T, client *deploy.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	watch, err := client.Follow(ctx, deploy.Name, false)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	w := &deploy.Writer{Client: client, Watch: watch, Members: func(f deploy.Facts) mesh.Membership {
		return collect.Membership(f.Pods, f.Nodes, f.Services, f.Slices)
	}}
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; watch.Close() })
}

// apiServer: without a default route it must be told which address it has.
func apiServer(t *testing.T) *rest.Config {
	t.Helper()
	return testbed.APIServer(t, "--advertise-address=192.0.2.1")
}

func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remediate-probe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "github.com/remediate-dev/remediate/cmd/remediate-probe")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return path
}

// start runs the probe's binary in a pod of the lab.
func (c *cluster) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	labels := pod.Labels
	p := c.lab.Node(pod.Spec.NodeName).AddPod(lab.PodSpec{
		Namespace: pod.Namespace, Name: pod.Name, Labels: labels, Guarded: labels[lab.TargetLabel] == "guarded",
	})
	env, err := kubelet.Env(pod, p.IPs())
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(c.binary, kubelet.Args(pod, dir, env)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stdout
	if err := p.Start(cmd); err != nil {
		return nil, nil, err
	}
	return func() { p.Stop(cmd) }, p.IPs(), nil
}

// relay passes connections of an address of the node network on to the API server.
func relay(t *testing.T, l net.Listener, to string) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() { io.Copy(pair[0], pair[1]); pair[0].Close() })
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// throughNodes is the administrator's access from one node to the API server behind
// the address of another.
func (c *cluster) throughNodes(t *testing.T, from, at *lab.Node) *rest.Config {
	t.Helper()
	address := netip.AddrPortFrom(at.IPs()[0], 6443).String()
	l, err := at.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	relay(t, l, strings.TrimPrefix(c.cfg.Host, "https://"))
	cfg := rest.CopyConfig(c.cfg)
	cfg.Host, cfg.ServerName, cfg.Dial = "https://"+address, "127.0.0.1", from.DialContext
	return cfg
}

func (c *cluster) keyring(t *testing.T) *probe.Keyring {
	t.Helper()
	s, err := c.kube.CoreV1().Secrets(deploy.Name).Get(t.Context(), deploy.KeyName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := probe.NewKeyring(s.Data[deploy.KeyKey])
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// lookUp asks cluster DNS, at its service address, from a pod.
func (c *cluster) lookUp(t *testing.T, dns *lab.DNS) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	pod := c.lab.Nodes[0].Pods()[0]
	_, err := pod.Resolver(dns, cidr.IPv6).LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	return err
}

func eventually(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestReportsArriveWhileThePodNetworkIsCut(t *testing.T) {
	c := newCluster(t)
	from := c.lab.Nodes[0]
	client := &http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
	col, err := collect.New(c.throughNodes(t, from, c.lab.Nodes[1]), collect.Options{Direct: collect.Direct(client, c.keyring(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- col.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	m := col.Matrix()
	paths := func(want collect.Path) func() bool {
		return func() bool {
			probes := m.Probes()
			return len(probes) == 3 && !slices.ContainsFunc(probes, func(p collect.Probe) bool { return p.Path != want || p.Nodes != 3 })
		}
	}
	eventually(t, time.Minute, "everybody is heard directly", paths(collect.PathDirect))
	_, cursor, _ := m.Since(0)
	dns := c.lab.StartDNS(c.lab.Nodes[2])
	if err := c.lookUp(t, dns); err != nil {
		t.Fatalf("cluster DNS, before it is cut: %v", err)
	}

	c.lab.CutPodNetwork()
	c.lab.BreakServices()
	dns.Stop()
	cut := time.Now()
	if c.lookUp(t, dns) == nil {
		t.Error("cluster DNS still answers")
	}
	seen := map[string]bool{}
	eventually(t, time.Minute, "every prober tells that every other node is lost", func() bool {
		obs, next, _ := m.Since(cursor)
		cursor = next
		for _, o := range obs {
			if o.Outcome == "Timeout" && o.Via == "PodIP" && o.From.Node != o.To.Node {
				seen[fmt.Sprintf("%s to %s", o.From.Node, o.To.Node)] = true
			}
		}
		return len(seen) == 6
	})
	t.Logf("told %s after the cut", time.Since(cut).Round(100*time.Millisecond))
	eventually(t, time.Minute, "everybody is heard by the log", paths(collect.PathFollow))
	for _, s := range m.Silent(time.Now()) {
		t.Errorf("silent: %s %s", s.Reason, s.Text)
	}
}
