package signature

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// masqueradeGap is what a family's masquerade does to pods of other nodes, on a
// group of nodes that masquerade alike.
type masqueradeGap struct {
	group        nodeGroup
	family       string
	masquerade   cilium.Masquerade
	native       netip.Prefix
	agent        []netip.Prefix
	usesAgent    bool
	pods         []snapshot.CIDR
	observedOnly bool
	uncovered    []netip.Prefix
	// cured are nodes that an override takes out of the base's gap, sorted.
	cured []string
}

// gaps of all groups of nodes, the cluster's own configuration first. A group
// that a CiliumNodeConfig takes out of masquerade is no gap beside an open one.
func gaps(in *Input, family string) []masqueradeGap {
	var out []masqueradeGap
	var cured []string
	for _, group := range nodeGroups(in, family) {
		g, open := gapOf(in, group, family)
		if !open || (len(out) > 0 && g.masquerade == cilium.MasqueradeOff) {
			cured = append(cured, group.nodes...)
			continue
		}
		out = append(out, g)
	}
	if len(out) > 0 && out[0].group.base {
		slices.Sort(cured)
		out[0].cured = cured
	}
	return out
}

// stale adds what probes from cured nodes show of masquerade all the same: their
// agents have not read the override.
func (g masqueradeGap) stale(in *Input, f *v1alpha1.Finding) {
	w := witness(in, g.family, func(node string) bool {
		_, found := slices.BinarySearch(g.cured, node)
		return found
	})
	if !w.confirmed {
		return
	}
	f.Evidence = append(f.Evidence, w.evidence...)
	f.Lacked = append(f.Lacked, fmt.Sprintf("an explanation for packets of %s that still lose the pod's address, though %s %s it: agents read an override only when their pod is created (%s)",
		nodeList(g.cured, 4), g.group.overriders(), verb("cure", max(1, len(g.group.overrides))), restartAgents))
}

// gapOf is one group's; ok is false where the question does not arise: tunnel
// routing, pods unknown, or no exclusion configured at all.
func gapOf(in *Input, group nodeGroup, family string) (g masqueradeGap, ok bool) {
	s := &group.settings
	g = masqueradeGap{group: group, family: family, masquerade: s.Masquerade[family]}
	if s.RoutingMode != "native" || !enabled(s, family) {
		return g, false
	}
	g.pods, g.observedOnly = in.PodRanges(family)
	g.native = s.NativeRoutingCIDR[family]
	g.usesAgent = s.IPMasqAgent && g.masquerade == cilium.MasqueradeBPF
	var spared []netip.Prefix
	if g.native.IsValid() {
		spared = append(spared, g.native)
	}
	if g.usesAgent {
		g.agent = cidr.OfFamily(s.NonMasquerade, family)
		spared = append(spared, g.agent...)
	}
	if len(g.pods) == 0 || (len(spared) == 0 && !g.usesAgent) {
		return g, false
	}
	g.uncovered = cidr.Difference(prefixes(g.pods), spared)
	return g, len(g.uncovered) > 0
}

func enabled(s *cilium.Settings, family string) bool {
	if family == cidr.IPv6 {
		return s.IPv6
	}
	return s.IPv4
}

// undecided names a CiliumNodeConfig that would close the gap and whose
// selector is not evaluated; empty when there is none.
func (g masqueradeGap) undecided(in *Input) string {
	if !g.group.base {
		return ""
	}
	for _, nc := range in.Snapshot.NodeConfigs {
		if !nc.SelectorExpressions {
			continue
		}
		cfg := in.Config
		cfg.Values = maps.Clone(cfg.Values)
		if cfg.Values == nil {
			cfg.Values = map[string]string{}
		}
		maps.Copy(cfg.Values, nc.Defaults)
		group := nodeGroup{}
		group.settings, _ = cilium.Effective(cfg)
		if closed, open := gapOf(in, group, g.family); !open || closed.masquerade == cilium.MasqueradeOff {
			return nc.Source
		}
	}
	return ""
}

// nodeGroup are nodes whose agents masquerade one family alike.
type nodeGroup struct {
	settings cilium.Settings
	// base: these nodes masquerade as cilium-config says.
	base bool
	// nodes by name, sorted; nil means all, known or not.
	nodes []string
	// unused: no node is left that runs the base.
	unused bool
	// overrides are the CiliumNodeConfigs that make the difference: the group's
	// own, or for the base those that take the other nodes out of it.
	overrides []snapshot.NodeConfig
	keys      []string // that they set and that matter, sorted
}

// masqueradeKind is what of the settings decides about masquerade.
type masqueradeKind struct {
	enabled, usesAgent bool
	routing            string
	masquerade         cilium.Masquerade
	native             netip.Prefix
	agent              string
}

func kindOf(s *cilium.Settings, family string) masqueradeKind {
	k := masqueradeKind{enabled: enabled(s, family), routing: s.RoutingMode, masquerade: s.Masquerade[family], native: s.NativeRoutingCIDR[family]}
	if k.usesAgent = s.IPMasqAgent && k.masquerade == cilium.MasqueradeBPF; k.usesAgent {
		k.agent = fmt.Sprint(cidr.OfFamily(s.NonMasquerade, family))
	}
	return k
}

