package collect

import (
	"errors"
	"testing"
	"time"
)

// quiet is a scheduler that starts nothing, with a probe that it knows.
func quiet(follow int) (*scheduler, *source) {
	o := Options{
		Follow: follow, Workers: 8,
		Now:    func() time.Time { return start },
		Jitter: func(d time.Duration) time.Duration { return d },
	}.withDefaults()
	m, k := one(Limits{})
	p, _ := m.Probe(k)
	src := &source{target: p.Target, due: start, ask: start, began: start.Add(-time.Minute)}
	return &scheduler{Collector: &Collector{opts: o, matrix: m}, sources: map[Key]*source{k: src}}, src
}

func TestWhenALogIsReadAgain(t *testing.T) {
	broken := errors.New("connection refused")
	tests := map[string]struct {
		r      result
		before func(*source)
		due    time.Duration // after start
		verify bool
		fails  int
	}{
		"failed":                        {result{path: PathPoll, err: broken}, nil, time.Second, false, 1},
		"failed again":                  {result{path: PathPoll, err: broken}, func(s *source) { s.fails = 3 }, 8 * time.Second, false, 4},
		"failed very often":             {result{path: PathFollow, err: broken}, func(s *source) { s.fails = 100 }, 32 * time.Second, false, 6},
		"a stream that was quiet":       {result{path: PathFollow, err: errQuiet}, func(s *source) { s.fails = 2 }, 0, true, 0},
		"a stream that ended":           {result{path: PathFollow}, func(s *source) { s.fails = 2 }, 0, true, 0},
		"a stream that ended at once":   {result{path: PathFollow}, func(s *source) { s.began = start }, time.Second, true, 1},
		"and again":                     {result{path: PathFollow}, func(s *source) { s.began, s.fails = start, 1 }, 2 * time.Second, true, 2},
		"a stream that is not needed":   {result{path: PathFollow}, func(s *source) { s.direct = true }, 0, false, 0},
		"talkative":                     {result{path: PathFollow, err: errTalkative}, nil, time.Minute, false, 0},
		"read to its end":               {result{path: PathPoll}, func(s *source) { s.fails = 1 }, 0, false, 1},
		"there is more":                 {result{path: PathPoll, missing: true}, nil, 0, true, 0},
		"there is more and more":        {result{path: PathPoll, missing: true}, func(s *source) { s.fulls = mostFulls }, time.Minute, false, 0},
		"what it did not say is filled": {result{path: PathPoll}, func(s *source) { s.direct, s.fill = true, true }, 0, false, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, src := quiet(1)
			if tt.before != nil {
				tt.before(src)
			}
			s.count(tt.r.path, false, 1)
			tt.r.key, tt.r.uid = src.target.Key, string(src.target.UID)
			s.finished(tt.r)
			if got := src.due.Sub(start); got != tt.due || src.verify != tt.verify || src.fails != tt.fails || src.fill {
				t.Errorf("due after %s, verify %t, %d fails, fill %t; want %+v", got, src.verify, src.fails, src.fill, tt)
			}
			if s.following+s.working+s.asking+s.retrying != 0 || src.busy {
				t.Errorf("something is under way: %+v", s)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	s, src := quiet(1)
	s.following = 1 // by another
	s.count(PathPoll, false, 1)
	s.finished(result{key: src.target.Key, uid: "u1", path: PathPoll})
	if got := src.due.Sub(start); got != 10*time.Second {
		t.Errorf("due after %s", got)
	}
	s.count(PathPoll, false, 1)
	s.finished(result{key: src.target.Key, uid: "of another pod", path: PathPoll, err: errTalkative})
	if s.working != 0 || src.due.Sub(start) != 10*time.Second {
		t.Error("the result of a pod that is gone counts")
	}
}

func TestAsking(t *testing.T) {
	s, src := quiet(1)
	broken := errors.New("connection timed out")
	finish := func(err error, missing bool) {
		s.count(PathDirect, false, 1)
		s.finished(result{key: src.target.Key, uid: "u1", path: PathDirect, err: err, missing: missing})
	}
	src.due = start.Add(time.Hour)
	finish(nil, false)
	if !src.direct || src.ask.Sub(start) != 2*time.Second || src.wantsLog(start.Add(2*time.Hour)) {
		t.Errorf("after an answer: %+v", src)
	}
	finish(nil, true)
	if !src.fill || !src.wantsLog(start) {
		t.Errorf("after an answer with lines missing: %+v", src)
	}
	src.fill, src.due = false, start.Add(time.Hour)
	for i, want := range []time.Duration{1, 2, 4, 8, 8} {
		finish(broken, false)
		if src.direct || src.ask.Sub(start) != want*time.Minute {
			t.Errorf("refusal %d: asked again after %s", i, src.ask.Sub(start))
		}
		if i == 0 && !src.wantsLog(start) {
			t.Error("its log is not read at once")
		}
	}
	finish(nil, false)
	finish(broken, false)
	if src.ask.Sub(start) != time.Minute {
		t.Errorf("asked again after %s", src.ask.Sub(start))
	}
}

func TestNodesThatDoNotAnswerLeaveWorkersToOthers(t *testing.T) {
	s, _ := quiet(0)
	for range 2 {
		if !s.hasWorker(true) {
			t.Fatal("none for a log that failed")
		}
		s.count(PathPoll, true, 1)
	}
	if s.hasWorker(true) || !s.hasWorker(false) {
		t.Error("of eight workers, more than two wait for nodes that do not answer")
	}
	for range 6 {
		s.count(PathPoll, false, 1)
	}
	if s.hasWorker(false) {
		t.Error("nine workers")
	}
}

func TestAPodThatStartsIsReadAtOnce(t *testing.T) {
	s, src := quiet(1)
	src.due, src.fails = start.Add(time.Hour), 5
	s.changes.wake = make(chan struct{}, 1)
	same := src.target
	s.changes.note(same.Key, same)
	s.changed()
	if src.due.Equal(start) {
		t.Error("nothing changed")
	}
	waits := same
	waits.Waiting = "waiting: CrashLoopBackOff"
	s.changes.note(waits.Key, waits)
	s.changed()
	if !src.due.Equal(start) || src.fails != 0 {
		t.Errorf("due %s", src.due)
	}
	stopped := false
	src.cancel = func() { stopped = true }
	s.changes.note(same.Key, Target{Key: same.Key})
	s.changed()
	if len(s.sources) != 0 || !stopped {
		t.Error("a pod that is gone is still read")
	}
}

func TestTheAPIServersReturnWakesEverybody(t *testing.T) {
	s, src := quiet(1)
	s.changes.wake = make(chan struct{}, 1)
	src.due, src.fails = start.Add(time.Hour), 5
	s.opts.Jitter = func(d time.Duration) time.Duration { return d / 2 }
	s.changes.back()
	s.changed()
	if src.due.Sub(start) != 1500*time.Millisecond || src.fails != 0 {
		t.Errorf("due after %s", src.due.Sub(start))
	}
}
