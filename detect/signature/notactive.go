package signature

import (
	"fmt"
	"slices"
	"sort"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	restartAgents = "kubectl -n kube-system rollout restart daemonset/cilium"
	noRefusal     = "no start-up rule of this version refuses the configuration"
)

func configNotActive() Signature {
	return Signature{
		ID:       ConfigNotActive,
		Title:    "The configuration changed and agents still run the old one",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "The agent's configuration is written once, by an init container of its pod. Unless rollOutCiliumPods is set, an upgrade that changes only values " +
			"updates the ConfigMap, the HelmRelease becomes Ready, and no agent is restarted. A restart of the container alone does not help either: " +
			"the pods have to be replaced, with " + restartAgents + ". It is critical while traffic fails, else a warning.",
		Shows:     []string{"Git and the HelmRelease are right and the symptom stays", "cilium_drift_checker_config_delta above 0"},
		DependsOn: []string{"when the data of cilium-config last changed", "when each agent pod's init container ran"},
		Confirms:  []string{"an agent pod older than the last change of cilium-config", "an agent whose metrics tell of drift"},
		Refutes:   []string{"every agent pod younger than the last change of cilium-config"},
		Neighbours: []Neighbour{
			{LiveConfigDiffers, "there the ConfigMap itself is not what the repository renders"},
			{AgentRefusesToStart, "there new agents do not come up"},
			{NativeRoutingCIDRExcludesPods, "there the configuration is wrong as it is written, and a restart changes nothing"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "all",
		Sources:  []string{"install/kubernetes/cilium/templates/cilium-agent/daemonset.yaml:55-58, 450-515 (1.18.6)"},
		Detect:   detectConfigNotActive,
	}
}

func detectConfigNotActive(in *Input) []v1alpha1.Finding {
	old, drifted := in.oldAgents(), in.drifted()
	f := v1alpha1.Finding{Signature: ConfigNotActive, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed, Evidence: drifted.evidence,
		Explanation: []string{activation(in.writtenFault())}}
	switch {
	case len(old) > 0:
		f.Summary = fmt.Sprintf("%d of %d agents started before cilium-config last changed and run the previous configuration: %s",
			len(old), len(in.Snapshot.AgentDaemonSet.Value.Agents), nodeList(old, 4))
		f.Evidence = append([]v1alpha1.Evidence{
			{Kind: "fact", Text: "cilium-config changed at " + in.Snapshot.AgentConfigChanged.UTC().Format("2006-01-02T15:04:05Z"), Source: in.Snapshot.AgentConfig.Source},
			{Kind: "fact", Text: "older agents run on " + nodeList(old, len(old)), Source: in.Snapshot.AgentDaemonSet.Source},
		}, f.Evidence...)
	case len(drifted.nodes) > 0:
		old = drifted.nodes
		f.Summary = fmt.Sprintf("%d of %d agents that were asked say that they run another configuration than cilium-config holds: %s", len(old), drifted.asked, nodeList(old, 4))
	default:
		return nil
	}
	loss := in.loss(old)
	if len(loss.evidence) == 0 {
		return []v1alpha1.Finding{f}
	}
	f.Severity = v1alpha1.SeverityCritical
	f.Summary += "; traffic fails meanwhile"
	f.Evidence = append(f.Evidence, loss.evidence...)
	if !loss.stays {
		f.Explanation = append(f.Explanation, "What the older agents run is not known; nothing that is written now explains the loss.")
	}
	f.RuledOut = ruledOutByTheConfig(in)
	return []v1alpha1.Finding{f}
}

// activation says how agents come to run what is written: not before fault, which
// may be empty, is out of it.
func activation(fault string) string {
	const when = "Agents read their configuration only when their pod is created. "
	if fault != "" {
		return when + "Do not restart them yet, and let no node reboot: " + fault + ". Correct the values first; then the agents have to be restarted: " + restartAgents + "."
	}
	return when + "Restart them: " + restartAgents + ". Setting rollOutCiliumPods makes the chart do it from then on."
}

// writtenFault is what the written configuration would break once an agent runs it;
// empty when nothing is known.
func (in *Input) writtenFault() string {
	if in.Start.Starts == snapshot.No && len(in.Start.Refusals) > 0 {
		r := in.Start.Refusals[0]
		return fmt.Sprintf("what is written now is refused at start (rule %s, %s)", r.ID, AgentRefusesToStart)
	}
	for _, family := range in.Families() {
		if slices.ContainsFunc(gaps(in, family), masqueradeGap.masks) {
			return "with what is written now, nodes masquerade what pods send to pods of other nodes over " + family + ", see the other findings"
		}
	}
	return ""
}

// masks: some node is in the group, and masquerades what it leaves open.
func (g masqueradeGap) masks() bool {
	return !g.group.unused && g.masquerade != cilium.MasqueradeOff
}

// drift is what agents say of their own configuration.
type drift struct {
	nodes    []string
	asked    int
	evidence []v1alpha1.Evidence
}

// drifted are the nodes whose agents say that keys of cilium-config differ from what
// they run. A key that was removed does not count there (pkg/driftchecker/checker.go,
// 1.18.6), so no drift refutes nothing.
func (in *Input) drifted() drift {
	var d drift
	for _, m := range in.Snapshot.AgentMetrics {
		if m.Drift.Known {
			d.asked++
		}
		if m.Drift.Value > 0 {
			d.nodes = append(d.nodes, m.Node)
			d.evidence = append(d.evidence, v1alpha1.Evidence{Kind: "metric", Source: m.Source,
				Text: fmt.Sprintf("%d keys of cilium-config differ from what the agent on %s runs (%s)", m.Drift.Value, m.Node, m.Drift.Source)})
		}
	}
	sort.Strings(d.nodes)
	return d
}

// oldAgents are the nodes whose agent is older than the configuration, sorted.
func (in *Input) oldAgents() []string {
	changed := in.Snapshot.AgentConfigChanged
	if changed.IsZero() {
		return nil
	}
	var old []string
	for _, a := range in.Snapshot.AgentDaemonSet.Value.Agents {
		if !a.Started.IsZero() && a.Started.Before(changed) {
			old = append(old, a.Node)
		}
	}
	sort.Strings(old)
	return old
}

// allAgentsYoung: every agent is known to have started after the change.
func (in *Input) allAgentsYoung() bool {
	agents, changed := in.Snapshot.AgentDaemonSet.Value.Agents, in.Snapshot.AgentConfigChanged
	return !changed.IsZero() && len(agents) > 0 && !slices.ContainsFunc(agents, func(a snapshot.AgentPod) bool { return !a.Started.After(changed) })
}

// loss is observed traffic that fails on the nodes of older agents.
type loss struct {
	evidence []v1alpha1.Evidence
	// stays: the written configuration loses some of it too.
	stays bool
}

func (in *Input) loss(old []string) loss {
	var out loss
	for _, o := range in.Snapshot.Probes {
		_, from := slices.BinarySearch(old, o.From.Node)
		_, to := slices.BinarySearch(old, o.To.Node)
		if o.Outcome != v1alpha1.OutcomeTimeout || !counts(in, o, o.Family) || (!from && !to) {
			continue
		}
		r, modelled := in.trace(o)
		lost := modelled && r.Delivered == snapshot.No
		// A sender that runs what is written loses it by that: masquerading is its own.
		if in.meant(o, r, modelled) || !from && lost {
			continue
		}
		out.stays = out.stays || lost
		out.evidence = append(out.evidence, v1alpha1.Evidence{Kind: "probe", Source: o.Source,
			Text: fmt.Sprintf("%s %s %s on %s → %s on %s: %s", o.Protocol, o.Via, end(o.From), o.From.Node, end(o.To), o.To.Node, timeoutText(o))})
	}
	for _, o := range in.Snapshot.Flux {
		if o.Ready == snapshot.No && fetchTimedOut(in.Snapshot, o.Message) {
			out.evidence = append(out.evidence, v1alpha1.Evidence{Kind: "log", Source: o.Source, Text: explained(in.Snapshot, o.Message)})
		}
	}
	sortEvidence(out.evidence)
	return out
}

// meant: a policy denies the packet although it carries the pod's identity, or
// nothing says that it should arrive.
func (in *Input) meant(o snapshot.ProbeObservation, r datapath.Result, modelled bool) bool {
	switch {
	case modelled && r.Delivered == snapshot.Yes:
		return false
	case modelled && r.Denied() && r.Source == datapath.SourcePod:
		return true
	}
	return !in.isOpen(o) && (!in.isGuarded(o) || otherNamespaces(o))
}

// ruledOutByTheConfig are neighbours that the written configuration cannot have.
func ruledOutByTheConfig(in *Input) []v1alpha1.RuledOut {
	var out []v1alpha1.RuledOut
	if sparesPods(in) {
		out = append(out, v1alpha1.RuledOut{Signature: NativeRoutingCIDRExcludesPods, Because: "what the written configuration spares from masquerade holds the pods"})
	}
	if in.Start.Starts == snapshot.Yes {
		out = append(out, v1alpha1.RuledOut{Signature: AgentRefusesToStart, Because: noRefusal})
	}
	if in.Live != nil && in.Rendered && len(Differences(in.Config, *in.Live)) == 0 {
		out = append(out, v1alpha1.RuledOut{Signature: LiveConfigDiffers, Because: "the live cilium-config is what the repository renders"})
	}
	return out
}

// sparesPods: the ranges of the pods are known and no node masquerades what is
// sent to them.
func sparesPods(in *Input) bool {
	for _, family := range in.Families() {
		pods, _ := in.PodRanges(family)
		if len(pods) == 0 || slices.ContainsFunc(gaps(in, family), masqueradeGap.masks) {
			return false
		}
	}
	return len(in.Families()) > 0
}
