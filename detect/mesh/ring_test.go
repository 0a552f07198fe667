package mesh

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/cidr"
)

func TestCoverTimePublished(t *testing.T) {
	for n, want := range map[int]string{
		0: "0s", 1: "0s", 2: "14s", 10: "14s", 11: "14s", 12: "28s", 100: "2m20s", 1000: "23m20s", 5000: "1h56m40s",
	} {
		if got := CoverTime(n).String(); got != want {
			t.Errorf("CoverTime(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int]string{2: "28s", 10: "2m6s", 100: "21m0s", 1000: "3h30m0s", 5000: "17h30m0s"} {
		if got := KindsCoverTime(n).String(); got != want {
			t.Errorf("KindsCoverTime(%d) = %s, want %s", n, got, want)
		}
	}
}

// gaps simulates nodes from a slot for some time and gives the longest stretch, in
// slots, in which any of their pairs had no exchange that key tells from others.
// Every key that all counts must have come up for each pair.
func gaps(t *testing.T, from []*Plan, start, slots int64, key func(Check) string, all int) int64 {
	t.Helper()
	var worst int64
	for _, p := range from {
		last := map[string]int64{}
		for s := start; s < start+slots; s++ {
			turn := p.At(s)
			if !arrives(turn) || !isRing(turn.Check) {
				continue
			}
			k := turn.Check.To.Node + key(turn.Check)
			before, ok := last[k]
			if !ok {
				before = start - 1
			}
			worst = max(worst, s-before)
			last[k] = s
		}
		if len(last) != all*(p.Nodes()-1) {
			t.Fatalf("%s met %d kinds of its %d peers, want %d each", p.self.Node, len(last), p.Nodes()-1, all)
		}
		for _, s := range last {
			worst = max(worst, start+slots-s)
		}
	}
	return worst
}

// TestCoverTimeHolds: what is derived is observed, from any slot on, for every
// ordered pair and both families, and no shorter time would be true.
func TestCoverTimeHolds(t *testing.T) {
	for _, n := range []int{2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 20, 21, 22, 50, 100, 1000, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			from := plans(cluster(n))
			if n > 100 { // all nodes do the same, seen from their place in the ring
				from = from[:2]
			}
			cover := int64(CoverTime(n) / Slot)
			worst := gaps(t, from, SlotAt(epoch)+rand.Int64N(10_000), 3*cover, func(c Check) string { return c.Family }, 2)
			if worst > cover {
				t.Errorf("a pair had no exchange for %d slots, published are %d", worst, cover)
			}
			if n > 2*Peers && worst <= cover-2*roundSlots {
				t.Errorf("the longest gap is %d slots: %d is not a bound that is met", worst, cover)
			}
		})
	}
}

func TestKindsCoverTimeHolds(t *testing.T) {
	for _, n := range []int{2, 3, 5, 6, 7, 10, 12, 20, 33} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			cover := int64(KindsCoverTime(n) / Slot)
			key := func(c Check) string { c.To.Node = ""; return brief(c) }
			if worst := gaps(t, plans(cluster(n)), SlotAt(epoch)+rand.Int64N(10_000), 3*cover, key, 2*len(kinds)); worst > cover {
				t.Errorf("a pair had no exchange of a kind for %d slots, published are %d", worst, cover)
			}
		})
	}
}

// TestOneFamilyCoversKinds: where two nodes share one family only, both passes
// of a round are for it.
func TestOneFamilyCoversKinds(t *testing.T) {
	m := cluster(12)
	for i := range m.Members {
		m.Members[i].Open.IPs = cidr.AddrsOfFamily(m.Members[i].Open.IPs, cidr.IPv4)
		m.Members[i].Guarded.IPs = cidr.AddrsOfFamily(m.Members[i].Guarded.IPs, cidr.IPv4)
	}
	cover := int64(KindsCoverTime(12) / Slot)
	key := func(c Check) string { c.To.Node = ""; return brief(c) }
	gaps(t, plans(m), SlotAt(epoch), cover, key, len(kinds))
}

// load is how many exchanges each second of the clock brought out of and into the
// nodes' pods and addresses, at most and in all.
type load struct{ maxOut, maxIn, out, in int }

func simulate(from []*Plan, start, slots int64, skew func(node int) int64) load {
	at := map[string]int{}
	for i, p := range from {
		at[p.self.Node] = i
	}
	perSecond := int64(time.Second / Slot)
	seconds := int(slots/perSecond) + 1
	in, out := make([][]int, len(from)), make([][]int, len(from))
	for i := range from {
		in[i], out[i] = make([]int, seconds), make([]int, seconds)
	}
	var l load
	for i, p := range from {
		for s := range slots {
			turn := p.At(start + s + skew(i))
			if turn.Idle() || turn.NotChecked != "" {
				continue
			}
			out[i][s/perSecond]++
			l.out++
			if arrives(turn) {
				in[at[turn.Check.To.Node]][s/perSecond]++
				l.in++
			}
		}
	}
	for i := range from {
		l.maxIn, l.maxOut = max(l.maxIn, slices.Max(in[i])), max(l.maxOut, slices.Max(out[i]))
	}
	return l
}

func inStep(int) int64 { return 0 }

