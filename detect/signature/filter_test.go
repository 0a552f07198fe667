package signature

import (
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// A policy that is not enforced is told from a source that is the pod's own again.
func TestPolicyNotEnforced(t *testing.T) {
	const node = "10.0.0.1"
	tell := func(second float64, target, outcome, seen string) (out []Sighting) {
		for _, k := range [][2]string{{"a", "b"}, {"b", "a"}} {
			s := sight(second, k[0], k[1], viaPodIP, "TCP", outcome)
			s.Target, s.SourceSeen = target, seen
			out = append(out, s)
		}
		return out
	}
	host := func(second float64, outcome string) []Sighting {
		out := tell(second, v1alpha1.TargetGuarded, outcome, "")
		for i := range out {
			out[i].HostNetwork, out[i].From.IP = true, node
		}
		return out
	}
	const own, open, guarded = "10.1.0.1", v1alpha1.TargetOpen, v1alpha1.TargetGuarded
	const notEnforced = PolicyNotEnforced + " by ab"
	tests := []struct {
		name  string
		steps [][]Sighting
		want  []string
	}{
		{"cured, and a guarded target is the first to tell", [][]Sighting{tell(1, open, okOutcome, node), tell(2, guarded, lostOutcome, ""), tell(3, guarded, okOutcome, own), tell(4, open, okOutcome, own)}, nil},
		{"cured, and it does not tell what it saw", [][]Sighting{tell(1, open, okOutcome, node), tell(2, guarded, okOutcome, ""), tell(3, open, okOutcome, own)}, nil},
		{"it admits a node's address", [][]Sighting{tell(1, guarded, okOutcome, node)}, []string{PodSourceMasqueraded + " by ab", notEnforced}},
		{"it admits what is seen with a node's address before and after", [][]Sighting{tell(1, open, okOutcome, node), tell(2, guarded, okOutcome, ""), tell(3, open, okOutcome, node)},
			[]string{PodSourceMasqueraded + " by ab", notEnforced}},
		{"it admitted, and drops now", [][]Sighting{tell(1, guarded, okOutcome, node), tell(2, guarded, lostOutcome, ""), tell(3, open, okOutcome, own)}, nil},
		{"it admits nodes", [][]Sighting{host(1, okOutcome), tell(2, open, okOutcome, own)}, []string{notEnforced}},
		{"it admitted nodes, and drops them now", [][]Sighting{host(1, okOutcome), host(2, lostOutcome), tell(2, open, okOutcome, own)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var all []Sighting
			for _, step := range tt.steps {
				all = append(all, step...)
			}
			expect(t, "shown", shown(all), tt.want...)
		})
	}
}
