package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// Each archive is a repository in which something besides Flux installs Cilium.
// Its comment says what to ask, one question a line: "options release=NS/NAME
// cluster=PATH", "ask PATH" for a value of every copy, "set PATH VALUE" for the
// diff that changes it in every copy. The want section holds the answers.
func TestCopies(t *testing.T) {
	files, err := filepath.Glob("testdata/copies/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d archives: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			root := lay(t, a)
			got := copyAnswers(t, root, string(a.Comment))
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

func copyAnswers(t *testing.T, root, questions string) string {
	t.Helper()
	opts := Options{Root: root}
	var asks [][]string
	for line := range strings.Lines(questions) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case f[0] == "options":
			for _, o := range f[1:] {
				k, v, _ := strings.Cut(o, "=")
				switch k {
				case "release":
					opts.Release = v
				case "cluster":
					opts.ClusterPath = v
				}
			}
		case f[0] == "ask" || f[0] == "set":
			asks = append(asks, f)
		}
	}
	r, err := Find(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := r.Copies(context.Background())
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if len(copies) == 0 {
		return "no copies\n"
	}
	var b strings.Builder
	for i := range copies {
		writeCopy(t, &b, r, root, &copies[i], asks)
	}
	return b.String()
}

func writeCopy(t *testing.T, b *strings.Builder, r *Release, root string, c *Copy, asks [][]string) {
	t.Helper()
	fmt.Fprintf(b, "%s %s:%d", c.Kind, c.File, c.Line)
	for _, s := range []struct{ name, text string }{{"by", c.By}, {"unreadable", c.Unreadable}, {"undecided", c.Undecided}, {"why", c.Why}} {
		if s.text != "" {
			fmt.Fprintf(b, " %s=%q", s.name, s.text)
		}
	}
	if c.Flags {
		b.WriteString(" flags")
	}
	b.WriteString("\n")
	for _, ask := range asks {
		v, ok := c.Where(ask[1])
		if !ok {
			fmt.Fprintf(b, "  %s: not set\n", ask[1])
			continue
		}
		fmt.Fprintf(b, "  %s: %v at %s:%d, document %d %s", ask[1], v.Value, v.File, v.Line, v.Document, joinPath(v.YAMLPath))
		for _, k := range v.Blocks {
			fmt.Fprintf(b, ", in %d %s", k.Document, joinPath(k.Path))
		}
		if v.Format != "" {
			fmt.Fprintf(b, ", as %s", v.Format)
		}
		if v.Why != "" {
			fmt.Fprintf(b, ", not edited: %s", v.Why)
		}
		b.WriteString("\n")
		if ask[0] == "set" && v.Why == "" {
			b.WriteString(editCopy(t, r, root, c, v, ask[2]))
		}
	}
}

// editCopy makes the change and reads the copy again.
func editCopy(t *testing.T, r *Release, root string, c *Copy, v CopyValue, value string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(v.File)))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []edit.Block
	for _, k := range v.Blocks {
		blocks = append(blocks, edit.Block(k))
	}
	text := value
	if v.Format != "" {
		text = strings.ReplaceAll(v.Format, "%s", value)
	}
	out, err := edit.ApplyNested(src, blocks, edit.Change{Document: v.Document, Path: v.YAMLPath, Value: text})
	if err != nil {
		return fmt.Sprintf("  error: %v\n", err)
	}
	values, err := c.Reread(r, map[string][]byte{v.File: out})
	if err != nil {
		t.Fatal(err)
	}
	segs := splitPath(v.Path)
	if c.Flags {
		segs = []string{v.Path}
	}
	if now, _ := valueAt(values, segs); fmt.Sprint(now) != value {
		t.Errorf("%s: read again it is %v", v.Path, now)
	}
	return edit.Diff(v.File, src, out)
}
