package startup

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

var update = flag.Bool("update", false, "write docs/fidelity-startup.md")

func records(t *testing.T) []Record {
	t.Helper()
	all, err := Read("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// again is how a case is measured.
const again = "run REMEDIATE_FULL=1 REMEDIATE_UPDATE=missing go test -tags e2e -run TestStartup -timeout 60m ./e2e as root"

// TestRecorded holds the catalogue against what real agents did.
func TestRecorded(t *testing.T) {
	const enoughStarts, openShare = 30, 0.03
	for _, v := range tables(records(t)) {
		for _, j := range v.rows {
			switch {
			case j.wrong != "":
				t.Errorf("%s: %s: %s", v.Cilium, j.Name(), j.wrong)
			case !j.tried && (j.seen.NotTried == "" || j.want.Starts == snapshot.No && !j.Operator()):
				t.Errorf("%s: %s was never tried: %s", v.Cilium, j.Name(), again)
			}
		}
		n := v.count()
		if n.starts < enoughStarts {
			t.Errorf("%s: %d configurations start, want %d", v.Cilium, n.starts, enoughStarts)
		}
		if tried := n.starts + n.refused; float64(n.open) > openShare*float64(tried) {
			t.Errorf("%s: %d of %d are left open", v.Cilium, n.open, tried)
		}
	}
}

var moduleVersion = regexp.MustCompile(`(?m)^require github\.com/cilium/cilium v(\S+)$`)

// TestEveryVersion: each version that is built was measured.
func TestEveryVersion(t *testing.T) {
	measured := map[string]bool{}
	for _, r := range records(t) {
		measured[r.Machine.Cilium] = true
	}
	dir := filepath.Join("..", "..", "internal", "testbed", "cilium", "module")
	mods, err := filepath.Glob(filepath.Join(dir, "*", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(mods, filepath.Join(dir, "go.mod")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := moduleVersion.FindSubmatch(text)
		if m == nil {
			t.Errorf("%s requires no release of Cilium", path)
		} else if !measured[string(m[1])] {
			t.Errorf("Cilium %s was never tried: %s", m[1], again)
		}
	}
	if len(mods) == 0 {
		t.Errorf("no module of another release in %s", dir)
	}
}

// TestEveryRule: each wording of each rule was the answer of an agent of its releases, and
// where releases differ, the same configuration was tried on both sides.
func TestEveryRule(t *testing.T) {
	all := tables(records(t))
	for _, rule := range agent.Rules() {
		inside, both := 0, 0
		for i := range Cases() {
			in, out := sides(rule, i, all)
			if in {
				inside++
			}
			if in && out {
				both++
			}
		}
		others := slices.ContainsFunc(all, func(v table) bool { return !rule.In(v.Cilium) })
		switch {
		case untried(rule) != "" && inside > 0 && rule.Kind != agent.KindNotice:
			t.Errorf("%s (%s) is said not to be tried, and is", rule.ID, rule.Releases())
		case untried(rule) != "":
		case inside == 0:
			t.Errorf("%s (%s) is the answer to no case: %s; add one to internal/startcases, and %s", rule.ID, rule.Releases(), rule.Title, again)
		case others && both == 0:
			t.Errorf("%s (%s) has no case that was tried on both sides of its releases", rule.ID, rule.Releases())
		}
	}
}

// sides says whether a version of the rule's releases answered case i by it, and whether
// one of other releases was tried with the same.
func sides(rule agent.Rule, i int, all []table) (in, out bool) {
	for _, v := range all {
		in = in || v.rows[i].by(rule, v.Cilium)
		out = out || v.rows[i].tried && !rule.In(v.Cilium)
	}
	return in, out
}

func TestNamesAreUnique(t *testing.T) {
	var names []string
	for _, c := range Cases() {
		names = append(names, c.Name())
	}
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Errorf("%d cases, %d names", len(names), n)
	}
	for _, c := range Core() {
		if !slices.Contains(names, c.Name()) {
			t.Errorf("%s of the core is no case", c.Name())
		}
	}
}

// TestPage: docs/fidelity-startup.md is what the records say.
func TestPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "fidelity-startup.md")
	want := Page(records(t))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is out of date: run go test ./e2e/startup -update and commit it", path)
	}
	if strings.Contains(want, "%!") {
		t.Error("the page holds a formatting error")
	}
}
