package kubelet

import (
	"bytes"
	"sync"
	"time"
)

// maxRecord is what a container runtime writes as one record at most; a longer line
// is several, of which all but the last are partial (CRI's tag P).
const maxRecord = 16 << 10

// record is one record of a log file.
type record struct {
	at      time.Time
	text    []byte
	partial bool
}

// logFile is a container's log: the present file, and the one before it for those
// who follow. Records are numbered from 0.
type logFile struct {
	limit int

	mu      sync.Mutex
	records []record
	// first is the number of records[0], file the first of the present file.
	first, file uint64
	size        int // of the present file, in bytes
	pending     []byte
	cut         bool
	closed      bool
	grown       chan struct{} // closed when something is written
}

func newLogFile(limit int) *logFile { return &logFile{limit: limit, grown: make(chan struct{})} }

// Write takes a container's output in.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, p...)
	for {
		line, rest, whole := bytes.Cut(l.pending, []byte("\n"))
		if !whole && len(line) < maxRecord {
			break
		}
		if len(line) > maxRecord || !whole {
			l.add(line[:maxRecord], true)
			l.pending = l.pending[maxRecord:]
			continue
		}
		l.line(line)
		l.pending = rest
	}
	l.pending = bytes.Clone(l.pending)
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

// line adds a whole line, in two halves when the file is to be cut in it.
func (l *logFile) line(line []byte) {
	if l.cut && len(line) > 1 {
		l.cut = false
		half := len(line) / 2
		l.add(line[:half], true)
		l.rotate()
		line = line[half:]
	}
	l.add(line, false)
}

func (l *logFile) add(text []byte, partial bool) {
	if l.size+len(text) > l.limit && l.size > 0 {
		l.rotate()
	}
	l.records = append(l.records, record{time.Now().UTC(), bytes.Clone(text), partial})
	l.size += len(text)
}

// rotate begins a new file; of the old ones the last is kept.
func (l *logFile) rotate() {
	old := l.file - l.first
	l.records = append([]record(nil), l.records[old:]...)
	l.first = l.file
	l.file = l.first + uint64(len(l.records))
	l.size = 0
}

func (l *logFile) cutNext() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.grown)
	l.grown = make(chan struct{})
}

// start is the number of the first record of the present file.
func (l *logFile) start() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// read gives the records from a number on, the next number, whether more can come,
// and what is closed when it does.
func (l *logFile) read(from uint64) (out []record, next uint64, open bool, grown <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = max(from, l.first)
	next = l.first + uint64(len(l.records))
	if from < next {
		out = l.records[from-l.first:]
	}
	return out, next, !l.closed, l.grown
}
