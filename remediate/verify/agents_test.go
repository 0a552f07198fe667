package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Which agents run the change, and how that is known.
func TestActive(t *testing.T) {
	const node = "n2"
	pod := func(change func(*Pod)) func(*Input) {
		return func(in *Input) {
			for i := range in.Agents.Pods {
				if in.Agents.Pods[i].Node == node {
					change(&in.Agents.Pods[i])
				}
			}
		}
	}
	changed := after(time.Minute)
	tests := []struct {
		name   string
		change func(*Input)
		active snapshot.Tri
		reason string
	}{
		{"made after the change", func(*Input) {}, snapshot.Yes, "after the change"},
		{"made before", func(in *Input) { old(in, node) }, snapshot.No, "its agent runs since 2026-02-11T10:00:00Z, from before the change"},
		{"made before, its container restarted since", pod(func(p *Pod) {
			p.Created, p.ConfigRead = after(-time.Hour), after(-time.Hour)
		}), snapshot.No, "from before the change"},
		{"waited for its node for long", pod(func(p *Pod) {
			p.Created, p.Scheduled, p.ConfigRead = after(-time.Hour), after(5*time.Minute), time.Time{}
		}), snapshot.Yes, "read the configuration after"},
		{"pulled its image for long", pod(func(p *Pod) {
			p.Created, p.Started, p.ConfigRead = after(0), after(time.Hour), after(time.Hour+2*time.Minute)
		}), snapshot.Yes, "read the configuration after"},
		{"read long after by its node's clock", pod(func(p *Pod) { p.Created, p.ConfigRead = after(0), after(5*time.Minute) }), snapshot.Yes, "read the configuration after"},
		{"read about when it changed", pod(func(p *Pod) {
			p.Created, p.Started, p.ConfigRead = after(30*time.Second), after(31*time.Second), after(51*time.Second)
		}), snapshot.Unknown, "about when"},
		{"read half a minute before", pod(func(p *Pod) {
			p.Created, p.Started, p.ConfigRead = after(20*time.Second), after(21*time.Second), after(30*time.Second)
		}), snapshot.No, "from before the change"},
		{"made before, about to read", pod(func(p *Pod) {
			p.Created, p.ConfigRead, p.Configured = after(20*time.Second), time.Time{}, snapshot.No
		}), snapshot.No, "not read the configuration yet"},
		{"made in the same second, read later", pod(func(p *Pod) {
			p.Created, p.Started, p.ConfigRead = changed, changed, changed.Add(2*time.Second)
		}), snapshot.Yes, "read the configuration after"},
		{"made in the same second, not known when read", pod(func(p *Pod) { p.Created, p.ConfigRead = changed, time.Time{} }), snapshot.Unknown, "about when"},
		{"node's clock an hour behind", pod(func(p *Pod) { p.ConfigRead = p.ConfigRead.Add(-time.Hour) }), snapshot.Yes, "after the change"},
		{"old agent, node's clock a minute ahead", pod(func(p *Pod) {
			p.Created, p.Started, p.ConfigRead = after(-time.Second), after(55*time.Second), after(time.Minute)
		}), snapshot.No, "from before the change"},
		{"time of the pod not known", pod(func(p *Pod) { p.Created = time.Time{} }), snapshot.Unknown, "when its agent's pod was made"},
		{"time of the change not known", func(in *Input) { in.Config.Changed, in.Before = time.Time{}, Since{} }, snapshot.Unknown, "when cilium-config changed"},
		{"another key changed since", func(in *Input) { in.Config.Changed = after(6 * time.Minute) }, snapshot.Yes, "after the change"},
		{"init container runs", pod(func(p *Pod) { p.Configured, p.Why = snapshot.No, "config CrashLoopBackOff" }), snapshot.No, "not read the configuration yet: config CrashLoopBackOff"},
		{"not ready", pod(func(p *Pod) { p.Ready, p.Why = snapshot.No, "cilium-agent CrashLoopBackOff" }), snapshot.No, "not ready: cilium-agent CrashLoopBackOff"},
		{"readiness not known", pod(func(p *Pod) { p.Ready = snapshot.Unknown }), snapshot.Unknown, "whether its new agent is ready"},
		{"ending", pod(func(p *Pod) { p.Deleted = true }), snapshot.No, "is ending"},
		{"ending beside the new one", func(in *Input) {
			in.Agents.Pods = append(in.Agents.Pods, Pod{Name: "late", Node: node, Created: after(6 * time.Minute), Deleted: true})
		}, snapshot.Yes, "after the change"},
		{"no pod", func(in *Input) { in.Agents.Pods = append(in.Agents.Pods[:1], in.Agents.Pods[2:]...) }, snapshot.No, "no agent"},
		{"node wants no agent", func(in *Input) {
			in.Agents.Pods, in.Agents.Desired = append(in.Agents.Pods[:1], in.Agents.Pods[2:]...), 2
			in.Agents.Updated, in.Agents.Available = 2, 2
		}, snapshot.Unknown, "not listed"},
		{"node is not Ready", func(in *Input) { in.Nodes[1].Ready = snapshot.No }, snapshot.Unknown, "the node is not Ready"},
		{"node is not Ready, agent is old", func(in *Input) { in.Nodes[1].Ready = snapshot.No; old(in, node) }, snapshot.Unknown, "the node is not Ready"},
		{"node not known", func(in *Input) { in.Nodes = append(in.Nodes[:1], in.Nodes[2:]...) }, snapshot.Unknown, "state is not known"},
		{"pods not listed", func(in *Input) { in.Agents.PodsKnown, in.Agents.Pods = false, nil }, snapshot.Unknown, "not listed"},
		{"checksum of the template", func(in *Input) {
			in.Agents.Checksum = "new"
			for i := range in.Agents.Pods {
				in.Agents.Pods[i].Checksum, in.Agents.Pods[i].Created, in.Agents.Pods[i].ConfigRead = "new", changed, time.Time{}
			}
		}, snapshot.Yes, "checksum"},
		{"checksum of another template", func(in *Input) { in.Agents.Checksum = "new" }, snapshot.No, "template before the change"},
		{"checksum equal, made before: cilium-config was changed by hand", func(in *Input) {
			in.Agents.Checksum = "same"
			pod(func(p *Pod) { p.Checksum, p.Created, p.ConfigRead = "same", after(-time.Hour), after(-time.Hour) })(in)
		}, snapshot.No, "from before the change"},
		{"old, and its metric says that nothing differs", func(in *Input) {
			old(in, node)
			pod(func(p *Pod) { p.Drift, p.DriftAt = ptr(0), after(6*time.Minute) })(in)
		}, snapshot.Yes, "no key differs"},
		{"old, and the metric is as old as the change", func(in *Input) {
			old(in, node)
			pod(func(p *Pod) { p.Drift, p.DriftAt = ptr(0), changed })(in)
		}, snapshot.No, "from before"},
		{"old, a key is to go: the metric does not know", func(in *Input) {
			old(in, node)
			in.Planned.Config["mtu"] = nil
			pod(func(p *Pod) { p.Drift, p.DriftAt = ptr(0), after(6*time.Minute) })(in)
		}, snapshot.No, "from before"},
		{"new, and its metric says that keys differ", pod(func(p *Pod) { p.Drift, p.DriftAt = ptr(2), after(6*time.Minute) }), snapshot.Unknown, "2 keys differ"},
		{"override", func(in *Input) {
			in.Overrides = []Override{{Object: "CiliumNodeConfig kube-system/edge", Key: cidrKey, Value: narrow, Nodes: map[string]bool{node: true}}}
		}, snapshot.No, `CiliumNodeConfig kube-system/edge sets ipv6-native-routing-cidr to "fd00:101::/48"`},
		{"override to the same value", func(in *Input) {
			in.Overrides = []Override{{Object: "o", Key: cidrKey, Value: wide, Nodes: map[string]bool{node: true}}}
		}, snapshot.Yes, "after the change"},
		{"override of another node", func(in *Input) {
			in.Overrides = []Override{{Object: "o", Key: cidrKey, Value: narrow, Nodes: map[string]bool{"n1": true}}}
		}, snapshot.Yes, "after the change"},
		{"override of another key", func(in *Input) {
			in.Overrides = []Override{{Object: "o", Key: "mtu", Value: "1", Nodes: map[string]bool{node: true}}}
		}, snapshot.Yes, "after the change"},
		{"override of some nodes", func(in *Input) {
			in.Overrides = []Override{{Object: "o", Key: cidrKey, Value: narrow, Unclear: true}}
		}, snapshot.Unknown, "selector is not understood"},
		{"hot reload", func(in *Input) {
			old(in, node)
			in.Planned.Config = map[string]*string{MasqAgentKey: ptr("nonMasqueradeCIDRs: []")}
			in.Planned.HotReload, in.Planned.Restart = true, nil
			in.Config.MasqAgent, in.Config.MasqAgentChanged = ptr("nonMasqueradeCIDRs: []\n"), changed
		}, snapshot.Yes, "reload"},
		{"hot reload, just now", func(in *Input) {
			in.Planned.Config = map[string]*string{MasqAgentKey: ptr("x")}
			in.Planned.HotReload, in.Planned.Restart = true, nil
			in.Config.MasqAgent, in.Config.MasqAgentChanged, in.Before = ptr("x"), in.Now.Add(-time.Minute), Since{}
		}, snapshot.No, "may not have brought"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			if n := s.node(node); n.Active != tt.active || !strings.Contains(n.Reason, tt.reason) {
				t.Errorf("%v (%s), want %v (%s)\n%s", n.Active, n.Reason, tt.active, tt.reason, dump(s))
			}
			if tt.active != snapshot.Yes && tt.reason != "not listed" && s.Verdict == Verified {
				t.Errorf("Verified although an agent is not known to run it\n%s", dump(s))
			}
		})
	}
}

