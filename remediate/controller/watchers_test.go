package controller

import (
	"context"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
)

// What several policies wish of the same probes is put together: one that has twins
// makes them count for all, and the probes are told who takes part unless nobody
// wants that.
func TestWishes(t *testing.T) {
	w := NewWatchers(nil, logr.Discard())
	no := false
	a, b := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	w.Listen(a, &v1alpha1.ProbesSpec{Managed: &no, External: []v1alpha1.ExternalTarget{"192.0.2.1:443"}})
	if got, _ := w.sum("remediate-probe"); !got.reads || got.host || len(got.external) != 1 {
		t.Errorf("one: %+v", got)
	}
	w.Listen(b, &v1alpha1.ProbesSpec{Host: true, External: []v1alpha1.ExternalTarget{"192.0.2.1:443", "nonsense"}})
	if got, _ := w.sum("remediate-probe"); got.reads || !got.host || len(got.external) != 1 {
		t.Errorf("both: %+v", got)
	}
	w.Leave(b)
	if got, wanted := w.sum("remediate-probe"); !got.reads || got.host || !wanted {
		t.Errorf("without the second: %+v", got)
	}
	w.Leave(a)
	if _, wanted := w.sum("remediate-probe"); wanted || w.Of(a).Sight().Wanted != 0 {
		t.Error("nobody is left, and it is wanted")
	}
}

// Probes with twins are told who takes part in both namespaces.
func TestWatchersWithTwins(t *testing.T) {
	cfg, c := cluster(t)
	const twins = "remediate-probe-host"
	for _, ns := range []string{"remediate-probe", twins} {
		must(t, client.IgnoreAlreadyExists(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})))
	}
	w := NewWatchers(cfg, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	defer func() {
		cancel()
		must(t, <-ended)
	}()
	told := func(namespace string) func() bool {
		return func() bool {
			return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "remediate-probe-members"}, &corev1.ConfigMap{}) == nil
		}
	}
	policy := types.NamespacedName{Namespace: "remediate-system", Name: "cilium"}
	w.Listen(policy, nil)
	eventually(t, "the members of the probes", told("remediate-probe"))
	if told(twins)() {
		t.Error("twins are told that nobody wants")
	}
	w.Listen(policy, &v1alpha1.ProbesSpec{Host: true})
	eventually(t, "the members of the twins", told(twins))
	eventually(t, "a judgement", func() bool { return !w.Of(policy).Sight().At.IsZero() })
	if err := w.Of(policy).Sight().Err; err != nil {
		t.Error(err)
	}
}

// Where the probes cannot start because nobody made their key, which the controller
// may not make, the policy says which command does; and is well once it is made.
func TestMissingKeySaysTheCommand(t *testing.T) {
	cfg, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "remediate-probe"}}))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "remediate-probe", Name: "remediate-probe-1", Labels: map[string]string{deploy.LabelTarget: v1alpha1.TargetOpen, "app.kubernetes.io/name": deploy.Name}},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: deploy.ContainerName, Image: "example.com/probe"}}}}
	must(t, c.Create(t.Context(), pod))
	must(t, c.Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: "mount"}, Type: corev1.EventTypeWarning, Reason: "FailedMount",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name},
		Message:        `MountVolume.SetUp failed for volume "key" : secret "remediate-probe-key" not found`}))
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "p"}}
	must(t, c.Create(t.Context(), p))
	key := client.ObjectKeyFromObject(p)
	w := NewWatchers(cfg, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	defer func() {
		cancel()
		must(t, <-ended)
	}()
	r := reconciler(c)
	r.Watching, r.known = w, map[client.ObjectKey]map[string]bool{key: {}} // no forge is asked
	look := func() {
		t.Helper()
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		must(t, err)
		must(t, c.Get(t.Context(), key, p))
	}
	const command = "openssl rand 32 | kubectl create secret generic remediate-probe-key -n remediate-probe --from-file=key=/dev/stdin"
	eventually(t, "a policy that says what to do", func() bool { look(); return conditions.IsStalled(p) })
	for _, of := range []string{meta.ReadyCondition, meta.StalledCondition, v1alpha1.ObservingCondition} {
		if c := conditions.Get(p, of); c.Reason != v1alpha1.SecretReason || !strings.Contains(c.Message, command) {
			t.Errorf("%s: %+v", of, c)
		}
	}
	pod.Status.Phase = corev1.PodRunning
	must(t, c.Status().Update(t.Context(), pod))
	eventually(t, "a policy that is well", func() bool { look(); return conditions.IsReady(p) && !conditions.IsStalled(p) })
}
