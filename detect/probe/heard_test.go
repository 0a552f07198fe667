package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// A reflector knows whose requests arrived, over every protocol and each family by
// itself, and hears nobody who does not know the key.
func TestReflectorHears(t *testing.T) {
	ring, other := testRing(t, testKey(1)), testRing(t, testKey(2))
	for i, addr := range loopbacks {
		for _, protocol := range []string{"TCP", "UDP", "HTTP"} {
			r := reflectHere(t, ring)
			family := cidr.Family(addr)
			c := checkOf(r, protocol, i)
			c.From.Node = "stranger"
			(&Prober{Keys: other, Timeout: 300 * time.Millisecond}).Do(t.Context(), c)
			if ago, ok := r.Heard("stranger", c.From.Pod, family); ok {
				t.Errorf("%s %s: heard a stranger %s ago", protocol, family, ago)
			}
			c.From.Node = "node-1"
			if o := (&Prober{Keys: ring, Timeout: 5 * time.Second}).Do(t.Context(), c); o.Outcome != v1alpha1.OutcomeOK {
				t.Fatalf("%s %s: %s %s", protocol, family, o.Outcome, o.Reason)
			}
			if ago, ok := r.Heard("node-1", c.From.Pod, family); !ok || ago < 0 || ago > heardFor {
				t.Errorf("%s %s: heard %t, %s ago", protocol, family, ok, ago)
			}
			for _, f := range []string{cidr.IPv4, cidr.IPv6} {
				if _, ok := r.Heard("node-1", c.From.Pod, f); ok && f != family {
					t.Errorf("%s %s: heard over %s", protocol, family, f)
				}
			}
			if _, ok := r.Heard("node-1", "the twin", family); ok {
				t.Errorf("%s %s: heard the node's other probe", protocol, family)
			}
			if _, ok := r.Heard("node-3", c.From.Pod, family); ok {
				t.Errorf("%s %s: heard a node that sent nothing", protocol, family)
			}
		}
	}
}

// What is heard is forgotten after a minute, and bounded.
func TestHeardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reflector{}
		source := netip.MustParseAddr("10.0.0.1")
		hear := func(from, to int) {
			for i := from; i < to; i++ {
				r.heard.note(fmt.Sprintf("node-%d", i), "probe", source, time.Now())
			}
		}
		hear(0, maxHeard+100)
		if n := len(r.heard.at); n != maxHeard {
			t.Errorf("%d nodes are remembered, want %d", n, maxHeard)
		}
		time.Sleep(heardFor)
		if ago, ok := r.Heard("node-0", "probe", "IPv4"); !ok || ago != heardFor {
			t.Errorf("after a minute: %t, %s ago", ok, ago)
		}
		time.Sleep(time.Millisecond)
		if _, ok := r.Heard("node-0", "probe", "IPv4"); ok {
			t.Error("it is heard for longer than a minute")
		}
		hear(10_000, 10_001)
		if ago, ok := r.Heard("node-10000", "probe", "IPv4"); !ok || ago != 0 || len(r.heard.at) != 1 {
			t.Errorf("after a minute there is no room for a new one: %t, %s ago, %d remembered", ok, ago, len(r.heard.at))
		}
	})
}

// With what is lost on the way to another node the agent tells when it last heard of
// that node, by its own clock; with nothing else.
func TestAgentTellsWhenItHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(12)
		const ahead, ago = time.Hour, 1500 * time.Millisecond
		r.agent.Now = func() time.Time { return time.Now().Add(ahead) }
		r.agent.Heard = func(node, pod, family string) (time.Duration, bool) {
			return ago, node != "node-3" && pod == strings.Replace(node, "node", "open", 1) && family == "IPv6"
		}
		r.net.set(func(c mesh.Check) v1alpha1.Observation {
			if c.Via == mesh.ViaPodIP {
				return v1alpha1.Observation{Outcome: v1alpha1.OutcomeTimeout}
			}
			return v1alpha1.Observation{}
		})
		r.start()
		time.Sleep(time.Minute)
		with, without := 0, 0
		for _, o := range observed(r.stop(t)) {
			want := Lost(o) && o.To.Node != "" && o.To.Node != "node-0" && o.To.Node != "node-3" && o.Family == "IPv6"
			if want != (o.Heard != "") {
				t.Errorf("%s %s %s to %q, %s: heard %q", o.Via, o.Family, o.Protocol, o.To.Node, o.Outcome, o.Heard)
			}
			if !want {
				without++
				continue
			}
			with++
			at, errAt := time.Parse(atFormat, o.At)
			heard, err := time.Parse(atFormat, o.Heard)
			// It is told when the exchange is over, which took a millisecond.
			if d := heard.Sub(at); errAt != nil || err != nil || d < -ago || d > -ago+5*time.Millisecond {
				t.Errorf("began %s, heard %s: %s apart, want %s", o.At, o.Heard, d, -ago)
			}
		}
		if with == 0 || without == 0 {
			t.Errorf("%d told with it and %d without", with, without)
		}
	})
}
