package signature

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// IDs of the family of signatures around the masquerade exclusion CIDR.
const (
	NativeRoutingCIDRExcludesPods = "native-routing-cidr-excludes-pods"
	IPMasqAgentExcludesPods       = "ip-masq-agent-excludes-pods"
	NativeRoutingCIDRInServices   = "native-routing-cidr-is-service-range"
)

const masqueradeSources = "pkg/datapath/iptables/iptables.go:1248-1470, bpf/lib/nat.h:605-767 and 1639-1750 (1.18.6)"

func nativeRoutingCIDR() Signature {
	return Signature{
		ID:       NativeRoutingCIDRExcludesPods,
		Title:    "The native routing CIDR leaves the pods out",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "With native routing and masquerade, the sending node rewrites the source of every packet that leaves it for a destination outside " +
			"ipv4/6NativeRoutingCIDR, unless the destination is a node. A remote pod outside that prefix is therefore reached with the node's address as source. " +
			"Native routing carries no identity on the wire: the receiver finds remote-node or kube-apiserver instead of the pod, and a NetworkPolicy that admits pods drops the packet.",
		Shows: []string{
			"pods on different nodes cannot talk where the target's namespace has an ingress policy; ICMP, TCP, UDP and ClusterIP alike",
			"pods of one node can; namespaces without a policy can; host network and internet work",
			"cilium status is OK, endpoints are ready: neither looks at traffic that pods send",
		},
		Quorum:    maskedQuorum(),
		DependsOn: []string{"the agent's configuration, with the CiliumNodeConfigs that override it on some nodes", "pod CIDRs of the nodes or their pool"},
		Confirms: []string{
			"a target on another node saw the sending node's address as source",
			"an ingress drop with identity remote-node or kube-apiserver",
			"between the same two nodes an open target is reached and a guarded one is not",
		},
		Refutes: []string{"a target on another node saw the pod's own address as source", "a target behind a same-namespace policy answers a pod of another node"},
		Neighbours: []Neighbour{
			{NoRouteBetweenNodes, "without a route nothing arrives, not even at a target without a policy"},
			{DirectRouteSkipped, "only pairs of nodes on different segments fail, and both kinds of target fail alike"},
			{MTUMismatch, "small packets pass and full-size packets are lost; here the smallest are lost"},
			{ConfigNotActive, "there cilium-config is right and agents still run an older one"},
			{IPMasqAgentExcludesPods, "the list of the ip-masq-agent is consulted as well, and it leaves the pods out too"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "1.16 to 1.20; measured with 1.18.6",
		Sources:  []string{masqueradeSources, "pkg/identity/identity.go:270-295 (1.18.6)", "cilium/cilium#32010", "cilium/cilium#23376"},
		Detect:   detectNativeRoutingCIDR,
	}
}

func ipMasqAgent() Signature {
	return Signature{
		ID:       IPMasqAgentExcludesPods,
		Title:    "The ip-masq-agent's list leaves the pods out",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "With the ip-masq-agent, BPF masquerade spares the native routing CIDR and the agent's nonMasqueradeCIDRs. Its built-in list has no IPv6 range but fe80::/10, " +
			"and a list that is given replaces the built-in one. Pods outside of both are masqueraded towards other nodes' pods, exactly as without the agent.",
		Shows:     []string{"after the ip-masq-agent was switched on, pods on other nodes are seen with their node's address"},
		Quorum:    maskedQuorum(),
		DependsOn: []string{"the agent's configuration", "the ip-masq-agent ConfigMap", "pod CIDRs of the nodes or their pool"},
		Confirms:  []string{"a target on another node saw the sending node's address as source", "an ingress drop with identity remote-node or kube-apiserver"},
		Refutes:   []string{"a target on another node saw the pod's own address as source", "a target behind a same-namespace policy answers a pod of another node"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there the ip-masq-agent is off"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "1.16 to 1.20; measured with 1.18.6",
		Sources:  []string{"pkg/ipmasq/ipmasq.go:27-39, 188-199, 262 (1.18.6)", "bpf/lib/nat.h:724-733 (1.18.6)"},
		Detect:   detectIPMasqAgent,
	}
}

func serviceRange() Signature {
	return Signature{
		ID:       NativeRoutingCIDRInServices,
		Title:    "The native routing CIDR names the services, not the pods",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "A ClusterIP is translated to a pod's address before masquerade is decided, so services need not be in the native routing CIDR. " +
			"A CIDR that covers services and no pods spares nothing.",
		Shows:      []string{"the same as " + NativeRoutingCIDRExcludesPods},
		Quorum:     maskedQuorum(),
		DependsOn:  []string{"the agent's configuration", "service CIDRs", "pod CIDRs"},
		Confirms:   []string{"as for " + NativeRoutingCIDRExcludesPods},
		Neighbours: []Neighbour{{NativeRoutingCIDRExcludesPods, "there the CIDR does not touch the services; the cure is the same"}},
		Effects:    []string{FluxIsAVictim},
		Versions:   "1.16 to 1.20",
		Sources:    []string{"bpf/bpf_lxc.c:65-71, bpf/bpf_sock.c:277 (1.18.6)"},
		Detect:     detectServiceRange,
	}
}

func detectNativeRoutingCIDR(in *Input) []v1alpha1.Finding {
	return perFamily(in, func(g masqueradeGap) (string, bool) {
		return NativeRoutingCIDRExcludesPods, !g.usesAgent && !g.coversServicesOnly(in)
	})
}

func detectIPMasqAgent(in *Input) []v1alpha1.Finding {
	return perFamily(in, func(g masqueradeGap) (string, bool) { return IPMasqAgentExcludesPods, g.usesAgent })
}

func detectServiceRange(in *Input) []v1alpha1.Finding {
	return perFamily(in, func(g masqueradeGap) (string, bool) {
		return NativeRoutingCIDRInServices, !g.usesAgent && g.coversServicesOnly(in)
	})
}

// coversServicesOnly: the CIDR lies in a service range, or holds one, and no pods.
func (g masqueradeGap) coversServicesOnly(in *Input) bool {
	if !g.native.IsValid() || cidr.Overlaps(g.native, prefixes(g.pods)...) {
		return false
	}
	nodes := in.Snapshot.NodeAddresses(g.family)
	for _, n := range nodes {
		if g.native.Contains(n.Prefix.Addr()) {
			return false
		}
	}
	return cidr.Overlaps(g.native, prefixes(in.Snapshot.ServiceRange(g.family))...)
}

func perFamily(in *Input, mine func(masqueradeGap) (id string, ok bool)) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, family := range in.Families() {
		for _, g := range gaps(in, family) {
			if id, ok := mine(g); ok {
				out = append(out, g.finding(in, id))
			}
		}
	}
	return out
}

func (g masqueradeGap) finding(in *Input, id string) v1alpha1.Finding {
	f := v1alpha1.Finding{
		Signature:  id,
		Severity:   v1alpha1.SeverityCritical,
		Confidence: v1alpha1.ConfidencePredicted,
		Family:     g.family,
		Summary:    g.group.summary(g.summary(id)),
	}
	if !g.group.base {
		f.About = g.group.overriders()
	}
	f.Evidence = g.configEvidence(in)
	if g.group.unused || g.masquerade == cilium.MasqueradeOff {
		g.masked(&f)
		g.stale(in, &f)
		return f
	}
	f.Explanation = append(g.chain(), g.group.cure()...)
	w := witness(in, g.family, g.group.has)
	f.Evidence = append(f.Evidence, w.evidence...)
	g.judge(in, w, &f)
	g.stale(in, &f)
	f.RuledOut = g.ruledOut(in, w)
	return f
}

func (g masqueradeGap) summary(id string) string {
	const so = "so nodes masquerade what pods send to pods of other nodes"
	pods, outside := joinPrefixes(prefixes(g.pods)), joinPrefixes(g.uncovered)
	switch {
	case id == IPMasqAgentExcludesPods:
		return fmt.Sprintf("%s pods in %s are in neither the native routing CIDR nor the ip-masq-agent's list, %s", g.family, outside, so)
	case id == NativeRoutingCIDRInServices:
		return fmt.Sprintf("%s is %s, a range of services; the pods live in %s, %s", nativeKey(g.family), g.native, pods, so)
	case g.partial():
		return fmt.Sprintf("%s is %s and holds only part of the pods' %s %s: %s %s outside, so nodes masquerade what pods send to pods of other nodes there",
			nativeKey(g.family), g.native, plural("range", len(g.pods)), pods, outside, verb("lie", len(g.uncovered)))
	}
	return fmt.Sprintf("%s is %s, but the pods live in %s, outside it, %s", nativeKey(g.family), g.native, pods, so)
}

// partial: some of the pods' range is spared and some is not.
func (g masqueradeGap) partial() bool {
	return len(cidr.Difference(prefixes(g.pods), g.uncovered)) > 0
}

func (g masqueradeGap) configEvidence(in *Input) []v1alpha1.Evidence {
	var out []v1alpha1.Evidence
	add := func(kind, text, source string) {
		out = append(out, v1alpha1.Evidence{Kind: kind, Text: text, Source: source})
	}
	if g.native.IsValid() {
		text := fmt.Sprintf("%s: %s", nativeKey(g.family), g.native)
		if g.family == cidr.IPv6 {
			text += ", written in full " + full(g.native)
		}
		add("config", text, g.group.where(in, nativeKey(g.family), nativeFlag(g.family)))
	}
	if g.usesAgent {
		add("config", "ip-masq-agent spares "+joinPrefixes(g.agent), in.where("ipMasqAgent.config", "ip-masq-agent"))
	}
	// A cluster whose pool is not known has a range of each node.
	const most = 2
	for i, c := range g.pods {
		if n := len(g.pods) - i; i == most && n > 1 {
			add("fact", fmt.Sprintf("and in %d more ranges of nodes", n), "the nodes")
			break
		}
		text := "pods live in " + c.Prefix.String()
		if c.ObservedOnly {
			text += " (what nodes use; the pool it is cut from is not known)"
		}
		add("fact", text, c.Source)
	}
	if g.partial() {
		add("fact", "not spared: "+joinPrefixes(g.uncovered), "the ranges above")
	}
	add("config", fmt.Sprintf("%s masquerade: %s", g.family, g.masquerade), g.group.where(in, masqueradeKey(g.family), masqueradeFlag(g.family)))
	return append(out, g.group.evidence()...)
}

// chain is the mechanism, step by step, in this cluster's values.
func (g masqueradeGap) chain() []string {
	spared := "outside " + g.native.String()
	if g.usesAgent {
		spared = "outside the native routing CIDR and the ip-masq-agent's list"
	}
	return []string{
		fmt.Sprintf("A pod sends to a pod on another node. The destination is %s and no node, so the sending node masquerades the packet (%s).", spared, g.masquerade),
		"The packet arrives with the sending node's address as source. Native routing carries no identity, so the receiver looks that address up and finds reserved:remote-node, or reserved:kube-apiserver for a control-plane node.",
		"A NetworkPolicy selects peers by pod labels; no selector matches a node. The packet is dropped: Policy denied, ingress.",
		"ICMP, TCP and UDP fare alike, and so do ClusterIPs: they are translated to the pod's address before masquerade is decided.",
	}
}

// masked is the verdict on what is wrong without effect: while masquerade is
// off, or while no node runs this configuration.
func (g masqueradeGap) masked(f *v1alpha1.Finding) {
	f.Severity = v1alpha1.SeverityWarning
	why, when := fmt.Sprintf("%s masquerade is off", g.family), "the day it is turned on"
	f.Explanation = []string{"The prefix is only consulted to spare packets from masquerade. With masquerade off nothing is rewritten."}
	if g.group.unused {
		why, when = "every node is overridden by "+g.group.overriders(), "wherever it does not apply"
		f.Explanation = []string{"A CiliumNodeConfig overrides cilium-config key by key on the nodes that it selects, so no agent runs this value now."}
	}
	f.Summary = fmt.Sprintf("%s does not hold the pods (%s); masked while %s, and a fault %s", nativeKey(g.family), joinPrefixes(g.uncovered), why, when)
	if !g.group.base {
		f.Summary = fmt.Sprintf("on %s %s", g.group.names(), f.Summary)
	}
}

// judge sets severity and confidence from what was observed and modelled.
func (g masqueradeGap) judge(in *Input, w witnessed, f *v1alpha1.Finding) {
	lack := func(text string) { f.Lacked = append(f.Lacked, text) }
	if why := g.group.unenforced(); why != "" {
		f.Severity = v1alpha1.SeverityWarning
		f.Summary += "; masked while " + why
		lack("enforced policies: " + why)
	} else if in.Snapshot.Read("Node") && len(in.Snapshot.Nodes) == 1 {
		f.Severity = v1alpha1.SeverityWarning
		lack("a second node: on one node nothing is masqueraded between pods")
	} else if in.policiesKnown() && !in.anyDropped(g.family, g.group.has) {
		f.Severity = v1alpha1.SeverityWarning
		lack("a policy that the lost identity could fail: none of the policies read drops these packets")
	}
	if w.refuted() {
		f.Confidence = v1alpha1.ConfidencePossible
		f.Lacked = append(f.Lacked, w.contradictions()...)
		return
	}
	if w.confirmed {
		f.Confidence = v1alpha1.ConfidenceConfirmed
		return
	}
	lack("an observation of the source address that a target on another node saw, an ingress drop with identity remote-node, or an open target reached where a guarded one was not")
	if open := g.undecided(in); open != "" {
		f.Confidence = v1alpha1.ConfidencePossible
		lack("the nodes that " + open + " selects: it would spare the pods there, and matchExpressions are not evaluated")
	}
}

func (g masqueradeGap) ruledOut(in *Input, w witnessed) []v1alpha1.RuledOut {
	var out []v1alpha1.RuledOut
	add := func(id, because string) { out = append(out, v1alpha1.RuledOut{Signature: id, Because: because}) }
	if w.arrived != "" {
		add(DirectRouteSkipped, "the packet arrived ("+w.arrived+"), so a route exists")
		add(NoRouteBetweenNodes, "the packet arrived ("+w.arrived+"), so a route exists")
	} else if g.group.settings.AutoDirectNodeRoutes {
		add(NoRouteBetweenNodes, "autoDirectNodeRoutes installs a route for every node's pod CIDR")
	}
	if _, confirmed := sizeProbes(in, g.family); w.smallLost > 0 && !confirmed {
		add(MTUMismatch, fmt.Sprintf("packets of %d bytes are lost too; no MTU on this path is that small", w.smallLost))
	}
	if in.Start.Starts == snapshot.Yes {
		add(AgentRefusesToStart, noRefusal)
	}
	if in.allAgentsYoung() {
		add(ConfigNotActive, "every agent started after cilium-config last changed")
	}
	if g.usesAgent {
		return out
	}
	add(IPMasqAgentExcludesPods, "the ip-masq-agent is not in use")
	return out
}

func nativeKey(family string) string {
	return "ip" + strings.ToLower(family[2:]) + "NativeRoutingCIDR"
}

func nativeFlag(family string) string {
	return strings.ToLower(family) + "-native-routing-cidr"
}

func masqueradeKey(family string) string { return "enable" + family + "Masquerade" }

func masqueradeFlag(family string) string {
	return "enable-" + strings.ToLower(family) + "-masquerade"
}

func joinPrefixes(ps []netip.Prefix) string {
	const most = 6
	s := make([]string, 0, len(ps))
	for i, p := range ps {
		if i == most {
			s = append(s, fmt.Sprintf("and %d more", len(ps)-most))
			break
		}
		s = append(s, p.String())
	}
	return strings.Join(s, ", ")
}

// full writes an IPv6 prefix with all its hextets, which is what makes the
// difference between fd00:101::/48 and fd00:101:224::/60 visible.
func full(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.String()
	}
	groups := strings.Split(p.Addr().StringExpanded(), ":")
	n := (p.Bits() + 15) / 16
	if n >= len(groups) {
		return p.Addr().StringExpanded() + fmt.Sprintf("/%d", p.Bits())
	}
	return strings.Join(groups[:n], ":") + "::/" + fmt.Sprint(p.Bits())
}
