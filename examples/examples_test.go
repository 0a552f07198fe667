package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The history of each incident ends in the tree that repo/ holds.
func TestHistoryEndsInRepo(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			root, err := fs.Sub(incidents, "incidents/"+name)
			if err != nil {
				t.Fatal(err)
			}
			steps, _, err := replay(root)
			if err != nil {
				t.Fatal(err)
			}
			want, err := readTree(root, "repo")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for file, content := range steps[len(steps)-1].Files {
				got[file] = string(content)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("last commit (-repo +commit):\n%s", diff)
			}
		})
	}
}

func TestLayRefuses(t *testing.T) {
	if _, _, err := Lay("nonsense", t.TempDir()); err == nil {
		t.Error("an unknown incident is laid out")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "repo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "repo", "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Lay(Default, dir); err == nil {
		t.Error("a folder with something in it is written to")
	}
}
