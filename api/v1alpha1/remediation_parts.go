package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FindingStatus is a [Finding] without its proofs.
//
// +kubebuilder:object:generate=true
type FindingStatus struct {
	// +kubebuilder:validation:Enum=critical;warning;info
	Severity Severity `json:"severity"`
	// +kubebuilder:validation:Enum=confirmed;predicted;possible
	Confidence Confidence `json:"confidence"`
	// +kubebuilder:validation:MaxLength=1024
	Summary string `json:"summary"`
	// Since is the first observation that supports it.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// Present: it was still there when it was looked for last.
	Present bool `json:"present"`
	// RuledOut are neighbouring signatures that are not the cause.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=300
	// +optional
	RuledOut []string `json:"ruledOut,omitempty"`
}

// PlanStatus is a [Plan], as much as fits.
//
// +kubebuilder:object:generate=true
type PlanStatus struct {
	// Hash of the plan: the same facts give the same hash, also on the command line.
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash"`
	// Revision of the repository that was planned on.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Revision string `json:"revision,omitempty"`
	// Candidate that is proposed; Title says what it does.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Candidate string `json:"candidate,omitempty"`
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Title string `json:"title,omitempty"`
	// Changes of Helm values.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Changes []ChangeStatus `json:"changes,omitempty"`
	// ConfigDelta are the keys of cilium-config that the change sets or removes.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	ConfigDelta []ConfigKey `json:"configDelta,omitempty"`
	// ValuesDigest is the digest of the merged values that Flux will release, as in
	// the HelmRelease's status.history[].configDigest.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	ValuesDigest string `json:"valuesDigest,omitempty"`
	// Restart are the workloads that read the change only when they start.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=253
	// +optional
	Restart []string `json:"restart,omitempty"`
	// Candidates are the ids of all, best first.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +optional
	Candidates []string `json:"candidates,omitempty"`
	// Abstained says why nothing is proposed.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Abstained string `json:"abstained,omitempty"`
	// Diff is unified; DiffCut says that it is longer than what is here.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Diff string `json:"diff,omitempty"`
	// +optional
	DiffCut bool `json:"diffCut,omitempty"`
}

// ChangeStatus is one changed Helm value. From is absent for a new key. Values
// are JSON, cut when they are long.
//
// +kubebuilder:object:generate=true
type ChangeStatus struct {
	// +kubebuilder:validation:MaxLength=253
	Path string `json:"path"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	From string `json:"from,omitempty"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	To string `json:"to,omitempty"`
	// File and Line are where it is written.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	File string `json:"file,omitempty"`
	// +optional
	Line int32 `json:"line,omitempty"`
}

// ConfigKey is one key of cilium-config and what it becomes; Removed: it goes.
//
// +kubebuilder:object:generate=true
type ConfigKey struct {
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Value string `json:"value,omitempty"`
	// +optional
	Removed bool `json:"removed,omitempty"`
}

// PullRequestStatus is a [PullRequestOutcome], as much as fits.
//
// +kubebuilder:object:generate=true
type PullRequestStatus struct {
	// +kubebuilder:validation:Enum=Opened;Updated;Unchanged;Closed;Merged;HandsOff;Held;NoChange
	Action PullRequestAction `json:"action"`
	// +optional
	Number int64 `json:"number,omitempty"`
	// +kubebuilder:validation:MaxLength=512
	// +optional
	URL string `json:"url,omitempty"`
	// +kubebuilder:validation:MaxLength=244
	// +optional
	Branch string `json:"branch,omitempty"`
	// +kubebuilder:validation:MaxLength=244
	// +optional
	Base string `json:"base,omitempty"`
	// Commit is the head of the branch; once merged, the commit on the base.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Commit string `json:"commit,omitempty"`
	// +optional
	Draft bool `json:"draft,omitempty"`
	// Rule is the guard's rule that held it back.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Rule string `json:"rule,omitempty"`
	// Because says why this was done, or not done.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=300
	// +optional
	Because []string `json:"because,omitempty"`
	// Warnings are what did not work and does not matter.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=200
	// +optional
	Warnings []string `json:"warnings,omitempty"`
}

