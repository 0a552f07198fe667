package v1alpha1

import "github.com/fluxcd/pkg/apis/meta"

// PullRequestSpec says how pull requests look and how many there may be. It has
// the fields of Flux's ImageUpdateAutomation where it has the same (spec.git.commit).
//
// +kubebuilder:object:generate=true
type PullRequestSpec struct {
	// Commit of the change.
	Commit CommitSpec `json:"commit,omitempty"`
	// Labels, created when missing. Default: remediation, area/cilium.
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=50
	// +kubebuilder:validation:items:MinLength=1
	Labels []string `json:"labels,omitempty"`
	// Reviewers are logins; ORG/TEAM is a team, where the forge has teams.
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=200
	// +kubebuilder:validation:items:MinLength=1
	Reviewers []string `json:"reviewers,omitempty"`
	// Draft: auto (a draft unless the finding is confirmed), always or never.
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self in ['auto', 'always', 'never']",message="draft is auto, always or never"
	Draft string `json:"draft,omitempty"`
	// Limits of how many, and when none.
	Limits LimitsSpec `json:"limits,omitempty"`
}

// CommitSpec is spec.git.commit of Flux's ImageUpdateAutomation.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:XValidation:rule="!has(self.method) || self.method != 'API' || !has(self.signingKey)",message="signingKey and method API contradict each other: the forge signs the commits that it makes"
type CommitSpec struct {
	// Author of the commit, also its committer. Left out where the forge makes the
	// commit (method API).
	Author CommitUser `json:"author,omitempty"`
	// SigningKey names the Secret with git.asc and passphrase, or identity and password.
	SigningKey *SigningKey `json:"signingKey,omitempty"`
	// MessageTemplate is a Go template for the message; trailers are added below it.
	// +kubebuilder:validation:MaxLength=8192
	MessageTemplate string `json:"messageTemplate,omitempty"`
	// MessageTemplateValues are given to the template as .Values.
	// +kubebuilder:validation:MaxProperties=64
	MessageTemplateValues map[string]string `json:"messageTemplateValues,omitempty"`
	// SignOff adds Signed-off-by (Developer Certificate of Origin).
	SignOff bool `json:"signOff,omitempty"`
	// Method: Push, or API: the forge makes the commit and signs it in its own name
	// (GitHub with a GitHub App).
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self in ['Push', 'API']",message="method is Push, or API for commits that GitHub makes"
	Method string `json:"method,omitempty"`
}

// CommitUser is a name and an address.
//
// +kubebuilder:object:generate=true
type CommitUser struct {
	// +kubebuilder:validation:MaxLength=200
	Name string `json:"name,omitempty"`
	// +kubebuilder:validation:MaxLength=254
	Email string `json:"email,omitempty"`
}

// SigningKey references a Secret.
//
// +kubebuilder:object:generate=true
type SigningKey struct {
	// +kubebuilder:validation:XValidation:rule="self.name.size() <= 253 && self.name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="name is no name of a Secret: small letters, digits, hyphens and dots"
	SecretRef meta.LocalObjectReference `json:"secretRef,omitempty"`
}

// LimitsSpec bounds proposals; see remediate/guard.
//
// +kubebuilder:object:generate=true
type LimitsSpec struct {
	// MaxOpen pull requests at once. Default 1.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 1000",message="maxOpen is 0 (no limit) to 1000"
	MaxOpen *int `json:"maxOpen,omitempty"`
	// MaxPerDay pull requests opened in 24 hours. Default 5.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 1000",message="maxPerDay is 0 (no limit) to 1000"
	MaxPerDay *int `json:"maxPerDay,omitempty"`
	// MaxNotReadyPercent of nodes above which nothing is proposed. Default 20.
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 100",message="maxNotReadyPercent is a percentage, 0 to 100"
	MaxNotReadyPercent *int `json:"maxNotReadyPercent,omitempty"`
}

// PullRequestAction says what was done about a proposal.
type PullRequestAction string

const (
	// PullRequestOpened: a new pull request, or a pushed branch without a forge.
	PullRequestOpened PullRequestAction = "Opened"
	// PullRequestUpdated: built anew on the base as it is now, and proven again.
	PullRequestUpdated PullRequestAction = "Updated"
	// PullRequestUnchanged: it is open and as it should be.
	PullRequestUnchanged PullRequestAction = "Unchanged"
	// PullRequestClosed: closed by us, with a word why.
	PullRequestClosed PullRequestAction = "Closed"
	// PullRequestMerged: it was merged; the verification has the word now.
	PullRequestMerged PullRequestAction = "Merged"
	// PullRequestHandsOff: a human pushed to the branch; it is theirs now.
	PullRequestHandsOff PullRequestAction = "HandsOff"
	// PullRequestHeld: the guard did not let it through.
	PullRequestHeld PullRequestAction = "Held"
	// PullRequestNoChange: there is nothing to propose.
	PullRequestNoChange PullRequestAction = "NoChange"
)

// PullRequestOutcome is what became of a proposal.
type PullRequestOutcome struct {
	Action PullRequestAction `json:"action"`
	Number int               `json:"number,omitempty"`
	URL    string            `json:"url,omitempty"`
	Branch string            `json:"branch,omitempty"`
	Base   string            `json:"base,omitempty"`
	// Commit is the head of the branch; once merged, the commit on the base.
	Commit    string `json:"commit,omitempty"`
	Candidate string `json:"candidate,omitempty"`
	Draft     bool   `json:"draft,omitempty"`
	// Rule is the guard's rule that held it back.
	Rule string `json:"rule,omitempty"`
	// Because says why this was done, or not done.
	Because []string `json:"because,omitempty"`
	// Warnings are what did not work and does not matter: a label, a reviewer.
	Warnings []string `json:"warnings,omitempty"`
}
