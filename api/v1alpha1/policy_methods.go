package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Defaults of a policy, for what is not set: those that the API server fills in.
const (
	DefaultReleaseName    = "cilium"
	DefaultSourceKind     = "GitRepository"
	DefaultProbeNamespace = "remediate-probe"
	DefaultFluxNamespace  = "flux-system"
	DefaultBreakGlass     = "remediate-break-glass"
	DefaultInterval       = time.Minute
	DefaultTimeout        = 5 * time.Minute
	DefaultSilentAfter    = time.Minute
	DefaultHold           = 30 * time.Second
	DefaultGrace          = 10 * time.Minute
	DefaultVerifyTimeout  = 24 * time.Hour
	DefaultHistoryLimit   = 20
)

// GetConditions for [github.com/fluxcd/pkg/runtime/conditions].
func (in *RemediationPolicy) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions for [github.com/fluxcd/pkg/runtime/conditions].
func (in *RemediationPolicy) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// GetRequeueAfter is the time between looks at what no event tells.
func (in *RemediationPolicy) GetRequeueAfter() time.Duration {
	return durationOr(in.Spec.Interval, DefaultInterval)
}

// GetTimeout of one planning.
func (in *RemediationPolicy) GetTimeout() time.Duration {
	return durationOr(in.Spec.Timeout, DefaultTimeout)
}

// GetMode is Observe unless the policy says otherwise.
func (in *RemediationPolicy) GetMode() Mode {
	if in.Spec.Mode == ModePropose {
		return ModePropose
	}
	return ModeObserve
}

// GetRelease is the HelmRelease with the defaults filled in.
func (in *RemediationPolicy) GetRelease() ReleaseReference {
	return ReleaseReference{
		Name:      stringOr(in.Spec.ReleaseRef.Name, DefaultReleaseName),
		Namespace: stringOr(in.Spec.ReleaseRef.Namespace, in.Namespace),
	}
}

// GetSource is the GitRepository with the defaults filled in; ok is false when
// the policy names none.
func (in *RemediationPolicy) GetSource() (ref SourceReference, ok bool) {
	if in.Spec.SourceRef == nil {
		return SourceReference{}, false
	}
	ref = *in.Spec.SourceRef
	ref.Kind = stringOr(ref.Kind, DefaultSourceKind)
	ref.Namespace = stringOr(ref.Namespace, in.Namespace)
	return ref, true
}

// GetPullRequest is how pull requests look.
func (in *RemediationPolicy) GetPullRequest() PullRequestSpec {
	if in.Spec.PullRequest == nil {
		return PullRequestSpec{}
	}
	return *in.Spec.PullRequest
}

// GetHistoryLimit is how many ended Remediations are kept.
func (in *RemediationPolicy) GetHistoryLimit() int {
	if in.Spec.HistoryLimit < 1 {
		return DefaultHistoryLimit
	}
	return int(in.Spec.HistoryLimit)
}

// Looks says whether a signature is looked for.
func (in *SignaturesSpec) Looks(signature string) bool {
	if in == nil {
		return true
	}
	id, enabled := SignatureID(signature), len(in.Enable) == 0
	for _, s := range in.Enable {
		enabled = enabled || s == id
	}
	for _, s := range in.Disable {
		enabled = enabled && s != id
	}
	return enabled
}

// GetNamespace of the probes.
func (in *ProbesSpec) GetNamespace() string {
	if in == nil {
		return DefaultProbeNamespace
	}
	return stringOr(in.Namespace, DefaultProbeNamespace)
}

// IsManaged says whether the controller writes the probes' members.
func (in *ProbesSpec) IsManaged() bool { return in == nil || in.Managed == nil || *in.Managed }

// HasTwins says whether the probes have twins in the nodes' own network.
func (in *ProbesSpec) HasTwins() bool { return in != nil && in.Host }

// GetSilentAfter is how long a probe may be silent.
func (in *ProbesSpec) GetSilentAfter() time.Duration {
	if in == nil {
		return DefaultSilentAfter
	}
	return durationOr(in.SilentAfter, DefaultSilentAfter)
}

// IsEnabled says whether comments are read.
func (in *CommandsSpec) IsEnabled() bool { return in == nil || in.Enabled == nil || *in.Enabled }

// Hears says whether a person who may push is heard.
func (in *CommandsSpec) Hears(login string) bool {
	if !in.IsEnabled() || in == nil || len(in.AllowedUsers) == 0 {
		return in.IsEnabled()
	}
	for _, l := range in.AllowedUsers {
		if string(l) == login {
			return true
		}
	}
	return false
}

// IsEnabled says whether the controller may bring commits in, once approved.
func (in *BreakGlassSpec) IsEnabled() bool { return in != nil && in.Enabled }

// GetServiceAccountName of the account that break-glass uses.
func (in *BreakGlassSpec) GetServiceAccountName() string {
	if in == nil {
		return DefaultBreakGlass
	}
	return stringOr(in.ServiceAccountName, DefaultBreakGlass)
}

// GetNamespace of Flux's controllers.
func (in *FluxSpec) GetNamespace() string {
	if in == nil {
		return DefaultFluxNamespace
	}
	return stringOr(in.Namespace, DefaultFluxNamespace)
}

// GetHold is for how long what failed must work.
func (in *VerifySpec) GetHold() time.Duration {
	if in == nil {
		return DefaultHold
	}
	return durationOr(in.Hold, DefaultHold)
}

// GetGrace is for how long agents may run what was before.
func (in *VerifySpec) GetGrace() time.Duration {
	if in == nil {
		return DefaultGrace
	}
	return durationOr(in.Grace, DefaultGrace)
}

// GetTimeout is for how long a merged change is followed closely.
func (in *VerifySpec) GetTimeout() time.Duration {
	if in == nil {
		return DefaultVerifyTimeout
	}
	return durationOr(in.Timeout, DefaultVerifyTimeout)
}

func durationOr(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}

func stringOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
