//go:build linux

package story

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

func buildProbe(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), deploy.Name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "github.com/remediate-dev/remediate/cmd/remediate-probe")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return path
}

// installProbes makes what config/probe makes, and waits until all run.
func (b *Bed) installProbes(t testing.TB) {
	t.Helper()
	client, err := deploy.New(b.Server.Config)
	b.must(t, err)
	b.must(t, client.Create(t.Context(), deploy.Options{}))
	if !b.opts.Quiet {
		b.tellMembers(t, client)
	}
	b.UntilProbes(t)
	b.serveProbes(t)
}

// serveProbes has the nodes translate the ClusterIPs of the probes' Service, as
// Cilium does.
func (b *Bed) serveProbes(t testing.TB) {
	t.Helper()
	service, err := b.Kube.CoreV1().Services(deploy.Name).Get(t.Context(), deploy.Name, metav1.GetOptions{})
	b.must(t, err)
	s := lab.Service{Namespace: service.Namespace, Name: service.Name}
	for _, ip := range service.Spec.ClusterIPs {
		s.ClusterIPs = append(s.ClusterIPs, netip.MustParseAddr(ip))
	}
	for _, p := range service.Spec.Ports {
		s.Ports = append(s.Ports, lab.ServicePort{Protocol: string(p.Protocol), Port: int(p.Port), TargetPort: p.TargetPort.IntValue()})
	}
	pods := b.probePods(t)
	for _, n := range b.Lab.Nodes {
		s.Endpoints = append(s.Endpoints, pods.of(t, n.Name, v1alpha1.TargetGuarded).IPs()...)
	}
	b.Change(func(*lab.Lab) { b.opts.Datapath.service(s) })
}

// UntilProbes waits until every node has its probes.
func (b *Bed) UntilProbes(t testing.TB) {
	t.Helper()
	eventually(t, patience, "all probes run", func() string {
		list, err := b.Kube.AppsV1().DaemonSets(deploy.Name).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, d := range list.Items {
			if d.Status.NumberReady != int32(len(b.Lab.Nodes)) {
				return fmt.Sprintf("DaemonSet %s has %d; errors of the kubelets: %v", d.Name, d.Status.NumberReady, b.Kubelet.Errors())
			}
		}
		if len(list.Items) == 0 {
			return "there is no DaemonSet"
		}
		return ""
	})
}

