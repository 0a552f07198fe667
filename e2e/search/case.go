package search

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/e2e/matrix"
)

// Case is a bed in one state, and flows to send there.
type Case struct {
	// Bed has no stages.
	Bed matrix.Bed
	// Fixed are values of all nodes that do not change while the bed exists: what pods
	// keep from their creation, or nodes from an earlier start.
	Fixed Values
	// Nodes are further values of each node.
	Nodes [matrix.Nodes]Values
	// APIServer is a node that runs a kube-apiserver; empty for none.
	APIServer string
	// Policies are Kubernetes objects of different names.
	Policies []Policy
	Flows    []matrix.Flow
}

// Policy is a Kubernetes object.
type Policy map[string]any

// YAML of the object.
func (p Policy) YAML() (string, error) {
	text, err := yaml.Marshal(map[string]any(p))
	return string(text), err
}

// Values are Helm values by their dotted paths.
type Values map[string]any

// YAML of the values, empty for none. It fails for a path that is another's beginning.
func (v Values) YAML() (string, error) {
	if len(v) == 0 {
		return "", nil
	}
	all := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(v)) {
		if err := put(all, strings.Split(path, "."), v[path]); err != nil {
			return "", fmt.Errorf("value %q: %w", path, err)
		}
	}
	text, err := yaml.Marshal(all)
	return string(text), err
}

func put(into map[string]any, path []string, value any) error {
	if len(path) == 1 {
		into[path[0]] = value
		return nil
	}
	if into[path[0]] == nil {
		into[path[0]] = map[string]any{}
	}
	below, ok := into[path[0]].(map[string]any)
	if !ok {
		return fmt.Errorf("%q is a value and has others below", path[0])
	}
	return put(below, path[1:], value)
}

// Config is the YAML of a node's values over those of [matrix.Base]; n counts from 0.
func (c *Case) Config(n int) (string, error) {
	all := maps.Clone(c.Fixed)
	if all == nil {
		all = Values{}
	}
	maps.Copy(all, c.Nodes[n])
	return all.YAML()
}
