package remediate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/passive"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	// witnessWithin is how long agents' metrics, and then Hubble, may take.
	witnessWithin = 5 * time.Second
	// hubbleBack is how far back Hubble is asked: it keeps 4,095 flows a node
	// (pkg/hubble/defaults/defaults.go, 1.18.6).
	hubbleBack = 10 * time.Minute
)

// witnesses asks what the cluster's own Cilium saw: the agents' metrics and Hubble's
// flows. Both are optional; a snapshot has neither.
func (d *detection) witnesses(ctx context.Context) error {
	if d.opts.Cluster == nil || d.opts.Snapshot != "" {
		return ctx.Err()
	}
	s := *d.in.Snapshot
	c := d.ofCluster(&s)
	metrics, unread := c.Metrics(ctx)
	s.AgentMetrics = metrics
	seen, why := c.Hubble(ctx, d.opts.Now().Add(-hubbleBack))
	if why != "" {
		unread = append(unread, why)
	}
	s.Probes = slices.Clone(s.Probes)
	for _, o := range seen {
		s.Probes = append(s.Probes, snapshot.ProbeObservation{Observation: o, Source: "Hubble"})
	}
	d.hubble = seen
	d.in.Snapshot = &s
	for _, text := range fewest(unread) {
		d.notChecked(text)
	}
	return ctx.Err()
}

func (d *detection) ofCluster(s *snapshot.Snapshot) passive.Cluster {
	return passive.Cluster{Config: d.opts.Cluster, Namespace: observe.DefaultCiliumNamespace, Within: witnessWithin, Snapshot: s}
}

// fewest keeps one of many agents that say the same.
func fewest(texts []string) []string {
	if len(texts) <= 2 {
		return texts
	}
	return []string{texts[0], fmt.Sprintf("%d more like it", len(texts)-1)}
}

// corroborate adds what the agents say to confirmed losses: what they dropped while
// the probes ran, and that their own health checks, which start from the host, saw
// nothing. It confirms nothing.
func (d *detection) corroborate(ctx context.Context) {
	s := d.in.Snapshot
	if len(s.AgentMetrics) == 0 {
		return
	}
	now, _ := d.ofCluster(s).Metrics(ctx)
	rates := passive.Rising(s.AgentMetrics, now)
	for i := range d.out.Result.Findings {
		f := &d.out.Result.Findings[i]
		if f.Confidence != v1alpha1.ConfidenceConfirmed || f.Severity != v1alpha1.SeverityCritical || f.CausedBy != "" {
			continue
		}
		for _, r := range rates[:min(len(rates), 3)] {
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "metric", Source: r.Source,
				Text: fmt.Sprintf("%.0f packets dropped on %s meanwhile: %s, %s", r.Packets, r.Node, r.Reason, r.Direction)})
		}
		if text := healthSays(now); text != "" {
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "metric", Source: "cilium_node_health_connectivity_status", Text: text})
		}
	}
}

// healthSays is what cilium-health found, in sum.
func healthSays(agents []snapshot.AgentMetrics) string {
	var h snapshot.Health
	for _, a := range agents {
		h.Reachable += a.NodeHealth.Reachable + a.EndpointHealth.Reachable
		h.Unreachable += a.NodeHealth.Unreachable + a.EndpointHealth.Unreachable
	}
	switch {
	case h.Reachable+h.Unreachable == 0:
		return ""
	case h.Unreachable == 0:
		return fmt.Sprintf("cilium-health, which starts from the host and never from a pod, reaches all (%d of %d)", h.Reachable, h.Reachable)
	}
	return fmt.Sprintf("cilium-health does not reach %d of %d", h.Unreachable, h.Reachable+h.Unreachable)
}
