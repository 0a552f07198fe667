package source

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const flowRelease = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, version: 1.18.6, sourceRef: {kind: HelmRepository, name: x}}}
  valuesFrom:
    - {kind: ConfigMap, name: values}
`

const generatedValues = "namespace: kube-system\nresources: [release.yaml]\nconfigMapGenerator: [{name: values, files: [values.yaml]}]\n"

// fluxed is a Flux Kustomization of a directory.
func fluxed(name, dir, more string) string {
	return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\n" +
		"spec:\n  path: \"" + strings.ReplaceAll(dir, `"`, `\"`) + "\"\n  sourceRef: {kind: GitRepository, name: flux-system}\n" + more
}

func simple(t *testing.T, dir, release, values, more string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "cluster/cilium.yaml", fluxed("cilium", dir, more))
	put(t, root, "cluster/flux-system.yaml", fluxed("flux-system", "cluster", ""))
	put(t, root, dir+"/kustomization.yaml", generatedValues)
	put(t, root, dir+"/release.yaml", release)
	put(t, root, dir+"/values.yaml", values)
	return root
}

func mustFind(t *testing.T, root string) *Release {
	t.Helper()
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnyDirectoryName(t *testing.T) {
	for _, dir := range []string{"my app/cilium", "réseau/été", `a"b|c/d`, "a&b (1)", "remediate-name-zz"} {
		r := mustFind(t, simple(t, dir, flowRelease, "routingMode: native\n", ""))
		if w := r.Where("routingMode"); w.File != dir+"/values.yaml" || w.Line != 1 {
			t.Errorf("%s: routingMode stands at %s:%d", dir, w.File, w.Line)
		}
	}
}

func TestSymlinkInside(t *testing.T) {
	root := simple(t, "app", flowRelease, "", "")
	if err := os.Remove(filepath.Join(root, "app/values.yaml")); err != nil {
		t.Fatal(err)
	}
	put(t, root, "shared/real.yaml", "routingMode: native\n")
	if err := os.Symlink("../shared/real.yaml", filepath.Join(root, "app/values.yaml")); err != nil {
		t.Fatal(err)
	}
	r := mustFind(t, root)
	p := r.Place("routingMode")
	if p.Err != nil || p.File != "shared/real.yaml" || p.Line != 1 {
		t.Fatalf("place %+v", p)
	}
	values, err := r.Rebuild(map[string][]byte{p.File: []byte("routingMode: tunnel\n")})
	if err != nil || values["routingMode"] != "tunnel" {
		t.Errorf("rebuilt %v, %v", values, err)
	}
	if a := r.Affects(p.File); !slices.Contains(a, "Kustomization flux-system/cilium") {
		t.Errorf("affects %v", a)
	}
}

func TestUnreadableSourceIsNotBeaten(t *testing.T) {
	for _, test := range []struct {
		name, more string
		want       []string
	}{
		{"after", "    - {kind: Secret, name: s6}\n", []string{"Secret kube-system/s6"}},
		{"optional", "    - {kind: Secret, name: s6, optional: true}\n", []string{"optional Secret kube-system/s6"}},
		{"sets one other value", "    - {kind: Secret, name: s6, valuesKey: x, targetPath: hubble.password}\n", nil},
		{"sets a value above", "    - {kind: Secret, name: s6, valuesKey: x, targetPath: routingMode}\n", []string{"Secret kube-system/s6"}},
	} {
		r := mustFind(t, simple(t, "app", flowRelease+test.more, "routingMode: native\n", ""))
		w := r.Where("routingMode")
		if !slices.Equal(w.Opaque, test.want) {
			t.Errorf("%s: opaque %q, want %q", test.name, w.Opaque, test.want)
		}
		said := strings.Contains(strings.Join(w.Chain, "\n"), "may be overridden by")
		if said != (len(test.want) > 0) {
			t.Errorf("%s: chain %q", test.name, w.Chain)
		}
	}
	before := strings.Replace(flowRelease, "    - {kind: ConfigMap", "    - {kind: Secret, name: s6}\n    - {kind: ConfigMap", 1)
	if w := mustFind(t, simple(t, "app", before, "routingMode: native\n", "")).Where("routingMode"); len(w.Opaque) != 0 {
		t.Errorf("a source before the winner is said to override it: %q", w.Opaque)
	}
}

func TestUnresolved(t *testing.T) {
	values := "ipv6NativeRoutingCIDR: ${N6}\nhubble: {hosts: [\"h.${DOMAIN}\"]}\nmtu: ${MTU:=1500}\nroutingMode: ${MODE}\n"
	post := "  postBuild:\n    substitute: {MODE: native}\n    substituteFrom: [{kind: Secret, name: gone}]\n"
	r := mustFind(t, simple(t, "app", flowRelease, values, post))
	var got []string
	for _, u := range r.Unresolved {
		got = append(got, u.Path+" "+strings.Join(u.Variables, ","))
		if !strings.Contains(u.Why, "Secret flux-system/gone") {
			t.Errorf("%s: why %q", u.Path, u.Why)
		}
	}
	if want := []string{"hubble.hosts[0] DOMAIN", "ipv6NativeRoutingCIDR N6"}; !slices.Equal(got, want) {
		t.Errorf("unresolved %q, want %q", got, want)
	}
	if r := mustFind(t, simple(t, "app", flowRelease, values, "  postBuild: {substitute: {N6: \"fd00::/48\", DOMAIN: x, MODE: native}}\n")); len(r.Unresolved) != 0 {
		t.Errorf("all sources can be read, and %v is unresolved", r.Unresolved)
	}
}

func TestTemplateIsNamed(t *testing.T) {
	root := simple(t, "app", flowRelease, "a: \"{{ quoted }}\"\nipv6NativeRoutingCIDR: {{ .cidr }}\n", "")
	_, err := Find(context.Background(), Options{Root: root})
	if err == nil || !strings.Contains(err.Error(), "app/values.yaml:2:") || !strings.Contains(err.Error(), "template") {
		t.Errorf("error %v", err)
	}
}

func TestSuspendedBy(t *testing.T) {
	r := mustFind(t, simple(t, "app", flowRelease+"  suspend: true\n", "a: b\n", "  suspend: true\n"))
	if len(r.SuspendedBy) != 2 || !r.Suspended || !strings.Contains(r.SuspendedBy[0], "app/release.yaml:1") || !strings.Contains(r.SuspendedBy[1], "cluster/cilium.yaml:1") {
		t.Errorf("suspended by %q", r.SuspendedBy)
	}
	if r := mustFind(t, simple(t, "app", flowRelease, "a: b\n", "")); r.Suspended || r.SuspendedBy != nil {
		t.Errorf("suspended by %q", r.SuspendedBy)
	}
}

// One file that two clusters apply affects both.
func TestAffectsEveryCluster(t *testing.T) {
	root := simple(t, "app", flowRelease, "a: b\n", "")
	put(t, root, "cluster/kustomization.yaml", "resources: [flux-system.yaml, cilium.yaml]\n")
	put(t, root, "other/flux-system.yaml", fluxed("flux-system", "other", ""))
	put(t, root, "other/kustomization.yaml", "resources: [flux-system.yaml, ../shared]\n")
	put(t, root, "shared/kustomization.yaml", "resources: [../cluster/cilium.yaml]\n")
	rs, err := List(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Kustomization flux-system/cilium (applied from cluster)", "Kustomization flux-system/cilium (applied from other)"}
	if got := rs[0].Affects("app/values.yaml"); !slices.Equal(got, want) {
		t.Errorf("affects %q, want %q", got, want)
	}
}

func configMap(data map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "cilium-config", "namespace": "kube-system"}, "data": data}
}

