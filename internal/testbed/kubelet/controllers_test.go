package kubelet_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

// managed is a cluster whose controllers are the real ones.
type managed struct {
	*containers
	kube    kubernetes.Interface
	kubelet *kubelet.Kubelet
	crash   atomic.Bool
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	server := testbed.Start(t)
	server.ControllerManager(t)
	kube, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	m := &managed{containers: &containers{running: map[string]string{}}, kube: kube}
	m.kubelet = kubelet.Start(t, server.Config, kubelet.Options{
		Namespaces: []string{ns}, ControllerManager: true, Start: m.start,
		Mounts: func(p *corev1.Pod) bool { return p.Labels["app"] != "agent" },
	})
	m.kubelet.AddNodes(t, kubelet.Node{Name: "a"}, kubelet.Node{Name: "b"})
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *managed) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	if m.crash.Load() {
		return nil, nil, &kubelet.Crash{Message: "a rule refuses it"}
	}
	return m.containers.start(pod, dir, stdout)
}

// template has what only Mounts lets pass, an init container, and two containers.
func template(app string) (*metav1.LabelSelector, corev1.PodTemplateSpec) {
	labels := map[string]string{"app": app}
	host := corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}
	return &metav1.LabelSelector{MatchLabels: labels}, corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "config", Image: "agent"}},
			Containers: []corev1.Container{
				{Name: "agent", Image: "agent", VolumeMounts: []corev1.VolumeMount{{Name: "host", MountPath: "/host", SubPath: "etc"}}},
				{Name: "beside", Image: "beside"},
			},
			Volumes: []corev1.Volume{host},
		},
	}
}

func (m *managed) pods(t *testing.T, app string) []corev1.Pod {
	t.Helper()
	list, err := m.kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// nodesOf are the nodes of the pods that are ready, sorted.
func (m *managed) nodesOf(t *testing.T, app string) string {
	t.Helper()
	var names []string
	for _, p := range m.pods(t, app) {
		ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if ready && p.DeletionTimestamp == nil {
			names = append(names, p.Spec.NodeName)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestBesideControllerManager(t *testing.T) {
	m := newManaged(t)
	selector, spec := template("agent")
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: spec}}
	if _, err := m.kube.AppsV1().DaemonSets(ns).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	m.kubelet.Until(t)
	if got := m.nodesOf(t, "agent"); got != "a b" || m.count() != 2 {
		t.Errorf("ready on %q, %d containers run", got, m.count())
	}
	for _, p := range m.pods(t, "agent") {
		if done := p.Status.InitContainerStatuses; len(done) != 1 || done[0].State.Terminated == nil || done[0].State.Terminated.ExitCode != 0 {
			t.Errorf("%s: init containers %+v", p.Name, done)
		}
		if len(p.Status.ContainerStatuses) != 2 {
			t.Errorf("%s: containers %+v", p.Name, p.Status.ContainerStatuses)
		}
	}
	m.deployment(t)
	m.crashes(t)
	if err := m.kube.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace and its pods are gone", func() bool {
		_, err := m.kube.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err) && m.count() == 0
	})
}

// deployment spreads its pods, and moves them where its template says.
func (m *managed) deployment(t *testing.T) {
	t.Helper()
	replicas := int32(2)
	selector, spec := template("web")
	spec.Spec.Containers[0].VolumeMounts, spec.Spec.Volumes = nil, nil
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: spec}}
	d, err := m.kube.AppsV1().Deployments(ns).Create(t.Context(), d, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "replicas are on different nodes", func() bool { return m.nodesOf(t, "web") == "a b" })
	patch := fmt.Sprintf(`[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{%q:"b"}}]`, corev1.LabelHostname)
	if _, err := m.kube.AppsV1().Deployments(ns).Patch(t.Context(), d.Name, "application/json-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all replicas are on b", func() bool { return m.nodesOf(t, "web") == "b b" })
}

// crashes: a pod whose container ends says so until it runs.
func (m *managed) crashes(t *testing.T) {
	t.Helper()
	m.crash.Store(true)
	old := m.pods(t, "agent")[0]
	if err := m.kube.CoreV1().Pods(ns).Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var found error
	eventually(t, "the new pod crashes", func() bool {
		for _, p := range m.pods(t, "agent") {
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" {
					continue
				}
				if last := c.LastTerminationState.Terminated; last == nil || last.Message != "a rule refuses it" || last.ExitCode != 1 {
					found = errors.New("how it ended is not said")
				}
				return true
			}
		}
		return false
	})
	if found != nil {
		t.Error(found)
	}
	if errs := m.kubelet.Errors(); len(errs) != 1 {
		t.Errorf("errors %v", errs)
	}
	m.crash.Store(false)
	eventually(t, "it runs", func() bool { return m.nodesOf(t, "agent") == "a b" && len(m.kubelet.Errors()) == 0 })
}
