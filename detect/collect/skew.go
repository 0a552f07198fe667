package collect

import "time"

// Clocks of nodes differ. A line that is read as it is written tells by how much.
const (
	// tolerated is how far a clock may be off before its times are corrected:
	// more than reading takes.
	tolerated = 3 * time.Second
	// liveGap is the pause before a line on a followed stream that says that it
	// was waited for, not read out of a backlog.
	liveGap = time.Second
)

// skew is how far a probe's clock is behind ours, the way of the line included.
type skew struct {
	off  time.Duration
	last time.Time // when the line before was read
}

func (s *skew) note(now, at time.Time, path Path) {
	waited := path == PathFollow && !s.last.IsZero() && now.Sub(s.last) >= liveGap
	s.last = now
	if waited {
		s.off = now.Sub(at)
	}
}

// correct is a time of the probe's clock in ours, never in the future.
func (s *skew) correct(at, now time.Time) time.Time {
	if s.off.Abs() > tolerated {
		at = at.Add(s.off)
	}
	if at.After(now) {
		return now
	}
	return at
}
