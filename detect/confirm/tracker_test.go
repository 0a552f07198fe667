package confirm_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

var noon = time.Date(2026, 2, 12, 12, 0, 0, 0, time.UTC)

// seen is an exchange of pods of two nodes over IPv6.
func seen(from, to int, target, outcome, source string, at time.Time) v1alpha1.Observation {
	name := func(n int) string { return fmt.Sprintf("node-%02d", n) }
	o := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: "p", Pod: "a", Node: name(from), IP: addr(podKind, "IPv6", from, 1).String()},
		To:   v1alpha1.Endpoint{Namespace: "p", Pod: "b", Node: name(to), IP: addr(podKind, "IPv6", to, 1).String(), Port: mesh.Port},
		Via:  mesh.ViaPodIP, Family: "IPv6", Protocol: mesh.TCP, Target: target, Outcome: outcome, SourceSeen: source, At: at.Format(time.RFC3339Nano),
	}
	if outcome == v1alpha1.OutcomeOK && source == "" {
		o.SourceSeen = o.From.IP
	}
	return o
}

// masked are exchanges of n nodes with each other, all seen with the sender's node.
func maskedAll(n int, at time.Time) []v1alpha1.Observation {
	var out []v1alpha1.Observation
	for from := range n {
		for to := range n {
			if from != to {
				out = append(out, seen(from, to, "open", v1alpha1.OutcomeOK, addr(nodeKind, "IPv6", from, 1).String(), at),
					seen(from, to, "guarded", v1alpha1.OutcomeTimeout, "", at))
			}
		}
	}
	return out
}

func names(j confirm.Judgement) []string {
	var out []string
	for _, f := range j.Findings {
		out = append(out, string(f.Confidence)+" "+f.Signature)
	}
	return out
}

