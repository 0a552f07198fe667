package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// The thresholds by which a class counts as well, as broken, or as neither.
func TestCounts(t *testing.T) {
	tests := []struct {
		n            Count
		masks        bool
		well, broken bool
		text         string
	}{
		{Count{}, false, false, false, "not tried"},
		{Count{NotChecked: 3}, false, false, false, "not checked"},
		{Count{OK: 1}, false, true, false, "1 ok"},
		{Count{OK: 19, Lost: 1}, false, true, false, "19 ok, 1 lost"},
		{Count{OK: 18, Lost: 1}, false, false, false, "18 ok, 1 lost"},
		{Count{OK: 3, Lost: 3}, false, false, true, "3 ok, 3 lost"},
		{Count{OK: 4, Lost: 3}, false, false, false, "4 ok, 3 lost"},
		{Count{Lost: 2}, false, false, false, "2 lost"},
		{Count{Lost: 3}, false, false, true, "3 lost"},
		{Count{Masked: 9}, false, true, false, "9 masqueraded"},
		{Count{Masked: 9}, true, false, true, "9 masqueraded"},
		{Count{OK: 1, Masked: 2, Lost: 3, NotChecked: 4}, true, false, true, "1 ok, 2 masqueraded, 3 lost"},
	}
	for _, tt := range tests {
		if well, broken := tt.n.well(tt.masks), tt.n.broken(tt.masks); well != tt.well || broken != tt.broken || tt.n.String() != tt.text {
			t.Errorf("%+v: well %v, broken %v, %q; want %v, %v, %q", tt.n, well, broken, tt.n.String(), tt.well, tt.broken, tt.text)
		}
	}
}

// A sum keeps the first time of what went wrong, and the last of each.
func TestCountAdd(t *testing.T) {
	a := Count{OK: 1, Masked: 2, Lost: 3, NotChecked: 4, FirstBad: after(2 * time.Minute), LastBad: after(3 * time.Minute), LastOK: after(time.Minute)}
	b := Count{OK: 10, FirstBad: after(time.Minute), LastOK: after(5 * time.Minute)}
	want := Count{OK: 11, Masked: 2, Lost: 3, NotChecked: 4, FirstBad: after(time.Minute), LastBad: after(3 * time.Minute), LastOK: after(5 * time.Minute)}
	if got := a.add(b); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.add(a); got != want {
		t.Errorf("the other way round: %+v", got)
	}
}

// What a finding of the plan means among those that probes confirm.
func TestCovers(t *testing.T) {
	x := Cause{Signature: "a", Family: "IPv6", About: "cilium-config"}
	tests := []struct {
		of, is Cause
		want   bool
	}{
		{x, x, true},
		{Cause{Signature: "a"}, x, true},
		{Cause{Signature: "a", Family: "IPv6"}, x, true},
		{Cause{Signature: "a", Family: "IPv4"}, x, false},
		{Cause{Signature: "a", About: "another"}, x, false},
		{Cause{Signature: "b"}, x, false},
		{x, Cause{Signature: "a"}, false},
	}
	for _, tt := range tests {
		if got := tt.of.covers(tt.is); got != tt.want {
			t.Errorf("%+v covers %+v: %v", tt.of, tt.is, got)
		}
	}
	var none *Baseline
	if none.confirmed(x) || none.count(guarded6) != (Count{}) {
		t.Error("no baseline knows of nothing")
	}
}

// A hostile baseline, as somebody may have written it into a status, is cut to its
// bounds, and the same one is always cut alike.
func TestBoundedBaseline(t *testing.T) {
	b := Baseline{}
	for i := range 300 {
		b.Classes = append(b.Classes, ClassCount{classOf("PodIP", "IPv6", strings.Repeat("p", i), "open"), Count{OK: i}})
		b.Confirmed = append(b.Confirmed, Cause{strings.Repeat("\x1b", i), strings.Repeat("f", i), strings.Repeat("a", 9000)})
		b.Broken = append(b.Broken, Pair{From: strings.Repeat("n\n", 300-i), To: "x", Family: strings.Repeat("f", i), Target: strings.Repeat("t", i)})
	}
	got := b.Bounded()
	if len(got.Classes) != maxClasses || len(got.Confirmed) != maxConfirmed || len(got.Broken) != maxBroken || got.BrokenPairs != 300 {
		t.Errorf("%d classes, %d findings, %d of %d pairs", len(got.Classes), len(got.Confirmed), len(got.Broken), got.BrokenPairs)
	}
	for _, p := range got.Broken {
		if len(p.From) > maxName || len(p.Family) > 10 || len(p.Target) > 20 || strings.ContainsAny(p.From, "\n") {
			t.Errorf("%+v", p)
		}
	}
	for _, c := range got.Confirmed {
		if len(c.Signature) > maxName || len(c.Family) > 10 || len(c.About) > maxName || strings.Contains(c.Signature, "\x1b") {
			t.Errorf("%+v", c)
		}
	}
	if len(b.Broken) != 300 || !strings.Contains(b.Broken[0].From, "\n") {
		t.Error("what was given is changed")
	}
}

