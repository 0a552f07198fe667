package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func entryPoint(extra string) string {
	return fluxFor("flux-system", "clusters/lab") + fluxFor("net", "net") + extra
}

func releaseOf(name, chart string) string {
	return "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: " + name + ", namespace: kube-system}\nspec: {" + chart + ", values: {MTU: 1400}}\n"
}

func chartNamed(name string) string {
	return "chart: {spec: {chart: " + name + ", sourceRef: {kind: HelmRepository, name: x}}}"
}

func refTo(name string) string { return "chartRef: {kind: OCIRepository, name: " + name + "}" }

const ociCilium = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: cni, namespace: kube-system}\nspec: {url: oci://quay.io/cilium/charts/cilium, ref: {tag: 1.18.6}}\n"

// A release whose chart is named by a variable, a patch or a source is found; the
// file in which it stands need not mention cilium.
func TestChartsNamedElsewhere(t *testing.T) {
	flux := func(more string) string {
		return strings.Replace(entryPoint(""), "spec: {path: ./net,", "spec: {"+more+", path: ./net,", 1)
	}
	patch := func(target, text string) string {
		return "patches: [{" + target + "patch: '" + text + "'}]"
	}
	strategic := "{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: cni, namespace: kube-system}, spec: {chart: {spec: {chart: cilium}}}}"
	json := `[{"op": "replace", "path": "/spec/chart/spec/chart", "value": "cilium"}]`
	target := "target: {kind: HelmRelease}, "
	for name, files := range map[string]map[string]string{
		"a variable":                {"clusters/lab/ks.yaml": flux("postBuild: {substitute: {CHART: cilium}}"), "net/r.yaml": releaseOf("cni", chartNamed(`"${CHART}"`))},
		"the default of a variable": {"clusters/lab/ks.yaml": flux("postBuild: {substitute: {OTHER: x}}"), "net/r.yaml": releaseOf("cni", chartNamed(`"${CHART:=cilium}"`))},
		"a variable for a source":   {"clusters/lab/ks.yaml": flux("postBuild: {substitute: {SRC: cni}}"), "net/r.yaml": releaseOf("cni", refTo(`"${SRC}"`)), "net/s.yaml": ociCilium},
		"a strategic patch of Flux": {"clusters/lab/ks.yaml": flux(patch("", strategic)), "net/r.yaml": releaseOf("cni", chartNamed("placeholder"))},
		"a JSON patch of Flux":      {"clusters/lab/ks.yaml": flux(patch(target, json)), "net/r.yaml": releaseOf("cni", chartNamed("placeholder"))},
		"a JSON patch of kustomize": {"clusters/lab/ks.yaml": entryPoint(""), "net/kustomization.yaml": "resources: [r.yaml]\n" + patch(target, json) + "\n", "net/r.yaml": releaseOf("cni", chartNamed("placeholder"))},
		"a patch file":              {"clusters/lab/ks.yaml": entryPoint(""), "net/kustomization.yaml": "resources: [r.yaml]\npatches: [{path: p.yaml}]\n", "net/p.yaml": strategic + "\n", "net/r.yaml": releaseOf("cni", chartNamed("placeholder"))},
		"a patch that completes it": {"clusters/lab/ks.yaml": entryPoint(""), "net/kustomization.yaml": "resources: [r.yaml]\npatches: [{path: p.yaml}]\n", "net/p.yaml": strategic + "\n", "net/r.yaml": releaseOf("cni", "interval: 1h")},
		"an old JSON patch file":    {"clusters/lab/ks.yaml": entryPoint(""), "net/kustomization.yaml": "resources: [r.yaml]\npatchesJson6902: [{path: p.yaml, target: {group: helm.toolkit.fluxcd.io, version: v2, kind: HelmRelease, name: cni}}]\n", "net/p.yaml": "- {op: replace, path: /spec/chart/spec/chart, value: cilium}\n", "net/r.yaml": releaseOf("cni", chartNamed("placeholder"))},
		"a source of another name":  {"clusters/lab/ks.yaml": entryPoint(""), "net/r.yaml": releaseOf("net", refTo("cni")), "net/s.yaml": ociCilium},
		"a source under a prefix":   {"clusters/lab/ks.yaml": flux("namePrefix: my-"), "net/kustomization.yaml": "resources: [r.yaml, s.yaml]\n", "net/r.yaml": releaseOf("net", refTo("my-cni")), "net/s.yaml": ociCilium},
		"a source whose chart a variable ends": {"clusters/lab/ks.yaml": flux("postBuild: {substitute: {NAME: cilium}}"), "net/r.yaml": releaseOf("net", refTo("cni")),
			"net/s.yaml": strings.Replace(ociCilium, "oci://quay.io/cilium/charts/cilium", `"oci://quay.io/charts/${NAME}"`, 1)},
		"a path in a repository": {"clusters/lab/ks.yaml": entryPoint(""), "net/r.yaml": releaseOf("net", chartNamed("./charts/cilium"))},
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)})
			if err != nil || len(rs) != 1 || rs[0].Chart.Name != "cilium" || rs[0].Values["MTU"] != 1400.0 {
				t.Fatalf("%v, %v", rs, err)
			}
			edit := map[string][]byte{"net/r.yaml": []byte(strings.Replace(files["net/r.yaml"], "1400", "1300", 1))}
			if values, err := rs[0].Rebuild(edit); err != nil || values["MTU"] != 1300.0 {
				t.Errorf("rebuilt %v, %v", values, err)
			}
			if v, err := rs[0].Verify(context.Background(), edit); err != nil || len(v.Values) != 1 || len(v.Effects) > 0 {
				t.Errorf("verified %+v, %v", v, err)
			}
		})
	}
}

