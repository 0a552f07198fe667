package signature

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	lostOutcome = v1alpha1.OutcomeTimeout
	okOutcome   = v1alpha1.OutcomeOK
)

// shown is what the probes of nodes a to e speak for: signature, what it is about and
// who says so, sorted.
func shown(all []Sighting, totals ...Total) []string {
	in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Totals: totals, Nodes: []string{"a", "b", "c", "d", "e"}})}
	var out []string
	for _, f := range in.Supported() {
		s, _ := in.Support(&f)
		text := f.Signature
		if f.About != "" {
			text += " " + f.About
		}
		out = append(out, text+" by "+strings.Join(s.Probers, ""))
	}
	slices.Sort(out)
	return out
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// everyPair is one exchange of each ordered pair of the nodes in each second.
func everyPair(nodes string, from, to int, protocol, outcome string) (out []Sighting) {
	for i := from; i < to; i++ {
		for _, a := range strings.Split(nodes, "") {
			for _, b := range strings.Split(nodes, "") {
				if a != b {
					out = append(out, sight(float64(i), a, b, viaPodIP, protocol, outcome))
				}
			}
		}
	}
	return out
}

// Pairs that are cut have a cause each while they are few; a crowd of them has one that
// is not known yet.
func TestManyPairsAreNoFaultsOfTheirOwn(t *testing.T) {
	for _, n := range []int{16, 17} {
		var nodes []string
		var all []Sighting
		for i := range 60 {
			nodes = append(nodes, fmt.Sprintf("n%02d", i))
		}
		for i := range n {
			for s := range 50 {
				for _, k := range [][2]string{{nodes[2*i], nodes[2*i+1]}, {nodes[2*i+1], nodes[2*i]}} {
					all = append(all, sight(float64(s), k[0], k[1], viaPodIP, "TCP", lostOutcome))
				}
				all = append(all, sight(float64(s), nodes[2*i], nodes[50], viaPodIP, "TCP", okOutcome), sight(float64(s), nodes[2*i+1], nodes[50], viaPodIP, "TCP", okOutcome))
			}
		}
		in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: nodes})}
		want := n
		if n > 16 {
			want = 0
		}
		if got := in.Supported(); len(got) != want {
			t.Errorf("%d pairs: %d findings, want %d", n, len(got), want)
		}
	}
}

// A firewall may have an opinion of pings: none of them proves that a path is cut.
func TestLostPingsCutNothing(t *testing.T) {
	expect(t, "TCP", shown(everyPair("abcde", 0, 8, "TCP", lostOutcome)), NoRouteBetweenNodes+" by abcde")
	expect(t, "ICMP", shown(everyPair("abcde", 0, 8, "ICMP", lostOutcome)))
}

// Healthy exchanges are counted and not told: a count of answers after the failures
// began means that not everything fails.
func TestCountedAnswersRefuteACut(t *testing.T) {
	all := everyPair("abcde", 0, 12, "TCP", lostOutcome)
	counted := Total{Node: "a", Family: "IPv4", From: directionStart.Add(underWay * 4), To: directionStart.Add(underWay * 12), OK: 3}
	expect(t, "answers", shown(all, counted))
	counted.OK, counted.Lost = 0, 3
	expect(t, "losses only", shown(all, counted), NoRouteBetweenNodes+" by abcde")
}

// A node is at fault only where something works without it, told or counted.
func TestStarNeedsSomethingThatWorks(t *testing.T) {
	var star []Sighting
	for i := range 20 {
		for _, other := range []string{"a", "b", "c", "d"} {
			star = append(star, sight(float64(i), other, "e", viaPodIP, "UDP", lostOutcome), sight(float64(i), "e", other, viaPodIP, "UDP", lostOutcome))
		}
	}
	expect(t, "nothing is known to work", shown(star))
	want := NodePodsUnreachable + " e by abcde"
	expect(t, "told", shown(append(star, sight(15, "a", "b", viaPodIP, "TCP", okOutcome))), want)
	expect(t, "counted", shown(star, Total{Node: "a", Family: "IPv4", From: directionStart.Add(5 * underWay), To: directionStart.Add(15 * underWay), OK: 3}), want)
}

// masquerading is an exchange that was seen with another source than the pod's.
func masquerading(second float64, from, to string) Sighting {
	s := sight(second, from, to, viaPodIP, "TCP", okOutcome)
	s.SourceSeen = "192.0.2.1"
	return s
}

// Who was seen by its own address since is not masqueraded, and as many as are not
// outweigh those that are. What was seen before it began says nothing.
func TestOwnAddressOutweighs(t *testing.T) {
	own := func(second float64, from, to string) Sighting {
		return sight(second, from, to, viaPodIP, "TCP", okOutcome)
	}
	began := []Sighting{masquerading(10, "a", "d"), masquerading(10, "b", "d"), masquerading(10, "c", "d")}
	want := PodSourceMasqueraded + " by abc"
	expect(t, "three", shown(began), want)
	expect(t, "before it began", shown(append(began, own(1, "a", "b"), own(1, "b", "c"), own(1, "c", "a"))), want)
	expect(t, "one is seen by both", shown(append(began, masquerading(10, "e", "a"), own(11, "e", "b"))), want)
	expect(t, "as many by their own", shown(append(began[:2:2], own(11, "c", "a"), own(11, "e", "a"))))
}

