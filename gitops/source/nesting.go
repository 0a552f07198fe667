package source

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// maxLevels bounds how deep kustomizations list each other, and maxLoads how
	// often kustomize reads a directory in one build: it reads a base once for
	// each way that leads to it. Real repositories stay below 10 and 2,000.
	maxLevels = 100
	maxLoads  = 50_000
)

// nesting measures what a build would make kustomize do, before it does it:
// kustomize recurses for each level, and so long as there are ways.
type nesting struct {
	units map[string]*unit
	done  map[string]weight
	chain []string
}

type weight struct{ depth, loads int }

// checkNesting refuses builds with a cycle, and those that would not end in
// reasonable time. The first unit is the top; extra are its further components.
func checkNesting(units []*unit, kept map[string]bool, extra []string) error {
	n := &nesting{units: map[string]*unit{}, done: map[string]weight{}}
	for i, u := range units {
		if i == 0 || kept[u.dir] {
			n.units[u.dir] = u
		}
	}
	for _, dir := range append([]string{units[0].dir}, extra...) {
		if _, err := n.weigh(dir); err != nil {
			return err
		}
	}
	return nil
}

func (n *nesting) weigh(dir string) (weight, error) {
	u, ok := n.units[dir]
	if !ok {
		return weight{}, nil
	}
	if w, ok := n.done[dir]; ok {
		return w, nil
	}
	if at := slices.Index(n.chain, dir); at >= 0 {
		return weight{}, fmt.Errorf("%s: the kustomizations list each other in a cycle: %s", u.kfile, strings.Join(append(slices.Clone(n.chain[at:]), dir), " → "))
	}
	if len(n.chain) >= maxLevels {
		return weight{}, fmt.Errorf("%s: kustomizations nest deeper than %d levels", u.kfile, maxLevels)
	}
	n.chain = append(n.chain, dir)
	defer func() { n.chain = n.chain[:len(n.chain)-1] }()
	w := weight{depth: 1, loads: 1}
	for _, e := range u.entries {
		if !e.dir {
			continue
		}
		below, err := n.weigh(e.path)
		if err != nil {
			return weight{}, err
		}
		w.depth = max(w.depth, below.depth+1)
		w.loads += below.loads
	}
	switch {
	case w.depth > maxLevels:
		return weight{}, fmt.Errorf("%s: kustomizations nest deeper than %d levels", u.kfile, maxLevels)
	case w.loads > maxLoads:
		return weight{}, fmt.Errorf("%s: kustomize would read the directories below it more than %d times, because several ways lead to them", u.kfile, maxLoads)
	}
	n.done[dir] = w
	return w, nil
}
