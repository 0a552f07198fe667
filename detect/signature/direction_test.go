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

var directionStart = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

// sight is one exchange of a pod's probe at a second after the start.
func sight(second float64, from, to, via, protocol, outcome string) Sighting {
	at := directionStart.Add(time.Duration(second * float64(time.Second)))
	o := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Node: from, IP: "10.1.0.1"}, To: v1alpha1.Endpoint{Node: to, IP: "10.1.0.2"},
		Via: via, Family: "IPv4", Protocol: protocol, Target: v1alpha1.TargetOpen, Outcome: outcome, At: at.Format(time.RFC3339Nano),
	}
	if outcome == v1alpha1.OutcomeOK {
		o.SourceSeen = o.From.IP
	}
	return Sighting{ProbeObservation: snapshot.ProbeObservation{Observation: o}, Time: at}
}

// pairCut is four nodes of which two lose each other for 30 s; hears says whether b's
// probe tells that a's requests arrive, and nodes is what becomes of those to b's own
// address; empty: there are none.
func pairCut(lasting int, udp, hears bool, nodes string) []Sighting {
	out := []Sighting{}
	for i := range lasting {
		at := float64(i)
		protocol := "TCP"
		if udp && i%2 == 0 {
			protocol = "UDP"
		}
		there := sight(at, "a", "b", viaPodIP, protocol, v1alpha1.OutcomeTimeout)
		back := sight(at+0.5, "b", "a", viaPodIP, protocol, v1alpha1.OutcomeTimeout)
		if hears && udp {
			back.Heard = directionStart.Add(time.Duration(i/2*2) * time.Second).Format(time.RFC3339Nano)
		}
		out = append(out, there, back)
		for _, k := range [][2]string{{"a", "c"}, {"c", "a"}, {"b", "d"}, {"d", "b"}, {"c", "d"}} {
			out = append(out, sight(at+0.2, k[0], k[1], viaPodIP, "TCP", v1alpha1.OutcomeOK))
		}
		if nodes != "" {
			out = append(out, sight(at+0.3, "b", "a", viaNodeIP, "TCP", nodes))
		}
		if nodes != v1alpha1.OutcomeOK { // it says nothing of the direction that is lost
			out = append(out, sight(at+0.3, "a", "b", viaNodeIP, "TCP", v1alpha1.OutcomeTimeout))
		}
	}
	return out
}

func TestDirectionOfAPair(t *testing.T) {
	tests := []struct {
		name      string
		sightings []Sighting
		want      string // signature and what it is about
	}{
		{"neither arrives", pairCut(30, true, false, ""), PairDown + " a and b"},
		{"one arrives", pairCut(30, true, true, v1alpha1.OutcomeTimeout), OneDirectionDown + " from b to a"},
		{"one arrives, nodes not tried yet", pairCut(30, true, true, ""), ""},
		{"one arrives, nodes never tried", pairCut(45, true, true, ""), OneDirectionDown + " from b to a"},
		{"one arrives and the nodes get through", pairCut(30, true, true, v1alpha1.OutcomeOK), RouteToPeerMissing + " a and b"},
		{"not told yet", pairCut(30, false, false, ""), ""},
		{"never told", pairCut(45, false, false, ""), PairDown + " a and b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: tt.sightings, Nodes: []string{"a", "b", "c", "d"}})}
			got := ""
			for _, f := range in.Supported() {
				got += f.Signature + " " + f.About
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// hubCut is five nodes of which e loses what it has to do with the others; of their
// requests e's probe tells that so many arrived.
func hubCut(lasting, arrived int) []Sighting {
	var out []Sighting
	others := []string{"a", "b", "c", "d"}
	for i := range lasting {
		for n, other := range others {
			at := float64(i) + float64(n)/10
			there := sight(at, other, "e", viaPodIP, "UDP", v1alpha1.OutcomeTimeout)
			back := sight(at+0.5, "e", other, viaPodIP, "UDP", v1alpha1.OutcomeTimeout)
			if i >= 2 && arrived > 0 {
				back.Heard = there.At
				arrived--
			}
			out = append(out, there, back, sight(at+0.2, other, others[(n+1)%len(others)], viaPodIP, "TCP", v1alpha1.OutcomeOK))
		}
	}
	return out
}

// One request that arrived is a hint of one direction and no proof of it: it is waited
// for another.
func TestDirectionOfANode(t *testing.T) {
	for _, tt := range []struct {
		lasting, arrived int
		want             string
	}{
		{12, 0, NodePodsUnreachable + " e"},
		{12, 1, ""},
		{12, 2, OneDirectionDown + " from e"},
		{40, 1, NodePodsUnreachable + " e"},
	} {
		in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: hubCut(tt.lasting, tt.arrived), Nodes: []string{"a", "b", "c", "d", "e"}})}
		got := ""
		for _, f := range in.Supported() {
			got += f.Signature + " " + f.About
		}
		if got != tt.want {
			t.Errorf("%d s, %d arrived: %q, want %q", tt.lasting, tt.arrived, got, tt.want)
		}
	}
}

// Where the other family tells one direction of a node, this one is waited for.
func TestDirectionOfTheOtherFamilyIsWaitedFor(t *testing.T) {
	for _, families := range [][2]string{{"IPv4", "IPv6"}, {"IPv6", "IPv4"}} {
		for _, tt := range []struct {
			arrived int
			want    string
		}{{2, families[0] + " " + OneDirectionDown}, {0, "IPv4 " + NodePodsUnreachable + ", IPv6 " + NodePodsUnreachable}} {
			all := hubCut(25, tt.arrived)
			for i := range all {
				all[i].Family = families[0]
			}
			for _, s := range hubCut(25, 1) {
				s.Family = families[1]
				if tt.arrived == 0 {
					s.Heard = ""
				}
				all = append(all, s)
			}
			in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: []string{"a", "b", "c", "d", "e"}})}
			var got []string
			for _, f := range in.Supported() {
				got = append(got, f.Family+" "+f.Signature)
			}
			slices.Sort(got)
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("%s, %d arrived: %q, want %q", families[0], tt.arrived, got, tt.want)
			}
		}
	}
}

