package datapath

import (
	"net/netip"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// links partitions nodes by layer-2 link.
type links struct {
	of map[string]int // node name to link; absent when unknown
	n  int
	// apart is what is known of two nodes on different links.
	apart snapshot.Tri
}

// maxLinks bounds the comparisons that finding links costs.
const maxLinks = 512

func (w *world) findLinks(fi int) links {
	if w.in.Topology.SameSegment != nil {
		return w.askLinks(fi)
	}
	l := links{of: map[string]int{}, apart: snapshot.No}
	index, prefixes := map[netip.Prefix]int{}, []netip.Prefix(nil)
	for _, h := range w.hosts {
		p := w.linkOf(h, fi)
		if !p.IsValid() {
			l.apart = snapshot.Unknown
			continue
		}
		i, ok := index[p]
		if !ok {
			i = len(prefixes)
			index[p] = i
			prefixes = append(prefixes, p)
		}
		l.of[h.name] = i
	}
	for _, p := range prefixes[:min(len(prefixes), maxLinks)] {
		if p != prefixes[0] && w.apart(prefixes[0], p) != snapshot.No {
			l.apart = snapshot.Unknown
		}
	}
	l.n = len(prefixes)
	return l
}

// askLinks partitions by the topology's own answers, taken to be transitive.
func (w *world) askLinks(fi int) links {
	l, reps := links{of: map[string]int{}, apart: snapshot.No}, []*host(nil)
	for _, n := range w.hosts {
		found := -1
		for i, rep := range reps[:min(len(reps), maxLinks)] {
			if t := w.segment(rep, n, fi); t == snapshot.Yes {
				found = i
				break
			} else if t == snapshot.Unknown {
				l.apart = snapshot.Unknown
			}
		}
		if found < 0 {
			found = len(reps)
			reps = append(reps, n)
		}
		l.of[n.name] = found
	}
	if l.n = len(reps); l.n > maxLinks {
		l.apart = snapshot.Unknown
	}
	return l
}

// single says that all nodes are known to share one link.
func (l *links) single(nodes int) bool { return l.n <= 1 && len(l.of) == nodes }

// relation is what of two nodes' places matters to a packet between them.
type relation struct {
	name     string
	sameNode bool
	segment  snapshot.Tri
}

func ownNode() relation { return relation{"same node", true, snapshot.Yes} }

func sameLink() relation { return relation{"same segment", false, snapshot.Yes} }

func (l *links) otherLink() relation {
	if l.apart == snapshot.No {
		return relation{"other segment", false, snapshot.No}
	}
	return relation{"other node", false, snapshot.Unknown}
}

// across are the relations that two different nodes can have.
func (l *links) across(nodes int) []relation {
	if l.single(nodes) {
		return []relation{sameLink()}
	}
	return []relation{sameLink(), l.otherLink()}
}
