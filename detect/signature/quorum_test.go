package signature

import (
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func TestQuorumMissing(t *testing.T) {
	q := Quorum{Probers: 3, Pairs: 6, Targets: 2, Exchanges: 24, Window: Window, BothDirections: true, Hold: 4 * time.Second}
	full := Support{Probers: []string{"a", "b", "c"}, Targets: []string{"a", "d"}, Pairs: 6, Exchanges: 24, Both: true}
	tests := []struct {
		name  string
		edit  func(*Support)
		nodes int
		want  string // part of the one thing missing; empty: nothing
	}{
		{"met", func(*Support) {}, 5, ""},
		{"too few probers", func(s *Support) { s.Probers = s.Probers[:2] }, 5, "1 more of 3 probers"},
		{"all there are", func(s *Support) { s.Probers, s.Pairs = s.Probers[:2], 2 }, 2, ""},
		{"one of two", func(s *Support) { s.Probers, s.Pairs = s.Probers[:1], 2 }, 2, "1 more of 2 probers"},
		{"one target's word", func(s *Support) { s.Targets = s.Targets[:1] }, 5, "1 more of 2 nodes that they say it of"},
		{"pairs", func(s *Support) { s.Pairs = 5 }, 5, "1 more of 6 pairs"},
		{"exchanges", func(s *Support) { s.Exchanges = 4 }, 5, "20 more of 24 exchanges"},
		{"one direction", func(s *Support) { s.Both = false }, 5, "both directions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := full
			tt.edit(&s)
			got := q.Missing(s, tt.nodes)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
		})
	}
}

// Whatever rests on what targets say of a packet, or do not answer though others
// do, asks for more than one target.
func TestOneTargetNeverConfirms(t *testing.T) {
	for _, id := range []string{PodSourceMasqueraded, NativeRoutingCIDRExcludesPods, IPMasqAgentExcludesPods, PodIdentityUnknown, MTUMismatch} {
		s, ok := ByID(id)
		if !ok || s.Quorum.Targets < 2 || !strings.Contains(Text(s), " to 2 nodes within") {
			t.Errorf("%s: %+v\n%s", id, s.Quorum, Text(s))
		}
	}
}

// What the text of a quorum says of directions is what is asked for: three nodes that
// say so and are said of will do for a fault of many pairs, and not for one of a pair.
func TestBothDirectionsIsWhatTheTextSays(t *testing.T) {
	for _, s := range All() {
		if !s.Quorum.BothDirections {
			continue
		}
		want := "some pair or 3 nodes in both directions"
		if s.ID == RouteToPeerMissing || s.ID == PairDown {
			want = "some pair of nodes in both directions"
		}
		if text := s.Quorum.String(); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %q", s.ID, text, want)
		}
	}
	for _, tt := range []struct {
		probers, targets []string
		want             bool
	}{
		{[]string{"a", "b", "c", "d"}, []string{"a", "b", "c"}, true},
		{[]string{"a", "b", "c", "d"}, []string{"c", "d", "e"}, false},
		{[]string{"a", "b", "c"}, []string{"d", "e", "f"}, false},
	} {
		s := Support{Probers: tt.probers, Targets: tt.targets}
		if s.crossed(); s.Both != tt.want {
			t.Errorf("%v of %v: both %v", tt.probers, tt.targets, s.Both)
		}
	}
}

// Whatever rests on probes states a quorum, its window, and what refutes it; one
// probe never confirms.
func TestLiveSignaturesStateTheirQuorum(t *testing.T) {
	for _, s := range append(cutSignatures(), qualitySignatures()...) {
		if s.ID == ProbeSilent {
			continue // what is not said has no observations
		}
		if s.Quorum.Probers < 2 || s.Quorum.Window == 0 || len(s.Refutes) == 0 || len(s.Confirms) == 0 || len(s.Neighbours) == 0 {
			t.Errorf("%s: %+v", s.ID, s.Quorum)
		}
		if text := Text(s); !strings.Contains(text, "Confirmed live by at least") || !strings.Contains(text, "within 2m30s") {
			t.Errorf("%s does not say its quorum:\n%s", s.ID, text)
		}
	}
	doc := Catalogue(All())
	for _, e := range doc.Signatures {
		if s, _ := ByID(e.ID); s.Quorum.Needed() != (e.Quorum != nil) {
			t.Errorf("%s: quorum %v in the document", e.ID, e.Quorum)
		}
	}
}

func TestGraphs(t *testing.T) {
	pairs := func(list ...string) (out []pairKey) {
		for _, p := range list {
			out = append(out, pairKey{p[:1], p[1:]})
		}
		return edges(out)
	}
	tests := []struct {
		name           string
		edges          []pairKey
		odd, byTwo     bool
		hub            string
		lengthOfRelief int
	}{
		{"star", pairs("xa", "bx", "xc"), false, true, "x", 0},
		{"triangle", pairs("ab", "bc", "ca"), true, true, "a", 1},
		{"two sides", pairs("ax", "ay", "az", "bx", "by", "bz", "cx", "cy", "cz"), false, false, "a", 6},
		{"four nodes, all", pairs("ab", "ac", "ad", "bc", "bd", "cd"), true, false, "a", 3},
		{"two stars", pairs("xa", "xb", "ya", "yb", "xy"), true, true, "x", 2},
		{"both directions are one edge", pairs("ab", "ba"), false, true, "a", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := oddCycle(tt.edges); got != tt.odd {
				t.Errorf("odd cycle %v", got)
			}
			if got := coveredByTwo(tt.edges); got != tt.byTwo {
				t.Errorf("covered by two %v", got)
			}
			hub, _ := busiest(tt.edges)
			if hub != tt.hub || len(without(tt.edges, hub)) != tt.lengthOfRelief {
				t.Errorf("hub %s leaves %v", hub, without(tt.edges, hub))
			}
		})
	}
}

// Snapshots with a few observations, as plan and check have them, get no finding
// that rests on probes alone.
func TestFewObservationsProveNothing(t *testing.T) {
	s := incident()
	for _, target := range []string{"open", "guarded"} {
		s.Probes = append(s.Probes, probe(v1alpha1.Observation{Outcome: "Timeout", Target: target, Protocol: "TCP"}))
	}
	for id, f := range all(input(t, incidentConfig(nil), s)) {
		for _, live := range append(cutSignatures(), qualitySignatures()...) {
			if f.Signature == live.ID {
				t.Errorf("%s: %s", id, f.Summary)
			}
		}
	}
}
