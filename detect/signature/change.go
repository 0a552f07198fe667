package signature

import "github.com/remediate-dev/remediate/api/v1alpha1"

// IDs of what only a comparison of two states of the repository can find.
const (
	ChangeBreaksFlows   = "change-breaks-flows"
	FaultOnlyMasked     = "fault-only-masked"
	ValueOverridden     = "value-overridden"
	ReleaseDoesNotBuild = "release-does-not-build"
	ReleaseRemoved      = "release-removed"
)

// comparedOnly: one state alone does not show it.
func comparedOnly(*Input) []v1alpha1.Finding { return nil }

func changeBreaksFlows() Signature {
	return Signature{
		ID:       ChangeBreaksFlows,
		Title:    "A change loses packets that arrived before",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "The model of the datapath walks the same flows under the configuration before the change and after it. Flows that were delivered before and are lost after " +
			"are broken by the change, whatever the values look like.",
		Shows:     []string{"after the agents restart, traffic fails that worked"},
		DependsOn: []string{"both states of the repository", "pod CIDRs or their pool; with a snapshot also pods, services and policies"},
		Confirms:  []string{"probes between the same pods, before and after"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there the cause has a name; this one is reported only when no named cause explains the loss"},
			{AgentRefusesToStart, "there the agents stop and the previous datapath stays"},
		},
		Versions: "the model was checked against 1.16 to 1.20",
		Sources:  []string{"docs/design"},
		Detect:   comparedOnly,
	}
}

func faultOnlyMasked() Signature {
	return Signature{
		ID:       FaultOnlyMasked,
		Title:    "A change hides a fault and does not cure it",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "Packets are dropped where a policy meets an address that was masqueraded. Switching off masquerade, policy enforcement or an address family stops the drops " +
			"and leaves the wrong value where it is: with the old value of the switch the fault is back. Each switch costs something of its own: " +
			"pods with private addresses lose the internet, policies are enforced nowhere, or a family is gone.",
		Shows:     []string{"the symptom goes, and internet access over the family, policy enforcement or the family itself goes with it"},
		DependsOn: []string{"both states of the repository", "what the fault itself depends on"},
		Confirms:  []string{"the fault returns when only the switch is set back"},
		Refutes:   []string{"the fault stays away when the switch is set back"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there the fault drops packets now"},
		},
		Versions: "1.16 to 1.20",
		Sources:  []string{masqueradeSources, "pkg/policy/repository.go:360 (1.18.6)"},
		Detect:   comparedOnly,
	}
}

func valueOverridden() Signature {
	return Signature{
		ID:       ValueOverridden,
		Title:    "A changed value that another source overrides",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "Helm values of a HelmRelease are merged from several sources: valuesFrom in their order, then spec.values; patches come on top. The last source that sets a key wins. " +
			"A value that is changed in another source than the winning one changes nothing in the cluster.",
		Shows:     []string{"the change is merged and reconciled, and nothing happens"},
		DependsOn: []string{"both states of the repository"},
		Confirms:  []string{"no release that reads the source takes the value from it"},
		Refutes:   []string{"some release that reads the source takes the value from it"},
		Neighbours: []Neighbour{
			{ValuesKeyHasNoEffect, "there the value reaches the chart, and no template reads it"},
		},
		Versions: "all",
		Sources:  []string{"fluxcd/pkg/chartutil, ChartValuesFromReferences"},
		Detect:   comparedOnly,
	}
}

func releaseDoesNotBuild() Signature {
	return Signature{
		ID:       ReleaseDoesNotBuild,
		Title:    "What Flux applies can no longer be built",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "A file does not parse, is missing, or kustomize refuses it, so Flux cannot build the Kustomization that holds the release, or the values cannot be merged. " +
			"Nothing in the cluster changes until that is repaired, and every other change of the same Kustomization waits with it.",
		Shows:     []string{"Kustomization Ready=False, BuildFailed", "HelmRelease Ready=False, ValuesError"},
		DependsOn: []string{"both states of the repository"},
		Confirms:  []string{"flux build kustomization fails"},
		Neighbours: []Neighbour{
			{ChartRefusesValues, "there the values can be merged and the chart fails on them"},
			{ReleaseRemoved, "there everything builds, and the release is not part of it any more"},
		},
		Versions: "all",
		Sources:  []string{"fluxcd/pkg/kustomize"},
		Detect:   comparedOnly,
	}
}

func releaseRemoved() Signature {
	return Signature{
		ID:       ReleaseRemoved,
		Title:    "A Cilium release leaves what Flux applies",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "Nothing that Flux applies holds the HelmRelease any more. With spec.prune set Flux deletes it, and helm-controller uninstalls the chart: " +
			"the agents go, and with them the cluster's network for every new pod.",
		Shows:     []string{"the HelmRelease is pruned; cilium pods terminate"},
		DependsOn: []string{"both states of the repository"},
		Confirms:  []string{"flux diff kustomization lists the HelmRelease as deleted"},
		Refutes:   []string{"a release of the same namespace and name elsewhere in what Flux applies"},
		Neighbours: []Neighbour{
			{ReleaseDoesNotBuild, "there the build fails, and Flux deletes nothing"},
		},
		Versions: "all",
		Sources:  []string{"fluxcd/kustomize-controller, garbage collection", "fluxcd/helm-controller, finalizers"},
		Detect:   comparedOnly,
	}
}
