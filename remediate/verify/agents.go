package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// hotReloadWithin is how long a changed ip-masq-agent takes to the agents: a
// kubelet carries a ConfigMap to a pod within 90 s, and the agent watches the file
// (pkg/ipmasq/ipmasq.go:112-171, 1.18.6).
const hotReloadWithin = 2 * time.Minute

// rolledOut asks of every node whether its agent runs with the change. Agents read
// cilium-config when their pod is made, and at no other time.
func (j *judge) rolledOut() {
	if j.live != snapshot.Yes {
		j.wait(StageRolledOut, snapshot.No, "", "cilium-config has to hold the change first")
		return
	}
	j.indexPods()
	for _, n := range j.nodes() {
		x := j.active(n)
		x.Node = name(n.Name)
		j.out.Nodes = append(j.out.Nodes, x)
	}
	j.overGrace = !j.in.Now.Before(j.graceFrom().Add(j.in.Grace))
	j.cannotTell()
	sorted(j.out.Nodes)
	j.nodeWaits()
	j.agentSet()
	for _, w := range j.in.Others {
		j.other(w)
	}
	for _, kind := range j.in.Planned.Restart {
		if !j.restartSeen(kind) {
			j.wait(StageRolledOut, snapshot.Unknown, kind, "the change needs it to restart, and it was not seen")
		}
	}
}

