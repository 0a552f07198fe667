package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is a pod that a kubelet runs.
type pod struct {
	uid     types.UID
	object  *corev1.Pod // as it was started
	node    string
	dir     string
	volumes *volumes

	mu       sync.Mutex
	log, old *logFile
	stop     func()
	ips      []netip.Addr
	restarts int32
	started  time.Time
}

// end ends the container and its log's readers.
func (p *pod) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	if p.log != nil {
		p.log.close()
	}
}

// current is the log of the container that runs, or of the one before.
func (p *pod) current(previous bool) *logFile {
	p.mu.Lock()
	defer p.mu.Unlock()
	if previous {
		return p.old
	}
	return p.log
}

func key(namespace, name string) string { return namespace + "/" + name }

func (k *Kubelet) running(namespace, name string) *pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods[key(namespace, name)]
}

func (k *Kubelet) syncPods(ctx context.Context, pods []*corev1.Pod) {
	seen := map[string]types.UID{}
	for _, o := range pods {
		seen[key(o.Namespace, o.Name)] = o.UID
		if !k.isOn(o.Spec.NodeName) {
			continue
		}
		k.note("pod "+key(o.Namespace, o.Name), k.syncPod(ctx, o))
	}
	k.mu.Lock()
	var gone []*pod
	for name, p := range k.pods {
		// What was made a moment ago may not be in the cache yet.
		if seen[name] != p.uid && time.Since(p.started) > time.Second {
			gone = append(gone, p)
			delete(k.pods, name)
		}
	}
	k.mu.Unlock()
	for _, p := range gone {
		p.end()
	}
}

func (k *Kubelet) isOn(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.nodes[name]
	return n != nil && !n.down
}

func (k *Kubelet) syncPod(ctx context.Context, o *corev1.Pod) error {
	name := key(o.Namespace, o.Name)
	p := k.running(o.Namespace, o.Name)
	if o.DeletionTimestamp != nil {
		return k.remove(ctx, o, p)
	}
	if p != nil && p.uid == o.UID {
		_, err := k.mount(p, o)
		return errors.Join(err, k.report(ctx, o, p))
	}
	if p != nil {
		p.end()
	}
	dir := filepath.Join(k.dir, string(o.UID))
	p = &pod{uid: o.UID, object: o.DeepCopy(), node: o.Spec.NodeName, dir: dir, volumes: newVolumes(dir), started: time.Now()}
	if missing, err := k.mount(p, o); err != nil {
		return err
	} else if missing != "" {
		return fmt.Errorf("%s; %w", missing, k.waiting(ctx, o, "ContainerCreating", missing))
	}
	if err := k.begin(p); err != nil {
		if c, ok := errors.AsType[*Crash](err); ok {
			return errors.Join(err, k.crashed(ctx, o, c))
		}
		return errors.Join(err, k.waiting(ctx, o, reasonOf(err), err.Error()))
	}
	k.mu.Lock()
	k.pods[name] = p
	k.mu.Unlock()
	return k.report(ctx, o, p)
}

func (k *Kubelet) mount(p *pod, o *corev1.Pod) (missing string, err error) {
	if k.opts.Mounts != nil && !k.opts.Mounts(o) {
		return "", nil
	}
	return p.volumes.refresh(k, o)
}

// PullError is that an image cannot be had: what Start returns it for waits with that
// reason.
type PullError struct{ Image string }

func (e PullError) Error() string { return fmt.Sprintf("Back-off pulling image %q", e.Image) }

func reasonOf(err error) string {
	if pull := (PullError{}); errors.As(err, &pull) {
		return "ImagePullBackOff"
	}
	return "ContainerCreating"
}

// begin starts the container.
func (k *Kubelet) begin(p *pod) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log, p.old = newLogFile(k.opts.LogSize), p.log
	p.started = time.Now()
	if k.opts.Start == nil {
		return nil
	}
	stop, ips, err := k.opts.Start(p.object.DeepCopy(), p.dir, p.log)
	if err != nil {
		return fmt.Errorf("start the container: %w", err)
	}
	p.stop, p.ips = stop, ips
	return nil
}

func (k *Kubelet) remove(ctx context.Context, o *corev1.Pod, p *pod) error {
	if p != nil && p.uid == o.UID {
		p.end()
		k.mu.Lock()
		delete(k.pods, key(o.Namespace, o.Name))
		k.mu.Unlock()
		if err := os.RemoveAll(p.dir); err != nil {
			return err
		}
	}
	now, uid := int64(0), o.UID
	return ignoreGone(k.kube.CoreV1().Pods(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
	}))
}

// report writes the status of a pod that runs.
func (k *Kubelet) report(ctx context.Context, o *corev1.Pod, p *pod) error {
	p.mu.Lock()
	s := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: o.Status.QOSClass, StartTime: o.Status.StartTime,
		Conditions: podConditions(true),
	}
	at := metav1.NewTime(p.started.Truncate(time.Second))
	s.InitContainerStatuses = initialized(o, at)
	for _, c := range o.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: new(true), RestartCount: p.restarts,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}},
		})
	}
	for _, ip := range p.ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip.String()})
		s.PodIP = s.PodIPs[0].IP
	}
	p.mu.Unlock()
	if s.StartTime == nil {
		now := metav1.Now().Rfc3339Copy()
		s.StartTime = &now
	}
	return k.setStatus(ctx, o, s)
}

