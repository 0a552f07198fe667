package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// Every rollout begins with agents that run an older configuration: that alone makes a
// Remediation only when it outlasts the time that agents have. What waits is shown, with
// the reason, and looked at as soon as it is due.
func TestPostponed(t *testing.T) {
	begun := time.Now()
	open := v1alpha1.Remediation{Spec: v1alpha1.RemediationSpec{Signature: signature.PacketLoss},
		Status: v1alpha1.RemediationStatus{PullRequest: &v1alpha1.PullRequestStatus{Number: 7}}}
	merged := open
	merged.Status.Commit, merged.Status.Times = "0123", &v1alpha1.StepTimes{Merged: &metav1.Time{Time: begun}}
	const inactive, excludes = signature.ConfigNotActive, signature.NativeRoutingCIDRExcludesPods
	grace := &v1alpha1.VerifySpec{Grace: &metav1.Duration{Duration: 30 * time.Second}}
	for _, tt := range []struct {
		name    string
		cause   v1alpha1.SignatureID
		verify  *v1alpha1.VerifySpec
		all     []v1alpha1.Remediation
		after   time.Duration
		due     bool
		again   time.Duration
		pending string
	}{
		{name: "an older configuration, just seen", cause: inactive, again: 10*time.Minute + 15*time.Second, pending: "10m15s"},
		{name: "within the grace time", cause: inactive, after: 10 * time.Minute, again: 15 * time.Second, pending: "10m15s"},
		{name: "after it", cause: inactive, after: 10*time.Minute + 15*time.Second, due: true},
		{name: "within the policy's", cause: inactive, verify: grace, after: 44 * time.Second, again: time.Second, pending: "45s"},
		{name: "after the policy's", cause: inactive, verify: grace, after: 45 * time.Second, due: true},
		{name: "a value that drops packets", cause: excludes, due: true},
		{name: "a pull request is open", cause: excludes, all: []v1alpha1.Remediation{open}, after: time.Minute - time.Second, again: time.Second, pending: "a pull request is open"},
		{name: "it was not merged just now", cause: excludes, all: []v1alpha1.Remediation{open}, after: time.Minute, due: true},
		{name: "one is merged", cause: excludes, all: []v1alpha1.Remediation{merged}, after: time.Hour, pending: "a merged change is followed"},
		{name: "it has its Remediation", cause: signature.PacketLoss, all: []v1alpha1.Remediation{merged}, after: time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := begun
			r := &PolicyReconciler{Now: func() time.Time { return now }}
			p := &v1alpha1.RemediationPolicy{Spec: v1alpha1.RemediationPolicySpec{Verify: tt.verify}}
			key := types.NamespacedName{Name: "p"}
			all := []v1alpha1.RemediationSpec{{Signature: tt.cause, Family: "IPv6"}}
			r.sighted(key, all)
			now = begun.Add(tt.after)
			l := &look{key: key, all: tt.all}
			got, err := r.due(t.Context(), p, l, slices.Clone(all))
			must(t, err)
			if (len(got) == 1) != tt.due || l.again != tt.again {
				t.Errorf("due %v, again in %s; want %t, %s", got, l.again, tt.due, tt.again)
			}
			if shown := len(p.Status.Pending) == 1; shown != (tt.pending != "") {
				t.Fatalf("pending %+v", p.Status.Pending)
			}
			if tt.pending == "" {
				return
			}
			if f := p.Status.Pending[0]; f.Signature != string(tt.cause) || f.Family != "IPv6" || !strings.Contains(f.Lacks, tt.pending) {
				t.Errorf("pending %+v, want %q", f, tt.pending)
			}
		})
	}
}
