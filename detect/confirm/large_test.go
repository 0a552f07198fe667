package confirm_test

import (
	"slices"
	"testing"
	"time"
)

// TestCrowd: when something fails everywhere in a very large cluster, far more is said
// than is kept. Twelve of what each probe said are left, as of 5,000 nodes, and what
// each says still spans enough time to show that it lasts, of pairs that meet.
func TestCrowd(t *testing.T) {
	const nodes = 60
	for _, sc := range scenarios() {
		if sc.within != 10*time.Second || sc.twins { // twins say as much again
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nodes, 7, sc.zones, sc.twins)
			w.tracker.Most = 12 * nodes
			w.run(30 * time.Second)
			w.fault, w.began = sc.fault, w.now
			in := w.input()
			for w.now.Sub(w.began) < 2*sc.within {
				w.run(time.Second)
				switch got := w.confirmed(in); {
				case slices.Equal(got, []string{sc.want}):
					t.Logf("after %s", w.now.Sub(w.began))
					return
				case len(got) > 0:
					t.Fatalf("confirmed %v\n%s", got, w.explain())
				}
			}
			t.Fatalf("not confirmed, %d kept\n%s", w.tracker.Kept(), w.explain())
		})
	}
}

// What cuts all nodes of a large cluster apart is confirmed as soon as in a small one,
// though the two ways of a pair have their turns minutes apart.
func TestLargeClusterIsConfirmedAsSoon(t *testing.T) {
	nodes, look := 60, time.Second
	if soak() {
		nodes, look = 2000, 2*time.Second
	}
	for _, sc := range scenarios() {
		if sc.within != 10*time.Second {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(nodes, 3, sc.zones, sc.twins)
			w.run(30 * time.Second)
			w.fault, w.began = sc.fault, w.now
			in := w.input()
			for w.now.Sub(w.began) < sc.within {
				w.run(look)
				if got := w.confirmed(in); len(got) > 0 {
					if !slices.Equal(got, []string{sc.want}) {
						t.Fatalf("confirmed %v\n%s", got, w.explain())
					}
					t.Logf("after %s", w.now.Sub(w.began))
					return
				}
			}
			t.Fatalf("not confirmed after %s\n%s", sc.within, w.explain())
		})
	}
}
