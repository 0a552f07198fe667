//go:build linux

package matrix

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modelPackage = "github.com/remediate-dev/remediate/detect/datapath"

// traced are the files of detect/datapath that Model.Trace runs through.
func tracedFiles() []string {
	return []string{"ends.go", "hairpin.go", "inbound.go", "masquerade.go", "route.go", "size.go", "steps.go", "trace.go", "transport.go"}
}

// TestCoverage: the matrix runs every statement of the model's walk but those in
// testdata/uncovered.txt, each of which needs what the testbed cannot be.
func TestCoverage(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "profile")
	// What TestModel says is its own affair; the profile is written either way.
	out, err := exec.Command("go", "test", "-count=1", "-run", "^TestModel$", "-coverpkg="+modelPackage, "-coverprofile="+profile, ".").CombinedOutput()
	text, readErr := os.ReadFile(profile)
	if readErr != nil {
		t.Fatalf("%v: %v\n%s", readErr, err, out)
	}
	all, missed := statements(t, text)
	got := fmt.Sprintf("%d of %d statements\n%s", all-sum(missed), all, strings.Join(slices.Sorted(maps.Keys(missed)), ""))
	golden := filepath.Join("testdata", coverageFile)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the matrix covers\n%s\nwant\n%s\nAdd rows for what is new, or run go test ./e2e/matrix -update", got, want)
	}
}

func sum(counts map[string]int) (out int) {
	for _, n := range counts {
		out += n
	}
	return out
}

// statements counts those of the traced files, and those that were not run by the
// function and the first line of the block that they are in.
func statements(t *testing.T, profile []byte) (all int, missed map[string]int) {
	t.Helper()
	missed = map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(profile))
	for lines.Scan() {
		file, block, ok := strings.Cut(strings.TrimPrefix(lines.Text(), modelPackage+"/"), ":")
		if !ok || !slices.Contains(tracedFiles(), file) {
			continue
		}
		var line, column, endLine, endColumn, count, runs int
		if _, err := fmt.Sscanf(block, "%d.%d,%d.%d %d %d", &line, &column, &endLine, &endColumn, &count, &runs); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		all += count
		if runs == 0 && count > 0 {
			missed[where(t, file, line, endLine)] += count
		}
	}
	return all, missed
}

// where names a block so that other lines do not change its name.
func where(t *testing.T, file string, line, endLine int) string {
	t.Helper()
	path := filepath.Join("..", "..", "detect", "datapath", file)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	function := ""
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && files.Position(f.Pos()).Line <= line && line <= files.Position(f.End()).Line {
			function = f.Name.Name
		}
	}
	lines := strings.Split(string(source), "\n")
	first := strings.TrimSpace(lines[min(line, endLine-1)])
	return fmt.Sprintf("%s %s: %s\n", file, function, first)
}
