package verify

import (
	"fmt"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// What probes saw since every agent runs the change, and the verdict it allows.
func TestVerdicts(t *testing.T) {
	sender := func(i int, do func(*Sender)) func(*Input) { return func(in *Input) { do(&in.Probes.Senders[i]) } }
	everyone := func(do func(*Sender)) func(*Input) {
		return func(in *Input) {
			for i := range in.Probes.Senders {
				do(&in.Probes.Senders[i])
			}
		}
	}
	confirmed := func(c Cause, since, last time.Duration) Confirmed {
		return Confirmed{Cause: c, Summary: "a summary", Since: after(since), Last: after(last), Nodes: []string{"n1", "n2"}}
	}
	tests := []struct {
		name    string
		change  func(*Input)
		verdict Verdict
		text    string
	}{
		{"all works", func(*Input) {}, Verified, "Verified: what failed works"},
		{"nobody listens", func(in *Input) { in.Probes = Probes{} }, Pending, "no probes are listened to"},
		{"nobody was heard", func(in *Input) { in.Probes.Senders = nil }, Pending, "nothing was heard of its probe"},
		{"one node without a probe", func(in *Input) { in.Probes.Senders = in.Probes.Senders[:2] }, Pending, "n3: nothing was heard of its probe"},
		{"one probe is silent", sender(1, func(s *Sender) { s.Silent = "three heartbeats are missing" }), Pending, "n2: its probe is silent: three heartbeats are missing"},
		{"one probe did not speak at the end", sender(1, func(s *Sender) { s.Heard = after(6*time.Minute + 20*time.Second) }), Pending, "n2: its probe has not spoken at the end"},
		{"still in the hold time", func(in *Input) { in.Now = after(6*time.Minute + 20*time.Second) }, Pending, "10s more"},
		{"counting began later", func(in *Input) { in.Probes.From = after(6*time.Minute + 40*time.Second) }, Pending, "has not spoken at the end"},
		{"one class not tried from one node", sender(0, func(s *Sender) { s.Counts = s.Counts[1:] }), Pending, "n1: IPv6 TCP PodIP guarded, other node was not tried yet"},
		{"one class cannot be checked on one node", sender(0, func(s *Sender) { s.Counts[0].Count = Count{NotChecked: 5} }), Verified, ""},
		{"a node could check nothing of it", sender(0, func(s *Sender) {
			s.Counts[0].Count, s.Counts[1].Count = Count{NotChecked: 5}, Count{NotChecked: 5}
		}), Pending, "n1: its probe could check nothing of what failed"},
		{"one packet lost of many", sender(0, func(s *Sender) { fails(s, guarded6, Count{OK: 30, Lost: 1, LastOK: s.Heard}) }), Verified, ""},
		{"one packet of few lost just now", sender(0, func(s *Sender) { fails(s, guarded6, Count{OK: 5, Lost: 1, LastOK: s.Heard}) }), Pending, "n1: IPv6 TCP PodIP guarded, other node still fails"},
		{"lost at first, fine since", sender(0, func(s *Sender) {
			s.Counts[0].Count = Count{OK: 8, Lost: 3, FirstBad: after(6 * time.Minute), LastBad: after(6*time.Minute + 10*time.Second), LastOK: s.Heard}
		}), Verified, ""},
		{"failed, and was not tried since", sender(0, func(s *Sender) {
			s.Counts[0].Count = Count{OK: 1, Lost: 3, FirstBad: after(6 * time.Minute), LastBad: after(6*time.Minute + 10*time.Second), LastOK: after(6 * time.Minute)}
		}), Pending, "still fails"},
		{"open target still sees the node's address", sender(0, func(s *Sender) { fails(s, open6, Count{OK: 1, Masked: 9, LastOK: s.Heard}) }), Pending, "still masqueraded"},
		{"all masqueraded from two nodes", func(in *Input) {
			for i := range 2 {
				fails(&in.Probes.Senders[i], open6, Count{Masked: 12})
			}
		}, NotEffective, "IPv6 TCP PodIP open, other node still fails from n1, n2: 12 ok, 24 masqueraded"},
		{"masquerading is no part of the failure", func(in *Input) {
			in.Planned.EndsMasquerade = false
			for i := range in.Probes.Senders {
				fails(&in.Probes.Senders[i], open6, Count{Masked: 12})
			}
		}, Verified, ""},
		{"still lost from all", everyone(func(s *Sender) { fails(s, guarded6, Count{Lost: 12}) }), NotEffective, "every agent runs the change, and IPv6 TCP PodIP guarded, other node still fails from n1, n2, n3"},
		{"still lost from one: not confirmed", sender(2, func(s *Sender) { fails(s, guarded6, Count{Lost: 12}) }), Pending, "n3: IPv6 TCP PodIP guarded, other node is not answered"},
		{"still lost, not yet for the hold time", everyone(func(s *Sender) {
			fails(s, guarded6, Count{Lost: 12})
			s.Counts[0].LastBad = after(6*time.Minute + 20*time.Second)
		}), Pending, "is not answered"},
		{"two lost packets are no confirmed failure", everyone(func(s *Sender) { fails(s, guarded6, Count{Lost: 2}) }), Pending, "is not answered"},
		{"the cause is confirmed by what was seen after", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{confirmed(cause, -10*time.Minute, 6*time.Minute+50*time.Second)}
		}, NotEffective, "native-routing-cidr-excludes-pods is confirmed by what probes saw 50s after that: a summary"},
		{"confirmed by what was seen in the hold time", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{confirmed(cause, -10*time.Minute, 6*time.Minute+10*time.Second)}
		}, Pending, "still confirmed"},
		{"confirmed by what was seen before", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{confirmed(cause, -10*time.Minute, 5*time.Minute)}
		}, Verified, ""},
		{"another family's finding", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{confirmed(Cause{Signature: cause.Signature, Family: "IPv4"}, -10*time.Minute, 6*time.Minute+50*time.Second)}
		}, Verified, ""},
		{"another family breaks", everyone(func(s *Sender) { fails(s, guarded4, Count{Lost: 12}) }), Regressed, "IPv4 TCP PodIP guarded, other node worked before and fails from n1, n2, n3: 36 lost"},
		{"DNS breaks", everyone(func(s *Sender) { fails(s, dns6, Count{OK: 2, Lost: 10}) }), Regressed, "IPv6 UDP DNS worked before"},
		{"one lost packet breaks nothing", sender(0, func(s *Sender) { fails(s, guarded4, Count{OK: 11, Lost: 1, LastOK: s.Heard}) }), Verified, ""},
		{"breaks from one node: not confirmed", sender(0, func(s *Sender) { fails(s, guarded4, Count{Lost: 12}) }), Pending, "what worked before: IPv4 TCP PodIP guarded, other node still fails"},
		{"breaks from one node, and a new finding is confirmed", func(in *Input) {
			fails(&in.Probes.Senders[0], guarded4, Count{Lost: 12})
			in.Probes.Confirmed = []Confirmed{confirmed(Cause{Signature: "node-path-down", Family: "IPv4"}, 6*time.Minute, 6*time.Minute+55*time.Second)}
		}, Regressed, "node-path-down is confirmed since: a summary"},
		{"a finding from before is no regression", func(in *Input) {
			fails(&in.Probes.Senders[0], guarded4, Count{Lost: 12})
			c := Cause{Signature: "node-path-down", Family: "IPv4"}
			in.Baseline.Confirmed = append(in.Baseline.Confirmed, c)
			in.Probes.Confirmed = []Confirmed{confirmed(c, 6*time.Minute, 6*time.Minute+55*time.Second)}
		}, Pending, "what worked before"},
		{"new finding and no flow that fails", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{confirmed(Cause{Signature: "node-path-down", Family: "IPv4"}, 6*time.Minute, 6*time.Minute+55*time.Second)}
		}, Verified, ""},
		{"breaks and is not cured: what broke weighs more", everyone(func(s *Sender) {
			fails(s, guarded4, Count{Lost: 12})
			fails(s, guarded6, Count{Lost: 12})
		}), Regressed, "IPv4"},
		{"without a baseline, and all works", func(in *Input) { in.Baseline = nil }, Verified, "nothing was seen to fail before, and what is tried between nodes works"},
		{"without a baseline nobody knows what broke", func(in *Input) {
			in.Baseline = nil
			for i := range in.Probes.Senders {
				fails(&in.Probes.Senders[i], guarded4, Count{Lost: 12})
			}
		}, Pending, "it is not known whether it worked before the change: IPv4 TCP PodIP guarded, other node is not answered"},
		{"without a baseline its families have to work", func(in *Input) {
			in.Baseline = nil
			for i := range in.Probes.Senders {
				fails(&in.Probes.Senders[i], guarded6, Count{Lost: 12})
			}
		}, Pending, "is not answered"},
		{"what worked was hardly ever tried", func(in *Input) {
			in.Baseline.Classes = append(in.Baseline.Classes, ClassCount{Class{Via: "ClusterIP", Family: "IPv6", Protocol: "HTTP", Target: "open"}, Count{Masked: 1}})
		}, Verified, ""},
		{"what failed was hardly ever tried", func(in *Input) {
			in.Baseline.Classes = append(in.Baseline.Classes, ClassCount{Class{Via: "PodIP", Family: "IPv6", Protocol: "HTTP", Target: "guarded"}, Count{Lost: 1}})
		}, Verified, ""},
		{"what worked was not tried yet", func(in *Input) {
			for i := range in.Probes.Senders {
				in.Probes.Senders[i].Counts = in.Probes.Senders[i].Counts[:3]
			}
		}, Pending, "what worked before: IPv6 UDP DNS was not tried yet"},
		{"failed before for another reason", func(in *Input) {
			in.Baseline.Classes = append(in.Baseline.Classes, ClassCount{Class{Via: "External", Family: "IPv4", Protocol: "TCP"}, Count{Lost: 30}})
		}, Verified, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			stage := StageRolledOut
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, s, stage, tt.verdict, tt.text)
		})
	}
}