// The incident as it went: Flux is Ready within a minute, no agent is restarted for
// sixteen hours, then a person restarts them one by one.
func TestIncidentStory(t *testing.T) {
	in := story()
	in.Before, in.Baseline = Since{}, broken()
	for _, n := range []string{"n1", "n2", "n3"} {
		old(&in, n)
	}
	for i := range in.Probes.Senders {
		fails(&in.Probes.Senders[i], guarded6, Count{Lost: 50})
	}
	look := func(at time.Duration, stage Stage, verdict Verdict, text string) State {
		t.Helper()
		in.Now = after(at)
		for i := range in.Probes.Senders {
			in.Probes.Senders[i].Heard = in.Now.Add(-3 * time.Second)
		}
		s := Judge(in)
		in.Before = s.Since
		if !s.Since.RolledOut.IsZero() {
			in.Probes.From = s.Since.RolledOut
		}
		check(t, s, stage, verdict, text)
		return s
	}
	look(2*time.Minute, StageReconciled, Pending, "3 agents on n1, n2, n3: made before the change")
	look(10*time.Minute+59*time.Second, StageReconciled, Pending, "made before")
	s := look(11*time.Minute, StageReconciled, MergedNotActive, "no node of 3 runs it")
	if want := "kubectl -n kube-system rollout restart ds/cilium"; len(s.FollowUp.Commands) != 1 || s.FollowUp.Commands[0] != want {
		t.Errorf("commands %q, want %q", s.FollowUp.Commands, want)
	}
	if s.FollowUp.Values["rollOutCiliumPods"] != true {
		t.Errorf("values %v", s.FollowUp.Values)
	}
	look(16*time.Hour, StageReconciled, MergedNotActive, "Flux applied the change 15h59m0s ago")
	restart := func(node string, at time.Duration) {
		for i := range in.Agents.Pods {
			if p := &in.Agents.Pods[i]; p.Node == node {
				p.Created, p.ConfigRead = after(at), after(at+4*time.Second)
			}
		}
	}
	restart("n1", 16*time.Hour+time.Minute)
	s = look(16*time.Hour+2*time.Minute, StageReconciled, Pending, "2 agents on n2, n3")
	if s.node("n1").Active != snapshot.Yes || s.Nodes[0].Node != "n2" {
		t.Errorf("n1 runs it, and those that do not come first: %v", s.Nodes)
	}
	restart("n2", 16*time.Hour+3*time.Minute)
	look(16*time.Hour+12*time.Minute, StageReconciled, Pending, "1 agent on n3")
	look(16*time.Hour+14*time.Minute, StageReconciled, MergedNotActive, "1 of 3 nodes do not run it: n3")
	restart("n3", 16*time.Hour+15*time.Minute)
	at := 16*time.Hour + 16*time.Minute
	look(at, StageRolledOut, Pending, "30s more")
	for i := range in.Probes.Senders {
		in.Probes.Senders[i] = works(in.Probes.Senders[i].Node)
	}
	look(at+20*time.Second, StageRolledOut, Pending, "10s more")
	s = look(at+35*time.Second, StageVerified, Verified, "Verified: what failed works")
	if s.FollowUp != nil {
		t.Errorf("follow-up %v", s.FollowUp)
	}
}

