//go:build linux

package story

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

const (
	ciliumNamespace = "kube-system"
	// release is the HelmRelease's name, and the DaemonSet's.
	release    = "cilium"
	configName = "cilium-config"
	agentLabel = "k8s-app=cilium"
	startTime  = 30 * time.Second
)

func isAgent(pod *corev1.Pod) bool {
	return pod.Namespace == ciliumNamespace && pod.Labels["k8s-app"] == "cilium"
}

// startAgent has the node do what the cluster's objects say now. They are read once,
// as the real agent's init container does; nothing undoes it when the agent ends.
func (b *Bed) startAgent(pod *corev1.Pod) (func(), []netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cfg, err := b.agentConfig(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, nil, err
	}
	if m := imageVersion.FindStringSubmatch(pod.Spec.Containers[0].Image); m != nil {
		cfg.Version = m[1]
	}
	if err := b.opts.Datapath.apply(pod.Spec.NodeName, cfg); err != nil {
		return nil, nil, err
	}
	return func() { b.stopAgent(pod.Spec.NodeName) }, b.opts.Datapath.host(pod).IPs(), nil
}

func (b *Bed) stopAgent(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opts.Datapath.stop(node)
}

var imageVersion = regexp.MustCompile(`:v(\d+\.\d+\.\d+)`)

// agentConfig is cilium-config with what CiliumNodeConfigs say for the node, in the
// order of their names.
func (b *Bed) agentConfig(ctx context.Context, node string) (cilium.Config, error) {
	cfg := cilium.Config{Values: map[string]string{}, Source: "the API server"}
	configs := b.Kube.CoreV1().ConfigMaps(ciliumNamespace)
	base, err := configs.Get(ctx, configName, metav1.GetOptions{})
	if err != nil {
		return cfg, fmt.Errorf("read %s: %w", configName, err)
	}
	maps.Copy(cfg.Values, base.Data)
	masq, err := configs.Get(ctx, "ip-masq-agent", metav1.GetOptions{})
	switch {
	case err == nil:
		text := masq.Data["config"]
		cfg.MasqAgent = &text
	case !apierrors.IsNotFound(err):
		return cfg, fmt.Errorf("read ip-masq-agent: %w", err)
	}
	return cfg, b.overrides(ctx, node, cfg.Values)
}

