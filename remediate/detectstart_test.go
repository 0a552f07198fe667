package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/deploy"
)

// Of several installations the first is taken, and the others are named; one that a
// run kept comes after those that were installed.
func TestDetectTwoInstallations(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 1)
	client, err := deploy.New(b.cfg)
	must(t, err)
	kept := deploy.Options{Namespace: "a-kept", Run: "11aa11aa", Started: time.Now(), By: "somebody@laptop", Keep: true}
	for _, o := range []deploy.Options{kept, {Namespace: probeNamespace}, {Namespace: "second"}} {
		for _, object := range deploy.Objects(o) {
			must(t, client.Apply(t.Context(), object))
		}
	}
	for named, want := range map[string][]string{
		"":       {"namespace second has probes too; --probe-namespace second would take those", "namespace a-kept has probes too; --probe-namespace a-kept would take those", "using the probes that are installed in namespace probes"},
		"second": {"using the probes that are installed in namespace second"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		opts := b.options()
		opts.Probes.Namespace, opts.Ask = named, nil
		var said []string
		opts.Progress = func(format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			if strings.Contains(text, "namespace") {
				said = append(said, text)
			}
			if strings.HasPrefix(text, "using") {
				cancel()
			}
		}
		if _, err := Detect(ctx, opts); !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", named, err)
		}
		cancel()
		if !slices.Equal(said, want) {
			t.Errorf("%q: said %q", named, said)
		}
	}
}

// Pods that are not admitted leave no trace of their own: the user learns of it while
// waiting, and nothing stays behind.
func TestDetectProbesRefused(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 2)
	before := b.objects(t)
	b.admitOnly(t, "registry.example.com/")
	opts := b.options()
	opts.Probes.StartWithin = 8 * time.Second
	var told []string
	opts.Status = func(s Status) { told = append(told, s.Why...) }
	_, err := Detect(t.Context(), opts)
	const want = `DaemonSet remediate-probe: FailedCreate: Error creating: pods "remediate-probe-`
	if !errors.Is(err, ErrNothingChecked) || !strings.Contains(err.Error(), "0 of 4 probes run after 8s; ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "images come from registry.example.com/") {
		t.Errorf("got %v", err)
	}
	if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, want) }) {
		t.Errorf("while it waited it said %q", told)
	}
	if after := b.objects(t); !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
}

// admitOnly makes the API server refuse pods with images from elsewhere, and waits
// until it does.
func (b *probed) admitOnly(t *testing.T, registry string) {
	t.Helper()
	ctx, fail := t.Context(), admissionv1.Fail
	meta := metav1.ObjectMeta{Name: "images"}
	_, err := b.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &fail,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "object.spec.containers.all(c, c.image.startsWith('" + registry + "'))", Message: "images come from " + registry}},
	}}, metav1.CreateOptions{})
	must(t, err)
	_, err = b.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: meta.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}, metav1.CreateOptions{})
	must(t, err)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "try"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "elsewhere/x"}}}}
	for end := time.Now().Add(time.Minute); err == nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the policy is never in force")
		}
		_, err = b.kube.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
}
