package source

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Who is affected is named as Flux applies it, the same in every answer: here
// both clusters' Kustomizations get their namespace from what lists them.
func TestNamesAreThoseThatFluxApplies(t *testing.T) {
	ks := "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: net}\nspec: {path: ./net, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}\n"
	one := map[string]string{
		"clusters/a/flux.yaml":          fluxFor("flux-system", "clusters/a"),
		"clusters/a/apps.yaml":          fluxFor("apps", "apps/a"),
		"apps/a/kustomization.yaml":     "namespace: kube-system\nresources: [ks.yaml]\n",
		"apps/a/ks.yaml":                ks,
		"net/r.yaml":                    releaseOf("cilium", chartNamed("cilium")),
		"clusters/a/other-cluster.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
	}
	add := func(files map[string]string) map[string]string {
		out := map[string]string{}
		for _, m := range []map[string]string{one, files} {
			for f, text := range m {
				out[f] = text
			}
		}
		return out
	}
	second := map[string]string{
		"clusters/b/flux.yaml":      fluxFor("flux-system", "clusters/b"),
		"clusters/b/apps.yaml":      fluxFor("apps", "apps/b"),
		"apps/b/kustomization.yaml": "namespace: kube-system\nresources: [ks.yaml]\n",
		"apps/b/ks.yaml":            ks,
	}
	elsewhere := map[string]string{}
	for f, text := range second {
		elsewhere[f] = strings.Replace(text, "namespace: kube-system\n", "namespace: cni\n", 1)
	}
	for name, test := range map[string]struct {
		files   map[string]string
		affects []string
	}{
		"one cluster":                         {one, []string{"Kustomization kube-system/net"}},
		"two clusters, the same name":         {add(second), []string{"Kustomization kube-system/net (applied from clusters/a)", "Kustomization kube-system/net (applied from clusters/b)"}},
		"two clusters, different namespaces":  {add(elsewhere), []string{"Kustomization cni/net", "Kustomization kube-system/net"}},
		"two clusters that share all of apps": {add(map[string]string{"clusters/b/flux.yaml": fluxFor("flux-system", "clusters/b"), "clusters/b/apps.yaml": fluxFor("apps", "apps/a")}), []string{"Kustomization kube-system/net (applied from clusters/a)", "Kustomization kube-system/net (applied from clusters/b)"}},
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(test.files), ClusterPath: "clusters/a"})
			if err != nil || len(rs) != 1 {
				t.Fatal(rs, err)
			}
			r := rs[0]
			if got := r.Affects("net/r.yaml"); !slices.Equal(got, test.affects) {
				t.Errorf("affects %q, want %q", got, test.affects)
			}
			own := r.Kustomizations[len(r.Kustomizations)-1]
			if !strings.HasPrefix(own, "Kustomization kube-system/net ") {
				t.Errorf("applied by %s", own)
			}
			v, err := r.Verify(context.Background(), map[string][]byte{"net/r.yaml": []byte(strings.Replace(test.files["net/r.yaml"], "1400", "1300", 1))})
			if err != nil {
				t.Fatal(err)
			}
			var named []string
			for _, e := range v.Effects {
				named = append(named, e.Kustomization)
			}
			want := slices.DeleteFunc(slices.Clone(test.affects), func(s string) bool {
				return s == "Kustomization kube-system/net" || strings.HasSuffix(s, "net (applied from clusters/a)")
			})
			if !slices.Equal(named, want) {
				t.Errorf("Verify names %q besides the release's own, want %q", named, want)
			}
		})
	}
}
