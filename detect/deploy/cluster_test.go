package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// kinds are all that a run touches, and pods.
var kinds = []schema.GroupVersionResource{
	{Version: "v1", Resource: "namespaces"}, {Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "services"}, {Version: "v1", Resource: "pods"}, {Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
}

// everything lists all objects of a cluster of these kinds.
func everything(t *testing.T, cfg *rest.Config) []string {
	t.Helper()
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range kinds {
		list, err := client.Resource(k).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			if o.GetNamespace() != "default" { // where the API server keeps its own Service
				out = append(out, k.Resource+" "+o.GetNamespace()+"/"+o.GetName())
			}
		}
	}
	slices.Sort(out)
	return out
}

// heldUp is a ConfigMap that holds up the removal of its namespace.
const heldUp = "held-up"

// finalize does what the controller of namespaces does once they are empty.
func finalize(t *testing.T, kube kubernetes.Interface) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, 50*time.Millisecond) {
			list, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			for _, ns := range list.Items {
				_, held := kube.CoreV1().ConfigMaps(ns.Name).Get(ctx, heldUp, metav1.GetOptions{})
				if ns.DeletionTimestamp != nil && held != nil {
					ns.Spec.Finalizers = nil
					_, _ = kube.CoreV1().Namespaces().Finalize(ctx, &ns, metav1.UpdateOptions{})
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func newClient(t *testing.T, cfg *rest.Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually asks again until it is true: what the API server grants follows its
// objects by a moment.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("not within half a minute: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestOnARealAPIServer(t *testing.T) {
	cfg := testbed.APIServer(t)
	cfg.QPS, cfg.Burst = 500, 1000
	admin := newClient(t, cfg)
	finalize(t, admin.Kube)
	t.Run("the rights of the role suffice for a run", func(t *testing.T) { rightsSuffice(t, cfg, admin) })
	t.Run("each right is needed and named", func(t *testing.T) { rightsAreNamed(t, cfg, admin) })
	t.Run("rights in one namespace only", func(t *testing.T) { followsOneNamespace(t, cfg, admin) })
	t.Run("a run leaves nothing", func(t *testing.T) { leavesNothing(t, cfg, admin) })
	t.Run("only its own", func(t *testing.T) { onlyItsOwn(t, admin) })
	t.Run("every pod is admitted", func(t *testing.T) { everyPodIsAdmitted(t, admin) })
	t.Run("found", func(t *testing.T) { isFound(t, admin) })
	t.Run("a namespace of somebody else's", func(t *testing.T) { foreignNamespace(t, admin) })
	t.Run("a removal that hangs", func(t *testing.T) { hangingRemoval(t, admin) })
	t.Run("key", func(t *testing.T) { keyIsMadeOnce(t, admin) })
	t.Run("members", func(t *testing.T) { membersAreWritten(t, admin) })
}

var started = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

func leavesNothing(t *testing.T, cfg *rest.Config, admin *Client) {
	before := everything(t, cfg)
	o := Options{Namespace: "whole", Run: "1a", Host: true, Started: started, By: "me"}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, cfg); len(got) < len(before)+9 {
		t.Errorf("made only %v", got)
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Fatal(err)
	}
	same(t, before, everything(t, cfg))
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Errorf("to remove what is gone: %v", err)
	}
	// A run that is interrupted anywhere leaves only what its removal takes away.
	for after := range 9 {
		ctx := &endsAfter{Context: t.Context(), left: after}
		if err := admin.Create(ctx, o); !errors.Is(err, context.Canceled) && after < 7 {
			t.Errorf("after %d objects: %v", after, err)
		}
		if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
			t.Fatal(err)
		}
		same(t, before, everything(t, cfg))
	}
}

// endsAfter is a context that ends when it was asked so many times.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func same(t *testing.T, before, after []string) {
	t.Helper()
	if !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
}

// onlyItsOwn: what others keep in the namespace and what another run made stays.
func onlyItsOwn(t *testing.T, admin *Client) {
	o := Options{Namespace: "mine", Run: "2a"}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := admin.Remove(t.Context(), o.Namespace, "other", time.Second); err != nil {
		t.Errorf("a run that has nothing here: %v", err)
	}
	if _, err := admin.Kube.AppsV1().DaemonSets("mine").Get(t.Context(), Name, metav1.GetOptions{}); err != nil {
		t.Errorf("another run's removal took it: %v", err)
	}
	if err := admin.Remove(t.Context(), o.Namespace, "", time.Second); err == nil {
		t.Error("an installation was removed")
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Fatal(err)
	}
}

// everyPodIsAdmitted by the API server's own PodSecurity plugin, at the level that
// the namespace enforces; a pod without one of its fields is not.
func everyPodIsAdmitted(t *testing.T, admin *Client) {
	o := Options{Namespace: "admitted", Run: "3a", Host: true, PriorityClass: "system-node-critical", PullSecrets: []string{"pull"}}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, level := range []struct{ namespace, want string }{{"admitted", "restricted"}, {"admitted-host", "privileged"}} {
		ns, err := admin.Kube.CoreV1().Namespaces().Get(t.Context(), level.namespace, metav1.GetOptions{})
		if err != nil || ns.Labels["pod-security.kubernetes.io/enforce"] != level.want {
			t.Errorf("namespace %s: %v %v", level.namespace, ns.Labels, err)
		}
		list, err := admin.Kube.AppsV1().DaemonSets(level.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) == 0 {
			t.Fatalf("no DaemonSets: %v", err)
		}
		for _, d := range list.Items {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: d.Name, Labels: d.Spec.Template.Labels}, Spec: d.Spec.Template.Spec}
			if _, err := admin.Kube.CoreV1().Pods(level.namespace).Create(t.Context(), pod, dry()); err != nil {
				t.Errorf("%s/%s: %v", d.Namespace, d.Name, err)
			}
			pod.Spec.SecurityContext = nil
			_, err := admin.Kube.CoreV1().Pods(level.namespace).Create(t.Context(), pod, dry())
			if refused := err != nil && strings.Contains(err.Error(), "PodSecurity"); refused != (level.want == "restricted") {
				t.Errorf("%s/%s without its security context: %v", d.Namespace, d.Name, err)
			}
		}
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func dry() metav1.CreateOptions { return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}} }

