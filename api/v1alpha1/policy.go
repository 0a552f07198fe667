package v1alpha1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RemediationPolicy says which Cilium release is looked after, and how far the
// controller may go.
//
// +kubebuilder:object:generate=true
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rmp,categories=remediate
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="the name of a policy is at most 63 characters long: it becomes a label"
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.status.release.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Heard",type=integer,JSONPath=`.status.probes.heard`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`,priority=1
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.status.source.url`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RemediationPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// An empty specification observes HelmRelease cilium of the policy's namespace.
	// +kubebuilder:default={}
	Spec RemediationPolicySpec `json:"spec,omitempty"`
	// +kubebuilder:default:={"observedGeneration":-1}
	Status RemediationPolicyStatus `json:"status,omitempty"`
}

// RemediationPolicyList is a list of policies.
//
// +kubebuilder:object:generate=true
// +kubebuilder:object:root=true
type RemediationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemediationPolicy `json:"items"`
}

// Mode is how far the controller goes by itself.
//
// +kubebuilder:validation:Enum=Observe;Propose
type Mode string

const (
	// ModeObserve plans, says so in the Remediation and as an event, and opens nothing.
	ModeObserve Mode = "Observe"
	// ModePropose opens pull requests too. Nobody but people merges them.
	ModePropose Mode = "Propose"
)

// RemediationPolicySpec is what the operator wants.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!(has(self.sourceRef) && has(self.git))",message="sourceRef and git contradict each other: give one, or neither to use the source of the HelmRelease's Kustomization"
// +kubebuilder:validation:XValidation:rule="!has(self.breakGlass) || !has(self.breakGlass.enabled) || !self.breakGlass.enabled || has(self.mode) && self.mode == 'Propose'",message="breakGlass.enabled needs mode Propose: it brings in commits that were proposed and merged"
// +kubebuilder:validation:XValidation:rule="!has(self.pullRequest) || !has(self.pullRequest.commit) || !has(self.pullRequest.commit.method) || self.pullRequest.commit.method != 'API' || !has(self.forge) || !has(self.forge.type) || self.forge.type == 'github'",message="pullRequest.commit.method API needs a forge of type github"
type RemediationPolicySpec struct {
	// Mode: Observe plans and opens nothing, Propose opens pull requests.
	// +kubebuilder:default=Observe
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// ReleaseRef is the HelmRelease that installs Cilium.
	// +kubebuilder:default:={"name":"cilium"}
	// +optional
	ReleaseRef ReleaseReference `json:"releaseRef,omitempty"`

	// SourceRef is the GitRepository that holds the HelmRelease's values. Without it
	// and without git it is the source of the Kustomization that applies the
	// HelmRelease.
	// +optional
	SourceRef *SourceReference `json:"sourceRef,omitempty"`

	// Git is the repository itself, where no GitRepository stands for it.
	// +optional
	Git *GitSpec `json:"git,omitempty"`

	// Forge is where pull requests are opened. Without it it is detected from the
	// repository's URL, and reached with the credentials for Git.
	// +optional
	Forge *ForgeSpec `json:"forge,omitempty"`

	// Path is the directory of the repository that the cluster is synchronised from:
	// clusters/home. Without it it is the path of the Kustomization.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path is below the repository's root: neither absolute nor with '..'"
	// +optional
	Path string `json:"path,omitempty"`

	// Cluster is the cluster's name in branches and records. Without it it comes
	// from path. Clusters that share a repository need names of their own.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9][A-Za-z0-9._-]*$') && !self.matches(r'\.\.|\.$|\.lock$')`,message="cluster stands in branches' names: letters, digits and hyphens will do"
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// Signatures chooses among the known failures. Without it all are looked for.
	// +optional
	Signatures *SignaturesSpec `json:"signatures,omitempty"`

	// Probes says which probes are listened to.
	// +optional
	Probes *ProbesSpec `json:"probes,omitempty"`

	// PullRequest says how pull requests look and how many there may be.
	// +optional
	PullRequest *PullRequestSpec `json:"pullRequest,omitempty"`

	// Freezes are times in which nothing is proposed.
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Freezes []Freeze `json:"freezes,omitempty"`

	// Events says where events go besides Kubernetes.
	// +optional
	Events *EventsSpec `json:"events,omitempty"`

	// Commands are what people say in comments of pull requests.
	// +optional
	Commands *CommandsSpec `json:"commands,omitempty"`

	// BreakGlass lets the controller bring a merged commit in by itself when Flux
	// cannot, after a person's approval in each case.
	// +optional
	BreakGlass *BreakGlassSpec `json:"breakGlass,omitempty"`

	// Flux says where Flux runs.
	// +optional
	Flux *FluxSpec `json:"flux,omitempty"`

	// Verify says when a merged change has its verdict.
	// +optional
	Verify *VerifySpec `json:"verify,omitempty"`

	// Interval between looks at what no event tells: Git, the forge. 10s to 24h.
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="interval is a duration from 10s to 24h, such as 1m30s"
	// +optional
	Interval *metav1.Duration `json:"interval,omitempty"`

	// Timeout of one planning with clone, chart and proof. 10s to 1h.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('1h')",message="timeout is a duration from 10s to 1h, such as 5m"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Suspend stops everything; the status stays as it was.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// HistoryLimit is how many Remediations are kept after their end.
	// +kubebuilder:default=20
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 100",message="historyLimit is 1 to 100"
	// +optional
	HistoryLimit int32 `json:"historyLimit,omitempty"`
}

// ReleaseReference names a HelmRelease.
//
// +kubebuilder:object:generate=true
type ReleaseReference struct {
	// Name of the HelmRelease.
	// +kubebuilder:default=cilium
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="is no name of a Kubernetes object: small letters, digits, hyphens and dots"
	// +optional
	Name string `json:"name,omitempty"`
	// Namespace of the HelmRelease; without it the policy's own.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="is no namespace: small letters, digits and hyphens"
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// SourceReference names a Flux source.
//
// +kubebuilder:object:generate=true
type SourceReference struct {
	// Kind of the source: pull requests are made of Git only.
	// +kubebuilder:default=GitRepository
	// +kubebuilder:validation:XValidation:rule="self == 'GitRepository'",message="kind is GitRepository: a change is proposed to Git; give git.url where another source is made from it"
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the source.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="is no name of a Kubernetes object: small letters, digits, hyphens and dots"
	Name string `json:"name"`
	// Namespace of the source; without it the policy's own.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="is no namespace: small letters, digits and hyphens"
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// GitSpec is a repository with its credentials.
//
// +kubebuilder:object:generate=true
type GitSpec struct {
	// URL of the repository, of https or ssh, without credentials.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https://[^/@?#\s]+/[^?#\s]+$') || self.matches(r'^ssh://([\w.-]+@)?[^/@:?#\s]+(:[0-9]+)?/[^?#\s]+$')`,message="url is https://HOST/PATH or ssh://USER@HOST/PATH; credentials belong in the Secret of secretRef"
	URL string `json:"url"`
	// Branch that Flux reads; without it the server's default branch.
	// +kubebuilder:validation:MaxLength=244
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[\s[:cntrl:]~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$')`,message="branch is no name of a Git branch"
	// +optional
	Branch string `json:"branch,omitempty"`
	// SecretRef is the Secret with the keys that a GitRepository's has: username,
	// password, bearerToken, identity, known_hosts, ca.crt, githubAppID and its kin.
	// It is in the policy's namespace.
	// +kubebuilder:validation:XValidation:rule="self.name.size() <= 253 && self.name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="name is no name of a Secret: small letters, digits, hyphens and dots"
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
}
