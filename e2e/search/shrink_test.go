//go:build linux

package search

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/e2e/matrix"
)

// plenty is a budget that no drawn case needs.
var plenty = Budget{Policies: 10000, Configs: 10000}

func withFlow(c Case) Case {
	c.Flows = []matrix.Flow{{From: "a1", To: "b2", Family: "IPv6", Protocol: "TCP"}}
	return c
}

func entity(name string) Policy {
	spec := map[string]any{
		"endpointSelector": map[string]any{"matchLabels": map[string]any{"app": "a"}},
		"ingress": []any{
			map[string]any{"fromEntities": []any{"world", name}, "toPorts": []any{map[string]any{"ports": []any{map[string]any{"port": "80"}}}}},
			map[string]any{"fromCIDR": []any{"10.0.0.0/8"}},
		},
		"egress": []any{map[string]any{}},
	}
	return Policy{"kind": "CiliumNetworkPolicy", "metadata": map[string]any{"name": name}, "spec": spec}
}

func texts(t interface{ Fatal(...any) }, c Case) string {
	var out strings.Builder
	for _, p := range c.Policies {
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(text)
	}
	return out.String()
}

// TestShrinkPolicies: only what the disagreement needs is left.
func TestShrinkPolicies(t *testing.T) {
	c := withFlow(Case{Policies: []Policy{entity("host"), entity("health"), entity("cluster")}})
	before := texts(t, c)
	small, err := Shrink(c, plenty, func(try Case) (bool, error) { return strings.Contains(texts(t, try), "- health"), nil })
	if err != nil {
		t.Fatal(err)
	}
	const want = `kind: CiliumNetworkPolicy
metadata:
  name: health
spec:
  endpointSelector: {}
  ingress:
  - fromEntities:
    - health
`
	if have := texts(t, small); have != want {
		t.Errorf("left is\n%s", have)
	}
	if texts(t, c) != before {
		t.Error("the case that was given has changed")
	}
}

func TestShrinkValues(t *testing.T) {
	c := withFlow(Case{APIServer: "node-2"})
	for n := range c.Nodes {
		c.Nodes[n] = Values{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
	}
	small, err := Shrink(c, plenty, func(try Case) (bool, error) {
		return try.Nodes[0]["c"] != nil && try.Nodes[1]["b"] != nil && try.Nodes[1]["e"] != nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := [matrix.Nodes]Values{{"c": 3}, {"b": 2, "e": 5}, nil}
	for n := range want {
		if !maps.Equal(small.Nodes[n], want[n]) {
			t.Errorf("node %d keeps %v, want %v", n+1, small.Nodes[n], want[n])
		}
	}
	if small.APIServer != "" {
		t.Error("the API server stays")
	}
}

// TestShrinkEnds: with the budget, with an error, and where everything is needed.
func TestShrinkEnds(t *testing.T) {
	c := withFlow(Case{Policies: []Policy{entity("host"), entity("health")}, Nodes: [matrix.Nodes]Values{{"a": 1}, {"b": 2}}})
	tries := 0
	if _, err := Shrink(c, Budget{Policies: 3, Configs: 1}, func(Case) (bool, error) { tries++; return false, nil }); err != nil || tries != 4 {
		t.Errorf("%d tries, %v", tries, err)
	}
	broken := errors.New("the bed is gone")
	tries = 0
	if _, err := Shrink(c, plenty, func(Case) (bool, error) { tries++; return true, broken }); !errors.Is(err, broken) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// TestShrinkProperty: what is left disagrees still, is no larger, and is what was
// asked about last or an earlier case that disagreed.
func TestShrinkProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t, rapid.Uint64().Draw(t, "seed"), 1, false)
		c.Flows = c.Flows[:1]
		word := rapid.SampledFrom([]string{"ipBlock", "fromEntities", "ingressDeny", "toPorts", "except"}).Draw(t, "word")
		still := func(try Case) (bool, error) { return strings.Contains(texts(t, try), word), nil }
		if ok, _ := still(c); !ok {
			return
		}
		small, err := Shrink(c, plenty, still)
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := still(small); !ok || len(small.Policies) != 1 || len(texts(t, small)) > len(texts(t, c)) {
			t.Errorf("left is\n%s", texts(t, small))
		}
		if small.size() != 0 {
			t.Errorf("values that nothing needs stay: %v", small.Nodes)
		}
	})
}

func TestKind(t *testing.T) {
	for f, want := range map[matrix.Flow]string{
		{From: "a1", To: "b1", Family: "IPv4", Protocol: "TCP"}:                     "IPv4 from pod to pod on the same node: x",
		{From: "node-2", To: "s1", Family: "IPv6", Protocol: "TCP"}:                 "IPv6 from node to service on another node: x",
		{From: "near", To: "router-1", Family: "IPv6", Protocol: "TCP"}:             "IPv6 from outside to router on another node: x",
		{From: "a2", To: "extern-2", Family: "IPv6", Protocol: "UDP", Size: 1400}:   "IPv6 UDP with a size from pod to extern on the same node: x",
		{From: "a1", To: matrix.Other, Family: "IPv4", Protocol: "ICMP", Size: 140}: "IPv4 ICMP with a size from pod to other on another node: x",
	} {
		if kind := Kind(f, []string{"x"}); kind != want {
			t.Errorf("%s is %q, want %q", f, kind, want)
		}
	}
}

func TestFound(t *testing.T) {
	c := drawn(t, 1, 1, false)
	c.Policies = []Policy{entity("host")}
	f := Found{Kind: "a < b", Seed: 1, Bed: 1, Flow: c.Flows[0].String()}
	if err := f.Describe(&c); err != nil {
		t.Fatal(err)
	}
	line, err := f.Line()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(line, `{"kind":"a < b","seed":1,"bed":1,`) || strings.Count(line, "\n") != 1 || len(f.Configs) != matrix.Nodes || len(f.Policies) != 1 {
		t.Error(line)
	}
	if i := slices.IndexFunc(f.Configs, func(text string) bool { return strings.Contains(text, "null") }); i >= 0 {
		t.Error(fmt.Sprint(f.Configs[i]))
	}
}
