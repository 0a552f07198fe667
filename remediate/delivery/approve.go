package delivery

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// ErrRefused says that break-glass is not allowed; the message says what is
// missing.
var ErrRefused = errors.New("break-glass refused")

// Request asks whether the controller may bring a commit in by itself.
type Request struct {
	// Enabled is the policy's spec.breakGlass.enabled.
	Enabled bool
	// Approved is the value of the annotation [v1alpha1.AnnotationApproveBreakGlass]
	// on the Remediation: the commit that a person approves, in full, and after a
	// space who it is.
	Approved string
	// Commit is the commit of the merge, and Merged says that the branch which
	// Flux follows holds it.
	Commit string
	Merged bool
	// Incident is the HelmRelease that the Remediation is about, Target the one
	// that is to be upgraded.
	Incident, Target types.NamespacedName
	// Arrives is the assessment of the commit's way.
	Arrives Arrival
}

var fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Check is nil when everything is given; otherwise it matches [ErrRefused].
// What only a person can give comes first.
func (r Request) Check() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
	}
	annotation := v1alpha1.AnnotationApproveBreakGlass
	approved, _, _ := strings.Cut(strings.TrimSpace(r.Approved), " ")
	switch {
	case !r.Enabled:
		return refuse("spec.breakGlass.enabled of the RemediationPolicy is not true; the default is to give instructions only")
	case r.Incident.Name == "" || r.Target != r.Incident:
		return refuse("it is allowed for HelmRelease %s only, which the incident is about, not for %s", r.Incident, r.Target)
	case !r.Merged || r.Commit == "":
		return refuse("the change is not merged; merge it first")
	case !fullCommit.MatchString(r.Commit):
		return refuse("%q is not the full hash of a commit", clip(r.Commit, 64))
	case approved == "":
		return refuse("nobody has approved it; annotate the Remediation with %s=%s", annotation, r.Commit)
	case approved != r.Commit:
		return refuse("the approval is for %q and the merged commit is %s; annotate the Remediation with %s=%s", clip(approved, 64), r.Commit, annotation, r.Commit)
	case r.Arrives == Yes:
		return refuse("Flux brings the commit by itself: every leg of its way works")
	}
	return nil
}

// ApprovedBy is who approves, as the annotation says; empty when it does not.
func (r Request) ApprovedBy() string {
	_, who, _ := strings.Cut(strings.TrimSpace(r.Approved), " ")
	return clip(strings.TrimSpace(who), 100)
}
