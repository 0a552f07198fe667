package forge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Clock tells the time and waits; k8s.io/utils/clock has real and fake ones.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Retry does a thing again while it fails for a reason that may pass. The zero
// value is ready to use.
type Retry struct {
	// Clock is the system's when nil.
	Clock Clock
	// Steps is how often it is done at most; 0 is 5.
	Steps int
	// MaxWait is the longest wait between two times; what takes longer is left to
	// the caller's next run. 0 is 5 minutes.
	MaxWait time.Duration
	// Progress is told before each wait, in words; nil for nobody.
	Progress func(string)
}

const (
	defaultSteps   = 5
	defaultMaxWait = 5 * time.Minute
)

// backoff waits 1, 2, 4, … seconds and up to half of that more, so that several
// that failed together do not come back together.
func backoff() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 16, Cap: time.Minute}
}

// LaterError is what [Retry.Do] returns when there is a time to try again at
// that lies behind the context's deadline or MaxWait.
type LaterError struct {
	At  time.Time
	Err error
}

func (e *LaterError) Error() string {
	return fmt.Sprintf("%v (try again at %s)", e.Err, e.At.UTC().Format(time.RFC3339))
}

func (e *LaterError) Unwrap() error { return e.Err }

// Transient reports whether an error says of itself, by a method Transient, that
// the same may work later.
func Transient(err error) bool {
	var t interface{ Transient() bool }
	return errors.As(err, &t) && t.Transient()
}

// Do calls f, which must be fit to be called again, until it succeeds, fails for
// good (see [Transient]), or ctx ends. Between two calls it waits exactly as long
// as the server asks for, see [Error], else a time that grows. It returns the
// last error of f, as a [*LaterError] when waiting would take too long.
func (r Retry) Do(ctx context.Context, f func(context.Context) error) error {
	back := backoff()
	for step := 1; ; step++ {
		err := f(ctx)
		if err == nil || ctx.Err() != nil || !Transient(err) {
			return err
		}
		pause := back.Step()
		if asked := askedFor(err); asked > 0 {
			pause = asked
		}
		if later := r.later(ctx, pause, err); later != nil {
			return later
		}
		if step >= r.steps() {
			return err
		}
		if r.Progress != nil {
			r.Progress(fmt.Sprintf("%v; again in %s", err, pause.Round(time.Second)))
		}
		select {
		case <-ctx.Done():
			return err
		case <-r.clock().After(pause):
		}
	}
}

// later is an error when the next call would come too late.
func (r Retry) later(ctx context.Context, pause time.Duration, err error) error {
	at := r.clock().Now().Add(pause)
	deadline, ok := ctx.Deadline()
	if ok && at.After(deadline) || pause > r.maxWait() {
		return &LaterError{At: at, Err: err}
	}
	return nil
}

// askedFor is how long the server wants to be left alone, by the error's method
// Pause; 0 when it did not say.
func askedFor(err error) time.Duration {
	var e interface{ Pause() time.Duration }
	if errors.As(err, &e) {
		return e.Pause()
	}
	return 0
}

func (r Retry) steps() int {
	if r.Steps > 0 {
		return r.Steps
	}
	return defaultSteps
}

func (r Retry) maxWait() time.Duration {
	if r.MaxWait > 0 {
		return r.MaxWait
	}
	return defaultMaxWait
}

func (r Retry) clock() Clock {
	if r.Clock != nil {
		return r.Clock
	}
	return systemClock{}
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
