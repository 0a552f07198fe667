package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// How long changes are gathered before the members are written: a rollout changes
// many pods at once, and each writing makes every kubelet fetch the ConfigMap.
const (
	settle     = time.Second
	settleMost = 5 * time.Second
	// retry is the wait after a writing that failed.
	retry = 5 * time.Second
)

// annotationMembers is set on the pods of a run to the members' hash.
const annotationMembers = "remediate.dev/members"

// Writer keeps the members' ConfigMap as the pods and nodes are.
type Writer struct {
	Client *Client
	Watch  *Watch
	// Options the probes were made with.
	Options Options
	// Members says who takes part. It is called by one goroutine.
	Members func(Facts) mesh.Membership
	// Wrote is told of each state that the ConfigMap has; nil: nobody is told.
	Wrote func(mesh.Membership)
	// Wake makes the kubelets look at once, by a changed annotation of each probe's
	// pod. On its own a kubelet looks every 60 to 90 seconds (syncFrequency, and
	// the pod worker's jitter of half of it), too late for a run of half a minute
	// and early enough for an installation.
	Wake bool
	// Failed is told why the members could not be written, and nil once they could
	// be again. Nil: nobody is told.
	Failed func(error)
	// Jitter is added to each wait; nil is a random one of up to half a second.
	Jitter func() time.Duration
}

// Run writes whenever something changed, until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	last, woken := "", map[types.UID]string{}
	for {
		next, err := w.step(ctx, last, woken)
		if ctx.Err() != nil {
			return
		}
		if w.Failed != nil {
			w.Failed(err)
		}
		if err != nil {
			if !sleep(ctx, retry+w.jitter()) {
				return
			}
			continue
		}
		last = next
		if !w.quiet(ctx) {
			return
		}
	}
}

// quiet waits for a change, and then until nothing changes for a while.
func (w *Writer) quiet(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.Watch.Changed():
	}
	most := time.NewTimer(settleMost)
	defer most.Stop()
	for {
		calm := time.NewTimer(settle + w.jitter())
		select {
		case <-ctx.Done():
			calm.Stop()
			return false
		case <-w.Watch.Changed():
			calm.Stop()
		case <-calm.C:
			return true
		case <-most.C:
			calm.Stop()
			return true
		}
	}
}

func (w *Writer) jitter() time.Duration {
	if w.Jitter != nil {
		return w.Jitter()
	}
	return rand.N(settle / 2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// step writes the members when they differ from the last, and wakes the kubelets
// of pods that have not heard of them.
func (w *Writer) step(ctx context.Context, last string, woken map[types.UID]string) (string, error) {
	facts := w.Watch.Facts()
	members := w.Members(facts)
	hash := members.Hash()
	if hash != last {
		if err := w.write(ctx, members); err != nil {
			return last, err
		}
		if w.Wrote != nil {
			w.Wrote(members)
		}
	}
	if w.Wake {
		return hash, w.wake(ctx, facts.Pods, hash, woken)
	}
	return hash, nil
}

// write spreads the members over ConfigMaps and removes those that are not needed
// any more, in the twins' namespace too.
func (w *Writer) write(ctx context.Context, members mesh.Membership) error {
	shards, err := mesh.Encode(members, 0)
	if err != nil {
		return err
	}
	if len(shards) > maxMembers {
		return fmt.Errorf("the members of the mesh take %d ConfigMaps, and the probes read %d", len(shards), maxMembers)
	}
	o := w.Options.withDefaults()
	for _, namespace := range o.namespaces() {
		for i, data := range shards {
			if err := w.Client.Apply(ctx, configMap(o, namespace, membersName(i), map[string][]byte{mesh.ShardName(i): data})); err != nil {
				return err
			}
		}
		if err := w.drop(ctx, namespace, len(shards)); err != nil {
			return err
		}
	}
	return nil
}

func configMap(o Options, namespace, name string, data map[string][]byte) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: o.meta(namespace, name, ""),
		BinaryData: data,
	}
}

// drop removes the ConfigMaps from number n on.
func (w *Writer) drop(ctx context.Context, namespace string, n int) error {
	for i := n; i < maxMembers; i++ {
		maps := w.Client.Kube.CoreV1().ConfigMaps(namespace)
		_, err := maps.Get(ctx, membersName(i), metav1.GetOptions{})
		if err == nil {
			err = maps.Delete(ctx, membersName(i), metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove ConfigMap %s/%s, which the members do not need any more: %w", namespace, membersName(i), err)
		}
	}
	return nil
}

func (w *Writer) wake(ctx context.Context, pods []*corev1.Pod, hash string, woken map[types.UID]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotationMembers: hash}}})
	if err != nil {
		return err
	}
	for _, p := range pods {
		if p.DeletionTimestamp != nil || p.Labels[LabelTarget] == v1alpha1.TargetGuarded || cmp.Or(woken[p.UID], p.Annotations[annotationMembers]) == hash {
			continue
		}
		_, err := w.Client.Kube.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("tell the kubelet of pod %s/%s that the members changed: %w", p.Namespace, p.Name, err)
		}
		woken[p.UID] = hash
	}
	return nil
}