// A node that has lost something of its own, if only once so far, is no end of one
// direction; it is when it loses nothing.
func TestOneLossOfTheOtherDirection(t *testing.T) {
	for outcome, want := range map[string]string{v1alpha1.OutcomeTimeout: "", v1alpha1.OutcomeOK: OneDirectionDown} {
		for _, to := range []bool{true, false} {
			var all []Sighting
			for i := range 14 {
				at := float64(i)
				for n, other := range []string{"a", "b", "c"} {
					from, target := other, "e"
					if !to {
						from, target = "e", other
					}
					all = append(all, sight(at+float64(n)/10, from, target, viaPodIP, "TCP", v1alpha1.OutcomeTimeout),
						sight(at+float64(n)/10, other, "d", viaPodIP, "TCP", v1alpha1.OutcomeOK))
				}
			}
			if to {
				all = append(all, sight(13.5, "e", "a", viaPodIP, "TCP", outcome))
			} else {
				all = append(all, sight(13.5, "a", "e", viaPodIP, "TCP", outcome))
			}
			in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: []string{"a", "b", "c", "d", "e"}})}
			got := ""
			for _, f := range in.Supported() {
				if f.Signature == OneDirectionDown {
					got = f.Signature
				}
			}
			if got != want {
				t.Errorf("to the node %v, the other way %s: %q, want %q", to, outcome, got, want)
			}
		}
	}
}

// lossySights are four nodes whose exchanges are all lost, though requests arrive everywhere.
func lossySights(lasting int, arrive bool) []Sighting {
	var out []Sighting
	nodes := []string{"a", "b", "c", "d"}
	for i := range lasting {
		for n, from := range nodes {
			for m, to := range nodes {
				if from == to {
					continue
				}
				s := sight(float64(i)+float64(n*4+m)/20, from, to, viaPodIP, "UDP", v1alpha1.OutcomeTimeout)
				if arrive {
					s.Heard = directionStart.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano)
				}
				out = append(out, s)
			}
		}
	}
	return out
}

// Where requests arrive there is a way, whether answers come or not.
func TestRequestsThatArriveRefuteACut(t *testing.T) {
	for arrive, want := range map[bool]bool{true: false, false: true} {
		in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: lossySights(8, arrive), Nodes: []string{"a", "b", "c", "d"}})}
		if found := in.Supported(); (len(found) > 0) != want {
			t.Errorf("requests arrive: %v: found %+v", arrive, found)
		}
	}
	both := pairCut(30, true, true, "")
	for i := range both {
		if both[i].From.Node == "a" && both[i].To.Node == "b" {
			both[i].Heard = both[i].At
		}
	}
	in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: both, Nodes: []string{"a", "b", "c", "d"}})}
	if found := in.Supported(); len(found) > 0 {
		t.Errorf("a pair whose requests arrive in both directions: found %+v", found)
	}
}

