package source

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// twoClusters share a base; cluster b overrides one value of it. A third
// Kustomization uses a variable of cluster a's settings, a fourth does not build.
const twoClusters = `
-- clusters/a/flux-system/sync.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {path: ./clusters/a, sourceRef: {kind: GitRepository, name: flux-system}}
-- clusters/a/settings.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: flux-system}
data: {POD_CIDR: "fd00:101::/48", OTHER: "1"}
-- clusters/a/apps.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cilium-a, namespace: flux-system}
spec:
  path: ./overlays/a
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: user, namespace: flux-system}
spec:
  path: ./apps/user
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: bystander, namespace: flux-system}
spec:
  path: ./apps/bystander
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: broken, namespace: flux-system}
spec: {path: ./apps/broken, sourceRef: {kind: GitRepository, name: flux-system}}
-- clusters/b/flux-system/sync.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system-b, namespace: flux-system}
spec: {path: ./clusters/b, sourceRef: {kind: GitRepository, name: flux-system}}
-- clusters/b/apps.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cilium-b, namespace: flux-system}
spec: {path: ./overlays/b, sourceRef: {kind: GitRepository, name: flux-system}}
-- overlays/a/kustomization.yaml --
resources: [../../base]
-- overlays/b/kustomization.yaml --
resources: [../../base]
patches:
- patch: |
    apiVersion: helm.toolkit.fluxcd.io/v2
    kind: HelmRelease
    metadata: {name: cilium, namespace: kube-system}
    spec: {values: {ipv6NativeRoutingCIDR: "fd00:102::/48"}}
-- base/kustomization.yaml --
namespace: kube-system
resources: [release.yaml]
configMapGenerator: [{name: cilium-values, files: [values.yaml]}]
configurations: [names.yaml]
-- base/names.yaml --
nameReference:
- {kind: ConfigMap, version: v1, fieldSpecs: [{path: spec/valuesFrom/name, kind: HelmRelease}]}
-- base/release.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, version: 1.18.6, sourceRef: {kind: HelmRepository, name: cilium}}}
  valuesFrom: [{kind: ConfigMap, name: cilium-values}]
-- base/values.yaml --
ipv6NativeRoutingCIDR: fd00:101::/48
ipv4NativeRoutingCIDR: 10.0.0.0/8
# ${POD_CIDR}
-- apps/user/config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: uses, namespace: default}
data: {range: "${POD_CIDR}", fixed: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden, namespace: default}
stringData: {password: "x${POD_CIDR}"}
-- apps/bystander/config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: default}
data: {other: "${OTHER}"}
-- apps/broken/kustomization.yaml --
resources: [gone.yaml]
configMapGenerator: [{name: x, files: [../../base/values.yaml]}]
`

// told writes a verification for comparison.
func told(v *Verification) string {
	var b strings.Builder
	diffs := func(indent string, ds []Difference) {
		for _, d := range ds {
			fmt.Fprintf(&b, "%s%s %s: %v → %v\n", indent, d.Object, d.Path, d.From, d.To)
		}
	}
	diffs("value ", v.Values)
	diffs("stray ", v.Strays)
	for _, e := range v.Effects {
		fmt.Fprintf(&b, "%s", e.Kustomization)
		if e.Unknown != "" {
			fmt.Fprintf(&b, " unknown")
		}
		if e.More > 0 {
			fmt.Fprintf(&b, " and %d more", e.More)
		}
		b.WriteString("\n")
		diffs("  ", e.Differences)
	}
	return b.String()
}