func TestQuorumIsNeeded(t *testing.T) {
	tests := []struct {
		name string
		say  func(tr *confirm.Tracker)
		want bool
	}{
		{"all nodes, for long enough", func(tr *confirm.Tracker) {
			tr.Observe(noon, maskedAll(4, noon)...)
			tr.Observe(noon.Add(4*time.Second), maskedAll(4, noon.Add(4*time.Second))...)
		}, true},
		{"not for long enough", func(tr *confirm.Tracker) { tr.Observe(noon, maskedAll(4, noon)...) }, false},
		{"one prober only", func(tr *confirm.Tracker) {
			for i := range 20 {
				at := noon.Add(time.Duration(i) * time.Second)
				for to := 1; to < 4; to++ {
					tr.Observe(at, seen(0, to, "open", v1alpha1.OutcomeOK, "192.0.2.1", at))
				}
			}
		}, false},
		{"the same said again and again", func(tr *confirm.Tracker) {
			for i := range 20 {
				tr.Observe(noon.Add(time.Duration(i)*time.Second), maskedAll(4, noon)...)
			}
		}, false},
		{"unreliable", func(tr *confirm.Tracker) {
			for i := range 10 {
				at := noon.Add(time.Duration(i) * time.Second)
				for _, o := range maskedAll(4, at) {
					o.Unreliable = true
					tr.Observe(at, o)
				}
			}
		}, false},
		{"refuted by the same nodes since", func(tr *confirm.Tracker) {
			tr.Observe(noon, maskedAll(4, noon)...)
			at := noon.Add(4 * time.Second)
			tr.Observe(at, maskedAll(4, at)...)
			for from := range 4 {
				tr.Observe(at.Add(time.Second), seen(from, (from+1)%4, "open", v1alpha1.OutcomeOK, "", at.Add(time.Second)))
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := &confirm.Tracker{}
			tt.say(tr)
			j := tr.Judge(noon.Add(10*time.Second), signature.Input{})
			if got := slices.Contains(names(j), "confirmed "+signature.PodSourceMasqueraded); got != tt.want {
				t.Errorf("confirmed %v, want %v: %v, pending %v", got, tt.want, names(j), j.Pending)
			}
			if tt.want && (len(j.Records) != 1 || len(j.Records[0].Support.Probers) != 4 || len(j.Findings[0].Evidence) == 0) {
				t.Errorf("records %+v", j.Records)
			}
		})
	}
}

// With the configuration the cause is named; what probes alone would say is not
// said besides.
func TestTheConfigurationNamesTheCause(t *testing.T) {
	cfg := cilium.Config{Version: "1.18.6", Source: "cilium-config", Values: map[string]string{
		"enable-ipv4": "true", "enable-ipv6": "true", "routing-mode": "native", "auto-direct-node-routes": "true", "ipam": "kubernetes",
		"ipv6-native-routing-cidr": "fd00:ffff::/48", "enable-ipv6-masquerade": "true", "enable-ipv4-masquerade": "false",
	}}
	in := signature.Input{Config: cfg, Snapshot: &snapshot.Snapshot{ReadKinds: map[string]bool{"Node": true}}}
	in.Settings, _ = cilium.Effective(cfg)
	for i := range 4 {
		in.Snapshot.Nodes = append(in.Snapshot.Nodes, snapshot.Node{Name: fmt.Sprintf("node-%02d", i), InternalIPs: both(nodeKind, i, 1),
			PodCIDRs: []netip.Prefix{netip.PrefixFrom(addr(podKind, "IPv6", i, 0), 64)}})
	}
	tr := &confirm.Tracker{}
	before := tr.Judge(noon, in)
	if !slices.Contains(names(before), "predicted "+signature.NativeRoutingCIDRExcludesPods) {
		t.Fatalf("before any probe: %v", names(before))
	}
	tr.Observe(noon, seen(0, 1, "open", v1alpha1.OutcomeOK, addr(nodeKind, "IPv6", 0, 1).String(), noon))
	if one := names(tr.Judge(noon.Add(time.Second), in)); slices.Contains(one, "confirmed "+signature.NativeRoutingCIDRExcludesPods) {
		t.Fatalf("one probe confirms: %v", one)
	}
	for i := range 5 {
		at := noon.Add(time.Duration(i+1) * time.Second)
		tr.Observe(at, maskedAll(4, at)...)
	}
	j := tr.Judge(noon.Add(8*time.Second), in)
	got := names(j)
	if !slices.Contains(got, "confirmed "+signature.NativeRoutingCIDRExcludesPods) || strings.Contains(strings.Join(got, " "), signature.PodSourceMasqueraded) {
		t.Errorf("got %v; pending %v", got, j.Pending)
	}
}

// A finding that was confirmed stays through a short gap, goes after a longer one,
// and is known again when it comes back.
func TestFlapping(t *testing.T) {
	tr := &confirm.Tracker{}
	fail := func(from time.Time) {
		for i := range 5 {
			at := from.Add(time.Duration(i) * time.Second)
			tr.Observe(at, maskedAll(4, at)...)
		}
	}
	heal := func(at time.Time) {
		for from := range 4 {
			for to := range 4 {
				if from != to {
					tr.Observe(at, seen(from, to, "open", v1alpha1.OutcomeOK, "", at), seen(from, to, "guarded", v1alpha1.OutcomeOK, "", at))
				}
			}
		}
	}
	judge := func(at time.Time) confirm.Judgement { return tr.Judge(at, signature.Input{}) }
	fail(noon)
	if j := judge(noon.Add(5 * time.Second)); !j.Confirmed() {
		t.Fatalf("not confirmed: %v", names(j))
	}
	heal(noon.Add(6 * time.Second))
	if j := judge(noon.Add(10 * time.Second)); !j.Confirmed() {
		t.Error("it went with the first answers")
	}
	if j := judge(noon.Add(30 * time.Second)); j.Confirmed() {
		t.Errorf("it stays though all is well: %v", names(j))
	}
	fail(noon.Add(60 * time.Second))
	j := judge(noon.Add(66 * time.Second))
	if !j.Confirmed() || j.Records[0].Flaps != 1 || !j.Records[0].Since.After(noon.Add(50*time.Second)) {
		t.Errorf("back: %v %+v", names(j), j.Records)
	}
}

func TestSilenceIsAnEffectOfANodeThatIsDown(t *testing.T) {
	w := newWorld(5, 7, 0, false)
	w.run(30 * time.Second)
	w.began, w.heard = w.now, notNode(2)
	w.fault = pure(func(h hop) bool { return h.cross() && h.touches(2) })
	in := w.input()
	in.Silent = []signature.Silence{{Node: "node-02", Pod: "probe-2", Since: w.now, Running: true}, {Node: "node-03", Pod: "probe-3", Since: w.now, Running: true}, {Node: "node-04", Pod: "probe-4"}}
	for range 25 {
		w.run(time.Second)
		w.tracker.Judge(w.now, in)
	}
	j := w.tracker.Judge(w.now, in)
	var silent []string
	for _, f := range j.Findings {
		if f.Signature == signature.ProbeSilent {
			silent = append(silent, f.About)
		}
	}
	if !slices.Equal(silent, []string{"node-03"}) || len(j.Suppressed) != 1 || j.Suppressed[0].CausedBy != signature.NodeDown {
		t.Errorf("silent %v, suppressed %+v", silent, j.Suppressed)
	}
}

// Whatever is said, memory is bounded and nothing panics.
func TestBounds(t *testing.T) {
	tr := &confirm.Tracker{}
	odd := []string{"", "IPv4", "IPv6", "\x00", strings.Repeat("x", 300)}
	for i := range 40_000 {
		at := noon.Add(time.Duration(i) * time.Millisecond)
		o := seen(i%300, (i*7)%301, odd[i%5], odd[(i/5)%5], odd[(i/25)%5], at)
		o.Family, o.Via, o.Bytes = odd[1+i%2], []string{"PodIP", "NodeIP", "DNS", "ClusterIP", ""}[i%5], i-20_000
		tr.Observe(at, o)
		tr.Beat(at, o.From.Node, confirm.Count{Via: "PodIP", Family: o.Family, OK: -i, Lost: 1 << 40})
	}
	if got := tr.Kept(); got > 60_000 || got < 1000 {
		t.Errorf("%d observations are kept", got)
	}
	tr.Judge(noon.Add(time.Minute), signature.Input{})
	tr.Judge(noon.Add(time.Hour), signature.Input{})
	if got := tr.Kept(); got != 0 {
		t.Errorf("%d observations are kept for an hour", got)
	}
	for i := range 2000 {
		tr.Observe(noon, seen(1, 2, "open", v1alpha1.OutcomeTimeout, "", noon.Add(time.Duration(i)*time.Millisecond)))
	}
	if got := tr.Kept(); got != 400 {
		t.Errorf("one prober has %d observations kept", got)
	}
	tr.Members([]string{"node-07"})
	if got := tr.Kept(); got != 0 {
		t.Errorf("%d of nodes that left", got)
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{5, 50, 300} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := &confirm.Tracker{}
			for i := range 5 {
				at := noon.Add(time.Duration(i) * time.Second)
				for from := range n {
					for k := 1; k <= 10; k++ {
						tr.Observe(at, seen(from, (from+k)%n, "open", v1alpha1.OutcomeTimeout, "", at))
					}
				}
			}
			for b.Loop() {
				tr.Judge(noon.Add(6*time.Second), signature.Input{})
			}
		})
	}
}
