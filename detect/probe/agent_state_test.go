package probe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

func TestMaskedAndLost(t *testing.T) {
	seen := func(via, source string) v1alpha1.Observation {
		return v1alpha1.Observation{
			From: v1alpha1.Endpoint{Namespace: "p", Pod: "a", IP: "fd00:1::a"}, To: v1alpha1.Endpoint{Namespace: "p", Pod: "b"},
			Via: via, Outcome: v1alpha1.OutcomeOK, SourceSeen: source,
		}
	}
	noSelf := seen(mesh.ViaPodIP, "fd00:1::b")
	noSelf.From.IP = ""
	outcome := func(via, pod, outcome string) v1alpha1.Observation {
		return v1alpha1.Observation{Via: via, To: v1alpha1.Endpoint{Pod: pod}, Outcome: outcome, SourceSeen: "fd00:1::b"}
	}
	tests := []struct {
		name         string
		o            v1alpha1.Observation
		masked, lost bool
	}{
		{"own address", seen(mesh.ViaPodIP, "fd00:1::a"), false, false},
		{"own address written otherwise", seen(mesh.ViaPodIP, "fd00:0001:0::000a"), false, false},
		{"another", seen(mesh.ViaPodIP, "fd00:1::b"), true, false},
		{"no address", seen(mesh.ViaPodIP, "b"), true, false},
		{"not said", seen(mesh.ViaPodIP, ""), false, false},
		{"through a service", seen(mesh.ViaClusterIP, "fd00:1::b"), true, false},
		{"to a node", seen(mesh.ViaNodeIP, "fd00:2::1"), false, false},
		{"to the outside", seen(mesh.ViaExternal, "192.0.2.1"), false, false},
		{"own address unknown", noSelf, false, false},
		{"timeout", outcome(mesh.ViaPodIP, "b", v1alpha1.OutcomeTimeout), false, true},
		{"refused by a pod", outcome(mesh.ViaPodIP, "b", v1alpha1.OutcomeRefused), false, true},
		{"refused by a kubelet", outcome(mesh.ViaNodeIP, "", v1alpha1.OutcomeRefused), false, false},
		{"refused by a twin", outcome(mesh.ViaNodeIP, "twin", v1alpha1.OutcomeRefused), false, true},
		{"too big", outcome(mesh.ViaPodIP, "b", v1alpha1.OutcomeTooBig), false, true},
		{"not checked", outcome(mesh.ViaPodIP, "b", v1alpha1.OutcomeNotChecked), false, false},
	}
	for _, tt := range tests {
		if got := Masked(tt.o); got != tt.masked {
			t.Errorf("%s: masked %t", tt.name, got)
		}
		if got := Lost(tt.o); got != tt.lost {
			t.Errorf("%s: lost %t", tt.name, got)
		}
	}
}

func flow(n int, outcome string, at int) (mesh.Check, v1alpha1.Observation) {
	c := mesh.Check{Via: mesh.ViaPodIP, Family: "IPv6", Protocol: mesh.TCP, Target: "open", To: v1alpha1.Endpoint{Node: fmt.Sprint(n)}}
	return c, v1alpha1.Observation{To: c.To, Via: c.Via, Outcome: outcome, At: stamp(time.Unix(int64(at), 0))}
}

