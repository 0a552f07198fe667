package confirm_test

import (
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// oneWay loses whatever goes from one node to another, requests and answers alike;
// -1 is any other node.
func oneWay(from, to int) fault {
	way := func(a, b int) bool { return a != b && (from < 0 || a == from) && (to < 0 || b == to) }
	return func(_ *world, _ time.Duration, h hop) effect {
		there, back := way(h.from, h.to), way(h.to, h.from)
		e := drop(h.cross() && (there || back))
		e.arrived = e.outcome != "" && !there
		return e
	}
}

// One direction stays what it is told as, with the right name, for as long as it
// lasts: also when probes look into it seldom.
func TestOneDirectionLasts(t *testing.T) {
	lasts, sizes := 100*time.Second, []int{6, 16}
	if soak() {
		lasts, sizes = 20*time.Minute, []int{4, 8, 30}
	}
	tests := map[string]struct {
		from, to int
		about    string
	}{
		"to a node":                    {-1, 2, "to node-02"},
		"from a node":                  {2, -1, "from node-02"},
		"of a pair":                    {1, 3, "from node-01 to node-03"},
		"of a pair, the other way":     {3, 1, "from node-03 to node-01"},
		"of a pair of next neighbours": {0, 1, "from node-00 to node-01"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range sizes {
				w := newWorld(n, 7, 0, false)
				w.run(40 * time.Second)
				w.fault, w.began = oneWay(tt.from, tt.to), w.now
				w.staysWay(t, tt.about, lasts)
			}
		})
	}
}

func (w *world) staysWay(t *testing.T, about string, lasts time.Duration) {
	t.Helper()
	in := w.input()
	var confirmed []string
	for at := time.Duration(0); at < lasts; at = w.now.Sub(w.began) {
		w.run(time.Second)
		var now []string
		for _, f := range w.tracker.Judge(w.now, in).Findings {
			if f.Confidence != v1alpha1.ConfidenceConfirmed || f.Severity == v1alpha1.SeverityInfo {
				continue
			}
			if f.Signature != signature.OneDirectionDown || f.About != about {
				t.Fatalf("%d nodes: after %s confirmed %s %s %q, want %q\n%s", len(w.nodes), at, f.Signature, f.Family, f.About, about, w.explain())
			}
			now = append(now, f.Family)
		}
		for _, family := range confirmed {
			if !slices.Contains(now, family) {
				t.Fatalf("%d nodes: after %s %s is not confirmed any more\n%s", len(w.nodes), at, family, w.explain())
			}
		}
		if len(now) > len(confirmed) {
			t.Logf("%d nodes: %v after %s", len(w.nodes), now, at)
		}
		confirmed = now
	}
	if len(confirmed) != 2 {
		t.Fatalf("%d nodes: only %v is confirmed\n%s", len(w.nodes), confirmed, w.explain())
	}
}

// Whichever exchanges come first, one direction of a node is told as nothing else: a
// single request that arrived says that the node is not cut off.
func TestOneDirectionWhateverComesFirst(t *testing.T) {
	seeds := uint64(6)
	if soak() {
		seeds = 60
	}
	for name, fault := range map[string]fault{"from node-02": oneWay(2, -1), "to node-02": oneWay(-1, 2)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				w := newWorld(5, seed+1, 0, false)
				w.run(20*time.Second + time.Duration(seed)*3700*time.Millisecond)
				w.fault, w.began = fault, w.now
				w.staysWay(t, name, 40*time.Second)
			}
		})
	}
}
