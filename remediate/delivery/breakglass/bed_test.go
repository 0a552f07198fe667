package breakglass

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/kustomize"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

var cilium = types.NamespacedName{Namespace: "kube-system", Name: "cilium"}

const (
	merged = "0123456789abcdef0123456789abcdef01234567"
	patchy = "fd00:101::/48"
	whole  = "fd00:101::/38"
)

// bed is a cluster in which the real helm-controller installed the real chart.
type bed struct {
	t      *testing.T
	admin  *rest.Config
	client client.Client
	flux   *controller
	chart  string
}

// newBed waits until the release is installed with the values that break.
func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, admin: testbed.APIServer(t), chart: testbed.ChartDir(t)}
	testbed.InstallCRDs(t, b.admin)
	c, err := (&Executor{Config: b.admin}).client()
	if err != nil {
		t.Fatal(err)
	}
	b.client = c
	for _, ns := range []string{"flux-system", "remediate-system"} {
		b.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	b.source()
	b.create(&corev1.ConfigMap{ObjectMeta: named("cilium-values"), Data: map[string]string{"values.yaml": b.valuesText(patchy)}})
	b.create(&helmv2.HelmRelease{ObjectMeta: named("cilium"), Spec: helmv2.HelmReleaseSpec{
		Interval:   metav1.Duration{Duration: time.Minute},
		ChartRef:   &helmv2.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "cilium"},
		Install:    &helmv2.Install{DisableWait: true},
		Upgrade:    &helmv2.Upgrade{DisableWait: true},
		ValuesFrom: []helmv2.ValuesReference{{Kind: "ConfigMap", Name: "cilium-values"}},
		// What helm-controller does after Helm has rendered.
		CommonMetadata: &helmv2.CommonMetadata{Labels: map[string]string{"team": "network"}, Annotations: map[string]string{"note": "a"}},
		PostRenderers: []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{
			Patches: []kustomize.Patch{{
				Target: &kustomize.Selector{Kind: "DaemonSet", Name: "cilium"},
				Patch:  `[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"patched": "yes"}}]`,
			}},
			Images: []kustomize.Image{{Name: "quay.io/cilium/operator-generic", NewName: "mirror.example/operator"}},
		}}},
	}})
	b.flux = b.startFlux()
	b.until("the release is installed", func() bool { return ready(b.helmRelease()) })
	return b
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: cilium.Namespace, Name: name}
}

func ready(hr *helmv2.HelmRelease) bool {
	for _, c := range hr.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == metav1.ConditionTrue && c.ObservedGeneration == hr.Generation
		}
	}
	return false
}

// values of the incident. Hubble's certificates would be new with every render.
func (b *bed) values(prefix string) map[string]any {
	b.t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(b.valuesText(prefix)), &out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bed) valuesText(prefix string) string {
	b.t.Helper()
	const file = "../../../examples/incidents/talos-ipv6-ula/repo/kubernetes/apps/networking/cilium/app/values.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(bytes.ReplaceAll(text, []byte(patchy), []byte(prefix)), &values); err != nil {
		b.t.Fatal(err)
	}
	values["hubble"] = map[string]any{"enabled": false}
	out, err := yaml.Marshal(values)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

