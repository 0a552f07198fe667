package signature

import (
	"cmp"
	"fmt"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// IDs of the signatures about what probes find on paths that exist.
const (
	PodSourceMasqueraded     = "pod-source-masqueraded"
	PodIdentityUnknown       = "pod-identity-unknown"
	PolicyNotEnforced        = "policy-not-enforced"
	ServiceTranslationBroken = "service-translation-broken"
	ClusterDNSDown           = "cluster-dns-down"
	PacketLoss               = "packet-loss"
	ProbeTargetRefuses       = "probe-target-refuses"
	ProbesBlocked            = "probes-blocked"
	ProbeSilent              = "probe-silent"
)

func maskedQuorum() Quorum {
	return Quorum{Probers: 3, Pairs: 4, Targets: 2, Exchanges: 6, Window: Window, Hold: 3 * time.Second}
}

func qualitySignatures() []Signature {
	return []Signature{sourceMasqueraded(), identityUnknown(), notEnforced(), servicesBroken(), dnsDown(), packetLoss(), targetRefuses(), probesBlocked(), probeSilent()}
}

// probed makes the parts that all signatures have alike that rest on probes.
func probed(s Signature) Signature {
	s.DependsOn = append([]string{noProbes}, s.DependsOn...)
	s.Versions = "all"
	s.Sources = append(s.Sources, probeTraffic)
	if s.Detect == nil {
		id := s.ID
		s.Detect = func(in *Input) []v1alpha1.Finding { return in.cutFindings(id) }
	}
	return s
}

func sourceMasqueraded() Signature {
	return probed(Signature{
		ID: PodSourceMasqueraded, Title: "Pods' packets arrive on other nodes with another source address", Severity: v1alpha1.SeverityCritical, Quorum: maskedQuorum(),
		Explanation: "Targets on other nodes see the address of the sending node, or another, and not the pod's. Without a tunnel no identity is carried along, so a policy that admits pods drops such packets. " +
			"This is what probes prove without the configuration; with it, the value that is wrong is named instead.",
		Shows:     []string{"pods on different nodes cannot talk where the target's namespace has an ingress policy; others can"},
		DependsOn: []string{"no configuration that explains it"},
		Confirms:  []string{"targets on other nodes saw an address that is not the sending pod's"},
		Refutes:   []string{"targets on other nodes saw the pods' own addresses"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there the configuration is known and names the prefix"},
			{IPMasqAgentExcludesPods, "there the configuration is known and names the list"},
			{NoRouteBetweenNodes, "there open targets are not reached"},
			{PodIdentityUnknown, "there the source is the pod's own"},
		},
		Effects: []string{FluxIsAVictim},
		Sources: []string{masqueradeSources},
		Detect:  detectSourceMasqueraded,
	})
}

// detectSourceMasqueraded leaves out families in which the configuration
// explains what is seen.
func detectSourceMasqueraded(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, f := range in.cutFindings(PodSourceMasqueraded) {
		if !in.explainsMasquerade(f.Family) {
			out = append(out, f)
		}
	}
	return out
}

func (in *Input) explainsMasquerade(family string) bool {
	for _, g := range gaps(in, family) {
		if !g.group.unused && g.masquerade != cilium.MasqueradeOff {
			return true
		}
	}
	return false
}

func identityUnknown() Signature {
	return probed(Signature{
		ID: PodIdentityUnknown, Title: "A policy that admits pods drops them though their address is right", Severity: v1alpha1.SeverityWarning,
		Quorum: Quorum{Probers: 3, Pairs: 4, Targets: 2, Exchanges: 12, Window: Window, Hold: 10 * time.Second},
		Explanation: "Open targets see the pods' own addresses and guarded ones do not answer. Either the receiving agents do not know whose address it is (their ipcache is stale), or another policy of the cluster denies the probes. " +
			"If it is a policy that is meant to, this is no fault.",
		Shows:      []string{"policies deny pods that they admit"},
		Confirms:   []string{"between nodes open targets saw the pod's own address and guarded ones do not answer"},
		Refutes:    []string{"a guarded target answers"},
		Neighbours: []Neighbour{{PodSourceMasqueraded, "there the source is another address"}, {ProbesBlocked, "there open targets are lost as well"}},
	})
}

func notEnforced() Signature {
	return probed(Signature{
		ID: PolicyNotEnforced, Title: "Policies do not drop what they should", Severity: v1alpha1.SeverityWarning,
		Quorum:      Quorum{Probers: 2, Pairs: 2, Exchanges: 2, Window: Window},
		Explanation: "A guarded target answered a packet that came from a node's address of another node. Its policy admits pods of its namespace only, so policies are not enforced there, or another one admits nodes.",
		Shows:       []string{"nothing, until somebody relies on a policy"},
		Confirms:    []string{"a guarded target answers a prober of another node's own network, or a pod that is seen with a node's address"},
		Refutes:     []string{"the same probe times out"},
		Neighbours:  []Neighbour{{PodSourceMasqueraded, "it says that the source is lost; here it shows that nobody minds"}},
	})
}

func servicesBroken() Signature {
	return probed(Signature{
		ID: ServiceTranslationBroken, Title: "ClusterIPs do not work, the pods behind them do", Severity: v1alpha1.SeverityCritical,
		Quorum:      Quorum{Probers: 2, Exchanges: 6, Window: Window, Hold: 3 * time.Second},
		Explanation: "Service addresses are not translated to those of pods: the agent's load balancing (kubeProxyReplacement) or kube-proxy does not do its work, or the Service has no endpoints.",
		Shows:       []string{"everything that uses a Service fails, cluster DNS included; pods reach pods by their addresses"},
		Confirms:    []string{"probes of several nodes do not reach the ClusterIP of the probes' Service while a pod of another node answers by its own address"},
		Refutes:     []string{"a ClusterIP answers"},
		Neighbours:  []Neighbour{{ClusterDNSDown, "there other ClusterIPs work"}, {NoRouteBetweenNodes, "there pods' own addresses do not answer either"}},
		Effects:     []string{ClusterDNSDown, FluxIsAVictim},
	})
}

func dnsDown() Signature {
	return probed(Signature{
		ID: ClusterDNSDown, Title: "The cluster's DNS does not answer", Severity: v1alpha1.SeverityCritical,
		Quorum:      Quorum{Probers: 2, Exchanges: 12, Window: Window, Hold: 2 * time.Second},
		Explanation: "No node's probe gets an answer from an address of the cluster's DNS, while pods and ClusterIPs are reached: the DNS pods are down, or a policy of their namespace denies.",
		Shows:       []string{"names do not resolve; addresses work"},
		DependsOn:   []string{"the cluster's DNS Service and pods"},
		Confirms:    []string{"probes of several nodes get no answer from the same DNS address while pods and ClusterIPs answer"},
		Refutes:     []string{"any answer, an error too, from that address"},
		Neighbours:  []Neighbour{{ServiceTranslationBroken, "there the probes' own ClusterIP fails too"}},
	})
}

func packetLoss() Signature {
	return probed(Signature{
		ID: PacketLoss, Title: "Packets are lost by chance", Severity: v1alpha1.SeverityWarning,
		Quorum:      Quorum{Probers: 3, Pairs: 3, Exchanges: 6, Window: Window, Hold: 20 * time.Second},
		Explanation: "Exchanges between nodes fail and succeed by turns, for long and without a pattern of pairs: a bad link, an overloaded device or a full queue. An exchange takes several packets, so its share of failures is above that of the packets.",
		Shows:       []string{"everything works, slowly and not always"},
		DependsOn:   []string{"the heartbeats' counts"},
		Confirms:    []string{"over a minute at least 5 % of the exchanges of several nodes fail, in at least three periods of ten seconds, between pairs that no single node has in common; or longer around one node"},
		Refutes:     []string{"a minute with fewer", "failures of the same pairs only, without any answer between them"},
		Neighbours:  []Neighbour{{NoRouteBetweenNodes, "there nothing gets through"}, {MTUMismatch, "there small packets are not lost"}},
	})
}

func targetRefuses() Signature {
	return probed(Signature{
		ID: ProbeTargetRefuses, Title: "One probe target refuses connections", Severity: v1alpha1.SeverityInfo,
		Quorum:      Quorum{Probers: 2, Pairs: 2, Exchanges: 2, Window: Window, Hold: 3 * time.Second},
		Explanation: "A refusal is an answer: the path to the pod works and nobody listens there. The reflector has crashed or is starting.",
		Shows:       []string{"the probe's pod on that node is not ready"},
		Confirms:    []string{"several nodes are refused by the same target"},
		Refutes:     []string{"the target answers"},
		Neighbours:  []Neighbour{{NodePodsUnreachable, "there nothing of the node answers"}},
	})
}

func probesBlocked() Signature {
	return probed(Signature{
		ID: ProbesBlocked, Title: "Probes reach nothing, on their own node neither", Severity: v1alpha1.SeverityWarning, Quorum: clusterQuorum(),
		Explanation: "Exchanges on one node fail as those between nodes do, in every family. That is no matter of routes: a policy of the cluster denies the probes' namespace, or the probes themselves do not work.",
		Shows:       []string{"nothing but the probes' own failures, where a policy is meant to deny"},
		Confirms:    []string{"open targets of the same node and of others are lost alike"},
		Refutes:     []string{"an open target of the same node answers"},
		Neighbours:  []Neighbour{{NoRouteBetweenNodes, "there pods of one node reach each other"}, {FamilyDown, "there the other family works"}},
	})
}

func probeSilent() Signature {
	return probed(Signature{
		ID: ProbeSilent, Title: "A probe is not heard any more", Severity: v1alpha1.SeverityWarning,
		Explanation: "The API server answers, the pod is said to run on a node that is ready, and its probe has said nothing for three heartbeats. The kubelet or its way to the API server is at fault, or the probe hangs.",
		Shows:       []string{"'last heard' of a node does not advance"},
		DependsOn:   []string{"lines of the probe that were heard before"},
		Confirms:    []string{"three heartbeats of one probe are missing while others are heard"},
		Refutes:     []string{"a line of the probe", "a pod that is gone, pending or on a node that is not ready"},
		Neighbours:  []Neighbour{{NodeDown, "there the node does not answer others either"}},
		Detect:      detectProbeSilent,
	})
}

func detectProbeSilent(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, s := range in.Silent {
		if n := in.Snapshot.NodeByName(s.Node); !s.Running || n != nil && n.Ready == snapshot.No {
			continue
		}
		out = append(out, v1alpha1.Finding{
			Signature: ProbeSilent, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed, About: s.Node,
			Summary:  fmt.Sprintf("the probe on %s has not been heard since %s", s.Node, s.Since.UTC().Format(time.RFC3339)),
			Evidence: []v1alpha1.Evidence{{Kind: "log", Text: cmp.Or(s.Why, "no line, and the pod is running"), Source: "Pod " + s.Pod}}, RuledOut: []v1alpha1.RuledOut{},
		})
	}
	return out
}
