package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	fileLinesAim = 400
	fileLinesMax = 500
	funcLinesMax = 80
)

// source is one parsed Go file that is neither a test nor generated.
type source struct {
	pkg  pkg
	file string // relative to the checkout
	fset *token.FileSet
	ast  *ast.File
}

var generated = regexp.MustCompile(`^// Code generated .* DO NOT EDIT\.$`)

func isGenerated(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && generated.MatchString(c.Text) {
				return true
			}
		}
	}
	return false
}

// sources parses the files of the packages. One that does not parse is left to
// the compiler.
func sources(t *testing.T, list []pkg) []source {
	t.Helper()
	base := root(t)
	var out []source
	for _, p := range list {
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				continue
			}
			rel, err := filepath.Rel(base, path)
			if err != nil {
				t.Fatal(err)
			}
			if !isGenerated(f) {
				out = append(out, source{p, rel, fset, f})
			}
		}
	}
	return out
}

func parseText(t *testing.T, p pkg, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{p, "x.go", fset, f}
}

func (s source) lines() int { return s.fset.File(s.ast.Package).LineCount() }

// longFuncs lists functions of more lines than max, braces included.
func longFuncs(s source, max int) []string {
	var out []string
	for _, d := range s.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		from, to := s.fset.Position(fn.Pos()), s.fset.Position(fn.End())
		if n := to.Line - from.Line + 1; n > max {
			out = append(out, fmt.Sprintf("%s:%d: function %s has %d lines, at most %d: split it", s.file, from.Line, fn.Name.Name, n, max))
		}
	}
	return out
}

// clocks lists calls that read or wait for the clock.
func clocks(s source) []string {
	forbidden := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	var out []string
	ast.Inspect(s.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if ok && x.Name == "time" && slices.Contains(forbidden, sel.Sel.Name) {
			pos := s.fset.Position(sel.Pos())
			out = append(out, fmt.Sprintf("%s:%d: time.%s: the pure core has no clock", s.file, pos.Line, sel.Sel.Name))
		}
		return true
	})
	return out
}

// undocumented lists packages without a doc comment, with one that does not say
// what the package is, or with several of them.
func undocumented(files []source) []string {
	docs := map[string][]string{}
	text := map[string]string{}
	name := map[string]string{}
	for _, s := range files {
		path := s.pkg.rel()
		name[path] = s.ast.Name.Name
		if s.ast.Doc != nil {
			docs[path] = append(docs[path], s.file)
			text[path] = s.ast.Doc.Text()
		}
	}
	var out []string
	for path, n := range name {
		switch found := docs[path]; {
		case len(found) == 0:
			out = append(out, fmt.Sprintf("%s: package %s has no doc comment", path, n))
		case len(found) > 1:
			out = append(out, fmt.Sprintf("%s: doc comment in several files: %s", path, strings.Join(found, ", ")))
		case n != "main" && !strings.HasPrefix(text[path], "Package "+n+" "):
			out = append(out, fmt.Sprintf("%s: the doc comment must begin with %q", found[0], "Package "+n))
		}
	}
	slices.Sort(out)
	return out
}

// vague lists packages whose name says nothing.
func vague(list []pkg) []string {
	names := []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "lib"}
	var out []string
	for _, p := range list {
		if slices.Contains(names, p.Name) {
			out = append(out, fmt.Sprintf("%s: name the package after what it provides, not %q", p.rel(), p.Name))
		}
	}
	return out
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	report(t, undocumented(sources(t, packages(t))))
}

func TestPackageNames(t *testing.T) {
	report(t, vague(packages(t)))
}

func TestSizes(t *testing.T) {
	for _, s := range sources(t, packages(t)) {
		if n := s.lines(); n > fileLinesMax {
			t.Errorf("%s has %d lines, at most %d: split it", s.file, n, fileLinesMax)
		} else if n > fileLinesAim {
			t.Logf("%s has %d lines, aim for %d", s.file, n, fileLinesAim)
		}
		report(t, longFuncs(s, funcLinesMax))
	}
}

func TestPureCoreHasNoClock(t *testing.T) {
	for _, s := range sources(t, packages(t)) {
		if anyIn(s.pkg.ImportPath, pure()) {
			report(t, clocks(s))
		}
	}
}

func TestShapeRulesBite(t *testing.T) {
	long := "package x\n\nfunc f() {\n" + strings.Repeat("\tg()\n", 79) + "}\n\nfunc g() {\n}\n"
	if got := longFuncs(parseText(t, pkg{}, long), 80); len(got) != 1 || !strings.Contains(got[0], "function f has 81 lines") {
		t.Errorf("longFuncs: %q", got)
	}
	if got := longFuncs(parseText(t, pkg{}, long), 81); len(got) != 0 {
		t.Errorf("longFuncs of 81 lines at most: %q", got)
	}
	clock := "package x\n\nimport \"time\"\n\nvar a = time.Now\n\nvar b time.Time\n\nvar c = time.Second\n"
	if got := clocks(parseText(t, pkg{}, clock)); len(got) != 1 || !strings.HasPrefix(got[0], "x.go:5:") {
		t.Errorf("clocks: %q", got)
	}
	gen := "// Code generated by x. DO NOT EDIT.\n\npackage x\n"
	if !isGenerated(parseText(t, pkg{}, gen).ast) || isGenerated(parseText(t, pkg{}, long).ast) {
		t.Error("isGenerated does not tell a generated file from another")
	}
	if got := vague([]pkg{{ImportPath: module + "/internal/utils", Name: "utils"}, {Name: "edit"}}); len(got) != 1 {
		t.Errorf("vague: %q", got)
	}
}

func TestDocRuleBites(t *testing.T) {
	x := pkg{ImportPath: module + "/x"}
	tests := []struct {
		name  string
		files []string
		want  string
	}{
		{"none", []string{"package x\n"}, "has no doc comment"},
		{"detached", []string{"// Package x is.\n\npackage x\n"}, "has no doc comment"},
		{"other words", []string{"// x is.\npackage x\n"}, "must begin"},
		{"two", []string{"// Package x is.\npackage x\n", "// Package x too.\npackage x\n"}, "several files"},
		{"good", []string{"// Package x is.\npackage x\n", "package x\n"}, ""},
		{"a command", []string{"// X does.\npackage main\n"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var files []source
			for _, text := range tt.files {
				files = append(files, parseText(t, x, text))
			}
			got := strings.Join(undocumented(files), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
