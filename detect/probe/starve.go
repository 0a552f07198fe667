package probe

import (
	"context"
	"sync"
	"time"
)

const (
	// starvedAfter is the scheduling delay within an exchange from which its
	// result is unreliable: a tenth of the exchange's time.
	starvedAfter = 100 * time.Millisecond
	// pulse is how often the prober looks whether it is still being scheduled.
	pulse = 50 * time.Millisecond
	// remembered are the delays kept, enough for many times the longest exchange.
	remembered = 64
)

// Starvation measures how late the process is scheduled: a ticker on the monotonic
// clock that should fire every 50 ms. A prober that gets no CPU time sees answers
// too late and must not take that for a loss. The zero value is ready; without
// [Starvation.Run] it has seen nothing.
type Starvation struct {
	// Now is the clock, time.Now when nil.
	Now func() time.Time

	mu    sync.Mutex
	last  time.Time
	late  [remembered]lateness
	next  int
	worst time.Duration
}

// lateness is one delay and when it ended.
type lateness struct {
	end time.Time
	by  time.Duration
}

func (s *Starvation) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Run measures until the context ends.
func (s *Starvation) Run(ctx context.Context) {
	t := time.NewTicker(pulse)
	defer t.Stop()
	s.start()
	defer s.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.beat()
		}
	}
}

func (s *Starvation) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.now()
}

func (s *Starvation) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Time{}
}

func (s *Starvation) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if by := now.Sub(s.last) - pulse; by > 0 {
		s.note(now, by)
	}
	s.last = now
}

// note remembers a delay. The small ones that every process meets are only
// counted as the worst.
func (s *Starvation) note(end time.Time, by time.Duration) {
	s.worst = max(s.worst, by)
	if by < starvedAfter/2 {
		return
	}
	s.late[s.next%remembered] = lateness{end, by}
	s.next++
}

// Since is the worst delay that ended after t or still lasts.
func (s *Starvation) Since(t time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := s.running()
	for _, l := range s.late {
		if l.end.After(t) {
			worst = max(worst, l.by)
		}
	}
	return worst
}

// running is how late the next tick already is.
func (s *Starvation) running() time.Duration {
	if s.last.IsZero() {
		return 0
	}
	return max(0, s.now().Sub(s.last)-pulse)
}

// Worst is the worst delay since it was last asked for.
func (s *Starvation) Worst() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := max(s.worst, s.running())
	s.worst = 0
	return worst
}

// overran notes a timer that fired late, which starved the caller as well.
func (s *Starvation) overran(by time.Duration) {
	if by <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(s.now(), by)
}
