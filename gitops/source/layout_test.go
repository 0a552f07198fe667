package source

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/remediate-dev/remediate/gitops/edit"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/layouts")

// lay writes a txtar's files below a new directory.
func lay(t testing.TB, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Each archive is a repository in one layout. Its comment says what to ask,
// one question a line: "options release=NS/NAME cluster=PATH", "ask VALUEPATH",
// "affects FILE", and "set VALUEPATH JSON", which changes the value at its place
// and says whether the rebuilt values are the intended ones and nothing else.
// The want section holds the answers.
func TestLayouts(t *testing.T) {
	files, err := filepath.Glob("testdata/layouts/*.txtar")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d layouts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			root := lay(t, a)
			got := strings.ReplaceAll(answers(root, string(a.Comment)), root, "ROOT")
			want := a.Files[len(a.Files)-1]
			if *update {
				if want.Name != "want" {
					a.Files = append(a.Files, txtar.File{Name: "want"})
				}
				a.Files[len(a.Files)-1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want.Name != "want" || got != string(want.Data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want.Data)
			}
		})
	}
}

func answers(root, questions string) string {
	opts := Options{Root: root}
	for _, line := range strings.Split(questions, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "options" {
			continue
		}
		for _, o := range f[1:] {
			k, v, _ := strings.Cut(o, "=")
			if k == "release" {
				opts.Release = v
			} else {
				opts.ClusterPath = v
			}
		}
	}
	var b bytes.Buffer
	r, err := Find(context.Background(), opts)
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
		return b.String()
	}
	describeRelease(&b, r)
	for _, line := range strings.Split(questions, "\n") {
		switch f := strings.Fields(line); {
		case len(f) == 2 && f[0] == "ask":
			describeValue(&b, r, f[1])
		case len(f) == 3 && f[0] == "set":
			changeValue(&b, root, r, f[1], f[2])
		case len(f) == 2 && f[0] == "affects":
			fmt.Fprintf(&b, "affects %s\n", f[1])
			for _, a := range r.Affects(f[1]) {
				fmt.Fprintf(&b, "  %s\n", a)
			}
		}
	}
	return b.String()
}

func describeRelease(b *bytes.Buffer, r *Release) {
	fmt.Fprintf(b, "release %s/%s %s:%d doc %d, installed as %s in %s, suspended %v\n", r.Namespace, r.Name, r.File, r.Line, r.Document, r.ReleaseName, r.TargetNamespace, r.Suspended)
	c := r.Chart
	fmt.Fprintf(b, "chart %s %q digest %q %s %q path %q from %s\n", c.Name, c.Version, c.Digest, c.Kind, c.URL, c.Path, c.Source)
	for _, k := range r.Kustomizations {
		fmt.Fprintf(b, "by %s\n", k)
	}
	for _, s := range r.Sources {
		fmt.Fprintf(b, "source %s %s %s:%d doc %d path %q block %v target %q writable %v %s\n", s.Kind, s.Name, s.File, s.Line, s.Document, s.Path(), s.Block, s.TargetPath, s.Writable, s.Why)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(b, "missing %s\n", m)
	}
	v, _ := json.Marshal(r.Values)
	fmt.Fprintf(b, "values %s\n", v)
}

func describeValue(b *bytes.Buffer, r *Release, path string) {
	w := r.Where(path)
	v, _ := json.Marshal(w.Value)
	fmt.Fprintf(b, "where %s found %v %s at %s:%d doc %d %v block %v variable %q secret %v\n", path, w.Found, v, w.File, w.Line, w.Document, w.YAMLPath, w.Block, w.Variable, w.Secret)
	for _, c := range w.Chain {
		fmt.Fprintf(b, "  %s\n", c)
	}
	p := r.Place(path)
	if p.Err != nil {
		fmt.Fprintf(b, "place %s error: %v\n", path, p.Err)
		return
	}
	fmt.Fprintf(b, "place %s at %s:%d doc %d %q block %q variable %q format %q env %q\n", path, p.File, p.Line, p.Document, p.YAMLPath, p.Block, p.Variable, p.Format, p.Env)
}

// changeValue edits as the planner does and compares all values.
func changeValue(b *bytes.Buffer, root string, r *Release, path, to string) {
	fmt.Fprintf(b, "set %s to %s\n", path, to)
	var value any
	if err := json.Unmarshal([]byte(to), &value); err != nil {
		fmt.Fprintf(b, "  error: %v\n", err)
		return
	}
	p := r.Place(path)
	if p.Err != nil {
		fmt.Fprintf(b, "  error: %v\n", p.Err)
		return
	}
	src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.File)))
	if err != nil {
		fmt.Fprintf(b, "  error: %v\n", err)
		return
	}
	out, err := applyAt(p, src, value)
	if err != nil {
		fmt.Fprintf(b, "  error: %v\n", err)
		return
	}
	for _, l := range strings.Split(edit.Diff(p.File, src, out), "\n") {
		if strings.HasPrefix(l, "-") || strings.HasPrefix(l, "+") {
			fmt.Fprintf(b, "  %s\n", l)
		}
	}
	got, err := r.Rebuild(map[string][]byte{p.File: out})
	if err != nil {
		fmt.Fprintf(b, "  error: %v\n", err)
		return
	}
	want := intendedValues(b, r.Values, splitPath(path), value)
	if gotJSON, wantJSON := toJSON(got), toJSON(want); gotJSON != wantJSON {
		fmt.Fprintf(b, "  other values change as well: %s\n", gotJSON)
		return
	}
	fmt.Fprintf(b, "  as intended, nothing else changes\n")
	for _, u := range r.VariableUsers(p) {
		fmt.Fprintf(b, "  %s is also used by %s\n", p.Variable, u)
	}
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// intendedValues is a deep copy with one value set.
func intendedValues(b *bytes.Buffer, values map[string]any, segs []string, value any) map[string]any {
	var out map[string]any
	if err := json.Unmarshal([]byte(toJSON(values)), &out); err != nil {
		fmt.Fprintf(b, "  error: %v\n", err)
	}
	at := out
	for _, s := range segs[:len(segs)-1] {
		next, ok := at[s].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[s] = next
		}
		at = next
	}
	at[segs[len(segs)-1]] = value
	return out
}

// applyAt edits a file as the planner does.
func applyAt(p Place, src []byte, value any) ([]byte, error) {
	switch {
	case p.Format != "":
		value = strings.ReplaceAll(p.Format, "%s", fmt.Sprint(value))
	case p.Variable != "" || p.Env != "":
		value = fmt.Sprint(value)
	}
	if p.Env != "" {
		return edit.ApplyEnv(src, p.Env, value.(string))
	}
	change := edit.Change{Document: p.Document, Path: p.YAMLPath, Value: value}
	if p.Block != nil {
		change.Document = 0
		return edit.ApplyBlock(src, p.Document, p.Block, change)
	}
	return edit.Apply(src, change)
}