// One node alone: its own word decides.
func TestOneSender(t *testing.T) {
	in := story()
	in.Nodes, in.Agents.Pods, in.Agents.Desired, in.Agents.Updated, in.Agents.Available = in.Nodes[:1], in.Agents.Pods[:1], 1, 1, 1
	in.Probes.Senders = in.Probes.Senders[:1]
	fails(&in.Probes.Senders[0], guarded4, Count{Lost: 12})
	check(t, Judge(in), StageRolledOut, Regressed, "fails from n1")
}

// Before every agent runs the change nothing is said about flows; when the rollout
// hangs and flows broke, that is said all the same.
func TestRegressedWhileItHangs(t *testing.T) {
	in := story()
	old(&in, "n3")
	for i := range in.Probes.Senders {
		fails(&in.Probes.Senders[i], guarded4, Count{Lost: 12})
	}
	check(t, Judge(in), StageReconciled, Pending, "n3")
	in.Now = after(time.Hour)
	check(t, Judge(in), StageReconciled, MergedNotActive, "n3")
	for i := range in.Probes.Senders {
		s := &in.Probes.Senders[i]
		s.Heard = in.Now
		for k := range s.Counts {
			if s.Counts[k].Class == guarded4 {
				s.Counts[k].LastBad = in.Now
			}
		}
	}
	check(t, Judge(in), StageReconciled, Regressed, "IPv4 TCP PodIP guarded, other node worked before")
}

