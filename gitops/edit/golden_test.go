package edit_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/remediate-dev/remediate/gitops/edit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// instruction is one change of changes.json.
type instruction struct {
	Document int
	Block    string
	Set      string
	Remove   string
	Value    any
}

func (i instruction) apply(t *testing.T, src []byte) []byte {
	t.Helper()
	parse := func(s string) []string {
		path, err := edit.ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	change := edit.Change{Document: i.Document, Path: parse(i.Set), Value: i.Value}
	if i.Remove != "" {
		change = edit.Change{Document: i.Document, Path: parse(i.Remove), Remove: true}
	}
	var out []byte
	var err error
	if i.Block != "" {
		out, err = edit.ApplyBlock(src, i.Document, parse(i.Block), change)
	} else {
		out, err = edit.Apply(src, change)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whole files as people write them; the diff is what a reviewer would see.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/edits/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var changes []instruction
			if err := json.Unmarshal(archive.Files[0].Data, &changes); err != nil {
				t.Fatal(err)
			}
			before := archive.Files[1].Data
			after := before
			for _, c := range changes {
				after = c.apply(t, after)
			}
			golden := &archive.Files[2]
			got := edit.Diff("before.yaml", before, after)
			if *update {
				golden.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(golden.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
