package collect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

// TestMain: whatever the tests did, nothing of it runs on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const namespace = "remediate-probe"

// speaker is a probe that says what the test wants.
type speaker struct {
	pod *corev1.Pod
	ip  netip.Addr

	mu   sync.Mutex
	out  io.Writer // nil once its container has ended
	boot string
	seq  uint64
}

// write puts text into the log as it is.
func (s *speaker) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		io.WriteString(s.out, text)
	}
}

// line is the next line; change may change it.
func (s *speaker) line(change func(*probe.Line)) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	l := probe.Line{
		Version: 1, Boot: s.boot, Seq: s.seq, At: time.Now().UTC(), Beat: true, Nodes: 3, Members: "abc",
		From: v1alpha1.Endpoint{Namespace: s.pod.Namespace, Pod: s.pod.Name, Node: s.pod.Spec.NodeName},
	}
	if change != nil {
		change(&l)
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err.Error()
	}
	return string(text) + "\n"
}

func (s *speaker) say(change func(*probe.Line)) { s.write(s.line(change)) }

// cluster is a real API server with the stand-in of its kubelets and three nodes.
type cluster struct {
	server  *testbed.Server
	kube    kubernetes.Interface
	kubelet *kubelet.Kubelet

	mu       sync.Mutex
	starts   int
	speakers map[string]*speaker // by node
}

func newCluster(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := &cluster{server: testbed.Start(t), speakers: map[string]*speaker{}}
	kube, err := kubernetes.NewForConfig(c.server.Config)
	if err != nil {
		t.Fatal(err)
	}
	c.kube = kube
	c.kubelet = kubelet.Start(t, c.server.Config, kubelet.Options{Namespaces: []string{namespace}, Start: c.start})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.AppsV1().DaemonSets(namespace).Create(t.Context(), daemonSet(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		c.addNode(t, i)
	}
	return c
}

func (c *cluster) addNode(t *testing.T, i int) {
	t.Helper()
	c.kubelet.AddNodes(t, kubelet.Node{
		Name:      fmt.Sprintf("node-%d", i),
		Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i+1))},
	})
	c.kubelet.Until(t)
}

// talk lets a node's probe speak ten times in a second until it is stopped.
func (c *cluster) talk(node int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.on(node).say(nil)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

func daemonSet() *appsv1.DaemonSet {
	labels := map[string]string{collect.LabelTarget: "open"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "remediate-probe"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
			},
		},
	}
}

func (c *cluster) start(pod *corev1.Pod, _ string, out io.Writer) (func(), []netip.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
	ip := netip.AddrFrom4([4]byte{10, 1, 0, byte(c.starts)})
	if old := c.speakers[pod.Spec.NodeName]; old != nil && old.pod.UID == pod.UID {
		ip = old.ip
	}
	s := &speaker{pod: pod, ip: ip, out: out, boot: fmt.Sprintf("boot-%d", c.starts)}
	c.speakers[pod.Spec.NodeName] = s
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.out = nil
	}, []netip.Addr{ip}, nil
}

func (c *cluster) on(node int) *speaker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.speakers[fmt.Sprintf("node-%d", node)]
}

// heard is what a sink was told.
type heard struct {
	mu    sync.Mutex
	lines []string // node boot/seq
}

func (h *heard) sink(t collect.Target, l probe.Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("%s %s/%d", t.Node, l.Boot, l.Seq))
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.lines...)
}

// run starts a collector; it ends before the test does, and stop ends it earlier.
func run(t *testing.T, cfg *rest.Config, o collect.Options) (*collect.Collector, func()) {
	t.Helper()
	c, err := collect.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return c, stop
}

// eventually waits until something is so, at most a minute.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func key(s *speaker) collect.Key { return collect.Key{Namespace: s.pod.Namespace, Pod: s.pod.Name} }
