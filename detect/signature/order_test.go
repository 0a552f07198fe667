package signature

import (
	"slices"
	"testing"
)

// Nodes are listed as people count them, before a list is cut.
func TestNodesInNaturalOrder(t *testing.T) {
	if got := sortedKeys(map[string]bool{"node-10": true, "node-2": true, "node-1": true}); !slices.Equal(got, []string{"node-1", "node-2", "node-10"}) {
		t.Errorf("got %v", got)
	}
	if got, want := nodeList([]string{"node-1", "node-10", "node-2"}, 2), "node-1, node-2 and 1 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	pairs := []pairKey{{"node-10", "node-1"}, {"node-2", "node-10"}, {"node-2", "node-9"}}
	slices.SortFunc(pairs, byPair)
	if want := []pairKey{{"node-2", "node-9"}, {"node-2", "node-10"}, {"node-10", "node-1"}}; !slices.Equal(pairs, want) {
		t.Errorf("got %v", pairs)
	}
}
