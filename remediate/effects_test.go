package remediate

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/source"
)

func TestSentences(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, test := range []struct {
		d    source.Difference
		want string
	}{
		{source.Difference{Object: "HelmRelease a/b", Path: "MTU", From: 1400.0, To: 1500.0}, "HelmRelease a/b: MTU 1400 → 1500"},
		{source.Difference{Object: "ConfigMap a/b", To: true}, "ConfigMap a/b is new"},
		{source.Difference{Object: "ConfigMap a/b", From: true}, "ConfigMap a/b goes"},
		{source.Difference{Object: "A a/b", Path: "x.y", To: []any{"a", "b"}}, `A a/b: x.y is set to ["a","b"]`},
		{source.Difference{Object: "A a/b", Path: "x", From: map[string]any{"k": true}}, `A a/b: x ({"k":true}) goes`},
		{source.Difference{Object: "Secret a/b", Path: "data.x", From: source.NotShown, To: source.NotShown}, "Secret a/b: data.x changes (not shown)"},
		{source.Difference{Object: "A a/b", Path: "spec.password", From: "hunter2", To: "hunter3"}, "A a/b: spec.password changes (not shown)"},
		{source.Difference{Object: "A a/b", Path: "spec", To: map[string]any{"apiToken": "hunter2"}}, "A a/b: spec is set to (not shown)"},
		{source.Difference{Object: "A a/b", Path: "x", From: long, To: "y"}, "A a/b: x " + long[:maxEffectValue] + "… → y"},
	} {
		if got := sentence(test.d); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	if got := sentences([]source.Difference{{Object: "A a", To: true}}, 3); !reflect.DeepEqual(got, []string{"A a is new", "and 3 more"}) {
		t.Errorf("%q", got)
	}
}

// effectsRepo has two clusters that share one directory.
func effectsRepo(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for f, content := range map[string]string{
		"clusters/a/ks.yaml": kustomization("flux-a", "clusters/a") + kustomization("cilium-a", "cilium"),
		"clusters/b/ks.yaml": kustomization("flux-b", "clusters/b") + kustomization("cilium-b", "cilium"),
		"cilium/release.yaml": `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, version: 1.18.6, sourceRef: {kind: HelmRepository, name: cilium}}}
  values:
    MTU: 1400
`,
	} {
		p := filepath.Join(root, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func kustomization(name, path string) string {
	return "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec: {path: ./" + path + ", sourceRef: {kind: GitRepository, name: flux-system}}\n"
}

func TestEffects(t *testing.T) {
	root := effectsRepo(t)
	rel, err := source.Find(context.Background(), source.Options{Root: root, ClusterPath: "clusters/a"})
	if err != nil {
		t.Fatal(err)
	}
	r := &Run{release: rel}
	src, err := os.ReadFile(filepath.Join(root, "cilium/release.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) map[string][]byte {
		return map[string][]byte{"cilium/release.yaml": []byte(strings.Replace(string(src), old, new, 1))}
	}
	got, err := r.effects(edit("MTU: 1400", "MTU: 1500"))
	want := []v1alpha1.Effect{{Kustomization: "Kustomization flux-system/cilium-b", Changes: []string{"HelmRelease kube-system/cilium: MTU 1400 → 1500"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, test := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"more than values": {edit("1.18.6", "1.18.7"), "more of the release than its values: HelmRelease kube-system/cilium: spec.chart.spec.version 1.18.6 → 1.18.7"},
		"no longer builds": {map[string][]byte{"cilium/kustomization.yaml": []byte("resources: [gone.yaml]\n")}, "the rebuilt tree refuses it: "},
	} {
		if got, err := r.effects(test.files); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
