package search

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/remediate-dev/remediate/e2e/matrix"
)

// Budget is how many smaller cases may be tried: with other policies, which costs
// seconds each, and with other configurations, for which agents start again.
type Budget struct{ Policies, Configs int }

// Still says whether a case disagrees in the way that is being looked into.
type Still func(Case) (bool, error)

// Shrink takes away from a case what its disagreement does not need, the cheapest
// first. It ends with the budget, and with the first error.
func Shrink(c Case, b Budget, still Still) (Case, error) {
	for _, part := range []struct {
		smaller func(Case) []Case
		tries   int
	}{{fewerPolicies, b.Policies}, {fewerValues, b.Configs}} {
		s := &shrinker{still: still, left: part.tries, tried: map[string]bool{}}
		for found := true; found; {
			var err error
			if c, found, err = s.step(c, part.smaller(c)); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

type shrinker struct {
	still Still
	left  int
	tried map[string]bool
}

// step is the first smaller case that still disagrees.
func (s *shrinker) step(c Case, smaller []Case) (Case, bool, error) {
	for _, try := range smaller {
		text, err := json.Marshal(try)
		if err != nil {
			return c, false, err
		}
		if s.tried[string(text)] {
			continue
		}
		if s.left == 0 {
			return c, false, nil
		}
		s.left--
		s.tried[string(text)] = true
		if ok, err := s.still(try); ok || err != nil {
			return try, ok && err == nil, err
		}
	}
	return c, false, nil
}

// fewerPolicies are the case without one of its policies, or with less in one.
func fewerPolicies(c Case) (out []Case) {
	for i := range c.Policies {
		without := c
		without.Policies = slices.Delete(slices.Clone(c.Policies), i, i+1)
		out = append(out, without)
	}
	for i, p := range c.Policies {
		for _, spec := range lessSpec(p["spec"].(map[string]any)) {
			with := c
			with.Policies = slices.Clone(c.Policies)
			with.Policies[i] = maps.Clone(p)
			with.Policies[i]["spec"] = spec
			out = append(out, with)
		}
	}
	return out
}

// lessSpec is a policy's specification with less in it that Kubernetes still takes.
func lessSpec(spec map[string]any) (out []map[string]any) {
	add := func(key string, value any) { out = append(out, replaced(spec, key, value)) }
	sections := []string{"ingress", "egress", "ingressDeny", "egressDeny"}
	for _, key := range sections {
		rules, ok := spec[key].([]any)
		if !ok {
			continue
		}
		// A CiliumNetworkPolicy needs a section.
		if spec["podSelector"] != nil || slices.ContainsFunc(sections, func(k string) bool { return k != key && spec[k] != nil }) {
			add(key, nil)
		}
		for _, less := range lessList(rules, lessRule) {
			add(key, less)
		}
	}
	if spec["enableDefaultDeny"] != nil {
		add("enableDefaultDeny", nil)
	}
	for _, key := range []string{"endpointSelector", "podSelector"} {
		if selector, ok := spec[key].(map[string]any); ok && len(selector) > 0 {
			add(key, map[string]any{})
		}
	}
	return out
}

// replaced is a copy with another value, or, with nil, without the key.
func replaced(m map[string]any, key string, value any) map[string]any {
	out := maps.Clone(m)
	out[key] = value
	if value == nil {
		delete(out, key)
	}
	return out
}

// lessList is a list without one of its elements, of which one stays, or with less in
// one.
func lessList(list []any, less func(any) []any) (out [][]any) {
	for i := range list {
		if len(list) > 1 {
			out = append(out, slices.Delete(slices.Clone(list), i, i+1))
		}
	}
	for i, element := range list {
		for _, smaller := range less(element) {
			with := slices.Clone(list)
			with[i] = smaller
			out = append(out, with)
		}
	}
	return out
}

// lessRule is a rule, a peer or a block with fewer conditions. What names peers stays:
// without it the rule would be about everybody.
func lessRule(rule any) (out []any) {
	m, ok := rule.(map[string]any)
	if !ok {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch list, isList := m[key].([]any); {
		case key == "ports" || key == "toPorts" || key == "icmps" || key == "except":
			out = append(out, replaced(m, key, nil))
		case isList:
			for _, less := range lessList(list, lessRule) {
				out = append(out, replaced(m, key, less))
			}
		case key == "ipBlock":
			for _, less := range lessRule(m[key]) {
				out = append(out, replaced(m, key, less))
			}
		}
	}
	return out
}

// fewerValues are the case with fewer Helm values, those first that can hardly matter.
func fewerValues(c Case) (out []Case) {
	var ends, others []int
	for n := range c.Nodes {
		name := fmt.Sprintf("node-%d", n+1)
		if slices.ContainsFunc(c.Flows, func(f matrix.Flow) bool { return matrix.NodeOf(f.From) == name || matrix.NodeOf(f.To) == name }) {
			ends = append(ends, n)
		} else {
			others = append(others, n)
		}
	}
	out = append(out, c.without(others...))
	if c.APIServer != "" {
		with := c
		with.APIServer = ""
		out = append(out, with)
	}
	for _, n := range ends {
		out = append(out, c.without(n))
	}
	for _, n := range ends {
		for _, part := range parts(slices.Sorted(maps.Keys(c.Nodes[n]))) {
			with := c
			with.Nodes[n] = maps.Clone(c.Nodes[n])
			maps.DeleteFunc(with.Nodes[n], func(key string, _ any) bool { return slices.Contains(part, key) })
			out = append(out, with)
		}
	}
	return slices.DeleteFunc(out, func(smaller Case) bool { return smaller.size() >= c.size() })
}

// without is the case with the base's values on some nodes.
func (c Case) without(nodes ...int) Case {
	for _, n := range nodes {
		c.Nodes[n] = nil
	}
	return c
}

// size counts what configurations say.
func (c *Case) size() int {
	size := len(c.APIServer)
	for _, v := range c.Nodes {
		size += len(v)
	}
	return size
}

// parts are the halves of a list and then its elements.
func parts(keys []string) [][]string {
	if len(keys) < 2 {
		return nil
	}
	out := [][]string{keys[:len(keys)/2], keys[len(keys)/2:]}
	for i := range keys {
		if len(keys) > 2 {
			out = append(out, keys[i:i+1])
		}
	}
	return out
}
