package confirm

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// thin keeps n of what was said. One exchange of each of many flows would show of none
// of them what becomes of it, so what was said of a few is kept whole: the same few
// each time, and of two nodes what both say of each other. What is too much even so is
// spread from the oldest to the newest.
func thin(said []saying, n int) []saying {
	groups := map[uint64][]int{}
	for i := range said {
		g := said[i].group()
		groups[g] = append(groups[g], i)
	}
	var keep []int
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		if left := n - len(keep); left > 0 {
			keep = append(keep, spread(groups[g], left)...)
		}
	}
	slices.Sort(keep)
	out := make([]saying, len(keep))
	for i, k := range keep {
		out[i] = said[k]
	}
	return out
}

// spread is at most n of a list, the first and the last among them.
func spread(list []int, n int) []int {
	if len(list) <= n {
		return list
	}
	out := make([]int, n)
	for i := range out {
		out[i] = list[len(list)-1-i*(len(list)-1)/max(n-1, 1)]
	}
	return out
}

// group is alike for all that two nodes say of each other over a family, and for all
// that a node says of its services or names.
func (s *saying) group() uint64 {
	what, from, to := s.what.Value(), s.from.Value().Node, s.to.Value().Node
	if what.Via == mesh.ViaClusterIP || what.Via == mesh.ViaDNS {
		to = what.Via
	}
	if cmp.Less(to, from) {
		from, to = to, from
	}
	h := fnv.New64a()
	for _, text := range []string{from, to, what.Family} {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
