package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// twoClusters share a base; each has an overlay with values of its own.
func twoClusters() tree {
	tr := homeOps().without("clusters/home/flux-system/gotk-sync.yaml", "clusters/home/cilium.yaml", "clusters/home/podinfo.yaml", "talos/talconfig.yaml")
	tr[".remediate.yaml"] = "clusters:\n  clusters/a: {facts: {podCIDRs: [\"fd00:101:224::/60\", \"10.101.224.0/19\"]}}\n  clusters/b: {facts: {podCIDRs: [\"fd00:202:224::/60\", \"10.101.224.0/19\"]}}\nfacts: {podCIDRs: [\"fd00:101:224::/60\", \"10.101.224.0/19\"]}\n"
	for _, c := range []string{"a", "b"} {
		tr["clusters/"+c+"/flux-system/gotk-sync.yaml"] = strings.ReplaceAll(homeOps()["clusters/home/flux-system/gotk-sync.yaml"], "./clusters/home", "./clusters/"+c)
		tr["clusters/"+c+"/cilium.yaml"] = kustomizationOf("cilium", "./overlays/"+c, "")
		tr["overlays/"+c+"/kustomization.yaml"] = `resources: [../../apps/cilium]
patches:
  - path: own.yaml
`
		tr["overlays/"+c+"/own.yaml"] = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  values:
    cluster:
      name: ` + c + "\n"
	}
	return tr
}

func overrides(tr tree, cluster string) tree {
	return tr.and("overlays/"+cluster+"/own.yaml", "    ipv6NativeRoutingCIDR: fd00:101::/36\n")
}

func TestCheckSeveralClusters(t *testing.T) {
	good := twoClusters()
	one, both := overrides(good, "b"), overrides(overrides(good, "a"), "b")
	tests := []struct {
		name       string
		base, head tree
		want       []string
		clusters   []string // of the problems
	}{
		{name: "nothing", base: good, head: good.and("README.md", "x")},
		{name: "the shared base goes wrong for both", base: good, head: good.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48"),
			want: []string{"new critical native-routing-cidr-excludes-pods IPv6", "new critical native-routing-cidr-excludes-pods IPv6"}, clusters: []string{"clusters/a", "clusters/b"}},
		{name: "one overrides it", base: one, head: one.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48"),
			want: []string{"new critical native-routing-cidr-excludes-pods IPv6"}, clusters: []string{"clusters/a"}},
		{name: "heard by one", base: one, head: one.with(t, valuesAt, "fd00:101::/38", "fd00:101::/37")},
		{name: "heard by none", base: both, head: both.with(t, valuesAt, "fd00:101::/38", "fd00:101::/37"),
			want: []string{"new warning value-overridden"}, clusters: []string{"clusters/a"}},
		{name: "heard by none, and the same", base: both, head: both.with(t, valuesAt, "fd00:101::/38", "fd00:101::/36")},
		{name: "a default beside its override", base: good, head: overrides(good.with(t, valuesAt, "fd00:101::/38", "fd00:101::/37"), "a")},
		{name: "one cluster breaks", base: good, head: good.and("overlays/b/own.yaml", "  bad: [\n"), want: []string{"new critical release-does-not-build"}, clusters: []string{"clusters/b"}},
		{name: "one cluster heals", base: good.and("overlays/b/own.yaml", "  bad: [\n"), head: good, want: []string{"repaired release-does-not-build"}},
		{name: "one cluster stays broken", base: good.and("overlays/b/own.yaml", "  bad: [\n"), head: good.and("overlays/b/own.yaml", "  bad: [\n# x\n"),
			want: []string{"left critical release-does-not-build"}, clusters: []string{"clusters/b"}},
		{name: "one cluster goes", base: good, head: good.without("clusters/b/cilium.yaml"), want: []string{"new warning release-removed"}, clusters: []string{"clusters/b"}},
		{name: "a cluster is given up", base: good, head: good.without("clusters/b/cilium.yaml", "clusters/b/flux-system/gotk-sync.yaml"), want: []string{"new info release-removed"}, clusters: []string{"clusters/b"}},
		{name: "a cluster moves", base: good, head: moved(good, "clusters/b/", "clusters/c/")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res := checkOf(t, test.base, test.head)
			if got := verdict(res); !slices.Equal(got, test.want) {
				t.Fatalf("verdict %q, want %q\n%s", got, test.want, dump(res))
			}
			var at []string
			for _, p := range res.Problems {
				at = append(at, p.ClusterPath)
			}
			if !slices.Equal(at, test.clusters) {
				t.Errorf("problems of %q, want %q", at, test.clusters)
			}
		})
	}
}

// moved renames a folder of a tree, and what its files say of it.
func moved(tr tree, from, to string) tree {
	out := tree{}
	for f, text := range tr {
		name := strings.Replace(f, from, to, 1)
		if name != f {
			text = strings.ReplaceAll(text, strings.TrimSuffix(from, "/"), strings.TrimSuffix(to, "/"))
		}
		out[name] = text
	}
	return out
}

// Inline values beside a file: what the file sets and spec.values override.
func TestCheckOverridden(t *testing.T) {
	inline := func(tr tree, text string) tree { return tr.and(releaseAt, "  values:\n    "+text+"\n") }
	base := inline(homeOps(), "ipv6NativeRoutingCIDR: fd00:101::/36")
	secret := inline(homeOps().and(valuesAt, "hubble:\n  tls:\n    server:\n      key: one-one-one\n"), "hubble: {tls: {server: {key: wins-wins-wins}}}")
	tests := []struct {
		name       string
		base, head tree
		want       []string
		at         string
	}{
		{"the file", base, base.with(t, valuesAt, "fd00:101::/38", "fd00:101::/37"), []string{"new warning value-overridden"}, valuesAt + ":12"},
		{"spec.values", base, base.with(t, releaseAt, "fd00:101::/36", "fd00:101::/35"), nil, ""},
		{"the file, to the winning value", base, base.with(t, valuesAt, "fd00:101::/38", "fd00:101::/36"), nil, ""},
		{"the override goes", base, homeOps().with(t, valuesAt, "fd00:101::/38", "fd00:101::/37"), nil, ""},
		{"a new key in the file", base, base.and(valuesAt, "debug:\n  enabled: true\n"), nil, ""},
		{"a key goes from the file", base, base.with(t, valuesAt, "ipv6NativeRoutingCIDR: fd00:101::/38\n", ""), nil, ""},
		{"a secret", secret, secret.with(t, valuesAt, "one-one-one", "two-two-two"), []string{"new warning value-overridden"}, valuesAt + ":22"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res := checkOf(t, test.base, test.head)
			if got := verdict(res); !slices.Equal(got, test.want) {
				t.Fatalf("verdict %q, want %q\n%s", got, test.want, dump(res))
			}
			for _, text := range []string{"one-one-one", "two-two-two", "wins-wins-wins"} {
				if strings.Contains(dump(res), text) {
					t.Errorf("shows %s:\n%s", text, dump(res))
				}
			}
			for _, p := range res.Problems {
				if at := fmt.Sprintf("%s:%d", p.File, p.Line); at != test.at {
					t.Errorf("points at %s, want %s", at, test.at)
				}
			}
		})
	}
}

// A patch that sets a value makes the same value in the HelmRelease idle.
func TestCheckPatched(t *testing.T) {
	tr := homeOps().and(releaseAt, "  values:\n    ipv6NativeRoutingCIDR: fd00:101::/37\n").with(t, "apps/cilium/kustomization.yaml", "resources:", `patches:
  - target: {kind: HelmRelease}
    patch: |
      - {op: replace, path: /spec/values/ipv6NativeRoutingCIDR, value: "fd00:101::/36"}
resources:`)
	head := tr.with(t, releaseAt, "fd00:101::/37", "fd00:101::/35")
	if got, want := verdict(checkOf(t, tr, head)), []string{"new warning value-overridden"}; !slices.Equal(got, want) {
		t.Errorf("verdict %q, want %q", got, want)
	}
	head = tr.with(t, "apps/cilium/kustomization.yaml", "fd00:101::/36", "fd00:101::/35")
	if got := verdict(checkOf(t, tr, head)); got != nil {
		t.Errorf("the patch itself: %q", got)
	}
}

// What only moves or reformats says nothing; what a slip of a name does is found.
func TestCheckRefactorings(t *testing.T) {
	good := homeOps()
	indented := "  values:\n    " + strings.ReplaceAll(strings.TrimSuffix(good[valuesAt], "\n"), "\n", "\n    ") + "\n"
	inline := good.with(t, releaseAt, "  valuesFrom:\n    - {kind: ConfigMap, name: cilium-values}\n", indented)
	variable := good.with(t, valuesAt, "fd00:101::/38", "${NATIVE_ROUTES}").with(t, "clusters/home/cilium.yaml", "  prune: true\n", "  prune: true\n  postBuild: {substitute: {NATIVE_ROUTES: \"fd00:101::/38\"}}\n")
	tests := []struct {
		name       string
		base, head tree
		want       []string
	}{
		{name: "values move inline", base: good, head: inline},
		{name: "values move to a file", base: inline, head: good},
		{name: "a value moves to a variable", base: good, head: variable},
		{name: "the variable's name is misspelt", base: good, head: variable.with(t, "clusters/home/cilium.yaml", "{NATIVE_ROUTES", "{NATIVE_ROUTE"),
			want: []string{"new critical chart-refuses-values"}},
		{name: "the folder is renamed", base: good, head: moved(good, "apps/cilium/", "apps/network/").with(t, "clusters/home/cilium.yaml", "./apps/cilium", "./apps/network")},
		{name: "the folder is renamed, and nobody told Flux", base: good, head: moved(good, "apps/cilium/", "apps/network/"), want: []string{"new critical release-does-not-build"}},
		{name: "the Kustomization is renamed", base: good, head: good.with(t, "clusters/home/cilium.yaml", "name: cilium", "name: network")},
		{name: "the chart comes from a HelmRepository", base: good, head: good.with(t, releaseAt, "  chartRef: {kind: OCIRepository, name: cilium}\n",
			"  chart: {spec: {chart: cilium, version: 1.18.6, sourceRef: {kind: HelmRepository, name: cilium}}}\n")},
		{name: "quotes", base: good, head: good.with(t, valuesAt, "ipv6NativeRoutingCIDR: fd00:101::/38", "\"ipv6NativeRoutingCIDR\": 'fd00:101::/38'")},
		{name: "CRLF", base: good, head: crlf(good, valuesAt)},
		{name: "a broken file of nobody", base: good, head: good.and("docs/draft.yaml", "a: [\n")},
		{name: "a broken file of another application", base: withRoot(good), head: withRoot(good).and("apps/podinfo/deployment.yaml", "a: [\n")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res := checkOf(t, test.base, test.head)
			if got := verdict(res); !slices.Equal(got, test.want) {
				t.Errorf("verdict %q, want %q\n%s", got, test.want, dump(res))
			}
		})
	}
}

func crlf(tr tree, file string) tree {
	out := tr.without()
	out[file] = strings.ReplaceAll(out[file], "\n", "\r\n")
	return out
}

// A variable that two clusters take from one file.
func TestCheckSharedVariable(t *testing.T) {
	tr := homeOps().with(t, valuesAt, "fd00:101::/38", "${NATIVE_ROUTES}").with(t, "clusters/home/cilium.yaml", "  prune: true\n",
		"  prune: true\n  postBuild: {substituteFrom: [{kind: ConfigMap, name: cluster-settings}]}\n")
	tr["clusters/home/cluster-settings.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cluster-settings, namespace: flux-system}\ndata:\n  NATIVE_ROUTES: \"fd00:101::/38\"\n"
	head := tr.with(t, "clusters/home/cluster-settings.yaml", "fd00:101::/38", "fd00:101::/48")
	res := checkOf(t, tr, head)
	if got, want := verdict(res), []string{"new critical native-routing-cidr-excludes-pods IPv6"}; !slices.Equal(got, want) {
		t.Fatalf("verdict %q, want %q\n%s", got, want, dump(res))
	}
	if at := res.Problems[0].File; at != "clusters/home/cluster-settings.yaml" || res.Problems[0].Line != 5 {
		t.Errorf("points at %s:%d", at, res.Problems[0].Line)
	}
	if len(res.Releases) != 1 || len(res.Releases[0].Changed) != 1 || res.Releases[0].Changed[0].To != "fd00:101::/48" {
		t.Errorf("changed %+v", res.Releases)
	}
	if got := verdict(checkOf(t, tr, tr.and("clusters/home/cluster-settings.yaml", "  OTHER: x\n"))); got != nil {
		t.Errorf("another variable: %q", got)
	}
}

// Credentials are never shown, from either side.
func TestCheckMasksSecrets(t *testing.T) {
	tr := homeOps().and(valuesAt, "hubble:\n  tls:\n    server:\n      key: one-one-one\n")
	res := checkOf(t, tr, tr.with(t, valuesAt, "one-one-one", "two-two-two"))
	if s := dump(res); strings.Contains(s, "one-one-one") || strings.Contains(s, "two-two-two") || !strings.Contains(s, notShown) {
		t.Errorf("shows a key:\n%s", s)
	}
}

// The last commit that could be built is what the cluster runs: what was wrong
// there is not introduced by the commit that repairs the file.
func TestCheckLooksBack(t *testing.T) {
	old := homeOps().and(valuesAt, "mtu: 1450\n").with(t, valuesAt, "fd00:101::/38", "fd00:101::/48")
	broken := old.and(valuesAt, "  bad: [\n")
	res := checkStates(t, []tree{old, broken, broken.and("README.md", "x"), old})
	want := []string{"left critical native-routing-cidr-excludes-pods IPv6", "left warning values-key-has-no-effect", "repaired release-does-not-build"}
	if got := verdict(res); !slices.Equal(got, want) || Fails(res) {
		t.Errorf("verdict %q, want %q\n%s", got, want, dump(res))
	}
	res = checkStates(t, []tree{homeOps(), homeOps().and(valuesAt, "  bad: [\n"), old})
	want = []string{"new critical native-routing-cidr-excludes-pods IPv6", "new warning values-key-has-no-effect", "repaired release-does-not-build"}
	if got := verdict(res); !slices.Equal(got, want) {
		t.Errorf("verdict %q, want %q\n%s", got, want, dump(res))
	}
}

// The working tree counts, committed or not.
func TestCheckWorkingTree(t *testing.T) {
	opts := optionsFor(t, []tree{homeOps()}, func(o *CheckOptions) { o.Base, o.Head = "HEAD", "" })
	amend(t, filepath.Join(opts.Repo, valuesAt), "fd00:101::/38", "fd00:101::/48")
	res, err := Check(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdict(res), []string{"new critical native-routing-cidr-excludes-pods IPv6"}; !slices.Equal(got, want) {
		t.Errorf("verdict %q, want %q", got, want)
	}
	if res.Head.Name != "working tree" || res.Head.Commit != "" || res.Base.Commit == "" {
		t.Errorf("states %+v and %+v", res.Base, res.Head)
	}
}

// The same inputs give the same bytes.
func TestCheckIsDeterministic(t *testing.T) {
	good := twoClusters()
	head := good.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48", "routingMode: native", "mtu: 1\nbpf-lb-mode: x\nroutingMode: native")
	opts := optionsFor(t, []tree{good, head})
	var first string
	for range 2 {
		res, err := Check(context.Background(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if s := dump(res); first == "" {
			first = s
		} else if s != first {
			t.Errorf("two runs differ:\n%s\n%s", first, s)
		}
	}
}

// What keeps the answer from being given is an error, not a verdict.
func TestCheckErrors(t *testing.T) {
	good := homeOps()
	tests := []struct {
		name   string
		states []tree
		change func(*CheckOptions)
		want   string
		is     error
	}{
		{"no repository", []tree{good, good}, func(o *CheckOptions) { o.Repo = t.TempDir() }, "", nil},
		{"no such base", []tree{good, good}, func(o *CheckOptions) { o.Base = "nowhere" }, "nowhere", nil},
		{"no such head", []tree{good, good}, func(o *CheckOptions) { o.Head = "nowhere" }, "nowhere", nil},
		{"no Cilium at all", []tree{{"a.yaml": "a: 1\n"}, {"a.yaml": "a: 2\n"}}, nil, "no HelmRelease", source.ErrNoRelease},
		{"a severity that is none", []tree{good, good}, func(o *CheckOptions) { o.FailOn = "info" }, "--fail-on", nil},
		{"a range that is none", []tree{good, good}, func(o *CheckOptions) { o.PodCIDRs = []string{"x"} }, "--pod-cidr", nil},
		{"a snapshot that is none", []tree{good, good}, func(o *CheckOptions) { o.Snapshot = filepath.Join(t.TempDir(), "none") }, "none", nil},
		{"a chart that is none", []tree{good, good}, func(o *CheckOptions) { o.Chart = filepath.Join(t.TempDir(), "none") }, "none", nil},
		{"settings that do not parse", []tree{good, good.and(".remediate.yaml", "facts: {podCIDRs: [x]}\n")}, nil, ".remediate.yaml:1", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := optionsFor(t, test.states)
			if test.change != nil {
				test.change(&opts)
			}
			_, err := Check(context.Background(), opts)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// --fail-on critical lets a warning pass.
func TestCheckFailOn(t *testing.T) {
	good := homeOps()
	res := checkOf(t, good, good.and(valuesAt, "mtu: 1450\n"), func(o *CheckOptions) { o.FailOn = v1alpha1.SeverityCritical })
	if Fails(res) || len(res.Problems) != 1 {
		t.Errorf("fails on a warning: %s", dump(res))
	}
}

// Without a chart nothing is invented: it is said, and what the values alone
// show still counts.
func TestCheckWithoutChart(t *testing.T) {
	offline := func(o *CheckOptions) { o.Chart, o.Offline, o.CacheDir = "", true, "" }
	good := homeOps()
	res := checkOf(t, good.and(valuesAt, "mtu: 1450\n"), good.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48").and(valuesAt, "mtu: 1400\n"), offline)
	if got, want := verdict(res), []string{"new critical native-routing-cidr-excludes-pods IPv6"}; !slices.Equal(got, want) {
		t.Errorf("verdict %q, want %q", got, want)
	}
	if !slices.ContainsFunc(res.Unknown, func(s string) bool { return strings.Contains(s, "chart") }) {
		t.Errorf("unknown %q does not name the chart", res.Unknown)
	}
	if got := verdict(checkOf(t, good, good.and(valuesAt, "debug: {enabled: true}\n"), offline)); got != nil {
		t.Errorf("a harmless change: %q", got)
	}
}

// Where only one state's chart is to be had, both are judged by their values.
func TestCheckOneChart(t *testing.T) {
	good := homeOps().and(valuesAt, "mtu: 1450\n")
	cache := t.TempDir()
	opts := optionsFor(t, []tree{good, good.with(t, "apps/cilium/ocirepository.yaml", "1.18.6", "1.99.0")}, func(o *CheckOptions) { o.Offline, o.CacheDir = true, cache })
	rel, err := source.Find(context.Background(), source.Options{Root: opts.Repo})
	if err != nil {
		t.Fatal(err)
	}
	c := &check{opts: opts, charts: newCharts(), first: &Run{opts: opts.Options}}
	defer c.close()
	opts.Chart, c.opts.Chart, c.first.opts.Chart = "", "", ""
	c.charts.paths[fmt.Sprintf("%+v", withTag(rel.Chart, "1.18.6"))] = chartPath{path: testbed.ChartDir(t)}
	for _, step := range []func(context.Context) error{c.first.openRepository, c.states, c.survey, c.observe, c.judge} {
		if err := step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	res := c.result()
	if got := verdict(res); got != nil {
		t.Errorf("verdict %q\n%s", got, dump(res))
	}
	if len(res.Unknown) == 0 {
		t.Error("nothing says that a chart was missing")
	}
}

func withTag(c source.Chart, version string) source.Chart {
	c.Source, c.Version = "", version
	return c
}

// What Flux can read and this program cannot is no fault of the change.
func TestCheckEncrypted(t *testing.T) {
	good := twoClusters()
	sops := good.with(t, "overlays/b/kustomization.yaml", "patches:", "configMapGenerator:\n  - {name: more, namespace: kube-system, files: [values.yaml=more.yaml], options: {disableNameSuffixHash: true}}\npatches:").
		and("overlays/b/own.yaml", "  valuesFrom:\n    - {kind: ConfigMap, name: more}\n")
	sops["overlays/b/more.yaml"] = "routingMode: ENC[AES256_GCM,data:abc=,iv:abc=,tag:abc=,type:str]\nsops:\n  mac: ENC[AES256_GCM,data:abc=,iv:abc=,tag:abc=,type:str]\n  version: 3.9.0\n"
	res := checkOf(t, sops, sops.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48"))
	if got, want := verdict(res), []string{"new critical native-routing-cidr-excludes-pods IPv6"}; !slices.Equal(got, want) {
		t.Errorf("verdict %q, want %q\n%s", got, want, dump(res))
	}
	if !slices.ContainsFunc(res.Unknown, func(s string) bool { return strings.Contains(s, "clusters/b") }) {
		t.Errorf("unknown %q does not name the encrypted cluster", res.Unknown)
	}
}

// A chart in the repository is that of each state.
func TestCheckLocalChart(t *testing.T) {
	tr := homeOps().with(t, releaseAt, "  chartRef: {kind: OCIRepository, name: cilium}\n",
		"  chart: {spec: {chart: ./charts/cilium, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n")
	tr["charts/cilium/Chart.yaml"] = "apiVersion: v2\nname: cilium\nversion: 1.18.6\nappVersion: 1.18.6\n"
	tr["charts/cilium/values.yaml"] = "routingMode: \"\"\n"
	tr["charts/cilium/templates/cilium-configmap.yaml"] = `apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: {{ .Release.Namespace }}}
data:
  enable-ipv4: "{{ .Values.ipv4.enabled }}"
  enable-ipv6: "{{ .Values.ipv6.enabled }}"
  ipam: {{ .Values.ipam.mode }}
  routing-mode: {{ .Values.routingMode }}
  ipv6-native-routing-cidr: {{ .Values.ipv6NativeRoutingCIDR }}
  enable-ipv6-masquerade: "{{ .Values.enableIPv6Masquerade }}"
`
	head := tr.with(t, "charts/cilium/templates/cilium-configmap.yaml", "{{ .Values.ipv6NativeRoutingCIDR }}", "fd00:101::/48")
	res := checkOf(t, tr, head, func(o *CheckOptions) { o.Chart, o.Offline = "", true })
	got := verdict(res)
	if !slices.Contains(got, "new critical native-routing-cidr-excludes-pods IPv6") || !slices.Contains(got, "new warning values-key-has-no-effect") {
		t.Errorf("verdict %q\n%s", got, dump(res))
	}
}

// A snapshot holds for both states, and what was observed under the one is not
// held against the other.
func TestCheckWithSnapshot(t *testing.T) {
	for _, name := range []string{"talos-ipv6-healthy", "talos-ipv6-ula"} {
		in := layIncident(t, name)
		opts := CheckOptions{Options: in, Base: "HEAD"}
		res, err := Check(context.Background(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if Fails(res) {
			t.Errorf("%s: nothing changed, and it fails: %q", name, verdict(res))
		}
		was, will := "fd00:101::/48", "fd00:101::/38"
		if name == "talos-ipv6-healthy" {
			b, err := os.ReadFile(filepath.Join(in.Repo, valuesFile))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(b), "ipv6NativeRoutingCIDR: ")
			was, will = strings.Fields(rest)[0], "fd00:101::/48"
		}
		amend(t, filepath.Join(in.Repo, valuesFile), "ipv6NativeRoutingCIDR: "+was, "ipv6NativeRoutingCIDR: "+will)
		if res, err = Check(context.Background(), opts); err != nil {
			t.Fatal(err)
		}
		got := verdict(res)
		fault := "new critical native-routing-cidr-excludes-pods IPv6"
		if name == "talos-ipv6-ula" {
			fault = "repaired native-routing-cidr-excludes-pods"
		}
		if !slices.Contains(got, fault) || Fails(res) != (name == "talos-ipv6-healthy") {
			t.Errorf("%s: verdict %q, want %s among them", name, got, fault)
		}
		if f := res.Releases[0].Flows; f == nil || f.Fixed == 0 && f.Broken == 0 {
			t.Errorf("%s: flows %+v", name, f)
		}
	}
}