// What does not hold a Cilium release is neither built nor complained about.
func TestOthersAreNotBuilt(t *testing.T) {
	broken := map[string]string{"other/kustomization.yaml": "resources: [r.yaml, gone.yaml]\n"}
	others := map[string]string{
		"a comment":                "# not for cilium\n" + releaseOf("nfs", chartNamed("nfs")),
		"a policy of another":      releaseOf("nfs", "dependsOn: [{name: cilium}], "+chartNamed("nfs")),
		"a source of another":      "# cilium\n" + releaseOf("nfs", refTo("app-template")),
		"another chart's variable": "# cilium\n" + releaseOf("nfs", chartNamed(`"${CHART}"`)),
		"Flux's labels":            strings.Replace(releaseOf("nfs", chartNamed("nfs")), "namespace:", "labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}, namespace:", 1),
		"similar charts":           releaseOf("nfs", chartNamed("cilium-exporter")) + releaseOf("two", chartNamed("x/cilium-x")),
	}
	for name, text := range others {
		files := maps.Clone(broken)
		files["clusters/lab/ks.yaml"] = fluxFor("flux-system", "clusters/lab") + strings.Replace(fluxFor("other", "other"), "spec: {", "spec: {postBuild: {substitute: {CHART: nfs}}, ", 1)
		files["other/r.yaml"] = text
		_, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)})
		if !errors.Is(err, ErrNoRelease) || strings.Contains(err.Error(), "does not build") {
			t.Errorf("%s: %v", name, err)
		}
		files["clusters/lab/net.yaml"] = fluxFor("net", "net")
		files["net/r.yaml"] = releaseOf("cilium", chartNamed("cilium"))
		var failed []error
		rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files), Failed: func(_ string, err error) { failed = append(failed, err) }})
		if err != nil || len(rs) != 1 || len(failed) > 0 {
			t.Errorf("%s: %v, %v, failed %v", name, rs, err, failed)
		}
	}
	files := maps.Clone(broken)
	files["clusters/lab/ks.yaml"] = fluxFor("flux-system", "clusters/lab") + fluxFor("other", "other")
	files["other/r.yaml"] = releaseOf("cilium", chartNamed("cilium"))
	if _, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)}); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("a Kustomization of Cilium that does not build: %v", err)
	}
}

