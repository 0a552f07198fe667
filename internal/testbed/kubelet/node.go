package kubelet

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// AddNodes registers nodes. They are ready. The API server reaches the kubelet of
// each at 127.0.0.1, by the Hostname address, which it prefers
// (--kubelet-preferred-address-types); the InternalIPs are the test's.
func (k *Kubelet) AddNodes(t testing.TB, nodes ...Node) {
	t.Helper()
	for _, n := range nodes {
		if err := k.register(t.Context(), n); err != nil {
			t.Fatalf("register node %s: %v", n.Name, err)
		}
		k.mu.Lock()
		k.nodes[n.Name] = &node{Node: n}
		k.mu.Unlock()
	}
	k.poke()
}

func (k *Kubelet) register(ctx context.Context, n Node) error {
	labels := map[string]string{corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux"}
	for name, value := range n.Labels {
		labels[name] = value
	}
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}
	for _, p := range n.PodCIDRs {
		o.Spec.PodCIDRs = append(o.Spec.PodCIDRs, p.String())
		o.Spec.PodCIDR = o.Spec.PodCIDRs[0]
	}
	nodes := k.kube.CoreV1().Nodes()
	if _, err := nodes.Create(ctx, o, metav1.CreateOptions{}); err != nil {
		return err
	}
	// Controllers write to a node as soon as they see it.
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// Admission marks new nodes as not ready, and nobody else would undo it.
		o.Spec.Taints = nil
		if o, err = nodes.Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			return err
		}
		o.Status = k.statusOf(n)
		_, err = nodes.UpdateStatus(ctx, o, metav1.UpdateOptions{})
		return err
	})
}

func (k *Kubelet) statusOf(n Node) (s corev1.NodeStatus) {
	s.DaemonEndpoints.KubeletEndpoint.Port = int32(k.port)
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "127.0.0.1"}}
	for _, a := range n.Addresses {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	s.Conditions = []corev1.NodeCondition{readyCondition(true)}
	return s
}

func readyCondition(ready bool) corev1.NodeCondition {
	c := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}
	if !ready {
		c.Status, c.Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
	}
	return c
}

// Down switches a node off: its containers end, their logs are gone, and its kubelet
// answers nobody. notReady says whether the cluster knows already: the node
// lifecycle controller takes 40 s (--node-monitor-grace-period).
func (k *Kubelet) Down(t testing.TB, name string, notReady bool) {
	t.Helper()
	k.mu.Lock()
	n := k.nodes[name]
	if n == nil {
		k.mu.Unlock()
		t.Fatalf("there is no node %s", name)
	}
	n.down = true
	var ended []*pod
	for key, p := range k.pods {
		if p.node == name {
			ended = append(ended, p)
			delete(k.pods, key)
		}
	}
	k.mu.Unlock()
	for _, p := range ended {
		p.end()
	}
	if notReady {
		k.Ready(t, name, false)
	}
}

// Up switches a node on again: it is ready, and its pods' containers start anew.
func (k *Kubelet) Up(t testing.TB, name string) {
	t.Helper()
	k.mu.Lock()
	if n := k.nodes[name]; n != nil {
		n.down = false
	}
	k.mu.Unlock()
	k.Ready(t, name, true)
	k.poke()
}

// Ready sets what the cluster believes of a node.
func (k *Kubelet) Ready(t testing.TB, name string, ready bool) {
	t.Helper()
	k.change(t, name, func(n *corev1.Node) bool {
		n.Status.Conditions = []corev1.NodeCondition{readyCondition(ready)}
		return true
	})
}

// Cordon marks a node as unschedulable, as a drain does, or no longer.
func (k *Kubelet) Cordon(t testing.TB, name string, cordoned bool) {
	t.Helper()
	k.change(t, name, func(n *corev1.Node) bool {
		n.Spec.Unschedulable = cordoned
		return false
	})
}

func (k *Kubelet) change(t testing.TB, name string, do func(*corev1.Node) (status bool)) {
	t.Helper()
	nodes := k.kube.CoreV1().Nodes()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		n, err := nodes.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if do(n) {
			_, err = nodes.UpdateStatus(t.Context(), n, metav1.UpdateOptions{})
		} else {
			_, err = nodes.Update(t.Context(), n, metav1.UpdateOptions{})
		}
		return err
	})
	if err != nil {
		t.Fatalf("node %s: %v", name, err)
	}
}

// Remove takes a node and its pods out of the cluster.
func (k *Kubelet) Remove(t testing.TB, name string) {
	t.Helper()
	k.mu.Lock()
	delete(k.nodes, name)
	k.mu.Unlock()
	if err := k.kube.CoreV1().Nodes().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatalf("remove node %s: %v", name, err)
	}
	k.poke()
}

// Until waits until every DaemonSet of the namespaces has a ready pod on each node
// that is on, and fails the test with what is in the way after a minute.
func (k *Kubelet) Until(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		missing := k.missing()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pods are not ready: %s; errors: %v", missing, k.Errors())
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the pods are not ready: %s", missing)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (k *Kubelet) missing() string {
	daemons := k.daemonSets()
	if len(daemons) == 0 {
		return "there is no DaemonSet"
	}
	for _, d := range daemons {
		if d.Status.NumberReady != int32(len(k.wanted(d))) || d.Status.ObservedGeneration != d.Generation ||
			d.Status.UpdatedNumberScheduled != d.Status.NumberReady {
			return fmt.Sprintf("DaemonSet %s/%s has %d of %d", d.Namespace, d.Name, d.Status.NumberReady, len(k.wanted(d)))
		}
	}
	return ""
}
