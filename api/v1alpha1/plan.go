package v1alpha1

// Severity says how much a finding matters.
type Severity string

const (
	// SeverityCritical: traffic is or would be dropped, or agents do not start.
	SeverityCritical Severity = "critical"
	// SeverityWarning: wrong but without effect now.
	SeverityWarning Severity = "warning"
	// SeverityInfo: the rest.
	SeverityInfo Severity = "info"
)

// Rank orders severities: the worse, the higher.
func (s Severity) Rank() int {
	switch s {
	case SeverityCritical:
		return 3
	case SeverityWarning:
		return 2
	case SeverityInfo:
		return 1
	}
	return 0
}

// Confidence says what a finding rests on.
type Confidence string

const (
	// ConfidenceConfirmed: an observation tells the cause from its neighbours.
	ConfidenceConfirmed Confidence = "confirmed"
	// ConfidencePredicted: follows from the facts, not observed.
	ConfidencePredicted Confidence = "predicted"
	// ConfidencePossible: consistent with the facts, some of which are missing.
	ConfidencePossible Confidence = "possible"
)

// Plan is the answer of `remediate plan`: what is wrong, how we know, which
// changes fix it and why the others do not.
type Plan struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Subject    Subject `json:"subject"`
	Facts      Facts   `json:"facts"`
	// Findings, worst first.
	Findings []Finding `json:"findings"`
	// Candidates, best first; empty when nothing safe is known.
	Candidates []Candidate `json:"candidates"`
	Rejected   []Rejected  `json:"rejected"`
	// Abstained says why no candidate is proposed although there is a finding.
	Abstained string `json:"abstained"`
	// Unexplained lists symptoms that the findings do not account for.
	Unexplained []string `json:"unexplained"`
	Delivery    Delivery `json:"delivery"`
	// Notices are what the agent makes of the configuration in silence: values it
	// changes or ignores. They are no findings.
	Notices []Evidence `json:"notices,omitempty"`
	// Order says why the candidates stand in this order.
	Order string `json:"order,omitempty"`
	// Walks draw a packet's way under the current values, and under the first
	// candidate's.
	Walks []Walk `json:"walks,omitempty"`
	// Answers are what a reader of the report asks next.
	Answers []Answer `json:"answers,omitempty"`
	// Commands verify the datapath by hand.
	Commands []Command `json:"commands,omitempty"`
	// PullRequest is what became of the change, with `--open-pr`.
	PullRequest *PullRequestOutcome `json:"pullRequest,omitempty"`
}

// Subject says which release in which repository the plan is about.
type Subject struct {
	Release    string `json:"release"`
	Chart      string `json:"chart"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
	Revision   string `json:"revision"`
	// Values are the sources of Helm values in merge order; the last wins.
	Values []ValuesSource `json:"values"`
}

// ValuesSource is one place that Helm values come from. Path is empty when the
// whole file is values, "spec.values" for values written in a HelmRelease.
type ValuesSource struct {
	File string `json:"file"`
	Path string `json:"path"`
	// Unreadable names an object that may set values and cannot be read, and why:
	// not in the repository, or encrypted. File is then empty, or that of the
	// encrypted object.
	Unreadable string `json:"unreadable,omitempty"`
}

// Facts are what the diagnosis rests on.
type Facts struct {
	PodCIDRs      []Fact `json:"podCIDRs"`
	PodPool       []Fact `json:"podPool"`
	ServiceCIDRs  []Fact `json:"serviceCIDRs"`
	NodeAddresses []Fact `json:"nodeAddresses"`
	// Unknown names facts that were looked for and not found.
	Unknown []string `json:"unknown"`
}

// Fact is a value and where it was read: file:line, an object, a probe or a flag.
type Fact struct {
	Value  string `json:"value"`
	Source string `json:"source"`
	// ObservedOnly marks a pool that is only the sum of what was seen. It is set
	// for pools, true or false, and nil for every other fact.
	ObservedOnly *bool `json:"observedOnly,omitempty"`
}

// Finding is one known failure that the facts show.
type Finding struct {
	Signature  string     `json:"signature"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	Summary    string     `json:"summary"`
	// Explanation is the chain from cause to symptom, one step per entry.
	Explanation []string `json:"explanation,omitempty"`
	Family      string   `json:"family,omitempty"`
	// About tells findings of one signature and family apart: the rule, the Helm
	// value or the object that the finding is about. It does not hold values, so
	// that a finding stays the same finding while the wrong value changes.
	About    string     `json:"about,omitempty"`
	Evidence []Evidence `json:"evidence"`
	// Lacked names evidence that would have raised the confidence.
	Lacked   []string   `json:"lacked,omitempty"`
	RuledOut []RuledOut `json:"ruledOut"`
	// CausedBy names the signature whose effect this finding is.
	CausedBy string `json:"causedBy,omitempty"`
}

