package render

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/engine"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/internal/testbed"
)

var load = sync.OnceValues(func() (*Chart, error) { return LoadChart(os.Getenv("REMEDIATE_CHART")) })

// cilium is the real chart.
func cilium(t testing.TB) *Chart {
	t.Helper()
	if os.Getenv("REMEDIATE_CHART") == "" {
		if err := os.Setenv("REMEDIATE_CHART", testbed.ChartDir(t)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func values(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := sigsyaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func incident(t testing.TB) map[string]any {
	t.Helper()
	src, err := os.ReadFile(filepath.FromSlash("../../examples/incidents/talos-ipv6-ula/repo/kubernetes/apps/networking/cilium/app/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return values(t, string(src))
}

func TestCiliumConfig(t *testing.T) {
	c := cilium(t)
	if c.Name != "cilium" || c.Version == "" || c.AppVersion == "" {
		t.Fatalf("chart is %q %q %q", c.Name, c.Version, c.AppVersion)
	}
	full, err := c.Render(incident(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	config, ok := full.ConfigMap("cilium-config")
	if !ok {
		t.Fatal("no cilium-config")
	}
	for k, want := range map[string]string{
		"ipv6-native-routing-cidr": "fd00:101::/48", "routing-mode": "native", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "", "mtu": "",
	} {
		if config[k] != want && !(k == "enable-bpf-masquerade" && config[k] == "false") {
			t.Errorf("%s is %q, want %q", k, config[k], want)
		}
	}
	fast, err := c.Config().Render(incident(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := fast.ConfigMap("cilium-config")
	if len(got) != len(config) || got["ipv6-native-routing-cidr"] != config["ipv6-native-routing-cidr"] {
		t.Errorf("the short render gives another cilium-config")
	}
	if _, ok := fast.find("DaemonSet", "cilium"); ok {
		t.Error("the short render renders the DaemonSet too")
	}
	if _, ok := full.ConfigMap("ip-masq-agent"); ok {
		t.Error("ip-masq-agent is rendered though it is off")
	}
}

func TestCiliumMasqAgent(t *testing.T) {
	v := incident(t)
	v["bpf"] = map[string]any{"masquerade": true}
	v["ipMasqAgent"] = map[string]any{"enabled": true, "config": map[string]any{"nonMasqueradeCIDRs": []any{"fd00:101::/48"}}}
	r, err := cilium(t).Config().Render(v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, ok := r.ConfigMap("ip-masq-agent")
	if !ok || !strings.Contains(data["config"], "fd00:101::/48") {
		t.Errorf("ip-masq-agent is %v, %v", data, ok)
	}
}

func TestCiliumDeterministic(t *testing.T) {
	c, v := cilium(t), incident(t)
	first, err := c.Render(v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := c.Render(v, Options{})
			if err != nil || !r.Equal(first) {
				t.Errorf("a second render differs: %v", err)
			}
		}()
	}
	wg.Wait()
	for k, m := range first.Manifests() {
		if strings.HasPrefix(k, "Secret/") || strings.Contains(m, "placeholder key") {
			t.Errorf("%s is handed out", k)
		}
	}
}

func TestCiliumRollout(t *testing.T) {
	c := cilium(t)
	for _, test := range []struct {
		name   string
		set    map[string]any
		change string
		diff   []string
		rolled []string
	}{
		{name: "the ConfigMap alone", change: "ipv6NativeRoutingCIDR", diff: []string{"ConfigMap/kube-system/cilium-config"}},
		{name: "with rollOutCiliumPods", set: map[string]any{"rollOutCiliumPods": true}, change: "ipv6NativeRoutingCIDR",
			diff: []string{"ConfigMap/kube-system/cilium-config", "DaemonSet/kube-system/cilium"}, rolled: []string{"DaemonSet/cilium"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := incident(t), incident(t)
			for k, v := range test.set {
				before[k], after[k] = v, v
			}
			after[test.change] = "fd00:101::/38"
			a, err := c.Render(before, Options{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := c.Render(after, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Diff(b); !slices.Equal(got, test.diff) {
				t.Errorf("differs in %v, want %v", got, test.diff)
			}
			if got := a.RestartedBy(b); !slices.Equal(got, test.rolled) {
				t.Errorf("restarts %v, want %v", got, test.rolled)
			}
		})
	}
}

func TestCiliumRefuses(t *testing.T) {
	var fail *FailError
	_, err := cilium(t).Config().Render(values(t, "tunnel: disabled"), Options{})
	if !errors.As(err, &fail) || !strings.Contains(fail.Message, "tunnel") || !strings.Contains(fail.Template, "validate.yaml") {
		t.Errorf("tunnel: %v", err)
	}
	var schema *SchemaError
	_, err = cilium(t).Render(values(t, "ipv6: {enabled: [1]}"), Options{})
	if !errors.As(err, &schema) || len(schema.Problems) == 0 || !strings.Contains(err.Error(), "ipv6") {
		t.Errorf("schema: %v", err)
	}
	_, err = cilium(t).Render(nil, Options{KubeVersion: "1.16.0"})
	if !errors.As(err, &fail) || !strings.Contains(err.Error(), "1.16") {
		t.Errorf("kubeVersion: %v", err)
	}
	if !IsRefusal(err) {
		t.Error("a refusal is not recognised")
	}
	_, err = cilium(t).Render(nil, Options{KubeVersion: "x"})
	if err == nil || IsRefusal(err) {
		t.Errorf("a version that does not parse: %v", err)
	}
}

// Each row is a set of values and the keys that no template reads.
func TestCiliumNoEffect(t *testing.T) {
	for _, test := range []struct {
		name, values string
		want         map[string]string
	}{
		{"known mistakes", `
mtu: 1450
hostLegacyRouting: true
bpf: {lbMode: snat, masquerade: true, hostRouting: true}
nodePort: {mode: dsr}
nativeRoutingCIDR: 10.0.0.0/8
bgp: {enabled: true}
installIptablesRules: false`, map[string]string{
			"mtu": "MTU", "hostLegacyRouting": "bpf.hostLegacyRouting", "bpf.lbMode": "loadBalancer.mode", "bpf.hostRouting": "bpf.hostLegacyRouting",
			"nodePort.mode": "loadBalancer.mode", "nativeRoutingCIDR": "ipv4NativeRoutingCIDR", "bgp.enabled": "bgpControlPlane.enabled", "installIptablesRules": ""}},
		{"misspelt and flags", `
ipv6nativeRoutingCidr: fd00::/8
enable-ipv6-masquerade: false
ipMasqAgent: {nonMasqueradeCIDRs: [fd00::/8]}
gatewayAPI: {serviceLabels: {a: b}}
kubeProxyReplacment: true`, map[string]string{
			"ipv6nativeRoutingCidr": "ipv6NativeRoutingCIDR", "enable-ipv6-masquerade": "enableIPv6Masquerade",
			"ipMasqAgent.nonMasqueradeCIDRs": "", "gatewayAPI.serviceLabels.a": "", "kubeProxyReplacment": "kubeProxyReplacement"}},
		{"the chart's own defaults, and nulls", `
preflight: {updateStrategy: {type: RollingUpdate}}
hubble: {relay: {dialTimeout: ~}}
tunnel: ~
unheardOf: ~`, map[string]string{}},
		{"near and far", `
bpf: {hostLegacyRoutng: true, masqurade: true, autoDirectNodeRoutes: true}
hubble: {relay: {logOptions: {format: json}}}
operator: {hostNamespaceOnly: true}
podOptions: {priorityClassName: high}
ipam: {mood: kubernetes}`, map[string]string{
			"bpf.hostLegacyRoutng": "bpf.hostLegacyRouting", "bpf.masqurade": "bpf.masquerade", "bpf.autoDirectNodeRoutes": "autoDirectNodeRoutes",
			"hubble.relay.logOptions.format": "", "operator.hostNamespaceOnly": "", "podOptions.priorityClassName": "", "ipam.mood": ""}},
		{"read though not in values.yaml", `
devices: eth0
nodePort: {directRoutingDevice: eth0}
loadBalancer: {algorithm: maglev}
extraConfig: {mtu: "1450", anything: "x"}
podAnnotations: {a: b}
ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [fd00::/8]}}
bpf: {masquerade: true}
tolerations: [{operator: Exists}]
operator: {tolerations: [{operator: Exists}], resources: {limits: {cpu: 1}}}
hubble: {ui: {ingress: {enabled: false, annotations: {x: y}}}, relay: {enabled: false}, metrics: {enabled: [dns]}}
prometheus: {enabled: true, serviceMonitor: {enabled: true, labels: {x: y}}}
cni: {exclusive: false, binPath: /opt/cni/bin}
ipam: {mode: cluster-pool, operator: {clusterPoolIPv4PodCIDRList: [10.0.0.0/8]}}
socketLB: {hostNamespaceOnly: true}
`, map[string]string{}},
		{"no values", ``, map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := cilium(t).NoEffect(context.Background(), values(t, test.values), nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			for _, k := range got {
				found[k.Path] = k.Suggestion
			}
			for p, s := range test.want {
				if g, ok := found[p]; !ok || g != s {
					t.Errorf("%s: found %v, suggests %q, want %q", p, ok, g, s)
				}
			}
			for p := range found {
				if _, ok := test.want[p]; !ok {
					t.Errorf("%s is called dead", p)
				}
			}
		})
	}
}

func TestCiliumIncidentKeys(t *testing.T) {
	got, err := cilium(t).NoEffect(context.Background(), incident(t), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, k := range got {
		paths = append(paths, k.Path)
	}
	if !slices.Equal(paths, []string{"bpf.lbMode", "mtu"}) {
		t.Errorf("dead keys %v, want bpf.lbMode and mtu", paths)
	}
}

// The chart's own defaults are the largest set of keys that are read.
func TestCiliumDefaultsAreRead(t *testing.T) {
	c := cilium(t)
	got, err := c.NoEffect(context.Background(), c.chart.Values, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// These five are leftovers of 1.18.6: grep finds them in no template.
	leftover := []string{
		"clustermesh.apiserver.tls.client.cert", "clustermesh.apiserver.tls.client.key", "preflight.updateStrategy.type",
		"prometheus.serviceMonitor.scrapeTimeout", "securityContext.allowPrivilegeEscalation",
	}
	for _, k := range got {
		if !slices.Contains(leftover, k.Path) {
			t.Errorf("the chart's own key %s is called dead", k.Path)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	c, v := cilium(b), incident(b)
	for b.Loop() {
		if _, err := c.Render(v, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRenderConfig(b *testing.B) {
	c, v := cilium(b).Config(), incident(b)
	for b.Loop() {
		r, err := c.Render(v, Options{SkipSchema: true})
		if err != nil {
			b.Fatal(err)
		}
		r.ConfigMap("cilium-config")
	}
}

func BenchmarkNoEffect(b *testing.B) {
	c, v := cilium(b), incident(b)
	for b.Loop() {
		if _, err := c.NoEffect(context.Background(), v, nil, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := testbed.ChartDir(b)
	for b.Loop() {
		if _, err := LoadChart(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHelmRender is the yardstick: the same chart and values with the
// engine as it is, certificates included.
func BenchmarkHelmRender(b *testing.B) {
	c, v := cilium(b), incident(b)
	for b.Loop() {
		top, err := util.ToRenderValues(c.chart, v, common.ReleaseOptions{Name: "cilium", Namespace: "kube-system"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := engine.Render(c.chart, top); err != nil {
			b.Fatal(err)
		}
	}
}
