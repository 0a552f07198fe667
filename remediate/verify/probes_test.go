package verify

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func seen(from, to string, c Class, outcome string) v1alpha1.Observation {
	return v1alpha1.Observation{From: v1alpha1.Endpoint{Node: from, IP: "fd00::1"}, To: v1alpha1.Endpoint{Node: to}, Via: c.Via, Family: c.Family,
		Protocol: c.Protocol, Target: c.Target, Outcome: outcome}
}

// A heartbeat counts when all of it lies after the moment from which is counted.
func TestRecorderCounts(t *testing.T) {
	var r Recorder
	ok := ClassCount{guarded6, Count{OK: 5}}
	lost := ClassCount{guarded6, Count{Lost: 4}}
	r.Beat(after(0), after(0), "n1", lost)
	r.Beat(after(10*time.Second), after(10*time.Second), "n1", lost)
	if n := r.Probes(nil, nil).total(guarded6); n.Lost != 4 {
		t.Errorf("%+v: the first heartbeat is of a time that nobody knows, the second counts", n)
	}
	r.Reset(after(15 * time.Second))
	if n := r.Probes(nil, nil).total(guarded6); n.tried() != 0 {
		t.Errorf("%+v after a reset", n)
	}
	r.Beat(after(20*time.Second), after(20*time.Second), "n1", lost)
	if n := r.Probes(nil, nil).total(guarded6); n.tried() != 0 {
		t.Errorf("%+v: it began before the reset", n)
	}
	r.Beat(after(30*time.Second), after(30*time.Second), "n1", ok)
	r.Beat(after(40*time.Second), after(40*time.Second), "n1", ok, ClassCount{guarded6, Count{OK: -1}})
	p := r.Probes(map[string]string{"n2": "three heartbeats are missing"}, nil)
	n := p.total(guarded6)
	if n.OK != 10 || n.Lost != 0 || !n.LastOK.Equal(after(40*time.Second)) || !n.LastBad.IsZero() {
		t.Errorf("%+v", n)
	}
	if len(p.Senders) != 2 || p.Senders[1].Silent == "" || !p.Senders[1].Heard.IsZero() || !p.Senders[0].Heard.Equal(after(40*time.Second)) || !p.Listening {
		t.Errorf("%+v", p)
	}
	r.Members([]string{"n2"})
	if p := r.Probes(nil, nil); len(p.Senders) != 0 {
		t.Errorf("%+v: n1 does not take part any more", p)
	}
}

