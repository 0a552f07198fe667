package signature

import (
	"maps"
	"slices"
)

// edges are the pairs without their direction, each once, in order.
func edges(pairs []pairKey) []pairKey {
	seen := map[pairKey]bool{}
	for _, k := range pairs {
		if k.to < k.from {
			k.from, k.to = k.to, k.from
		}
		seen[k] = true
	}
	return slices.SortedFunc(maps.Keys(seen), byPair)
}

func setOf(pairs []pairKey) map[pairKey]bool {
	out := make(map[pairKey]bool, len(pairs))
	for _, k := range pairs {
		out[k] = true
	}
	return out
}

// bothWays: of some two nodes both directions are among the pairs.
func bothWays(pairs []pairKey) bool {
	set := setOf(pairs)
	return slices.ContainsFunc(pairs, func(k pairKey) bool { return set[pairKey{k.to, k.from}] })
}

// oddCycle: the edges cannot be what lies between two parts, as they would if
// the network had fallen into two.
func oddCycle(edges []pairKey) bool {
	next := neighbours(edges)
	colour := map[string]int{}
	for _, start := range slices.Sorted(maps.Keys(next)) {
		if colour[start] != 0 {
			continue
		}
		colour[start] = 1
		queue := []string{start}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			for _, m := range next[n] {
				switch colour[m] {
				case 0:
					colour[m] = -colour[n]
					queue = append(queue, m)
				case colour[n]:
					return true
				}
			}
		}
	}
	return false
}

func neighbours(edges []pairKey) map[string][]string {
	next := map[string][]string{}
	for _, e := range edges {
		next[e.from] = append(next[e.from], e.to)
		next[e.to] = append(next[e.to], e.from)
	}
	return next
}

// coveredByTwo: two nodes are part of every edge. Of the ends of any edge one has
// to be among them, which leaves little to try.
func coveredByTwo(edges []pairKey) bool {
	if len(edges) == 0 {
		return true
	}
	for _, first := range []string{edges[0].from, edges[0].to} {
		rest := without(edges, first)
		if len(rest) == 0 {
			return true
		}
		for _, second := range []string{rest[0].from, rest[0].to} {
			if len(without(rest, second)) == 0 {
				return true
			}
		}
	}
	return false
}

func without(edges []pairKey, node string) []pairKey {
	var out []pairKey
	for _, e := range edges {
		if e.from != node && e.to != node {
			out = append(out, e)
		}
	}
	return out
}

// components are the parts of several nodes that working pairs hold together,
// when there is more than one of them.
func components(c cutInfo) []map[string]bool {
	var working []pairKey
	for k := range c.alive {
		working = append(working, k)
	}
	next := neighbours(edges(working))
	seen := map[string]bool{}
	var out []map[string]bool
	for _, start := range slices.Sorted(maps.Keys(next)) {
		if seen[start] {
			continue
		}
		part := map[string]bool{}
		stack := []string{start}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if part[n] {
				continue
			}
			part[n], seen[n] = true, true
			stack = append(stack, next[n]...)
		}
		out = append(out, part)
	}
	if len(out) < 2 {
		return nil
	}
	return out
}