func (b *Bed) overrides(ctx context.Context, node string, values map[string]string) error {
	n, err := b.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	list, err := b.Dynamic.Resource(ciliumResource("v2", "ciliumnodeconfigs")).Namespace(ciliumNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("read CiliumNodeConfigs: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	for _, item := range list.Items {
		var o struct {
			Spec struct {
				NodeSelector metav1.LabelSelector `json:"nodeSelector"`
				Defaults     map[string]string    `json:"defaults"`
			} `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &o); err != nil {
			return err
		}
		selector, err := metav1.LabelSelectorAsSelector(&o.Spec.NodeSelector)
		if err != nil {
			return err
		}
		if selector.Matches(labels.Set(n.Labels)) {
			maps.Copy(values, o.Spec.Defaults)
		}
	}
	return nil
}

// addCiliumNode makes the object that the agent makes of itself.
func (b *Bed) addCiliumNode(t testing.TB, n *lab.Node) {
	t.Helper()
	var addresses, pools []any
	for _, a := range n.IPs() {
		addresses = append(addresses, map[string]any{"type": "InternalIP", "ip": a.String()})
	}
	for _, p := range n.PodCIDRs() {
		family := "IPv6"
		if p.Addr().Is4() {
			family = "IPv4"
		}
		addresses = append(addresses, map[string]any{"type": "CiliumInternalIP", "ip": n.RouterIP(family).String()})
		pools = append(pools, p.String())
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": map[string]any{"name": n.Name},
		"spec": map[string]any{"addresses": addresses, "ipam": map[string]any{"podCIDRs": pools}},
	}}
	_, err := b.Dynamic.Resource(ciliumResource("v2", "ciliumnodes")).Create(t.Context(), o, metav1.CreateOptions{})
	b.must(t, err)
}

// Agent is a node's Cilium agent.
type Agent struct {
	Node, Pod string
	Ready     bool
	// Created is its pod's creation, in seconds.
	Created time.Time
	// Config is what the node does, of whichever agent it has that.
	Config cilium.Config
}

// Agents are those that exist, by node.
func (b *Bed) Agents(t testing.TB) []Agent {
	t.Helper()
	pods, err := b.Kube.CoreV1().Pods(ciliumNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: agentLabel})
	b.must(t, err)
	var out []Agent
	for i := range pods.Items {
		p := &pods.Items[i]
		n := b.Lab.Node(p.Spec.NodeName)
		if n == nil || p.DeletionTimestamp != nil {
			continue
		}
		out = append(out, Agent{Node: n.Name, Pod: p.Name, Ready: isReady(p), Created: p.CreationTimestamp.Time, Config: b.running(n)})
	}
	slices.SortFunc(out, func(x, y Agent) int { return strings.Compare(x.Node, y.Node) })
	return out
}

func (b *Bed) running(n *lab.Node) cilium.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opts.Datapath.config(n.Name)
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// RestartAgent deletes the agent's pod of a node and waits until its successor is
// ready, as a person would who rolls the agents by hand.
func (b *Bed) RestartAgent(t testing.TB, node string) {
	t.Helper()
	for _, a := range b.Agents(t) {
		if a.Node == node {
			b.must(t, b.Kube.CoreV1().Pods(ciliumNamespace).Delete(t.Context(), a.Pod, metav1.DeleteOptions{}))
			eventually(t, patience, "a new agent runs on "+node, func() string { return b.successor(t, node, a.Pod) })
			return
		}
	}
	t.Fatalf("no agent runs on %s", node)
}

func (b *Bed) successor(t testing.TB, node, old string) string {
	for _, a := range b.Agents(t) {
		if a.Node == node && a.Pod != old && a.Ready {
			return ""
		}
	}
	return fmt.Sprintf("errors of the kubelets: %v", b.Kubelet.Errors())
}

// UntilAgents waits until the DaemonSet is as it should be: each node has a ready
// agent of the present template.
func (b *Bed) UntilAgents(t testing.TB) {
	t.Helper()
	eventually(t, patience, "all agents run", func() string {
		d, err := b.Kube.AppsV1().DaemonSets(ciliumNamespace).Get(t.Context(), release, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		s, want := d.Status, int32(len(b.Lab.Nodes))
		if s.ObservedGeneration != d.Generation || s.DesiredNumberScheduled != want || s.UpdatedNumberScheduled != want || s.NumberAvailable != want {
			return fmt.Sprintf("status %+v; errors of the kubelets: %v", s, b.Kubelet.Errors())
		}
		return ""
	})
}

// UntilRunning waits until every agent was started with the value of a key of
// cilium-config and the rollout is over.
func (b *Bed) UntilRunning(t testing.TB, key, value string) {
	t.Helper()
	eventually(t, patience, "all agents run with "+key+"="+value, func() string {
		for _, a := range b.Agents(t) {
			if is := a.Config.Values[key]; is != value || !a.Ready {
				return fmt.Sprintf("%s has %q, ready %t; errors of the kubelets: %v", a.Node, is, a.Ready, b.Kubelet.Errors())
			}
		}
		return ""
	})
	b.UntilAgents(t)
}

// WaitConfig waits until cilium-config has the value, and says how long it took.
func (b *Bed) WaitConfig(t testing.TB, key, value string) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, patience, "cilium-config has "+key+"="+value, func() string {
		if is := b.config(t)[key]; is != value {
			return "it is " + is
		}
		return ""
	})
	return time.Since(began)
}

// config is cilium-config in the API server, empty while there is none.
func (b *Bed) config(t testing.TB) map[string]string {
	t.Helper()
	m, err := b.Kube.CoreV1().ConfigMaps(ciliumNamespace).Get(t.Context(), configName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	b.must(t, err)
	return m.Data
}
