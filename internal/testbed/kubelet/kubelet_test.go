package kubelet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

const ns = "probes"

// containers counts those that run, and has their folders.
type containers struct {
	mu      sync.Mutex
	started int
	running map[string]string // pod → folder
}

func (c *containers) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	c.running[pod.Name] = dir
	fmt.Fprintf(stdout, "start %d on %s\n", c.started, pod.Spec.NodeName)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, pod.Name)
	}, []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, byte(c.started)})}, nil
}

func (c *containers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running)
}

func (c *containers) dir(pod string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[pod]
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func daemonSet(selector map[string]string) *appsv1.DaemonSet {
	labels := map[string]string{"app": "probe"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: selector,
					Containers: []corev1.Container{{Name: "probe", Image: "probe", VolumeMounts: []corev1.VolumeMount{
						{Name: "members", MountPath: "/etc/members"}, {Name: "key", MountPath: "/etc/key"},
					}}},
					Volumes: []corev1.Volume{
						{Name: "members", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "members"}}}},
						{Name: "key", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
							{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "key"}, Items: []corev1.KeyToPath{{Key: "key", Path: "k"}}}},
							{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
						}}}},
					},
				},
			},
		},
	}
}

type fixture struct {
	kube    kubernetes.Interface
	kubelet *kubelet.Kubelet
	run     *containers
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	cfg := testbed.APIServer(t)
	f := &fixture{run: &containers{running: map[string]string{}}}
	var err error
	if f.kube, err = kubernetes.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	f.kubelet = kubelet.Start(t, cfg, kubelet.Options{Namespaces: []string{ns}, Start: f.run.start})
	for i := range 2 {
		f.kubelet.AddNodes(t, kubelet.Node{
			Name: fmt.Sprintf("node-%d", i), Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd01::1")},
			PodCIDRs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", i))}, Labels: map[string]string{"disk": fmt.Sprint(i)},
		})
	}
	must(t)(f.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}))
	return f
}

// must fails the test when the second of two results is an error.
func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := f.kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (f *fixture) log(ctx context.Context, pod string, o *corev1.PodLogOptions) (string, error) {
	text, err := f.kube.CoreV1().Pods(ns).GetLogs(pod, o).DoRaw(ctx)
	return string(text), err
}

func TestKubelet(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("cluster", func(t *testing.T) {
		f := newFixture(t)
		sets, core := f.kube.AppsV1().DaemonSets(ns), f.kube.CoreV1()
		must(t)(sets.Create(t.Context(), daemonSet(nil), metav1.CreateOptions{}))
		must(t)(core.Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Data: map[string][]byte{"key": []byte("secret"), "other": nil}}, metav1.CreateOptions{}))
		eventually(t, "pods that wait for their ConfigMap", func() bool { return len(f.kubelet.Errors()) == 2 })
		for about, err := range f.kubelet.Errors() {
			if !strings.HasPrefix(about, "pod probes/probe-") || !strings.Contains(err, "ConfigMap probes/members is not there") {
				t.Errorf("%s: %s", about, err)
			}
		}
		if f.run.count() != 0 {
			t.Error("containers started without their volumes")
		}
		must(t)(core.ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "members"}, BinaryData: map[string][]byte{"m": []byte("1")}}, metav1.CreateOptions{}))
		f.kubelet.Until(t)
		t.Run("pods are ready", f.ready)
		t.Run("volumes follow their objects", f.volumes)
		t.Run("logs", f.logs)
		t.Run("a new template", f.rollout)
		t.Run("nodes", f.nodes)
		t.Run("the DaemonSet goes", func(t *testing.T) {
			if err := sets.Delete(t.Context(), "probe", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "no pod and no container", func() bool { return len(f.pods(t)) == 0 && f.run.count() == 0 })
		})
	})
}

func (f *fixture) ready(t *testing.T) {
	d, err := f.kube.AppsV1().DaemonSets(ns).Get(t.Context(), "probe", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := d.Status; s.DesiredNumberScheduled != 2 || s.NumberReady != 2 || s.NumberUnavailable != 0 || s.ObservedGeneration != d.Generation {
		t.Errorf("status %+v", s)
	}
	for _, p := range f.pods(t) {
		if p.Status.Phase != corev1.PodRunning || !strings.HasPrefix(p.Status.PodIP, "10.1.0.") || !p.Status.ContainerStatuses[0].Ready {
			t.Errorf("pod %s: %+v", p.Name, p.Status)
		}
	}
}

func (f *fixture) volumes(t *testing.T) {
	pod := f.pods(t)[0].Name
	file := func(path string) string {
		text, err := os.ReadFile(filepath.Join(f.run.dir(pod), path))
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	if file("etc/members/m") != "1" || file("etc/key/k") != "secret" || file("etc/key/name") != pod {
		t.Errorf("files %q %q %q", file("etc/members/m"), file("etc/key/k"), file("etc/key/name"))
	}
	if f.kubelet.Dir(t, ns, pod) != f.run.dir(pod) {
		t.Error("it is another folder")
	}
	must(t)(f.kube.CoreV1().ConfigMaps(ns).Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "members"}, BinaryData: map[string][]byte{"m": []byte("2")}}, metav1.UpdateOptions{}))
	eventually(t, "the new content", func() bool { return file("etc/members/m") == "2" })
}