// nodeGroups are the base first, then the groups that CiliumNodeConfigs make, by
// their first node.
func nodeGroups(in *Input, family string) []nodeGroup {
	base := nodeGroup{settings: in.Settings, base: true}
	own := kindOf(&in.Settings, family)
	names := nodeNames(in)
	at := map[masqueradeKind]int{}
	var others []nodeGroup
	var rest, out []string
	for _, name := range names {
		s, overridden := in.nodeSettings(name)
		kind := own
		if overridden {
			kind = kindOf(&s, family)
		}
		if kind == own {
			rest = append(rest, name)
			continue
		}
		i, seen := at[kind]
		if !seen {
			i = len(others)
			at[kind] = i
			others = append(others, nodeGroup{settings: s})
		}
		others[i].nodes = append(others[i].nodes, name)
		out = append(out, name)
	}
	if len(others) == 0 {
		return []nodeGroup{base}
	}
	base.nodes, base.unused = rest, len(rest) == 0
	base.overrides, base.keys = in.overrides(out, family)
	for i := range others {
		others[i].overrides, others[i].keys = in.overrides(others[i].nodes, family)
	}
	return append([]nodeGroup{base}, others...)
}

func nodeNames(in *Input) []string {
	if len(in.ModelInput.PerNode) == 0 {
		return nil
	}
	names := map[string]bool{}
	for name := range in.ModelInput.PerNode {
		names[name] = true
	}
	for i := range in.Snapshot.Nodes {
		names[in.Snapshot.Nodes[i].Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// nodeSettings of a node's agent; overridden is false when it runs the base.
func (in *Input) nodeSettings(name string) (s cilium.Settings, overridden bool) {
	cfg, ok := in.ModelInput.PerNode[name]
	if !ok {
		return in.Settings, false
	}
	if in.Model != nil {
		return in.Model.Settings(name), true
	}
	s, _ = cilium.Effective(cfg)
	return s, true
}

// overrides are the CiliumNodeConfigs that select any of the nodes and set a key
// that names masquerade; when none does, those that set any other value.
func (in *Input) overrides(nodes []string, family string) (configs []snapshot.NodeConfig, keys []string) {
	named := []string{nativeFlag(family), masqueradeFlag(family), "enable-bpf-masquerade", "enable-ip-masq-agent", "routing-mode", "enable-" + strings.ToLower(family)}
	pick := func(matters func(key string) bool) {
		for _, nc := range in.Snapshot.NodeConfigs {
			if !slices.ContainsFunc(nodes, func(name string) bool { return selects(nc, in.Snapshot.NodeByName(name)) }) {
				continue
			}
			before := len(keys)
			for key, value := range nc.Defaults {
				if value != in.Config.Values[key] && matters(key) {
					keys = append(keys, key)
				}
			}
			if len(keys) > before {
				configs = append(configs, nc)
			}
		}
	}
	pick(func(key string) bool { return slices.Contains(named, key) })
	if len(configs) == 0 {
		pick(func(string) bool { return true })
	}
	slices.Sort(keys)
	return configs, slices.Compact(keys)
}

func selects(nc snapshot.NodeConfig, n *snapshot.Node) bool {
	if n == nil || nc.SelectorExpressions {
		return false
	}
	for key, value := range nc.Selector {
		if n.Labels[key] != value {
			return false
		}
	}
	return true
}

// has says whether a node is in the group.
func (g nodeGroup) has(node string) bool {
	if g.nodes == nil {
		return !g.unused
	}
	_, found := slices.BinarySearch(g.nodes, node)
	return found
}

// unenforced says why no policy drops anything on these nodes; empty when they
// may (pkg/policy/repository.go:360, pkg/option/config.go PolicyAuditMode, 1.18.6).
func (g nodeGroup) unenforced() string {
	switch {
	case g.settings.PolicyEnforcement == "never":
		return "policyEnforcementMode is never"
	case g.settings.PolicyAuditMode:
		return "policyAuditMode only logs what policies would drop"
	}
	return ""
}

func (g nodeGroup) names() string { return nodeList(g.nodes, 4) }

func (g nodeGroup) overriders() string {
	var names []string
	for _, nc := range g.overrides {
		names = append(names, nc.Source)
	}
	if len(names) == 0 {
		return "a CiliumNodeConfig"
	}
	return shorten(names, 3)
}

// summary adds to what is wrong the nodes on which it is, unless it is all.
func (g nodeGroup) summary(wrong string) string {
	switch {
	case !g.base:
		return fmt.Sprintf("on %s %s %s %s: %s", g.names(), g.overriders(), verb("set", max(1, len(g.overrides))), shorten(g.keys, 4), wrong)
	case len(g.nodes) > 0:
		return fmt.Sprintf("%s; so it is on %s, and %s %s the other nodes", wrong, g.names(), g.overriders(), verb("override", max(1, len(g.overrides))))
	}
	return wrong
}

// cure says where a value has to be changed when Helm's has no say.
func (g nodeGroup) cure() []string {
	if g.base {
		return nil
	}
	return []string{fmt.Sprintf("The cure is in %s: correct or remove %s there and restart the agents of these nodes. A Helm value changes cilium-config, which is overridden on them.",
		g.overriders(), shorten(g.keys, 4))}
}

// where is the place that decides a value on these nodes.
func (g nodeGroup) where(in *Input, helmPath, flag string) string {
	if !g.base {
		for _, nc := range slices.Backward(g.overrides) {
			if _, ok := nc.Defaults[flag]; ok {
				return nc.Source
			}
		}
	}
	return in.where(helmPath, flag)
}

// evidence lists what the CiliumNodeConfigs set, and the group's nodes.
func (g nodeGroup) evidence() []v1alpha1.Evidence {
	var out []v1alpha1.Evidence
	for _, nc := range g.overrides {
		for _, key := range g.keys {
			if value, ok := nc.Defaults[key]; ok {
				out = append(out, v1alpha1.Evidence{Kind: "config", Text: fmt.Sprintf("%s: %q", key, value), Source: nc.Source})
			}
		}
	}
	if len(g.nodes) > 0 {
		out = append(out, v1alpha1.Evidence{Kind: "fact", Text: "nodes: " + nodeList(g.nodes, 50), Source: "Node objects"})
	}
	return out
}
