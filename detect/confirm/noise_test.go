package confirm_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
)

// variant is a cluster in which nothing is at fault, whatever happens.
type variant struct {
	name  string
	fault fault
	// allowed are true statements that are no fault of the network.
	allowed []string
	setup   func(w *world)
	// each is called once in a second.
	each func(w *world, at time.Duration)
}

// during says whether at lies in a window of a length that comes around once in
// every period, and which time it is.
func during(at, period, length time.Duration) (which int, now bool) {
	return int(at / period), at%period < length
}

func variants() []variant {
	return []variant{
		{name: "healthy"},
		{name: "one packet in a hundred", fault: loss(0.005)},
		{name: "one pair loses one packet in ten", fault: func(w *world, at time.Duration, h hop) effect {
			if h.between(1, 2) {
				return loss(0.1)(w, at, h)
			}
			return effect{}
		}},
		{name: "a burst of loss", fault: func(w *world, at time.Duration, h hop) effect {
			if _, now := during(at, 10*time.Minute, 3*time.Second); now {
				return loss(0.3)(w, at, h)
			}
			return effect{}
		}},
		{name: "probe pods restart one by one", fault: func(w *world, at time.Duration, h hop) effect {
			which, now := during(at, 20*time.Second, 10*time.Second)
			return drop(now && h.to == which%len(w.nodes) && h.target == v1alpha1.TargetOpen && h.via == mesh.ViaPodIP)
		}},
		{name: "a node restarts", fault: func(w *world, at time.Duration, h hop) effect {
			which, now := during(at, 5*time.Minute, 9*time.Second)
			return drop(now && h.cross() && h.touches(which%len(w.nodes)))
		}},
		{name: "a node is down for two minutes", allowed: []string{signature.NodeDown, signature.NodePodsUnreachable}, fault: func(_ *world, at time.Duration, h hop) effect {
			_, now := during(at, 10*time.Minute, 2*time.Minute)
			return drop(now && h.cross() && h.touches(1))
		}},
		{name: "a rolling upgrade of Cilium", fault: func(w *world, at time.Duration, h hop) effect {
			which, now := during(at, 15*time.Second, 4*time.Second)
			if now && h.cross() && h.touches(which%len(w.nodes)) {
				return drop(w.rng.Float64() < 0.7)
			}
			return effect{}
		}},
		{name: "two agents restart at a time", fault: func(w *world, at time.Duration, h hop) effect {
			which, now := during(at, 20*time.Second, 5*time.Second)
			n := len(w.nodes)
			return drop(now && h.cross() && (h.touches(2*which%n) || h.touches((2*which+1)%n)))
		}},
		{name: "nodes are drained and leave", setup: func(w *world) { w.join(func(int) bool { return true }) },
			fault: func(w *world, at time.Duration, h hop) effect {
				which, now := during(at, 4*time.Minute, 2*time.Minute)
				gone := which % len(w.nodes)
				return drop(now && at%(4*time.Minute) > 5*time.Second && h.cross() && h.touches(gone))
			},
			each: func(w *world, at time.Duration) {
				which, now := during(at, 4*time.Minute, 2*time.Minute+10*time.Second)
				switch left := at % (4 * time.Minute); {
				case left == 12*time.Second && now:
					w.join(func(i int) bool { return i != which%len(w.nodes) })
				case left == 2*time.Minute+10*time.Second:
					w.join(func(int) bool { return true })
				}
			}},
		{name: "a reflector crashed", fault: func(_ *world, _ time.Duration, h hop) effect {
			if h.to == 1 && h.target == v1alpha1.TargetOpen && h.protocol != mesh.ICMP && h.via == mesh.ViaPodIP {
				return effect{outcome: v1alpha1.OutcomeRefused}
			}
			return effect{}
		}},
		{name: "a wrong key", fault: func(_ *world, _ time.Duration, h hop) effect {
			if h.touches(1) && h.target != "" {
				return effect{outcome: v1alpha1.OutcomeNotChecked, why: "key refused"}
			}
			return effect{}
		}},
		{name: "starved probers", fault: func(w *world, _ time.Duration, h hop) effect {
			return effect{outcome: []string{"", v1alpha1.OutcomeTimeout}[w.rng.IntN(2)], starved: true}
		}},
		{name: "garbage", fault: func(w *world, _ time.Duration, h hop) effect {
			return effect{outcome: []string{v1alpha1.OutcomeError, v1alpha1.OutcomeReset}[w.rng.IntN(2)], why: "not an answer of ours"}
		}},
		{name: "clocks are wrong", setup: func(w *world) {
			w.skew = map[int]time.Duration{0: time.Hour, 1: -25 * time.Minute, 2: 40 * time.Second}
		}, fault: loss(0.003)},
		{name: "a liar that loses everything", setup: liar(func(w *world, o *v1alpha1.Observation) {
			o.Outcome, o.SourceSeen = v1alpha1.OutcomeTimeout, ""
		})},
		{name: "a liar that is masqueraded", setup: liar(func(w *world, o *v1alpha1.Observation) {
			if o.Outcome == v1alpha1.OutcomeOK && o.Target == v1alpha1.TargetOpen {
				o.SourceSeen = "192.0.2.1"
			}
			if o.Target == v1alpha1.TargetGuarded {
				o.Outcome, o.SourceSeen = v1alpha1.OutcomeTimeout, ""
			}
		})},
		{name: "a liar that throws dice", setup: liar(func(w *world, o *v1alpha1.Observation) {
			all := []string{v1alpha1.OutcomeOK, v1alpha1.OutcomeTimeout, v1alpha1.OutcomeRefused, v1alpha1.OutcomeUnreachable, v1alpha1.OutcomeTooBig, "", "nonsense"}
			o.Outcome = all[w.rng.IntN(len(all))]
			o.SourceSeen = []string{"", o.To.IP, "192.0.2.7", "not an address"}[w.rng.IntN(4)]
		})},
		{name: "services of two of ten slow", fault: func(w *world, _ time.Duration, h hop) effect {
			return drop(h.via == mesh.ViaClusterIP && w.rng.Float64() < 0.02)
		}},
	}
}

func liar(lie func(w *world, o *v1alpha1.Observation)) func(w *world) {
	return func(w *world) {
		w.lie = func(w *world, node int, o *v1alpha1.Observation) {
			if node == 1 {
				lie(w, o)
			}
		}
	}
}

// Nothing is confirmed where nothing is wrong. A round is the mesh's: 14 s.
func TestNoFalseConfirmation(t *testing.T) {
	rounds, sizes := 300, []int{5}
	if soak() {
		rounds, sizes = 10_000, []int{3, 5, 8, 12}
	}
	all := variants()
	each := int(math.Ceil(float64(rounds) / float64(len(all)*len(sizes))))
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for i, n := range sizes {
				v.quiet(t, n, uint64(1000+i), max(each, 20))
			}
		})
	}
}

func (v variant) quiet(t *testing.T, n int, seed uint64, rounds int) {
	t.Helper()
	w := newWorld(n, seed, 0, false)
	if v.setup != nil {
		v.setup(w)
	}
	w.run(20 * time.Second)
	w.fault, w.began = v.fault, w.now
	in := w.input()
	for w.now.Sub(w.began) < time.Duration(rounds)*mesh.Round {
		w.run(time.Second)
		if v.each != nil {
			v.each(w, w.now.Sub(w.began))
		}
		for _, id := range w.confirmed(in) {
			if !slices.Contains(v.allowed, id) {
				t.Fatalf("%d nodes: after %s confirmed %s\n%s", n, w.now.Sub(w.began), id, w.explain())
			}
		}
	}
}