// What is not known keeps the change from being called active, and from being called
// not active.
func TestUnknownIsNoVerdict(t *testing.T) {
	in := story()
	in.Now = after(48 * time.Hour)
	in.Nodes[2].Ready = snapshot.No
	s := Judge(in)
	check(t, s, StageReconciled, Pending, "1 agent on n3: the node is not Ready")
	if s.Step(StageRolledOut).Done != snapshot.Unknown {
		t.Errorf("%v", s.Step(StageRolledOut))
	}
	old(&in, "n1")
	check(t, Judge(in), StageReconciled, MergedNotActive, "1 of 3 nodes do not run it: n1; not known of n3")
}

// What nothing tells is asked for when the grace time is over: a restart settles it.
func TestCannotBeTold(t *testing.T) {
	doubtful := func(in *Input) {
		p := &in.Agents.Pods[1]
		p.Created, p.Started, p.ConfigRead = after(30*time.Second), after(31*time.Second), after(51*time.Second)
	}
	drifts := func(in *Input) { in.Agents.Pods[1].Drift, in.Agents.Pods[1].DriftAt = ptr(2), after(6*time.Minute) }
	operator := func(in *Input) {
		in.Planned.Restart = append(in.Planned.Restart, "Deployment/cilium-operator")
		in.Others = []Workload{{Kind: "Deployment", Namespace: "kube-system", Name: "cilium-operator", Desired: 1, Updated: 1, Available: 1, PodsKnown: true,
			Pods: []Pod{{Name: "op", Node: "n1", Created: after(50 * time.Second), Ready: snapshot.Yes}}}}
	}
	// From when the newest agent was made, 5m20s after the merge.
	const inTime, late = 15*time.Minute + 19*time.Second, 15*time.Minute + 20*time.Second
	tests := []struct {
		name    string
		change  func(*Input)
		at      time.Duration
		verdict Verdict
		text    string
		command string
	}{
		{"made just before the change, in time", doubtful, inTime, Pending, "1 agent on n2: its agent was made about when the configuration changed", ""},
		{"made just before the change", doubtful, late, MergedNotActive, "of 1 of 3 nodes it cannot be told: n2", "kubectl -n kube-system rollout restart ds/cilium"},
		{"and another one long before", func(in *Input) { doubtful(in); old(in, "n1") }, late, MergedNotActive,
			"1 of 3 nodes do not run it: n1; of 1 of 3 nodes it cannot be told: n2", "kubectl -n kube-system rollout restart ds/cilium"},
		{"and one not Ready", func(in *Input) { doubtful(in); in.Nodes[2].Ready = snapshot.No }, late, MergedNotActive,
			"of 1 of 3 nodes it cannot be told: n2; not known of n3", "kubectl -n kube-system rollout restart ds/cilium"},
		{"with OnDelete", func(in *Input) { doubtful(in); in.Agents.OnDelete = true }, late, MergedNotActive, "cannot be told", "kubectl -n kube-system delete pod cilium-n2"},
		{"its metric settles it", func(in *Input) {
			doubtful(in)
			in.Agents.Pods[1].Drift, in.Agents.Pods[1].DriftAt = ptr(0), after(7*time.Minute)
		}, late, Verified, "", ""},
		{"its metric differs, in time", drifts, inTime, Pending, "2 keys differ", ""},
		{"its metric differs", drifts, late, MergedNotActive, "of 1 of 3 nodes it cannot be told: n2", "kubectl -n kube-system rollout restart ds/cilium"},
		{"the operator, in time", operator, inTime, Pending, "of 1 pod it is not known whether they read the change", ""},
		{"the operator", operator, late, MergedNotActive, "of 1 pod it cannot be told whether they read the change", "kubectl -n kube-system rollout restart deploy/cilium-operator"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			in.Now = after(tt.at)
			s := Judge(in)
			stage := StageReconciled
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, s, stage, tt.verdict, tt.text)
			var commands []string
			if s.FollowUp != nil {
				commands = s.FollowUp.Commands
			}
			if got := strings.Join(commands, " "); got != tt.command {
				t.Errorf("commands %q, want %q", got, tt.command)
			}
		})
	}
}