// TestLoadIsConstant: at any size and in every second no node sends more than two
// exchanges, and none gets more than two.
func TestLoadIsConstant(t *testing.T) {
	for _, n := range []int{2, 10, 100, 1000, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			slots := int64(2 * roundSlots)
			got := simulate(plans(cluster(n)), floorDiv(SlotAt(epoch), roundSlots)*roundSlots, slots, inStep)
			if got.maxOut > 2 || got.maxIn > 2 {
				t.Errorf("at most %d out and %d in within a second, want 2 and 2", got.maxOut, got.maxIn)
			}
			if want := n * int(slots); got.out != want {
				t.Errorf("%d exchanges of %d nodes in %d slots, want %d", got.out, n, slots, want)
			}
			t.Logf("n=%d: out %.2f/s (max %d), in %.2f/s (max %d)", n, float64(got.out)/float64(n)/56*2, got.maxOut, float64(got.in)/float64(n)/56*2, got.maxIn)
		})
	}
}

// TestSkewOnlyShifts: clocks that are off by up to two seconds change nobody's own
// rate, and what arrives stays near the mean.
func TestSkewOnlyShifts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	shifts := make([]int64, 1000)
	for i := range shifts {
		shifts[i] = rnd.Int64N(9) - 4
	}
	got := simulate(plans(cluster(1000)), SlotAt(epoch), 4*roundSlots, func(i int) int64 { return shifts[i] })
	if got.maxOut > 2 || got.maxIn > 9 {
		t.Errorf("at most %d out and %d in within a second, want 2 and 9", got.maxOut, got.maxIn)
	}
}

// TestNoHerd: within a slot nodes start evenly, and few ask the same thing at once.
func TestNoHerd(t *testing.T) {
	const n, bins = 5000, 50
	all := plans(cluster(n))
	count := make([]int, bins)
	for _, p := range all {
		phase := Phase(p.self.Node)
		if phase < 0 || phase >= Slot {
			t.Fatalf("phase %s of %s is not within a slot", phase, p.self.Node)
		}
		count[int(phase*bins/Slot)]++
	}
	variance := 0.0
	for _, c := range count {
		d := float64(c) - n/bins
		variance += d * d / bins
	}
	if variance > 2*n/bins {
		t.Errorf("starts per 10 ms have variance %.0f around %d, want at most twice the mean", variance, n/bins)
	}
	for s := SlotAt(epoch); s < SlotAt(epoch)+roundSlots; s++ {
		if own, _, _ := IsOwn(s); !own {
			continue
		}
		services, dns := map[string]int{}, 0
		for _, p := range all {
			c := p.At(s).Check
			if c.Via == ViaDNS {
				dns++
			} else if c.Via == ViaClusterIP {
				services[brief(c)]++
			}
		}
		if limit := n*6/len(all[0].own) + 6; dns > limit {
			t.Errorf("%d of %d nodes ask DNS in one slot, want at most %d", dns, n, limit)
		}
		for what, c := range services {
			if c > n/len(all[0].own)+1 {
				t.Errorf("%d of %d nodes try %s in one slot", c, n, what)
			}
		}
	}
}

// TestMembershipChanges: nodes come and go; counted from the change, every pair of
// the new members is met within the new membership's cover time.
func TestMembershipChanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	start := SlotAt(epoch)
	for _, change := range [][2]int{{100, 101}, {100, 99}, {30, 60}, {12, 2}, {2, 12}} {
		before, after := plans(cluster(change[0])), plans(cluster(change[1]))
		moment := start + rnd.Int64N(500)
		cover := int64(CoverTime(change[1]) / Slot)
		if got := gaps(t, after, moment, cover, func(c Check) string { return c.Family }, 2); got > cover {
			t.Errorf("%v: a pair waits %d slots after the change, want %d", change, got, cover)
		}
		// While the file travels, some nodes have the old ring: their rates hold.
		mixed := append(slices.Clone(before[:min(change[0], change[1])/2]), after[min(change[0], change[1])/2:min(change[0], change[1])]...)
		for s := moment; s < moment+roundSlots; s++ {
			for _, p := range mixed {
				if turn := p.At(s); !turn.Idle() && turn.Check.From.Node != p.self.Node {
					t.Fatalf("%s has a turn of %s", p.self.Node, turn.Check.From.Node)
				}
			}
		}
	}
}

func TestRingOrder(t *testing.T) {
	m := cluster(40)
	want := NewRing(m).Nodes()
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(m.Members), func(i, j int) { m.Members[i], m.Members[j] = m.Members[j], m.Members[i] })
	m.Members = append(m.Members, m.Members[0])
	if got := NewRing(m).Nodes(); !slices.Equal(got, want) {
		t.Errorf("the order depends on the list's: %v, want %v", got, want)
	}
	if slices.IsSorted(want) {
		t.Error("nodes are in the order of their names: racks do not mix")
	}
	m.Members = slices.DeleteFunc(m.Members, func(m Member) bool { return m.Node == want[7] })
	if got := NewRing(m).Nodes(); !slices.Equal(got, slices.Delete(slices.Clone(want), 7, 8)) {
		t.Error("a node that left moved others")
	}
}

func TestSlots(t *testing.T) {
	for _, at := range []time.Time{epoch, epoch.Add(499 * time.Millisecond), time.Unix(0, 0), time.Unix(-5, 1)} {
		s := SlotAt(at)
		if begin := SlotTime(s); begin.After(at) || at.Sub(begin) >= Slot {
			t.Errorf("slot %d begins at %s, %s lies in it", s, begin, at)
		}
	}
	own := 0
	for s := int64(-roundSlots); s < roundSlots; s++ {
		if is, nth, _ := IsOwn(s); is {
			own++
			if nth != int64((own-1)%4) {
				t.Errorf("slot %d is own slot %d of its pass, want %d", s, nth, (own-1)%4)
			}
		}
	}
	if own != 16 {
		t.Errorf("%d own slots in two rounds, want 16", own)
	}
}
