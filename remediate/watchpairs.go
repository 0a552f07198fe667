package remediate

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Pairs are the ordered pairs of different nodes, counted.
type Pairs struct {
	Nodes int
	// Broken pairs fail in some way; of Unknown ones nobody has tried anything yet.
	Broken, Unknown int
}

// pairs counts what grids shows. A quiet cluster costs no more than its number of
// probes.
func (l *listener) pairs() Pairs {
	out := Pairs{Nodes: len(l.latest.Members)}
	members := map[string]bool{}
	for _, m := range l.latest.Members {
		members[m.Node] = true
	}
	tried := 0
	for _, h := range l.heard {
		if members[h.target.Node] && !h.target.HostNetwork {
			tried += h.met(out.Nodes, l.known)
		}
	}
	out.Broken = l.brokenPairs(members)
	out.Unknown = max(0, out.Nodes*(out.Nodes-1)-max(tried, out.Broken))
	return out
}

// met is how many peers of n nodes the ring brought a probe together with: all within
// [mesh.CoverTime], and [mesh.Peers] others in each round until then.
func (h *hearing) met(n int, known map[string]mesh.Membership) int {
	var worked time.Duration
	for _, s := range h.spans {
		if _, ok := known[s.members]; ok {
			worked += s.last.Sub(s.first)
		}
	}
	if worked >= mesh.CoverTime(n) {
		return max(0, n-1)
	}
	return min(n-1, int(worked/(mesh.Round/2)+1)/2*mesh.Peers)
}

// brokenPairs counts the pairs of members that fail in some way.
func (l *listener) brokenPairs(members map[string]bool) int {
	observations := l.matrix.Observations()
	type pair struct{ from, to string }
	broken := map[pair]bool{}
	for _, family := range []string{cidr.IPv6, cidr.IPv4} {
		for _, counts := range []func(v1alpha1.Observation) bool{fromPods, toNodes} {
			for k, m := range cells(observations, nil, family, counts) {
				if m.Bad() && k.from != k.to && members[k.from] && members[k.to] {
					broken[pair{k.from, k.to}] = true
				}
			}
		}
	}
	return len(broken)
}

func fromPods(o v1alpha1.Observation) bool { return !o.HostNetwork && o.Via == mesh.ViaPodIP }
func toNodes(o v1alpha1.Observation) bool  { return o.Via == mesh.ViaNodeIP }
