package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// The incident: fd00:101::/48 becomes /38 on three nodes.
var merged = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return merged.Add(d) }

const (
	commit  = "0123456789abcdef0123456789abcdef01234567"
	digest  = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	cidrKey = "ipv6-native-routing-cidr"
	narrow  = "fd00:101::/48"
	wide    = "fd00:101::/38"
)

var (
	guarded6 = Class{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded"}
	open6    = Class{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "open"}
	guarded4 = Class{Via: "PodIP", Family: "IPv4", Protocol: "TCP", Target: "guarded"}
	dns6     = Class{Via: "DNS", Family: "IPv6", Protocol: "UDP"}
	cause    = Cause{Signature: "native-routing-cidr-excludes-pods", Family: "IPv6"}
)

func ptr[T any](v T) *T { return &v }

// broken is the baseline: IPv6 between pods fails, all else works.
func broken() *Baseline {
	return &Baseline{From: after(-10 * time.Minute), To: after(-time.Minute), Nodes: 3, Confirmed: []Cause{cause},
		Classes: []ClassCount{
			{guarded6, Count{Lost: 40}}, {open6, Count{Masked: 40}}, {guarded4, Count{OK: 40}}, {dns6, Count{OK: 40}},
		},
		Broken: []Pair{{From: "n1", To: "n2", Family: "IPv6", Target: "guarded"}}, BrokenPairs: 6}
}

// story is the incident with the change merged, applied 1 minute and rolled out 5
// minutes later, and its flows working for a minute: Verified.
func story() Input {
	in := Input{
		Now: after(7 * time.Minute), Before: Since{Merged: merged, Reconciled: after(time.Minute), RolledOut: after(6 * time.Minute)},
		Merged: Merged{Commit: commit, At: merged},
		Planned: Planned{Config: map[string]*string{cidrKey: ptr(wide)}, ValuesDigest: digest, Restart: []string{"DaemonSet/cilium"},
			Causes: []Cause{cause}, EndsMasquerade: true},
		Source:         Source{Object: "GitRepository flux-system/flux-system", Revision: "main@sha1:" + commit, Contains: snapshot.Yes, Ready: snapshot.Yes},
		Kustomizations: []Kustomization{{Object: "Kustomization flux-system/cilium", Revision: "main@sha1:" + commit, Contains: snapshot.Yes, Ready: snapshot.Yes}},
		Release: Release{Object: "HelmRelease kube-system/cilium", Generation: 3, Observed: 3, Digest: digest, Status: "deployed", ChartVersion: "1.18.6",
			Deployed: after(time.Minute), Ready: snapshot.Yes},
		Config: Config{Object: "ConfigMap kube-system/cilium-config", Known: true, Data: map[string]string{cidrKey: wide, "ipam": "kubernetes"}, Changed: after(time.Minute)},
		Agents: Workload{Kind: "DaemonSet", Namespace: "kube-system", Name: "cilium", Generation: 2, Observed: 2, Desired: 3, Updated: 3, Available: 3, PodsKnown: true},
		Probes: Probes{Listening: true, From: after(6 * time.Minute)}, Baseline: broken(),
	}
	for i, n := range []string{"n1", "n2", "n3"} {
		in.Nodes = append(in.Nodes, Node{Name: n, Ready: snapshot.Yes})
		made := after(5*time.Minute + time.Duration(i)*10*time.Second)
		in.Agents.Pods = append(in.Agents.Pods, Pod{Name: "cilium-" + n, Node: n, Created: made, ConfigRead: made.Add(5 * time.Second), Configured: snapshot.Yes, Ready: snapshot.Yes})
		in.Probes.Senders = append(in.Probes.Senders, works(n))
	}
	return in
}

// works is a probe from which all is well.
func works(node string) Sender {
	s := Sender{Node: node, Heard: after(6*time.Minute + 55*time.Second)}
	for _, c := range []Class{guarded6, open6, guarded4, dns6} {
		s.Counts = append(s.Counts, ClassCount{c, Count{OK: 12, LastOK: s.Heard}})
	}
	return s
}

// fails makes a class fail from a sender since every agent runs the change.
func fails(s *Sender, c Class, n Count) {
	n.FirstBad, n.LastBad = after(6*time.Minute+5*time.Second), after(6*time.Minute+55*time.Second)
	for i := range s.Counts {
		if s.Counts[i].Class == c {
			s.Counts[i].Count = n
		}
	}
}

// old makes the agent of a node one from before the change.
func old(in *Input, node string) {
	for i := range in.Agents.Pods {
		if p := &in.Agents.Pods[i]; p.Node == node {
			p.Created, p.ConfigRead = after(-24*time.Hour), after(-24*time.Hour+5*time.Second)
		}
	}
}

func (s State) node(name string) NodeState {
	for _, n := range s.Nodes {
		if n.Node == name {
			return n
		}
	}
	return NodeState{Reason: "not listed"}
}

// waitsFor holds the texts of the first step that is not done.
func waitsFor(s State) string {
	var out []string
	for _, w := range s.Waits() {
		out = append(out, w.String())
	}
	return strings.Join(out, "\n")
}

func check(t *testing.T, s State, stage Stage, verdict Verdict, text string) {
	t.Helper()
	if s.Stage != stage || s.Verdict != verdict {
		t.Errorf("stage %q, verdict %q; want %q, %q\n%s", s.Stage, s.Verdict, stage, verdict, dump(s))
	}
	if all := s.Summary + "\n" + waitsFor(s) + "\n" + s.FollowUp.String(); !strings.Contains(all, text) {
		t.Errorf("%q is not said:\n%s", text, dump(s))
	}
}

func dump(s State) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Summary)
	for _, step := range s.Steps {
		fmt.Fprintln(&b, " ", step.Stage, step.Done, step.Waits)
	}
	fmt.Fprintln(&b, " ", s.Nodes, s.FollowUp)
	return b.String()
}
