// Package v1alpha1 is the part of the documents that a probe itself writes. It
// depends on nothing, so that the probe on each node links none of what the custom
// resources need.
package v1alpha1

// Endpoint is one end of an observed flow.
type Endpoint struct {
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Node      string `json:"node,omitempty"`
	IP        string `json:"ip,omitempty"`
	Port      int    `json:"port,omitempty"`
}

// Outcomes of an Observation.
const (
	OutcomeOK          = "OK"
	OutcomeTimeout     = "Timeout"
	OutcomeRefused     = "Refused"
	OutcomeUnreachable = "Unreachable"
	OutcomeReset       = "Reset"
	OutcomeTooBig      = "TooBig"
	OutcomeError       = "Error"
	OutcomeNotChecked  = "NotChecked"
)

// Targets of an Observation.
const (
	TargetOpen    = "open"
	TargetGuarded = "guarded"
)

// Observation is what one probe saw.
type Observation struct {
	From Endpoint `json:"from"`
	To   Endpoint `json:"to"`
	// Via is PodIP, ClusterIP, NodeIP, DNS or External.
	Via string `json:"via"`
	// Family is IPv4 or IPv6.
	Family string `json:"family"`
	// Protocol is ICMP, TCP, UDP or HTTP.
	Protocol string `json:"protocol"`
	// Target is open, guarded (behind a same-namespace policy) or empty.
	Target      string `json:"target,omitempty"`
	HostNetwork bool   `json:"hostNetwork,omitempty"`
	Outcome     string `json:"outcome"`
	Reason      string `json:"reason,omitempty"`
	// Unreliable: the prober itself was starved; never confirms anything.
	Unreliable bool `json:"unreliable,omitempty"`
	Sent       int  `json:"sent,omitempty"`
	Received   int  `json:"received,omitempty"`
	// Bytes is the packet size on the wire.
	Bytes int `json:"bytes,omitempty"`
	// SourceSeen is the source address that the target saw.
	SourceSeen string `json:"sourceSeen,omitempty"`
	// Heard is when a request of the target's node last arrived at the prober, of
	// an exchange that was lost: the other direction works.
	Heard string `json:"heard,omitempty"`
	// DropReason and SourceIdentity are filled from an agent's drop event.
	DropReason     string `json:"dropReason,omitempty"`
	SourceIdentity string `json:"sourceIdentity,omitempty"`
	At             string `json:"at,omitempty"`
}
