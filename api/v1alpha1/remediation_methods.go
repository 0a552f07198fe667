package v1alpha1

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GetConditions for [github.com/fluxcd/pkg/runtime/conditions].
func (in *Remediation) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions for [github.com/fluxcd/pkg/runtime/conditions].
func (in *Remediation) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// GetRequeueAfter is the default time between looks; the policy has the word.
func (in *Remediation) GetRequeueAfter() time.Duration { return DefaultInterval }

// IsEnded says that the Remediation is only kept for its history.
func (in *Remediation) IsEnded() bool { return in.Status.Phase == PhaseEnded }

// Final says that no more is done about an attempt with this verdict. An agent
// that does not run a merged change may still start.
func (v Verdict) Final() bool { return v != "" && v != VerdictMergedNotActive }

// RemediationName of a policy's cause: the same each time, so that two
// controllers, or one that forgot, make one Remediation. The policy's name is
// cut to fit.
func RemediationName(policy string, signature SignatureID, cause string) string {
	tail := "-" + string(signature) + "-" + cause[:min(8, len(cause))]
	return strings.TrimRight(policy[:min(len(policy), 63)], "-.") + tail
}

// Record adds to the history, unless it was the last thing that happened.
func (in *RemediationStatus) Record(at metav1.Time, step, text string) {
	text = Clip(text, maxHistoryText)
	if n := len(in.History); n > 0 && in.History[n-1].Step == step && in.History[n-1].Text == text {
		return
	}
	in.History = last(append(in.History, HistoryEntry{At: at, Step: step, Text: text}), maxHistory)
}