// nodes are those that have an agent or should have one. Where the DaemonSet wants
// no more pods than there are, nodes without a pod want none.
func (j *judge) nodes() []Node {
	w := j.in.Agents
	has := map[string]bool{}
	for _, p := range w.Pods {
		has[p.Node] = has[p.Node] || !p.Deleted
	}
	running := 0
	for _, alive := range has {
		if alive {
			running++
		}
	}
	short := w.Name == "" || w.Observed < w.Generation || running < w.Desired
	var out []Node
	known := map[string]bool{}
	for _, n := range j.in.Nodes {
		known[n.Name] = true
		if _, seen := has[n.Name]; seen || short {
			out = append(out, n)
		}
	}
	for _, p := range w.Pods {
		if !known[p.Node] && p.Node != "" {
			known[p.Node] = true
			out = append(out, Node{Name: p.Node})
		}
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// active says whether the agent of a node runs with the change, and why.
func (j *judge) active(n Node) NodeState {
	if x := j.overridden(n.Name); x.Active != snapshot.Yes {
		return x
	}
	switch n.Ready {
	case snapshot.No:
		return NodeState{Reason: "the node is not Ready"}
	case snapshot.Unknown:
		return NodeState{Reason: "the node's state is not known"}
	}
	p := j.pods[n.Name]
	switch {
	case !j.in.Agents.PodsKnown:
		return NodeState{Reason: "the agents' pods were not listed"}
	case p == nil:
		return NodeState{Active: snapshot.No, Reason: "it has no agent"}
	case p.Deleted:
		return NodeState{Active: snapshot.No, Reason: "its agent is ending, and there is no new one"}
	}
	x := j.reads(*p)
	switch {
	case x.Active != snapshot.Yes || p.Ready == snapshot.Yes:
		return x
	case p.Ready == snapshot.Unknown:
		return NodeState{Reason: "it is not known whether its new agent is ready"}
	}
	return NodeState{Active: snapshot.No, Reason: "its new agent is not ready" + said(p.Why)}
}

// indexPods finds each node's agent: of several pods the newest that is not ending.
func (j *judge) indexPods() {
	j.pods = map[string]*Pod{}
	for i := range j.in.Agents.Pods {
		p := &j.in.Agents.Pods[i]
		has := j.pods[p.Node]
		if has == nil || has.Deleted && !p.Deleted || has.Deleted == p.Deleted && p.Created.After(has.Created) {
			j.pods[p.Node] = p
		}
	}
}

// overridden: a CiliumNodeConfig goes before cilium-config.
func (j *judge) overridden(node string) NodeState {
	out := NodeState{Active: snapshot.Yes}
	for _, o := range j.in.Overrides {
		want, planned := j.in.Planned.Config[o.Key]
		if !planned || equal(want, &o.Value) {
			continue
		}
		switch {
		case o.Nodes[node]:
			return NodeState{Active: snapshot.No, lack: lackOverride, Reason: fmt.Sprintf("%s sets %s to %s", name(o.Object), name(o.Key), shown(&o.Value))}
		case o.Unclear:
			out = NodeState{Reason: fmt.Sprintf("%s sets %s to %s on some nodes, and its selector is not understood", name(o.Object), name(o.Key), shown(&o.Value))}
		}
	}
	return out
}

// reads says whether a pod has read the changed configuration: by the agent's own
// metric, by the order of the API server's own times, by the checksum that the
// chart puts into the pod template, by the end of the init container that reads it.
func (j *judge) reads(p Pod) NodeState {
	if j.in.Planned.HotReload {
		return j.hotReloaded()
	}
	if j.undrifted(p) {
		return NodeState{Active: snapshot.Yes, Reason: "its agent's metric says that no key differs from cilium-config"}
	}
	x, sum := j.startedAfter(p), j.in.Agents.Checksum
	switch {
	case x.Active == snapshot.Yes && p.Configured == snapshot.No:
		return NodeState{Active: snapshot.No, Reason: "its new agent has not read the configuration yet" + said(p.Why)}
	case x.Active == snapshot.No:
		return x
	case sum != "" && p.Checksum != sum:
		return NodeState{Active: snapshot.No, lack: lackRestart, Reason: "its agent is of the pod template before the change"}
	case sum != "" && j.done(StageReconciled):
		x = NodeState{Active: snapshot.Yes, Reason: "its agent has the pod template's checksum of the configuration"}
	}
	if p.Drift != nil && *p.Drift > 0 && x.Active == snapshot.Yes {
		return NodeState{lack: lackTold, Reason: fmt.Sprintf("its agent was made after the change, and its drift metric says that %s", plural(*p.Drift, "key differs", "keys differ"))}
	}
	return x
}

// undrifted: an agent that says that nothing differs runs the change, whenever it
// was started; of keys that are gone the metric knows nothing
// (pkg/driftchecker/checker.go, 1.18.6).
func (j *judge) undrifted(p Pod) bool {
	for key, want := range j.in.Planned.Config {
		if want == nil || key == MasqAgentKey {
			return false
		}
	}
	return p.Drift != nil && *p.Drift == 0 && !j.since.IsZero() && p.DriftAt.After(j.since.Add(skew))
}

// startedAfter compares when the pod read the configuration with when that changed,
// both by the API server's clock and in whole seconds.
func (j *judge) startedAfter(p Pod) NodeState {
	changed, read := j.since.Truncate(time.Second), p.readAt()
	switch {
	case changed.IsZero():
		return NodeState{Reason: "it is not known when cilium-config changed"}
	case p.Created.IsZero():
		return NodeState{Reason: "it is not known when its agent's pod was made"}
	case p.Created.After(changed):
		return NodeState{Active: snapshot.Yes, Reason: "its agent was made " + stamp(p.Created) + ", after the change"}
	case read.After(changed), p.ConfigRead.After(changed.Add(skew)):
		return NodeState{Active: snapshot.Yes, Reason: "its agent read the configuration after the change"}
	case p.Configured == snapshot.No:
		return NodeState{Active: snapshot.No, Reason: "its new agent has not read the configuration yet" + said(p.Why)}
	case read.Add(settle).After(changed):
		return NodeState{lack: lackTold, Reason: "its agent was made about when the configuration changed"}
	}
	return NodeState{Active: snapshot.No, lack: lackRestart, Reason: "its agent runs since " + stamp(p.Created) + ", from before the change"}
}

// settle is how long a kubelet may take to notice a pod that was made for it.
const settle = 15 * time.Second

// readAt is when a pod read its configuration, at the earliest: that much after it
// was bound to its node as its node's own clock says that it took.
func (p Pod) readAt() time.Time {
	at := latest(p.Created, p.Scheduled)
	if took := p.ConfigRead.Sub(p.Started); !p.ConfigRead.IsZero() && !p.Started.IsZero() && took > 0 {
		return at.Add(took)
	}
	return at
}

func (j *judge) hotReloaded() NodeState {
	if j.since.IsZero() || j.in.Now.Before(j.since.Add(hotReloadWithin)) {
		return NodeState{Active: snapshot.No, Reason: "the kubelet may not have brought the new list to its agent yet"}
	}
	return NodeState{Active: snapshot.Yes, Reason: "agents reload the list without a restart, and it is there since " + stamp(j.since)}
}

// graceFrom is from when the agents' time runs: since the change is there, or the
// newest agent with it was made.
func (j *judge) graceFrom() time.Time {
	from := j.appliedAt()
	for _, p := range j.in.Agents.Pods {
		if p.Created.After(from) && !p.Created.After(j.in.Now) {
			from = p.Created
		}
	}
	return from
}

// cannotTell: what nothing decides within the grace time, nothing will. An agent
// that is made anew is told from others, so that this is asked for.
func (j *judge) cannotTell() {
	for i := range j.out.Nodes {
		if n := &j.out.Nodes[i]; n.Active == snapshot.Unknown && n.lack == lackTold && j.overGrace {
			n.Active, n.Reason = snapshot.No, "it cannot be told whether its agent runs the change, and a restart decides it: "+n.Reason
		}
	}
}

// nodeWaits says which nodes are missing, by reason.
func (j *judge) nodeWaits() {
	if len(j.out.Nodes) == 0 {
		j.wait(StageRolledOut, snapshot.Unknown, "", "no node and no agent was seen")
	}
	var reasons []string
	nodes := map[string][]string{}
	tri := map[string]snapshot.Tri{}
	for _, n := range j.out.Nodes {
		if n.Active == snapshot.Yes {
			continue
		}
		reason := n.Reason
		if n.lack == lackRestart {
			reason = "made before the change"
		}
		if nodes[reason] == nil {
			reasons = append(reasons, reason)
		}
		nodes[reason] = append(nodes[reason], n.Node)
		tri[reason] = all(tri[reason], n.Active)
	}
	for _, r := range reasons[:min(len(reasons), maxListed)] {
		text := fmt.Sprintf("%s on %s: %s", plural(len(nodes[r]), "agent", "agents"), some(nodes[r]), r)
		if tri[r] == snapshot.No && j.overGrace && j.done(StageReconciled) {
			j.stuck(StageRolledOut, "", "%s", text)
			continue
		}
		j.wait(StageRolledOut, tri[r], "", "%s", text)
	}
	if len(reasons) > maxListed {
		j.wait(StageRolledOut, snapshot.Unknown, "", "and %d more reasons on other nodes", len(reasons)-maxListed)
	}
}

// agentSet: the DaemonSet's own word. A set that counts fewer updated pods than it
// wants is in the middle of something.
func (j *judge) agentSet() {
	w := j.in.Agents
	if w.Name == "" {
		j.wait(StageRolledOut, snapshot.Unknown, "", "the agents' DaemonSet was not seen")
		return
	}
	j.workload(w, !j.in.Planned.HotReload)
}

// workload adds what a workload's own counts lack.
func (j *judge) workload(w Workload, counts bool) {
	object := w.object()
	switch {
	case w.Observed < w.Generation:
		j.wait(StageRolledOut, snapshot.No, object, "its controller has not seen its newest state")
	case !counts:
	case w.Updated < w.Desired && w.OnDelete:
		j.stuck(StageRolledOut, object, "%d of %d pods are of the newest template; its update strategy is OnDelete, so somebody has to delete the others", w.Updated, w.Desired)
	case w.Updated < w.Desired:
		j.wait(StageRolledOut, snapshot.No, object, "%d of %d pods are of the newest template", w.Updated, w.Desired)
	case w.Available < w.Desired:
		j.wait(StageRolledOut, snapshot.No, object, "%d of %d pods are available", w.Available, w.Desired)
	}
}

func (w Workload) object() string {
	return name(w.Kind + " " + w.Namespace + "/" + w.Name)
}

// is says whether a name of a plan, "Deployment/cilium-operator", means it.
func (w Workload) is(kind string) bool { return w.Name != "" && kind == w.Kind+"/"+w.Name }

func (j *judge) restartSeen(kind string) bool {
	return j.in.Agents.is(kind) || slices.ContainsFunc(j.in.Others, func(w Workload) bool { return w.is(kind) })
}

// other is a workload besides the agents that the change needs: its pods were made
// after the change, and it is whole.
func (j *judge) other(w Workload) {
	if !slices.ContainsFunc(j.in.Planned.Restart, w.is) {
		return
	}
	old, unknown := 0, 0
	for _, p := range w.Pods {
		tri := j.startedAfter(p).Active
		switch {
		case p.Deleted, w.Checksum != "" && p.Checksum == w.Checksum && tri != snapshot.No:
		case tri == snapshot.No, w.Checksum != "" && p.Checksum != w.Checksum:
			old++
		case tri == snapshot.Unknown:
			unknown++
		}
	}
	switch {
	case !w.PodsKnown:
		j.wait(StageRolledOut, snapshot.Unknown, w.object(), "its pods were not listed")
	case old > 0 && j.overGrace:
		j.stuck(StageRolledOut, w.object(), "%s from before the change", plural(old, "pod is", "pods are"))
	case old > 0:
		j.wait(StageRolledOut, snapshot.No, w.object(), "%s from before the change", plural(old, "pod is", "pods are"))
	case unknown > 0 && j.overGrace:
		j.stuck(StageRolledOut, w.object(), "of %s it cannot be told whether they read the change, and a restart decides it", plural(unknown, "pod", "pods"))
	case unknown > 0:
		j.wait(StageRolledOut, snapshot.Unknown, w.object(), "of %s it is not known whether they read the change", plural(unknown, "pod", "pods"))
	}
	j.workload(w, true)
}
