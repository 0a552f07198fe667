package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

const (
	// Heartbeat is how often a probe writes a line even when nothing changed, and
	// FullEvery how often that line tells everything that is wrong.
	Heartbeat = 10 * time.Second
	FullEvery = time.Minute
	// PollMembers is how often it looks whether its membership's files changed.
	PollMembers = time.Second

	// flushAfter is how long a result waits for others to share its line.
	flushAfter = 200 * time.Millisecond
	// spacing is the least time between two exchanges: [mesh.BurstRate].
	spacing = time.Second / mesh.BurstRate
	// ringSpacing is the least time between two of the ring's.
	ringSpacing = mesh.Slot
	// maxInFlight bounds the exchanges under way: at 20 a second with a timeout of
	// 1 s there are 20.
	maxInFlight = 32
	// exchangeGuard ends an exchange that does not end by itself.
	exchangeGuard = 3 * time.Second
	// recheckAfter is the least age of a failure before it is looked at again
	// outside of its turn.
	recheckAfter = 5 * time.Second
	// drainTime is how long a stopping agent waits for exchanges under way, and
	// then again for the reader of its lines.
	drainTime = 400 * time.Millisecond
)

// Exchanger makes one exchange. It never fails: what went wrong is in the
// observation.
type Exchanger interface {
	Do(ctx context.Context, c mesh.Check) v1alpha1.Observation
}

// MembershipSource gives the membership when it changed and nil when it did not. An
// error means that what it gave before remains in force.
type MembershipSource interface {
	Poll() (*mesh.Membership, error)
}

// Agent runs a probe's share of the mesh: it makes the exchanges that the plan has
// for each slot, looks into failures at once, and writes [Line]s. Fill the fields,
// then call Run once.
type Agent struct {
	Self    mesh.Self
	Prober  Exchanger
	Members MembershipSource
	// Out is where lines go: standard output.
	Out io.Writer
	// Now is the clock, time.Now when nil.
	Now func() time.Time
	// Delay is the prober's worst scheduling delay since it was last asked; may be nil.
	Delay func() time.Duration
	// Heard is how long ago a request of another probe last arrived here, as
	// [Reflector.Heard]; may be nil.
	Heard func(node, pod, family string) (ago time.Duration, ok bool)
	// Boot tells starts of the same pod apart; random when empty.
	Boot string

	once  sync.Once
	lines *lines
}

// Report is what the probe wrote last, as lines of JSON, for the direct path. It
// has at least everything since the last full heartbeat but one, up to 128 KiB. Sequence
// numbers are those of the lines on standard output.
func (a *Agent) Report() []byte {
	a.init()
	return a.lines.last()
}

func (a *Agent) init() {
	a.once.Do(func() {
		a.lines = newLines(a.Out)
		if a.Now == nil {
			a.Now = time.Now
		}
		if a.Boot == "" {
			var b [8]byte
			_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
			a.Boot = hex.EncodeToString(b[:])
		}
	})
}

// Run probes until the context ends, which is no error, and returns within a
// second after that. It gives up when its lines cannot be written.
func (a *Agent) Run(ctx context.Context) error {
	if a.Prober == nil || a.Members == nil || a.Out == nil {
		return errors.New("probe agent: needs a prober, a membership and an output")
	}
	a.init()
	l := &loop{Agent: a, results: make(chan ended, maxInFlight), tally: tallies{}, phase: mesh.Phase(a.Self.Node)}
	written := make(chan struct{})
	go func() {
		defer close(written)
		a.lines.run()
	}()
	err := l.run(ctx)
	l.drain()
	l.flush(a.Now())
	close(a.lines.queue)
	select {
	case <-written:
	case <-time.After(drainTime):
		return errors.Join(err, errors.New("standard output is not being read: the last lines are lost"))
	}
	return err
}

// ended is an exchange that has ended.
type ended struct {
	check   mesh.Check
	seen    v1alpha1.Observation
	started time.Time
	took    time.Duration
}

// loop is a run's state; only its own goroutine touches it.
type loop struct {
	*Agent
	plan    *mesh.Plan
	hash    string
	phase   time.Duration
	results chan ended
	flying  int

	slot                 int64
	lastRing, lastStart  time.Time
	nextPoll, nextBeat   time.Time
	nextFull             time.Time
	pending              []v1alpha1.Observation
	pendingSince         time.Time
	tally                tallies
	flows                flows
	bursts               mesh.Bursts
	memberNote, ringNote string
	told                 string
	begun                bool
}

