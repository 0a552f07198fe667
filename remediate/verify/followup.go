package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// objectName is what the API server takes as the name of an object
// (RFC 1123); nothing else is put into a command.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// rollOut is the chart's value that lets a change of a component's configuration
// restart it (install/kubernetes/cilium/values.yaml, 1.18.6).
var rollOut = map[string]string{
	"DaemonSet/cilium":           "rollOutCiliumPods",
	"Deployment/cilium-operator": "operator.rollOutPods",
	"DaemonSet/cilium-envoy":     "envoy.rollOutPods",
}

// followUp is what brings the change to the agents that lack it: a restart, where
// they were made before the change; a change of the override that shuts it out.
func (j *judge) followUp() *FollowUp {
	f := &FollowUp{Values: map[string]any{}}
	var why []string
	old, untold := j.lacking(lackRestart), j.lacking(lackTold)
	if len(old) > 0 {
		why = append(why, fmt.Sprintf("agents read cilium-config only when their pod is made, and those on %s are from before the change", some(old)))
	}
	if len(untold) > 0 {
		why = append(why, fmt.Sprintf("of those on %s it cannot be told whether they have it", some(untold)))
	}
	if nodes := append(old, untold...); len(nodes) > 0 {
		j.restart(f, j.in.Agents, nodes)
	}
	for _, w := range j.in.Others {
		if slices.ContainsFunc(j.in.Planned.Restart, w.is) && j.lacks(w) {
			why = append(why, w.object()+" has pods from before the change")
			j.restart(f, w, nil)
		}
	}
	why = append(why, j.shutOut()...)
	if len(why) == 0 {
		why = append(why, j.steps[StageRolledOut].stuck())
	}
	f.Why = strings.Join(why, "; ")
	if len(f.Values) == 0 {
		f.Values = nil
	}
	return f
}

// lacking are the nodes that are not active for a reason.
func (j *judge) lacking(why lack) []string {
	var out []string
	for _, n := range j.out.Nodes {
		if n.Active == snapshot.No && n.lack == why {
			out = append(out, n.Node)
		}
	}
	return out
}

// lacks: something of the workload waits for somebody.
func (j *judge) lacks(w Workload) bool {
	return slices.ContainsFunc(j.steps[StageRolledOut].Waits, func(x Wait) bool { return x.Stuck && x.Object == w.object() })
}

// restart adds the command, and the value that spares it the next time.
func (j *judge) restart(f *FollowUp, w Workload, nodes []string) {
	if !objectName.MatchString(w.Namespace) || !objectName.MatchString(w.Name) {
		return
	}
	short := map[string]string{"DaemonSet": "ds", "Deployment": "deploy"}[w.Kind]
	switch {
	case w.OnDelete:
		f.Commands = append(f.Commands, j.deletions(w, nodes)...)
	case short != "":
		f.Commands = append(f.Commands, fmt.Sprintf("kubectl -n %s rollout restart %s/%s", w.Namespace, short, w.Name))
	}
	if key := rollOut[w.Kind+"/"+w.Name]; key != "" && w.Checksum == "" {
		f.Values[key] = true
	}
}

// deletions are needed with the update strategy OnDelete: a restart changes the
// template there and no pod.
func (j *judge) deletions(w Workload, nodes []string) []string {
	const most = 20
	var pods []string
	for _, p := range w.Pods {
		if objectName.MatchString(p.Name) && !p.Deleted && slices.Contains(nodes, name(p.Node)) && len(pods) < most {
			pods = append(pods, p.Name)
		}
	}
	if len(pods) == 0 {
		return nil
	}
	slices.Sort(pods)
	return []string{fmt.Sprintf("kubectl -n %s delete pod %s", w.Namespace, strings.Join(pods, " "))}
}

// shutOut names overrides: no restart helps against them.
func (j *judge) shutOut() []string {
	var out []string
	for _, n := range j.out.Nodes {
		if n.lack == lackOverride {
			text := n.Reason + " on " + n.Node + ": take the key out of it, or set it as planned"
			if !slices.Contains(out, text) && len(out) < maxListed {
				out = append(out, text)
			}
		}
	}
	return out
}