// Evidence is one observation or stated value. Kind is config, fact, probe,
// model, rule, log or history.
//
// +kubebuilder:object:generate=true
type Evidence struct {
	// +kubebuilder:validation:MaxLength=16
	Kind string `json:"kind"`
	// +kubebuilder:validation:MaxLength=500
	Text string `json:"text"`
	// +kubebuilder:validation:MaxLength=256
	Source string `json:"source"`
}

// RuledOut says why a neighbouring signature is not the cause.
type RuledOut struct {
	Signature string `json:"signature"`
	Because   string `json:"because"`
}

// Candidate is a change of values that answers findings, with its proof.
type Candidate struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Fixes   []string `json:"fixes"`
	Changes []Change `json:"changes"`
	// Diff is a unified diff with paths a/… and b/….
	Diff        string   `json:"diff"`
	Proof       Proof    `json:"proof"`
	Rollout     Rollout  `json:"rollout"`
	SideEffects []string `json:"sideEffects"`
	// Affects names everything that reads an edited file.
	Affects []string `json:"affects"`
	// Effects say what changes for each Kustomization of Affects once it is built
	// again; the intended change of the release itself is not repeated.
	Effects []Effect `json:"effects,omitempty"`
	// Copies are the places that bootstrap the cluster with values of their own.
	Copies []Copy `json:"copies,omitempty"`
	Tried  *Tried `json:"tried"`
	// Masquerade lists known destinations that change between masqueraded and not.
	Masquerade []MasqueradeChange `json:"masqueradeChanges,omitempty"`
	// AddedRange and RemovedRange are the addresses that the change adds to and
	// takes from what pods reach unmasqueraded.
	AddedRange   []string `json:"addedRange,omitempty"`
	RemovedRange []string `json:"removedRange,omitempty"`
}

// Change is one changed Helm value.
type Change struct {
	// Path is the Helm value's path.
	Path string `json:"path"`
	// From is null for a new key.
	From any `json:"from"`
	To   any `json:"to"`
	// File, Line and YAMLPath say where it is written.
	File     string `json:"file"`
	Line     int    `json:"line"`
	YAMLPath string `json:"yamlPath"`
	// Chain lists the sources that set the value, in merge order.
	Chain []string `json:"chain"`
	// Source is the chain in one sentence: "set in A:12, overridden in B:40, wins".
	Source string `json:"source,omitempty"`
}

// Effect is what an edit changes in one Flux Kustomization.
type Effect struct {
	Kustomization string `json:"kustomization"`
	// Changes are sentences: "HelmRelease kube-system/cilium: ipv6NativeRoutingCIDR fd00:101::/48 → fd00:101::/38".
	// Empty means that it was built again and does not change.
	Changes []string `json:"changes"`
	// Unknown is why it could not be built, before the edit or after.
	Unknown string `json:"unknown,omitempty"`
}