// A HelmRelease beside Cilium's that cannot be substituted is not in its way.
func TestNeighbourThatCannotBeRead(t *testing.T) {
	files := map[string]string{
		"clusters/lab/ks.yaml": strings.Replace(entryPoint(""), "spec: {path: ./net,", "spec: {postBuild: {substitute: {A: b}}, path: ./net,", 1),
		"net/r.yaml":           releaseOf("aaa", "x: \"${A:?}${-}\", "+chartNamed("other")) + releaseOf("cilium", chartNamed("cilium")),
	}
	rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)})
	if err != nil || len(rs) != 1 {
		t.Errorf("%v, %v", rs, err)
	}
}

// A parent is built once for all that it applies, and a ConfigMap that it patches
// once for all that take variables from it.
func TestParentsAreBuiltOnce(t *testing.T) {
	const clusters = 12
	files := map[string]string{"clusters/lab/flux.yaml": fluxFor("flux-system", "clusters/lab")}
	files["clusters/lab/apps.yaml"] = strings.Replace(fluxFor("apps", "apps"), "spec: {", "spec: {patches: [{target: {kind: Kustomization}, patch: '{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: x}, spec: {postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}}}'}], ", 1)
	files["apps/settings.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: flux-system}\ndata: {MTU: \"1400\"}\n"
	for i := range clusters {
		files[fmt.Sprintf("apps/%d/ks.yaml", i)] = fluxFor(fmt.Sprint("net-", i), fmt.Sprint("net/", i))
		files[fmt.Sprintf("net/%d/r.yaml", i)] = releaseOf(fmt.Sprint("cilium-", i), chartNamed("cilium"))
		files[fmt.Sprintf("apps/other-%d/ks.yaml", i)] = fluxFor(fmt.Sprint("other-", i), fmt.Sprint("other/", i))
		files[fmt.Sprintf("other/%d/r.yaml", i)] = "# cilium\n" + releaseOf("nfs", chartNamed("nfs"))
	}
	rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)})
	if err != nil || len(rs) != clusters {
		t.Fatalf("%d releases, %v", len(rs), err)
	}
	// The two above the releases' own, and the settings.
	if n := rs[0].at.t.kept.builds.Swap(0); n > clusters+3 {
		t.Errorf("%d builds for %d releases below one parent", n, clusters)
	}
	got := rs[3].Affects("apps/settings.yaml")
	if len(got) != 2*clusters+1 || !slices.IsSorted(got) {
		t.Errorf("%d names: %q", len(got), got)
	}
	if n := rs[0].at.t.kept.builds.Load(); n > 3 {
		t.Errorf("%d builds to know who takes variables from the settings", n)
	}
}

// Plain HTTP is for OCI registries, and only where the source says so.
func TestInsecureRegistries(t *testing.T) {
	helm := func(more string) string {
		return "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: x, namespace: kube-system}\nspec: {" + more + "}\n"
	}
	with := func(flag string) string { return strings.Replace(ociCilium, "spec: {", "spec: {"+flag+", ", 1) }
	for name, tt := range map[string]struct {
		chart, source string
		want          bool
	}{
		"OCIRepository":                       {refTo("cni"), ociCilium, false},
		"OCIRepository, insecure":             {refTo("cni"), with("insecure: true"), true},
		"OCIRepository, secure":               {refTo("cni"), with("insecure: false"), false},
		"OCI HelmRepository":                  {chartNamed("cilium"), helm("type: oci, url: oci://r.example.com/charts"), false},
		"OCI HelmRepository, insecure":        {chartNamed("cilium"), helm("type: oci, insecure: true, url: oci://r.example.com/charts"), true},
		"HelmRepository, where it is nothing": {chartNamed("cilium"), helm("insecure: true, url: https://r.example.com/charts"), false},
	} {
		files := map[string]string{"clusters/lab/ks.yaml": entryPoint(""), "net/r.yaml": releaseOf("cni", tt.chart), "net/s.yaml": tt.source}
		rs, err := List(context.Background(), Options{Root: t.TempDir(), Files: asOverlay(files)})
		if err != nil || len(rs) != 1 || rs[0].Chart.URL == "" || rs[0].Chart.Insecure != tt.want {
			t.Errorf("%s: %+v, %v", name, rs, err)
		}
	}
}
