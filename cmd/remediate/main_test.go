package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	labMain(m)
	testscript.Main(m, map[string]func(){
		"remediate": func() { os.Exit(run()) },
	})
}

// Each script is a user's session: what is typed, what is read, what is left
// on disk. `lay NAME DIR` lays a bundled incident out; $CHART is the real chart.
func TestScripts(t *testing.T) {
	chart := testbed.ChartDir(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CHART", chart)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("KUBECONFIG", filepath.Join(e.WorkDir, "no-kubeconfig"))
			e.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(e.WorkDir, "gitconfig"))
			return os.WriteFile(filepath.Join(e.WorkDir, "gitconfig"), []byte("[user]\nname = Test\nemail = test@example.com\n[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lay":     layCommand,
			"replace": replaceCommand,
			"makebig": bigCommand,
			"count":   countCommand,
		},
	})
}

func layCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lay NAME DIR")
	}
	_, _, err := examples.Lay(args[0], ts.MkAbs(args[1]))
	ts.Check(err)
}

// replaceCommand replaces text in a file: replace FILE OLD NEW.
func replaceCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	if !strings.Contains(string(b), args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(file, []byte(strings.ReplaceAll(string(b), args[1], args[2])), 0o644))
}

// bigCommand writes a file of so many MiB of comments and appends FILE's text.
func bigCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: makebig FILE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	line := strings.Repeat("# filler ", 1<<10) + "\n"
	for range 100 << 20 / len(line) {
		_, err := f.WriteString(line)
		ts.Check(err)
	}
	ts.Check(f.Close())
}

// countCommand holds the number of files below a folder: count N DIR.
func countCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: count N DIR")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	if fmt.Sprint(len(entries)) != args[0] {
		ts.Fatalf("%s holds %d entries, want %s", args[1], len(entries), args[0])
	}
}

// The plan of the incident, in every form, byte for byte.
func TestIncidentGolden(t *testing.T) {
	dir := t.TempDir()
	repo, snap, err := examples.Lay(examples.Default, filepath.Join(dir, "incident"))
	if err != nil {
		t.Fatal(err)
	}
	chart := testbed.ChartDir(t)
	for format, ext := range map[string]string{"text": "txt", "json": "json", "yaml": "yaml", "markdown": "md", "html": "html", "diff": "diff"} {
		t.Run(format, func(t *testing.T) {
			var out, errs strings.Builder
			if code := execute(context.Background(), []string{"plan", "--repo", repo, "--snapshot", snap, "--chart", chart, "-o", format}, &out, &errs); code != 0 {
				t.Fatalf("exit code %d: %s", code, errs.String())
			}
			golden := filepath.Join("testdata", "golden", "incident."+ext)
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != out.String() {
				t.Errorf("%s differs from %s: run with -update and read the change\n%s", format, golden, firstDifference(string(want), out.String()))
			}
		})
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(b), len(a))
}
