package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

func failing(family, protocol string) Check {
	return Check{Via: ViaPodIP, Family: family, Protocol: protocol, Target: v1alpha1.TargetOpen}
}

func TestBurstsBackOff(t *testing.T) {
	tcp, udp := failing("IPv6", TCP), failing("IPv6", UDP)
	full := udp
	full.Bytes = 1500
	steps := []struct {
		after time.Duration
		check Check
		what  string
		want  bool
	}{
		{0, tcp, "Timeout", true},
		{0, tcp, "Timeout", true}, // other peers, the same kind, within the burst
		{time.Second, tcp, "Timeout", true},
		{time.Second, tcp, "Timeout", true},
		{time.Second, tcp, "Timeout", false}, // four are enough
		{time.Second, udp, "Timeout", true},  // another kind joins the burst
		{time.Second, full, "Timeout", true},
		{time.Second, udp, "Refused", true},
		{4 * time.Second, failing("IPv4", TCP), "Timeout", false}, // the pause
		{9 * time.Second, failing("IPv4", TCP), "Timeout", false},
		{2 * time.Second, tcp, "Timeout", false}, // its back-off
		{time.Second, failing("IPv4", TCP), "Timeout", true},
		{20 * time.Second, tcp, "Timeout", false},
		{20 * time.Second, tcp, "Timeout", true},  // a minute after the first
		{61 * time.Second, tcp, "Timeout", false}, // now it takes two
		{59 * time.Second, tcp, "Timeout", true},  //
		{20 * time.Minute, tcp, "Timeout", true},  // healthy in between: anew
		{60 * time.Second, tcp, "Timeout", true},  // after a minute again
	}
	var b Bursts
	now := epoch
	for i, s := range steps {
		now = now.Add(s.after)
		if got := b.Failed(now, s.check, s.what); got != s.want {
			t.Fatalf("step %d at %s: %t, want %t", i, now.Sub(epoch), got, s.want)
		}
	}
}

func TestBurstEnds(t *testing.T) {
	var b Bursts
	if b.On(epoch) {
		t.Error("a burst is on before anything failed")
	}
	b.Failed(epoch, failing("IPv6", TCP), "Timeout")
	if !b.On(epoch) || !b.On(epoch.Add(BurstFor-1)) || b.On(epoch.Add(BurstFor)) {
		t.Errorf("the burst does not last %s", BurstFor)
	}
	if got := b.End(); !got.Equal(epoch.Add(BurstFor)) {
		t.Errorf("ends at %s", got)
	}
}

// TestOutageIsNoLastingLoad: everything fails for a day. The time that bursts take
// is bounded: each kind has its back-off, and between bursts is a pause.
func TestOutageIsNoLastingLoad(t *testing.T) {
	m := cluster(50)
	p := plans(m)[0]
	var b Bursts
	var inBurst [24]int
	start := SlotAt(epoch)
	perHour := int64(time.Hour / Slot)
	for s := range 24 * perHour {
		now := SlotTime(start + s)
		if turn := p.At(start + s); !turn.Idle() && turn.NotChecked == "" {
			b.Failed(now, turn.Check, v1alpha1.OutcomeTimeout)
		}
		if b.On(now) {
			inBurst[s/perHour]++
		}
	}
	share := func(slots int) float64 { return float64(slots) / float64(perHour) }
	if got := share(inBurst[0]); got > 0.2 {
		t.Errorf("bursts take %.0f %% of the first hour, want at most a fifth", 100*got)
	}
	if got := share(inBurst[23]); got > 0.2 {
		t.Errorf("bursts take %.0f %% of the last hour, want at most a fifth", 100*got)
	}
	t.Logf("share of time in bursts, hour by hour: %.3f %.3f %.3f … %.3f", share(inBurst[0]), share(inBurst[1]), share(inBurst[2]), share(inBurst[23]))
}

func TestBurstsRememberLittle(t *testing.T) {
	var b Bursts
	for i := range 5 * burstKinds {
		b.Failed(epoch.Add(time.Duration(i)*time.Hour), failing("IPv6", TCP), fmt.Sprint(i))
	}
	if len(b.kinds) > burstKinds {
		t.Errorf("%d kinds are remembered", len(b.kinds))
	}
}

func TestBurstTriesOnce(t *testing.T) {
	m := cluster(8)
	p := plans(m)[0]
	failed := find(t, p, "PodIP IPv6 TCP guarded node-1")
	checks := p.Differential(failed)
	var b Bursts
	if _, ok := b.Next(epoch); ok {
		t.Error("there is something to try before anything failed")
	}
	take := func(now time.Time) (n int) {
		for {
			if _, ok := b.Next(now); !ok {
				return n
			}
			n++
		}
	}
	b.Failed(epoch, failed, "Timeout")
	b.Add(checks)
	b.Add(checks)
	if got := take(epoch.Add(time.Second)); got != len(checks) {
		t.Errorf("%d checks are tried, want %d", got, len(checks))
	}
	other := p.Differential(find(t, p, "PodIP IPv6 TCP guarded node-2"))
	b.Add(other)
	if got := take(epoch.Add(2 * time.Second)); got == 0 || got >= len(other) {
		t.Errorf("of another flow's %d alternatives %d are tried, want those that were not", len(other), got)
	}
	b.Add(p.Differential(find(t, p, "NodeIP IPv6 TCP node-2")))
	if b.Waiting(epoch.Add(BurstFor)) || take(epoch.Add(BurstFor)) != 0 {
		t.Error("it goes on after its end")
	}
	b.Forget()
	if b.Waiting(epoch.Add(3 * time.Second)) {
		t.Error("what was forgotten waits")
	}
	if !b.Failed(epoch.Add(2*time.Minute), failed, "Timeout") {
		t.Fatal("no second burst")
	}
	b.Add(checks)
	if got := take(epoch.Add(2*time.Minute + time.Second)); got != len(checks) {
		t.Errorf("in the second burst %d checks are tried, want %d", got, len(checks))
	}
}

func TestRecoveredHasItsBackOff(t *testing.T) {
	var b Bursts
	if !b.Recovered(epoch) || b.Recovered(epoch.Add(30*time.Second)) || !b.Recovered(epoch.Add(time.Minute)) {
		t.Error("what failed is looked at again at once, and once a minute")
	}
}
