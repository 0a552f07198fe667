package probe

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestStarvationSince(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &Starvation{Now: func() time.Time { return now }}
	if s.Since(now.Add(-time.Hour)) != 0 || s.Worst() != 0 {
		t.Error("a delay before anything was measured")
	}
	s.start()
	pass := func(d time.Duration) {
		now = now.Add(d)
		s.beat()
	}
	pass(pulse)
	pass(pulse + 10*time.Millisecond)
	calm := now
	pass(pulse + 300*time.Millisecond)
	starved := now
	pass(pulse)
	tests := []struct {
		name  string
		since time.Time
		want  time.Duration
	}{
		{"from before the delay", calm, 300 * time.Millisecond},
		{"begun within the delay", starved.Add(-time.Millisecond), 300 * time.Millisecond},
		{"after the delay", starved, 0},
	}
	for _, tt := range tests {
		if got := s.Since(tt.since); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	now = now.Add(pulse + 200*time.Millisecond)
	if got := s.Since(starved); got != 200*time.Millisecond {
		t.Errorf("a delay that still lasts: %v", got)
	}
	if got := s.Worst(); got != 300*time.Millisecond {
		t.Errorf("worst: %v", got)
	}
	s.beat()
	if got := s.Worst(); got != 200*time.Millisecond {
		t.Errorf("worst since last asked: %v", got)
	}
}

func TestStarvationRemembersBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &Starvation{Now: func() time.Time { return now }}
	s.start()
	for range 10 * remembered {
		now = now.Add(time.Second)
		s.beat()
	}
	if got := s.Since(now.Add(-time.Second)); got != time.Second-pulse {
		t.Errorf("the latest delay: %v", got)
	}
}

func TestStarvationRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Starvation{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		time.Sleep(10 * pulse)
		if got := s.Worst(); got != 0 {
			t.Errorf("a process that is scheduled at once is %v late", got)
		}
		cancel()
		<-done
		time.Sleep(time.Hour)
		if got := s.Since(time.Time{}); got != 0 {
			t.Errorf("after its end it is %v late", got)
		}
	})
}

func TestStarvedResultsAreUnreliable(t *testing.T) {
	start := time.Unix(1000, 0)
	now := start
	clock := func() time.Time { return now }
	delayed := &Starvation{Now: clock}
	delayed.start()
	now = start.Add(pulse + starvedAfter + time.Millisecond)
	delayed.beat()
	tests := []struct {
		name  string
		s     *Starvation
		after time.Duration
		want  bool
	}{
		{"in time", nil, 900 * time.Millisecond, false},
		{"at the limit", nil, time.Second + 90*time.Millisecond, false},
		{"woken late", nil, time.Second + 110*time.Millisecond, true},
		{"delayed in between", delayed, 200 * time.Millisecond, true},
		{"nothing noticed", &Starvation{Now: clock}, 200 * time.Millisecond, false},
	}
	for _, tt := range tests {
		p := &Prober{Now: clock, Starvation: tt.s}
		now = start.Add(tt.after)
		if got := p.starved(start); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
