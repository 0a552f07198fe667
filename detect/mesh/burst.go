package mesh

import "time"

const (
	// BurstFor is how long a differential may go on after the failure that caused
	// it, and BurstRate its most exchanges per second, the ring's own included.
	BurstFor  = 10 * time.Second
	BurstRate = 20
	// BurstPause is the least time from the end of one burst to the next.
	BurstPause = 10 * time.Second
	// BackoffFirst is how long failures of a kind start no new burst after one;
	// it doubles from burst to burst up to BackoffMost while the kind keeps failing,
	// and begins anew when it did not fail for BackoffReset.
	BackoffFirst = time.Minute
	BackoffMost  = 16 * time.Minute
	BackoffReset = 5 * time.Minute
	// burstFlows is how many flows of one kind get their differential within a
	// burst: enough that independent pairs decide.
	burstFlows = 4
	// maxTried is what a burst can do at most.
	maxTried = BurstRate * int(BurstFor/time.Second)
	// burstKinds bounds what is remembered; there are fewer kinds than this.
	burstKinds = 1024
)

// Bursts decides whether a failure is looked into at once, so that an outage does
// not mean a lasting load: each kind of failure has a back-off of its own, and
// between any two bursts is a pause. It keeps what a burst still has to try. Times
// are passed in. The zero value is ready.
type Bursts struct {
	start, end time.Time
	kinds      map[burstKey]*backoff
	queue      []Check
	tried      map[Check]int
}

// burstKey is a kind of failure: whatever peer it was with.
type burstKey struct {
	via, family, protocol, target string
	full, back                    bool
	outcome                       string
}

type backoff struct {
	next, last time.Time
	wait       time.Duration
	window     time.Time
	flows      int
}

// Failed says whether the differential of a failed check may run now: in the burst
// that is on, or in one that begins now. outcome is what happened, with a word for
// an answer that showed a wrong source.
func (b *Bursts) Failed(now time.Time, c Check, outcome string) bool {
	k := b.kind(burstKey{c.Via, c.Family, c.Protocol, c.Target, c.Bytes > 0, c.Back, outcome})
	if !k.last.IsZero() && now.Sub(k.last) >= BackoffReset {
		k.wait, k.next = 0, now
	}
	k.last = now
	if !b.On(now) {
		if now.Before(k.next) || (!b.end.IsZero() && now.Before(b.end.Add(BurstPause))) {
			return false
		}
		b.start, b.end = now, now.Add(BurstFor)
		b.queue, b.tried = nil, map[Check]int{}
	}
	switch {
	case k.window.Equal(b.start) && k.flows > 0:
		k.flows++
		return k.flows <= burstFlows
	case now.Before(k.next):
		return false
	}
	k.wait = min(max(2*k.wait, BackoffFirst), BackoffMost)
	k.next, k.window, k.flows = now.Add(k.wait), b.start, 1
	return true
}

// Recovered says whether all that failed may be looked at again now, because one
// flow of it works: the end of a failure is found as its beginning is.
func (b *Bursts) Recovered(now time.Time) bool {
	return b.Failed(now, Check{}, "recovered")
}

// On says whether a burst is on.
func (b *Bursts) On(now time.Time) bool { return !now.Before(b.start) && now.Before(b.end) }

// Add has checks tried in the burst that is on. None is tried twice in a burst, but
// the first of them, the one that failed, may be.
func (b *Bursts) Add(checks []Check) {
	for i, c := range checks {
		again := 1
		if i < 2 && c == checks[0] {
			again = 2
		}
		if b.tried[c] < again && len(b.tried) < maxTried {
			b.tried[c]++
			b.queue = append(b.queue, c)
		}
	}
}

// Next is what to try next in the burst that is on.
func (b *Bursts) Next(now time.Time) (c Check, ok bool) {
	if !b.Waiting(now) {
		return Check{}, false
	}
	c, b.queue = b.queue[0], b.queue[1:]
	return c, true
}

// Waiting says whether the burst that is on has something to try.
func (b *Bursts) Waiting(now time.Time) bool { return len(b.queue) > 0 && b.On(now) }

// Forget drops what waits, because the membership changed.
func (b *Bursts) Forget() { b.queue = nil }

// End is when the burst that is on ends, or the last one ended.
func (b *Bursts) End() time.Time { return b.end }

func (b *Bursts) kind(key burstKey) *backoff {
	if k, ok := b.kinds[key]; ok {
		return k
	}
	if b.kinds == nil || len(b.kinds) >= burstKinds {
		b.kinds = map[burstKey]*backoff{}
	}
	k := &backoff{}
	b.kinds[key] = k
	return k
}