// source serves the chart as source-controller does: an OCIRepository whose
// artifact lies on a server.
func (b *bed) source() {
	b.t.Helper()
	c, err := loader.Load(b.chart)
	if err != nil {
		b.t.Fatal(err)
	}
	archive, err := chartutil.Save(c, b.t.TempDir())
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := os.ReadFile(archive)
	if err != nil {
		b.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	b.t.Cleanup(server.Close)
	sum := sha256.Sum256(text)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	now := time.Now().UTC().Format(time.RFC3339)
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository",
		"metadata": map[string]any{"namespace": cilium.Namespace, "name": "cilium"},
		"spec":     map[string]any{"interval": "1h", "url": "oci://charts.example/cilium"},
	}}
	b.create(o)
	o.Object["status"] = map[string]any{
		"observedGeneration": o.GetGeneration(),
		"artifact": map[string]any{"url": server.URL + "/cilium.tgz", "path": "cilium.tgz", "digest": digest,
			"revision": c.Metadata.Version + "@" + digest, "lastUpdateTime": now},
		"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": now}},
	}
	if err := b.client.Status().Update(b.t.Context(), o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) create(o client.Object) {
	b.t.Helper()
	if err := b.client.Create(b.t.Context(), o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) helmRelease() *helmv2.HelmRelease {
	b.t.Helper()
	hr, err := get(b.t.Context(), b.client, cilium)
	if err != nil {
		b.t.Fatal(err)
	}
	return hr
}

func (b *bed) until(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited two minutes: %s\n%+v\n%s", what, b.helmRelease().Status.Conditions, b.flux.log)
		}
	}
}

// history is a revision as Helm's storage holds it.
func (b *bed) history(revision int) *release.Release {
	b.t.Helper()
	cfg, err := newAction(b.admin, b.helmRelease(), (&Executor{}).log())
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := cfg.Releases.Get("cilium", revision)
	if err != nil {
		b.t.Fatalf("revision %d: %v", revision, err)
	}
	return r.(*release.Release)
}

func (b *bed) lastRevision() int {
	b.t.Helper()
	cfg, err := newAction(b.admin, b.helmRelease(), (&Executor{}).log())
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := last(cfg, "cilium")
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Version
}

func (b *bed) config() map[string]string {
	b.t.Helper()
	cm := &corev1.ConfigMap{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: "kube-system", Name: "cilium-config"}, cm); err != nil {
		b.t.Fatal(err)
	}
	return cm.Data
}

// apply changes the values in the cluster, as the Kustomization does, and asks
// for a reconcile.
func (b *bed) apply(prefix string) {
	b.t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: named("cilium-values"), Data: map[string]string{"values.yaml": b.valuesText(prefix)}}
	if err := b.client.Update(b.t.Context(), cm); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) ask() {
	b.t.Helper()
	patch := `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"` + time.Now().Format(time.RFC3339Nano) + `"}}}`
	if err := b.client.Patch(b.t.Context(), b.helmRelease(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		b.t.Fatal(err)
	}
}

// install applies config/break-glass and gives the access of the account, as the
// controller takes it.
func (b *bed) install() *Executor {
	b.t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../../config/break-glass")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range built.Resources() {
		m, err := r.Map()
		if err != nil {
			b.t.Fatal(err)
		}
		b.create(&unstructured.Unstructured{Object: m})
	}
	return &Executor{Config: As(b.admin, "remediate-system", "remediate-break-glass")}
}

func (b *bed) task(prefix string) Task {
	return Task{
		Request: delivery.Request{Enabled: true, Approved: merged + " jane", Commit: merged, Merged: true, Incident: cilium, Target: cilium, Arrives: delivery.No},
		Values:  b.values(prefix), Chart: b.chart,
	}
}

// controller is the real helm-controller.
type controller struct {
	stop func()
	log  *lockedBuffer
}

func (b *bed) startFlux() *controller {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, testbed.Tool(b.t, "helm-controller"),
		"--events-addr=", "--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0", "--watch-all-namespaces=true", "--enable-leader-election=false", "--log-level=info")
	home := b.t.TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+testbed.Kubeconfig(b.t, b.admin), "RUNTIME_NAMESPACE=flux-system", "HOME="+home, "TMPDIR="+filepath.Clean(home))
	c := &controller{log: &lockedBuffer{}}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	c.stop = func() { cancel(); <-done }
	b.t.Cleanup(c.stop)
	return c
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.text.String()
	return s[max(0, len(s)-4000):]
}

func contains(list []string, part string) bool {
	for _, s := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
