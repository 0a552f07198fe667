package signature

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// IDs of the signatures about configurations that are refused or ignored.
const (
	AgentRefusesToStart  = "agent-refuses-to-start"
	ChartRefusesValues   = "chart-refuses-values"
	ValuesKeyHasNoEffect = "values-key-has-no-effect"
)

func agentRefuses() Signature {
	return Signature{
		ID:       AgentRefusesToStart,
		Title:    "The agent or the operator refuses this configuration",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "cilium-agent validates its flags when it starts and exits on combinations it does not support. Programs that are pinned keep forwarding, " +
			"but new pods, policies and routes stall on every node whose agent was replaced; with the DaemonSet's default two nodes at a time, an upgrade stops there.",
		Shows:     []string{"cilium pods in CrashLoopBackOff after an upgrade", "a level=fatal line, the message of the rule"},
		DependsOn: []string{"the rendered cilium-config", "the Cilium version"},
		Confirms:  []string{"an agent pod in CrashLoopBackOff"},
		Refutes:   []string{"every agent ready and started after the configuration changed"},
		Neighbours: []Neighbour{
			{ChartRefusesValues, "there Helm fails before anything reaches the cluster"},
			{ConfigNotActive, "there the agents run, with the previous configuration"},
		},
		Versions: "rules carry their own ranges; measured with 1.18.6, 1.19.6 and 1.20.2",
		Sources:  []string{"docs/reference/startup-rules.md"},
		Detect:   detectAgentRefuses,
	}
}

func detectAgentRefuses(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, r := range in.Start.Refusals {
		if r.Operator && strings.HasPrefix(r.ID, "O") && isPoolRule(r) {
			continue
		}
		who := "cilium-agent"
		if r.Operator {
			who = "cilium-operator"
		}
		f := v1alpha1.Finding{
			Signature: AgentRefusesToStart, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted, About: r.ID,
			Summary:  fmt.Sprintf("%s refuses to start with this configuration (rule %s): %s", who, r.ID, r.Message),
			Evidence: []v1alpha1.Evidence{{Kind: "rule", Text: r.ID + ": " + r.Message, Source: r.Source}},
		}
		for _, k := range r.Keys {
			if v, ok := in.Config.Values[k]; ok {
				f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "config", Text: fmt.Sprintf("%s: %q", k, v), Source: in.Config.Source})
			}
		}
		if pod, ok := crashingAgent(in.Snapshot); ok && !r.Operator {
			f.Confidence = v1alpha1.ConfidenceConfirmed
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "log", Source: "Pod " + pod.Name,
				Text: fmt.Sprintf("agent on %s: %s, %d restarts", pod.Node, pod.WaitingReason, pod.Restarts)})
		} else {
			f.Lacked = append(f.Lacked, "an agent pod in CrashLoopBackOff")
		}
		out = append(out, f)
	}
	return out
}

// isPoolRule: node-cidr-mask-impossible says the same with the numbers.
func isPoolRule(r cilium.Refusal) bool {
	for _, k := range r.Keys {
		if strings.HasSuffix(k, "-mask-size") {
			return true
		}
	}
	return false
}

func crashingAgent(s *snapshot.Snapshot) (snapshot.AgentPod, bool) {
	for _, a := range s.AgentDaemonSet.Value.Agents {
		if a.WaitingReason == "CrashLoopBackOff" {
			return a, true
		}
	}
	return snapshot.AgentPod{}, false
}

func chartRefuses() Signature {
	return Signature{
		ID:       ChartRefusesValues,
		Title:    "The chart refuses these values",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "The chart's templates fail, or its schema rejects a type. With Flux the HelmRelease becomes Ready=False " +
			"and nothing in the cluster changes; the previous release keeps running.",
		Shows:      []string{"HelmRelease Ready=False, UpgradeFailed or InstallFailed"},
		DependsOn:  []string{"the chart", "the values"},
		Confirms:   []string{"the HelmRelease says so itself"},
		Neighbours: []Neighbour{{AgentRefusesToStart, "there the chart renders and the agent exits"}},
		Versions:   "the chart in use",
		Sources:    []string{"install/kubernetes/cilium/templates/validate.yaml, cilium-configmap.yaml (1.18.6)"},
		Detect: func(in *Input) []v1alpha1.Finding {
			if in.RenderFailure == "" {
				return nil
			}
			return []v1alpha1.Finding{{
				Signature: ChartRefusesValues, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted,
				Summary:  "the chart refuses these values: " + firstLine(in.RenderFailure),
				Evidence: []v1alpha1.Evidence{{Kind: "rule", Text: in.RenderFailure, Source: "helm template"}},
			}}
		},
	}
}

func keyWithoutEffect() Signature {
	return Signature{
		ID:       ValuesKeyHasNoEffect,
		Title:    "A value that no template reads",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "Cilium's values schema accepts every unknown key, so a misspelt or misplaced one is accepted in silence and does nothing. " +
			"Rendering the chart with and without the key gives the same manifests.",
		Shows:      []string{"a setting that never takes effect", "no warning anywhere"},
		DependsOn:  []string{"the chart", "the values"},
		Confirms:   []string{"the same manifests with and without the key"},
		Neighbours: []Neighbour{{ConfigNotActive, "there the key reaches cilium-config and the agents have not read it"}},
		Versions:   "the chart in use",
		Sources:    []string{"install/kubernetes/cilium/values.schema.json has no additionalProperties (1.18.6)"},
		Detect: func(in *Input) []v1alpha1.Finding {
			var out []v1alpha1.Finding
			for _, k := range in.DeadKeys {
				out = append(out, deadKey(k))
			}
			return out
		},
	}
}

func deadKey(k DeadKey) v1alpha1.Finding {
	f := v1alpha1.Finding{
		Signature: ValuesKeyHasNoEffect, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed, About: k.Path,
		Summary: fmt.Sprintf("%s does nothing: no template of the chart reads it", k.Path),
		Evidence: []v1alpha1.Evidence{
			{Kind: "config", Text: k.Path + ": " + k.Value, Source: k.Source},
			{Kind: "model", Text: "the chart renders the same with and without it", Source: "helm template"},
		},
	}
	if k.RightKey != "" {
		f.Summary += fmt.Sprintf("; the chart's key is %s", k.RightKey)
		f.Explanation = []string{fmt.Sprintf("Renaming it to %s would change what the agents run, so it is reported and never bundled with another fix.", k.RightKey)}
	}
	return f
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
