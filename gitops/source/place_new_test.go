package source

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
)

// overlays are two clusters that build on one base; prod patches it.
func overlays(prod string) map[string]string {
	files := map[string]string{
		"infra/base/kustomization.yaml": "resources: [cilium.yaml]\n",
		"infra/base/cilium.yaml":        plain + "  values:\n    hubble: {enabled: true}\n    routingMode: native\n",
		"infra/prod/kustomization.yaml": "resources: [../base]\n" + prod,
		"infra/test/kustomization.yaml": "resources: [../base]\n",
	}
	for _, c := range []string{"prod", "test"} {
		files["clusters/"+c+"/flux-system/gotk-sync.yaml"] = fluxed("flux-system", "clusters/"+c, "")
		files["clusters/"+c+"/infra.yaml"] = fluxed("infra", "infra/"+c, "")
	}
	return files
}

const ownPatch = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: cilium, namespace: kube-system}\nspec:\n  values:\n    bpf: {masquerade: true}\n"

func TestNewKeyStaysInTheCluster(t *testing.T) {
	cases := []struct {
		name, kustomization string
		more                map[string]string
		key, want           string
	}{
		{"into the overlay's patch", "patches: [{path: values.yaml}]\n", map[string]string{"infra/prod/values.yaml": ownPatch}, "MTU", "infra/prod/values.yaml"},
		{"though the base holds the parent", "patches: [{path: values.yaml}]\n", map[string]string{"infra/prod/values.yaml": ownPatch}, "hubble.relay.enabled", "infra/prod/values.yaml"},
		{"into a patch written in the kustomization", "patches:\n- patch: |\n" + "    " + strings.ReplaceAll(strings.TrimSpace(ownPatch), "\n", "\n    ") + "\n", nil, "MTU", "infra/prod/kustomization.yaml"},
		{"into a patch with a target", "patches: [{path: values.yaml, target: {kind: HelmRelease, name: cilium}}]\n", map[string]string{"infra/prod/values.yaml": ownPatch}, "MTU", "infra/prod/values.yaml"},
		{"not into one for every release", "patches: [{path: values.yaml, target: {kind: HelmRelease}}]\n", map[string]string{"infra/prod/values.yaml": strings.Replace(ownPatch, "name: cilium", "name: any", 1)}, "MTU", "infra/base/cilium.yaml"},
		{"into the base where there is nothing else", "", nil, "MTU", "infra/base/cilium.yaml"},
		{"into the base beside a patch of another field", "patches: [{path: values.yaml}]\n", map[string]string{"infra/prod/values.yaml": strings.Split(ownPatch, "  values:")[0] + "  interval: 2h\n"}, "MTU", "infra/base/cilium.yaml"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := overlays(c.kustomization)
			maps.Copy(files, c.more)
			root := layFiles(t, files)
			r, err := Find(context.Background(), Options{Root: root, ClusterPath: "clusters/prod"})
			if err != nil {
				t.Fatal(err)
			}
			p := r.Place(c.key)
			if p.Err != nil || p.File != c.want {
				t.Fatalf("%s goes to %s (%v), want %s", c.key, p.File, p.Err, c.want)
			}
			edited := map[string][]byte{p.File: write(t, p, []byte(files[p.File]), 1400)}
			got, err := r.Rebuild(edited)
			if v, _ := valueAt(got, splitPath(c.key)); err != nil || v != 1400.0 {
				t.Errorf("rebuilt: %v, %v", v, err)
			}
			all := strings.Join(r.Affects(p.File), "\n")
			if inBase := strings.HasPrefix(p.File, "infra/base"); strings.Contains(all, "clusters/test") != inBase {
				t.Errorf("affects:\n%s", all)
			}
		})
	}
}

func TestNewKeyGoesToTheClustersOwnSource(t *testing.T) {
	files := overlays("configMapGenerator: [{name: own, namespace: kube-system, files: [values.yaml]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n")
	files["infra/test/kustomization.yaml"] = files["infra/prod/kustomization.yaml"]
	files["infra/test/values.yaml"] = "cluster: {name: test}\n"
	files["infra/prod/values.yaml"] = "cluster: {name: prod}\n"
	files["infra/base/cilium.yaml"] = plain + "  valuesFrom:\n  - {kind: ConfigMap, name: own, optional: true}\n  values:\n    bpf: {masquerade: true}\n    routingMode: native\n"
	r, err := Find(context.Background(), Options{Root: layFiles(t, files), ClusterPath: "clusters/prod"})
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Place("bpf.hostLegacyRouting"); p.File != "infra/prod/values.yaml" || !slices.Equal(p.YAMLPath, []string{"bpf", "hostLegacyRouting"}) {
		t.Errorf("goes to %s %q", p.File, p.YAMLPath)
	}
}
