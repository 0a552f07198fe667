package matrix

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	// Version of Cilium, "1.19.6", empty for the one that all rows are measured on.
	Version string
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

const coverageFile = "uncovered.txt"

// machineFile and seenFile are a record's.
func machineFile(version string) string { return ofVersion("machine", version) + ".json" }
func seenFile(version string) string    { return ofVersion("seen", version) + ".jsonl" }

func ofVersion(name, version string) string { return strings.TrimSuffix(name+"-"+version, "-") }

// Versions are those of the records in a folder besides the one of all rows, in order.
func Versions(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, machineFile("*")))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, file := range files {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "machine-"), ".json"))
	}
	slices.Sort(out)
	return out, nil
}

// ReadRecord reads a version's record in a folder; the version is empty for the one of
// all rows. What has not been measured yet is not in it.
func ReadRecord(dir, version string) (*Record, error) {
	r := &Record{Version: version, Seen: map[string]Outcome{}}
	coverage, err := os.ReadFile(filepath.Join(dir, coverageFile))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	r.Coverage = strings.Split(strings.TrimSpace(string(coverage)), "\n")
	machine, err := os.ReadFile(filepath.Join(dir, machineFile(version)))
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(machine, &r.Machine); err != nil {
		return nil, fmt.Errorf("%s: %w", machineFile(version), err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, seenFile(version)))
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(seen))
	for number := 1; lines.Scan(); number++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", seenFile(version), number, err)
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
	if err := os.WriteFile(filepath.Join(dir, machineFile(r.Version)), append(machine, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, seenFile(r.Version)), text.Bytes(), 0o644)
}
