package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// Each history makes the same commits every time, starts from repo/, and every
// commit but the first changes something.
func TestHistories(t *testing.T) {
	if len(Histories()) == 0 {
		t.Fatal("no history is bundled")
	}
	for _, name := range Histories() {
		t.Run(name, func(t *testing.T) {
			root, err := fs.Sub(histories, "histories/"+name)
			if err != nil {
				t.Fatal(err)
			}
			steps, _, err := replay(root)
			if err != nil {
				t.Fatal(err)
			}
			if len(steps) < 16 {
				t.Errorf("%d commits", len(steps))
			}
			tree, err := readTree(root, "repo")
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range steps {
				now := map[string]string{}
				for file, content := range s.Files {
					now[file] = string(content)
				}
				if same := cmp.Equal(tree, now); same != (i == 0) {
					t.Errorf("commit %d, %q: same tree as before: %t", i+1, s.Message, same)
				}
				if i > 0 && !s.Date.After(steps[i-1].Date) {
					t.Errorf("commit %d is not after the one before it", i+1)
				}
				tree = now
			}
		})
	}
}

func TestLayHistory(t *testing.T) {
	heads := map[string]bool{}
	for range 2 {
		dir := filepath.Join(t.TempDir(), "repo")
		if err := LayHistory(Histories()[0], dir); err != nil {
			t.Fatal(err)
		}
		head, err := os.ReadFile(filepath.Join(dir, ".git", "refs", "heads", "main"))
		if err != nil {
			t.Fatal(err)
		}
		heads[string(head)] = true
		if err := LayHistory(Histories()[0], dir); err == nil {
			t.Error("a folder with something in it is written to")
		}
	}
	if len(heads) != 1 {
		t.Errorf("two runs end in different commits: %v", heads)
	}
	if err := LayHistory("nonsense", t.TempDir()); err == nil || !strings.Contains(err.Error(), Histories()[0]) {
		t.Errorf("an unknown history: %v", err)
	}
}
