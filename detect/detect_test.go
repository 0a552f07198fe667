package detect

import (
	"slices"
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

// An effect never comes before what brings it about, whatever is more certain.
func TestEffectsComeAfterTheirCauses(t *testing.T) {
	finding := func(s v1alpha1.Severity, c v1alpha1.Confidence, family string) v1alpha1.Finding {
		return v1alpha1.Finding{Severity: s, Confidence: c, Family: family}
	}
	const critical, warning = v1alpha1.SeverityCritical, v1alpha1.SeverityWarning
	tests := []struct {
		name    string
		causes  map[string]v1alpha1.Finding
		effect  v1alpha1.Finding
		want    []string // ids in order
		because string
	}{
		{"a possible cause of a confirmed effect", map[string]v1alpha1.Finding{"z-cause": finding(critical, "possible", "")}, finding(critical, "confirmed", ""),
			[]string{"z-cause", "b-effect"}, "z-cause"},
		{"the surest of two causes", map[string]v1alpha1.Finding{"a-cause": finding(critical, "possible", ""), "z-cause": finding(critical, "confirmed", "")}, finding(critical, "confirmed", ""),
			[]string{"z-cause", "a-cause", "b-effect"}, "z-cause"},
		{"the cause of the same family", map[string]v1alpha1.Finding{"a-cause": finding(critical, "confirmed", "IPv4"), "z-cause": finding(critical, "predicted", "IPv6")}, finding(critical, "confirmed", "IPv6"),
			[]string{"a-cause", "z-cause", "b-effect"}, "z-cause"},
		{"no cause, and something else that is critical", map[string]v1alpha1.Finding{"z-cause": finding(warning, "confirmed", ""), "c-other": finding(critical, "predicted", "")}, finding(critical, "confirmed", ""),
			[]string{"c-other", "b-effect", "z-cause"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := []signature.Signature{fixed("b-effect", nil, tt.effect)}
			for _, id := range []string{"a-cause", "c-other", "z-cause"} {
				effects := []string{"b-effect"}
				if id == "c-other" {
					effects = nil
				}
				if f, ok := tt.causes[id]; ok {
					list = append(list, fixed(id, effects, f))
				} else {
					list = append(list, fixed(id, effects))
				}
			}
			var order []string
			because := ""
			for _, f := range RunWith(list, nil) {
				order = append(order, f.Signature)
				if f.Signature == "b-effect" {
					because = f.CausedBy
				}
			}
			if diff := cmp.Diff(tt.want, order); diff != "" || because != tt.because {
				t.Errorf("caused by %q, want %q; order (-want +got):\n%s", because, tt.because, diff)
			}
		})
	}
}

// Whatever keeps pods of different nodes apart makes Flux a victim.
func TestCausesOfFluxBeingAVictim(t *testing.T) {
	for _, id := range []string{
		signature.NativeRoutingCIDRExcludesPods, signature.IPMasqAgentExcludesPods, signature.NativeRoutingCIDRInServices,
		signature.DirectRouteSkipped, signature.NoRouteBetweenNodes, signature.MTUMismatch, signature.ConfigNotActive,
	} {
		s, ok := signature.ByID(id)
		if !ok || !slices.Contains(s.Effects, signature.FluxIsAVictim) {
			t.Errorf("%s does not claim %s", id, signature.FluxIsAVictim)
		}
	}
}

// The order knows causes and effects only: an effect brings nothing about.
func TestEffectsHaveNoEffects(t *testing.T) {
	for _, s := range signature.All() {
		for _, id := range s.Effects {
			if effect, _ := signature.ByID(id); len(effect.Effects) > 0 {
				t.Errorf("%s brings about %s, which brings about %q", s.ID, id, effect.Effects)
			}
		}
	}
}
