package render

import (
	"slices"
	"strings"
)

// suggest finds the key that was meant: a known mistake, a key of the same
// letters (which also finds an agent's flag written as a key), the only key of
// that name further up or down the same branch, or a misspelt neighbour.
func (c *Chart) suggest(p string) Key {
	if k, ok := mistakes[p]; ok {
		k.Path = p
		if k.Suggestion != "" && len(c.index().known[letters(k.Suggestion)]) == 0 {
			k.Suggestion = ""
		}
		return k
	}
	for _, known := range c.index().known[letters(p)] {
		if known != p {
			return Key{Path: p, Suggestion: known}
		}
	}
	return Key{Path: p, Suggestion: or(c.onTheBranch(p), c.misspelt(p))}
}

// onTheBranch is the only known key of the same name whose parent lies above or
// below that of p. Keys of other branches with the same name mean other things.
func (c *Chart) onTheBranch(p string) string {
	last := letters(lastOf(p))
	if len(last) < 6 || last == "enabled" || !c.knows(parent(p)) {
		return ""
	}
	return c.only(func(q string) bool {
		return letters(lastOf(q)) == last && (holds(parent(p), parent(q)) || holds(parent(q), parent(p)))
	}, p)
}

// knows: the chart has a value there, or reads one below.
func (c *Chart) knows(p string) bool {
	_, own := valueAt(c.chart.Values, strings.Split(p, "."))
	return p == "" || own || c.index().read[p]
}

// misspelt is the only known key beside p that a slip or two make of it.
func (c *Chart) misspelt(p string) string {
	last := lastOf(p)
	slips := len(last) / 5 // none below five letters, where other words are near
	for n := 1; n <= min(slips, 2); n++ {
		q := c.only(func(q string) bool { return parent(q) == parent(p) && distance(lastOf(q), last) <= n }, p)
		if q != "" {
			return q
		}
	}
	return ""
}

// only is the one known key but p that fits, or "".
func (c *Chart) only(fits func(q string) bool, p string) string {
	found := ""
	for _, paths := range c.index().known {
		for _, q := range paths {
			if q == p || !fits(q) {
				continue
			}
			if found != "" {
				return ""
			}
			found = q
		}
	}
	return found
}

func lastOf(p string) string { return p[strings.LastIndexByte(p, '.')+1:] }

// holds: b lies below a, or is a.
func holds(a, b string) bool { return a == "" || a == b || strings.HasPrefix(b, a+".") }

// distance is how many letters must be put in, left out or replaced, or swapped
// with their neighbour, to make b of a.
func distance(a, b string) int {
	if a == b {
		return 0
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = slices.Min([]int{next[j-1] + 1, row[j] + 1, row[j-1] + cost})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
