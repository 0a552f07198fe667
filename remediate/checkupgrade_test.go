package remediate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/signature"
)

// withChart keeps a small chart in the repository.
func withChart(t *testing.T, version, template string) tree {
	tr := homeOps().with(t, releaseAt, "  chartRef: {kind: OCIRepository, name: cilium}\n",
		"  chart: {spec: {chart: ./charts/cilium, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n")
	tr["charts/cilium/Chart.yaml"] = fmt.Sprintf("apiVersion: v2\nname: cilium\nversion: %[1]s\nappVersion: %[1]s\n", version)
	tr["charts/cilium/values.yaml"] = "legacy:\n  mode: auto\n"
	tr["charts/cilium/templates/cilium-configmap.yaml"] = `apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: {{ .Release.Namespace }}}
data:
  enable-ipv4: "{{ .Values.ipv4.enabled }}"
  enable-ipv6: "{{ .Values.ipv6.enabled }}"
  ipam: {{ .Values.ipam.mode }}
  routing-mode: {{ .Values.routingMode }}
  ipv4-native-routing-cidr: {{ .Values.ipv4NativeRoutingCIDR }}
  ipv6-native-routing-cidr: {{ .Values.ipv6NativeRoutingCIDR }}
  auto-direct-node-routes: "{{ .Values.autoDirectNodeRoutes }}"
` + template
	return tr
}

// A new version of the chart is judged with its own templates. Keys that it no
// longer reads matter only where somebody set them to something.
func TestCheckUpgrade(t *testing.T) {
	const reads = "  legacy-mode: {{ .Values.legacy.mode }}\n"
	refuses := "{{ if .Values.kubeProxyReplacement }}{{ fail \".Values.kubeProxyReplacement and .Values.nothing exclude each other\" }}{{ end }}\n"
	tests := []struct {
		name, values, template, schema string
		want                           []string
		at                             string
	}{
		{name: "nothing else changes", template: reads},
		{name: "a copy of the chart's own value", values: "legacy: {mode: auto}\n"},
		{name: "a value that somebody chose", values: "legacy: {mode: strict}\n", want: []string{signature.ValuesKeyHasNoEffect}, at: valuesAt + ":19"},
		{name: "the new chart refuses a value", template: reads + refuses, want: []string{signature.ChartRefusesValues}, at: valuesAt + ":18"},
		{name: "the new schema does", template: reads, schema: `{"properties": {"bpf": {"properties": {"masquerade": {"type": "string"}}}}}`,
			want: []string{signature.ChartRefusesValues}, at: valuesAt + ":16"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			base, head := withChart(t, "1.18.6", reads).and(valuesAt, test.values), withChart(t, "1.18.7", test.template).and(valuesAt, test.values)
			if test.template == "" {
				head["charts/cilium/values.yaml"] = "{}\n"
			}
			if test.schema != "" {
				head["charts/cilium/values.schema.json"] = test.schema
			}
			res := checkOf(t, base, head, func(o *CheckOptions) { o.Chart, o.Offline = "", true })
			var got []string
			at := ""
			for _, p := range res.Problems {
				if p.Introduced {
					got = append(got, p.Signature)
					at = fmt.Sprintf("%s:%d", p.File, p.Line)
				}
			}
			if !slices.Equal(got, test.want) || at != test.at {
				t.Errorf("introduces %q at %s, want %q at %s\n%s", got, at, test.want, test.at, dump(res))
			}
			if v := res.Releases[0].Version; v != "1.18.7" {
				t.Errorf("judged with chart %q", v)
			}
		})
	}
}

// A path that Flux no longer finds prunes nothing: that is said, and does not fail.
func TestCheckClusterGivenUp(t *testing.T) {
	good := twoClusters()
	res := checkOf(t, good, good.without("clusters/b/cilium.yaml", "clusters/b/flux-system/gotk-sync.yaml"))
	if Fails(res) || len(res.Problems) != 1 || !strings.Contains(res.Problems[0].Summary, "nothing is left of cluster clusters/b") {
		t.Errorf("%s", dump(res))
	}
}

// A state compared with itself says so.
func TestCheckSame(t *testing.T) {
	good := homeOps()
	if res := checkOf(t, good, good, func(o *CheckOptions) { o.Base = "HEAD" }); !res.Same {
		t.Errorf("HEAD against HEAD: %s", dump(res))
	}
	if res := checkOf(t, good, good.and("README.md", "hello\n")); res.Same {
		t.Errorf("another file: %s", dump(res))
	}
}
