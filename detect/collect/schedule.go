package collect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/flowcontrol"
)

// source is one probe as it is read. Only the scheduler touches it.
type source struct {
	target Target
	// due is when its log is to be read next, ask when it is to be asked directly.
	due, ask time.Time
	// busy: its log is being read. cancel ends that; following says that it is a
	// stream. asking: it is being asked directly.
	busy, following, asking bool
	cancel                  context.CancelFunc
	// direct: it answered when it was asked last. verify: the log is to be read to
	// its end before it is followed again, fill that it is to be read although the
	// probe answers, as lines are missing.
	direct, verify, fill bool
	fails                int
	refused              int // how often in a row it did not answer
	// fulls is how often in a row there was more in its log than is read at once.
	fulls int
	began time.Time // when reading its log began
	// since is the kubelet's time of the newest line that was read.
	since time.Time
}

// result is what became of reading.
type result struct {
	key     Key
	uid     string
	path    Path
	err     error
	since   time.Time
	missing bool // lines were left out
	retry   bool // it had failed before
}

// perSecond is how many logs are opened at most, and how many probes are asked,
// however many there are: of 5,000, each one every 50 s.
const perSecond = 100

// mostAsked is how many probes are asked at the same time: when the pod network goes,
// 200 that were heard directly are read by their logs within four seconds.
const mostAsked = 64

// tick is how often the scheduler looks for what is due.
const tick = 250 * time.Millisecond

// schedule decides who is read when, until the context ends. What it starts is in wg.
func (c *Collector) schedule(ctx context.Context, wg *sync.WaitGroup) {
	s := &scheduler{
		Collector: c, wg: wg, sources: map[Key]*source{}, done: make(chan result),
		reads: flowcontrol.NewTokenBucketRateLimiter(perSecond, 2*perSecond),
		asks:  flowcontrol.NewTokenBucketRateLimiter(perSecond, 2*perSecond),
	}
	// Readers hand in their results until the last has ended.
	defer func() {
		go func() { wg.Wait(); close(s.done) }()
		for range s.done {
		}
	}()
	t := time.NewTicker(tick)
	defer t.Stop()
	expire := c.opts.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-s.done:
			s.finished(r)
			continue
		case <-c.changes.wake:
			s.changed()
		case <-t.C:
		}
		now := c.opts.Now()
		if now.Sub(expire) > time.Minute {
			c.matrix.Expire(now)
			expire = now
		}
		s.start(ctx, now)
	}
}

// scheduler is the state of [Collector.schedule].
type scheduler struct {
	*Collector
	wg      *sync.WaitGroup
	sources map[Key]*source
	// following are open streams, working logs that are read to their end, of which
	// retrying failed before, and asking probes that are asked.
	following, working, retrying, asking int
	reads, asks                          flowcontrol.RateLimiter
	done                                 chan result
}

// changed takes in what the watches saw.
func (s *scheduler) changed() {
	put, returned := s.changes.take()
	now := s.opts.Now()
	for k, t := range put {
		have := s.sources[k]
		if have != nil && have.target.UID != t.UID {
			have.stop()
			delete(s.sources, k)
			have = nil
		}
		switch {
		case t.UID == "":
		case have == nil:
			s.sources[k] = &source{target: t, due: now, ask: now}
		default:
			have.update(t, now)
		}
	}
	if returned {
		s.spread(now)
	}
}

// update takes in a change of the pod; one whose container started is read at once.
func (src *source) update(t Target, now time.Time) {
	if src.target.readable() != t.readable() || src.target.Waiting != t.Waiting {
		src.due, src.fails = now, 0
	}
	src.target = t
}

// spread lets everybody be read soon, but not all at once.
func (s *scheduler) spread(now time.Time) {
	const within = 3 * time.Second
	for _, src := range s.sources {
		src.fails = 0
		if soon := now.Add(within - s.opts.Jitter(within)); src.due.After(soon) {
			src.due = soon
		}
	}
}

// readable: there may be a log. One of a pod that ended may hold its last words.
func (t Target) readable() bool { return t.Node != "" && t.Phase != "" && t.Phase != "Pending" }

func (src *source) stop() {
	if src.cancel != nil {
		src.cancel()
	}
}

// start begins what is due, the longest due first.
func (s *scheduler) start(ctx context.Context, now time.Time) {
	var due []*source
	for _, src := range s.sources {
		if src.target.readable() && (src.wantsLog(now) || s.wantsAsking(src, now)) {
			due = append(due, src)
		}
	}
	slices.SortFunc(due, func(a, b *source) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.target.Pod, b.target.Pod), cmp.Compare(a.target.Namespace, b.target.Namespace))
	})
	for _, src := range due {
		if s.wantsAsking(src, now) && s.asking < mostAsked && s.asks.TryAccept() {
			s.ask(ctx, src)
		}
		if src.wantsLog(now) && (!src.asking || src.fill) {
			s.log(ctx, src)
		}
	}
}

