package remediate

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed"
)

const soundKustomization = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infra, namespace: flux-system}
spec:
  path: ./infra
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
`

const soundSettings = `apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-settings, namespace: flux-system}
data:
`

const fromSettings = "  postBuild: {substituteFrom: [{kind: ConfigMap, name: cluster-settings}]}\n"

const nativeValues = `routingMode: native
ipv4NativeRoutingCIDR: 10.60.0.0/16
autoDirectNodeRoutes: true
kubeProxyReplacement: true
`

// soundRepo lays a repository with one release of Cilium.
func soundRepo(t *testing.T, version, values string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "clusters/lab/infra.yaml"), soundKustomization)
	write(t, filepath.Join(dir, "infra/cilium.yaml"), `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  interval: 1h
  chart: {spec: {chart: cilium, version: `+version+`, sourceRef: {kind: HelmRepository, name: cilium, namespace: flux-system}}}
  values:
    `+strings.ReplaceAll(strings.TrimSpace(values), "\n", "\n    ")+"\n")
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "x"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return dir
}

// Repositories that are sound, or of which too little is known, with and without
// the chart: nothing is found.
func TestNoFalseAlarm(t *testing.T) {
	settings := func(data string) map[string]string {
		return map[string]string{"clusters/lab/infra.yaml": soundKustomization + fromSettings, "clusters/lab/settings.yaml": soundSettings + data}
	}
	const kubernetes = nativeValues + "ipam: {mode: kubernetes}\n"
	byVariable := strings.Replace(kubernetes, "10.60.0.0/16", "${POD_CIDR}", 1)
	for _, tt := range []struct {
		name, version, values string
		files                 map[string]string
		unknown               string
	}{
		{name: "IPv6 is off in the chart, on in the agent", values: kubernetes},
		{name: "BPF masquerade", values: kubernetes + "bpf: {masquerade: true}\n"},
		{name: "a chart older than the rules", version: "1.14.5", values: "tunnel: disabled\nkubeProxyReplacement: strict\nautoDirectNodeRoutes: true\nipv4NativeRoutingCIDR: 10.60.0.0/16\n",
			unknown: "start-up rules are known from 1.16"},
		{name: "a chart newer than the rules", version: "1.31.0", values: kubernetes + "datapathMode: new\n", unknown: "start-up rules are known from 1.16"},
		{name: "an empty value renders null", values: kubernetes + "bpf: {masquerade: true}\negressMasqueradeInterfaces: \"\"\n"},
		{name: "a storage network", values: byVariable, files: settings("  POD_CIDR: 10.60.0.0/16\n  CEPH_CLUSTER_CIDR: 10.7.8.0/23\n")},
		{name: "a variable that nobody reads", values: byVariable, files: settings("  POD_CIDR: 10.60.0.0/16\n  NETWORK_POD_CIDR: 10.62.0.0/16\n")},
		{name: "two variables that nobody reads", values: kubernetes, files: settings("  A_POD_CIDR: 10.61.0.0/16\n  B_POD_CIDR: 10.62.0.0/16\n"), unknown: "state different ranges"},
		{name: "a variable that is not substituted here", values: kubernetes, files: map[string]string{"clusters/lab/settings.yaml": soundSettings + "  POD_CIDR: 10.62.0.0/16\n"}},
		{name: "a sample of Cluster API", values: kubernetes, files: map[string]string{"bootstrap/sample.yaml": "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata: {name: \"${NAME}\"}\nspec: {clusterNetwork: {pods: {cidrBlocks: [10.70.0.0/16]}}}\n"}},
		{name: "cluster-pool and Talos", values: nativeValues + "ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.60.0.0/16]}}\n",
			files: map[string]string{"talos/talconfig.yaml": "clusterPodNets: [10.244.0.0/16]\n"}},
		{name: "a pool that is an encrypted variable", values: "ipam: {operator: {clusterPoolIPv4PodCIDRList: [\"${POOL}\"]}}\n",
			files: map[string]string{"clusters/lab/infra.yaml": soundKustomization + "  postBuild: {substituteFrom: [{kind: Secret, name: vars}]}\n"}, unknown: "${POOL}"},
		{name: "the chart's own defaults, and null", values: kubernetes + "preflight: {updateStrategy: {type: RollingUpdate}}\nhubble: {relay: {dialTimeout: ~}}\n"},
		{name: "IPsec", values: "encryption: {enabled: true}\n"},
		{name: "ENI", values: "eni: {enabled: true}\n"},
		{name: "GKE", values: "gke: {enabled: true}\nipam: {mode: kubernetes}\nipv4NativeRoutingCIDR: 10.60.0.0/16\n"},
	} {
		version := tt.version
		if version == "" {
			version = "1.18.6"
		}
		dir := soundRepo(t, version, tt.values, tt.files)
		for _, chart := range []string{"", testbed.ChartDir(t)} {
			if chart != "" && tt.version != "" {
				continue
			}
			p := mustPlan(t, Options{Repo: dir, Offline: true, Chart: chart}).Plan
			for _, f := range p.Findings {
				t.Errorf("%s, chart %q: %s: %s", tt.name, filepath.Base(chart), f.Severity, f.Summary)
			}
			if len(p.Candidates) > 0 {
				t.Errorf("%s: proposes %v", tt.name, candidates(&p))
			}
			if said := strings.Join(p.Facts.Unknown, "\n"); !strings.Contains(said, tt.unknown) {
				t.Errorf("%s, chart %q: unknown is %s; want %q", tt.name, filepath.Base(chart), said, tt.unknown)
			}
		}
	}
}

// What is wrong beyond doubt is found, with and without the chart.
func TestTrueAlarm(t *testing.T) {
	for _, tt := range []struct{ name, values, want string }{
		{"no native CIDR", "routingMode: native\nipam: {mode: kubernetes}\n", "agent-refuses-to-start"},
		{"IPv6 without its CIDR", nativeValues + "ipam: {mode: kubernetes}\nipv6: {enabled: true}\n", "agent-refuses-to-start"},
		{"the default pool lies outside", nativeValues, "native-routing-cidr-excludes-pods"},
		{"a pool outside", nativeValues + "ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.61.0.0/16]}}\n", "native-routing-cidr-excludes-pods"},
		{"routes in a tunnel", "autoDirectNodeRoutes: true\n", "agent-refuses-to-start"},
		{"an extra key", "extraConfig: {auto-direct-node-routes: \"true\"}\n", "agent-refuses-to-start"},
	} {
		dir := soundRepo(t, "1.18.6", tt.values, nil)
		for _, chart := range []string{"", testbed.ChartDir(t)} {
			p := mustPlan(t, Options{Repo: dir, Offline: true, Chart: chart}).Plan
			if !slices.ContainsFunc(p.Findings, func(f v1alpha1.Finding) bool {
				return f.Signature == tt.want || f.Signature == "chart-refuses-values"
			}) {
				t.Errorf("%s, chart %q: %d findings, none is %s; unknown: %v", tt.name, filepath.Base(chart), len(p.Findings), tt.want, p.Facts.Unknown)
			}
		}
	}
}

// A healthy change is one line of output: no problem, and nothing repaired.
func TestCheckOfHealthyChangesWithoutTheChart(t *testing.T) {
	dir := soundRepo(t, "1.18.6", nativeValues+"ipam: {mode: kubernetes}\nbpf: {masquerade: true}\n",
		map[string]string{"talos/talconfig.yaml": "clusterPodNets: [10.60.0.0/16]\n", "bootstrap/other.yaml": "clusterPodNets: [10.60.0.0/16]\n"})
	amend(t, filepath.Join(dir, "infra/cilium.yaml"), "kubeProxyReplacement: true", "kubeProxyReplacement: true\n    hubble: {relay: {enabled: true}}")
	res, err := Check(context.Background(), CheckOptions{Options: Options{Repo: dir, Offline: true}, Base: "HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Problems)+len(res.Repairs) > 0 {
		t.Errorf("problems %+v, repairs %+v", res.Problems, res.Repairs)
	}
}
