package deploy

import (
	"context"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// byPods makes a member of each pod that was scheduled.
func byPods(f Facts) mesh.Membership {
	m := mesh.Membership{Version: 1}
	for _, p := range f.Pods {
		m.Members = append(m.Members, mesh.Member{Node: p.Spec.NodeName, NodeIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	}
	return m
}

// membersAreWritten follows pods that come and go, wakes the kubelets of those that
// probe, and takes away what is left of a larger membership.
func membersAreWritten(t *testing.T, admin *Client) {
	o := Options{Namespace: "members", Run: "8a", Host: true}
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	stale := configMap(o, o.Namespace, membersName(1), map[string][]byte{mesh.ShardName(1): {1}})
	if err := admin.Apply(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := admin.Follow(ctx, o.Namespace, true)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	w := &Writer{Client: admin, Watch: watch, Options: o, Members: byPods, Wake: true, Jitter: func() time.Duration { return -settle + 10*time.Millisecond }}
	go func() { w.Run(ctx); close(done) }()
	defer func() {
		cancel()
		<-done
		watch.Close()
		if err := admin.Remove(t.Context(), o.Namespace, o.Run, time.Minute); err != nil {
			t.Error(err)
		}
	}()

	place(t, admin, "members", "a", v1alpha1.TargetOpen)
	place(t, admin, "members", "b", v1alpha1.TargetGuarded)
	place(t, admin, "members-host", "c", TargetHost)
	want := mesh.Membership{Members: []mesh.Member{{Node: "a"}, {Node: "b"}, {Node: "c"}}}
	for i := range want.Members {
		want.Members[i].NodeIPs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	for _, namespace := range []string{"members", "members-host"} {
		eventually(t, "all are members in "+namespace, func() bool { return written(t, admin, namespace).Hash() == want.Hash() })
	}
	eventually(t, "the prober's kubelet is woken", func() bool { return woken(t, admin, "members", "a") == want.Hash() })
	eventually(t, "the twin's kubelet is woken", func() bool { return woken(t, admin, "members-host", "c") == want.Hash() })
	if woken(t, admin, "members", "b") != "" {
		t.Error("a target that only answers needs no members")
	}
	if _, err := admin.Kube.CoreV1().ConfigMaps("members").Get(t.Context(), membersName(1), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a shard that is not needed: %v", err)
	}
	now := int64(0)
	if err := admin.Kube.CoreV1().Pods("members").Delete(t.Context(), "b", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one is gone", func() bool { return len(written(t, admin, "members").Members) == 2 })
}

func place(t *testing.T, admin *Client, namespace, node, target string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: node, Namespace: namespace, Labels: Options{}.labels(target)},
		Spec:       podSpec(Options{}.withDefaults(), target),
	}
	pod.Spec.NodeName = node
	if target == TargetHost {
		pod.Spec = hostDaemonSet(Options{}.withDefaults()).Spec.Template.Spec
		pod.Spec.NodeName = node
	}
	if _, err := admin.Kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func written(t *testing.T, admin *Client, namespace string) mesh.Membership {
	t.Helper()
	cm, err := admin.Kube.CoreV1().ConfigMaps(namespace).Get(t.Context(), MembersName, metav1.GetOptions{})
	if err != nil {
		return mesh.Membership{}
	}
	m, err := mesh.Decode([][]byte{cm.BinaryData[mesh.ShardName(0)]})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func woken(t *testing.T, admin *Client, namespace, pod string) string {
	t.Helper()
	p, err := admin.Kube.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Annotations[annotationMembers]
}
