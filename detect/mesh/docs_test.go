package mesh

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPublished holds docs/probes.md to the code.
func TestPublished(t *testing.T) {
	b, err := os.ReadFile("../../docs/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, n := range []int{2, 10, 100, 1000, 5000} {
		name := fmt.Sprint(n)
		if n >= 1000 {
			name = fmt.Sprintf("%d,%03d", n/1000, n%1000)
		}
		row := fmt.Sprintf("| %s | 2 | %s | %s |", name, CoverTime(n), KindsCoverTime(n))
		if !strings.Contains(text, row) {
			t.Errorf("docs/probes.md lacks %q", row)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("the ring's included | %d |", BurstRate),
		fmt.Sprintf("a burst | %.0f s;", BurstFor.Seconds()),
		fmt.Sprintf("pause between bursts | %.0f s |", BurstPause.Seconds()),
		fmt.Sprintf("after %.0f min, then 2, 4, 8, at most %.0f min; anew after %.0f min", BackoffFirst.Minutes(), BackoffMost.Minutes(), BackoffReset.Minutes()),
		fmt.Sprintf("in one burst | %d |", burstFlows),
		fmt.Sprintf("a round of %.0f s", Round.Seconds()),
		"nine kinds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("docs/probes.md lacks %q", want)
		}
	}
	if len(kinds) != 9 {
		t.Errorf("%d kinds, docs/probes.md says nine", len(kinds))
	}
}
