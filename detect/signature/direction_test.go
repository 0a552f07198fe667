package signature

import (
	"fmt"
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
// probe tells that a's requests arrive.
func pairCut(lasting int, udp, hears, nodes bool) []Sighting {
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
		if nodes {
			out = append(out, sight(at+0.3, "a", "b", viaNodeIP, "TCP", v1alpha1.OutcomeOK))
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
		{"neither arrives", pairCut(30, true, false, false), PairDown + " a and b"},
		{"one arrives", pairCut(30, true, true, false), OneDirectionDown + " from b to a"},
		{"one arrives and the nodes get through", pairCut(30, true, true, true), RouteToPeerMissing + " a and b"},
		{"not told yet", pairCut(30, false, false, false), ""},
		{"never told", pairCut(45, false, false, false), PairDown + " a and b"},
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