// waiting writes the status of a pod whose container cannot start yet.
func (k *Kubelet) waiting(ctx context.Context, o *corev1.Pod, reason, why string) error {
	return k.setStatus(ctx, o, corev1.PodStatus{
		Phase: corev1.PodPending, QOSClass: o.Status.QOSClass, Conditions: podConditions(false),
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: o.Spec.Containers[0].Name, Image: o.Spec.Containers[0].Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: why}},
		}},
	})
}

// Crash is what [Options.Start] returns for a container that starts and ends at once,
// with code 1. It is tried again.
type Crash struct{ Message string }

func (c *Crash) Error() string { return "the container ended: " + c.Message }

// crashed writes the status of a pod whose container ends whenever it starts. Its
// times are those of the pod, as it would differ at each attempt.
func (k *Kubelet) crashed(ctx context.Context, o *corev1.Pod, c *Crash) error {
	s := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: o.Status.QOSClass, Conditions: podConditions(false), StartTime: &o.CreationTimestamp,
		InitContainerStatuses: initialized(o, o.CreationTimestamp),
	}
	for _, container := range o.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: container.Image, RestartCount: 1, Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off restarting failed container"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Reason: "Error", Message: c.Message, StartedAt: o.CreationTimestamp, FinishedAt: o.CreationTimestamp,
			}},
		})
	}
	return k.setStatus(ctx, o, s)
}

// initialized are the statuses of init containers that have done their work.
func initialized(o *corev1.Pod, at metav1.Time) (out []corev1.ContainerStatus) {
	for _, c := range o.Spec.InitContainers {
		out = append(out, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: new(false),
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}},
		})
	}
	return out
}

func (k *Kubelet) setStatus(ctx context.Context, o *corev1.Pod, s corev1.PodStatus) error {
	if same, err := sameStatus(o.Status, s); err != nil || same {
		return err
	}
	o = o.DeepCopy()
	o.Status = s
	// The version is that of the cache; whoever is newer wins, and it comes again.
	o.ResourceVersion = ""
	_, err := k.kube.CoreV1().Pods(o.Namespace).UpdateStatus(ctx, o, metav1.UpdateOptions{})
	return ignoreGone(err)
}

// sameStatus leaves out what the server adds.
func sameStatus(have, want corev1.PodStatus) (bool, error) {
	have.HostIP, have.HostIPs, have.ObservedGeneration = "", nil, 0
	have.Resources, have.AllocatedResources = nil, nil
	have.Conditions, want.Conditions = bare(have.Conditions), bare(want.Conditions)
	have.ContainerStatuses, want.ContainerStatuses = present(have.ContainerStatuses), present(want.ContainerStatuses)
	return sameJSON(have, want)
}

// present leaves out how containers ended before.
func present(in []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := slices.Clone(in)
	for i := range out {
		out[i].LastTerminationState = corev1.ContainerState{}
	}
	return out
}

func bare(in []corev1.PodCondition) []corev1.PodCondition {
	var out []corev1.PodCondition
	for _, c := range in {
		out = append(out, corev1.PodCondition{Type: c.Type, Status: c.Status})
	}
	return out
}

func podConditions(ready bool) []corev1.PodCondition {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	var out []corev1.PodCondition
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady, corev1.PodScheduled} {
		c := corev1.PodCondition{Type: t, Status: status}
		if t == corev1.PodInitialized || t == corev1.PodScheduled {
			c.Status = corev1.ConditionTrue
		}
		out = append(out, c)
	}
	return out
}

// Restart ends the container of a pod and starts it again: its log begins anew.
func (k *Kubelet) Restart(t testing.TB, namespace, name string) {
	t.Helper()
	p := k.running(namespace, name)
	if p == nil {
		t.Fatalf("pod %s/%s does not run", namespace, name)
	}
	p.end()
	p.mu.Lock()
	p.restarts++
	p.mu.Unlock()
	if err := k.begin(p); err != nil {
		t.Fatalf("pod %s/%s: %v", namespace, name, err)
	}
	k.poke()
}

// Rotate cuts a pod's log: the next line that is written begins in the old file and
// ends in the new one.
func (k *Kubelet) Rotate(t testing.TB, namespace, name string) {
	t.Helper()
	p := k.running(namespace, name)
	if p == nil {
		t.Fatalf("pod %s/%s does not run", namespace, name)
	}
	p.current(false).cutNext()
}

// Log is where a test may write in the name of a pod's container.
func (k *Kubelet) Log(t testing.TB, namespace, name string) io.Writer {
	t.Helper()
	p := k.running(namespace, name)
	if p == nil {
		t.Fatalf("pod %s/%s does not run", namespace, name)
	}
	return p.current(false)
}

// Dir is what a pod's container sees as its root.
func (k *Kubelet) Dir(t testing.TB, namespace, name string) string {
	t.Helper()
	p := k.running(namespace, name)
	if p == nil {
		t.Fatalf("pod %s/%s does not run", namespace, name)
	}
	return p.dir
}