func TestVerify(t *testing.T) {
	root := lay(t, txtar.Parse([]byte(twoClusters)))
	r, err := Find(context.Background(), Options{Root: root, ClusterPath: "clusters/a"})
	if err != nil {
		t.Fatal(err)
	}
	read := func(f string) string {
		src, err := r.at.t.read(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(src)
	}
	for _, test := range []struct {
		name, file, from, to, want string
	}{
		{"nothing", "base/values.yaml", "fd00", "fd00", ""},
		{"a value that the other cluster overrides", "base/values.yaml", "fd00:101::/48", "fd00:101::/38", `
value HelmRelease kube-system/cilium ipv6NativeRoutingCIDR: fd00:101::/48 → fd00:101::/38
Kustomization flux-system/broken unknown
Kustomization flux-system/cilium-b
  ConfigMap kube-system/cilium-values data.values\.yaml.ipv6NativeRoutingCIDR: fd00:101::/48 → fd00:101::/38
`},
		{"a value that both clusters read", "base/values.yaml", "10.0.0.0/8", "10.0.0.0/9", `
value HelmRelease kube-system/cilium ipv4NativeRoutingCIDR: 10.0.0.0/8 → 10.0.0.0/9
Kustomization flux-system/broken unknown
Kustomization flux-system/cilium-b
  HelmRelease kube-system/cilium ipv4NativeRoutingCIDR: 10.0.0.0/8 → 10.0.0.0/9
`},
		{"a comment", "base/values.yaml", "# ${POD_CIDR}", "# x", `
Kustomization flux-system/broken unknown
Kustomization flux-system/cilium-b
`},
		{"a variable", "clusters/a/settings.yaml", "fd00:101::/48", "fd00:101::/38", `
Kustomization flux-system/flux-system
  ConfigMap flux-system/settings data.POD_CIDR: fd00:101::/48 → fd00:101::/38
Kustomization flux-system/user
  ConfigMap default/uses data.range: fd00:101::/48 → fd00:101::/38
  Secret default/hidden stringData.password: (not shown) → (not shown)
`},
		{"a variable that the other uses", "clusters/a/settings.yaml", `"1"`, `"2"`, `
Kustomization flux-system/bystander
  ConfigMap default/other data.other: 1 → 2
Kustomization flux-system/flux-system
  ConfigMap flux-system/settings data.OTHER: 1 → 2
`},
		{"the overlay of the other cluster", "overlays/b/kustomization.yaml", "fd00:102", "fd00:103", `
Kustomization flux-system/cilium-b
  HelmRelease kube-system/cilium ipv6NativeRoutingCIDR: fd00:102::/48 → fd00:103::/48
`},
		{"another field of the release", "base/release.yaml", "1.18.6", "1.18.7", `
stray HelmRelease kube-system/cilium spec.chart.spec.version: 1.18.6 → 1.18.7
stray HelmRelease kube-system/cilium chart: cilium 1.18.6 → cilium 1.18.7
Kustomization flux-system/cilium-b
  HelmRelease kube-system/cilium spec.chart.spec.version: 1.18.6 → 1.18.7
`},
		{"a Kustomization's own manifest", "clusters/a/apps.yaml", "path: ./apps/user", "path: ./apps/bystander", `
Kustomization flux-system/flux-system
  Kustomization flux-system/user spec.path: ./apps/user → ./apps/bystander
Kustomization flux-system/user
  ConfigMap default/other : <nil> → true
  ConfigMap default/uses : true → <nil>
  Secret default/hidden : true → <nil>
`},
		{"a Kustomization goes", "clusters/b/apps.yaml", "kind: Kustomization", "kind: Other", `
Kustomization flux-system/cilium-b
  Kustomization flux-system/cilium-b : true → <nil>
Kustomization flux-system/flux-system-b
  Kustomization flux-system/cilium-b : true → <nil>
  Other flux-system/cilium-b : <nil> → true
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := read(test.file)
			edit := map[string][]byte{test.file: []byte(strings.Replace(src, test.from, test.to, 1))}
			v, err := r.Verify(context.Background(), edit)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := told(v), strings.TrimPrefix(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	for name, edit := range map[string]map[string][]byte{
		"no YAML":      {"base/release.yaml": []byte("a: [\n")},
		"gone":         {"base/values.yaml": nil},
		"a bad base":   {"overlays/b/kustomization.yaml": []byte("resources: [../../nowhere]\n")},
		"a bad values": {"base/values.yaml": []byte("a: [\n")},
	} {
		if v, err := r.Verify(context.Background(), edit); !errors.Is(err, ErrNoLongerBuilds) {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
}

// Candidates of one plan are verified side by side.
func TestVerifyConcurrently(t *testing.T) {
	root := lay(t, txtar.Parse([]byte(twoClusters)))
	r, err := Find(context.Background(), Options{Root: root, ClusterPath: "clusters/a"})
	if err != nil {
		t.Fatal(err)
	}
	edits := []map[string][]byte{
		{"base/values.yaml": []byte("ipv6NativeRoutingCIDR: fd00:9::/48\n")},
		{"base/values.yaml": []byte("ipv4NativeRoutingCIDR: 10.0.0.0/9\n")},
		{"clusters/a/settings.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: flux-system}\ndata: {POD_CIDR: x, OTHER: y}\n")},
	}
	got := make([]*Verification, 4*len(edits))
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			v, err := r.Verify(context.Background(), edits[i%len(edits)])
			if err != nil {
				t.Error(err)
			}
			got[i] = v
			if _, err := r.Rebuild(edits[i%len(edits)]); err != nil {
				t.Error(err)
			}
			r.Affects("base/values.yaml")
		})
	}
	wg.Wait()
	for i, v := range got {
		if !reflect.DeepEqual(v, got[i%len(edits)]) {
			t.Errorf("edit %d: %s", i%len(edits), told(v))
		}
	}
}