func TestPostRender(t *testing.T) {
	for _, test := range []struct {
		name, post string
		want       string // of the key
		err        string
	}{
		{"none", "", "fd00:101::/48", ""},
		{"JSON patch", "    - kustomize:\n        patches:\n          - target: {kind: ConfigMap, name: cilium-config}\n            patch: |\n              - {op: replace, path: /data/cidr, value: \"fd00:101::/32\"}\n", "fd00:101::/32", ""},
		{"merge patch without target", "    - kustomize:\n        patches:\n          - patch: |\n              {apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config}, data: {cidr: \"fd00:101::/32\"}}\n", "fd00:101::/32", ""},
		{"for another object", "    - kustomize:\n        patches:\n          - patch: |\n              {apiVersion: v1, kind: ConfigMap, metadata: {name: hubble}, data: {cidr: \"fd00:101::/32\"}}\n", "fd00:101::/48", ""},
		{"the last wins", "    - kustomize:\n        patchesStrategicMerge:\n          - {apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config}, data: {cidr: x}}\n    - kustomize:\n        patchesJson6902:\n          - target: {version: v1, kind: ConfigMap, name: cilium-config}\n            patch: [{op: add, path: /data/cidr, value: \"fd00:101::/40\"}]\n", "fd00:101::/40", ""},
		{"images", "    - kustomize:\n        images: [{name: a, newTag: b}]\n", "fd00:101::/48", ""},
		{"another field", "    - kustomize:\n        replacements: []\n", "", "replacements"},
		{"another kind", "    - exec: {command: rm}\n", "", "no kustomize"},
		{"does not apply", "    - kustomize:\n        patches:\n          - target: {kind: ConfigMap}\n            patch: |\n              - {op: remove, path: /data/nonsense}\n", "", "postRenderers[0]"},
		{"no object", "    - kustomize:\n        patches: [{patch: \"x\"}]\n", "", "names no object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			release := flowRelease
			if test.post != "" {
				release += "  postRenderers:\n" + test.post
			}
			r := mustFind(t, simple(t, "app", release, "a: b\n", ""))
			got, err := r.PostRender([]map[string]any{configMap(map[string]any{"cidr": "fd00:101::/48"})})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "app/release.yaml:1") {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, _ := got[0]["data"].(map[string]any)
			if len(got) != 1 || data["cidr"] != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
