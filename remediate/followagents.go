package remediate

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/detect/passive"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/verify"
)

const (
	// followedConfig and followedMasq are the ConfigMaps that agents read, agentSet their
	// DaemonSet (templates/cilium-configmap.yaml, cilium-agent/daemonset.yaml, 1.18.6).
	followedConfig = "cilium-config"
	followedMasq   = "ip-masq-agent"
	agentSet       = "cilium"
	// checksum is the pod template's hash of the configuration, with rollOutCiliumPods
	// (daemonset.yaml:57); readsConfig is the init container that reads it (:450).
	checksum    = "cilium.io/cilium-configmap-checksum"
	readsConfig = "config"
)

// config reads cilium-config and, where it is planned, ip-masq-agent.
func (l *followLook) config(ctx context.Context) error {
	c := &l.in.Config
	c.Object = object("ConfigMap", l.namespace(), followedConfig)
	cm := &corev1.ConfigMap{}
	ok, err := l.get(ctx, l.namespace(), followedConfig, cm)
	if err != nil || !ok {
		return err
	}
	c.Known, c.Data, c.Changed = true, cm.Data, dataChanged(cm)
	if _, planned := l.Planned.Config[verify.MasqAgentKey]; !planned {
		return nil
	}
	masq := &corev1.ConfigMap{}
	if ok, err = l.get(ctx, l.namespace(), followedMasq, masq); err != nil || !ok {
		return err
	}
	if text, ok := masq.Data["config"]; ok {
		c.MasqAgent, c.MasqAgentChanged = &text, dataChanged(masq)
	}
	return nil
}

// dataChanged is when the data last changed: the newest time of a manager that owns
// part of it, else when the object was made. A key that was only taken away does
// not move it.
func dataChanged(cm *corev1.ConfigMap) time.Time {
	newest := cm.CreationTimestamp.Time
	for _, f := range cm.ManagedFields {
		var owned map[string]json.RawMessage
		if f.Time == nil || f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &owned) != nil {
			continue
		}
		if _, data := owned["f:data"]; data && f.Time.After(newest) {
			newest = f.Time.Time
		}
	}
	return newest
}

func (l *followLook) nodes(ctx context.Context) error {
	list := &corev1.NodeList{}
	_, err := l.list(ctx, list, func() error {
		for _, n := range list.Items {
			l.in.Nodes = append(l.in.Nodes, verify.Node{Name: n.Name,
				Ready: ready(n.Status.Conditions, func(c corev1.NodeCondition) (string, corev1.ConditionStatus) { return string(c.Type), c.Status })})
		}
		return nil
	})
	return err
}

// agents reads the DaemonSet of the agents and its pods.
func (l *followLook) agents(ctx context.Context) error {
	w, err := l.daemonSet(ctx, agentSet)
	l.in.Agents = w
	return err
}

// others reads what else the plan restarts.
func (l *followLook) others(ctx context.Context) error {
	for _, r := range l.Planned.Restart {
		kind, name, _ := strings.Cut(r, "/")
		var w verify.Workload
		var err error
		switch {
		case kind == "DaemonSet" && name != agentSet:
			w, err = l.daemonSet(ctx, name)
		case kind == "Deployment":
			w, err = l.deployment(ctx, name)
		}
		if err != nil {
			return err
		}
		if w.Name != "" {
			l.in.Others = append(l.in.Others, w)
		}
	}
	return nil
}

func (l *followLook) daemonSet(ctx context.Context, name string) (verify.Workload, error) {
	ds := &appsv1.DaemonSet{}
	ok, err := l.get(ctx, l.namespace(), name, ds)
	if err != nil || !ok {
		return verify.Workload{}, err
	}
	st := ds.Status
	w := verify.Workload{Kind: "DaemonSet", Namespace: ds.Namespace, Name: ds.Name, Generation: ds.Generation, Observed: st.ObservedGeneration,
		Desired: int(st.DesiredNumberScheduled), Updated: int(st.UpdatedNumberScheduled), Available: int(st.NumberAvailable),
		OnDelete: ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType, Checksum: ds.Spec.Template.Annotations[checksum]}
	return w, l.pods(ctx, &w, ds.Spec.Selector)
}

func (l *followLook) deployment(ctx context.Context, name string) (verify.Workload, error) {
	d := &appsv1.Deployment{}
	ok, err := l.get(ctx, l.namespace(), name, d)
	if err != nil || !ok {
		return verify.Workload{}, err
	}
	desired := 1
	if d.Spec.Replicas != nil {
		desired = int(*d.Spec.Replicas)
	}
	w := verify.Workload{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name, Generation: d.Generation, Observed: d.Status.ObservedGeneration,
		Desired: desired, Updated: int(d.Status.UpdatedReplicas), Available: int(d.Status.AvailableReplicas), Checksum: d.Spec.Template.Annotations[checksum]}
	return w, l.pods(ctx, &w, d.Spec.Selector)
}

// pods reads those of a workload that have not ended.
func (l *followLook) pods(ctx context.Context, w *verify.Workload, selector *metav1.LabelSelector) error {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || s.Empty() {
		return nil
	}
	list := &corev1.PodList{}
	w.PodsKnown, err = l.list(ctx, list, func() error {
		for i := range list.Items {
			p := &list.Items[i]
			if p.Spec.NodeName != "" && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && ownedBy(p, w) {
				w.Pods = append(w.Pods, followedPod(p))
			}
		}
		return nil
	}, client.InNamespace(l.namespace()), client.MatchingLabelsSelector{Selector: s})
	return err
}

