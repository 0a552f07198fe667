package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// valid checks what the schema cannot. own is the controller's namespace.
func valid(p *v1alpha1.RemediationPolicy, own string) error {
	if p.Spec.BreakGlass.IsEnabled() && p.Namespace != own {
		return stalled(v1alpha1.InvalidSpecReason, "spec.breakGlass is for policies in the controller's namespace %s alone, as it brings in what a policy's repository says: move the policy there, or leave spec.breakGlass out", own)
	}
	if err := knownSignatures(p.Spec.Signatures); err != nil {
		return err
	}
	for _, f := range p.Spec.Freezes {
		if _, err := zoneOf(f); err != nil {
			return stalled(v1alpha1.InvalidSpecReason, "spec.freezes: timeZone %q is not known here: give a name of the IANA database, such as Europe/Berlin", v1alpha1.Clip(f.TimeZone, 64))
		}
	}
	return nil
}

func knownSignatures(s *v1alpha1.SignaturesSpec) error {
	if s == nil {
		return nil
	}
	for field, ids := range map[string][]v1alpha1.SignatureID{"enable": s.Enable, "disable": s.Disable} {
		for _, id := range ids {
			if _, ok := signature.ByID(string(id)); !ok {
				return stalled(v1alpha1.InvalidSpecReason, "spec.signatures.%s names %q, which is no signature: remediate explain lists them%s", field, v1alpha1.Clip(string(id), 63), nearest(string(id)))
			}
		}
	}
	return nil
}

// nearest names the signature that shares the most words.
func nearest(id string) string {
	best, most := "", 1
	for _, s := range signature.All() {
		n := 0
		for _, word := range strings.Split(id, "-") {
			if slices.Contains(strings.Split(s.ID, "-"), word) {
				n++
			}
		}
		if n > most {
			best, most = s.ID, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// oldest says which of several policies for a release counts: the oldest, then the
// first by name. It is an error for the others.
func oldest(ctx context.Context, c client.Reader, p *v1alpha1.RemediationPolicy) error {
	var all v1alpha1.RemediationPolicyList
	if err := c.List(ctx, &all); err != nil {
		return failing(v1alpha1.ClusterReason, fmt.Errorf("list policies: %w", err))
	}
	for i := range all.Items {
		o := &all.Items[i]
		if o.UID == p.UID || o.GetRelease() != p.GetRelease() || o.DeletionTimestamp != nil || !before(o, p) {
			continue
		}
		return stalled(v1alpha1.ConflictReason, "RemediationPolicy %s/%s is older and looks after HelmRelease %s/%s already: delete one of the two", o.Namespace, o.Name, p.GetRelease().Namespace, p.GetRelease().Name)
	}
	return nil
}

func before(a, b *v1alpha1.RemediationPolicy) bool {
	if !a.CreationTimestamp.Time.Equal(b.CreationTimestamp.Time) {
		return a.CreationTimestamp.Time.Before(b.CreationTimestamp.Time)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}
