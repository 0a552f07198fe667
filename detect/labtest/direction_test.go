//go:build linux

package labtest

import (
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// A drop of one direction looks the same from both sides: no exchange succeeds. It is
// told by the requests that arrive, and the right way is named, in each family that
// has it.
func TestDirections(t *testing.T) {
	tests := []struct {
		name     string
		from, to int // 0 is any node
		family   string
		about    string
	}{
		{name: "to a node", to: 3, about: "to node-3"},
		{name: "from a node", from: 3, about: "from node-3"},
		{name: "of a pair", from: 2, to: 4, about: "from node-2 to node-4"},
		{name: "of a pair, IPv6, the other way", from: 4, to: 2, family: cidr.IPv6, about: "from node-4 to node-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, row{name: tt.name})
			c.ready()
			c.only(c.judge(), "")
			node := func(n int) *lab.Node {
				if n == 0 {
					return nil
				}
				return c.lab.Nodes[n-1]
			}
			began := time.Now()
			c.lab.Cut(lab.Cut{From: node(tt.from), To: node(tt.to), Family: tt.family, OneWay: true})
			families := []string{cidr.IPv4, cidr.IPv6}
			if tt.family != "" {
				families = []string{tt.family}
			}
			c.direction(tt.about, families, began)
		})
	}
}

// direction waits until one direction is confirmed as lost in all the families, and
// fails when anything else is, or another direction.
func (c *cluster) direction(about string, families []string, began time.Time) {
	c.t.Helper()
	for {
		j := c.judge()
		c.only(j, signature.OneDirectionDown)
		var found []string
		for _, f := range j.Findings {
			if f.Signature == signature.OneDirectionDown {
				found = append(found, f.Family)
				if f.About != about {
					c.t.Fatalf("packets %q are said to be lost, and those %q are\n%s", f.About, about, explain(j))
				}
			}
		}
		slices.Sort(found)
		took := time.Since(began)
		switch {
		case slices.Equal(found, families):
			c.t.Logf("%s: %v after %s", about, found, took.Round(10*time.Millisecond))
			return
		case took > patience:
			c.t.Fatalf("%s: only %v of %v after %s\n%s", about, found, families, took, explain(j))
		}
		time.Sleep(look)
	}
}
