package verify

import (
	"fmt"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// A recorder keeps no more than its bounds, whoever claims to be a probe and
// whatever it says to have tried.
func TestRecorderIsBounded(t *testing.T) {
	var r Recorder
	for i := range maxSenders + 50 {
		r.Beat(after(0), after(0), fmt.Sprintf("n%d", i))
	}
	if n := len(r.Probes(nil, nil).Senders); n != maxSenders {
		t.Errorf("%d senders", n)
	}
	for i := range maxClasses + 50 {
		c := classOf("PodIP", "IPv6", fmt.Sprint(i), "open")
		r.Beat(after(10*time.Second), after(10*time.Second), "n0", ClassCount{c, Count{OK: 1}})
	}
	if n := len(r.Probes(nil, nil).Senders[0].Counts); n != maxClasses {
		t.Errorf("%d classes", n)
	}
	r.Beat(after(0), after(0), "", ClassCount{guarded6, Count{OK: 1}})
	for i := range maxPairs + 50 {
		r.Observe(after(20*time.Second), seen("n1", fmt.Sprintf("t%d", i), guarded6, v1alpha1.OutcomeTimeout))
	}
	if len(r.pairs) != maxPairs || r.Baseline(after(time.Minute), nil).BrokenPairs != maxPairs+50 {
		t.Errorf("%d pairs, %d counted", len(r.pairs), r.Baseline(after(time.Minute), nil).BrokenPairs)
	}
}

// A pair of nodes is broken until it is seen to work, as a lost one or as a
// masqueraded one, and between two nodes only.
func TestBrokenPairs(t *testing.T) {
	lost, fine := seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout), seen("n1", "n2", guarded6, v1alpha1.OutcomeOK)
	masked := fine
	masked.SourceSeen = "fd00:1::1"
	tests := []struct {
		name string
		all  []v1alpha1.Observation
		want []Pair
	}{
		{"lost", []v1alpha1.Observation{lost}, []Pair{{From: "n1", To: "n2", Family: "IPv6", Target: "guarded"}}},
		{"lost twice", []v1alpha1.Observation{lost, lost}, []Pair{{From: "n1", To: "n2", Family: "IPv6", Target: "guarded"}}},
		{"masqueraded", []v1alpha1.Observation{masked}, []Pair{{From: "n1", To: "n2", Family: "IPv6", Target: "guarded", Masked: true}}},
		{"lost, and works", []v1alpha1.Observation{lost, fine}, nil},
		{"masqueraded, and works", []v1alpha1.Observation{masked, fine}, nil},
		{"works, and is lost", []v1alpha1.Observation{fine, lost}, []Pair{{From: "n1", To: "n2", Family: "IPv6", Target: "guarded"}}},
		{"on one node", []v1alpha1.Observation{seen("n1", "n1", guarded6, v1alpha1.OutcomeTimeout)}, nil},
		{"by a service", []v1alpha1.Observation{seen("n1", "n2", classOf("ClusterIP", "IPv6", "TCP", "open"), v1alpha1.OutcomeTimeout)}, nil},
		{"to nobody's node", []v1alpha1.Observation{seen("n1", "", guarded6, v1alpha1.OutcomeTimeout)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Recorder
			r.Observe(after(0), tt.all...)
			b := r.Baseline(after(time.Minute), nil)
			if fmt.Sprint(b.Broken) != fmt.Sprint(append([]Pair{}, tt.want...)) || b.BrokenPairs != len(tt.want) {
				t.Errorf("%v, want %v", b.Broken, tt.want)
			}
		})
	}
}

// Nodes that leave are forgotten, with the pairs that they were part of.
func TestMembersLeave(t *testing.T) {
	var r Recorder
	for _, n := range []string{"n1", "n2", "n3"} {
		r.Beat(after(0), after(0), n)
		r.Beat(after(10*time.Second), after(10*time.Second), n, ClassCount{guarded6, Count{Lost: 3}})
	}
	r.Observe(after(11*time.Second), seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout), seen("n3", "n1", guarded6, v1alpha1.OutcomeTimeout))
	r.Members([]string{"n1", "n2"})
	b := r.Baseline(after(time.Minute), nil)
	if b.Nodes != 2 || b.count(guarded6).Lost != 6 || b.BrokenPairs != 1 {
		t.Errorf("%+v", b)
	}
}

// Of a masquerade only a flow to a pod's own address tells; a service translates.
func TestOnlyPodAddressesTellMasquerade(t *testing.T) {
	var r Recorder
	service := classOf("ClusterIP", "IPv6", "TCP", "open")
	r.Beat(after(0), after(0), "n1")
	r.Beat(after(10*time.Second), after(10*time.Second), "n1", ClassCount{service, Count{Masked: 5}}, ClassCount{open6, Count{Masked: 5}})
	s := r.Probes(nil, nil).Senders[0]
	if n := s.count(service); !n.LastBad.IsZero() || n.Masked != 5 {
		t.Errorf("by a service: %+v", n)
	}
	if n := s.count(open6); n.LastBad.IsZero() {
		t.Errorf("to a pod: %+v", n)
	}
}

// While the API server was away nobody read what probes said. What they counted before
// the change was active is heard after it, and is not of it.
func TestBeatsHeardLate(t *testing.T) {
	r := &Recorder{}
	r.Beat(after(0), after(0), "n1")
	r.Reset(after(time.Minute))
	lost := ClassCount{guarded6, Count{Lost: 3}}
	for i := range 6 {
		r.Beat(after(time.Minute+time.Second), after(time.Duration(i)*10*time.Second), "n1", lost)
	}
	r.Beat(after(time.Minute+2*time.Second), after(time.Minute+time.Second), "n1", lost) // of both times
	r.Beat(after(time.Minute+11*time.Second), after(time.Minute+11*time.Second), "n1", ClassCount{guarded6, Count{OK: 2}})
	p := r.Probes(nil, nil)
	if len(p.Senders) != 1 || len(p.Senders[0].Counts) != 1 || p.Senders[0].Counts[0].Lost != 0 || p.Senders[0].Counts[0].OK != 2 {
		t.Errorf("counted %+v", p.Senders)
	}
	// A clock that is off by more than a line may take is not believed.
	r.Beat(after(time.Minute+21*time.Second), after(-time.Hour), "n1", lost)
	if got := r.Probes(nil, nil).Senders[0].Counts[0].Lost; got != 3 {
		t.Errorf("of a clock that is an hour behind %d lost were counted", got)
	}
}