// Attempt is one change that was proposed.
//
// +kubebuilder:object:generate=true
type Attempt struct {
	// +kubebuilder:validation:MaxLength=63
	Candidate string `json:"candidate"`
	// PullRequest is its URL, or the branch where there is no forge.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	PullRequest string `json:"pullRequest,omitempty"`
	// Commit that it was merged as.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Commit string `json:"commit,omitempty"`
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`
	// At is when it was opened, or got its verdict.
	At metav1.Time `json:"at"`
}

// NodesStatus says on how many nodes the change is active.
//
// +kubebuilder:object:generate=true
type NodesStatus struct {
	// Wanted is how many nodes run an agent, Active on how many it runs with the
	// change, Unknown on how many nobody can say.
	Wanted int32 `json:"wanted"`
	Active int32 `json:"active"`
	// +optional
	Unknown int32 `json:"unknown,omitempty"`
	// Waiting are nodes that the change is not active on, or not known to be.
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Waiting []WaitingNode `json:"waiting,omitempty"`
}

// WaitingNode is a node and why the change is not active there.
//
// +kubebuilder:object:generate=true
type WaitingNode struct {
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// +kubebuilder:validation:MaxLength=300
	Reason string `json:"reason"`
	// Unknown: nobody can say whether it is active.
	// +optional
	Unknown bool `json:"unknown,omitempty"`
}

// Baseline is the matrix of probes at one time, summed up.
//
// +kubebuilder:object:generate=true
type Baseline struct {
	At metav1.Time `json:"at"`
	// Flows are counts by class.
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Flows []FlowClass `json:"flows,omitempty"`
	// BrokenPairs is how many pairs of nodes fail in some way.
	BrokenPairs int32 `json:"brokenPairs"`
	// Broken are some of them.
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Broken []BrokenPair `json:"broken,omitempty"`
	// Confirmed are the signatures that were confirmed then.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=63
	// +optional
	Confirmed []string `json:"confirmed,omitempty"`
}

// FlowClass counts the flows of one kind between pairs of nodes.
//
// +kubebuilder:object:generate=true
type FlowClass struct {
	// Class says which: via, family, protocol, target, and whether within one node:
	// "PodIP/IPv6/TCP/guarded".
	// +kubebuilder:validation:MaxLength=100
	Class string `json:"class"`
	OK    int32  `json:"ok"`
	Lost  int32  `json:"lost"`
	// Masked were answered by a target that saw another address than the sender's.
	// +optional
	Masked int32 `json:"masked,omitempty"`
	// +optional
	Unknown int32 `json:"unknown,omitempty"`
}

// BrokenPair is a pair of nodes between which flows of a class fail.
//
// +kubebuilder:object:generate=true
type BrokenPair struct {
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from"`
	// +kubebuilder:validation:MaxLength=253
	To string `json:"to"`
	// +kubebuilder:validation:MaxLength=100
	Class string `json:"class"`
}

// DeliveryStatus says whether Flux brings the merged commit in.
//
// +kubebuilder:object:generate=true
type DeliveryStatus struct {
	// WillArrive is yes, partly (in time, Flux tries again), no or unknown.
	// +kubebuilder:validation:Enum=yes;partly;no;unknown
	WillArrive string `json:"willArrive"`
	// Why not, or why nobody knows.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Why string `json:"why,omitempty"`
	// How a person brings it in, to be pasted.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	How string `json:"how,omitempty"`
}

// BreakGlassStatus is what the controller did in Flux's place.
//
// +kubebuilder:object:generate=true
type BreakGlassStatus struct {
	// Requested is when an approval was asked for.
	// +optional
	Requested *metav1.Time `json:"requested,omitempty"`
	// ApprovedBy is who approved, as the annotation says.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ApprovedBy string `json:"approvedBy,omitempty"`
	// Commit that was brought in, and when.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Commit string `json:"commit,omitempty"`
	// +optional
	Done *metav1.Time `json:"done,omitempty"`
	// Agrees: Git and the cluster say the same since.
	// +optional
	Agrees *bool `json:"agrees,omitempty"`
	// Message says what was done, or why it was not.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Message string `json:"message,omitempty"`
}

// StepTimes are when the steps were reached, by the controller's clock where
// nothing else tells.
//
// +kubebuilder:object:generate=true
type StepTimes struct {
	// +optional
	Confirmed *metav1.Time `json:"confirmed,omitempty"`
	// +optional
	Proposed *metav1.Time `json:"proposed,omitempty"`
	// +optional
	Merged *metav1.Time `json:"merged,omitempty"`
	// +optional
	Reconciled *metav1.Time `json:"reconciled,omitempty"`
	// Active is when every agent ran with the change.
	// +optional
	Active *metav1.Time `json:"active,omitempty"`
	// +optional
	Verified *metav1.Time `json:"verified,omitempty"`
	// Ended is when a final verdict was reached, whichever.
	// +optional
	Ended *metav1.Time `json:"ended,omitempty"`
}

// HistoryEntry is one thing that happened.
//
// +kubebuilder:object:generate=true
type HistoryEntry struct {
	At metav1.Time `json:"at"`
	// Step is the condition that it is about.
	// +kubebuilder:validation:MaxLength=63
	Step string `json:"step"`
	// +kubebuilder:validation:MaxLength=200
	Text string `json:"text"`
}
