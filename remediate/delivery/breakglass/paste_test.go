package breakglass

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// shell runs lines as a person's shell does, with the real kubectl and helm.
func shell(t *testing.T, cfg *rest.Config, lines []string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range programs {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "KUBECONFIG=" + testbed.Kubeconfig(t, cfg)}
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nfrom\n%s", err, out, strings.Join(lines, "\n"))
	}
	return string(out)
}

// What the pull request says, pasted: Flux adopts the release without a change of
// values, and nothing of it restarts.
func TestPastedUpgrade(t *testing.T) {
	t.Run("values written out", func(t *testing.T) {
		pasteUpgrade(t, func(b *bed, to *delivery.Target) { to.Values = b.values(whole) })
	})
	t.Run("values hidden", func(t *testing.T) {
		pasteUpgrade(t, func(_ *bed, to *delivery.Target) {
			to.ValuesHidden, to.Changes = "some of them come from a Secret", map[string]any{"ipv6NativeRoutingCIDR": whole}
		})
	})
}

func pasteUpgrade(t *testing.T, values func(*bed, *delivery.Target)) {
	t.Helper()
	b := newBed(t)
	first := b.lastRevision()
	b.flux.stop()
	to := &delivery.Target{
		Namespace: "kube-system", Name: "cilium", Release: "cilium", TargetNamespace: "kube-system",
		Chart: b.chart, Commit: merged, Restart: []string{"DaemonSet/cilium"},
	}
	values(b, to)
	steps := delivery.Instructions(&delivery.Assessment{Arrives: delivery.No}, to)
	if len(steps) != 1 {
		t.Fatalf("steps %+v", steps)
	}
	shell(t, b.admin, steps[0].Commands)

	r := b.history(first + 1)
	if got, want := digestOf(r.Config), digestOf(b.values(whole)); got != want {
		t.Errorf("digest of the values %s, want %s:\n%s", got, want, cmp.Diff(b.values(whole), r.Config))
	}
	if hr := b.helmRelease(); !hr.Spec.Suspend || hr.Annotations[AnnotationCommit] != merged {
		t.Errorf("suspend %v for %q", hr.Spec.Suspend, hr.Annotations[AnnotationCommit])
	}
	if have := b.config()["ipv6-native-routing-cidr"]; have != whole {
		t.Errorf("cilium-config has %s", have)
	}
	ds := &appsv1.DaemonSet{}
	c, err := client.New(b.admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), cilium, ds); err != nil {
		t.Fatal(err)
	}
	if ds.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
		t.Error("the agents were not restarted")
	}

	b.apply(whole)
	shell(t, b.admin, steps[0].Undo)
	if hr := b.helmRelease(); hr.Spec.Suspend || hr.Annotations[AnnotationCommit] != "" {
		t.Errorf("not given back: %v %v", hr.Spec.Suspend, hr.Annotations)
	}
	b.flux = b.startFlux()
	b.until("Flux adopts the release", func() bool { return b.lastRevision() == first+2 && ready(b.helmRelease()) })
	if got, want := b.helmRelease().Status.History.Latest().ConfigDigest, digestOf(b.values(whole)); got != want {
		t.Errorf("Flux has the digest %s, want %s", got, want)
	}
	if have := b.config()["ipv6-native-routing-cidr"]; have != whole {
		t.Errorf("Flux put %s back", have)
	}
}

// The controllers' Deployments as Flux ships them, applied by
// kustomize-controller's field manager, again after the patch.
func TestPastedCoLocation(t *testing.T) {
	cfg := testbed.APIServer(t)
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}); err != nil {
		t.Fatal(err)
	}
	names := []string{delivery.KustomizeController, delivery.HelmController}
	fluxApplies := func() {
		for _, name := range names {
			o := fluxDeployment(name)
			if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("kustomize-controller"), client.ForceOwnership); err != nil {
				t.Fatal(err)
			}
		}
	}
	affinity := func(name string) *corev1.Affinity {
		d := &appsv1.Deployment{}
		if err := c.Get(t.Context(), types.NamespacedName{Namespace: "flux-system", Name: name}, d); err != nil {
			t.Fatal(err)
		}
		if s := d.Spec.Template.Spec.NodeSelector["kubernetes.io/os"]; s != "linux" {
			t.Errorf("%s lost what Flux selects: %q", name, s)
		}
		return d.Spec.Template.Spec.Affinity
	}
	fluxApplies()
	step := delivery.Instructions(&delivery.Assessment{
		Arrives: delivery.No, CoLocate: delivery.Yes, Move: names, Namespace: "flux-system", Node: "node-2", Label: "app",
	}, &delivery.Target{})[0]
	patches := slices.DeleteFunc(slices.Clone(step.Commands), func(l string) bool { return !strings.Contains(l, " patch ") })
	if len(patches) != len(names) {
		t.Fatalf("commands %q", step.Commands)
	}
	shell(t, cfg, patches)
	fluxApplies()
	for _, name := range names {
		a := affinity(name)
		if a == nil || a.PodAffinity == nil || len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 ||
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels["app"] != delivery.SourceController {
			t.Errorf("%s after Flux applied again: %+v", name, a)
		}
	}
	shell(t, cfg, step.Undo)
	for _, name := range names {
		if a := affinity(name); a != nil && a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
			t.Errorf("%s is still bound: %+v", name, a)
		}
	}
}

func fluxDeployment(name string) *unstructured.Unstructured {
	labels := map[string]any{"app": name}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": name, "namespace": "flux-system", "labels": labels},
		"spec": map[string]any{
			"replicas": int64(1), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{
					"nodeSelector": map[string]any{"kubernetes.io/os": "linux"},
					"containers":   []any{map[string]any{"name": "manager", "image": "ghcr.io/fluxcd/" + name}},
				},
			},
		},
	}}
}
