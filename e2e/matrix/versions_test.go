//go:build linux

package matrix

import (
	"slices"
	"strings"
	"testing"
)

// TestBedsOf: the first bed's stages beyond the core are run on one version only.
func TestBedsOf(t *testing.T) {
	for _, c := range []struct {
		version, stage string
		want           bool
	}{
		{"", "segment, native CIDR holds pods", true},
		{"", "segment, native CIDR holds far", true},
		{"1.19.6", "segment, native CIDR holds pods", true},
		{"1.19.6", "segment, native CIDR holds far", false},
		{"1.19.6", "policies, CIDR rules match nodes", true},
	} {
		var names []string
		for _, b := range BedsOf(c.version) {
			for _, s := range b.Stages {
				names = append(names, b.Name+", "+s.Name)
			}
		}
		if got := slices.Contains(names, c.stage); got != c.want {
			t.Errorf("%q on %q: %v", c.stage, c.version, got)
		}
	}
}

// TestRecords: each version has a record of its own, which is read as it was written.
func TestRecords(t *testing.T) {
	dir := t.TempDir()
	row := Row{Bed: "segment", Stage: "native CIDR holds pods", Flow: "IPv4 TCP a1 -> a2"}
	for _, version := range []string{"", "1.20.2", "1.19.6"} {
		r := &Record{Version: version, Machine: Machine{Cilium: "on " + version, Kernel: "6.18"}, Seen: map[string]Outcome{row.Name(): {Result: version}}}
		if err := r.Write(dir, BedsOf(version)); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := Versions(dir)
	if err != nil || !slices.Equal(versions, []string{"1.19.6", "1.20.2"}) {
		t.Errorf("versions %q, %v", versions, err)
	}
	for _, version := range append(versions, "") {
		r, err := ReadRecord(dir, version)
		if err != nil {
			t.Fatal(err)
		}
		if r.Version != version || r.Machine.Cilium != "on "+version || r.Seen[row.Name()].Result != version {
			t.Errorf("%q: read %+v", version, r)
		}
	}
}

// TestOtherVersions: the page shows what a version does otherwise than the first, and
// what only it can be asked, beside the model.
func TestOtherVersions(t *testing.T) {
	row := func(flow, seen, predicted string) Row {
		return Row{Bed: "bed", Stage: "state", Flow: flow, Seen: Outcome{Result: seen}, Predicted: Outcome{Result: predicted}}
	}
	rows := []Row{
		row("IPv4 TCP a1 -> a2", Reached, Reached),
		row("IPv6 TCP a1 -> a2", Reached, NotReached),
		row("IPv6 TCP a1 -> a3", Reached, Reached),
		row("IPv6 TCP a1 -> near", "", Reached),
	}
	first := &Record{Machine: Machine{Cilium: "1.18.6"}, Seen: map[string]Outcome{
		rows[0].Name(): {Result: Reached}, rows[1].Name(): {Result: NotReached},
	}}
	p := &page{record: first}
	p.versions([]Measured{{Record: &Record{Version: "1.20.2", Machine: Machine{Cilium: "1.20.2", Kernel: "6.18"}}, Rows: rows}})
	for _, want := range []string{
		"| 1.20.2 | 6.18 | 3 | 2 (66.7 %) | 1 | 0 | 1 | 1 |\n",
		"| bed, state | a1 -> a2: IPv6 TCP | not reached | reached | **result: reached was seen, not reached predicted**: not reached |\n",
		"### What only 1.20.2 can be asked",
		"| bed, state | a1 -> a3: IPv6 TCP | reached | the same |\n",
	} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, p.String())
		}
	}
	if strings.Contains(p.String(), "IPv4 TCP") {
		t.Errorf("the page shows what is the same:\n%s", p.String())
	}
}
