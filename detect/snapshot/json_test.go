package snapshot

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSnapshotIsJSON: the counters of agents are keyed by two words.
func TestSnapshotIsJSON(t *testing.T) {
	s := Snapshot{AgentMetrics: []AgentMetrics{{Drops: map[Drop]float64{
		{"Policy denied", "ingress"}: 2, {"Policy denied", "egress"}: 1,
	}}}}
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"Drops":{"Policy denied, egress":1,"Policy denied, ingress":2}`; !strings.Contains(string(out), want) {
		t.Errorf("%s\nlacks %s", out, want)
	}
}