// Copy is a value that something besides Flux installs Cilium with: a helmfile,
// a Talos inline manifest, Terraform.
type Copy struct {
	Kind string `json:"kind"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Path is the Helm value's path, or the key of cilium-config.
	Path  string `json:"path"`
	Value any    `json:"value"`
	// Edited says that the candidate changes it too.
	Edited bool `json:"edited"`
	// Why says why it is not edited.
	Why string `json:"why,omitempty"`
}

// Proof is what was checked before the candidate was proposed.
type Proof struct {
	// Rendered: the real chart was rendered with the new values.
	Rendered bool `json:"rendered"`
	// AgentStarts is nil when that could not be decided.
	AgentStarts *bool `json:"agentStarts"`
	// Refusal is the start-up rule that refuses the configuration.
	Refusal     string                 `json:"refusal,omitempty"`
	ConfigDelta map[string]ConfigDelta `json:"configDelta"`
	Flows       FlowCounts             `json:"flows"`
	// Notes say what the proof could not cover, and what that costs.
	Notes []string `json:"notes,omitempty"`
}

// ConfigDelta is one changed key of the rendered cilium-config; a missing side is null.
type ConfigDelta struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// FlowCounts compare the datapath before and after over all flow classes.
type FlowCounts struct {
	Fixed     int           `json:"fixed"`
	Broken    int           `json:"broken"`
	Unchanged int           `json:"unchanged"`
	Unknown   int           `json:"unknown,omitempty"`
	Examples  []FlowExample `json:"examples"`
}

// FlowExample is one flow class with its fate before and after.
type FlowExample struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Family string `json:"family"`
	Before string `json:"before"`
	After  string `json:"after"`
	Flows  int    `json:"flows,omitempty"`
}

// Rollout says what happens once the change is reconciled.
type Rollout struct {
	Restart   []string `json:"restart"`
	HotReload bool     `json:"hotReload"`
	Note      string   `json:"note"`
	// Offer is a further value that a person may want beside the fix; it is not
	// part of the candidate's diff.
	Offer *Offer `json:"offer,omitempty"`
}

// Offer is a change that is offered and not bundled.
type Offer struct {
	Title   string   `json:"title"`
	Changes []Change `json:"changes"`
	Diff    string   `json:"diff"`
}

// Tried says that Git shows the state was live before.
type Tried struct {
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Outcome string `json:"outcome"`
}

// MasqueradeChange is a known address or range whose treatment changes.
type MasqueradeChange struct {
	Destination string `json:"destination"`
	What        string `json:"what"`
	Before      string `json:"before"`
	After       string `json:"after"`
}

// Rejected is a change that was considered and not proposed.
type Rejected struct {
	ID      string `json:"id"`
	Because string `json:"because"`
	Tried   *Tried `json:"tried,omitempty"`
}

// Delivery says whether Flux itself can reconcile the fix.
type Delivery struct {
	FluxAffected bool   `json:"fluxAffected"`
	How          string `json:"how"`
	// Ways lists the ways in, each judged by the model.
	Ways []DeliveryWay `json:"ways,omitempty"`
}

// DeliveryWay is one way to get the fix into the cluster.
type DeliveryWay struct {
	Way     string `json:"way"`
	Open    string `json:"open"` // yes, no or unknown
	Because string `json:"because"`
}

// Walk is one packet's way, step by step.
type Walk struct {
	Title   string     `json:"title"`
	Config  string     `json:"config"` // "current" or a candidate's id
	From    string     `json:"from"`
	To      string     `json:"to"`
	Outcome string     `json:"outcome"`
	Steps   []WalkStep `json:"steps"`
}

// WalkStep is one hop, rewrite or decision.
type WalkStep struct {
	Where  string `json:"where"`
	What   string `json:"what"`
	Why    string `json:"why"`
	Source string `json:"source,omitempty"`
	// Bad marks the step at which the packet goes wrong.
	Bad bool `json:"bad,omitempty"`
}

// Answer is a question of the report and what the model says to it.
type Answer struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// Command verifies one step by hand.
type Command struct {
	What    string `json:"what"`
	Command string `json:"command"`
	Now     string `json:"now"`
	After   string `json:"after"`
}
