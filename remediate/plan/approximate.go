package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// chartDefaults are the keys of cilium-config in which the chart's defaults
// differ from the agent's. They are the same in charts 1.16 to 1.20; a test holds
// them to the charts.
var chartDefaults = map[string]string{
	"dnsproxy-enable-transparent-mode": "true",
	"enable-ipv6":                      "false",
	"identity-allocation-mode":         "crd",
	"ipam":                             "cluster-pool",
	"monitor-aggregation":              "medium",
}

// defaultPools are rendered for a family that is on, in IPAM mode cluster-pool.
var defaultPools = map[string][2]string{
	"4": {"10.0.0.0/8", "24"},
	"6": {"fd00::/104", "120"},
}

// ownKeys are switches with one key of the same meaning that the model's table of
// flags does not name a value for.
var ownKeys = map[string]string{
	"bpf.tproxy":                "enable-bpf-tproxy",
	"egressGateway.enabled":     "enable-ipv4-egress-gateway",
	"enableCiliumEndpointSlice": "enable-cilium-endpoint-slice",
	"externalIPs.enabled":       "enable-external-ips",
	"hostPort.enabled":          "enable-host-port",
	"k8sNetworkPolicy.enabled":  "enable-k8s-networkpolicy",
	"l2announcements.enabled":   "enable-l2-announcements",
}

// steering are values that steer keys of other values, in ways that only the
// chart resolves.
var steering = map[string][]string{
	"aksbyocni.enabled":                 cloudKeys,
	"alibabacloud.enabled":              cloudKeys,
	"azure.enabled":                     cloudKeys,
	"eni.enabled":                       cloudKeys,
	"gke.enabled":                       cloudKeys,
	"cni.chainingMode":                  chainingKeys,
	"cni.chainingTarget":                chainingKeys,
	"encryption.ipsec.encryptedOverlay": {"enable-ipsec-encrypted-overlay"},
	"encryption.strictMode.allowRemoteNodeIdentities": strictKeys,
	"encryption.strictMode.cidr":                      strictKeys,
	"encryption.strictMode.egress.enabled":            strictKeys,
	"encryption.strictMode.enabled":                   strictKeys,
	"encryption.strictMode.ingress.enabled":           strictKeys,
	"gatewayAPI.enabled":                              {"bpf-lb-mode-annotation", "bpf-lb-sock-hostns-only", "enable-envoy-config"},
	"hostServices":                                    {"bpf-lb-sock", "bpf-lb-sock-hostns-only"},
	"ingressController.enabled":                       {"enable-envoy-config"},
	"nativeRoutingCIDRFromClusterPool":                {"ipv4-native-routing-cidr"},
	"tunnel":                                          {"routing-mode", "tunnel-protocol"},
	"upgradeCompatibility":                            {"bpf-map-dynamic-size-ratio", "dnsproxy-enable-transparent-mode", "enable-bpf-masquerade"},
}

// bounds are values that only some charts of 1.16 to 1.20 read: those from the
// first minor on, and before the second.
var bounds = map[string][2]string{
	"bpf.distributedLRU.enabled":                {"1.17", ""},
	"bandwidthManager.bbrHostNamespaceOnly":     {"1.18", ""},
	"bpf.lbModeAnnotation":                      {"1.17", ""},
	"externalIPs.enabled":                       {"", "1.17"},
	"hostPort.enabled":                          {"", "1.18"},
	"clustermesh.policyDefaultLocalCluster":     {"1.18", ""},
	"nodePort.enabled":                          {"", "1.19"},
	"pmtuDiscovery.packetizationLayerPMTUDMode": {"1.19", ""},
	"tunnelSourcePortRange":                     {"1.17", ""},
	"underlayProtocol":                          {"1.18", ""},
}

// switched are values that are rendered only where a switch is on.
var switched = map[string]string{
	"bandwidthManager.bbr":                  "bandwidthManager.enabled",
	"bandwidthManager.bbrHostNamespaceOnly": "bandwidthManager.enabled",
	"encryption.nodeEncryption":             "encryption.enabled",
}

var (
	cloudKeys = []string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv4-mask-size", "cluster-pool-ipv6-cidr", "cluster-pool-ipv6-mask-size",
		"enable-endpoint-routes", "enable-ipv4-masquerade", "install-no-conntrack-iptables-rules", "ipam", "routing-mode", "tunnel-protocol"}
	chainingKeys = []string{"dnsproxy-enable-transparent-mode", "enable-endpoint-health-checking", "enable-host-legacy-routing", "enable-local-node-route", "install-no-conntrack-iptables-rules"}
	strictKeys   = []string{"enable-encryption-strict-mode", "enable-encryption-strict-mode-egress", "enable-encryption-strict-mode-ingress",
		"encryption-strict-egress-cidr", "encryption-strict-mode-cidr"}
)