// One family is down with the nodes' own network, and routes are missing without: until
// somebody tried a node's own address nothing is said, and not for ever.
func TestOneFamilyWaitsForTheNodesPath(t *testing.T) {
	for _, tt := range []struct {
		lasting int
		nodes   string
		want    string
	}{
		{8, "", ""},
		{8, v1alpha1.OutcomeTimeout, FamilyDown},
		{8, v1alpha1.OutcomeOK, NoRouteBetweenNodes},
		{30, "", NoRouteBetweenNodes},
	} {
		all := lossySights(tt.lasting, false)
		for _, s := range lossySights(tt.lasting, false) {
			s.Family, s.Outcome, s.SourceSeen = "IPv6", v1alpha1.OutcomeOK, s.From.IP
			all = append(all, s)
		}
		if tt.nodes != "" {
			for i := range tt.lasting {
				all = append(all, sight(float64(i)+0.9, "a", "b", viaNodeIP, "TCP", tt.nodes))
			}
		}
		in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: []string{"a", "b", "c", "d"}})}
		got := ""
		for _, f := range in.Supported() {
			got += f.Signature
		}
		if got != tt.want {
			t.Errorf("%d s, nodes %q: %q, want %q", tt.lasting, tt.nodes, got, tt.want)
		}
	}
}

// What a prober claims to have heard counts only near its own exchange.
func TestHeardIsBounded(t *testing.T) {
	for text, want := range map[string]int{
		directionStart.Format(time.RFC3339Nano):                       1,
		directionStart.Add(time.Hour).Format(time.RFC3339Nano):        0,
		directionStart.Add(-2 * time.Minute).Format(time.RFC3339Nano): 0,
		"yesterday": 0,
		"":          0,
	} {
		s := sight(1, "a", "b", viaPodIP, "TCP", v1alpha1.OutcomeTimeout)
		s.Heard = text
		var p pair
		p.hear(&s)
		p.hear(&s)
		if len(p.heard) != want {
			t.Errorf("%q: %d moments, want %d", text, len(p.heard), want)
		}
	}
}

// A probe that has no time to be sure of anything is heard all the same.
func TestStarvedIsHeard(t *testing.T) {
	s := sight(9, "a", "b", viaPodIP, "TCP", v1alpha1.OutcomeTimeout)
	s.Unreliable = true
	r := NewReach(ReachInput{Sightings: []Sighting{s}, Nodes: []string{"a", "b"}, Totals: []Total{{Node: "b", Family: "IPv4", To: directionStart.Add(7 * time.Second)}}})
	for node, want := range map[string]int{"a": 9, "b": 7, "c": -1} {
		got := r.lastHeard(node)
		if at := int(got.Sub(directionStart).Seconds()); want < 0 && !got.IsZero() || want >= 0 && at != want {
			t.Errorf("%s: heard at %s", node, fmt.Sprint(got))
		}
	}
}

// A closed port where cluster DNS should be is DNS that is down.
func TestRefusedDNS(t *testing.T) {
	var all []Sighting
	for i := range 6 {
		for _, from := range []string{"a", "b", "c"} {
			s := sight(float64(i)+0.5, from, "", viaDNS, "UDP", v1alpha1.OutcomeRefused)
			s.To.IP, s.Target = "10.96.0.10", ""
			all = append(all, s, sight(float64(i), from, map[string]string{"a": "b", "b": "c", "c": "a"}[from], viaPodIP, "TCP", v1alpha1.OutcomeOK),
				sight(float64(i), from, map[string]string{"a": "b", "b": "c", "c": "a"}[from], viaPodIP, "UDP", v1alpha1.OutcomeOK))
		}
	}
	in := &Input{Snapshot: &snapshot.Snapshot{}, Reach: NewReach(ReachInput{Sightings: all, Nodes: []string{"a", "b", "c"}})}
	found := in.Supported()
	if len(found) != 1 || found[0].Signature != ClusterDNSDown {
		t.Errorf("found %+v", found)
	}
}
