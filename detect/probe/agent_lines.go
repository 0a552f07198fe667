package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxQueued is how many lines wait for a slow reader of standard output
	// before new ones are dropped and counted.
	maxQueued = 64
	// maxRecent bounds the lines, in bytes, that are kept for the direct path:
	// more than a full heartbeat needs.
	maxRecent = 128 << 10
	// lineRoom is left in a line for what grows with neither list.
	lineRoom = 512
)

// lines writes Lines to a reader that may be slow, and keeps the last ones.
type lines struct {
	out   io.Writer
	queue chan []byte
	// failed has the first error of writing; the queue is drained after it.
	failed  chan error
	dropped int
	seq     uint64

	mu     sync.Mutex
	recent [][]byte
	bytes  int
}

func newLines(out io.Writer) *lines {
	return &lines{out: out, queue: make(chan []byte, maxQueued), failed: make(chan error, 1)}
}

// run writes what is queued until the queue is closed.
func (l *lines) run() {
	broken := false
	for b := range l.queue {
		if broken {
			continue
		}
		if _, err := l.out.Write(b); err != nil {
			broken = true
			l.failed <- fmt.Errorf("cannot write to standard output: %w", err)
		}
	}
}

// write numbers the line, splits it where it is too long, and queues the parts. It
// never waits.
func (l *lines) write(line Line) {
	for _, part := range split(line) {
		l.seq++
		part.Seq, part.Dropped = l.seq, l.dropped
		b, err := json.Marshal(part)
		if err != nil {
			l.dropped++ // only a time out of range cannot be written
			continue
		}
		b = append(b, '\n')
		l.remember(b)
		select {
		case l.queue <- b:
			l.dropped = 0
		default:
			l.dropped++
		}
	}
}

func (l *lines) remember(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = append(l.recent, b)
	l.bytes += len(b)
	for l.bytes > maxRecent && len(l.recent) > 1 {
		l.bytes -= len(l.recent[0])
		l.recent[0] = nil
		l.recent = l.recent[1:]
	}
}

// last are the lines kept, oldest first.
func (l *lines) last() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]byte, 0, l.bytes)
	for _, b := range l.recent {
		out = append(out, b...)
	}
	return out
}

// split gives lines of at most MaxLine bytes, the first of which has the notes and
// the tallies.
func split(line Line) []Line {
	head := line
	head.Observations, head.Tallies = nil, nil
	base := size(head) + lineRoom
	var out []Line
	cur, used := head, base
	next := func(n int) {
		if used+n+1 <= MaxLine {
			used += n + 1
			return
		}
		out = append(out, cur)
		cur, used = head, base+n+1
		cur.Notes = nil
	}
	for _, t := range line.Tallies {
		next(size(t))
		cur.Tallies = append(cur.Tallies, t)
	}
	for _, o := range line.Observations {
		next(size(o))
		cur.Observations = append(cur.Observations, o)
	}
	return append(out, cur)
}

func size(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return MaxLine
	}
	return len(b)
}

// stamp is a time as observations have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