// The DaemonSet's own counts, and what can be done about each.
func TestAgentSet(t *testing.T) {
	late := func(in *Input) { in.Now = after(time.Hour) }
	tests := []struct {
		name    string
		change  func(*Input)
		stage   Stage
		verdict Verdict
		text    string
		command string
	}{
		{"not seen", func(in *Input) { in.Agents = Workload{} }, StageReconciled, Pending, "DaemonSet was not seen", ""},
		{"its controller is behind", func(in *Input) { in.Agents.Observed = 1 }, StageReconciled, Pending, "its controller has not seen", ""},
		{"in the middle of a rollout", func(in *Input) { in.Agents.Updated = 2 }, StageReconciled, Pending, "DaemonSet kube-system/cilium: 2 of 3 pods are of the newest template", ""},
		{"not available", func(in *Input) { in.Agents.Available = 2 }, StageReconciled, Pending, "2 of 3 pods are available", ""},
		{"OnDelete", func(in *Input) { late(in); in.Agents.OnDelete, in.Agents.Updated = true, 0; old(in, "n2") }, StageReconciled, MergedNotActive,
			"OnDelete", "kubectl -n kube-system delete pod cilium-n2"},
		{"rollOutCiliumPods is on, and the rollout hangs", func(in *Input) {
			late(in)
			in.Agents.Checksum, in.Agents.Updated = "new", 2
			for i := range in.Agents.Pods {
				in.Agents.Pods[i].Checksum = "new"
			}
			in.Agents.Pods[1].Ready, in.Agents.Pods[1].Why = snapshot.No, "cilium-agent CrashLoopBackOff"
		}, StageReconciled, MergedNotActive, "CrashLoopBackOff", ""},
		{"hostile name", func(in *Input) { late(in); old(in, "n2"); in.Agents.Name = "cilium; rm -rf /" }, StageReconciled, MergedNotActive, "from before the change", ""},
		{"override", func(in *Input) {
			late(in)
			in.Overrides = []Override{{Object: "CiliumNodeConfig kube-system/edge", Key: cidrKey, Value: narrow, Nodes: map[string]bool{"n2": true}}}
		}, StageReconciled, MergedNotActive, "take the key out of it, or set it as planned", ""},
		{"operator from before the change", func(in *Input) {
			late(in)
			in.Planned.Restart = append(in.Planned.Restart, "Deployment/cilium-operator")
			in.Others = []Workload{{Kind: "Deployment", Namespace: "kube-system", Name: "cilium-operator", Desired: 1, Updated: 1, Available: 1, PodsKnown: true,
				Pods: []Pod{{Name: "op", Node: "n1", Created: after(-time.Hour), Ready: snapshot.Yes}}}}
		}, StageReconciled, MergedNotActive, "1 pod is from before the change", "kubectl -n kube-system rollout restart deploy/cilium-operator"},
		{"operator restarted", func(in *Input) {
			in.Planned.Restart = append(in.Planned.Restart, "Deployment/cilium-operator")
			in.Others = []Workload{{Kind: "Deployment", Namespace: "kube-system", Name: "cilium-operator", Desired: 1, Updated: 1, Available: 1, PodsKnown: true,
				Pods: []Pod{{Name: "op", Node: "n1", Created: after(5 * time.Minute), Ready: snapshot.Yes}}}}
		}, StageVerified, Verified, "", ""},
		{"operator not seen", func(in *Input) { in.Planned.Restart = append(in.Planned.Restart, "Deployment/cilium-operator") }, StageReconciled, Pending,
			"Deployment/cilium-operator: the change needs it to restart, and it was not seen", ""},
		{"Envoy that the change does not need", func(in *Input) {
			in.Others = []Workload{{Kind: "DaemonSet", Namespace: "kube-system", Name: "cilium-envoy", Desired: 3, PodsKnown: true}}
		}, StageVerified, Verified, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			check(t, s, tt.stage, tt.verdict, tt.text)
			var commands []string
			if s.FollowUp != nil {
				commands = s.FollowUp.Commands
			}
			if got := strings.Join(commands, " "); got != tt.command {
				t.Errorf("commands %q, want %q", got, tt.command)
			}
		})
	}
}

// Thousands of nodes: every reason is told once, with a few names.
func TestLarge(t *testing.T) {
	in := story()
	in.Now = after(time.Hour)
	for i := range 5000 {
		n := fmt.Sprintf("node-%04d", i)
		in.Nodes = append(in.Nodes, Node{Name: n, Ready: snapshot.Yes})
		in.Agents.Pods = append(in.Agents.Pods, Pod{Name: "cilium-" + n, Node: n, Created: after(-time.Hour - time.Duration(i)*time.Second), Ready: snapshot.Yes})
		in.Probes.Senders = append(in.Probes.Senders, works(n))
	}
	began := time.Now()
	s := Judge(in)
	t.Logf("5003 nodes in %s", time.Since(began))
	check(t, s, StageReconciled, MergedNotActive, "5000 of 5003 nodes do not run it: node-0000, node-0001, node-0002, node-0003, node-0004 and 4995 more")
	if n := len(s.Waits()); n != 1 {
		t.Errorf("%d waits: %v", n, s.Waits())
	}
	if st := s.NodesStatus(); st.Wanted != 5003 || st.Active != 3 || len(st.Waiting) != 20 {
		t.Errorf("%+v", st)
	}
}
