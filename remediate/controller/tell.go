package controller

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// tell makes an event about the HelmRelease. It is called on transitions only.
func (i *incident) tell(reason, kind, format string, args ...any) {
	if i.Events == nil || i.target == nil || i.target.object == nil || i.target.object.UID == "" {
		return
	}
	message := v1alpha1.Clip(i.redact(fmt.Sprintf(format, args...)), v1alpha1.MaxMessage)
	i.Events.AnnotatedEventf(i.target.object, i.metadata(), kind, reason, "%s", message)
}

// metadata tells notification-controller which commit and which change an event is
// about.
func (i *incident) metadata() map[string]string {
	out := map[string]string{
		v1alpha1.Group + "/remediation": i.key(),
		v1alpha1.LabelSignature:         string(i.obj.Spec.Signature),
	}
	s := &i.obj.Status
	if s.Commit != "" {
		out[eventv1.Group+"/commit"] = s.Commit
	}
	if pr := s.PullRequest; pr != nil && pr.Number > 0 {
		out[eventv1.Group+"/change_request"] = fmt.Sprint(pr.Number)
	}
	return out
}

func severityOf(v v1alpha1.Verdict) string {
	switch v {
	case v1alpha1.VerdictVerified, v1alpha1.VerdictFixedElsewhere, v1alpha1.VerdictClosed:
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}

// ownerKey is the policy of a Remediation.
func ownerKey(o *v1alpha1.Remediation) types.NamespacedName {
	return types.NamespacedName{Namespace: o.Namespace, Name: o.Spec.PolicyRef.Name}
}
