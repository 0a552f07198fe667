package remediate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// chartsAtHand are the charts that the approximation is held to: the testbed's,
// and of those of other minors whatever the module cache has.
func chartsAtHand(t *testing.T) []*render.Chart {
	t.Helper()
	dirs := []string{testbed.ChartDir(t)}
	for _, v := range []string{"v1.16.5", "v1.17.8", "v1.19.5", "v1.20.2"} {
		if dir, ok := testbed.CachedChart(t, v); ok {
			dirs = append(dirs, dir)
		}
	}
	var out []*render.Chart
	for _, dir := range dirs {
		c, err := render.LoadChart(dir)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c.Config())
	}
	return out
}

// renderedConfig is what the chart makes of values; ok is false when it refuses.
func renderedConfig(t interface{ Fatal(...any) }, c *render.Chart, values map[string]any) (cfg cilium.Config, ok bool) {
	r, err := c.Render(values, render.Options{})
	if err != nil {
		if !render.IsRefusal(err) {
			t.Fatal(err)
		}
		return cilium.Config{}, false
	}
	data, ok := r.ConfigMap("cilium-config")
	if !ok {
		t.Fatal("no cilium-config")
	}
	return cilium.Config{Version: c.AppVersion, Values: data}, true
}

// readKeys are all keys that the model or a rule reads.
func readKeys() []string {
	keys := map[string]bool{}
	for _, f := range cilium.Flags() {
		keys[f.Name] = true
	}
	for _, r := range cilium.Rules() {
		for _, k := range r.Keys {
			keys[k] = true
		}
	}
	delete(keys, "kvstore")              // known by a switch, and named by what it switches on
	delete(keys, "policy-deny-response") // "" and what the chart writes are one to its rule
	return slices.Sorted(maps.Keys(keys))
}

// agrees: the approximation has what is rendered, or knows that it does not know.
// A key that is absent stands for the agent's default.
func agrees(key string, approximated, rendered cilium.Config) bool {
	if _, unknown := approximated.Unknown[key]; unknown {
		return true
	}
	value := func(c cilium.Config) string {
		for _, k := range []string{key, aliases[key]} {
			if v, ok := c.Values[k]; ok {
				return strings.TrimSpace(v)
			}
		}
		f, _ := cilium.FlagByName(key)
		if f.LaterFrom != "" && !semver.MustParse(c.Version).LessThan(semver.MustParse(f.LaterFrom)) {
			return f.Later
		}
		return f.Default
	}
	a, b := value(approximated), value(rendered)
	return a == b || a+b == "false" || a+b == "true"
}

// aliases are two names of one switch, of which releases have one or both.
var aliases = map[string]string{"enable-egress-gateway": "enable-ipv4-egress-gateway", "enable-ipv4-egress-gateway": "enable-egress-gateway"}

func TestApproximatedDefaultsAreTheCharts(t *testing.T) {
	for _, c := range chartsAtHand(t) {
		rendered, _ := renderedConfig(t, c, nil)
		approximated := plan.FromValues(nil, c.AppVersion)
		for _, k := range readKeys() {
			if !agrees(k, approximated, rendered) {
				t.Errorf("%s: %s is %q by default, approximated %q", c.Version, k, rendered.Values[k], approximated.Values[k])
			}
		}
		if len(approximated.Unknown) > 0 {
			t.Errorf("%s: unknown by default: %v", c.Version, approximated.Unknown)
		}
	}
}

// alternatives are values that a person might set.
func alternatives(c *render.Chart, at string) []any {
	known := map[string][]any{
		"ipam.mode": {"kubernetes", "cluster-pool", "multi-pool", "eni", "delegated-plugin"}, "routingMode": {"native", "tunnel"},
		"cni.chainingMode": {"portmap", "aws-cni", "none"}, "cni.chainingTarget": {"azure"}, "upgradeCompatibility": {"1.7", "1.9", "1.12", "1.16"},
		"ipv4NativeRoutingCIDR": {"10.60.0.0/16"}, "ipv6NativeRoutingCIDR": {"fd00::/48"}, "tunnelProtocol": {"geneve"},
		"bpf.masquerade": {true, false}, "bpf.hostLegacyRouting": {true}, "enableIPv4Masquerade": {true, false},
		"kubeProxyReplacement": {true, "true", false, "false"}, "bpf.datapathMode": {"netkit"}, "loadBalancer.mode": {"dsr"},
		"identityAllocationMode": {"kvstore"}, "ipMasqAgent.config.nonMasqueradeCIDRs": {[]any{"10.0.0.0/8"}},
		"encryption.type": {"wireguard"}, "cluster.id": {7.0}, "policyEnforcementMode": {"always"},
		"ipam.operator.clusterPoolIPv6PodCIDRList": {[]any{"fd00:1::/104"}}, "ipam.operator.clusterPoolIPv4PodCIDRList": {[]any{"10.60.0.0/16", "10.61.0.0/16"}},
		"bpf.mapDynamicSizeRatio": {0.005}, "underlayProtocol": {"ipv6"}, "loadBalancer.dsrDispatch": {"geneve"},
	}
	if v, ok := known[at]; ok {
		return v
	}
	v, _ := c.Default(at)
	switch x := v.(type) {
	case bool:
		return []any{!x}
	case float64:
		return []any{x + 1}
	case string, nil:
		return []any{"x"}
	case []any:
		return []any{[]any{"x", "y"}}
	}
	return nil
}

