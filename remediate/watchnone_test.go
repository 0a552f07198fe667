package remediate

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
)

// Only a cluster that says so lacks the key.
func TestLacksKey(t *testing.T) {
	const missing = `Pod remediate-probe-x: FailedMount: MountVolume.SetUp failed for volume "key" : secret "remediate-probe-key" not found`
	for _, tt := range []struct {
		name string
		why  []string
		want bool
	}{
		{"nothing is known", nil, false},
		{"the kubelet says so", []string{"1 pod: ImagePullBackOff", missing}, true},
		{"another volume", []string{strings.Replace(missing, "remediate-probe-key", "members", 1)}, false},
		{"it is there and cannot be mounted", []string{strings.Replace(missing, "not found", "timed out", 1)}, false},
	} {
		if got := lacksKey(tt.why); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// The key is made once, and the twins take the same: with another one they would
// understand nobody.
func TestCommandsForTheKey(t *testing.T) {
	want := "openssl rand 32 | kubectl create secret generic remediate-probe-key -n probes --from-file=key=/dev/stdin"
	if got := MakeKey("probes"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want = "kubectl get secret remediate-probe-key -n probes -o jsonpath='{.data.key}' | base64 -d | kubectl create secret generic remediate-probe-key -n probes-host --from-file=key=/dev/stdin"
	if got := CopyKey("probes"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A namespace is asked about only while none of its probes runs.
func TestIdle(t *testing.T) {
	pod := func(namespace, target string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: map[string]string{deploy.LabelTarget: target}}, Status: corev1.PodStatus{Phase: phase}}
	}
	twins := deploy.HostNamespace("probes")
	both := []string{"probes", twins}
	for _, tt := range []struct {
		name string
		pods []*corev1.Pod
		want string
	}{
		{"nothing runs", []*corev1.Pod{pod("probes", v1alpha1.TargetOpen, corev1.PodPending)}, "probes probes-host"},
		{"twins do not", []*corev1.Pod{pod("probes", v1alpha1.TargetOpen, corev1.PodRunning), pod(twins, deploy.TargetHost, corev1.PodPending)}, twins},
		{"twins alone do", []*corev1.Pod{pod(twins, deploy.TargetHost, corev1.PodRunning)}, "probes"},
		{"a guarded target tries nothing", []*corev1.Pod{pod("probes", v1alpha1.TargetGuarded, corev1.PodRunning), pod(twins, deploy.TargetHost, corev1.PodRunning)}, "probes"},
		{"all do", []*corev1.Pod{pod("probes", v1alpha1.TargetOpen, corev1.PodRunning), pod(twins, deploy.TargetHost, corev1.PodRunning)}, ""},
	} {
		if got := strings.Join(idle(deploy.Facts{Pods: tt.pods}, both), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