func (f *fixture) logs(t *testing.T) {
	pod := f.pods(t)[0]
	got, err := f.log(t.Context(), pod.Name, &corev1.PodLogOptions{})
	if err != nil || !strings.HasSuffix(got, " on "+pod.Spec.NodeName+"\n") {
		t.Errorf("log %q, %v", got, err)
	}
	body, err := f.kube.CoreV1().Pods(ns).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true, Timestamps: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Scan()
	fmt.Fprintln(f.kubelet.Log(t, ns, pod.Name), "more")
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), "Z more") {
		t.Errorf("followed %q, %v", lines.Text(), lines.Err())
	}
	f.kubelet.Restart(t, ns, pod.Name)
	if lines.Scan() {
		t.Errorf("after the container's end came %q", lines.Text())
	}
	if got, err := f.log(t.Context(), pod.Name, &corev1.PodLogOptions{}); err != nil || strings.Contains(got, "more") {
		t.Errorf("the new container's log is %q, %v", got, err)
	}
	eventually(t, "the restart is counted", func() bool {
		p, err := f.kube.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
		return err == nil && p.Status.ContainerStatuses[0].RestartCount == 1
	})
	if got, err := f.log(t.Context(), pod.Name, &corev1.PodLogOptions{Previous: true}); err != nil || !strings.Contains(got, "more") {
		t.Errorf("the previous container's log is %q, %v", got, err)
	}
}

func (f *fixture) rollout(t *testing.T) {
	old := map[string]bool{}
	for _, p := range f.pods(t) {
		old[p.Name] = true
	}
	sets := f.kube.AppsV1().DaemonSets(ns)
	patch := `{"spec":{"template":{"metadata":{"annotations":{"again":"1"}}}}}`
	must(t)(sets.Patch(t.Context(), "probe", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{}))
	eventually(t, "new pods", func() bool {
		pods := f.pods(t)
		for _, p := range pods {
			if old[p.Name] {
				return false
			}
		}
		return len(pods) == 2
	})
	f.kubelet.Until(t)
	if n := f.run.count(); n != 2 {
		t.Errorf("%d containers run", n)
	}
}

func (f *fixture) nodes(t *testing.T) {
	onNode := func(node string) corev1.Pod {
		for _, p := range f.pods(t) {
			if p.Spec.NodeName == node {
				return p
			}
		}
		return corev1.Pod{}
	}
	node := func() *corev1.Node {
		n, err := f.kube.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := node(); n.Spec.PodCIDR != "10.1.1.0/24" || len(n.Status.Addresses) != 3 || n.Labels["disk"] != "1" {
		t.Errorf("node %+v", n)
	}
	f.kubelet.Down(t, "node-1", true)
	if got, err := f.log(t.Context(), onNode("node-1").Name, &corev1.PodLogOptions{}); err == nil {
		t.Errorf("a node that is off shows %q", got)
	}
	if c := node().Status.Conditions[0]; c.Status == corev1.ConditionTrue || f.run.count() != 1 {
		t.Errorf("condition %+v, %d containers", c, f.run.count())
	}
	f.kubelet.Up(t, "node-1")
	eventually(t, "its container runs again", func() bool { return f.run.count() == 2 })
	f.kubelet.Cordon(t, "node-1", true)
	if !node().Spec.Unschedulable {
		t.Error("it is not cordoned")
	}
	f.kubelet.Remove(t, "node-1")
	eventually(t, "its pod is gone", func() bool { return len(f.pods(t)) == 1 && f.run.count() == 1 })
	sets := f.kube.AppsV1().DaemonSets(ns)
	must(t)(sets.Patch(t.Context(), "probe", "application/strategic-merge-patch+json", []byte(`{"spec":{"template":{"spec":{"nodeSelector":{"disk":"7"}}}}}`), metav1.PatchOptions{}))
	f.kubelet.AddNodes(t, kubelet.Node{Name: "node-7", Labels: map[string]string{"disk": "7"}})
	eventually(t, "a pod where the selector says", func() bool { return onNode("node-7").Name != "" })
}
