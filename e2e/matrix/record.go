package matrix

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Machine is what a matrix was measured on.
type Machine struct {
	Cilium string `json:"cilium"`
	// Kernel is its major and minor release, "6.18".
	Kernel string `json:"kernel"`
}

// Record is what real agents were seen to do, by the rows' names.
type Record struct {
	Machine Machine
	Seen    map[string]Outcome
	// Coverage is testdata/uncovered.txt: how many statements of the model's walk the
	// rows run, and those that they do not.
	Coverage []string
}

// line of the record's file.
type line struct {
	Bed   string  `json:"bed"`
	Stage string  `json:"stage"`
	Flow  string  `json:"flow"`
	Seen  Outcome `json:"seen"`
}

const (
	machineFile  = "machine.json"
	seenFile     = "seen.jsonl"
	coverageFile = "uncovered.txt"
)

// ReadRecord reads a record's folder. What has not been measured yet is not in it.
func ReadRecord(dir string) (*Record, error) {
	r := &Record{Seen: map[string]Outcome{}}
	coverage, err := os.ReadFile(filepath.Join(dir, coverageFile))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	r.Coverage = strings.Split(strings.TrimSpace(string(coverage)), "\n")
	machine, err := os.ReadFile(filepath.Join(dir, machineFile))
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(machine, &r.Machine); err != nil {
		return nil, fmt.Errorf("%s: %w", machineFile, err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, seenFile))
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(seen))
	for number := 1; lines.Scan(); number++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", seenFile, number, err)
		}
		r.Seen[Row{Bed: l.Bed, Stage: l.Stage, Flow: l.Flow}.Name()] = l.Seen
	}
	return r, lines.Err()
}

// Write writes the record of the beds' rows in their order; what is no row any more
// is left out.
func (r *Record) Write(dir string, beds []Bed) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, b := range beds {
		for _, s := range b.Stages {
			flows, err := ParseFlows(s.Flows...)
			if err != nil {
				return err
			}
			for _, f := range flows {
				row := Row{Bed: b.Name, Stage: s.Name, Flow: f.String()}
				if seen, ok := r.Seen[row.Name()]; ok {
					if err := encoder.Encode(line{row.Bed, row.Stage, row.Flow, seen}); err != nil {
						return err
					}
				}
			}
		}
	}
	machine, err := json.MarshalIndent(r.Machine, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, machineFile), append(machine, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, seenFile), text.Bytes(), 0o644)
}
