package remediate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// tree is a state of a small repository: path to content.
type tree map[string]string

const (
	valuesAt  = "apps/cilium/values.yaml"
	releaseAt = "apps/cilium/helmrelease.yaml"
)

// homeOps is a healthy repository with one cluster and the values in a file; the
// pods' ranges stand in talhelper's file.
func homeOps() tree {
	return tree{
		"clusters/home/flux-system/gotk-sync.yaml": `apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "https://example.com/home-ops.git", ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 10m, path: ./clusters/home, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
`,
		"clusters/home/cilium.yaml":       kustomizationOf("cilium", "./apps/cilium", ""),
		"clusters/home/podinfo.yaml":      kustomizationOf("podinfo", "./apps/podinfo", ""),
		"apps/podinfo/kustomization.yaml": "resources: [deployment.yaml]\n",
		"apps/podinfo/deployment.yaml":    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: podinfo, namespace: default}\nspec: {template: {spec: {containers: [{name: podinfo, image: \"podinfo:6.0.0\"}]}}}\n",
		"apps/cilium/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: kube-system
resources: [helmrelease.yaml, ocirepository.yaml]
configMapGenerator:
  - name: cilium-values
    files: [values.yaml=values.yaml]
generatorOptions: {disableNameSuffixHash: true}
`,
		"apps/cilium/ocirepository.yaml": `apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: cilium}
spec: {interval: 1h, url: "oci://quay.io/cilium/charts/cilium", ref: {tag: 1.18.6}}
`,
		releaseAt: `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cilium
spec:
  interval: 1h
  chartRef: {kind: OCIRepository, name: cilium}
  valuesFrom:
    - {kind: ConfigMap, name: cilium-values}
`,
		valuesAt: `ipv4:
  enabled: true
ipv6:
  enabled: true
ipam:
  mode: kubernetes
k8sServiceHost: localhost
k8sServicePort: 7445
routingMode: native
autoDirectNodeRoutes: true
ipv4NativeRoutingCIDR: 10.101.0.0/16
ipv6NativeRoutingCIDR: fd00:101::/38
enableIPv4Masquerade: true
enableIPv6Masquerade: true
bpf:
  masquerade: false
  hostLegacyRouting: true
kubeProxyReplacement: true
`,
		"talos/talconfig.yaml": "clusterName: home\nclusterPodNets: [\"10.101.224.0/19\", \"fd00:101:224::/60\"]\nclusterSvcNets: [\"10.101.96.0/20\", \"fd00:101:96::/108\"]\nnodes: [{hostname: a, ipAddress: \"fd00:101::21\"}]\n",
	}
}

func kustomizationOf(name, path, more string) string {
	return fmt.Sprintf("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s, namespace: flux-system}\nspec:\n  interval: 10m\n  path: %s\n  prune: true\n  sourceRef: {kind: GitRepository, name: flux-system}\n%s", name, path, more)
}

// with is the tree after replacements "OLD → NEW" in a file; an old text that is
// not there fails the test.
func (tr tree) with(t *testing.T, file string, oldNew ...string) tree {
	t.Helper()
	out := maps.Clone(tr)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(out[file], oldNew[i]) {
			t.Fatalf("%s does not hold %q", file, oldNew[i])
		}
		out[file] = strings.Replace(out[file], oldNew[i], oldNew[i+1], 1)
	}
	return out
}

// and is the tree with a file in addition, or with a line appended to one.
func (tr tree) and(file, text string) tree {
	out := maps.Clone(tr)
	out[file] += text
	return out
}

// withRoot lists what the cluster's directory holds, as Flux would by itself.
func withRoot(tr tree) tree {
	return tr.and("clusters/home/kustomization.yaml", "resources: [flux-system/gotk-sync.yaml, podinfo.yaml, cilium.yaml]\n")
}

// public gives the pods addresses that the internet routes back.
func public(t *testing.T, tr tree) tree {
	return tr.with(t, valuesAt, "fd00:101::/38", "2a01:4f8::/32").with(t, "talos/talconfig.yaml", "fd00:101:224::/60", "2a01:4f8:224::/60")
}

func (tr tree) without(files ...string) tree {
	out := maps.Clone(tr)
	for _, f := range files {
		delete(out, f)
	}
	return out
}

// lay commits the states one after the other.
func lay(t *testing.T, states ...tree) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	var steps []repo.Step
	for i, s := range states {
		step := repo.Step{Message: fmt.Sprintf("state %d", i), Date: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), Files: map[string][]byte{}}
		for f, text := range s {
			step.Files[f] = []byte(text)
		}
		steps = append(steps, step)
	}
	if err := repo.Layout(dir, repo.Author{Name: "T", Email: "t@example.com"}, steps); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkOf compares two states.
func checkOf(t *testing.T, base, head tree, change ...func(*CheckOptions)) *v1alpha1.CheckResult {
	t.Helper()
	return checkStates(t, []tree{base, head}, change...)
}

func checkStates(t *testing.T, states []tree, change ...func(*CheckOptions)) *v1alpha1.CheckResult {
	t.Helper()
	res, err := Check(context.Background(), optionsFor(t, states, change...))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func optionsFor(t *testing.T, states []tree, change ...func(*CheckOptions)) CheckOptions {
	t.Helper()
	opts := CheckOptions{Base: "HEAD~1", Head: "HEAD"}
	opts.Repo, opts.Chart = lay(t, states...), testbed.ChartDir(t)
	for _, f := range change {
		f(&opts)
	}
	return opts
}

// verdict is a result in short: what is introduced, left and repaired.
func verdict(res *v1alpha1.CheckResult) []string {
	var out []string
	for _, p := range res.Problems {
		sign := "left"
		if p.Introduced {
			sign = "new"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", sign, p.Severity, p.Signature, p.Family)))
	}
	for _, r := range res.Repairs {
		out = append(out, strings.TrimSpace(fmt.Sprintf("repaired %s %s", r.Signature, r.MaskedBy)))
	}
	slices.Sort(out)
	return out
}

func dump(res *v1alpha1.CheckResult) string {
	b, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestCheck(t *testing.T) {
	good := homeOps()
	wrong := good.with(t, valuesAt, "fd00:101::/38", "fd00:101::/48")
	tests := []struct {
		name       string
		base, head tree
		want       []string
		fails      bool
		file       string // of the first problem, with its line
		says       string // in the first problem's summary or advice
	}{
		{name: "nothing changes", base: good, head: good},
		{name: "another application", base: good, head: good.with(t, "apps/podinfo/deployment.yaml", "6.0.0", "6.0.1")},
		{name: "a comment", base: good, head: good.and(valuesAt, "# a remark\n")},
		{name: "a wrong prefix", base: good, head: wrong, fails: true, want: []string{"new critical native-routing-cidr-excludes-pods IPv6"},
			file: valuesAt + ":12", says: "fd00:101::/38"},
		{name: "the right prefix", base: wrong, head: good, want: []string{"repaired native-routing-cidr-excludes-pods"}},
		{name: "wrong before and after", base: wrong, head: wrong.and("README.md", "hello\n"), want: []string{"left critical native-routing-cidr-excludes-pods IPv6"}},
		{name: "wrong in another way", base: wrong, head: wrong.with(t, valuesAt, "fd00:101::/48", "fd00:101::/50"), want: []string{"left critical native-routing-cidr-excludes-pods IPv6"}},
		{name: "the pods move out of the prefix", base: good, head: good.with(t, "talos/talconfig.yaml", "fd00:101:224::/60", "fd00:999:224::/60"), fails: true,
			want: []string{"new critical native-routing-cidr-is-service-range IPv6"}, file: "talos/talconfig.yaml:2"},
		{name: "the pods move within it", base: good, head: good.with(t, "talos/talconfig.yaml", "fd00:101:224::/60", "fd00:101:300::/60")},
		{name: "a default written out", base: good, head: good.and(valuesAt, "installNoConntrackIptablesRules: false\n")},
		{name: "a misspelt key", base: good, head: good.and(valuesAt, "mtu: 1450\n"), fails: true, want: []string{"new warning values-key-has-no-effect"},
			file: valuesAt + ":19", says: "MTU"},
		{name: "the key spelt well", base: good, head: good.and(valuesAt, "MTU: 1450\n")},
		{name: "a flag as key", base: good, head: good.and(valuesAt, "enable-ipv6-masquerade: false\n"), fails: true, want: []string{"new warning values-key-has-no-effect"},
			says: "flag of the agent; the chart's key is enableIPv6Masquerade"},
		{name: "a misspelt key from before", base: good.and(valuesAt, "mtu: 1450\n"), head: good.and(valuesAt, "mtu: 1450\nMTU: 1450\n"), want: []string{"left warning values-key-has-no-effect"}},
		{name: "a misspelt key is altered", base: good.and(valuesAt, "mtu: 1450\n"), head: good.and(valuesAt, "mtu: 1400\n"), fails: true, want: []string{"new warning values-key-has-no-effect"}},
		{name: "a misspelt key goes", base: good.and(valuesAt, "mtu: 1450\n"), head: good, want: []string{"repaired values-key-has-no-effect"}},
		{name: "the agent refuses", base: good.with(t, valuesAt, "masquerade: false", "masquerade: true"), fails: true,
			head: good.with(t, valuesAt, "masquerade: false", "masquerade: true", "enableIPv4Masquerade: true", "enableIPv4Masquerade: false", "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"),
			want: []string{"new critical agent-refuses-to-start"}},
		{name: "the chart refuses", base: good, head: good.and(valuesAt, "tunnelProtocol: [vxlan]\n"), fails: true, want: []string{"new critical chart-refuses-values"}, file: valuesAt + ":19"},
		{name: "the chart refused before", base: good.and(valuesAt, "tunnelProtocol: [vxlan]\n"), head: good, want: []string{"repaired chart-refuses-values"}},
		{name: "the chart refused, and a misspelt key was there", base: good.and(valuesAt, "mtu: 1450\ntunnelProtocol: [vxlan]\n"), head: good.and(valuesAt, "mtu: 1450\n"),
			want: []string{"left warning values-key-has-no-effect", "repaired chart-refuses-values"}},
		{name: "masquerade off hides it", base: wrong, head: wrong.with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"), fails: true,
			want: []string{"left warning native-routing-cidr-excludes-pods IPv6", "new warning fault-only-masked IPv6", "repaired native-routing-cidr-excludes-pods enableIPv6Masquerade: false"},
			file: valuesAt + ":14", says: "fd00:101::/38"},
		{name: "no policies hide it", base: wrong, head: wrong.and(valuesAt, "policyEnforcementMode: never\n"), fails: true,
			want: []string{"left warning native-routing-cidr-excludes-pods IPv6", "new warning fault-only-masked IPv6", "repaired native-routing-cidr-excludes-pods policyEnforcementMode: never"}},
		{name: "no IPv6 hides it", base: wrong, head: wrong.with(t, valuesAt, "ipv6:\n  enabled: true", "ipv6:\n  enabled: false"), fails: true,
			want: []string{"new warning fault-only-masked IPv6", "repaired native-routing-cidr-excludes-pods ipv6.enabled: false"}},
		{name: "the cure with masquerade off", base: wrong, head: good.with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"),
			want: []string{"new critical change-breaks-flows", "repaired native-routing-cidr-excludes-pods"}, fails: true},
		{name: "the mask comes off", base: wrong.with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"), head: wrong, fails: true,
			want: []string{"new critical native-routing-cidr-excludes-pods IPv6"}},
		{name: "the same prefix for the agent's list", base: wrong, fails: true,
			head: wrong.with(t, valuesAt, "masquerade: false", "masquerade: true").and(valuesAt, "ipMasqAgent:\n  enabled: true\n  config:\n    nonMasqueradeCIDRs: [\"fd00:101::/48\", \"10.101.0.0/16\"]\n"),
			want: []string{"new critical ip-masq-agent-excludes-pods IPv6"}},
		{name: "policies come back", base: wrong.and(valuesAt, "policyEnforcementMode: never\n"), head: wrong, fails: true, want: []string{"new critical native-routing-cidr-excludes-pods IPv6"}},
		{name: "policies come back on sound values", base: good.and(valuesAt, "policyEnforcementMode: never\n"), head: good},
		{name: "nothing is admitted without a policy", base: good, head: good.and(valuesAt, "policyEnforcementMode: always\n"), fails: true, want: []string{"new critical change-breaks-flows"}},
		{name: "masquerade off where pods are public", base: public(t, good), head: public(t, good).with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false")},
		{name: "masquerade off where pods are private", base: good, head: good.with(t, valuesAt, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false"), fails: true,
			want: []string{"new critical change-breaks-flows"}, file: valuesAt + ":14"},
		{name: "tunnels", base: wrong, head: wrong.with(t, valuesAt, "routingMode: native\nautoDirectNodeRoutes: true", "routingMode: tunnel"), want: []string{"repaired native-routing-cidr-excludes-pods"}},
		{name: "unparsable values", base: good, head: good.and(valuesAt, "  bad: [\n"), fails: true, want: []string{"new critical release-does-not-build"}},
		{name: "an unparsable release", base: good, head: good.and(releaseAt, "  bad: [\n"), fails: true, want: []string{"new critical release-does-not-build"}, file: releaseAt + ":10"},
		{name: "an unparsable Kustomization", base: good, head: good.and("clusters/home/cilium.yaml", "bad: [\n"), fails: true, want: []string{"new critical release-does-not-build"}},
		{name: "a missing manifest above", base: withRoot(good), head: withRoot(good).without("clusters/home/podinfo.yaml"), fails: true, want: []string{"new critical release-does-not-build"}},
		{name: "a manifest goes above", base: withRoot(good), head: withRoot(good).with(t, "clusters/home/kustomization.yaml", "podinfo.yaml, ", "").without("clusters/home/podinfo.yaml")},
		{name: "a missing file", base: good, head: good.without(valuesAt), fails: true, want: []string{"new critical release-does-not-build"}},
		{name: "unparsable before and after", base: good.and(valuesAt, "  bad: [\n"), head: good.and(valuesAt, "  bad: [\n# still\n"), want: []string{"left critical release-does-not-build"}},
		{name: "the release goes", base: good, head: good.without("clusters/home/cilium.yaml"), fails: true, want: []string{"new warning release-removed"}},
		{name: "all of it goes", base: good, head: good.without("clusters/home/cilium.yaml", releaseAt, "apps/cilium/kustomization.yaml", "apps/cilium/ocirepository.yaml", valuesAt), fails: true,
			want: []string{"new warning release-removed"}},
		{name: "a new release", base: good.without("clusters/home/cilium.yaml", releaseAt, "apps/cilium/kustomization.yaml"), head: wrong, fails: true,
			want: []string{"new critical native-routing-cidr-excludes-pods IPv6"}},
		{name: "a sound new release", base: good.without("clusters/home/cilium.yaml", releaseAt, "apps/cilium/kustomization.yaml"), head: good},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res := checkOf(t, test.base, test.head)
			if got := verdict(res); !slices.Equal(got, test.want) {
				t.Fatalf("verdict %q, want %q\n%s", got, test.want, dump(res))
			}
			if Fails(res) != test.fails {
				t.Errorf("fails %t, want %t", Fails(res), test.fails)
			}
			if len(res.Problems) == 0 {
				return
			}
			p := res.Problems[0]
			if at := fmt.Sprintf("%s:%d", p.File, p.Line); test.file != "" && at != test.file {
				t.Errorf("points at %s, want %s\n%s", at, test.file, dump(res))
			}
			if !strings.Contains(p.Summary+" "+p.Advice, test.says) {
				t.Errorf("summary %q, advice %q: want %q", p.Summary, p.Advice, test.says)
			}
		})
	}
}
