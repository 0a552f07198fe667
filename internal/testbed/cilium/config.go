//go:build linux

package cilium

import (
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// Render is the configuration that Cilium's own chart makes of Helm values, given as
// YAML, each document laid over the ones before: what a cluster's cilium-config and
// ip-masq-agent ConfigMaps would hold.
func Render(t testing.TB, values ...string) cilium.Config {
	t.Helper()
	return RenderRelease(t, "", values...)
}

// RenderRelease is [Render] with the chart of another release, one of
// [testbed.CiliumReleases].
func RenderRelease(t testing.TB, release string, values ...string) cilium.Config {
	t.Helper()
	source, version := testbed.CiliumSource(t, release)
	chart, err := render.LoadChart(filepath.Join(source, "install", "kubernetes", "cilium"))
	must(t, err)
	all := map[string]any{}
	for _, text := range values {
		var more map[string]any
		if err := yaml.Unmarshal([]byte(text), &more); err != nil {
			t.Fatalf("the values are no YAML: %v", err)
		}
		merge(all, more)
	}
	out, err := chart.Config().Render(all, render.Options{})
	if err != nil {
		t.Fatalf("the chart refuses the values: %v", err)
	}
	data, ok := out.ConfigMap("cilium-config")
	if !ok {
		t.Fatal("the chart renders no cilium-config")
	}
	cfg := cilium.Config{Version: version, Values: data, Source: "the chart"}
	if masq, ok := out.ConfigMap("ip-masq-agent"); ok {
		text := masq["config"]
		cfg.MasqAgent = &text
	}
	return cfg
}

func merge(into, from map[string]any) {
	for key, value := range from {
		under, ok := into[key].(map[string]any)
		over, both := value.(map[string]any)
		if ok && both {
			merge(under, over)
			continue
		}
		into[key] = value
	}
}

// setting is a key of the agents' configuration that a cluster out of network
// namespaces needs to be otherwise than the chart says.
type setting struct {
	key string
	// value is empty to take the key away; keep leaves a value that is there.
	value string
	keep  bool
	why   string
}

func (s setting) lay(values map[string]string) {
	_, there := values[s.key]
	switch {
	case s.keep && there:
	case s.value == "":
		delete(values, s.key)
	default:
		values[s.key] = s.value
	}
}

// plumbing is laid over every configuration. Nothing in it changes which packets are
// routed, translated, masqueraded or dropped, but for the packets that health checks
// and proxies would send and receive themselves.
func plumbing(kubeconfig string) []setting {
	return []setting{
		{key: "k8s-kubeconfig-path", value: kubeconfig, why: "no service account is mounted"},
		{key: "ipam", value: "kubernetes", why: "no operator hands out pod CIDRs; Node objects have them"},
		{key: "devices", value: "eth0", keep: true, why: "the nodes' only uplink"},
		{key: "lib-dir", value: libraryDir, why: "a writable copy of the sources of the BPF programs"},
		{key: "cgroup-root", value: groupRoot, why: "a node has a cgroup namespace, not a host's mounts"},
		{key: "procfs", value: "/proc", why: "the agent is in no container"},
		{key: "ip-masq-agent-config-path", value: masqFile, why: "the ConfigMap is no mount"},
		{key: "write-cni-conf-when-ready", why: "no kubelet reads it"},
		{key: "cni-exclusive", value: "false", why: "there is no folder of CNI configurations"},
		{key: "enable-hubble", value: "false", why: "the monitor is read instead, and there are no certificates"},
		{key: "enable-l7-proxy", value: "false", why: "no Envoy runs"},
		{key: "external-envoy-proxy", value: "false", why: "no Envoy runs"},
		{key: "enable-health-checking", value: "false", why: "its packets are not the test's"},
		{key: "enable-endpoint-health-checking", value: "false", why: "its endpoint is no pod of the test"},
		{key: "enable-bgp-control-plane", value: "false", why: "there is no peer"},
		{key: "enable-policy-secrets-sync", value: "false", why: "no operator copies secrets"},
		{key: "monitor-aggregation", value: "none", why: "each packet shall be seen"},
	}
}

// logValue is what an expression finds in a line of the agent's log, without quotes.
func logValue(re *regexp.Regexp, line string) string {
	m := re.FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	if plain, err := strconv.Unquote(m[1]); err == nil {
		return plain
	}
	return m[1]
}
