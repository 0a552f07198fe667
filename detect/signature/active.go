package signature

import (
	"fmt"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// IDs of the signatures about what runs as opposed to what is written.
const (
	LiveConfigDiffers = "live-config-differs"
	ConfigNotActive   = "config-not-active"
)

func liveDiffers() Signature {
	return Signature{
		ID:       LiveConfigDiffers,
		Title:    "The cluster's cilium-config is not what the repository renders",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "What the agents read differs from what this repository would produce: another source of values, a change by hand, a revision that is not reconciled yet, " +
			"or another release. A change computed from the repository would be a change of something that is not live, so nothing is patched.",
		Shows:      []string{"kubectl get configmap -n kube-system cilium-config differs from the rendered chart"},
		DependsOn:  []string{"the live cilium-config", "the rendered cilium-config"},
		Confirms:   []string{"both were read and differ in a key that the agent knows"},
		Neighbours: []Neighbour{{ConfigNotActive, "there the ConfigMap is right and the agents have not read it"}},
		Versions:   "all",
		Sources:    []string{"cilium-dbg/cmd/build-config.go:71-80 (1.18.6)"},
		Detect:     detectLiveDiffers,
	}
}

// Differences lists the keys in which two configurations differ in effect: a
// key that one side leaves out counts only when the other sets it to something
// else than the agent's default, and one whose live value was left out of a
// snapshot does not count.
func Differences(rendered, live cilium.Config) []string {
	var out []string
	for key, sides := range cilium.Delta(rendered, live) {
		if sides[1] != nil && strings.Contains(*sides[1], snapshot.Removed) {
			continue
		}
		if sides[0] != nil && sides[1] != nil {
			out = append(out, key)
			continue
		}
		value := sides[0]
		if value == nil {
			value = sides[1]
		}
		if flag, ok := cilium.FlagByName(key); ok && *value != flag.Default {
			out = append(out, key)
		}
	}
	sort.Strings(out)
	return out
}

func detectLiveDiffers(in *Input) []v1alpha1.Finding {
	if in.Live == nil || !in.Rendered {
		return nil
	}
	keys := Differences(in.Config, *in.Live)
	if len(keys) == 0 {
		return nil
	}
	f := v1alpha1.Finding{
		Signature: LiveConfigDiffers, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed,
		Summary: fmt.Sprintf("the live cilium-config differs from what the repository renders in %d %s: %s", len(keys), plural("key", len(keys)), shorten(keys, 4)),
	}
	for _, k := range keys {
		f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "config", Source: in.Live.Source,
			Text: fmt.Sprintf("%s: live %s, repository %s", k, quoted(in.Live.Values, k), quoted(in.Config.Values, k))})
	}
	for _, o := range in.Snapshot.Flux {
		if o.Kind == "HelmRelease" && strings.Contains(o.Name, "cilium") && o.Message != "" {
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "log", Source: o.Source, Text: o.Message})
		}
	}
	return []v1alpha1.Finding{f}
}

func quoted(values map[string]string, key string) string {
	if v, ok := values[key]; ok {
		return fmt.Sprintf("%q", v)
	}
	return "not set"
}

func configNotActive() Signature {
	return Signature{
		ID:       ConfigNotActive,
		Title:    "The configuration changed and agents still run the old one",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "The agent's configuration is written once, by an init container of its pod. Unless rollOutCiliumPods is set, an upgrade that changes only values " +
			"updates the ConfigMap, the HelmRelease becomes Ready, and no agent is restarted. A restart of the container alone does not help either.",
		Shows:     []string{"Git and the HelmRelease are right and the symptom stays", "cilium_drift_checker_config_delta above 0"},
		DependsOn: []string{"when the data of cilium-config last changed", "when each agent pod's init container ran"},
		Confirms:  []string{"an agent pod older than the last change of cilium-config"},
		Refutes:   []string{"every agent pod younger than the last change of cilium-config"},
		Neighbours: []Neighbour{
			{LiveConfigDiffers, "there the ConfigMap itself is not what the repository renders"},
			{AgentRefusesToStart, "there new agents do not come up"},
		},
		Versions: "all",
		Sources:  []string{"install/kubernetes/cilium/templates/cilium-agent/daemonset.yaml:55-58, 450-515 (1.18.6)"},
		Detect:   detectConfigNotActive,
	}
}

func detectConfigNotActive(in *Input) []v1alpha1.Finding {
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
	if len(old) == 0 {
		return nil
	}
	sort.Strings(old)
	all := len(in.Snapshot.AgentDaemonSet.Value.Agents)
	return []v1alpha1.Finding{{
		Signature: ConfigNotActive, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed,
		Summary: fmt.Sprintf("%d of %d agents started before cilium-config last changed and run the previous configuration: %s", len(old), all, shorten(old, 4)),
		Evidence: []v1alpha1.Evidence{
			{Kind: "fact", Text: "cilium-config changed at " + changed.UTC().Format("2006-01-02T15:04:05Z"), Source: in.Snapshot.AgentConfig.Source},
			{Kind: "fact", Text: "older agents run on " + strings.Join(old, ", "), Source: in.Snapshot.AgentDaemonSet.Source},
		},
		Explanation: []string{"Agents read their configuration only when their pod is created. Restart the DaemonSet, or set rollOutCiliumPods so that the chart does."},
	}}
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func shorten(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}

func sortEvidence(es []v1alpha1.Evidence) {
	sort.SliceStable(es, func(i, j int) bool {
		if es[i].Source != es[j].Source {
			return es[i].Source < es[j].Source
		}
		return es[i].Text < es[j].Text
	})
}