func (l *loop) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.lines.failed:
			return err
		case r := <-l.results:
			l.flying--
			if ctx.Err() == nil { // an exchange that was broken off tells nothing
				l.take(r)
			}
		case <-timer.C:
		}
		now := l.Now()
		l.step(ctx, now)
		timer.Reset(l.wake(now).Sub(now))
	}
}

// step does all that is due.
func (l *loop) step(ctx context.Context, now time.Time) {
	if due(now, l.nextPoll, PollMembers) {
		l.poll(now)
	}
	l.ring(ctx, now)
	l.differential(ctx, now)
	if due(now, l.nextBeat, Heartbeat) {
		l.beat(now)
	}
	if len(l.pending) > 0 && due(now, l.pendingSince.Add(flushAfter), flushAfter) {
		l.flush(now)
	}
}

// due says whether a moment has come that was set at most a period ahead: one that
// is further off was set before the clock went back.
func due(now, at time.Time, period time.Duration) bool {
	return !now.Before(at) || at.Sub(now) > period
}

// wake is when the next thing is due.
func (l *loop) wake(now time.Time) time.Time {
	next := mesh.SlotTime(mesh.SlotAt(now.Add(-l.phase)) + 1).Add(l.phase)
	for _, t := range []time.Time{l.nextPoll, l.nextBeat} {
		next = earlier(next, t)
	}
	if len(l.pending) > 0 {
		next = earlier(next, l.pendingSince.Add(flushAfter))
	}
	if l.bursts.Waiting(now) && l.flying < maxInFlight {
		next = earlier(next, l.lastStart.Add(spacing))
	}
	if l.plan != nil && mesh.SlotAt(now.Add(-l.phase)) != l.slot { // its turn had to wait
		next = earlier(next, later(l.lastStart.Add(spacing), l.lastRing.Add(ringSpacing)))
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// poll looks for another membership.
func (l *loop) poll(now time.Time) {
	l.nextPoll = now.Add(PollMembers)
	m, err := l.Members.Poll()
	switch {
	case err != nil:
		l.memberNote = printable(err.Error())
	case m != nil:
		l.memberNote, l.ringNote, l.hash = "", "", m.Hash()
		l.plan = mesh.NewRing(*m).Plan(l.Self)
		l.flows.retain(l.plan.Holds)
		l.bursts.Forget()
		if !l.plan.InRing() {
			l.ringNote = fmt.Sprintf("node %s is not in the membership: no peers are probed from it", l.Self.Node)
		}
	default:
		return
	}
	l.nextBeat = now
}

// ring does what the plan has for the slot, if its time has come: mostly that, and
// now and then another look at what failed longest ago, which in a large mesh would
// otherwise wait for its turn.
func (l *loop) ring(ctx context.Context, now time.Time) {
	slot := mesh.SlotAt(now.Add(-l.phase))
	if l.plan == nil || slot == l.slot || !due(now, l.lastRing.Add(ringSpacing), ringSpacing) || !due(now, l.lastStart.Add(spacing), spacing) {
		return
	}
	l.slot, l.lastRing = slot, now
	turn := l.plan.At(slot)
	if own, nth, pass := mesh.IsOwn(slot); own && nth == pass%5 {
		if c, ok := l.flows.oldest(now.Add(-recheckAfter)); ok {
			turn = mesh.Turn{Check: c}
		}
	}
	switch {
	case turn.Idle():
	case turn.NotChecked != "":
		l.notChecked(now, turn.Check, turn.NotChecked)
	case l.flying >= maxInFlight:
		l.notChecked(now, turn.Check, "the probe has too many exchanges under way")
	default:
		l.start(ctx, now, turn.Check)
	}
}

// differential does the next check of a burst.
func (l *loop) differential(ctx context.Context, now time.Time) {
	if l.flying >= maxInFlight || !due(now, l.lastStart.Add(spacing), spacing) {
		return
	}
	if c, ok := l.bursts.Next(now); ok {
		l.start(ctx, now, c)
	}
}

func (l *loop) start(ctx context.Context, now time.Time, c mesh.Check) {
	l.flying++
	l.lastStart = now
	go func() {
		ctx, cancel := context.WithTimeout(ctx, exchangeGuard)
		defer cancel()
		o := l.Prober.Do(ctx, c)
		l.results <- ended{c, o, now, l.Now().Sub(now)}
	}()
}

// drain waits a little for exchanges under way, whose context has ended; what they
// saw is not taken.
func (l *loop) drain() {
	end := time.NewTimer(drainTime)
	defer end.Stop()
	for l.flying > 0 {
		select {
		case <-l.results:
			l.flying--
		case <-end.C:
			return
		}
	}
}
