package source

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manyFiles is a repository in which 500 applications have a Flux Kustomization
// each, with 20 files: one entry point applies clusters/main, from there one
// Kustomization applies all others and patches them. Every second application
// substitutes variables of cluster-settings, every tenth uses the one that the
// pod range stands in. Application 0 is Cilium, with a generated ConfigMap.
func manyFiles(apps int) map[string]string {
	files := map[string]string{
		"clusters/main/flux-system/sync.yaml": `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1h, path: ./clusters/main, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
`,
		"clusters/main/apps.yaml": `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cluster-apps, namespace: flux-system}
spec:
  interval: 1h
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: cluster-settings}]}
  patches:
  - target: {group: kustomize.toolkit.fluxcd.io, kind: Kustomization}
    patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: all}
      spec: {retryInterval: 2m}
`,
		"clusters/main/cluster-settings.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-settings, namespace: flux-system}
data: {POD_CIDR6: "fd00:101::/48", DOMAIN: example.com, TIMEZONE: Etc/UTC}
`,
	}
	spaces := map[string][]string{}
	for i := range apps {
		space, app := fmt.Sprintf("ns-%02d", i%20), fmt.Sprintf("app-%03d", i)
		if i == 0 {
			app = "cilium"
		}
		spaces[space] = append(spaces[space], app)
		application(files, path.Join("apps", space, app), app, i)
	}
	var all []string
	for space, names := range spaces {
		text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
		for _, n := range names {
			text += "- ./" + n + "/ks.yaml\n"
		}
		files[path.Join("apps", space, "kustomization.yaml")] = text
		all = append(all, space)
	}
	files["apps/kustomization.yaml"] = "resources: [" + strings.Join(sortedStrings(all), ", ") + "]\n"
	return files
}

func sortedStrings(list []string) []string {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return sortedKeys(set)
}

func application(files map[string]string, dir, app string, i int) {
	put := func(name, format string, args ...any) { files[path.Join(dir, name)] = fmt.Sprintf(format, args...) }
	from := ""
	if i%2 == 0 {
		from = "\n  postBuild: {substituteFrom: [{kind: ConfigMap, name: cluster-settings}], substitute: {APP: " + app + "}}"
	}
	put("ks.yaml", `---
# yaml-language-server: $schema=https://example.com/kustomization.json
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s, namespace: flux-system}
spec:
  interval: 1h
  path: ./%s/app
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  targetNamespace: apps%s
`, app, dir, from)
	resources := "[helmrelease.yaml"
	for n := range 16 {
		name := fmt.Sprintf("part-%02d.yaml", n)
		resources += ", " + name
		domain := "fixed.example"
		if i%2 == 0 {
			domain = "${DOMAIN}"
		}
		if i%10 == 0 && n == 0 {
			domain = "${POD_CIDR6}"
		}
		put("app/"+name, `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: %s-part-%d
  labels: {app.kubernetes.io/name: %s}
data:
  host: "%s.%s"
  settings.yaml: |
    listen: 0.0.0.0:80
    workers: %d
    upstreams: [a.example, b.example, c.example]
`, app, n, app, app, domain, n)
	}
	put("app/kustomization.yaml", `---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: %s]
configMapGenerator:
- name: %s-values
  files: [values.yaml]
configurations: [names.yaml]
`, resources, app)
	put("app/names.yaml", "nameReference:\n- {kind: ConfigMap, version: v1, fieldSpecs: [{path: spec/valuesFrom/name, kind: HelmRelease}]}\n")
	put("app/helmrelease.yaml", `---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: %s}
spec:
  interval: 1h
  chart: {spec: {chart: %s, version: 1.18.6, sourceRef: {kind: HelmRepository, name: charts}}}
  valuesFrom: [{kind: ConfigMap, name: %s-values}]
`, app, strings.TrimSuffix(app, fmt.Sprintf("-%03d", i)), app)
	if i == 0 {
		put("app/values.yaml", "ipv4NativeRoutingCIDR: 10.101.0.0/16\nipv6NativeRoutingCIDR: ${POD_CIDR6}\nroutingMode: native\n")
		return
	}
	put("app/values.yaml", "controllers: {main: {containers: {main: {image: {repository: registry.example/%s, tag: 1.2.3}}}}}\n", app)
}

func layMany(tb testing.TB, apps int) string {
	tb.Helper()
	root := tb.TempDir()
	for f, content := range manyFiles(apps) {
		put(tb, root, f, content)
	}
	return root
}

// BenchmarkSource is source and verdict for one release in a repository of
// 10,000 files and 500 Flux Kustomizations: finding it, the place of a value, who
// is affected, and the verification of one edit.
func BenchmarkSource(b *testing.B) {
	root := layMany(b, 500)
	for _, edit := range []struct{ name, file, from, to string }{
		{"value", "apps/ns-00/cilium/app/values.yaml", "10.101.0.0/16", "10.101.0.0/17"},
		{"variable", "clusters/main/cluster-settings.yaml", "fd00:101::/48", "fd00:101::/38"},
	} {
		src, err := os.ReadFile(filepath.Join(root, edit.file))
		if err != nil {
			b.Fatal(err)
		}
		files := map[string][]byte{edit.file: []byte(strings.Replace(string(src), edit.from, edit.to, 1))}
		b.Run(edit.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := Find(context.Background(), Options{Root: root})
				if err != nil {
					b.Fatal(err)
				}
				r.Place("ipv6NativeRoutingCIDR")
				r.Affects(edit.file)
				if _, err := r.Verify(context.Background(), files); err != nil {
					b.Fatal(err)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		})
	}
}

// BenchmarkKrusty is what it is measured against: kustomize building the
// release's Kustomization once from disk, and all 500 of them.
func BenchmarkKrusty(b *testing.B) {
	root := layMany(b, 500)
	dirs, err := filepath.Glob(filepath.Join(root, "apps/*/*/app"))
	if err != nil || len(dirs) != 500 {
		b.Fatal(len(dirs), err)
	}
	build := func(b *testing.B, dirs []string) {
		for b.Loop() {
			for _, d := range dirs {
				k := krusty.MakeKustomizer(&krusty.Options{LoadRestrictions: kustypes.LoadRestrictionsNone, PluginConfig: kustypes.DisabledPluginConfig()})
				if _, err := k.Run(filesys.MakeFsOnDisk(), d); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("release", func(b *testing.B) { build(b, []string{filepath.Join(root, "apps/ns-00/cilium/app")}) })
	b.Run("all", func(b *testing.B) { build(b, dirs) })
}
