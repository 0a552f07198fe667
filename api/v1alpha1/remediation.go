package v1alpha1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Remediation is the life of one incident: one confirmed cause and what became
// of it. The controller makes it, and could make it again from Git, the forge
// and the cluster.
//
// +kubebuilder:object:generate=true
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rmd,categories=remediate
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Signature",type=string,JSONPath=`.spec.signature`
// +kubebuilder:printcolumn:name="Family",type=string,JSONPath=`.spec.family`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.nodes.active`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes.wanted`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Pull request",type=string,JSONPath=`.status.pullRequest.url`,priority=1
type Remediation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RemediationSpec `json:"spec"`
	// +kubebuilder:default:={"observedGeneration":-1}
	Status RemediationStatus `json:"status,omitempty"`
}

// RemediationList is a list of Remediations.
//
// +kubebuilder:object:generate=true
// +kubebuilder:object:root=true
type RemediationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Remediation `json:"items"`
}

// RemediationSpec says which cause this is about. It is written once.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is written once by the controller: to start anew, delete the Remediation"
type RemediationSpec struct {
	// PolicyRef is the policy, in the same namespace.
	// +kubebuilder:validation:XValidation:rule="self.name.size() <= 253 && self.name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="name is no name of a RemediationPolicy"
	PolicyRef meta.LocalObjectReference `json:"policyRef"`
	// Signature of the known failure.
	Signature SignatureID `json:"signature"`
	// Cause is the hash of the facts that make this cause another one than the last
	// of the same signature: hexadecimal, 8 to 64 digits.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{8,64}$')",message="cause is a hash, 8 to 64 hexadecimal digits"
	Cause string `json:"cause"`
	// Family is IPv4, IPv6, or absent for both.
	// +kubebuilder:validation:Enum=IPv4;IPv6
	// +optional
	Family string `json:"family,omitempty"`
	// About tells causes of one signature and family apart; see [Finding.About].
	// +kubebuilder:validation:MaxLength=500
	// +optional
	About string `json:"about,omitempty"`
	// ReleaseRef is the HelmRelease, with its namespace.
	ReleaseRef ReleaseReference `json:"releaseRef"`
}

// Phase is the last step that was reached.
//
// +kubebuilder:validation:Enum=Detected;Planned;Held;Proposed;Merged;Reconciled;RolledOut;Ended
type Phase string

// Phases, in order. Held is a plan that the guard does not let through, the mode
// Observe among its reasons. Ended has a verdict that is final.
const (
	PhaseDetected   Phase = "Detected"
	PhasePlanned    Phase = "Planned"
	PhaseHeld       Phase = "Held"
	PhaseProposed   Phase = "Proposed"
	PhaseMerged     Phase = "Merged"
	PhaseReconciled Phase = "Reconciled"
	PhaseRolledOut  Phase = "RolledOut"
	PhaseEnded      Phase = "Ended"
)

// Verdict is what became of a change; absent as long as nothing was observed
// that allows one.
//
// +kubebuilder:validation:Enum=Verified;MergedNotActive;NotEffective;Regressed;FixedElsewhere;Closed;Abstained
type Verdict string

const (
	// VerdictVerified: what failed works, and nothing that worked before broke.
	VerdictVerified Verdict = "Verified"
	// VerdictMergedNotActive: merged, and not every agent runs with it. Not final.
	VerdictMergedNotActive Verdict = "MergedNotActive"
	// VerdictNotEffective: every agent runs with it, and what failed fails still.
	VerdictNotEffective Verdict = "NotEffective"
	// VerdictRegressed: something that worked before the pull request broke.
	VerdictRegressed Verdict = "Regressed"
	// VerdictFixedElsewhere: the finding went before our change was merged.
	VerdictFixedElsewhere Verdict = "FixedElsewhere"
	// VerdictClosed: people closed the pull request.
	VerdictClosed Verdict = "Closed"
	// VerdictAbstained: no change is safe enough to be proposed.
	VerdictAbstained Verdict = "Abstained"
)

// RemediationStatus is the incident as it stands.
//
// +kubebuilder:object:generate=true
type RemediationStatus struct {
	// ObservedGeneration is the generation that the conditions are about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, Reconciling, Stalled, and one of each step.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`

	// Phase is the last step that was reached.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Verdict on the last attempt.
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`
	// Because is the verdict's reason, a sentence.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Because string `json:"because,omitempty"`
	// Finding that was confirmed.
	// +optional
	Finding *FindingStatus `json:"finding,omitempty"`
	// Evidence for the cause.
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Evidence []Evidence `json:"evidence,omitempty"`
	// Plan that is proposed, or would be.
	// +optional
	Plan *PlanStatus `json:"plan,omitempty"`
	// PullRequest of the plan.
	// +optional
	PullRequest *PullRequestStatus `json:"pullRequest,omitempty"`
	// Commit that the pull request was merged as.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Commit string `json:"commit,omitempty"`
	// Attempts are the changes that were proposed, the present one last.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Attempts []Attempt `json:"attempts,omitempty"`
	// Nodes says where the change is active.
	// +optional
	Nodes *NodesStatus `json:"nodes,omitempty"`
	// Baseline is what worked and what did not before the pull request was opened.
	// +optional
	Baseline *Baseline `json:"baseline,omitempty"`
	// Now is the same, as it was observed last.
	// +optional
	Now *Baseline `json:"now,omitempty"`
	// Delivery says whether Flux brings the merged commit in.
	// +optional
	Delivery *DeliveryStatus `json:"delivery,omitempty"`
	// BreakGlass is what was done in Flux's place.
	// +optional
	BreakGlass *BreakGlassStatus `json:"breakGlass,omitempty"`
	// FollowUp is what a person can do next: a command, or a value to set.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	FollowUp string `json:"followUp,omitempty"`
	// Times of the steps.
	// +optional
	Times *StepTimes `json:"times,omitempty"`
	// History, oldest first.
	// +kubebuilder:validation:MaxItems=50
	// +optional
	History []HistoryEntry `json:"history,omitempty"`
}
