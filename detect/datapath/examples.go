package datapath

import "github.com/remediate-dev/remediate/detect/policy"

// podClassOf is a class with two pods as its example: the first by name that
// stand in the relation, among those kept to stand for others.
func (a *outliner) podClassOf(from, to, d int, sources []int, r relation) Class {
	x, y := a.examplePods(from, to, d, sources, r)
	return Class{
		From: a.podSite(x).end(), To: a.podSite(y).end(),
		FromNodes: a.words(a.sites[from].key.group), ToNodes: a.words(a.sites[to].key.group),
	}
}

// maxTried is how many source classes are searched for an example.
const maxTried = 64

func (a *outliner) examplePods(from, to, d int, sources []int, r relation) (int, int) {
	targets := a.reps[[2]int{to, d}]
	for _, k := range sources[:min(len(sources), maxTried)] {
		for _, x := range a.reps[[2]int{from, k}] {
			if r.sameNode {
				if y, ok := a.neighbour(x, to, d); ok {
					return x, y
				}
				continue
			}
			for _, y := range targets {
				if a.pods[x].Node != a.pods[y].Node && a.inRelation(x, y, r) {
					return x, y
				}
			}
		}
	}
	return a.sites[from].reps[0], targets[0]
}

// neighbour is a pod of the site and class on the pod's node, not itself.
func (a *outliner) neighbour(pod, site, class int) (int, bool) {
	for _, c := range a.cells[a.index[a.pods[pod].Node]] {
		if c.site != site || c.class != class {
			continue
		}
		if c.first != pod {
			return c.first, true
		}
		return c.second, c.second != pod
	}
	return 0, false
}

func (a *outliner) inRelation(x, y int, r relation) bool {
	return a.segment(a.hosts[a.index[a.pods[x].Node]], a.hosts[a.index[a.pods[y].Node]], a.fi) == r.segment
}

// portsOf are the ports to ask about: one that no policy names, and those that
// the policies of the class name.
func (a *outliner) portsOf(class int) []policy.Port {
	out := []policy.Port{anyPort(a.fi)}
	if !a.classes[class].guard {
		return out
	}
	seen, ports := map[policy.Port]bool{}, a.ports()
	for _, source := range a.base.SelectedBy(a.classes[class].rep, true) {
		for _, p := range ports[source] {
			p.Family = families()[a.fi]
			if !seen[p] && len(out) <= maxPorts {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}
