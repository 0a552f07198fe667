package source

import (
	"sync"
	"sync/atomic"
)

const (
	// maxKept and maxKeptFile bound what is remembered of files' contents, in
	// bytes. A repository of 10,000 manifests holds some 20 MB.
	maxKept     = 64 << 20
	maxKeptFile = 256 << 10
	// maxParsed bounds the text of which parsed documents are remembered, in
	// bytes: nodes take some twenty times the memory of their text.
	maxParsed = 3 << 20
)

// contents remembers files that were read, so that all questions about a
// release are answered from one state of the disk, and quickly. Safe for
// concurrent use.
type contents struct {
	mu     sync.RWMutex
	files  map[string][]byte
	bytes  int
	parsed map[string]parsed
	nodes  int // bytes of text behind parsed
	// builds counts the runs of kustomize.
	builds atomic.Int64
}

// parsed is what parse gave for a file. Nobody changes the nodes.
type parsed struct {
	docs []document
	err  error
}

func (c *contents) get(p string) ([]byte, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b, ok := c.files[p]
	return b, ok
}

func (c *contents) put(p string, b []byte) {
	if len(b) > maxKeptFile {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == nil {
		c.files = map[string][]byte{}
	}
	if _, ok := c.files[p]; ok || c.bytes+len(b) > maxKept {
		return
	}
	c.files[p] = b
	c.bytes += len(b)
}

func (c *contents) documents(p string) (parsed, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	d, ok := c.parsed[p]
	return d, ok
}

func (c *contents) putDocuments(p string, size int, d parsed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil {
		c.parsed = map[string]parsed{}
	}
	if _, ok := c.parsed[p]; ok || c.nodes+size > maxParsed {
		return
	}
	c.parsed[p] = d
	c.nodes += size
}

// documents parses a file of the tree, once.
func (t *tree) documents(file string) ([]document, error) {
	_, over := t.overlay[file]
	plain := !over && t.real(file) == file && (len(t.overlay) == 0 || !t.hidden(file))
	if plain {
		if d, ok := t.kept.documents(file); ok {
			return d.docs, d.err
		}
	}
	src, err := t.read(file)
	if err != nil {
		return nil, err
	}
	docs, err := parse(file, src)
	if plain {
		t.kept.putDocuments(file, len(src), parsed{docs, err})
	}
	return docs, err
}
