package search

import (
	"fmt"
	"slices"

	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Flows draws different flows between ends of every kind that the bed has.
func (d *Draw) Flows(count int) {
	d.now.Flows = nil
	for range count * 4 {
		if f := d.flow(); len(d.now.Flows) < count && !slices.Contains(d.now.Flows, f) {
			d.now.Flows = append(d.now.Flows, f)
		}
	}
}

func (d *Draw) flow() matrix.Flow {
	f := matrix.Flow{
		From: d.sender(), Family: pick(d, cidr.IPv4, cidr.IPv6, cidr.IPv6), Protocol: pick(d, "TCP", "TCP", "UDP", "ICMP"),
	}
	for f.To == "" || f.To == f.From || f.To == "router-"+f.From[len(f.From)-1:] && f.From[0] == 'n' {
		f.To = d.receiver(f)
	}
	if f.Protocol == "UDP" && slices.Contains([]string{"router", "extern", "other"}, endKind(f.To)) {
		f.Protocol = "TCP" // peers answer UDP at their own addresses only
	}
	if d.between(f, "abc") && d.now.wire() != 0 && d.chance(40) || d.chance(5) && d.between(f, "abc") {
		f.Size = d.size(f)
	}
	return f
}

func (d *Draw) number() int { return 1 + d.IntN(matrix.Nodes) }

func (d *Draw) pod() string {
	if d.chance(8) {
		return "c1"
	}
	return fmt.Sprintf("%s%d", pick(d, "a", "a", "b"), d.number())
}

func (d *Draw) sender() string {
	switch n := d.IntN(100); {
	case n < 70:
		return d.pod()
	case n < 92:
		return fmt.Sprintf("node-%d", d.number())
	}
	return "near"
}

func (d *Draw) receiver(f matrix.Flow) string {
	outside := f.From == "near"
	switch n := d.IntN(100); {
	case n < 14 && f.Protocol != "ICMP" && !outside && d.translates(f.From):
		return fmt.Sprintf("s%d", d.number())
	case n < 35:
		return d.nodeAddress(outside)
	case n < 50 && !outside:
		return d.outside()
	}
	return d.pod()
}

// outside: the beds' hosts but the nearest are on a single segment. A router that knows
// pods' routes leads answers from far there too, and the internet would not.
func (d *Draw) outside() string {
	switch b := &d.now.Bed; {
	case b.Segments > 1:
		return "near"
	case b.RouterHasPodRoutes:
		return pick(d, "near", "wide")
	}
	return pick(d, "near", "wide", "far")
}

func (d *Draw) nodeAddress(outside bool) string {
	switch {
	case d.now.Bed.MoreAddresses && d.chance(30):
		return pick(d, matrix.External, matrix.Other)
	case !outside && d.chance(20):
		return fmt.Sprintf("router-%d", d.number())
	}
	return fmt.Sprintf("node-%d", d.number())
}

// translates: no kube-proxy runs, which would translate what agents leave to it.
func (d *Draw) translates(from string) bool {
	for n, v := range d.now.Nodes {
		if matrix.NodeOf(from) == fmt.Sprintf("node-%d", n+1) && v["kubeProxyReplacement"] == false {
			return v["socketLB.enabled"] == true
		}
	}
	return true
}

// between says whether both ends are of those kinds, by their names' first letters.
func (d *Draw) between(f matrix.Flow, kinds string) bool {
	is := func(name string) bool { return len(name) == 2 && slices.Contains([]byte(kinds), name[0]) }
	return is(f.From) && is(f.To)
}

// wire is what a bed's sizes are about; 0 where they are the usual ones.
func (c *Case) wire() int {
	if mtu, ok := c.Fixed["MTU"].(int); ok {
		return mtu
	}
	return c.Bed.MTU + c.Bed.PathMTU
}

// size is a payload in bytes, mostly near what some device carries.
func (d *Draw) size(f matrix.Flow) int {
	if f.Protocol == "TCP" {
		return 100000
	}
	header := map[string]int{cidr.IPv4: 28, cidr.IPv6: 48}[f.Family]
	return pick(d, 1300, 1380, 1400, 1450, 1500) - pick(d, 0, 50, 70) - header + pick(d, -8, 0, 8)
}
