package kubelet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// labelHash on a pod names the template that it was made of.
const labelHash = appsv1.DefaultDaemonSetUniqueLabelKey

func listed[T any](stores []cache.Store) []T {
	var out []T
	for _, s := range stores {
		for _, o := range s.List() {
			if v, ok := o.(T); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

func (k *Kubelet) daemonSets() []*appsv1.DaemonSet {
	out := listed[*appsv1.DaemonSet](k.stores.daemons)
	slices.SortFunc(out, func(a, b *appsv1.DaemonSet) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return out
}

// sync brings the cluster one step nearer to what it should be.
func (k *Kubelet) sync(ctx context.Context) {
	pods := listed[*corev1.Pod](k.stores.pods)
	if k.opts.ControllerManager {
		k.schedule(ctx, pods)
		k.syncPods(ctx, pods)
		return
	}
	for _, d := range k.daemonSets() {
		about := "DaemonSet " + d.Namespace + "/" + d.Name
		k.note(about, k.syncDaemonSet(ctx, d, pods))
	}
	k.orphans(ctx, pods)
	k.syncPods(ctx, pods)
}

// wanted are the nodes on which a DaemonSet's pod should run and can.
func (k *Kubelet) wanted(d *appsv1.DaemonSet) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for name, n := range k.nodes {
		if !n.down && selects(d.Spec.Template.Spec.NodeSelector, n) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func selects(selector map[string]string, n *node) bool {
	for key, value := range selector {
		have := n.Labels[key]
		switch {
		case key == corev1.LabelOSStable:
			have = "linux"
		case key == corev1.LabelHostname:
			have = n.Name
		}
		if have != value {
			return false
		}
	}
	return true
}

func hashOf(d *appsv1.DaemonSet) (string, error) {
	text, err := json.Marshal(d.Spec.Template)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5]), nil
}

// syncDaemonSet makes the pods that are missing and deletes those of an older
// template. A DaemonSet that is being deleted is left to its pods' owner references.
func (k *Kubelet) syncDaemonSet(ctx context.Context, d *appsv1.DaemonSet, pods []*corev1.Pod) error {
	hash, err := hashOf(d)
	if err != nil || d.DeletionTimestamp != nil {
		return err
	}
	status := appsv1.DaemonSetStatus{ObservedGeneration: d.Generation}
	wanted := k.wanted(d)
	status.DesiredNumberScheduled = int32(len(wanted))
	for _, node := range wanted {
		p := podOf(d, node, pods)
		switch {
		case p == nil:
			if err := k.create(ctx, d, node, hash); err != nil {
				return errors.Join(err, k.refused(ctx, d, err), k.tell(ctx, d, status))
			}
			continue
		case p.Labels[labelHash] != hash && p.DeletionTimestamp == nil:
			if err := k.kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{}); ignoreGone(err) != nil {
				return err
			}
			continue
		}
		status.CurrentNumberScheduled++
		if p.Labels[labelHash] == hash {
			status.UpdatedNumberScheduled++
		}
		if isReady(p) {
			status.NumberReady++
			status.NumberAvailable++
		}
	}
	status.NumberUnavailable = status.DesiredNumberScheduled - status.NumberAvailable
	return k.tell(ctx, d, status)
}

// tell writes the DaemonSet's status where it differs.
func (k *Kubelet) tell(ctx context.Context, d *appsv1.DaemonSet, status appsv1.DaemonSetStatus) error {
	have := d.Status
	have.Conditions, have.CollisionCount = nil, nil
	if same, err := sameJSON(have, status); err != nil || same {
		return err
	}
	d = d.DeepCopy()
	d.Status = status
	_, err := k.kube.AppsV1().DaemonSets(d.Namespace).UpdateStatus(ctx, d, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // it comes again
	}
	return ignoreGone(err)
}

func podOf(d *appsv1.DaemonSet, node string, pods []*corev1.Pod) *corev1.Pod {
	for _, p := range pods {
		if p.Namespace == d.Namespace && p.Spec.NodeName == node && metav1.IsControlledBy(p, d) {
			return p
		}
	}
	return nil
}

// create makes a pod of the DaemonSet's template for a node. Its name is always the
// same, so that a cache that lags makes none twice.
func (k *Kubelet) create(ctx context.Context, d *appsv1.DaemonSet, node, hash string) error {
	t := d.Spec.Template
	sum := sha256.Sum256([]byte(string(d.UID) + node + hash))
	p := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy()}
	p.Name, p.Namespace = d.Name+"-"+hex.EncodeToString(sum[:3])[:5], d.Namespace
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels[labelHash] = hash
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
	p.Spec.NodeName = node
	_, err := k.kube.CoreV1().Pods(d.Namespace).Create(ctx, p, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make a pod for node %s: %w", node, err)
	}
	return nil
}

// refused is the event that the controller of DaemonSets writes when the API server
// takes no pod.
func (k *Kubelet) refused(ctx context.Context, d *appsv1.DaemonSet, why error) error {
	now := metav1.Now()
	_, err := k.kube.CoreV1().Events(d.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-refused"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name, UID: d.UID},
		Type:           corev1.EventTypeWarning, Reason: "FailedCreate", Message: "Error creating: " + errors.Unwrap(why).Error(),
		Source: corev1.EventSource{Component: "daemonset-controller"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return ignoreGone(err)
}

// orphans deletes the pods whose DaemonSet is gone, as the garbage collector does,
// and those whose node is: no kubelet is left to say that they ended.
func (k *Kubelet) orphans(ctx context.Context, pods []*corev1.Pod) {
	daemons := k.daemonSets()
	for _, p := range pods {
		owner := metav1.GetControllerOf(p)
		if owner == nil {
			continue
		}
		var how metav1.DeleteOptions
		owned := slices.ContainsFunc(daemons, func(d *appsv1.DaemonSet) bool {
			return d.UID == owner.UID && d.DeletionTimestamp == nil
		})
		switch {
		case !k.hasNode(p.Spec.NodeName):
			how.GracePeriodSeconds = new(int64(0))
		case owned || p.DeletionTimestamp != nil:
			continue
		}
		err := k.kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, how)
		k.note("pod "+p.Namespace+"/"+p.Name, ignoreGone(err))
	}
}

func (k *Kubelet) hasNode(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nodes[name] != nil
}

func isReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func sameJSON(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return string(x) == string(y), err
}
