//go:build linux

package story

import (
	"context"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// TestBed plays with each handle that the bed gives to tests.
func TestBed(t *testing.T) {
	b := New(t, Options{Nodes: 2, Quiet: true, Values: "debug:\n  enabled: true\n"})
	if got := b.config(t)["debug"]; got != "true" {
		t.Errorf("debug is %q in %s", got, configName)
	}
	t.Run("access", b.testAccess)
	t.Run("pull request", b.testPullRequest)
	t.Run("flux stops", b.testFluxStops)
	t.Run("node configuration", b.testNodeConfig)
	t.Run("agent refuses", b.testRefusal)
	t.Run("probes", b.testProbes)
	if got := b.Memory(); !strings.HasPrefix(got, "resident: ") || !strings.Contains(got, " kube-apiserver ") {
		t.Error(got)
	}
}

func (b *Bed) testAccess(t *testing.T) {
	kube, err := kubernetes.NewForConfig(b.ServiceAccount(t, "default", "somebody"))
	if err != nil {
		t.Fatal(err)
	}
	who := func() error {
		// The client itself tries again for longer.
		ctx, cancel := context.WithTimeout(t.Context(), askTime)
		defer cancel()
		_, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err
	}
	if err := who(); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "system:serviceaccount:default:somebody") {
		t.Errorf("without rights: %v", err)
	}
	b.CutAPI()
	if err := who(); err == nil || apierrors.IsForbidden(err) {
		t.Errorf("while cut: %v", err)
	}
	if _, err := b.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator, while cut: %v", err)
	}
	b.RestoreAPI()
	if err := who(); !apierrors.IsForbidden(err) {
		t.Errorf("after the cut: %v", err)
	}
	if again := b.ServiceAccount(t, "default", "somebody"); again.BearerToken == "" {
		t.Error("no second token")
	}
	if cfg := b.Config(); cfg == b.Server.Config || cfg.Host != b.Server.Config.Host {
		t.Errorf("the administrator's access is %s", cfg.Host)
	}
}

// testPullRequest merges one that changes the configuration.
func (b *Bed) testPullRequest(t *testing.T) {
	text := b.Forge.Show(t, branch, ValuesPath)
	b.Forge.Push(t, "wider", map[string][]byte{ValuesPath: []byte(strings.Replace(text, goodCIDR, "fd00:101::/32", 1))})
	number := b.Forge.OpenPR(t, "wider", "Widen it")
	if prs := b.PullRequests(t); len(prs) != 1 || prs[0].Number != number || prs[0].State != "open" {
		t.Errorf("pull requests %+v", prs)
	}
	commit := b.Merge(t, number)
	b.WaitConfig(t, nativeKey, "fd00:101::/32")
	if got := b.notFetched(t, commit); got != "" {
		t.Error(got)
	}
	for _, a := range b.Agents(t) {
		if got := a.Config.Values[nativeKey]; got != goodCIDR {
			t.Errorf("%s runs %s before its restart", a.Node, got)
		}
	}
}

// testFluxStops: nothing arrives while the controllers are gone.
func (b *Bed) testFluxStops(t *testing.T) {
	b.Flux.Stop(t)
	commit := b.Edit(t, ValuesPath, "fd00:101::/32", goodCIDR)
	if b.notFetched(t, commit) == "" {
		t.Error("a commit was fetched while Flux was stopped")
	}
	b.Flux.Start(t)
	b.Flux.Reconcile(t, "GitRepository", FluxNamespace, FluxNamespace)
	b.WaitConfig(t, nativeKey, goodCIDR)
	b.Flux.UntilReady(t, patience, "HelmRelease", ciliumNamespace, release)
}

// testNodeConfig: a CiliumNodeConfig holds for the nodes that it selects, from their
// agents' start on.
func (b *Bed) testNodeConfig(t *testing.T) {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNodeConfig",
		"metadata": map[string]any{"namespace": ciliumNamespace, "name": "second"},
		"spec": map[string]any{
			"nodeSelector": map[string]any{"matchLabels": map[string]any{corev1.LabelHostname: "node-2"}},
			"defaults":     map[string]any{nativeKey: badCIDR},
		},
	}}
	b.Apply(t, o)
	b.wantNode(t, "node-2", goodCIDR)
	b.RestartAgent(t, "node-1")
	b.RestartAgent(t, "node-2")
	b.wantNode(t, "node-1", goodCIDR)
	b.wantNode(t, "node-2", badCIDR)
	if err := b.Client.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.RestartAgent(t, "node-2")
	b.wantNode(t, "node-2", goodCIDR)
}

func (b *Bed) wantNode(t *testing.T, node, value string) {
	t.Helper()
	for _, a := range b.Agents(t) {
		if a.Node == node && a.Config.Values[nativeKey] != value {
			t.Errorf("%s runs %s, want %s", node, a.Config.Values[nativeKey], value)
		}
	}
}

// testRefusal: an agent that does not start leaves its node as it was.
func (b *Bed) testRefusal(t *testing.T) {
	b.Edit(t, ValuesPath, "routingMode: native", "routingMode: tunnel")
	b.WaitConfig(t, "routing-mode", "tunnel")
	// Helm would wait for the agent.
	b.Flux.UntilReady(t, patience, "HelmRelease", ciliumNamespace, release)
	agent := b.Agents(t)[0]
	if err := b.Kube.CoreV1().Pods(ciliumNamespace).Delete(t.Context(), agent.Pod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the agent of node-1 crashes", func() string { return b.notCrashing(t, agent) })
	b.wantNode(t, "node-1", goodCIDR)
	b.Edit(t, ValuesPath, "routingMode: tunnel", "routingMode: native")
	b.WaitConfig(t, "routing-mode", "native")
	b.UntilAgents(t)
}

func (b *Bed) notCrashing(t *testing.T, old Agent) string {
	t.Helper()
	for _, a := range b.Agents(t) {
		if a.Node != old.Node || a.Pod == old.Pod {
			continue
		}
		p, err := b.Kube.CoreV1().Pods(ciliumNamespace).Get(t.Context(), a.Pod, metav1.GetOptions{})
		b.must(t, err)
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff" && !a.Ready {
				return ""
			}
		}
		return p.Status.String()
	}
	return "there is no new agent"
}

// testProbes: nobody tells them of each other, and faults are the test's to make.
func (b *Bed) testProbes(t *testing.T) {
	var undo func()
	b.Change(func(l *lab.Lab) { undo = l.Nodes[0].CutPods() })
	if o := b.Ask(t, "node-1", "node-2", v1alpha1.TargetOpen, "IPv4"); o.Outcome == v1alpha1.OutcomeOK {
		t.Error("a packet crossed the cut")
	}
	b.Change(func(*lab.Lab) { undo() })
	if o := b.Ask(t, "node-1", "node-2", v1alpha1.TargetGuarded, "IPv4"); o.Outcome != v1alpha1.OutcomeOK {
		t.Errorf("after the cut: %s", o.Outcome)
	}
	_, err := b.Kube.CoreV1().ConfigMaps("remediate-probe").Get(t.Context(), "remediate-probe-members", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("somebody told the probes: %v", err)
	}
}

// TestOrdinaryUser: what the bed starts needs no more than what an ordinary user has.
func TestOrdinaryUser(t *testing.T) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	// One user: root in here, whoever started the test outside.
	if got := strings.Fields(string(text)); len(got) != 3 || got[0] != "0" || got[2] != "1" {
		t.Errorf("the test has more than its own user: %q", text)
	}
}
