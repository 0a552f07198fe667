package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// prober is one node of a simulated cluster, in steps of 50 ms.
type prober struct {
	plan   *Plan
	bursts Bursts
	offset int64 // its phase, in steps
}

const step = time.Second / BurstRate

// act is what the prober begins in a step, if anything.
func (p *prober) act(n int64, fails func(Check) bool) (Check, bool) {
	now := SlotTime(SlotAt(epoch)).Add(time.Duration(n) * step)
	perSlot := int64(Slot / step)
	if mod(n-p.offset, perSlot) == 0 {
		turn := p.plan.At(SlotAt(epoch) + floorDiv(n-p.offset, perSlot))
		if turn.Idle() || turn.NotChecked != "" {
			return Check{}, false
		}
		if fails(turn.Check) && p.bursts.Failed(now, turn.Check, v1alpha1.OutcomeTimeout) {
			p.bursts.Add(p.plan.Differential(turn.Check))
		}
		return turn.Check, true
	}
	return p.bursts.Next(now)
}

// storm is what a fault that begins at once brings upon nodes and upon DNS, the
// most within a second.
type storm struct{ in, out, dns int }

func runStorm(n int, seconds int64, fails func(Check) bool) storm {
	var probers []*prober
	for _, p := range plans(cluster(n)) {
		probers = append(probers, &prober{plan: p, offset: int64(Phase(p.self.Node) / step)})
	}
	var worst storm
	for s := range seconds {
		in, dns := map[string]int{}, 0
		for _, p := range probers {
			out := 0
			for i := range int64(BurstRate) {
				c, ok := p.act(s*BurstRate+i, fails)
				switch {
				case !ok:
					continue
				case c.Via == ViaDNS:
					dns++
				case c.To.Node != "":
					in[c.To.Node]++
				}
				out++
			}
			worst.out = max(worst.out, out)
		}
		worst.dns = max(worst.dns, dns)
		for _, c := range in {
			worst.in = max(worst.in, c)
		}
	}
	return worst
}

// TestStorm: when much fails at once, all look into it at once. What that brings
// upon one node does not grow with the cluster, and upon DNS is bounded per node.
func TestStorm(t *testing.T) {
	faults := []struct {
		name  string
		fails func(Check) bool
		in    int // per node
		dns   int // of each hundred nodes
	}{
		{"nothing", func(Check) bool { return false }, 3, 40},
		{"one node", func(c Check) bool { return c.To.Node == "node-7" }, 60, 70},
		{"one family", func(c Check) bool { return c.Via == ViaPodIP && c.Family == "IPv6" && c.To.Node != c.From.Node }, 60, 70},
		{"services", func(c Check) bool { return c.Via == ViaClusterIP || c.Via == ViaDNS }, 30, 600},
		{"everything", func(Check) bool { return true }, 60, 600},
	}
	for _, f := range faults {
		for _, n := range []int{20, 100, 250} {
			t.Run(fmt.Sprint(f.name, " of ", n), func(t *testing.T) {
				got := runStorm(n, 20, f.fails)
				t.Logf("within a second at most %d into a node, %d out of one, %d to DNS", got.in, got.out, got.dns)
				if got.out > BurstRate {
					t.Errorf("%d out of a node within a second, at most %d", got.out, BurstRate)
				}
				if got.in > f.in {
					t.Errorf("%d into a node within a second, at most %d", got.in, f.in)
				}
				if got.dns > f.dns*n/100+20 {
					t.Errorf("%d to DNS within a second, at most %d per hundred nodes", got.dns, f.dns)
				}
			})
		}
	}
}
