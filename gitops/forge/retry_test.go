package forge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
)

// fakeClock stands in the year 2100, so that no deadline of a context comes
// while a test runs, and jumps ahead by what is waited for.
type fakeClock struct {
	at    time.Time
	waits []time.Duration
}

func newClock() *fakeClock { return &fakeClock{at: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *fakeClock) Now() time.Time { return c.at }

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.waits = append(c.waits, d)
	c.at = c.at.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.at
	return ch
}

// busy is an error of another package that may pass.
type busy struct{}

func (busy) Error() string   { return "busy" }
func (busy) Transient() bool { return true }

// fails gives one error after the other, then success.
func fails(errs ...error) (f func(context.Context) error, calls *int) {
	calls = new(int)
	return func(context.Context) error {
		*calls++
		if *calls <= len(errs) {
			return errs[*calls-1]
		}
		return nil
	}, calls
}

func TestRetry(t *testing.T) {
	limited := &forge.Error{Kind: forge.RateLimited, Op: "open it", RetryAfter: 37 * time.Second}
	down := &forge.Error{Kind: forge.Unavailable, Op: "open it"}
	forbidden := &forge.Error{Kind: forge.Forbidden, Op: "open it"}
	long := &forge.Error{Kind: forge.RateLimited, Op: "open it", RetryAfter: time.Hour}
	tests := []struct {
		name  string
		retry forge.Retry
		errs  []error
		calls int
		want  error
	}{
		{"at once", forge.Retry{}, nil, 1, nil},
		{"a user's error stops", forge.Retry{}, []error{forbidden}, 1, forbidden},
		{"an unknown error stops", forge.Retry{}, []error{errors.New("x")}, 1, nil},
		{"down, then up", forge.Retry{}, []error{down, down}, 3, nil},
		{"another package's error", forge.Retry{}, []error{fmt.Errorf("push: %w", busy{})}, 2, nil},
		{"down, then forbidden", forge.Retry{}, []error{down, forbidden}, 2, forbidden},
		{"down for good", forge.Retry{}, slices.Repeat([]error{down}, 9), 5, down},
		{"fewer steps", forge.Retry{Steps: 2}, slices.Repeat([]error{down}, 9), 2, down},
		{"limited", forge.Retry{}, []error{limited}, 2, nil},
		{"limited for longer than anybody waits", forge.Retry{}, []error{long}, 1, long},
		{"more patience", forge.Retry{MaxWait: 2 * time.Hour}, []error{long}, 2, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.retry.Clock = newClock()
			f, calls := fails(tt.errs...)
			err := tt.retry.Do(context.Background(), f)
			if *calls != tt.calls || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%d calls, %v; want %d, %v", *calls, err, tt.calls, tt.want)
			}
			if tt.want == nil && len(tt.errs) < tt.calls && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRetryWaitsExactlyAsLongAsAsked(t *testing.T) {
	clock := newClock()
	var told []string
	f, _ := fails(
		&forge.Error{Kind: forge.RateLimited, Op: "open it", RetryAfter: 37 * time.Second},
		&forge.Error{Kind: forge.Unavailable, Op: "open it", RetryAfter: 90 * time.Second},
	)
	err := forge.Retry{Clock: clock, Progress: func(s string) { told = append(told, s) }}.Do(context.Background(), f)
	if err != nil || !slices.Equal(clock.waits, []time.Duration{37 * time.Second, 90 * time.Second}) {
		t.Errorf("waited %v, %v", clock.waits, err)
	}
	if want := []string{"open it: rate limited; again in 37s", "open it: unavailable; again in 1m30s"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestRetryBacksOff(t *testing.T) {
	clock := newClock()
	f, _ := fails(slices.Repeat([]error{busy{}}, 20)...)
	if err := (forge.Retry{Clock: clock, Steps: 10}).Do(context.Background(), f); err == nil {
		t.Error("20 failures are no success")
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	if len(clock.waits) != len(want) {
		t.Fatalf("waited %v", clock.waits)
	}
	for i, w := range want {
		w *= time.Second
		if got := clock.waits[i]; got < w || got > w+w/2 {
			t.Errorf("wait %d is %s, want %s and up to half more", i, got, w)
		}
	}
}

func TestRetryMindsTheDeadline(t *testing.T) {
	limited := &forge.Error{Kind: forge.RateLimited, Op: "open it", RetryAfter: time.Minute}
	for _, tt := range []struct {
		left  time.Duration
		calls int
	}{{59 * time.Second, 1}, {61 * time.Second, 2}} {
		clock := newClock()
		ctx, cancel := context.WithDeadline(context.Background(), clock.Now().Add(tt.left))
		defer cancel()
		f, calls := fails(limited)
		err := forge.Retry{Clock: clock}.Do(ctx, f)
		if *calls != tt.calls {
			t.Errorf("%s left: %d calls, want %d", tt.left, *calls, tt.calls)
		}
		if tt.calls > 1 {
			continue
		}
		var later *forge.LaterError
		if !errors.As(err, &later) || !later.At.Equal(clock.at.Add(time.Minute)) || len(clock.waits) > 0 {
			t.Errorf("got %v after waits of %v", err, clock.waits)
		}
		if !errors.Is(err, limited) || !strings.Contains(err.Error(), "try again at 2100-01-01T00:01:00Z") || !forge.Transient(err) {
			t.Errorf("got %v", err)
		}
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	err := forge.Retry{Clock: newClock()}.Do(ctx, func(context.Context) error {
		calls++
		cancel()
		return busy{}
	})
	if calls != 1 || !errors.Is(err, busy{}) {
		t.Errorf("%d calls, %v", calls, err)
	}
	// Without a clock of its own it is the system's, whose wait is cut short too.
	ctx, cancel = context.WithCancel(context.Background())
	err = forge.Retry{Progress: func(string) { cancel() }}.Do(ctx, func(context.Context) error {
		return &forge.Error{Kind: forge.Unavailable, RetryAfter: 4 * time.Minute}
	})
	if !forge.Is(err, forge.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestTransient(t *testing.T) {
	for kind, want := range map[forge.Kind]bool{
		forge.Unauthorized: false, forge.Forbidden: false, forge.RateLimited: true, forge.NotFound: false,
		forge.Moved: false, forge.Archived: false, forge.Exists: false, forge.Conflict: true, forge.NoDiff: false,
		forge.Protected: false, forge.Invalid: false, forge.Unavailable: true, forge.Untrusted: false, forge.Unsupported: false,
	} {
		if got := forge.Transient(fmt.Errorf("x: %w", &forge.Error{Kind: kind})); got != want {
			t.Errorf("%s: %t", kind, got)
		}
	}
	if forge.Transient(nil) || forge.Transient(errors.New("x")) {
		t.Error("an error that says nothing is none that passes")
	}
}