// watched are the values that decide a key which is read, or steer one.
func watched() []string {
	out := []string{
		"alibabacloud.enabled", "azure.enabled", "eni.enabled", "gke.enabled", "aksbyocni.enabled", "cni.chainingMode", "cni.chainingTarget",
		"gatewayAPI.enabled", "ingressController.enabled", "nativeRoutingCIDRFromClusterPool", "upgradeCompatibility",
		"egressGateway.enabled", "encryption.enabled", "encryption.strictMode.enabled", "encryption.strictMode.egress.enabled",
		"encryption.strictMode.ingress.enabled", "enableCiliumEndpointSlice", "externalIPs.enabled", "hostPort.enabled", "k8sNetworkPolicy.enabled",
		"bpf.tproxy", "l2announcements.enabled", "bgpControlPlane.enabled", "localRedirectPolicy", "sctp.enabled", "hubble.enabled", "operator.enabled",
	}
	for _, f := range cilium.Flags() {
		if len(f.Helm) == 1 {
			out = append(out, f.Helm[0])
		}
	}
	return out
}

func nested(at string, v any) map[string]any {
	keys := strings.Split(at, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		v = map[string]any{keys[i]: v}
	}
	return v.(map[string]any)
}

func TestApproximatedValuesAreTheCharts(t *testing.T) {
	for _, c := range chartsAtHand(t) {
		for _, at := range watched() {
			for _, v := range alternatives(c, at) {
				values := nested(at, v)
				rendered, ok := renderedConfig(t, c, values)
				if !ok {
					continue
				}
				approximated := plan.FromValues(values, c.AppVersion)
				for _, k := range readKeys() {
					if !agrees(k, approximated, rendered) {
						t.Errorf("%s: with %s: %v, %s is %q, approximated %q", c.Version, at, v, k, rendered.Values[k], approximated.Values[k])
					}
				}
			}
		}
	}
}

// Whatever the values are, the approximation never claims a refusal that the
// chart's own render does not bring about.
func TestApproximationRefusesOnlyWhatTheRenderDoes(t *testing.T) {
	charts := chartsAtHand(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(charts).Draw(rt, "chart")
		paths := slices.DeleteFunc(watched(), func(at string) bool { return len(alternatives(c, at)) == 0 })
		values := map[string]any{}
		for _, at := range rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 1, 8, rapid.ID[string]).Draw(rt, "paths") {
			v := rapid.SampledFrom(alternatives(c, at)).Draw(rt, at)
			values = intended(values, []plan.Set{{Path: at, Value: v}})
		}
		rendered, ok := renderedConfig(rt, c, values)
		if !ok {
			return
		}
		approximated := plan.FromValues(values, c.AppVersion)
		want := refusedBy(cilium.CheckStart(rendered))
		for _, id := range refusedBy(cilium.CheckStart(approximated)) {
			if !slices.Contains(want, id) {
				rt.Fatalf("%s: %v: the approximation refuses by %s, the render by %v", c.Version, values, id, want)
			}
		}
		a, _ := cilium.Effective(approximated)
		b, _ := cilium.Effective(rendered)
		if len(approximated.Unknown) == 0 && fmt.Sprint(a) != fmt.Sprint(b) {
			rt.Fatalf("%s: %v:\n%+v approximated\n%+v rendered", c.Version, values, a, b)
		}
	})
}

func refusedBy(s cilium.Start) []string {
	var out []string
	for _, r := range slices.Concat(s.Refusals, s.Datapath) {
		out = append(out, r.ID)
	}
	return out
}