func (src *source) wantsLog(now time.Time) bool {
	return !src.busy && (!src.direct || src.fill) && !now.Before(src.due)
}

func (s *scheduler) wantsAsking(src *source, now time.Time) bool {
	return s.opts.Direct != nil && !src.asking && len(src.target.IPs) > 0 && !now.Before(src.ask)
}

// ask starts asking a probe itself.
func (s *scheduler) ask(ctx context.Context, src *source) {
	src.asking = true
	s.count(PathDirect, false, 1)
	t := src.target
	s.wg.Go(func() { s.done <- s.readDirect(ctx, t) })
}

// log starts reading a probe's log: by a stream while there are some to spare.
func (s *scheduler) log(ctx context.Context, src *source) {
	path, retry := PathFollow, false
	if s.following >= s.opts.Follow || src.verify || src.fill {
		path, retry = PathPoll, src.fails > 0
	}
	if path == PathPoll && !s.hasWorker(retry) || !s.reads.TryAccept() {
		return
	}
	s.count(path, retry, 1)
	ctx, cancel := context.WithCancel(ctx)
	src.busy, src.following, src.cancel, src.verify = true, path == PathFollow, cancel, false
	src.began = s.opts.Now()
	t, since := src.target, src.since
	s.wg.Go(func() {
		defer cancel()
		r := s.readLog(ctx, t, since, path)
		r.retry = retry
		s.done <- r
	})
}

// hasWorker: of the workers, those that wait for nodes that do not answer are never
// more than a quarter.
func (s *scheduler) hasWorker(retry bool) bool {
	return s.working < s.opts.Workers && !(retry && s.retrying >= max(s.opts.Workers/4, 1))
}

// count adds to what is under way.
func (s *scheduler) count(path Path, retry bool, n int) {
	switch path {
	case PathFollow:
		s.following += n
	case PathDirect:
		s.asking += n
	default:
		s.working += n
	}
	if retry {
		s.retrying += n
	}
}

// finished takes in what became of reading.
func (s *scheduler) finished(r result) {
	s.count(r.path, r.retry, -1)
	src := s.sources[r.key]
	if src == nil || string(src.target.UID) != r.uid {
		return
	}
	now := s.opts.Now()
	if r.path == PathDirect {
		s.answered(src, r, now)
		return
	}
	src.busy, src.following, src.cancel = false, false, nil
	if r.since.After(src.since) {
		src.since = r.since
	}
	if src.fulls++; !r.missing {
		src.fulls = 0
	}
	if src.fulls > mostFulls {
		s.matrix.count(r.key, func(c *Counts) { c.Talkative++ })
		src.fulls, r.err = 0, errTalkative
	}
	s.next(src, r, now)
}

// mostFulls is enough for the largest log that a kubelet keeps by default
// (containerLogMaxSize, 10 MiB).
const mostFulls = 3

// next is when a log is read again.
func (s *scheduler) next(src *source, r result, now time.Time) {
	switch {
	case errors.Is(r.err, errTalkative):
		src.due = now.Add(s.opts.Jitter(time.Minute))
	case r.err != nil && !errors.Is(r.err, errQuiet):
		src.due = now.Add(s.fail(src))
	case r.path == PathFollow:
		// The stream ended, or nothing came: look whether that is all there is. A
		// container that ended gives streams without end that end at once.
		src.verify, src.due = !src.direct, now
		if r.err == nil && now.Sub(src.began) < shortest {
			src.due = now.Add(s.fail(src))
		} else {
			src.fails = 0
		}
	case s.following < s.opts.Follow:
		src.due, src.verify, src.fill = now, r.missing, r.missing && src.fill
	default:
		src.fails, src.due, src.fill = 0, now.Add(s.opts.Jitter(s.opts.Every)), false
	}
}

func (s *scheduler) fail(src *source) time.Duration {
	src.fails = min(src.fails+1, 6)
	return s.opts.Jitter(backoff << (src.fails - 1))
}

// shortest is how long a stream lasts that is worth opening again at once.
const shortest = 5 * time.Second

// backoff is the first wait after a failure; the last is 32 times that.
const backoff = time.Second

// answered takes in what became of asking a probe itself. Its log is read when it
// did not answer, and when lines were missing in the answer.
func (s *scheduler) answered(src *source, r result, now time.Time) {
	src.asking = false
	if r.err != nil {
		// At most eight times as long.
		src.ask = now.Add(s.opts.Jitter(s.opts.DirectRetry << min(src.refused, 3)))
		src.refused++
		if src.direct {
			src.direct, src.due = false, now
		}
		return
	}
	src.refused = 0
	src.ask = now.Add(s.opts.Jitter(s.opts.DirectEvery))
	src.direct = true
	if src.following {
		src.stop()
	}
	if r.missing {
		src.fill, src.due = true, now
	}
}