// Failures are told at once; they date what the next heartbeat counts.
func TestRecorderDates(t *testing.T) {
	masked := seen("n1", "n2", open6, v1alpha1.OutcomeOK)
	masked.SourceSeen = "fd00:1::1"
	own := seen("n1", "n2", open6, v1alpha1.OutcomeOK)
	own.SourceSeen = own.From.IP
	service := seen("n1", "n2", Class{Via: "ClusterIP", Family: "IPv6"}, v1alpha1.OutcomeOK)
	service.SourceSeen = "fd00:1::1"
	host := seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout)
	host.HostNetwork = true
	starved := seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout)
	starved.Unreliable = true
	late := seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout)
	late.At = after(-time.Second).Format(time.RFC3339Nano)
	skewed := late
	skewed.At = after(-time.Hour).Format(time.RFC3339Nano)
	tests := []struct {
		name string
		o    v1alpha1.Observation
		bad  bool
	}{
		{"lost", seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout), true},
		{"answered", seen("n1", "n2", guarded6, v1alpha1.OutcomeOK), false},
		{"masqueraded", masked, true},
		{"its own address", own, false},
		{"a service translates", service, false},
		{"from the host's network", host, false},
		{"the prober was starved", starved, false},
		{"not checked", seen("n1", "n2", guarded6, v1alpha1.OutcomeNotChecked), false},
		{"seen before counting began", late, false},
		{"a clock that is an hour off", skewed, true},
		{"nobody", seen("", "n2", guarded6, v1alpha1.OutcomeTimeout), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Recorder
			r.Reset(after(0))
			r.Observe(after(time.Second), tt.o)
			n := r.Probes(nil, nil).total(ClassOf(tt.o))
			if bad := n.LastBad.Equal(after(time.Second)); bad != tt.bad || n.tried() != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// The baseline is small, whatever was seen, and survives a status.
func TestBaseline(t *testing.T) {
	var r Recorder
	for i := range 200 {
		from := fmt.Sprintf("node-%03d", i)
		r.Beat(after(0), after(0), from)
		r.Beat(after(10*time.Second), after(10*time.Second), from, ClassCount{guarded6, Count{Lost: 3}}, ClassCount{guarded4, Count{OK: 3}})
		for k := range 100 {
			r.Observe(after(time.Second), seen(from, fmt.Sprintf("node-%03d", k), guarded6, v1alpha1.OutcomeTimeout))
		}
	}
	r.Observe(after(2*time.Second), seen("node-000", "node-001", guarded6, v1alpha1.OutcomeOK))
	b := r.Baseline(after(time.Minute), []Cause{cause})
	if b.Nodes != 200 || len(b.Broken) != maxBroken || b.BrokenPairs < 4000 || b.count(guarded6).Lost != 600 || b.count(guarded4).OK != 600 {
		t.Errorf("%+v", b)
	}
	for _, p := range b.Broken {
		if p.From == "node-000" && p.To == "node-001" || p.From == p.To {
			t.Errorf("%+v is not broken", p)
		}
	}
	st := b.Status()
	raw, err := json.Marshal(st)
	if err != nil || len(raw) > 4096 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	back := BaselineOf(st)
	if back.count(guarded6).Lost != 600 || back.BrokenPairs != b.BrokenPairs || !back.confirmed(cause) || !back.To.Equal(b.To) {
		t.Errorf("%+v", back)
	}
	if BaselineOf(nil) != nil {
		t.Error("no baseline is none")
	}
}

// A baseline that is taken before a heartbeat counted a failure knows of it all the
// same: failures are told at once.
func TestBaselineBeforeHeartbeat(t *testing.T) {
	var r Recorder
	r.Observe(after(time.Second), seen("n1", "n2", guarded6, v1alpha1.OutcomeTimeout), seen("n1", "n2", guarded4, v1alpha1.OutcomeOK))
	b := r.Baseline(after(2*time.Second), nil)
	if b.count(guarded6).Lost != 1 || b.count(guarded4).tried() != 0 {
		t.Errorf("%+v", b.Classes)
	}
}

// Of too many classes the failing ones are kept.
func TestBaselineStatusKeepsWhatFails(t *testing.T) {
	b := Baseline{}
	for i := range 40 {
		b.Classes = append(b.Classes, ClassCount{Class{Via: "PodIP", Family: "IPv4", Protocol: fmt.Sprintf("P%02d", i)}, Count{OK: 1}})
	}
	b.Classes = append(b.Classes, ClassCount{Class{Via: "PodIP", Family: "IPv6", Protocol: "ZZ"}, Count{Lost: 9}})
	st := b.Status()
	if len(st.Flows) != 32 || st.Flows[0].Class != "PodIP/IPv6/ZZ/" || st.Flows[0].Lost != 9 {
		t.Errorf("%d flows, first %+v", len(st.Flows), st.Flows[0])
	}
}

func TestClassKey(t *testing.T) {
	for _, c := range []Class{guarded6, dns6, {Via: "PodIP", Family: "IPv4", SameNode: true}, {}} {
		got, ok := ClassOfKey(c.Key())
		if !ok || got != c {
			t.Errorf("%q gives %+v, want %+v", c.Key(), got, c)
		}
	}
	for _, bad := range []string{"", "a", "a/b/c", "a/b/c/d/e", "a/b/c/d/same-node/f"} {
		if c, ok := ClassOfKey(bad); ok {
			t.Errorf("%q gives %+v", bad, c)
		}
	}
}

// A status says what is planned; a value that may have been cut says nothing.
func TestPlannedOf(t *testing.T) {
	long := make([]byte, 256)
	for i := range long {
		long[i] = 'x'
	}
	got := PlannedOf(&v1alpha1.PlanStatus{ValuesDigest: digest, Restart: []string{"DaemonSet/cilium"}, ConfigDelta: []v1alpha1.ConfigKey{
		{Key: cidrKey, Value: wide}, {Key: "mtu", Removed: true}, {Key: MasqAgentKey, Value: string(long)}}}, cause)
	want := Planned{Config: map[string]*string{cidrKey: ptr(wide), "mtu": nil}, ValuesDigest: digest, Restart: []string{"DaemonSet/cilium"}, Causes: []Cause{cause}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if hot := PlannedOf(&v1alpha1.PlanStatus{ConfigDelta: []v1alpha1.ConfigKey{{Key: MasqAgentKey, Value: "a"}}}); !hot.HotReload {
		t.Errorf("%+v: nothing restarts, so it is reloaded", hot)
	}
	if none := PlannedOf(nil); none.Config != nil || none.HotReload {
		t.Errorf("%+v", none)
	}
}

func TestNodesStatus(t *testing.T) {
	in := story()
	old(&in, "n1")
	in.Nodes[1].Ready = 0
	st := Judge(in).NodesStatus()
	if st.Wanted != 3 || st.Active != 1 || st.Unknown != 1 || len(st.Waiting) != 2 || st.Waiting[0].Node != "n1" || !st.Waiting[1].Unknown {
		t.Errorf("%+v", st)
	}
	if Judge(Input{}).NodesStatus() != nil {
		t.Error("nothing is known of nodes")
	}
}