// tellMembers tells the probes who takes part, until the test ends.
func (b *Bed) tellMembers(t testing.TB, client *deploy.Client) {
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

// startProbe runs the probe's binary in a pod, the host twin's in the node's own
// network.
func (b *Bed) startProbe(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	p, end := b.opts.Datapath.host(pod), func(*Pod) {}
	if !pod.Spec.HostNetwork {
		var err error
		if p, err = b.attach(pod, pod.Labels[lab.TargetLabel] == v1alpha1.TargetGuarded); err != nil {
			return nil, nil, err
		}
		end = b.detach
	}
	env, err := kubelet.Env(pod, p.IPs())
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(b.binaries[deploy.Name], kubelet.Args(pod, dir, env)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stdout
	if err := p.Start(cmd); err != nil {
		return nil, nil, err
	}
	return func() { p.Stop(cmd); end(p) }, p.IPs(), nil
}

// askTime is how long an exchange may take.
const askTime = 2 * time.Second

// Ask makes one exchange over TCP from the pod network of one node to the probe of
// another, which is open or guarded. It is no part of what the probes do by
// themselves; its source is the open probe's pod.
func (b *Bed) Ask(t testing.TB, from, to, target, family string) v1alpha1.Observation {
	t.Helper()
	return b.AskAll(t, Question{From: from, To: to, Target: target, Family: family})[0]
}

// Question is an exchange that [Bed.Ask] makes. Without To and Target, it goes to the
// probes' Service over a protocol of mesh; TCP otherwise.
type Question struct{ From, To, Target, Family, Protocol string }

// AskAll makes many exchanges at once, and returns what became of each.
func (b *Bed) AskAll(t testing.TB, questions ...Question) []v1alpha1.Observation {
	t.Helper()
	pods, out := b.probePods(t), make([]v1alpha1.Observation, len(questions))
	var all sync.WaitGroup
	for i, q := range questions {
		ask := b.question(t, pods, q)
		all.Go(func() { out[i] = ask(t.Context()) })
	}
	all.Wait()
	return out
}

// question is what Ask does, ready to be asked from any goroutine.
func (b *Bed) question(t testing.TB, pods probePods, q Question) func(context.Context) v1alpha1.Observation {
	t.Helper()
	source := pods.of(t, q.From, v1alpha1.TargetOpen)
	prober := &probe.Prober{Keys: pods.keys, Timeout: askTime, Within: func(open func()) {
		if err := source.Do(func() error { open(); return nil }); err != nil {
			t.Error(err)
		}
	}}
	check := mesh.Check{
		From: endpoint(source, q.Family, 0),
		Via:  mesh.ViaPodIP, Family: q.Family, Protocol: cmp.Or(q.Protocol, mesh.TCP), Target: q.Target,
	}
	if q.To == "" {
		check.Via, check.To = mesh.ViaClusterIP, v1alpha1.Endpoint{IP: pods.service(t, q.Family), Port: mesh.Port}
	} else {
		check.To = endpoint(pods.of(t, q.To, q.Target), q.Family, mesh.Port)
	}
	return func(ctx context.Context) v1alpha1.Observation { return prober.Do(ctx, check) }
}

func endpoint(p *Pod, family string, port int) v1alpha1.Endpoint {
	return v1alpha1.Endpoint{Node: p.Node, Namespace: p.Namespace, Pod: p.Name, IP: p.IP(family).String(), Port: port}
}

// probePods are the pods of the probes that run, by node and target, and the
// ClusterIPs of their Service.
type probePods struct {
	keys       *probe.Keyring
	pods       map[[2]string]*Pod
	clusterIPs []string
}

func (b *Bed) probePods(t testing.TB) probePods {
	t.Helper()
	secret, err := b.Kube.CoreV1().Secrets(deploy.Name).Get(t.Context(), deploy.KeyName, metav1.GetOptions{})
	b.must(t, err)
	out := probePods{pods: map[[2]string]*Pod{}}
	out.keys, err = probe.NewKeyring(secret.Data[deploy.KeyKey])
	b.must(t, err)
	service, err := b.Kube.CoreV1().Services(deploy.Name).Get(t.Context(), deploy.Name, metav1.GetOptions{})
	b.must(t, err)
	out.clusterIPs = service.Spec.ClusterIPs
	list, err := b.Kube.CoreV1().Pods(deploy.Name).List(t.Context(), metav1.ListOptions{})
	b.must(t, err)
	for i := range list.Items {
		if p := &list.Items[i]; isReady(p) && p.DeletionTimestamp == nil {
			out.pods[[2]string{p.Spec.NodeName, p.Labels[deploy.LabelTarget]}] = b.pod(p.Namespace, p.Name)
		}
	}
	return out
}

func (p probePods) of(t testing.TB, node, target string) *Pod {
	t.Helper()
	pod := p.pods[[2]string{node, target}]
	if pod == nil {
		t.Fatalf("no %s probe runs on %s", target, node)
	}
	return pod
}

// service is the ClusterIP of a family.
func (p probePods) service(t testing.TB, family string) string {
	t.Helper()
	i := slices.IndexFunc(p.clusterIPs, func(a string) bool { return cidr.Family(netip.MustParseAddr(a)) == family })
	if i < 0 {
		t.Fatalf("the probes' Service has no %s ClusterIP, but %v", family, p.clusterIPs)
	}
	return p.clusterIPs[i]
}
