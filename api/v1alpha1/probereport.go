package v1alpha1

import probe "github.com/remediate-dev/remediate/api/probe/v1alpha1"

// ProbeReport is a set of reachability observations.
type ProbeReport struct {
	APIVersion   string        `json:"apiVersion"`
	Kind         string        `json:"kind"`
	Metadata     ObjectMeta    `json:"metadata"`
	Observations []Observation `json:"observations"`
}

// ObjectMeta is the part of Kubernetes' metadata that the documents use.
type ObjectMeta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Endpoint is one end of an observed flow.
type Endpoint = probe.Endpoint

// Observation is what one probe saw.
type Observation = probe.Observation

// Outcomes of an Observation.
const (
	OutcomeOK          = probe.OutcomeOK
	OutcomeTimeout     = probe.OutcomeTimeout
	OutcomeRefused     = probe.OutcomeRefused
	OutcomeUnreachable = probe.OutcomeUnreachable
	OutcomeReset       = probe.OutcomeReset
	OutcomeTooBig      = probe.OutcomeTooBig
	OutcomeError       = probe.OutcomeError
	OutcomeNotChecked  = probe.OutcomeNotChecked
)

// Targets of an Observation.
const (
	TargetOpen    = probe.TargetOpen
	TargetGuarded = probe.TargetGuarded
)

// DetectResult is the answer of `remediate detect`.
type DetectResult struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Reports    []ProbeReport `json:"reports"`
	Findings   []Finding     `json:"findings"`
	// Pending are findings that observations support and that are not confirmed.
	Pending []Finding `json:"pending,omitempty"`
	// NotChecked says what was not, and why, a sentence each.
	NotChecked []string `json:"notChecked,omitempty"`
}