// The matrix before and after, what was to be cured first.
func TestFlows(t *testing.T) {
	s := Judge(story())
	if len(s.Flows) != 4 || s.Flows[0].Works != snapshot.Yes || !s.Flows[0].Class.across() || s.Flows[0].Class.Family != "IPv6" {
		t.Fatalf("%+v", s.Flows)
	}
	for _, f := range s.Flows {
		if f.Class == guarded6 && (f.Before.String() != "40 lost" || f.After.String() != "36 ok") {
			t.Errorf("%s → %s", f.Before, f.After)
		}
	}
	r := s.Result()
	if len(r.Flows) != 4 || r.Flows[0].Works != "yes" || len(r.Nodes) != 3 || r.Steps[3].Since == "" {
		t.Errorf("%+v", r)
	}
}

// No class of noise keeps a large cluster from its verdict: each sender loses one
// of a hundred.
func TestNoise(t *testing.T) {
	in := story()
	for i := range 500 {
		n := fmt.Sprintf("x%03d", i)
		s := works(n)
		fails(&s, guarded6, Count{OK: 99, Lost: 1, LastOK: s.Heard})
		fails(&s, guarded4, Count{OK: 99, Lost: 1, LastOK: s.Heard})
		in.Probes.Senders = append(in.Probes.Senders, s)
	}
	check(t, Judge(in), StageVerified, Verified, "")
}
