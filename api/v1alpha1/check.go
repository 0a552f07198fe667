package v1alpha1

// CheckResult is the answer of `remediate check`: what a change of the
// repository does to every Cilium release in it.
type CheckResult struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Base and Head are the states that were compared.
	Base CheckState `json:"base"`
	Head CheckState `json:"head"`
	// Same: no file differs between the states, so that nothing was compared.
	Same bool `json:"same,omitempty"`
	// FailOn is the severity from which an introduced problem fails the check.
	FailOn Severity `json:"failOn"`
	// Releases are those that were judged, in either state.
	Releases []CheckedRelease `json:"releases"`
	// Problems of the checked state, introduced ones first, worst first.
	Problems []Problem `json:"problems"`
	// Repairs are problems of the base that the checked state no longer has.
	Repairs []Repair `json:"repairs"`
	// Unknown names facts that were looked for and not found.
	Unknown []string `json:"unknown"`
}

// CheckState is one state of the repository.
type CheckState struct {
	// Name is what the reader asked for: "working tree", "HEAD", "origin/main".
	Name string `json:"name"`
	// Commit is empty for the working tree.
	Commit string `json:"commit,omitempty"`
	// How says how the state was chosen when nobody named it.
	How string `json:"how,omitempty"`
}

// CheckedRelease is a Cilium release of the repository.
type CheckedRelease struct {
	// Release is NAMESPACE/NAME; ClusterPath is what Flux applies it from.
	Release     string `json:"release"`
	ClusterPath string `json:"clusterPath,omitempty"`
	Chart       string `json:"chart,omitempty"`
	Version     string `json:"version,omitempty"`
	// File and Line are where the HelmRelease stands.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// In is "both", "base" or "head".
	In string `json:"in"`
	// Changed are the merged Helm values that differ; secret values are masked.
	Changed []ValueChange `json:"changed"`
	// Flows compare the datapath before and after; nil when a state could not be modelled.
	Flows *FlowCounts `json:"flows,omitempty"`
}

// ValueChange is one Helm value that differs between two states. A missing side is null.
type ValueChange struct {
	Path string `json:"path"`
	From any    `json:"from"`
	To   any    `json:"to"`
	// Source is file:line of the value in the checked state, or in the base when it is gone.
	Source string `json:"source,omitempty"`
}

// Problem is a finding of the checked state; Introduced says whether the base
// was free of it.
type Problem struct {
	Signature  string     `json:"signature"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence,omitempty"`
	Introduced bool       `json:"introduced"`
	// Release is NAMESPACE/NAME; ClusterPath tells it from the same release of another cluster.
	Release     string `json:"release,omitempty"`
	ClusterPath string `json:"clusterPath,omitempty"`
	Family      string `json:"family,omitempty"`
	Summary     string `json:"summary"`
	// File and Line are where a reviewer should look; empty when the problem is in no file.
	File     string     `json:"file,omitempty"`
	Line     int        `json:"line,omitempty"`
	Evidence []Evidence `json:"evidence"`
	// Advice says what to do instead, where that is known.
	Advice string `json:"advice,omitempty"`
}

// Repair is a finding of the base that the checked state no longer has.
type Repair struct {
	Signature   string   `json:"signature"`
	Severity    Severity `json:"severity,omitempty"`
	Release     string   `json:"release,omitempty"`
	ClusterPath string   `json:"clusterPath,omitempty"`
	Summary     string   `json:"summary"`
	// MaskedBy names the value that only hides the failure: with its old value
	// the failure would be there still.
	MaskedBy string `json:"maskedBy,omitempty"`
}
