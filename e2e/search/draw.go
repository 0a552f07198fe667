package search

import (
	"fmt"
	"math/rand/v2"

	"github.com/remediate-dev/remediate/e2e/matrix"
)

// Draw draws the cases of one bed, one after the other.
type Draw struct {
	*rand.Rand
	now Case
}

// NewDraw draws a bed; the same seed and number make the same cases.
func NewDraw(seed, number uint64) *Draw {
	d := &Draw{Rand: rand.New(rand.NewPCG(seed, number))}
	d.bed(number)
	return d
}

// Case is what has been drawn so far.
func (d *Draw) Case() Case { return d.now }

func (d *Draw) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d *Draw, list ...T) T { return list[d.IntN(len(list))] }

// some is 1 to n made elements.
func some[T any](d *Draw, n int, make func() T) []T {
	out := []T{make()}
	for len(out) < n && d.chance(40) {
		out = append(out, make())
	}
	return out
}

// bed draws the wire, and what all agents have in common on it.
func (d *Draw) bed(number uint64) {
	b := matrix.Bed{Name: fmt.Sprintf("random-%d", number), RouterHasPodRoutes: d.chance(50), RouteSource: d.chance(25)}
	if d.chance(25) {
		b.Segments = 2
	} else {
		b.MoreAddresses = d.chance(25)
	}
	d.now = Case{Bed: b, Fixed: d.routing()}
	if d.chance(35) {
		d.sizes()
	}
}

// routing: routes and endpoint routes of earlier starts stay, so that they are the same
// for all of a bed's life.
func (d *Draw) routing() Values {
	v := Values{}
	if d.chance(30) {
		v["routingMode"], v["tunnelProtocol"], v["autoDirectNodeRoutes"] = "tunnel", "vxlan", false
		if d.chance(25) {
			v["underlayProtocol"] = "ipv6"
		}
	} else if d.chance(25) {
		v["autoDirectNodeRoutes"] = false
	} else if d.chance(30) {
		v["directRoutingSkipUnreachable"] = true
	}
	if d.chance(25) {
		v["endpointRoutes.enabled"] = true
	}
	return v
}

// sizes are those of devices and of the wire, in bytes.
func (d *Draw) sizes() {
	b := &d.now.Bed
	b.MTU = pick(d, 0, 0, 1450, 1400)
	if d.chance(50) {
		d.now.Fixed["MTU"] = pick(d, 1500, 1450, 1400, 1320)
	}
	if d.chance(50) {
		b.PathMTU, b.TooBig = pick(d, 1450, 1400, 1380), b.Segments > 1 && d.chance(50)
	}
	if b.MTU != 0 && b.PathMTU > b.MTU {
		b.PathMTU = 0
	}
}
