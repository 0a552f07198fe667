package remediate

import (
	"github.com/fluxcd/pkg/chartutil"
	"github.com/opencontainers/go-digest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// PlanHash is the hash that a plan is known by: of all that it says, but for where
// the checkout is, at which commit, and what became of it.
func PlanHash(p *v1alpha1.Plan) string { return planHash(p) }

// Shown is a Helm value as people may see it: what may be a secret is hidden.
func Shown(path string, v any) string { return shown(path, v) }

// ValuesDigest is the digest of the release's values with a candidate's changes, as
// helm-controller records it; empty where some of them are not known.
func (res *Result) ValuesDigest(candidate string) string {
	if res.deliver.facts == nil || res.deliver.target.ValuesHidden != "" {
		return ""
	}
	values := res.values
	for _, c := range res.Plan.Candidates {
		if c.ID != candidate {
			continue
		}
		for _, change := range c.Changes {
			values = withValue(values, change.Path, change.To)
		}
	}
	return chartutil.DigestValues(digest.Canonical, values).String()
}

// HasChanges says whether the release's values, as the checkout has them, are what
// an earlier plan's changes make of them.
func (res *Result) HasChanges(changes []v1alpha1.ChangeStatus) bool {
	for _, c := range changes {
		v, ok := lookupPath(res.values, c.Path)
		if ok != (c.To != "") || ok && Shown(c.Path, v) != c.To {
			return false
		}
	}
	return len(changes) > 0
}
