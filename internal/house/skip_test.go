package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// skips names the calls in a test file that leave a test out, or make it do less
// with -short.
func skips(fset *token.FileSet, f *ast.File) []string {
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		of, _ := s.X.(*ast.Ident)
		if slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) || s.Sel.Name == "Short" && of != nil && of.Name == "testing" {
			out = append(out, fset.Position(call.Pos()).String()+": "+s.Sel.Name)
		}
		return true
	})
	return out
}

// A test that is left out looks like one that passes. What a machine lacks fails.
func TestNothingIsSkipped(t *testing.T) {
	base, files := root(t), 0
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != base {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // the compiler says so
		}
		for _, s := range skips(fset, f) {
			t.Error(s)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files were looked at, %v", files, err)
	}
}

func TestSkipRuleBites(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x_test.go", "package x\n\nfunc f(t T) {\n\tif testing.Short() {\n\t\tt.Skip(\"later\")\n\t}\n\tt.Log(1)\n}\n", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := skips(fset, f); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
