// Package detect runs the signatures over what is known of a cluster and
// returns findings, worst first. A confirmed cause claims its effects.
package detect

import (
	"sort"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// Run judges in with every signature of the catalogue.
func Run(in *signature.Input) []v1alpha1.Finding {
	return RunWith(signature.All(), in)
}

// RunWith judges in with the given signatures.
func RunWith(signatures []signature.Signature, in *signature.Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	effects := map[string][]string{}
	for _, s := range signatures {
		effects[s.ID] = s.Effects
		out = append(out, s.Detect(in)...)
	}
	claimEffects(out, effects)
	sort.SliceStable(out, func(i, j int) bool { return before(&out[i], &out[j]) })
	return out
}

// claimEffects marks each effect of a cause that was found as caused by it.
func claimEffects(findings []v1alpha1.Finding, effects map[string][]string) {
	for _, cause := range findings {
		if cause.Severity != v1alpha1.SeverityCritical {
			continue
		}
		for _, effect := range effects[cause.Signature] {
			for i := range findings {
				if findings[i].Signature == effect && findings[i].CausedBy == "" {
					findings[i].CausedBy = cause.Signature
				}
			}
		}
	}
}

// before orders findings by severity, causes before their effects, then by
// confidence, signature and summary.
func before(a, b *v1alpha1.Finding) bool {
	if a.Severity != b.Severity {
		return a.Severity.Rank() > b.Severity.Rank()
	}
	if (a.CausedBy == "") != (b.CausedBy == "") {
		return a.CausedBy == ""
	}
	if a.Confidence != b.Confidence {
		return confidenceRank(a.Confidence) > confidenceRank(b.Confidence)
	}
	if a.Signature != b.Signature {
		return a.Signature < b.Signature
	}
	return a.Summary < b.Summary
}

func confidenceRank(c v1alpha1.Confidence) int {
	switch c {
	case v1alpha1.ConfidenceConfirmed:
		return 3
	case v1alpha1.ConfidencePredicted:
		return 2
	}
	return 1
}
