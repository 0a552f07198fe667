package remediate

import (
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// freezeOf is what of the cluster's state freezes proposals. What was not read
// freezes nothing.
func (r *Run) freezeOf() guard.Cluster {
	c := guard.Cluster{Upgrading: upgrading(r.snapshot), Suspended: strings.Join(r.suspended(), ", ")}
	if r.snapshot == nil {
		return c
	}
	for _, n := range r.snapshot.Nodes {
		if n.Ready == snapshot.Unknown {
			continue
		}
		c.Nodes++
		if n.Ready == snapshot.No {
			c.NotReady++
		}
	}
	return c
}

// upgrading names a rollout of the agents that has not ended.
func upgrading(s *snapshot.Snapshot) string {
	if s == nil || !s.AgentDaemonSet.Known {
		return ""
	}
	d := s.AgentDaemonSet.Value
	switch {
	case d.Generation > 0 && d.Observed < d.Generation:
		return fmt.Sprintf("%s: its newest state is not taken up yet", s.AgentDaemonSet.Source)
	case d.Desired > 0 && d.Updated < d.Desired:
		return fmt.Sprintf("%s: %d of %d agents updated", s.AgentDaemonSet.Source, d.Updated, d.Desired)
	}
	return ""
}

// suspended names what Flux does not reconcile: as the repository says, and as
// the cluster does.
func (r *Run) suspended() []string {
	if r.release == nil {
		return nil
	}
	out := append([]string(nil), r.release.SuspendedBy...)
	if len(out) > 0 || r.snapshot == nil {
		return out
	}
	for _, o := range r.snapshot.Flux {
		if o.Suspended && r.applies(o) {
			out = append(out, fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name))
		}
	}
	return out
}

// applies says whether a Flux object brings the release to the cluster.
func (r *Run) applies(o snapshot.FluxObject) bool {
	name := o.Namespace + "/" + o.Name
	switch o.Kind {
	case "HelmRelease":
		return name == r.release.Namespace+"/"+r.release.Name
	case "Kustomization":
		for _, k := range r.release.Kustomizations {
			if strings.HasPrefix(k, "Kustomization "+name+" ") {
				return true
			}
		}
	}
	return false
}
