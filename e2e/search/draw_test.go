//go:build linux

package search

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

func anything(string) bool { return true }

// drawn is a bed in one state with policies and flows.
func drawn(t interface{ Fatal(...any) }, seed, number uint64, last bool) Case {
	d := NewDraw(seed, number)
	if err := d.State(last, anything); err != nil {
		t.Fatal(err)
	}
	d.Policies()
	d.Flows(20)
	return d.Case()
}

func TestDrawIsRepeatable(t *testing.T) {
	if a, b := drawn(t, 3, 4, true), drawn(t, 3, 4, true); !reflect.DeepEqual(a, b) {
		t.Errorf("the same seed draws\n%+v\n%+v", a, b)
	}
	if a, b := drawn(t, 3, 4, true), drawn(t, 4, 4, true); reflect.DeepEqual(a.Flows, b.Flows) {
		t.Error("two seeds draw the same")
	}
}

// TestDraw: whatever is drawn can be sent: flows between different ends that answer,
// policies that Kubernetes reads, ranges with holes that are inside.
func TestDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t, rapid.Uint64().Draw(t, "seed"), 1, rapid.Bool().Draw(t, "last"))
		if len(c.Flows) != 20 {
			t.Fatalf("%d flows", len(c.Flows))
		}
		for i, f := range c.Flows {
			if f.From == f.To || slices.Contains(c.Flows[:i], f) || f.Protocol == "ICMP" && endKind(f.To) == "service" {
				t.Errorf("flow %s", f)
			}
		}
		for n := range c.Nodes {
			if _, err := c.Config(n); err != nil {
				t.Error(err)
			}
		}
		for _, p := range c.Policies {
			readable(t, p)
		}
	})
}

func readable(t *rapid.T, p Policy) {
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if p["kind"] == "NetworkPolicy" {
		if err := yaml.UnmarshalStrict([]byte(text), &networkingv1.NetworkPolicy{}); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	holes(t, p["spec"])
}

// holes are inside of their ranges, and no longer than they have to be.
func holes(t *rapid.T, part any) {
	switch p := part.(type) {
	case []any:
		for _, element := range p {
			holes(t, element)
		}
	case map[string]any:
		for _, value := range p {
			holes(t, value)
		}
		except, _ := p["except"].([]any)
		for _, hole := range except {
			whole, inner := netip.MustParsePrefix(p["cidr"].(string)), netip.MustParsePrefix(hole.(string))
			if !whole.Contains(inner.Addr()) || whole.Bits() >= inner.Bits() {
				t.Errorf("%s is no hole in %s", inner, whole)
			}
		}
	}
}

// TestConfigs: the chart takes what is drawn, agents start with a good share of it, and
// what they do not start with is drawn again.
func TestConfigs(t *testing.T) {
	asked, started := 0, 0
	for number := range uint64(6) {
		d := NewDraw(1, number)
		var last string
		good := false
		err := d.State(false, func(text string) bool {
			start := agent.CheckStart(cilium.Render(t, matrix.Base, text))
			asked, last, good = asked+1, text, start.Starts != snapshot.No && len(start.Datapath) == 0
			return good
		})
		if err != nil {
			t.Fatal(err)
		}
		started += matrix.Nodes
		c := d.Case()
		if text, err := c.Config(matrix.Nodes - 1); err != nil || !good || text != last {
			t.Errorf("bed %d keeps a configuration that is refused: %v\n%s", number, err, text)
		}
	}
	if started*4 < asked {
		t.Errorf("of %d configurations %d are valid: the generator draws too much that no agent starts with", asked, started)
	}
}

// TestVocabulary: the kinds of ends, families, protocols and sizes all come up.
func TestVocabulary(t *testing.T) {
	seen := map[string]bool{}
	for number := range uint64(60) {
		c := drawn(t, 1, number, true)
		for _, f := range c.Flows {
			for _, word := range []string{"from " + endKind(f.From), "to " + endKind(f.To), f.Family, f.Protocol, fmt.Sprint("size ", f.Size > 0)} {
				seen[word] = true
			}
		}
		for _, p := range c.Policies {
			seen[p["kind"].(string)] = true
		}
		text, err := json.Marshal(c.Nodes)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"ipMasqAgent", "socketLB", "policyCIDRMatchMode", "ipv6.enabled", "ipv4.enabled", "egressMasqueradeInterfaces", "enableMasqueradeRouteSource"} {
			seen[key] = seen[key] || strings.Contains(string(text), key)
		}
	}
	for _, word := range strings.Split("from pod|from node|from outside|to pod|to node|to router|to service|to outside|to extern|to other|IPv4|IPv6|ICMP|TCP|UDP|size true|size false|"+
		"NetworkPolicy|CiliumNetworkPolicy|CiliumClusterwideNetworkPolicy|ipMasqAgent|socketLB|policyCIDRMatchMode|ipv6.enabled|ipv4.enabled|egressMasqueradeInterfaces|enableMasqueradeRouteSource", "|") {
		if !seen[word] {
			t.Errorf("%q is never drawn", word)
		}
	}
}

func TestValuesOfOthers(t *testing.T) {
	text, err := Values{"a.b": 1, "a.c.d": []any{"x"}}.YAML()
	if want := "a:\n  b: 1\n  c:\n    d:\n    - x\n"; text != want || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := (Values{"a": 1, "a.b": 2}).YAML(); err == nil {
		t.Errorf("a value below another is %q", text)
	}
}
