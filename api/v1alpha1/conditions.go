package v1alpha1

import "github.com/fluxcd/pkg/apis/meta"

// Conditions of a Remediation besides Ready, Reconciling and Stalled of
// [github.com/fluxcd/pkg/apis/meta]: one for each step, in the order in which
// they become true. One that is not true says in its message what it waits for.
const (
	// DetectedCondition: probes confirm the cause.
	DetectedCondition = "Detected"
	// PlannedCondition: there is a proven change for it.
	PlannedCondition = "Planned"
	// GuardedCondition: the guard lets the change through.
	GuardedCondition = "Guarded"
	// ProposedCondition: its pull request is open.
	ProposedCondition = "Proposed"
	// MergedCondition: the pull request was merged.
	MergedCondition = "Merged"
	// ReconciledCondition: Flux applied the merged commit; cilium-config holds what
	// was planned.
	ReconciledCondition = "Reconciled"
	// RolledOutCondition: every agent runs with it.
	RolledOutCondition = "RolledOut"
	// VerifiedCondition: what failed works, and nothing else broke.
	VerifiedCondition = "Verified"
)

// Steps are the conditions of a Remediation's steps, in order.
func Steps() []string {
	return []string{
		DetectedCondition, PlannedCondition, GuardedCondition, ProposedCondition,
		MergedCondition, ReconciledCondition, RolledOutCondition, VerifiedCondition,
	}
}

// OwnedConditions are those that the controller sets on its kinds, for
// [github.com/fluxcd/pkg/runtime/patch.WithOwnedConditions].
func OwnedConditions() []string {
	return append(Steps(), ResolvedCondition, ObservingCondition,
		meta.ReadyCondition, meta.ReconcilingCondition, meta.StalledCondition)
}

// Conditions of a RemediationPolicy besides Ready, Reconciling and Stalled.
const (
	// ResolvedCondition: the release, its source and the forge were found.
	ResolvedCondition = "Resolved"
	// ObservingCondition: the probes of every node are heard.
	ObservingCondition = "Observing"
)

// Reasons of conditions and events, besides those of
// [github.com/fluxcd/pkg/apis/meta]. The names of verdicts are reasons too.
const (
	// WaitingReason: the step waits for something that comes by itself.
	WaitingReason = "Waiting"
	// HeldReason: the guard does not let the change through; the message has the rule.
	HeldReason = "Held"
	// HandsOffReason: a person took the pull request over.
	HandsOffReason = "HandsOff"
	// NotObservedReason: nothing was seen that would allow a verdict.
	NotObservedReason = "NotObserved"
	// ConflictReason: an older policy looks after the same release.
	ConflictReason = "Conflict"
	// InvalidSpecReason: the specification contradicts itself, or what is there.
	InvalidSpecReason = "InvalidSpec"
	// AccessDeniedReason: a reference to another namespace is not allowed.
	AccessDeniedReason = "AccessDenied"
	// NotFoundReason: something that is referred to is not there.
	NotFoundReason = "NotFound"
	// SecretReason: a Secret lacks a key, or holds one that cannot be used.
	SecretReason = "InvalidSecret"
	// ForgeReason: the Git server or its API does not answer, or refuses.
	ForgeReason = "ForgeFailed"
	// GitReason: the repository cannot be read or pushed to.
	GitReason = "GitFailed"
	// ProbesSilentReason: some nodes' probes are not heard.
	ProbesSilentReason = "ProbesSilent"
	// PlanFailedReason: no plan could be made.
	PlanFailedReason = "PlanFailed"
	// ClusterReason: the API server does not answer, or refuses.
	ClusterReason = "ClusterFailed"
	// DeliveryReason: the merged commit will not arrive by itself.
	DeliveryReason = "NotDelivered"
	// ApprovalReason: break-glass waits for a person's approval.
	ApprovalReason = "ApprovalNeeded"
)