// Of what lies between two groups both ways have to fail.
func TestOneWayBetweenGroupsLacksTheOther(t *testing.T) {
	var all []Sighting
	both := func(x, y string, i int, outcome string) {
		all = append(all, sight(float64(i), x, y, viaPodIP, "TCP", outcome), sight(float64(i), y, x, viaPodIP, "TCP", outcome))
	}
	for i := range 10 {
		both("a", "b", i, okOutcome)
		both("c", "d", i, okOutcome)
		both("d", "e", i, okOutcome)
		for _, to := range []string{"c", "d", "e"} {
			all = append(all, sight(float64(i), "a", to, viaPodIP, "TCP", lostOutcome), sight(float64(i), "b", to, viaPodIP, "TCP", lostOutcome))
		}
	}
	lacked := func(all []Sighting) string {
		in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: []string{"a", "b", "c", "d", "e"}})}
		for _, f := range in.Supported() {
			if f.Signature == ZoneCut {
				return strings.Join(f.Lacked, ", ")
			}
		}
		return "no " + ZoneCut
	}
	if got := lacked(all); !strings.Contains(got, "both directions") {
		t.Errorf("one way: lacked %q", got)
	}
	all = append(all, sight(8, "c", "a", viaPodIP, "TCP", lostOutcome), sight(9, "c", "a", viaPodIP, "TCP", lostOutcome))
	if got := lacked(all); strings.Contains(got, "both directions") {
		t.Errorf("both ways: lacked %q", got)
	}
}

// Around one node losses and answers have to come in the same seconds, again and
// again: a node that was gone and came back loses nothing by chance.
func TestLossOfANodeTakesTurns(t *testing.T) {
	counted := Total{Node: "e", Family: "IPv4", From: directionStart, To: directionStart.Add(59 * underWay), OK: 50, Lost: 30}
	around := func(answer func(i int) bool) (out []Sighting) {
		for i := range 60 {
			outcome := lostOutcome
			if answer(i) {
				outcome = okOutcome
			}
			out = append(out, sight(float64(i), "a", "e", viaPodIP, "TCP", outcome), sight(float64(i)+0.5, "b", "e", viaPodIP, "TCP", outcome))
		}
		return out
	}
	expect(t, "by turns", shown(around(func(i int) bool { return i%3 == 2 }), counted), PacketLoss+" e by ab")
	in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{
		Sightings: around(func(i int) bool { return i%3 == 2 }), Totals: []Total{counted}, Nodes: []string{"a", "b", "c", "d", "e"},
	})}
	for _, f := range in.Supported() {
		if s, _ := in.Support(&f); !s.Last.Equal(directionStart.Add(58500 * time.Millisecond)) {
			t.Errorf("%s was seen last at %s, which is not the last loss", f.Signature, s.Last)
		}
	}
	for _, found := range shown(around(func(i int) bool { return i == 20 || i == 40 }), counted) {
		if strings.HasPrefix(found, PacketLoss) {
			t.Errorf("two answers in a minute: %s", found)
		}
	}
}

// Losses are of no node where few periods have many of them, and where nearly all
// periods have some of more than one node: agents that restart leave pauses.
func TestSpreadOfLosses(t *testing.T) {
	edge := func(ends string) pairKey { return pairKey{ends[:1], ends[1:]} }
	period := func(ends ...string) (out []pairKey) {
		for _, e := range ends {
			out = append(out, edge(e))
		}
		return out
	}
	wide, two, one := period("ab", "cd", "ef"), period("ab", "cd"), period("ab", "ac")
	for _, tt := range []struct {
		name             string
		wide, two, empty int // of twelve; the rest are one node's
		ok               bool
	}{
		{"four wide ones", 4, 0, 8, true},
		{"three wide ones", 3, 0, 9, false},
		{"two nodes, always", 0, 12, 0, true},
		{"two nodes, half of the time", 0, 6, 0, true},
		{"two nodes, less than that", 0, 5, 0, false},
		{"two nodes with pauses", 0, 9, 3, false},
	} {
		var buckets [][]pairKey
		for i := range lossBuckets {
			switch {
			case i < tt.wide:
				buckets = append(buckets, wide)
			case i < tt.wide+tt.two:
				buckets = append(buckets, two)
			case i < tt.wide+tt.two+tt.empty:
				buckets = append(buckets, nil)
			default:
				buckets = append(buckets, one)
			}
		}
		if hub, ok := spread(buckets, 5); ok != tt.ok || hub != "" {
			t.Errorf("%s: %v, around %q", tt.name, ok, hub)
		}
	}
}

// Names are told from services: where a ClusterIP fails, or none is known to work,
// what DNS loses may be the services'.
func TestDNSNeedsServicesThatWork(t *testing.T) {
	try := func(second float64, from, via, outcome string) Sighting {
		s := sight(second, from, "", via, "UDP", outcome)
		s.To.IP, s.Target = "10.96.0.10", ""
		return s
	}
	var dead []Sighting
	for i := range 8 {
		for _, from := range []string{"a", "b", "c"} {
			dead = append(dead, try(float64(i), from, viaDNS, lostOutcome))
		}
	}
	dead = append(dead, everyPair("abc", 4, 5, "TCP", okOutcome)...)
	want := ClusterDNSDown + " by abc"
	expect(t, "no service is known", shown(dead), want)
	expect(t, "a service works", shown(append(dead, try(3, "a", viaClusterIP, okOutcome))), want)
	expect(t, "a service worked before", shown(append(dead, try(-3, "a", viaClusterIP, okOutcome))))
	expect(t, "services fail for one, and work for another", shown(append(dead,
		try(3, "a", viaClusterIP, lostOutcome), try(4, "a", viaClusterIP, lostOutcome), try(6, "b", viaClusterIP, okOutcome))))
}