// FromValues is the configuration that values stand for, without a chart: what
// they set, over the chart's defaults. What only the chart resolves is in
// [cilium.Config.Unknown].
func FromValues(values map[string]any, version string) cilium.Config {
	cfg := cilium.Config{Version: version, Values: maps.Clone(chartDefaults), Unknown: map[string]string{}}
	var sets []Set
	for _, path := range watchedPaths() {
		if v, ok := lookup(values, path); ok && plain(v) && read(path, values, version) {
			sets = append(sets, Set{Path: path, Value: v})
		}
	}
	cfg = withoutIdleList(Overlay(cfg, sets), values)
	for path, key := range ownKeys {
		if v, ok := lookup(values, path); ok && plain(v) && read(path, values, version) {
			cfg.Values[key] = flagText(v)
		}
	}
	encryption(cfg, values)
	pools(cfg)
	for path, keys := range steering {
		if v, ok := lookup(values, path); ok && v != nil && v != false && v != "" && !(path == "upgradeCompatibility" && sameDefaults(v)) {
			forget(cfg, keys, fmt.Sprintf("%s is set, and only the chart tells what follows", path))
		}
	}
	extra(cfg, values)
	return cfg
}

// read reports whether the chart of the version looks at a value at all.
func read(path string, values map[string]any, version string) bool {
	if by, ok := switched[path]; ok {
		if on, _ := lookup(values, by); on != true {
			return false
		}
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return true
	}
	from, errFrom := semver.NewVersion(bounds[path][0])
	until, errUntil := semver.NewVersion(bounds[path][1])
	return (errFrom != nil || !v.LessThan(from)) && (errUntil != nil || v.LessThan(until))
}

// sameDefaults: since 1.12 the release that a cluster was first installed with
// changes no default that the model reads, but those of ENI.
func sameDefaults(first any) bool {
	v, err := semver.NewVersion(flagText(first))
	return err == nil && !v.LessThan(semver.New(1, 12, 0, "", ""))
}

// forget makes keys unknown. Of several reasons the first in the alphabet stays.
func forget(cfg cilium.Config, keys []string, why string) {
	for _, k := range keys {
		delete(cfg.Values, k)
		if was, ok := cfg.Unknown[k]; !ok || why < was {
			cfg.Unknown[k] = why
		}
	}
}

// encryption is one switch and a type, IPsec by default.
func encryption(cfg cilium.Config, values map[string]any) {
	if on, _ := lookup(values, "encryption.enabled"); on != true {
		delete(cfg.Values, "ipsec-key-file")
		return
	}
	switch kind := textOr(values, "encryption.type", "ipsec"); kind {
	case "wireguard":
		cfg.Values["enable-wireguard"] = "true"
	case "ipsec":
		cfg.Values["enable-ipsec"] = "true"
		cfg.Values["ipsec-key-file"] = textOr(values, "encryption.ipsec.mountPath", "/etc/ipsec") + "/" + textOr(values, "encryption.ipsec.keyFile", "keys")
	}
}

func textOr(values map[string]any, path, otherwise string) string {
	if v, ok := lookup(values, path); ok && plain(v) {
		return flagText(v)
	}
	return otherwise
}

// pools are rendered in IPAM mode cluster-pool, for families that are on.
func pools(cfg cilium.Config) {
	for family, pool := range defaultPools {
		for i, key := range []string{"cluster-pool-ipv" + family + "-cidr", "cluster-pool-ipv" + family + "-mask-size"} {
			switch {
			case cfg.Values["ipam"] != "cluster-pool" || cfg.Values["enable-ipv"+family] == "false":
				delete(cfg.Values, key)
			case cfg.Values[key] == "":
				cfg.Values[key] = pool[i]
			}
		}
	}
}

// extra are keys of cilium-config that are written out as they are, last.
func extra(cfg cilium.Config, values map[string]any) {
	m, _ := lookup(values, "extraConfig")
	keys, _ := m.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if v := keys[k]; plain(v) && !strings.Contains(flagText(v), "{{") {
			cfg.Values[k] = flagText(v)
			delete(cfg.Unknown, k)
		}
	}
}
