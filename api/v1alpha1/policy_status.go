package v1alpha1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RemediationPolicyStatus is what the controller found.
//
// +kubebuilder:object:generate=true
type RemediationPolicyStatus struct {
	// ObservedGeneration is the generation that the conditions are about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	meta.ReconcileRequestStatus `json:",inline"`

	// Release that was found.
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`
	// Source that changes go to.
	// +optional
	Source *SourceStatus `json:"source,omitempty"`
	// Probes that are listened to.
	// +optional
	Probes *ProbesStatus `json:"probes,omitempty"`
	// Matrix sums up what the probes say.
	// +optional
	Matrix *MatrixStatus `json:"matrix,omitempty"`
	// Active are the names of Remediations that have not ended.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=253
	// +optional
	Active []string `json:"active,omitempty"`
	// Pending are findings that are not confirmed, or have no Remediation yet, and what
	// they lack.
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Pending []PendingFinding `json:"pending,omitempty"`
	// LastJudged is when the probes' observations were judged last.
	// +optional
	LastJudged *metav1.Time `json:"lastJudged,omitempty"`
}

// ReleaseStatus is the HelmRelease that was found.
//
// +kubebuilder:object:generate=true
type ReleaseStatus struct {
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Version of the chart that is installed.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Version string `json:"version,omitempty"`
	// Kustomization (NAMESPACE/NAME) that applies the HelmRelease.
	// +kubebuilder:validation:MaxLength=317
	// +optional
	Kustomization string `json:"kustomization,omitempty"`
	// Suspended names what is suspended of the two.
	// +kubebuilder:validation:MaxLength=400
	// +optional
	Suspended string `json:"suspended,omitempty"`
}

// SourceStatus is the repository that changes go to.
//
// +kubebuilder:object:generate=true
type SourceStatus struct {
	// Name is NAMESPACE/NAME of the GitRepository; empty with spec.git.
	// +kubebuilder:validation:MaxLength=317
	// +optional
	Name string `json:"name,omitempty"`
	// URL without credentials.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	URL string `json:"url,omitempty"`
	// Branch that pull requests go to.
	// +kubebuilder:validation:MaxLength=244
	// +optional
	Branch string `json:"branch,omitempty"`
	// Path that the cluster is synchronised from.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`
	// Forge is the forge's type, as given or detected.
	// +optional
	Forge ForgeType `json:"forge,omitempty"`
}

// ProbesStatus says how much is observed.
//
// +kubebuilder:object:generate=true
type ProbesStatus struct {
	// Wanted is how many probes there should be, Heard how many were heard lately.
	Wanted int32 `json:"wanted"`
	Heard  int32 `json:"heard"`
	// LastHeard is when any of them was heard last, Oldest when the one that was
	// silent longest was.
	// +optional
	LastHeard *metav1.Time `json:"lastHeard,omitempty"`
	// +optional
	Oldest *metav1.Time `json:"oldest,omitempty"`
	// Silent are nodes whose probes are not heard, at most 10 of them.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=253
	// +optional
	Silent []string `json:"silent,omitempty"`
}

// MatrixStatus counts pairs of nodes, not the single probes between them.
//
// +kubebuilder:object:generate=true
type MatrixStatus struct {
	Nodes int32 `json:"nodes"`
	Pairs int32 `json:"pairs"`
	// Broken pairs fail in at least one way, Unknown were not observed lately.
	Broken  int32 `json:"broken"`
	Unknown int32 `json:"unknown"`
}

// PendingFinding is a finding that is not confirmed, or waits for its Remediation.
//
// +kubebuilder:object:generate=true
type PendingFinding struct {
	// +kubebuilder:validation:MaxLength=63
	Signature string `json:"signature"`
	// +kubebuilder:validation:MaxLength=8
	// +optional
	Family string `json:"family,omitempty"`
	// Lacks is what would confirm it, or what it waits for.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	Lacks string `json:"lacks,omitempty"`
}
