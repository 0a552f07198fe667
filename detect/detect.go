// Package detect runs the signatures over what is known of a cluster and
// returns findings, worst first. A confirmed cause claims its effects.
package detect

import (
	"slices"
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
	causes := map[string][]string{}
	for _, s := range signatures {
		for _, effect := range s.Effects {
			causes[effect] = append(causes[effect], s.ID)
		}
		out = append(out, s.Detect(in)...)
	}
	claimEffects(out, causes)
	isEffect := func(f *v1alpha1.Finding) bool { return len(causes[f.Signature]) > 0 }
	sort.SliceStable(out, func(i, j int) bool { return before(&out[i], &out[j], isEffect) })
	return out
}

// claimEffects marks each effect of a cause that was found as caused by it; of
// several causes by the likeliest.
func claimEffects(findings []v1alpha1.Finding, causes map[string][]string) {
	for i := range findings {
		effect := &findings[i]
		var best *v1alpha1.Finding
		for j := range findings {
			cause := &findings[j]
			if cause.Severity != v1alpha1.SeverityCritical || !slices.Contains(causes[effect.Signature], cause.Signature) {
				continue
			}
			if best == nil || likelier(cause, best, effect) {
				best = cause
			}
		}
		if best != nil {
			effect.CausedBy = best.Signature
		}
	}
}

// likelier orders causes of an effect: one of its family first, then by
// confidence and signature.
func likelier(a, b, effect *v1alpha1.Finding) bool {
	fits := func(f *v1alpha1.Finding) bool {
		return f.Family == "" || effect.Family == "" || f.Family == effect.Family
	}
	switch {
	case fits(a) != fits(b):
		return fits(a)
	case a.Confidence != b.Confidence:
		return confidenceRank(a.Confidence) > confidenceRank(b.Confidence)
	}
	return a.Signature < b.Signature
}

// before orders findings by severity, then what can only be an effect after what
// can be its cause, then by confidence, signature and summary.
func before(a, b *v1alpha1.Finding, isEffect func(*v1alpha1.Finding) bool) bool {
	if a.Severity != b.Severity {
		return a.Severity.Rank() > b.Severity.Rank()
	}
	if isEffect(a) != isEffect(b) {
		return isEffect(b)
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
