package kubelet

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

// placed is a pod of an owner that has a node.
func placed(owner, name, node string) *corev1.Pod {
	yes := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: types.UID(name), Labels: map[string]string{"app": owner},
			OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: &yes}},
		},
		Spec: corev1.PodSpec{NodeName: node},
	}
}

func requires(field bool, key string, op corev1.NodeSelectorOperator, values ...string) func(*corev1.Pod) {
	r := []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}
	term := corev1.NodeSelectorTerm{MatchExpressions: r}
	if field {
		term = corev1.NodeSelectorTerm{MatchFields: r}
	}
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}},
		}}
	}
}

func with(app, topology string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: topology, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			}},
		}}
	}
}

func TestNodeFor(t *testing.T) {
	k := &Kubelet{nodes: map[string]*node{
		"a":   {Node: Node{Name: "a", Labels: map[string]string{"zone": "1", "size": "3"}}},
		"b":   {Node: Node{Name: "b", Labels: map[string]string{"zone": "2"}}},
		"c":   {Node: Node{Name: "c"}},
		"off": {Node: Node{Name: "off", Labels: map[string]string{"zone": "3"}}, down: true},
	}}
	pods := []*corev1.Pod{placed("web", "web-1", "a"), placed("db", "db-1", "b"), placed("db", "db-2", "c")}
	selector := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
	}
	tests := []struct {
		name string
		pod  func(*corev1.Pod)
		want string
	}{
		{"the first that has none of its owner's", nil, "b"},
		{"a selector", selector("zone", "1"), "a"},
		{"by its name", selector(corev1.LabelHostname, "c"), "c"},
		{"a node that is off", selector("zone", "3"), ""},
		{"as DaemonSets name nodes", requires(true, "metadata.name", corev1.NodeSelectorOpIn, "c"), "c"},
		{"another field", requires(true, "metadata.uid", corev1.NodeSelectorOpIn, "c"), ""},
		{"in", requires(false, "zone", corev1.NodeSelectorOpIn, "1", "9"), "a"},
		{"not in", requires(false, "zone", corev1.NodeSelectorOpNotIn, "2"), "c"},
		{"exists", requires(false, "size", corev1.NodeSelectorOpExists), "a"},
		{"does not exist", requires(false, "zone", corev1.NodeSelectorOpDoesNotExist), "c"},
		{"greater", requires(false, "size", corev1.NodeSelectorOpGt, "2"), "a"},
		{"less", requires(false, "size", corev1.NodeSelectorOpLt, "2"), ""},
		{"malformed", requires(false, "size", corev1.NodeSelectorOpGt, "many"), ""},
		{"the system of every node", requires(false, corev1.LabelOSStable, corev1.NodeSelectorOpIn, "linux"), "b"},
		{"beside its siblings", with("web", corev1.LabelHostname), "a"},
		{"beside others", with("db", corev1.LabelHostname), "b"},
		{"beside nobody", with("cache", corev1.LabelHostname), ""},
		{"in their zone", with("db", "zone"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := placed("web", "web-2", "")
			if tt.pod != nil {
				tt.pod(p)
			}
			got, err := k.nodeFor(p, pods)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("node %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestNodeForSpreads(t *testing.T) {
	k := &Kubelet{nodes: map[string]*node{}}
	for _, name := range []string{"a", "b", "c"} {
		k.nodes[name] = &node{Node: Node{Name: name}}
	}
	var pods []*corev1.Pod
	var got string
	for i := range 5 {
		p := placed("web", fmt.Sprintf("web-%d", i), "")
		name, err := k.nodeFor(p, pods)
		if err != nil {
			t.Fatal(err)
		}
		p.Spec.NodeName = name
		pods, got = append(pods, p), got+name
	}
	if got != "abcab" {
		t.Errorf("nodes %s", got)
	}
}

// A cache that does not show yet which node a pod was given spreads its sibling all
// the same.
func TestScheduleWithAStaleCache(t *testing.T) {
	first, second := placed("web", "web-1", ""), placed("web", "web-2", "")
	k := &Kubelet{
		kube: fake.NewClientset(first, second), bound: map[types.UID]string{}, errs: map[string]string{},
		nodes: map[string]*node{"a": {Node: Node{Name: "a"}}, "b": {Node: Node{Name: "b"}}},
	}
	k.schedule(t.Context(), []*corev1.Pod{first})
	k.schedule(t.Context(), []*corev1.Pod{first, second})
	if k.bound[first.UID] != "a" || k.bound[second.UID] != "b" {
		t.Errorf("bound %v", k.bound)
	}
	k.schedule(t.Context(), []*corev1.Pod{on(first, "a"), on(second, "b")})
	if len(k.bound) != 0 {
		t.Errorf("still kept: %v", k.bound)
	}
}
