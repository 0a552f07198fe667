package verify

import (
	"testing"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

var (
	same6    = Class{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded", SameNode: true}
	service6 = Class{Via: "ClusterIP", Family: "IPv6", Protocol: "TCP", Target: "open"}
	outside6 = Class{Via: "External", Family: "IPv6", Protocol: "TCP"}
)

// alone is the story on a cluster of one node, where nothing was seen to fail: what
// is between nodes cannot be.
func alone() Input {
	in := story()
	in.Nodes, in.Agents.Pods, in.Probes.Senders = in.Nodes[:1], in.Agents.Pods[:1], in.Probes.Senders[:1]
	in.Agents.Desired, in.Agents.Updated, in.Agents.Available = 1, 1, 1
	in.Baseline = &Baseline{From: in.Baseline.From, To: in.Baseline.To, Nodes: 1, Confirmed: []Cause{cause}}
	s := &in.Probes.Senders[0]
	s.Counts = nil
	for _, c := range []Class{same6, service6, outside6, dns6} {
		in.Baseline.Classes = append(in.Baseline.Classes, ClassCount{c, Count{OK: 40}})
		s.Counts = append(s.Counts, ClassCount{c, Count{OK: 12, LastOK: s.Heard}})
	}
	return in
}

// On one node the flows that there are have to work, and to be seen.
func TestOneNode(t *testing.T) {
	tests := []struct {
		name    string
		edit    func(*Input)
		verdict Verdict
		says    string
	}{
		{"all works", func(*Input) {}, Verified, "nothing was seen to fail before, and what is tried on the only node works"},
		{"without a baseline", func(in *Input) { in.Baseline = nil }, Verified, "what is tried on the only node works"},
		{"a change of something else than masquerading", func(in *Input) { in.Planned.EndsMasquerade = false }, Verified, "on the only node"},
		{"nothing was tried", func(in *Input) { in.Probes.Senders[0].Counts, in.Baseline = nil, nil }, Pending, "no flows on the only node were tried yet"},
		{"nothing is heard", func(in *Input) { in.Probes.Senders[0].Silent = "no heartbeat" }, Pending, "its probe is silent"},
		{"between its pods nothing was tried", func(in *Input) { in.Probes.Senders[0].Counts = in.Probes.Senders[0].Counts[1:] }, Pending, "no flows on the only node were tried yet"},
		{"to services nothing was tried", func(in *Input) {
			s := &in.Probes.Senders[0]
			s.Counts = append(s.Counts[:1:1], s.Counts[2:]...)
		}, Pending, "what worked before: IPv6 TCP ClusterIP open was not tried yet"},
		{"it is still confirmed", func(in *Input) {
			in.Probes.Confirmed = []Confirmed{{Cause: cause, Since: after(0), Last: in.Probes.Senders[0].Heard}}
		}, NotEffective, "is confirmed by what probes saw"},
		{"what worked before broke", func(in *Input) { fails(&in.Probes.Senders[0], service6, Count{Lost: 12}) }, Regressed, "IPv6 TCP ClusterIP open worked before"},
		{"what failed was to the outside", func(in *Input) {
			in.Planned.EndsMasquerade = false
			in.Baseline.Classes[2].Count = Count{Lost: 40}
		}, Verified, "what failed works from every node"},
		{"and it still fails", func(in *Input) {
			in.Planned.EndsMasquerade = false
			in.Baseline.Classes[2].Count = Count{Lost: 40}
			fails(&in.Probes.Senders[0], outside6, Count{Lost: 12})
		}, NotEffective, "IPv6 TCP External still fails from n1"},
		{"another node has no agent", func(in *Input) { in.Nodes = append(in.Nodes, Node{Name: "n2", Ready: snapshot.Yes}) }, Pending, "no flows between nodes were tried yet"},
		{"another probe is heard", func(in *Input) { in.Probes.Senders = append(in.Probes.Senders, works("n2")) }, Pending, "n1: "},
		{"there were two, and between them nothing went", func(in *Input) {
			in.Baseline.Classes = append(in.Baseline.Classes, ClassCount{guarded6, Count{Lost: 40}})
		}, Pending, "IPv6 TCP PodIP guarded, other node was not tried yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := alone()
			tt.edit(&in)
			s := Judge(in)
			stage := StageRolledOut
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, s, stage, tt.verdict, tt.says)
		})
	}
}