func TestFlows(t *testing.T) {
	var f flows
	steps := []struct {
		node                 int
		outcome              string
		differential         bool
		unreliable           bool
		tell, failed, healed bool
	}{
		{node: 1, outcome: v1alpha1.OutcomeOK},
		{node: 1, outcome: v1alpha1.OutcomeOK, differential: true, tell: true},
		{node: 1, outcome: v1alpha1.OutcomeTimeout, tell: true, failed: true},
		{node: 1, outcome: v1alpha1.OutcomeTimeout, tell: true, failed: true},
		{node: 1, outcome: v1alpha1.OutcomeTimeout, unreliable: true},
		{node: 2, outcome: v1alpha1.OutcomeRefused, tell: true, failed: true},
		{node: 1, outcome: v1alpha1.OutcomeOK, unreliable: true},
		{node: 1, outcome: v1alpha1.OutcomeOK, differential: true, tell: true, healed: true},
		{node: 1, outcome: v1alpha1.OutcomeOK},
		{node: 3, outcome: v1alpha1.OutcomeNotChecked, tell: true},
		{node: 4, outcome: v1alpha1.OutcomeNotChecked},
		{node: 4, outcome: v1alpha1.OutcomeNotChecked, differential: true, tell: true},
	}
	for i, s := range steps {
		c, o := flow(s.node, s.outcome, i)
		c.Differential, o.Unreliable = s.differential, s.unreliable
		tell, failed, healed := f.note(c, o)
		if tell != s.tell || failed != s.failed || healed != s.healed {
			t.Errorf("step %d: told %t, failed %t, healed %t", i, tell, failed, healed)
		}
	}
	if got := f.all(); len(got) != 2 || got[0].Outcome != v1alpha1.OutcomeNotChecked || got[1].To.Node != "2" {
		t.Errorf("in all: %+v", got)
	}
	f.retain(func(c mesh.Check) bool { return c.To.Node != "2" })
	if got := f.all(); len(got) != 0 {
		t.Errorf("after the node left: %+v", got)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	var f flows
	for i := range 3 * maxFlows {
		f.note(flow(i, v1alpha1.OutcomeTimeout, i))
		c, o := flow(i, v1alpha1.OutcomeNotChecked, i)
		o.Reason = fmt.Sprint(i)
		f.note(c, o)
	}
	if len(f.wrong) != maxFlows || len(f.skipped) != maxSkips || f.more != 2*maxFlows {
		t.Errorf("%d flows, %d reasons, %d beyond", len(f.wrong), len(f.skipped), f.more)
	}
	if c, ok := f.oldest(time.Unix(100, 0)); !ok || c.To.Node != "0" {
		t.Errorf("oldest %+v %t", c, ok)
	}
	f.note(flow(0, v1alpha1.OutcomeTimeout, 1000))
	if c, ok := f.oldest(time.Unix(100, 0)); !ok || c.To.Node != "1" {
		t.Errorf("oldest after another look %+v %t", c, ok)
	}
	if _, ok := f.oldest(time.Unix(0, 0)); ok {
		t.Error("there is one before the first")
	}
	if got := f.checks(); len(got) != maxFlows || !got[0].Differential {
		t.Errorf("%d checks", len(got))
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"a\x1b[2Jb\nc\u009bd":    "a [2Jb c d",
		"\xff\xfe":               "?",
		strings.Repeat("ä", 200): strings.Repeat("ä", 128),
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q", in, got)
		}
	}
}

func TestSplit(t *testing.T) {
	o := v1alpha1.Observation{Via: "PodIP", Reason: strings.Repeat("<", maxReason), From: v1alpha1.Endpoint{Pod: strings.Repeat("p", 253)}}
	line := Line{Version: 1, Boot: "b", Beat: true, Notes: []string{strings.Repeat("n", maxReason)}}
	for range 300 {
		line.Observations = append(line.Observations, o)
	}
	for range 200 {
		line.Tallies = append(line.Tallies, Tally{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded", OK: 1 << 40})
	}
	var out bytes.Buffer
	l := newLines(&out)
	l.queue = make(chan []byte, 1000)
	l.write(line)
	close(l.queue)
	l.run()
	observations, tallied, notes := 0, 0, 0
	for b := range bytes.Lines(out.Bytes()) {
		if len(b) > MaxLine {
			t.Errorf("a line of %d bytes", len(b))
		}
		observations += bytes.Count(b, []byte(`"via":"PodIP","family":""`))
		tallied += bytes.Count(b, []byte(`"ok":`))
		notes += bytes.Count(b, []byte(`"notes"`))
	}
	if observations != 300 || tallied != 200 || notes != 1 {
		t.Errorf("%d observations, %d tallies, %d times the notes", observations, tallied, notes)
	}
}

func TestTalliesInOrder(t *testing.T) {
	n := tallies{}
	for _, family := range []string{"IPv6", "IPv4"} {
		for _, node := range []string{"a", "b"} {
			for _, target := range []string{"open", "guarded"} {
				o := v1alpha1.Observation{From: v1alpha1.Endpoint{Node: "a"}, To: v1alpha1.Endpoint{Node: node}, Via: "PodIP", Family: family, Target: target, Outcome: v1alpha1.OutcomeOK}
				n.add(o, 7*time.Millisecond)
			}
		}
	}
	var got []string
	for _, one := range n.take() {
		got = append(got, fmt.Sprintf("%s %s %t %d %d", one.Family, one.Target, one.SameNode, one.OK, one.SlowestMs))
	}
	want := []string{
		"IPv4 guarded true 1 7", "IPv4 guarded false 1 7", "IPv4 open true 1 7", "IPv4 open false 1 7",
		"IPv6 guarded true 1 7", "IPv6 guarded false 1 7", "IPv6 open true 1 7", "IPv6 open false 1 7",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(n.take()) != 0 {
		t.Error("counts are kept")
	}
}
