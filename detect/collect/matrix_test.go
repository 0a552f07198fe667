package collect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// one is a matrix that knows the probe p-1 of node n-1.
func one(l Limits) (*Matrix, Key) {
	m := NewMatrix(l)
	t := Target{
		Key: Key{"ns", "p-1"}, UID: "u1", Node: "n-1", Phase: "Running",
		IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00::1")},
	}
	m.Put(t, start)
	m.PutNode(Node{Name: "n-1", Ready: true})
	return m, t.Key
}

func with(seq uint64, obs ...v1alpha1.Observation) probe.Line {
	return goodLine(func(l *probe.Line) {
		l.Seq, l.At, l.Observations = seq, start.Add(time.Duration(seq)*time.Second), obs
	})
}

func counts(t *testing.T, m *Matrix, k Key) Counts {
	t.Helper()
	p, ok := m.Probe(k)
	if !ok {
		t.Fatalf("no probe %v", k)
	}
	return p.Counts
}

func TestALineCountsOnce(t *testing.T) {
	m, k := one(Limits{})
	var fresh []uint64
	for _, seq := range []uint64{5, 6, 6, 9, 7, 5, 9, 8} {
		if m.Add(k, with(seq, lost("10.1.0.2", nil)), PathFollow, start) != nil {
			fresh = append(fresh, seq)
		}
	}
	if want := []uint64{5, 6, 9, 7, 8}; !slices.Equal(fresh, want) {
		t.Errorf("new were %v, want %v", fresh, want)
	}
	if got, want := counts(t, m, k), (Counts{Lines: 5, Duplicates: 3}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if m.Add(Key{"ns", "nobody"}, with(1), PathFollow, start) != nil {
		t.Error("heard a probe that is not there")
	}
}

func TestMissingLinesAreCounted(t *testing.T) {
	m, k := one(Limits{})
	for _, seq := range []uint64{10, 20, 15} {
		m.Add(k, with(seq), PathFollow, start)
	}
	if got := counts(t, m, k).Missing; got != 8 {
		t.Errorf("%d are missing, want 8", got)
	}
}

func TestRestartBeginsAnew(t *testing.T) {
	m, k := one(Limits{})
	add := func(boot string, seq uint64) bool {
		l := with(seq)
		l.Boot = boot
		return m.Add(k, l, PathFollow, start) != nil
	}
	for _, step := range []struct {
		boot  string
		seq   uint64
		fresh bool
	}{{"a", 7, true}, {"b", 1, true}, {"a", 8, true}, {"a", 7, false}, {"b", 2, true}, {"b", 1, false}, {"c", 1, true}} {
		if got := add(step.boot, step.seq); got != step.fresh {
			t.Errorf("boot %s line %d: new %t", step.boot, step.seq, got)
		}
	}
	if got := counts(t, m, k); got.Restarts != 2 || got.Missing != 0 {
		t.Errorf("counts %+v", got)
	}
}

func TestAProbeSpeaksForItselfOnly(t *testing.T) {
	line := func(change func(*v1alpha1.Endpoint)) probe.Line {
		l := with(1, lost("10.1.0.2", nil))
		change(&l.From)
		return l
	}
	lines := map[string]probe.Line{
		"pod":       line(func(e *v1alpha1.Endpoint) { e.Pod = "p-2" }),
		"namespace": line(func(e *v1alpha1.Endpoint) { e.Namespace = "kube-system" }),
		"node":      line(func(e *v1alpha1.Endpoint) { e.Node = "n-2" }),
		"address":   line(func(e *v1alpha1.Endpoint) { e.IP = "10.1.0.2" }),
	}
	host := with(1, lost("10.1.0.2", nil))
	host.HostNetwork = true
	lines["host network"] = host
	for name, l := range lines {
		m, k := one(Limits{})
		if m.Add(k, l, PathFollow, start) != nil || len(m.Observations()) != 0 {
			t.Errorf("another's %s: heard", name)
		}
		if p, _ := m.Probe(k); p.Counts.Foreign != 1 || !p.Heard.IsZero() {
			t.Errorf("another's %s: %+v", name, p)
		}
	}
	m, k := one(Limits{})
	other := func(change func(*v1alpha1.Observation)) v1alpha1.Observation { return lost("10.1.0.2", change) }
	got := m.Add(k, with(1,
		other(func(o *v1alpha1.Observation) { o.From.Node = "n-2" }),
		other(func(o *v1alpha1.Observation) { o.From.Pod = "p-9" }),
		other(func(o *v1alpha1.Observation) { o.From.IP = "10.9.9.9" }),
		other(func(o *v1alpha1.Observation) { o.HostNetwork = true }),
		other(func(o *v1alpha1.Observation) { o.From = v1alpha1.Endpoint{} }),
	), PathFollow, start)
	want := lost("10.1.0.2", nil)
	want.From = v1alpha1.Endpoint{Namespace: "ns", Pod: "p-1", Node: "n-1", IP: "10.1.0.1"}
	if diff := cmp.Diff([]v1alpha1.Observation{want}, got.Observations); diff != "" {
		t.Errorf("of five, the one in its own name (-want +got):\n%s", diff)
	}
	if c := counts(t, m, k); c.Foreign != 4 {
		t.Errorf("counts %+v", c)
	}
}

func TestTheLatestOfAFlowIsKept(t *testing.T) {
	m, k := one(Limits{})
	well := lost("10.1.0.2", func(o *v1alpha1.Observation) {
		o.Outcome, o.Received, o.SourceSeen, o.At = "OK", 1, "10.1.0.1", stamp(start.Add(2*time.Second))
	})
	m.Add(k, with(2, well), PathFollow, start.Add(3*time.Second))
	// An older one that comes later changes nothing.
	m.Add(k, with(1, lost("10.1.0.2", nil)), PathFollow, start.Add(3*time.Second))
	m.Add(k, with(3, lost("10.1.0.2", func(o *v1alpha1.Observation) { o.Protocol = "UDP" })), PathFollow, start.Add(3*time.Second))
	var got []string
	for _, o := range m.Observations() {
		got = append(got, o.Protocol+" "+o.Outcome+" "+o.SourceSeen)
	}
	if want := []string{"TCP OK 10.1.0.1", "UDP Timeout "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFullEndsWhatItDoesNotTell(t *testing.T) {
	full := func(seq uint64, obs ...v1alpha1.Observation) probe.Line {
		l := with(seq, obs...)
		l.Beat, l.Full = true, true
		return l
	}
	ips := func(m *Matrix) (out []string) {
		for _, o := range m.Observations() {
			out = append(out, o.To.IP)
		}
		return out
	}
	ok := lost("10.1.0.9", func(o *v1alpha1.Observation) { o.Outcome = "OK" })
	before := with(1, lost("10.1.0.2", nil), lost("10.1.0.3", nil), lost("10.1.0.4", nil), ok)
	now := start.Add(time.Minute)
	m, k := one(Limits{})
	for _, l := range []probe.Line{before, full(2, lost("10.1.0.2", nil)), full(3, lost("10.1.0.3", nil)), with(4)} {
		m.Add(k, l, PathFollow, now)
	}
	if want := []string{"10.1.0.2", "10.1.0.3", "10.1.0.9"}; !slices.Equal(ips(m), want) {
		t.Errorf("after a Full of two lines: %v, want %v", ips(m), want)
	}
	// With a part missing, nobody knows what it told.
	m, k = one(Limits{})
	for _, l := range []probe.Line{before, full(2, lost("10.1.0.2", nil)), full(4), with(5)} {
		m.Add(k, l, PathFollow, now)
	}
	if got := ips(m); len(got) != 4 {
		t.Errorf("after a Full with a gap: %v", got)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	m, k := one(Limits{Flows: 64})
	for i := range uint64(200) {
		o := lost(fmt.Sprintf("10.1.1.%d", i), func(o *v1alpha1.Observation) {
			o.At = stamp(start.Add(time.Duration(i) * time.Millisecond))
			if i >= 10 && i%2 == 0 {
				o.Outcome = "OK"
			}
		})
		m.Add(k, with(i+1, o), PathFollow, start.Add(time.Hour))
	}
	all := m.Observations()
	if len(all) != 64 || counts(t, m, k).Evicted != 136 {
		t.Fatalf("%d flows, counts %+v", len(all), counts(t, m, k))
	}
	if slices.ContainsFunc(all[:63], func(o v1alpha1.Observation) bool { return o.Outcome == "OK" && o.To.IP != "10.1.1.198" }) {
		t.Error("what is well was kept while what is wrong was given up")
	}
}

func TestForgetting(t *testing.T) {
	m, k := one(Limits{Forget: time.Minute})
	m.Add(k, with(1, lost("10.1.0.2", nil)), PathFollow, start)
	m.Expire(start.Add(59 * time.Second))
	if len(m.Observations()) != 1 {
		t.Error("forgot too early")
	}
	m.Expire(start.Add(62 * time.Second))
	if len(m.Observations()) != 0 || len(m.Probes()) != 1 {
		t.Error("the flow is still there, or the probe is not")
	}
	m.Gone(k, start.Add(2*time.Minute))
	m.Expire(start.Add(170 * time.Second))
	if len(m.Probes()) != 1 {
		t.Error("forgot the probe too early")
	}
	m.Expire(start.Add(181 * time.Second))
	if len(m.Probes()) != 0 {
		t.Error("the probe is still there")
	}
}

func TestAPodOfTheSameNameIsAnother(t *testing.T) {
	m, k := one(Limits{})
	m.Add(k, with(5, lost("10.1.0.2", nil)), PathFollow, start)
	m.Put(Target{Key: k, UID: "u2", Node: "n-1"}, start.Add(time.Minute))
	p, _ := m.Probe(k)
	if len(m.Observations()) != 0 || p.Boot != "" || !p.Heard.IsZero() || !p.Added.Equal(start.Add(time.Minute)) {
		t.Errorf("it inherited %+v", p)
	}
}

func TestSince(t *testing.T) {
	m, k := one(Limits{Recent: 4})
	say := func(from, to uint64) {
		for i := from; i <= to; i++ {
			m.Add(k, with(i, lost(fmt.Sprintf("10.1.1.%d", i), nil)), PathFollow, start)
		}
	}
	var cursor uint64
	take := func() (ips string, lost uint64) {
		var obs []v1alpha1.Observation
		obs, cursor, lost = m.Since(cursor)
		for _, o := range obs {
			ips += o.To.IP[len("10.1.1."):] + " "
			if o.From.Pod != "p-1" || o.From.Node != "n-1" {
				t.Errorf("from %+v", o.From)
			}
		}
		return ips, lost
	}
	for _, step := range []struct {
		from, to uint64
		want     string
		lost     uint64
	}{{1, 2, "1 2 ", 0}, {3, 2, "", 0}, {3, 6, "3 4 5 6 ", 0}, {7, 13, "10 11 12 13 ", 3}, {14, 14, "14 ", 0}} {
		say(step.from, step.to)
		if got, lost := take(); got != step.want || lost != step.lost {
			t.Errorf("%d to %d: got %q, %d lost; want %q, %d", step.from, step.to, got, lost, step.want, step.lost)
		}
	}
	cursor = 1 << 40 // of another matrix
	if got, lost := take(); got != "" || lost != 0 || cursor != 14 {
		t.Errorf("got %q, %d lost, cursor %d", got, lost, cursor)
	}
}

func TestHeartbeatsTallies(t *testing.T) {
	m, k := one(Limits{})
	beat := func(seq uint64, at time.Duration, ok int, kinds ...string) {
		l := with(seq)
		l.Beat, l.At, l.Members, l.Nodes, l.Delay = true, start.Add(at), "hash", 7, 12
		for _, p := range kinds {
			l.Tallies = append(l.Tallies, probe.Tally{Via: "PodIP", Family: "IPv6", Protocol: p, Target: "guarded", SameNode: true, OK: ok, Lost: 1 << 20})
		}
		l.Tallies = append(l.Tallies, probe.Tally{Via: "Pigeon"})
		m.Add(k, l, PathFollow, start)
	}
	beat(1, time.Second, 1, "TCP", "UDP")
	beat(2, 2*time.Second, 2, "TCP") // of two lines
	beat(3, 2*time.Second, 2, "HTTP")
	m.Add(k, with(4, lost("10.1.0.2", nil)), PathFollow, start)
	p, _ := m.Probe(k)
	want := []probe.Tally{
		{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded", SameNode: true, OK: 2, Lost: 65535},
		{Via: "PodIP", Family: "IPv6", Protocol: "HTTP", Target: "guarded", SameNode: true, OK: 2, Lost: 65535},
	}
	if diff := cmp.Diff(want, p.Tallies); diff != "" {
		t.Errorf("tallies (-want +got):\n%s", diff)
	}
	if p.Path != PathFollow || p.Boot != "b1" {
		t.Errorf("probe %+v", p)
	}
}

func TestClocksThatAreOff(t *testing.T) {
	tests := map[string]struct {
		off  time.Duration
		path Path
		want time.Duration // of the third line's observation, after start
	}{
		"right":                     {0, PathFollow, 20 * time.Second},
		"a little behind":           {-2 * time.Second, PathFollow, 18 * time.Second},
		"behind":                    {-5 * time.Minute, PathFollow, 20 * time.Second},
		"ahead":                     {5 * time.Minute, PathFollow, 20 * time.Second},
		"behind, in rotation":       {-5 * time.Minute, PathPoll, 20*time.Second - 5*time.Minute},
		"ahead, in rotation: never": {5 * time.Minute, PathPoll, 20 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, k := one(Limits{})
			for i := range uint64(3) {
				now := start.Add(time.Duration(i) * 10 * time.Second)
				l := with(i+1, lost("10.1.0.2", func(o *v1alpha1.Observation) { o.At = stamp(now.Add(tt.off)) }))
				l.At = now.Add(tt.off)
				m.Add(k, l, tt.path, now)
			}
			if got, want := m.Observations()[0].At, stamp(start.Add(tt.want)); got != want {
				t.Errorf("at %s, want %s", got, want)
			}
			if p, _ := m.Probe(k); tt.path == PathFollow && p.Skew != -tt.off {
				t.Errorf("skew %s", p.Skew)
			}
		})
	}
}

// When the target's node was last heard of is told with the loss, on the same clock.
func TestHeardStaysWithTheLoss(t *testing.T) {
	tests := map[string]struct {
		off, heard, want time.Duration // heard and want from the loss on
	}{
		"before":               {0, -1500 * time.Millisecond, -1500 * time.Millisecond},
		"after":                {0, 800 * time.Millisecond, 800 * time.Millisecond},
		"by a clock that errs": {5 * time.Minute, -7 * time.Second, -7 * time.Second},
		"at the same moment":   {0, 0, time.Millisecond},
		"in another year":      {0, -8760 * time.Hour, -time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, k := one(Limits{})
			var fresh *probe.Line
			for i := range uint64(3) {
				now := start.Add(time.Duration(i) * 10 * time.Second)
				at := now.Add(tt.off)
				l := with(i+1, lost("10.1.0.2", func(o *v1alpha1.Observation) { o.At, o.Heard = stamp(at), stamp(at.Add(tt.heard)) }))
				l.At = at
				fresh = m.Add(k, l, PathFollow, now)
			}
			want := stamp(start.Add(20*time.Second + tt.want))
			if got := m.Observations()[0].Heard; got != want || fresh.Observations[0].Heard != want {
				t.Errorf("heard at %s and, for the sink, at %s; want %s", got, fresh.Observations[0].Heard, want)
			}
		})
	}
	m, k := one(Limits{})
	if m.Add(k, with(1, lost("10.1.0.2", nil)), PathFollow, start); m.Observations()[0].Heard != "" {
		t.Errorf("heard of nobody, and says %s", m.Observations()[0].Heard)
	}
}

func TestABacklogIsNotNow(t *testing.T) {
	m, k := one(Limits{})
	now := start.Add(10 * time.Minute)
	for i := range uint64(30) {
		l := with(i+1, lost("10.1.0.2", func(o *v1alpha1.Observation) { o.At = "" }))
		m.Add(k, l, PathFollow, now.Add(time.Duration(i)*time.Millisecond))
	}
	if got, want := m.Observations()[0].At, stamp(start.Add(30*time.Second)); got != want {
		t.Errorf("at %s, want %s", got, want)
	}
}

func TestReports(t *testing.T) {
	m := NewMatrix(Limits{})
	put := func(ns, pod, node string, host bool) Key {
		k := Key{ns, pod}
		m.Put(Target{Key: k, UID: "u", Node: node, HostNetwork: host}, start)
		return k
	}
	keys := []Key{put("ns", "b", "n-2", false), put("ns", "a", "n-1", false), put("ns-host", "c", "n-1", true)}
	put("ns", "unheard", "n-3", false)
	for i, k := range keys {
		l := probe.Line{Version: 1, Boot: "b", Seq: 1, At: start, HostNetwork: i == 2}
		if i > 0 {
			l.Observations = []v1alpha1.Observation{
				{To: v1alpha1.Endpoint{IP: "fd00::2"}, Via: "PodIP", Family: "IPv6", Protocol: "ICMP", Outcome: "Timeout", HostNetwork: i == 2},
				{To: v1alpha1.Endpoint{IP: "10.0.0.2"}, Via: "NodeIP", Family: "IPv4", Protocol: "TCP", Outcome: "Refused", HostNetwork: i == 2},
			}
		}
		if m.Add(k, l, PathPoll, start) == nil {
			t.Fatalf("line of %v is not heard", k)
		}
	}
	reports := m.Reports()
	var got []string
	for _, r := range reports {
		got = append(got, r.Metadata.Name)
		for _, o := range r.Observations {
			got = append(got, fmt.Sprintf("  %s %s %s", o.From.Pod, o.To.IP, o.Outcome))
		}
	}
	want := "n-1\n  a 10.0.0.2 Refused\n  a fd00::2 Timeout\n  c 10.0.0.2 Refused\n  c fd00::2 Timeout\nn-2"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	text, err := json.Marshal(reports[1])
	if err != nil || string(text) != `{"apiVersion":"remediate.dev/v1alpha1","kind":"ProbeReport","metadata":{"name":"n-2"},"observations":[]}` {
		t.Errorf("%s, %v", text, err)
	}
	again, _ := json.Marshal(m.Reports())
	first, _ := json.Marshal(reports)
	if string(again) != string(first) {
		t.Error("the same state gives other bytes")
	}
	m.Gone(keys[0], start)
	if len(m.Reports()) != 1 {
		t.Error("a probe that is gone still reports")
	}
}