func isFound(t *testing.T, admin *Client) {
	install := Options{Namespace: "stays", Image: "example.com/probe:1", Host: true}
	for _, object := range Objects(install) {
		if err := admin.Apply(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	run := Options{Namespace: "left", Run: "4a", Started: started, By: "somebody@laptop"}
	if err := admin.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	// A run that was killed before it had made more than its namespace.
	if err := admin.newNamespace(t.Context(), namespace(Options{Run: "5a", Started: started}, "killed", "restricted")); err != nil {
		t.Fatal(err)
	}
	if err := admin.Create(t.Context(), Options{Namespace: "zkept", Run: "8a", Keep: true}); err != nil {
		t.Fatal(err)
	}
	want := []Installation{
		{Namespace: "stays", Host: true, Image: "example.com/probe:1"},
		{Namespace: "zkept", Run: "8a", Kept: true, Image: DefaultImage},
		{Namespace: "killed", Run: "5a", Started: started},
		{Namespace: "left", Run: "4a", Started: started, By: "somebody@laptop", Image: DefaultImage},
	}
	found, err := admin.Find(t.Context(), "")
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("found %+v %v\nwant  %+v", found, err, want)
	}
	found, err = admin.Find(t.Context(), "left")
	if err != nil || !slices.Equal(found, want[3:]) {
		t.Errorf("in one namespace %+v %v", found, err)
	}
	for _, i := range want[1:] {
		if err := admin.Remove(t.Context(), i.Namespace, i.Run, time.Minute); err != nil {
			t.Error(err)
		}
	}
	if err := admin.Kube.CoreV1().Namespaces().Delete(t.Context(), "stays-host", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// foreignNamespace: a run takes no namespace that is there, as it would remove it.
func foreignNamespace(t *testing.T, admin *Client) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}
	if _, err := admin.Kube.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := admin.Create(t.Context(), Options{Namespace: "theirs", Run: "6a"})
	if err == nil || !strings.Contains(err.Error(), "namespace theirs is there already and holds no probes") {
		t.Errorf("got %v", err)
	}
	if err := admin.Remove(t.Context(), "theirs", "6a", time.Second); err != nil {
		t.Error(err)
	}
	if got, err := admin.Kube.CoreV1().Namespaces().Get(t.Context(), "theirs", metav1.GetOptions{}); err != nil || got.DeletionTimestamp != nil {
		t.Errorf("somebody else's namespace was removed: %v", err)
	}
}

// hangingRemoval: a namespace whose removal something else holds up, begun by
// somebody else. The DaemonSets go all the same, so that the pods end.
func hangingRemoval(t *testing.T, admin *Client) {
	o := Options{Namespace: "hangs", Run: "9a"}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	err := admin.Create(t.Context(), Options{Namespace: "hangs", Run: "9b"})
	if err == nil || !strings.Contains(err.Error(), "is there already and holds the probes of another run") {
		t.Errorf("got %v", err)
	}
	maps := admin.Kube.CoreV1().ConfigMaps("hangs")
	holds := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: heldUp}}
	if _, err := maps.Create(t.Context(), holds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Kube.CoreV1().Namespaces().Delete(t.Context(), "hangs", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err = admin.Create(t.Context(), Options{Namespace: "hangs", Run: "9b"})
	if err == nil || !strings.Contains(err.Error(), "is there already and is being removed") {
		t.Errorf("got %v", err)
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Millisecond); !errors.Is(err, ErrTerminating) {
		t.Errorf("got %v", err)
	}
	if list, err := admin.Kube.AppsV1().DaemonSets("hangs").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d DaemonSets are left: %v", len(list.Items), err)
	}
	if err := maps.Delete(t.Context(), heldUp, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Error(err)
	}
}

func keyIsMadeOnce(t *testing.T, admin *Client) {
	o := Options{Namespace: "keyed", Run: "7a", Host: true}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	read := func(ns string) string {
		s, err := admin.Kube.CoreV1().Secrets(ns).Get(t.Context(), KeyName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.Data[KeyKey])
	}
	key := read("keyed")
	if len(key) != 32 || key != read("keyed-host") {
		t.Error("the twins have not the same key of 32 bytes")
	}
	if made, err := admin.EnsureKey(t.Context(), o); err != nil || made || read("keyed") != key {
		t.Errorf("made %v, %v: the key changed", made, err)
	}
	if err := admin.Kube.CoreV1().Secrets("keyed-host").Delete(t.Context(), KeyName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if made, err := admin.EnsureKey(t.Context(), o); err != nil || !made || read("keyed-host") != key {
		t.Errorf("made %v, %v: the twins have not the key", made, err)
	}
	if err := admin.Kube.CoreV1().Secrets("keyed").Delete(t.Context(), KeyName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if made, err := admin.EnsureKey(t.Context(), o); err != nil || !made || read("keyed") == key {
		t.Errorf("made %v, %v: no new key", made, err)
	}
	if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
		t.Fatal(err)
	}
}