// ownedBy: labels are anybody's to set. A Deployment owns its pods by way of a
// ReplicaSet of its name.
func ownedBy(p *corev1.Pod, w *verify.Workload) bool {
	return slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool {
		switch w.Kind {
		case "DaemonSet":
			return o.Kind == w.Kind && o.Name == w.Name
		case "Deployment":
			return o.Kind == "ReplicaSet" && strings.HasPrefix(o.Name, w.Name+"-")
		}
		return false
	})
}

func followedPod(p *corev1.Pod) verify.Pod {
	out := verify.Pod{Name: p.Name, Node: p.Spec.NodeName, Created: p.CreationTimestamp.Time, Checksum: p.Annotations[checksum], Deleted: p.DeletionTimestamp != nil,
		Ready: ready(p.Status.Conditions, func(c corev1.PodCondition) (string, corev1.ConditionStatus) { return string(c.Type), c.Status })}
	out.Configured = snapshot.TriOf(true)
	if p.Status.StartTime != nil {
		out.Started = p.Status.StartTime.Time
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			out.Scheduled = c.LastTransitionTime.Time
		}
	}
	for _, s := range p.Status.InitContainerStatuses {
		t := s.State.Terminated
		if t == nil || t.ExitCode != 0 {
			out.Configured = snapshot.No
			out.Why = waiting(s, out.Why)
			continue
		}
		if s.Name == readsConfig {
			out.ConfigRead = t.FinishedAt.Time
		}
	}
	if len(p.Status.InitContainerStatuses) == 0 && len(p.Spec.InitContainers) > 0 {
		out.Configured = snapshot.Unknown
	}
	for _, s := range p.Status.ContainerStatuses {
		if !s.Ready {
			out.Why = waiting(s, out.Why)
		}
	}
	return out
}

// waiting is why a container does not run; the first one's reason stays.
func waiting(s corev1.ContainerStatus, before string) string {
	switch w := s.State.Waiting; {
	case before != "" || w == nil || w.Reason == "":
		return before
	default:
		return s.Name + " " + w.Reason
	}
}

// overrides reads the keys that CiliumNodeConfigs set, of those that are planned,
// and which nodes they select.
func (l *followLook) overrides(ctx context.Context) error {
	for _, version := range []string{"v2", "v2alpha1"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "cilium.io", Version: version, Kind: "CiliumNodeConfigList"})
		var found []unstructured.Unstructured
		ok, err := l.list(ctx, list, func() error { found = append(found, list.Items...); return nil }, client.InNamespace(l.namespace()))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		return l.override(ctx, found)
	}
	return nil
}

func (l *followLook) override(ctx context.Context, configs []unstructured.Unstructured) error {
	for _, o := range configs {
		defaults, _, _ := unstructured.NestedMap(o.Object, "spec", "defaults")
		var nodes map[string]bool
		for key := range l.Planned.Config {
			value, ok := defaults[key].(string)
			if !ok {
				continue
			}
			if nodes == nil {
				var err error
				if nodes, err = l.selected(ctx, o); err != nil {
					return err
				}
			}
			l.in.Overrides = append(l.in.Overrides, verify.Override{Object: object("CiliumNodeConfig", o.GetNamespace(), o.GetName()), Key: key, Value: value,
				Nodes: nodes, Unclear: nodes == nil})
		}
	}
	slices.SortFunc(l.in.Overrides, func(a, b verify.Override) int { return strings.Compare(a.Object+"\x00"+a.Key, b.Object+"\x00"+b.Key) })
	return nil
}

// selected are the nodes of a CiliumNodeConfig; nil when that is not to be had.
func (l *followLook) selected(ctx context.Context, o unstructured.Unstructured) (map[string]bool, error) {
	raw, _, _ := unstructured.NestedMap(o.Object, "spec", "nodeSelector")
	b, err := json.Marshal(raw)
	if err != nil {
		return nil, nil
	}
	var s metav1.LabelSelector
	if json.Unmarshal(b, &s) != nil {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return nil, nil
	}
	return l.nodesWith(ctx, client.MatchingLabelsSelector{Selector: selector})
}

func (l *followLook) nodesWith(ctx context.Context, s client.MatchingLabelsSelector) (map[string]bool, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	out := map[string]bool{}
	ok, err := l.list(ctx, list, func() error {
		for _, n := range list.Items {
			out[n.Name] = true
		}
		return nil
	}, s)
	if !ok {
		out = nil
	}
	return out, err
}

// metrics asks agents what they run, where the order of times does not tell: made
// before the change, or about then.
func (l *followLook) metrics(ctx context.Context) error {
	if l.Metrics == nil || l.Planned.HotReload || !l.unsure() {
		return nil
	}
	read, at := l.Metrics(ctx)
	drift := map[string]int{}
	for _, m := range read {
		if m.Drift.Known {
			drift[m.Source] = m.Drift.Value
		}
	}
	for i := range l.in.Agents.Pods {
		p := &l.in.Agents.Pods[i]
		if n, ok := drift[passive.Source(l.in.Agents.Namespace, p.Name)]; ok && !p.Deleted {
			p.Drift, p.DriftAt = &n, at
		}
	}
	return ctx.Err()
}

// unsure: some agent's time does not prove that it has the change.
func (l *followLook) unsure() bool {
	return slices.ContainsFunc(l.in.Agents.Pods, func(p verify.Pod) bool { return !p.Created.After(l.in.Config.Changed) })
}

// ready is the condition Ready of a node or a pod.
func ready[T any](all []T, is func(T) (kind string, status corev1.ConditionStatus)) snapshot.Tri {
	for _, c := range all {
		kind, status := is(c)
		switch {
		case kind != "Ready":
		case status == corev1.ConditionTrue:
			return snapshot.Yes
		case status == corev1.ConditionFalse:
			return snapshot.No
		}
	}
	return snapshot.Unknown
}
