package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tables that the truth tests compare with. Each flag may be given several
// times. Given rows replace those of testdata; given sets and policies are added
// to them and win by name. Files may be gzip'd.
var (
	truthFlows    = files("truth", "measured flows, JSON lines", "cilium-truth.jsonl.gz")
	truthSets     = files("sets", "configuration sets of the flows, JSON", "cilium-truth-sets.json.gz")
	truthPolicies = files("policies", "policies of the flows by name, JSON", "cilium-truth-policies.json.gz")
	truthStarts   = files("startup", "measured starts, JSON lines", "cilium-startup.jsonl.gz", "cilium-startup-1.20.jsonl.gz")
)

// maxTable bounds what is read of one table, in bytes.
const maxTable = 256 << 20

// fileList is a repeatable flag.
type fileList struct {
	given    []string
	defaults []string
}

func files(name, usage string, defaults ...string) *fileList {
	l := &fileList{}
	for _, d := range defaults {
		l.defaults = append(l.defaults, filepath.Join("testdata", d))
	}
	flag.Var(l, name, usage+"; repeatable")
	return l
}

func (l *fileList) String() string { return strings.Join(l.given, ",") }

func (l *fileList) Set(v string) error {
	if v == "" {
		return errors.New("a file name is needed")
	}
	l.given = append(l.given, v)
	return nil
}

func (l *fileList) paths() []string {
	if len(l.given) > 0 {
		return l.given
	}
	return l.defaults
}

// readTable reads a plain or gzip'd file, known by its first bytes.
func readTable(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if head, _ := r.(*bufio.Reader).Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(data) > maxTable {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxTable)
	}
	return data, nil
}

// readLines decodes every line of the files as one T.
func readLines[T any](t *testing.T, l *fileList) []T {
	t.Helper()
	var out []T
	for _, path := range l.paths() {
		data, err := readTable(path)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		for {
			var row T
			if err := dec.Decode(&row); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: row %d: %v", path, len(out)+1, err)
			}
			out = append(out, row)
		}
	}
	return out
}

// readObjects merges the files, each one JSON object; a later file wins.
func readObjects[T any](t *testing.T, l *fileList) map[string]T {
	t.Helper()
	out := map[string]T{}
	for _, path := range append(slices.Clone(l.defaults), l.given...) {
		data, err := readTable(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return out
}

// tally counts a truth test's rows.
type tally struct{ agreed, disagreed, unknown int }

func (c tally) String() string {
	return fmt.Sprintf("%d agreed, %d disagreed, %d unknown", c.agreed, c.disagreed, c.unknown)
}

func (c tally) rows() int { return c.agreed + c.disagreed + c.unknown }
