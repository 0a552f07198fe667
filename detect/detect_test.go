package detect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

func fixed(id string, effects []string, fs ...v1alpha1.Finding) signature.Signature {
	for i := range fs {
		fs[i].Signature = id
	}
	return signature.Signature{ID: id, Effects: effects, Detect: func(*signature.Input) []v1alpha1.Finding { return append([]v1alpha1.Finding(nil), fs...) }}
}

func TestOrderAndEffects(t *testing.T) {
	critical := func(c v1alpha1.Confidence, summary string) v1alpha1.Finding {
		return v1alpha1.Finding{Severity: v1alpha1.SeverityCritical, Confidence: c, Summary: summary}
	}
	got := RunWith([]signature.Signature{
		fixed("a-note", nil, v1alpha1.Finding{Severity: v1alpha1.SeverityInfo}),
		fixed("b-dead-key", nil, v1alpha1.Finding{Severity: v1alpha1.SeverityWarning, Summary: "two"}, v1alpha1.Finding{Severity: v1alpha1.SeverityWarning, Summary: "one"}),
		fixed("c-effect", nil, critical(v1alpha1.ConfidenceConfirmed, "")),
		fixed("d-other", nil, critical(v1alpha1.ConfidencePossible, "")),
		fixed("e-cause", []string{"c-effect"}, critical(v1alpha1.ConfidencePredicted, "")),
	}, nil)
	var order []string
	for _, f := range got {
		order = append(order, f.Signature+" "+f.Summary+" "+f.CausedBy)
	}
	want := []string{"e-cause  ", "d-other  ", "c-effect  e-cause", "b-dead-key one ", "b-dead-key two ", "a-note  "}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// A warning brings nothing about, so it claims no effect.
func TestMaskedCauseClaimsNothing(t *testing.T) {
	got := RunWith([]signature.Signature{
		fixed("effect", nil, v1alpha1.Finding{Severity: v1alpha1.SeverityCritical}),
		fixed("masked", []string{"effect"}, v1alpha1.Finding{Severity: v1alpha1.SeverityWarning}),
	}, nil)
	if got[0].CausedBy != "" {
		t.Errorf("caused by %q", got[0].CausedBy)
	}
}
