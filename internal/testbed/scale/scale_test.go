//go:build linux

package scale

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate/controller"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if kubeconfig := os.Getenv(yardstickEnv); kubeconfig != "" {
		if err := runYardstick(kubeconfig); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// size is of the test's cluster: as large as the goals are about in a soak.
func size() Size {
	if os.Getenv("REMEDIATE_SOAK") != "" {
		return Size{Nodes: 5000, Pods: 150_000}
	}
	return Size{Nodes: 50, Pods: 1500}
}

// bed is a cluster whose policies' repository is at hand.
type bed struct {
	*Cluster
	client.Client
	git *testbed.Git
}

func newBed(t *testing.T, incident string) *bed {
	t.Helper()
	b := &bed{Cluster: New(t, size(), incident), git: testbed.GitServer(t)}
	scheme, err := controller.NewScheme()
	must(t, err)
	b.Client, err = client.New(b.Config, client.Options{Scheme: scheme})
	must(t, err)
	b.git.Create(t, "fleet/cluster", files(t, b.Repository))
	must(t, b.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "git"}, Data: b.git.Secret()}))
	return b
}

// files of a checkout.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		out[filepath.ToSlash(name)] = string(text)
		return err
	}))
	return out
}

// policy makes one in mode Observe for a release, which is made if it is not there.
func (b *bed) policy(t testing.TB, name string) *v1alpha1.RemediationPolicy {
	t.Helper()
	release := &helmv2.HelmRelease{}
	must(t, b.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "cilium"}, release))
	if name != release.Name {
		release.ObjectMeta = metav1.ObjectMeta{Namespace: release.Namespace, Name: name, Labels: release.Labels}
		must(t, b.Create(t.Context(), release))
	}
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name}}
	p.Spec = v1alpha1.RemediationPolicySpec{
		Mode: v1alpha1.ModeObserve, ReleaseRef: v1alpha1.ReleaseReference{Name: name, Namespace: "kube-system"}, Cluster: "home",
		Git:   &v1alpha1.GitSpec{URL: b.git.CloneURL("fleet/cluster"), Branch: "main", SecretRef: &meta.LocalObjectReference{Name: "git"}},
		Forge: &v1alpha1.ForgeSpec{Type: v1alpha1.ForgePlain},
	}
	must(t, b.Create(t.Context(), p))
	return p
}

