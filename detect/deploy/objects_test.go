package deploy

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Cilium before 1.19 loses what a ClusterIP leads back to its sender over IPv6: no pod
// that asks the Service may be behind it. Those that are admit everybody there, as the
// open targets do: who asks may be masqueraded.
func TestServiceLeadsNobodyBack(t *testing.T) {
	var svc *corev1.Service
	var policy *networkingv1.NetworkPolicy
	var sets []*appsv1.DaemonSet
	for _, o := range Objects(Options{Host: true}) {
		switch o := o.(type) {
		case *corev1.Service:
			svc = o
		case *networkingv1.NetworkPolicy:
			policy = o
		case *appsv1.DaemonSet:
			sets = append(sets, o)
		}
	}
	behind := 0
	for _, d := range sets {
		pod := d.Spec.Template.Labels
		if !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod)) {
			continue
		}
		behind++
		if pod[LabelTarget] != v1alpha1.TargetGuarded {
			t.Errorf("the pods of %s are behind the Service that they ask", d.Name)
		}
		for _, p := range svc.Spec.Ports {
			if !slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool {
				return c.Protocol == p.Protocol && c.ContainerPort == p.TargetPort.IntVal
			}) {
				t.Errorf("%s does not name %s port %s", d.Name, p.Protocol, p.TargetPort.String())
			}
		}
	}
	if behind != 1 {
		t.Errorf("%d DaemonSets are behind the Service, want 1", behind)
	}
	for _, p := range svc.Spec.Ports {
		if !everybody(t, policy, p) {
			t.Errorf("the NetworkPolicy does not admit everybody to %s port %s", p.Protocol, p.TargetPort.String())
		}
	}
	for _, port := range []int32{EchoPort, HTTPPort} {
		if everybody(t, policy, corev1.ServicePort{Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(port)}) {
			t.Errorf("the NetworkPolicy admits everybody to the guarded port %d", port)
		}
	}
}

// everybody: a rule names nobody, and the port.
func everybody(t *testing.T, policy *networkingv1.NetworkPolicy, p corev1.ServicePort) bool {
	t.Helper()
	if s, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector); err != nil || !s.Matches(labels.Set(selector(v1alpha1.TargetGuarded))) {
		t.Fatal("the policy is not the guarded targets'", err)
	}
	return slices.ContainsFunc(policy.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
		return len(r.From) == 0 && slices.ContainsFunc(r.Ports, func(q networkingv1.NetworkPolicyPort) bool {
			return *q.Protocol == p.Protocol && *q.Port == p.TargetPort
		})
	})
}
