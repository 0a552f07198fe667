package deploy

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func daemon(want, ready int32) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: want, NumberReady: ready},
	}
}

func podOn(node, name string, status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name}, Spec: corev1.PodSpec{NodeName: node}, Status: status}
}

func waits(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
}

func nodeIs(name string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
}

func TestProgress(t *testing.T) {
	crashed := waits("CrashLoopBackOff", "")
	crashed.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "unknown flag"}
	unscheduled := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "Insufficient memory"}}}
	stale := daemon(3, 3)
	stale.Generation = 3
	deleted := podOn("a", "gone", waits("ErrImagePull", "no"))
	deleted.DeletionTimestamp = &metav1.Time{}
	tests := []struct {
		name     string
		facts    Facts
		want     bool // it is done
		why      []string
		excused  []string
		unlooked bool
	}{
		{name: "nothing is there yet", unlooked: true},
		{name: "nobody looked at it yet", facts: Facts{DaemonSets: []*appsv1.DaemonSet{stale}}, unlooked: true},
		{name: "no node wants one", facts: Facts{DaemonSets: []*appsv1.DaemonSet{daemon(0, 0)}}, unlooked: true},
		{name: "one of two DaemonSets is behind", facts: Facts{DaemonSets: []*appsv1.DaemonSet{daemon(3, 3), daemon(3, 2)}}},
		{name: "all run", facts: Facts{DaemonSets: []*appsv1.DaemonSet{daemon(3, 3), daemon(3, 3)}}, want: true},
		{name: "being created is no reason", facts: Facts{DaemonSets: []*appsv1.DaemonSet{daemon(1, 0)}, Pods: []*corev1.Pod{podOn("a", "x", waits("ContainerCreating", "m"))}}},
		{name: "reasons, the most frequent first", facts: Facts{DaemonSets: []*appsv1.DaemonSet{daemon(5, 1)}, Pods: []*corev1.Pod{
			podOn("a", "one", crashed), podOn("b", "two", waits("ImagePullBackOff", "not found")), podOn("c", "three", waits("ImagePullBackOff", "not found")),
			podOn("", "four", unscheduled), podOn("d", "five", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk"}), deleted,
		}}, why: []string{
			"2 pods, such as p/two on b: ImagePullBackOff: not found",
			"p/one on a: CrashLoopBackOff, the probe ended with exit code 2 (Error): unknown flag",
			"p/five on d: Evicted disk",
			"p/four: Unschedulable: Insufficient memory",
		}},
		{name: "a node that is not ready is not waited for", facts: Facts{
			DaemonSets: []*appsv1.DaemonSet{daemon(2, 1), daemon(2, 1)},
			Nodes:      []*corev1.Node{nodeIs("a", corev1.ConditionTrue), nodeIs("b", corev1.ConditionUnknown)},
			Pods:       []*corev1.Pod{podOn("b", "x", waits("ContainerCreating", "")), podOn("b", "y", waits("ContainerCreating", ""))},
		}, want: true, excused: []string{"b"}},
		{name: "nor one that never got a pod", facts: Facts{
			DaemonSets: []*appsv1.DaemonSet{daemon(1, 1)}, Nodes: []*corev1.Node{nodeIs("a", corev1.ConditionTrue), nodeIs("b", corev1.ConditionFalse)},
		}, want: true, excused: []string{"b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := ProgressOf(tt.facts)
			var why []string
			for _, r := range p.Why {
				why = append(why, r.String())
			}
			if p.Done() != tt.want || p.Known == tt.unlooked || !slices.Equal(why, tt.why) || !slices.Equal(p.Excused, tt.excused) {
				t.Errorf("done %t, known %t, excused %q, why\n%q", p.Done(), p.Known, p.Excused, why)
			}
		})
	}
}