func TestStateOfSteps(t *testing.T) {
	s := State{Steps: []Step{{Stage: StageMerged, Done: snapshot.Yes},
		{Stage: StageReconciled, Done: snapshot.No, Waits: []Wait{{Text: "a"}, {Text: "b", Stuck: true}}},
		{Stage: StageRolledOut, Done: snapshot.Unknown, Waits: []Wait{{Text: "c"}}}}}
	if w := s.Waits(); len(w) != 2 || w[0].Text != "a" || !s.Stuck() {
		t.Errorf("waits %v, stuck %v", w, s.Stuck())
	}
	if got := s.Step(StageVerified); got.Done != snapshot.Unknown || got.Stage != StageVerified {
		t.Errorf("a step that is not there: %+v", got)
	}
	s.Steps[1].Waits = s.Steps[1].Waits[:1]
	if s.Stuck() {
		t.Error("the first step that is not done waits for nobody")
	}
	if done := (State{Steps: s.Steps[:1]}); done.Waits() != nil || done.Stuck() {
		t.Error("nothing is waited for")
	}
}

// The answer of the command: every step with its times, the nodes, what to do.
func TestResult(t *testing.T) {
	in := story()
	in.Now = after(time.Hour)
	old(&in, "n2")
	r := Judge(in).Result()
	if r.APIVersion == "" || r.Kind != "VerifyResult" || r.Stage != "Reconciled" || r.Verdict != "MergedNotActive" || len(r.Steps) != 4 {
		t.Errorf("%+v", r)
	}
	if s := r.Steps[0]; s.Step != "Merged" || s.Done != "yes" || s.Since != "2026-02-12T10:00:00Z" || len(s.Waits) != 0 {
		t.Errorf("%+v", s)
	}
	if s := r.Steps[2]; s.Done != "no" || s.Since != "" || len(s.Waits) != 1 || !s.Waits[0].Stuck {
		t.Errorf("%+v", s)
	}
	if n := r.Nodes[0]; n.Node != "n2" || n.Active != "no" || n.Reason == "" {
		t.Errorf("%+v", n)
	}
	if f := r.FollowUp; f == nil || f.Why == "" || len(f.Commands) != 1 || f.Values["rollOutCiliumPods"] != true {
		t.Errorf("%+v", f)
	}
}

// What is to be done, in one line.
func TestFollowUpString(t *testing.T) {
	tests := []struct {
		f    *FollowUp
		want string
	}{
		{nil, ""},
		{&FollowUp{Why: "because"}, "because"},
		{&FollowUp{Why: "because", Commands: []string{"a", "b"}}, "because. Run: a && b"},
		{&FollowUp{Why: "because", Values: map[string]any{"z": true, "a.b": true}}, "because. Or set in the release's values: a.b: true, z: true"},
	}
	for _, tt := range tests {
		if got := tt.f.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// Nothing but names of objects is put into a command, and no more pods than a person
// reads.
func TestFollowUpCommands(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Input)
		want   string
	}{
		{"restart", func(*Input) {}, "kubectl -n kube-system rollout restart ds/cilium"},
		{"the chart restarts by itself the next time", func(in *Input) { in.Agents.Checksum = "x" }, "kubectl -n kube-system rollout restart ds/cilium"},
		{"a namespace with a blank", func(in *Input) { in.Agents.Namespace = "kube-system --all" }, ""},
		{"a name with a line break", func(in *Input) { in.Agents.Name = "cilium\nreboot" }, ""},
		{"a kind that cannot be restarted", func(in *Input) { in.Agents.Kind = "Job" }, ""},
		{"OnDelete, a pod with a bad name", func(in *Input) { in.Agents.OnDelete, in.Agents.Pods[1].Name = true, "x;y" }, ""},
		{"OnDelete, the pod is ending already", func(in *Input) {
			in.Agents.OnDelete = true
			gone := in.Agents.Pods[1]
			gone.Name, gone.Deleted = "gone", true
			in.Agents.Pods = append(in.Agents.Pods, gone)
		}, "kubectl -n kube-system delete pod cilium-n2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			in.Now = after(time.Hour)
			old(&in, "n2")
			tt.change(&in)
			f := Judge(in).FollowUp
			if f == nil {
				t.Fatal("there is none")
			}
			if got := strings.Join(f.Commands, " && "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	in := story()
	in.Now, in.Agents.OnDelete = after(time.Hour), true
	for i := range 100 {
		n := "x" + strings.Repeat("0", i)
		in.Nodes = append(in.Nodes, Node{Name: n, Ready: snapshot.Yes})
		in.Agents.Pods = append(in.Agents.Pods, Pod{Name: "cilium-" + n, Node: n, Created: after(-time.Hour), Ready: snapshot.Yes})
	}
	if c := Judge(in).FollowUp.Commands; len(c) != 1 || len(strings.Fields(c[0])) != 5+20 {
		t.Errorf("%q", c)
	}
}
