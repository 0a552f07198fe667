package source

import (
	"context"
	"strings"
	"testing"
)

const aimed = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - https://github.com/example/provisioner/deploy?ref=v1
`

func settingsPatch(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: storage}\ndata: {path: /var/data}\n"
}

// A patch whose target comes from a remote base that is not read keeps neither
// the directory's own objects nor the rest of the cluster from being built.
func TestPatchOfAnUnreadBase(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"file":                  {"storage/kustomization.yaml": aimed + "patches:\n  - path: patch.yaml\n", "storage/patch.yaml": settingsPatch("provisioner")},
		"inline":                {"storage/kustomization.yaml": aimed + "patches:\n  - patch: |\n" + indent(settingsPatch("provisioner"))},
		"deprecated field":      {"storage/kustomization.yaml": aimed + "patchesStrategicMerge: [patch.yaml]\n", "storage/patch.yaml": settingsPatch("provisioner")},
		"JSON patch":            {"storage/kustomization.yaml": aimed + "patchesJson6902:\n  - target: {version: v1, kind: ConfigMap, name: provisioner}\n    patch: '[{\"op\": \"remove\", \"path\": \"/data\"}]'\n"},
		"patch above":           {"storage/kustomization.yaml": aimed, "kustomization.yaml": "resources: [release.yaml, storage]\npatches:\n  - path: patch.yaml\n", "patch.yaml": settingsPatch("provisioner")},
		"two patches in a file": {"storage/kustomization.yaml": aimed + "patches:\n  - path: patch.yaml\n", "storage/patch.yaml": settingsPatch("provisioner") + "---\n" + settingsPatch("other")},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{
				"clusters/a/ks.yaml":            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: flux-system, namespace: flux-system}\nspec: {path: ./clusters/a, sourceRef: {kind: GitRepository, name: flux-system}}\n",
				"clusters/a/kustomization.yaml": "resources: [ks.yaml, ../../apps]\n",
				"apps/kustomization.yaml":       "resources: [release.yaml, storage]\npatches:\n  - patch: |\n" + indent(plainPatch),
				"apps/release.yaml":             plainValues,
				"apps/storage/own.yaml":         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mentions-cilium-values}\ndata: {a: b}\n",
			}
			for f, content := range files {
				if f == "kustomization.yaml" {
					content += strings.TrimPrefix(all["apps/kustomization.yaml"], "resources: [release.yaml, storage]\npatches:\n")
				}
				all["apps/"+f] = strings.Replace(content, "resources:\n", "resources:\n  - own.yaml\n", 1)
			}
			r, err := Find(context.Background(), Options{Root: layFiles(t, all)})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Values["ipv4NativeRoutingCIDR"]; got != "10.9.0.0/16" {
				t.Errorf("ipv4NativeRoutingCIDR is %v: the patch of the release is lost", got)
			}
		})
	}
}

const plainPatch = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: cilium, namespace: kube-system}\nspec: {values: {ipv4NativeRoutingCIDR: 10.9.0.0/16}}\n"

func indent(s string) string {
	return "      " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n      ") + "\n"
}

// Where everything is read, a patch without a target is refused, as Flux does.
func TestPatchOfNothing(t *testing.T) {
	_, err := Find(context.Background(), Options{Root: layFiles(t, map[string]string{
		"kustomization.yaml": "resources: [release.yaml]\npatches:\n  - path: patch.yaml\n", "patch.yaml": settingsPatch("provisioner"), "release.yaml": plainValues})})
	if err == nil || !strings.Contains(err.Error(), "no matches for Id ConfigMap") && !strings.Contains(err.Error(), "provisioner") {
		t.Errorf("got %v", err)
	}
}
