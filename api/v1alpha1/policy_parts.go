package v1alpha1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ForgeType is the software of a Git server.
//
// +kubebuilder:validation:XValidation:rule="self in ['github', 'gitlab', 'gitea', 'plain']",message="type is github, gitlab, gitea (Forgejo too) or plain (branches are pushed and no pull request is opened)"
// +kubebuilder:validation:MaxLength=16
type ForgeType string

// Known forges. Plain is any Git server: a branch is pushed, and people take it
// from there.
const (
	ForgeGitHub ForgeType = "github"
	ForgeGitLab ForgeType = "gitlab"
	ForgeGitea  ForgeType = "gitea"
	ForgePlain  ForgeType = "plain"
)

// ForgeSpec is where pull requests are opened.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'plain' || !has(self.url) && !has(self.secretRef)",message="url and secretRef are for a forge's API: type plain has none"
type ForgeSpec struct {
	// Type of the forge: github, gitlab, gitea (Forgejo too), or plain, which pushes
	// a branch and opens nothing. Without it it is detected.
	// +optional
	Type ForgeType `json:"type,omitempty"`
	// URL of the forge, where it is not the host of the repository's URL.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https://[^/@?#\s]+(/[^?#\s]*)?$')`,message="url is https://HOST or https://HOST/PATH; credentials belong in the Secret of secretRef"
	// +optional
	URL string `json:"url,omitempty"`
	// SecretRef is a Secret of its own for the forge's API, in the policy's
	// namespace: token, or username and password, githubAppID and its kin, ca.crt.
	// +kubebuilder:validation:XValidation:rule="self.name.size() <= 253 && self.name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="name is no name of a Secret: small letters, digits, hyphens and dots"
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
	// Branch that pull requests go to; without it the one that Flux reads.
	// +kubebuilder:validation:MaxLength=244
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[\s[:cntrl:]~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$')`,message="branch is no name of a Git branch"
	// +optional
	Branch string `json:"branch,omitempty"`
}

// SignatureID is the name of a known failure: native-routing-cidr-excludes-pods.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')",message="is no name of a signature: remediate explain lists them"
type SignatureID string

// SignaturesSpec chooses among the known failures.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.enable) || !has(self.disable) || !self.enable.exists(s, s in self.disable)",message="enable and disable name the same signature: take it out of one of them"
type SignaturesSpec struct {
	// Enable only these; empty enables all.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Enable []SignatureID `json:"enable,omitempty"`
	// Disable these.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Disable []SignatureID `json:"disable,omitempty"`
}

// ExternalTarget is an address outside of the cluster and a TCP port.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-fA-F]*:[0-9a-fA-F:.]*\]):[1-9][0-9]{0,4}$')`,message="is no address with a port: 192.0.2.1:443, [2001:db8::1]:443"
type ExternalTarget string

// ProbesSpec says which probes are listened to.
//
// +kubebuilder:object:generate=true
type ProbesSpec struct {
	// Namespace that the probes run in.
	// +kubebuilder:default=remediate-probe
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="is no namespace: small letters, digits and hyphens"
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Host: the twins in the nodes' own network are installed and listened to.
	// +optional
	Host bool `json:"host,omitempty"`
	// External are addresses outside of the cluster that probes try too.
	// +kubebuilder:validation:MaxItems=8
	// +listType=set
	// +optional
	External []ExternalTarget `json:"external,omitempty"`
	// Managed: the controller tells the probes which of them there are, by their
	// ConfigMap. False where something else does.
	// +kubebuilder:default=true
	// +optional
	Managed *bool `json:"managed,omitempty"`
	// SilentAfter is how long a probe may be silent before it is told. 10s to 1h.
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('1h')",message="silentAfter is a duration from 10s to 1h, such as 1m"
	// +optional
	SilentAfter *metav1.Duration `json:"silentAfter,omitempty"`
}

// Weekday is a day of the week: Mon, Tue, Wed, Thu, Fri, Sat or Sun.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// Freeze is a time in which nothing is proposed: once, from From to To, or again
// and again, from Start to End on Days.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="has(self.from) == has(self.to) && has(self.start) == has(self.end) && has(self.from) != has(self.start)",message="a freeze has from and to (once), or start and end (again and again), and not both"
// +kubebuilder:validation:XValidation:rule="!has(self.from) || !has(self.to) || self.from < self.to",message="from is not before to"
// +kubebuilder:validation:XValidation:rule="!has(self.start) || !has(self.end) || self.start != self.end",message="start and end are the same time: for whole days use 00:00 and 24:00"
// +kubebuilder:validation:XValidation:rule="!has(self.from) || !has(self.days) && !has(self.timeZone)",message="days and timeZone go with start and end; from and to hold their zone themselves"
type Freeze struct {
	// From is the start of a freeze that happens once (RFC 3339).
	// +optional
	From *metav1.Time `json:"from,omitempty"`
	// To is its end, and not part of it.
	// +optional
	To *metav1.Time `json:"to,omitempty"`
	// Days on which a recurring freeze starts; empty is every day.
	// +kubebuilder:validation:MaxItems=7
	// +listType=set
	// +optional
	Days []Weekday `json:"days,omitempty"`
	// Start of a recurring freeze: a time of the day, HH:MM.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",message="start is a time of the day from 00:00 to 23:59"
	// +optional
	Start string `json:"start,omitempty"`
	// End of a recurring freeze, HH:MM. An End before Start is on the next day; 24:00
	// is the end of the day.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",message="end is a time of the day from 00:00 to 24:00"
	// +optional
	End string `json:"end,omitempty"`
	// TimeZone of Start and End by its name in the IANA database; empty is UTC.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",message="timeZone is a name of the IANA database, such as Europe/Berlin"
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// Reason is told wherever the freeze holds something back.
	// +kubebuilder:validation:MaxLength=200
	// +optional
	Reason string `json:"reason,omitempty"`
}

// EventsSpec says where events go besides Kubernetes.
//
// +kubebuilder:object:generate=true
type EventsSpec struct {
	// Address of Flux's notification-controller; empty leaves it to the controller's
	// flags. Kubernetes events about the HelmRelease are made in any case.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https?://[^/@?#\s]+(/[^?#\s]*)?$')`,message="address is http://HOST/ or https://HOST/, without credentials"
	// +optional
	Address string `json:"address,omitempty"`
}

// Login is a name at the forge.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=100
type Login string

// CommandsSpec says who is heard in comments of pull requests.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.allowedUsers) || !has(self.enabled) || self.enabled",message="allowedUsers are set while commands are not enabled: nobody is heard"
type CommandsSpec struct {
	// Enabled: comments are read.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// AllowedUsers are the logins that are heard; empty hears everyone who may push
	// to the repository. Others are not heard in any case.
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	// +optional
	AllowedUsers []Login `json:"allowedUsers,omitempty"`
}

// BreakGlassSpec lets the controller bring in what Flux cannot.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || has(self.enabled) && self.enabled",message="serviceAccountName is set while breakGlass is not enabled"
type BreakGlassSpec struct {
	// Enabled: with a person's approval on the Remediation the controller does what
	// its instructions say, for a commit that is merged.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// ServiceAccountName of the account that it is done with, in the controller's
	// namespace. Its rights are not part of the default install. Empty is
	// remediate-break-glass.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="is no name of a ServiceAccount: small letters, digits, hyphens and dots"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// FluxSpec says where Flux runs.
//
// +kubebuilder:object:generate=true
type FluxSpec struct {
	// Namespace of Flux's controllers.
	// +kubebuilder:default=flux-system
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="is no namespace: small letters, digits and hyphens"
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// VerifySpec says when a merged change has its verdict.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.timeout) || (!has(self.hold) || duration(self.hold) < duration(self.timeout)) && (!has(self.grace) || duration(self.grace) < duration(self.timeout))",message="timeout is not longer than hold and grace: no verdict could be reached"
type VerifySpec struct {
	// Hold is for how long what failed must work, or fail still. 5s to 1h.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('1h')",message="hold is a duration from 5s to 1h, such as 30s"
	// +optional
	Hold *metav1.Duration `json:"hold,omitempty"`
	// Grace is for how long agents may run what was before until that is
	// MergedNotActive. 10s to 24h.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="grace is a duration from 10s to 24h, such as 10m"
	// +optional
	Grace *metav1.Duration `json:"grace,omitempty"`
	// Timeout is for how long after the merge the change is followed closely. What
	// has no verdict then is told, and looked at every hour. 1m to 168h.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="timeout is a duration from 1m to 168h, such as 24h"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}