// until waits for a policy to be as wanted.
func (b *bed) until(t testing.TB, p *v1alpha1.RemediationPolicy, within time.Duration, is func(*v1alpha1.RemediationPolicy) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		must(t, b.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		if is(p) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("policy %s is not as wanted after %s: %+v", p.Name, within, p.Status)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// judged is a policy whose probes were judged since a moment.
func judged(since time.Time) func(*v1alpha1.RemediationPolicy) bool {
	return func(p *v1alpha1.RemediationPolicy) bool {
		return conditions.IsReady(p) && p.Status.LastJudged != nil && !p.Status.LastJudged.Time.Before(since.Truncate(time.Second))
	}
}

const patience = 5 * time.Minute

// TestIdle: a controller with nothing to do asks the API server for next to nothing,
// and holds no more of a cluster than it looks at. It is started without probes, then
// with them, and again after it was killed.
func TestIdle(t *testing.T) {
	b, binary := newBed(t, "talos-ipv6-healthy"), build(t)
	kubeconfig := b.access(t)
	p := b.policy(t, "cilium")
	no := false
	p.Spec.Probes = &v1alpha1.ProbesSpec{Namespace: home, Managed: &no}
	must(t, b.Update(t.Context(), p))
	c := b.start(t, p, binary, kubeconfig)
	b.settled(t, "the controller without probes", c)
	c.stop(t)
	bare := yardstick(t, kubeconfig)
	b.settled(t, "a bare manager with the same informers", bare)
	bare.kill()
	p.Spec.Probes = nil
	must(t, b.Update(t.Context(), p))
	c = b.start(t, p, binary, kubeconfig)
	b.idle(t, c, 1, idleFor())
	b.policy(t, "cilium-2")
	last := b.policy(t, "cilium-3")
	b.until(t, last, patience, judged(time.Time{}))
	b.idle(t, c, 3, idleFor()/2)
	must(t, b.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	if n := len(p.Status.Active); n > 0 {
		t.Errorf("%d Remediations in a healthy cluster: %v", n, p.Status.Active)
	}
	t.Logf("heard are %+v", *p.Status.Probes)
	c.kill()
	b.start(t, p, binary, kubeconfig)
}

// start runs the controller until its policy is ready and judged, and checks what it
// asked for.
func (b *bed) start(t *testing.T, p *v1alpha1.RemediationPolicy, binary, kubeconfig string) *process {
	t.Helper()
	began := time.Now()
	c := controllerProcess(t, binary, kubeconfig)
	b.until(t, p, patience, judged(began))
	took := time.Since(began)
	asked := without(b.Requests(t, began), isLog)
	for _, r := range asked {
		checkRequest(t, r)
	}
	now, peak := c.memory(t)
	t.Logf("the policy is ready and first judged after %.1f s, with %d MiB resident, %d at most; asked were %d requests:%s", took.Seconds(), now, peak, len(asked), summary(asked))
	return c
}

// settled says what a process has after a while.
func (b *bed) settled(t *testing.T, what string, p *process) {
	t.Helper()
	time.Sleep(idleFor() / 6)
	now, peak := p.memory(t)
	t.Logf("%s: %d MiB resident, %d MiB at most", what, now, peak)
}

// idleFor is how long requests are counted.
func idleFor() time.Duration {
	if os.Getenv("REMEDIATE_SOAK") != "" {
		return 3 * time.Minute
	}
	return 40 * time.Second
}

// checkRequest: nothing of what grows with the workloads is watched, no list of it is
// without a page's size, and Secrets are asked for by name.
func checkRequest(t *testing.T, r Request) {
	t.Helper()
	large := slices.Contains([]string{"pods", "ciliumendpoints", "ciliumidentities", "endpointslices", "services"}, r.Resource)
	switch {
	case r.Code == 401, r.Code == 403:
		t.Errorf("%s was answered with %d", r, r.Code)
	case r.Resource == "secrets" && r.Verb != "get":
		t.Errorf("%s", r)
	case large && r.Verb == "watch" && r.Namespace == "":
		t.Errorf("%s: in all namespaces", r)
	case large && r.Verb == "list" && r.Limit == "" && r.Namespace == "":
		t.Errorf("%s: all at once", r)
	}
}

// idle counts what is asked for while nothing happens.
func (b *bed) idle(t *testing.T, c *process, policies int, wait time.Duration) {
	t.Helper()
	time.Sleep(10 * time.Second)
	from := time.Now()
	opened, lines, bytes := b.probes.opened.Load(), b.probes.lines.Load(), b.probes.bytes.Load()
	time.Sleep(wait)
	minutes := time.Since(from).Minutes()
	all := b.Requests(t, from)
	quiet := without(all, isLog, isWatch)
	perMinute := float64(len(quiet)) / minutes
	now, peak := c.memory(t)
	t.Logf("%d policies, idle for %.1f min: %.1f requests a minute, %d MiB resident, %d MiB at most:%s", policies, minutes, perMinute, now, peak, summary(without(all, isLog)))
	perNode := minutes * float64(size().Nodes)
	t.Logf("of the probes' logs per node and minute: %.2f requests, %.1f lines, %.0f bytes", float64(b.probes.opened.Load()-opened)/perNode,
		float64(b.probes.lines.Load()-lines)/perNode, float64(b.probes.bytes.Load()-bytes)/perNode)
	if most := 10 * float64(policies); perMinute > most {
		t.Errorf("%.1f requests a minute with %d policies, at most %.0f", perMinute, policies, most)
	}
}
