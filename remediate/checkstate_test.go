package remediate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFolder(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "chart/Chart.yaml"), "name: a\n")
	write(t, filepath.Join(root, "chart/templates/x.yaml"), "x\n")
	write(t, filepath.Join(root, "other.yaml"), "o\n")
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret\n")
	if err := os.Symlink(outside, filepath.Join(root, "chart/link")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		files map[string][]byte
		want  map[string]string // nil: the folder itself
	}{
		{"the working tree", nil, nil},
		{"a change elsewhere", map[string][]byte{"other.yaml": []byte("p")}, nil},
		{"a name that only begins alike", map[string][]byte{"chart2/x": []byte("p")}, nil},
		{"a changed file", map[string][]byte{"chart/Chart.yaml": []byte("b")}, map[string]string{"Chart.yaml": "b", "templates/x.yaml": "x\n"}},
		{"a file that goes", map[string][]byte{"chart/templates/x.yaml": nil}, map[string]string{"Chart.yaml": "name: a\n"}},
		{"a file that comes", map[string][]byte{"chart/crds/y.yaml": []byte("y")}, map[string]string{"Chart.yaml": "name: a\n", "templates/x.yaml": "x\n", "crds/y.yaml": "y"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &Run{root: root, files: test.files}
			dir, err := r.folder("chart")
			if err != nil {
				t.Fatal(err)
			}
			if test.want == nil {
				if dir != filepath.Join(root, "chart") {
					t.Errorf("a copy %s without need", dir)
				}
				return
			}
			if got := filesIn(t, dir); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			if r.close(); exists(dir) {
				t.Error("the copy stays")
			}
		})
	}
}

// A state cannot make the copy leave its folder.
func TestFolderStaysInside(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "chart/Chart.yaml"), "a\n")
	r := &Run{root: root, files: map[string][]byte{"chart/../../escaped": []byte("x"), "chart/x": []byte("x")}}
	defer r.close()
	dir, err := r.folder("chart")
	if err == nil && exists(filepath.Join(filepath.Dir(dir), "escaped")) {
		t.Error("a file was written outside")
	}
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A chart that was not to be had is asked for once.
func TestChartsAskOnce(t *testing.T) {
	asked := 0
	get := func() (string, error) { asked++; return "", errors.New("no") }
	c := newCharts()
	for range 3 {
		if _, err := c.path("key", get); err == nil {
			t.Error("no error")
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	for range 2 {
		_, _ = c.path("", get)
		_, _ = (*charts)(nil).path("key", get)
	}
	if asked != 5 {
		t.Errorf("asked %d times where nothing is kept", asked)
	}
}

func TestChangedFiles(t *testing.T) {
	a := map[string][]byte{"same": []byte("1"), "gone": nil, "other": []byte("1"), "onlyA": []byte("1"), "emptied": []byte("")}
	b := map[string][]byte{"same": []byte("1"), "gone": nil, "other": []byte("2"), "onlyB": nil, "emptied": nil}
	got := sortedKeys(changedFiles(a, b))
	if want := []string{"emptied", "onlyA", "onlyB", "other"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// differences(a, b) lists exactly the leaves in which two trees differ: nothing
// for equal trees, and the same paths with the sides turned the other way round.
func TestDifferencesProperty(t *testing.T) {
	var tree func(depth int) *rapid.Generator[map[string]any]
	tree = func(depth int) *rapid.Generator[map[string]any] {
		return rapid.Custom(func(t *rapid.T) map[string]any {
			out := map[string]any{}
			for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c.d"}), 0, 3, rapid.ID).Draw(t, "keys") {
				if depth > 0 && rapid.Bool().Draw(t, "deeper") {
					out[k] = tree(depth-1).Draw(t, "sub")
				} else {
					out[k] = rapid.SampledFrom([]any{1, 1.0, "x", true, []any{"y"}}).Draw(t, "leaf")
				}
			}
			return out
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := tree(2).Draw(t, "a"), tree(2).Draw(t, "b")
		if d := differences(a, copyMap(a)); len(d) != 0 {
			t.Fatalf("equal trees differ: %v", d)
		}
		there, back := differences(a, b), differences(b, a)
		if len(there) != len(back) {
			t.Fatalf("%v and %v", there, back)
		}
		for i := range there {
			if there[i].path != back[i].path || fmt.Sprint(there[i].from, there[i].to) != fmt.Sprint(back[i].to, back[i].from) {
				t.Fatalf("%v and %v", there[i], back[i])
			}
		}
	})
}
