package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"sync"
)

// batchBytes is how much text is decoded at once, on all processors.
const batchBytes = 4 * mib

// reader feeds files to a builder. Pieces are decoded in parallel and applied
// in their order, so that the result does not depend on timing.
type reader struct {
	ctx     context.Context
	lim     limits
	builder *builder
	objects int
}

// batch is a run of pieces of one file.
type batch struct {
	name   string
	chunks []chunk
	size   int
}

// file reads one file of YAML or JSON. Errors name the file and the line.
func (r *reader) file(name string, open opener) error {
	b := batch{name: name}
	emit := func(c chunk) error {
		b.chunks = append(b.chunks, c)
		if b.size += len(c.text); b.size < batchBytes && len(b.chunks) < 1000 {
			return nil
		}
		return r.apply(&b)
	}
	split, err := splitterFor(name, open, r.lim)
	if err == nil {
		err = split(open, r.lim, emit)
	}
	// Errors in what was read before come first.
	if applyErr := r.apply(&b); applyErr != nil {
		err = applyErr
	}
	return inFile(name, err)
}

type splitFunc func(open opener, lim limits, emit func(chunk) error) error

// splitterFor tells JSON from YAML by the first character. A short file named
// .yaml that begins like JSON may be YAML in flow style, and is YAML anyway.
func splitterFor(name string, open opener, lim limits) (splitFunc, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, int64(lim.object)+1))
	if err != nil {
		return nil, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return splitYAML, nil
	}
	if path.Ext(name) != ".json" && len(head) <= lim.object && !json.Valid(text) {
		return splitYAML, nil
	}
	return splitJSON, nil
}

// apply decodes a batch and empties it.
func (r *reader) apply(b *batch) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	results := make([]decoded, len(b.chunks))
	errs := make([]error, len(b.chunks))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(b.chunks)) {
		workers.Go(func() {
			for i := range next {
				results[i], errs[i] = b.chunks[i].decode(r.lim)
			}
		})
	}
	for i := range b.chunks {
		next <- i
	}
	close(next)
	workers.Wait()
	b.chunks, b.size = b.chunks[:0], 0
	for i := range results {
		if errs[i] != nil {
			return errs[i]
		}
		if err := r.take(results[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) take(d decoded) error {
	if r.objects += d.count; r.objects > r.lim.objects {
		return fmt.Errorf("more than %d objects", r.lim.objects)
	}
	for _, kind := range d.kinds {
		r.builder.read(kind)
	}
	for _, o := range d.items {
		o.fill(r.builder)
	}
	return nil
}

// inFile puts the file's name, and the line where it is known, before an error.
func inFile(name string, err error) error {
	var le *lineError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &le):
		return fmt.Errorf("%s:%d: %w", name, le.line, le.err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// looksLikeObjects says whether a file that is not named .yaml, .yml or .json
// holds Kubernetes objects: its first line that counts is one of an object.
func looksLikeObjects(open opener) (bool, error) {
	f, err := open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 16<<10))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(head)) {
		line = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), " \t\r\n")
		if line == "" || line[0] == '#' || line == "---" {
			continue
		}
		if line[0] == '{' {
			return bytes.Contains(head, []byte(`"apiVersion"`)), nil
		}
		word, _, found := strings.Cut(line, ":")
		return found && (word == "apiVersion" || word == "kind" || word == "items" || word == "metadata"), nil
	}
	return false, nil
}

func isObjectFile(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
