package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/probe"
)

// Bounds of reading.
const (
	// pollWithin bounds reading a log to its end, directWithin asking a probe.
	pollWithin   = 15 * time.Second
	directWithin = time.Second
	// openWithin is how long a stream may take to open.
	openWithin = 10 * time.Second
	// pollBytes is the most that is read of a log at once, floodBytes the most in
	// floodTime: a hundred times what a probe writes at its worst.
	pollBytes  = 4 << 20
	floodBytes = 8 << 20
	floodTime  = 30 * time.Second
	// stampLen is room for the kubelet's time before a line.
	stampLen = 64
)

// answered says whether an error is an answer of the API server.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// readLog reads a probe's log: to its end, or as a stream until nothing comes.
func (c *Collector) readLog(ctx context.Context, t Target, since time.Time, path Path) result {
	r := result{key: t.Key, uid: string(t.UID), path: path, since: since}
	wanted, stop := ctx, func() {}
	if path == PathPoll {
		ctx, stop = context.WithTimeout(ctx, pollWithin)
	}
	defer stop()
	in := &intake{c: c, t: t, path: path, since: since}
	r.err = c.stream(ctx, t, since, path, in)
	r.since, r.missing = in.since, in.full
	if in.full && !in.since.Truncate(time.Second).After(since) {
		// More than is read at once was written in one second: pass over it.
		r.since = in.since.Truncate(time.Second).Add(time.Second)
	}
	now := c.opts.Now()
	switch {
	case wanted.Err() != nil:
		r.err = nil // nobody wants it any more
	case r.err == nil && path == PathPoll && !in.full:
		c.matrix.Read(t.Key, nil, path, now)
	case r.err != nil && !errors.Is(r.err, errQuiet):
		c.matrix.Read(t.Key, r.err, path, now)
		c.askAPI()
	}
	return r
}

// stream opens the log and hands its lines on.
func (c *Collector) stream(ctx context.Context, t Target, since time.Time, path Path, in *intake) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// One timer bounds opening, and then the pause between lines.
	quiet := c.opts.Limits.Beat * (10*missed + 1) / 10
	watchdog := time.AfterFunc(openWithin, func() { cancel(fmt.Errorf("the log did not open within %s", openWithin)) })
	defer watchdog.Stop()
	body, err := c.kube.CoreV1().Pods(t.Namespace).GetLogs(t.Pod, c.logOptions(since, path)).Stream(ctx)
	if err != nil {
		return cmpCause(ctx, fmt.Errorf("read the log of pod %s/%s: %w", t.Namespace, t.Pod, err))
	}
	defer body.Close()
	watchdog.Stop()
	if path == PathFollow {
		watchdog = time.AfterFunc(quiet, func() { cancel(errQuiet) })
		defer watchdog.Stop()
		in.alive = func() { watchdog.Reset(quiet) }
	}
	return cmpCause(ctx, in.read(body))
}

// cmpCause is why the context ended, where that is why reading did.
func cmpCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// logOptions: the kubelet's times tell where to go on, in its own clock.
func (c *Collector) logOptions(since time.Time, path Path) *corev1.PodLogOptions {
	o := &corev1.PodLogOptions{Container: c.opts.Container, Timestamps: true, Follow: path == PathFollow}
	if path == PathPoll {
		bound := int64(pollBytes)
		o.LimitBytes = &bound
	}
	if since.IsZero() {
		seconds := int64(c.opts.Backlog / time.Second)
		o.SinceSeconds = &seconds
	} else {
		// To the second, so the last lines come again; they are known by their numbers.
		at := metav1.NewTime(since.Truncate(time.Second))
		o.SinceTime = &at
	}
	return o
}

// intake takes a log's lines in.
type intake struct {
	c     *Collector
	t     Target
	path  Path
	since time.Time
	alive func()
	// full: there was more than is read at once.
	full bool

	bytes  int
	window time.Time
}

// read takes lines until the stream ends; its regular end is no error.
func (in *intake) read(body io.Reader) error {
	counted := &countReader{r: body}
	lines := newLineReader(counted, probe.MaxLine+stampLen)
	defer func() { in.full = in.path == PathPoll && counted.n >= pollBytes }()
	for {
		cut, before := lines.cut, counted.n
		line, err := lines.next()
		if n := lines.cut - cut; n > 0 {
			in.c.matrix.count(in.t.Key, func(c *Counts) { c.Unparsable += uint64(n) })
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if in.alive != nil {
			in.alive()
		}
		in.line(line)
		if err := in.flood(counted.n - before); err != nil {
			return err
		}
	}
}

// line is one line of a log, the kubelet's time before it.
func (in *intake) line(line []byte) {
	if stamp, rest, ok := bytes.Cut(line, []byte(" ")); ok && len(stamp) < stampLen {
		if at, err := time.Parse(time.RFC3339Nano, string(stamp)); err == nil {
			in.since, line = at, rest
		}
	}
	in.c.take(in.t, line, in.path)
}

// flood ends a stream that brings more than a probe can have to say.
func (in *intake) flood(n int) error {
	now := in.c.opts.Now()
	if in.window.IsZero() || now.Sub(in.window) > floodTime {
		in.window, in.bytes = now, 0
	}
	if in.bytes += n; in.bytes > floodBytes {
		in.c.matrix.count(in.t.Key, func(c *Counts) { c.Talkative++ })
		return errTalkative
	}
	return nil
}

type countReader struct {
	r io.Reader
	n int
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// take brings a line's text into the matrix and tells the sink what is new in it.
func (c *Collector) take(t Target, text []byte, path Path) {
	if path != PathDirect {
		c.brought.Store(c.opts.Now().UnixNano())
	}
	if boot, seq, ok := peek(text); ok && c.matrix.again(t.Key, boot, seq) {
		return
	}
	line, dropped, err := Parse(text)
	if err != nil {
		c.matrix.count(t.Key, func(c *Counts) { c.Unparsable++ })
		return
	}
	if dropped > 0 {
		c.matrix.count(t.Key, func(c *Counts) { c.Senseless += uint64(dropped) })
	}
	c.sink.Lock()
	defer c.sink.Unlock()
	if fresh := c.matrix.Add(t.Key, line, path, c.opts.Now()); fresh != nil {
		c.opts.Sink(t, *fresh)
	}
}

// readDirect asks a probe itself.
func (c *Collector) readDirect(ctx context.Context, t Target) result {
	r := result{key: t.Key, uid: string(t.UID), path: PathDirect}
	ctx, cancel := context.WithTimeout(ctx, directWithin)
	defer cancel()
	before, _ := c.matrix.Probe(t.Key)
	body, err := c.opts.Direct(ctx, t)
	if err != nil {
		r.err = err
		return r
	}
	in := &intake{c: c, t: t, path: PathDirect}
	r.err = in.read(bytes.NewReader(append(body, '\n')))
	after, _ := c.matrix.Probe(t.Key)
	r.missing = before.Boot == after.Boot && after.Counts.Missing > before.Counts.Missing
	if r.err == nil {
		c.matrix.Read(t.Key, nil, PathDirect, c.opts.Now())
	}
	return r
}
