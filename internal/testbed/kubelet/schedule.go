package kubelet

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
)

// schedule gives each pod that has no node one that it may run on: the one with
// the fewest pods of the same owner, so that replicas spread. It looks at node
// selectors, required node affinity and required affinity to pods of the same node,
// and at nothing else.
func (k *Kubelet) schedule(ctx context.Context, pods []*corev1.Pod) {
	pods = k.assume(pods)
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(key(a.Namespace, a.Name), key(b.Namespace, b.Name)))
	})
	for i, p := range pods {
		if p.Spec.NodeName != "" || p.DeletionTimestamp != nil {
			continue
		}
		name, err := k.nodeFor(p, pods)
		if err == nil {
			err = k.kube.CoreV1().Pods(p.Namespace).Bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
				Target:     corev1.ObjectReference{Kind: "Node", Name: name},
			}, metav1.CreateOptions{})
		}
		k.note("pod "+key(p.Namespace, p.Name), ignoreGone(err))
		if err == nil {
			k.bound[p.UID] = name
			pods[i] = on(p, name)
		}
	}
}

// assume is pods with the nodes that they were given already: a cache that is behind
// would have a pod's sibling given the same one.
func (k *Kubelet) assume(pods []*corev1.Pod) []*corev1.Pod {
	out := slices.Clone(pods)
	known := map[types.UID]bool{}
	for i, p := range out {
		name := k.bound[p.UID]
		if known[p.UID] = p.Spec.NodeName == ""; known[p.UID] && name != "" {
			out[i] = on(p, name)
		}
	}
	maps.DeleteFunc(k.bound, func(uid types.UID, _ string) bool { return !known[uid] })
	return out
}

func on(p *corev1.Pod, node string) *corev1.Pod {
	p = p.DeepCopy()
	p.Spec.NodeName = node
	return p
}

func (k *Kubelet) nodeFor(p *corev1.Pod, pods []*corev1.Pod) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	best, fewest := "", 0
	for name, n := range k.nodes {
		if n.down || !selects(p.Spec.NodeSelector, n) || !admits(p.Spec.Affinity, n) || !beside(p, name, pods) {
			continue
		}
		siblings := countSiblings(p, name, pods)
		if best == "" || siblings < fewest || siblings == fewest && name < best {
			best, fewest = name, siblings
		}
	}
	if best == "" {
		return "", errors.New("no node is fit for it")
	}
	return best, nil
}

func countSiblings(p *corev1.Pod, node string, pods []*corev1.Pod) (n int) {
	owner := metav1.GetControllerOf(p)
	for _, other := range pods {
		o := metav1.GetControllerOf(other)
		if owner != nil && o != nil && o.UID == owner.UID && other.Spec.NodeName == node {
			n++
		}
	}
	return n
}

// admits judges required node affinity: one of its terms must fit.
func admits(a *corev1.Affinity, n *node) bool {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return true
	}
	own := labels.Set{corev1.LabelOSStable: "linux", corev1.LabelHostname: n.Name}
	for name, value := range n.Labels {
		own[name] = value
	}
	fields := labels.Set{metav1.ObjectNameField: n.Name}
	return slices.ContainsFunc(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool {
		return allFit(t.MatchExpressions, own) && allFit(t.MatchFields, fields)
	})
}

func allFit(list []corev1.NodeSelectorRequirement, have labels.Set) bool {
	return !slices.ContainsFunc(list, func(r corev1.NodeSelectorRequirement) bool {
		op := selection.Operator(strings.ToLower(string(r.Operator)))
		switch r.Operator {
		case corev1.NodeSelectorOpDoesNotExist:
			op = selection.DoesNotExist
		case corev1.NodeSelectorOpGt:
			op = selection.GreaterThan
		case corev1.NodeSelectorOpLt:
			op = selection.LessThan
		}
		want, err := labels.NewRequirement(r.Key, op, r.Values)
		return err != nil || !want.Matches(have)
	})
}

// beside judges required affinity to pods of the same namespace on the same node.
func beside(p *corev1.Pod, node string, pods []*corev1.Pod) bool {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAffinity == nil {
		return true
	}
	for _, term := range p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		want, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err != nil || term.TopologyKey != corev1.LabelHostname {
			return false
		}
		if !slices.ContainsFunc(pods, func(o *corev1.Pod) bool {
			return o.UID != p.UID && o.Namespace == p.Namespace && o.Spec.NodeName == node && want.Matches(labels.Set(o.Labels))
		}) {
			return false
		}
	}
	return true
}
