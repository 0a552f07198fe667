//go:build linux

package matrix

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

var update = flag.Bool("update", false, "write docs/fidelity.md anew")

// fidelity is the page.
var fidelity = filepath.Join("..", "..", "docs", "fidelity.md")

// predicted is all rows of a version with what the model says of them and what was
// measured.
func predicted(t *testing.T, record *Record) []Row {
	t.Helper()
	var release string
	if i := strings.LastIndex(record.Version, "."); i > 0 {
		release = record.Version[:i]
	}
	made := map[string]agent.Config{}
	render := func(values ...string) agent.Config {
		key := strings.Join(values, "\n---\n")
		if _, ok := made[key]; !ok {
			made[key] = cilium.RenderRelease(t, release, values...)
		}
		return made[key]
	}
	var out []Row
	for _, b := range BedsOf(record.Version) {
		rows, err := b.Predict(render)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			row.Seen = record.Seen[row.Name()]
			out = append(out, row)
		}
	}
	return out
}

func recorded(t *testing.T, version string) *Record {
	t.Helper()
	record, err := ReadRecord("testdata", version)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// TestModel holds the model against what real agents did, and the page against both.
// Rows that nobody has sent yet are counted there.
func TestModel(t *testing.T) {
	record := recorded(t, "")
	rows := predicted(t, record)
	hold(t, rows)
	versions, err := Versions("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var others []Measured
	for _, version := range versions {
		m := Measured{Record: recorded(t, version)}
		m.Rows = predicted(t, m.Record)
		t.Run(version, func(t *testing.T) { hold(t, m.Rows) })
		others = append(others, m)
	}
	page, err := Page(record, rows, others...)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(fidelity, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(fidelity)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Error("docs/fidelity.md is out of date: run go test ./e2e/matrix -update")
	}
}

// hold holds the model against what was measured on one version.
func hold(t *testing.T, rows []Row) {
	t.Helper()
	for _, row := range rows {
		wrong, open := Diff(row.Seen, row.Predicted)
		switch {
		case row.Seen == (Outcome{}):
			t.Logf("%s was not sent yet: run sudo REMEDIATE_UPDATE=missing make conformance-full", row.Name())
		case len(wrong) > 0:
			t.Errorf("%s: %s", row.Name(), strings.Join(wrong, "; "))
		case len(open) > 0:
			t.Logf("%s: open: %s", row.Name(), strings.Join(open, "; "))
		}
	}
	c := CountOf(rows)
	t.Logf("%d rows, %d values: %d agree, %d disagree, %d leave a column open", c.Rows, c.Values, c.Agreed(), c.Wrong, c.Open)
	if c.Open*100 >= c.Rows*3 {
		t.Errorf("%d of %d rows are left open: 3 %% and more", c.Open, c.Rows)
	}
}

// TestTable: the matrix is as large as it has to be, everything in it is used, and no
// name stands for two things.
func TestTable(t *testing.T) {
	rows := map[string]bool{}
	configs, policies := map[string]int{}, map[string]int{}
	for _, c := range Configs() {
		configs[c.Name]++
	}
	for _, p := range Policies() {
		policies[p.Name]++
	}
	for _, used := range []map[string]int{configs, policies} {
		for name, n := range used {
			if n != 1 {
				t.Errorf("%d things are called %q", n, name)
			}
			used[name] = 0
		}
	}
	for _, b := range Beds() {
		for _, s := range b.Stages {
			for _, name := range s.Configs {
				configs[name]++
			}
			for _, name := range s.Policies {
				policies[name]++
			}
			flows, err := ParseFlows(s.Flows...)
			if err != nil {
				t.Error(err)
			}
			for _, f := range flows {
				name := Row{Bed: b.Name, Stage: s.Name, Flow: f.String()}.Name()
				if rows[name] {
					t.Errorf("%s is there twice", name)
				}
				rows[name] = true
			}
		}
	}
	for _, used := range []map[string]int{configs, policies} {
		for name, n := range used {
			if n == 0 {
				t.Errorf("%q is used by no stage", name)
			}
		}
	}
	if len(configs) < 60 || len(rows) < 600 {
		t.Errorf("%d configurations and %d rows, want 60 and 600", len(configs), len(rows))
	}
	t.Logf("%d configurations, %d policies, %d rows", len(configs), len(policies), len(rows))
}

// TestDiff: a change of any column is noticed, and a column that was not observed is
// not compared.
func TestDiff(t *testing.T) {
	seen := Outcome{Reached, "node", "remote-node", "allow", noEvent, noDrop, "bpf"}
	for _, c := range columns() {
		changed := seen
		*c.value(&changed) = "other"
		if wrong, open := Diff(seen, changed); len(wrong) != 1 || len(open) != 0 {
			t.Errorf("%s changed: %q, %q", c.name, wrong, open)
		}
		if changes := Changed(seen, changed); len(changes) != 1 {
			t.Errorf("%s changed: %q", c.name, changes)
		}
		*c.value(&changed) = ""
		if wrong, open := Diff(seen, changed); len(wrong) != 0 || len(open) != 1 {
			t.Errorf("%s open: %q, %q", c.name, wrong, open)
		}
		if wrong, open := Diff(changed, seen); len(wrong)+len(open) != 0 {
			t.Errorf("%s not seen: %q, %q", c.name, wrong, open)
		}
	}
}

// TestParseFlows: what is no flow is refused.
func TestParseFlows(t *testing.T) {
	flows, err := ParseFlows("a1 -> a2: 46 IT size 100 port 9")
	if err != nil || len(flows) != 4 || flows[3].String() != "IPv6 TCP a1 -> a2 port 9 size 100" {
		t.Errorf("%v, %v", flows, err)
	}
	for _, line := range []string{"a1 -> a2", "a1 a2: 4 T", "a1 -> a2: 5 T", "a1 -> a2: 4 X", "a1 -> a2: 4 T size", "a1 -> a2: 4 T size x", "a1 -> a2: 4 T weight 1"} {
		if flows, err := ParseFlows(line); err == nil {
			t.Errorf("%q is read as %v", line, flows)
		}
	}
}
