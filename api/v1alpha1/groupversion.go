package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of the custom resources and of the documents.
const Group = "remediate.dev"

// GroupVersion of the custom resources: [APIVersion] in parts.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// Kinds of the custom resources.
const (
	RemediationPolicyKind = "RemediationPolicy"
	RemediationKind       = "Remediation"
)

// AddToScheme makes the custom resources known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&RemediationPolicy{}, &RemediationPolicyList{},
		&Remediation{}, &RemediationList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Labels that the controller puts on Remediations.
const (
	// LabelPolicy is the name of the policy that a Remediation belongs to.
	LabelPolicy = Group + "/policy"
	// LabelSignature is the signature, LabelCause the first 16 digits of the cause's
	// hash.
	LabelSignature = Group + "/signature"
	LabelCause     = Group + "/cause"
)

// AnnotationApproveBreakGlass on a Remediation is a person's word that the
// controller may bring the merged commit in by itself. Its value is that
// commit, whole, as in status.commit, and after a space who approves it: an
// approval of another commit is none.
const AnnotationApproveBreakGlass = Group + "/approve-break-glass"
