package edit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func TestDiff(t *testing.T) {
	got := edit.Diff("apps/cilium/values.yaml", []byte("a: 1\nb: 2\nc: 3"), []byte("a: 1\nb: 3\nc: 3"))
	want := "--- a/apps/cilium/values.yaml\n+++ b/apps/cilium/values.yaml\n@@ -1,3 +1,3 @@\n a: 1\n-b: 2\n+b: 3\n c: 3\n\\ No newline at end of file\n"
	if got != want {
		t.Errorf("got %s", got)
	}
	if got := edit.Diff("x", []byte("a"), []byte("a")); got != "" {
		t.Errorf("equal texts: %q", got)
	}
}

// git takes what Diff gives, whatever the path and the line endings.
func TestDiffApplies(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatalf("git is missing: %v", err)
	}
	const absent = "<absent>"
	for _, c := range []struct{ name, file, before, after string }{
		{"plain", "dir/values.yaml", "a: 1\nb: 2\n", "a: 1\nb: 3\nc: 4\n"},
		{"path with blanks", "my dir/the values.yaml", "a: 1\n", "a: 2\n"},
		{"path with quotes and umlauts", "ü \"q\"\t\\/ä.yaml", "a: 1\n", "a: 2\n"},
		{"no newline at the end", "v.yaml", "a: 1\nb: 2", "a: 1\nb: 2\nc: 3"},
		{"newline comes", "v.yaml", "a: 1", "a: 1\n"},
		{"newline goes", "v.yaml", "a: 1\n", "a: 1"},
		{"CRLF", "v.yaml", "a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\n"},
		{"far apart", "v.yaml", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "x\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\ny\n"},
		{"new file", "new/v.yaml", absent, "a: 1\n"},
		{"removed file", "v.yaml", "a: 1\n", absent},
		{"umlauts and BOM", "v.yaml", "\xef\xbb\xbfä: 1\n# ö\n", "\xef\xbb\xbfä: 2\n# ö\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, filepath.FromSlash(c.file))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			var before, after []byte
			if c.before != absent {
				before = []byte(c.before)
				if err := os.WriteFile(file, before, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.after != absent {
				after = []byte(c.after)
			}
			patch := filepath.Join(dir, "patch")
			diff := edit.Diff(c.file, before, after)
			if err := os.WriteFile(patch, []byte(diff), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(git, "apply", "--whitespace=nowarn", patch)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GIT_CONFIG_GLOBAL=/dev/null")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git apply: %v\n%s\n%s", err, out, diff)
			}
			got, err := os.ReadFile(file)
			if (err != nil) != (c.after == absent) || err == nil && string(got) != c.after {
				t.Errorf("after git apply: %q, %v", got, err)
			}
		})
	}
}
