package yamledit

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var (
	table = flag.Bool("table", false, "print how each tool did")
	dump  = flag.String("dump", "", "write the generated files into this folder")
)

// files is how many values files are generated.
const files = 160

// score is how one tool did.
type score struct {
	edits, refused, wrong, quiet int
	noise                        []int
	spent                        time.Duration
}

func (s *score) add(f *File, e Edit, out []byte, err error) (problem string) {
	s.edits++
	if err != nil {
		s.refused++
		return "refused: " + err.Error()
	}
	holds, err := f.Holds(out, e)
	if err != nil {
		return err.Error()
	}
	if !holds {
		s.wrong++
		problem = "wrong values"
	}
	least, err := f.Least(e)
	if err != nil {
		return err.Error()
	}
	noise := max(Distance(string(f.Text), string(out))-least, 0)
	s.noise = append(s.noise, noise)
	if noise == 0 {
		s.quiet++
	} else if problem == "" {
		problem = fmt.Sprintf("%d lines beyond the %d that must change", noise, least)
	}
	return problem
}

// run makes one edit; what panics has refused.
func run(tool Tool, f *File, e Edit) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return tool.Edit(f, e)
}

// Every edit of ours is right, changes no line that it need not change, and is
// not refused. How the others do is a figure, not a condition.
func TestEdits(t *testing.T) {
	all := Files(files)
	scores := map[string]*score{}
	for _, tool := range Tools() {
		s := &score{}
		scores[tool.Name] = s
		for i := range all {
			for _, e := range Edits {
				out, err := run(tool, &all[i], e)
				if problem := s.add(&all[i], e, out, err); problem != "" && tool.Name == "gitops/edit" {
					t.Errorf("%s, %s: %s\n%s", all[i].Name, e.Name, problem, out)
				}
			}
		}
	}
	if *table {
		nodes, values := measure(t, all, scores)
		writeTable(scores, nodes, values)
	}
	if *dump != "" {
		for _, f := range all {
			if err := os.WriteFile(filepath.Join(*dump, f.Name+".yaml"), f.Text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// parse reads every document into values of type T, and what a block holds.
func parse[T any](f *File, src []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
}

// held is the text that the edit is about: the file's, and the block's in it.
func (f *File) held(t *testing.T) []byte {
	docs, err := decode(f.Text)
	if err != nil {
		t.Fatal(err)
	}
	if f.Block == nil {
		return nil
	}
	return []byte(fmt.Sprint(get(docs[f.Document], f.Block)))
}

// fastest is the shortest of some runs: what else the machine does counts less.
func fastest(run func()) time.Duration {
	best := time.Duration(1 << 62)
	for range 5 {
		start := time.Now()
		run()
		best = min(best, time.Since(start))
	}
	return best
}

// measure adds up the time of each edit by each tool and, measured between
// them, of parsing the same text twice, into nodes and into values.
func measure(t *testing.T, all []File, scores map[string]*score) (nodes, values time.Duration) {
	for i := range all {
		f := &all[i]
		held := f.held(t)
		for _, e := range Edits {
			for _, tool := range Tools() {
				scores[tool.Name].spent += fastest(func() { _, _ = run(tool, f, e) })
			}
			nodes += 2 * fastest(func() { _ = errors.Join(parse[yaml.Node](f, f.Text), parse[yaml.Node](f, held)) })
			values += 2 * fastest(func() { _ = errors.Join(parse[any](f, f.Text), parse[any](f, held)) })
		}
	}
	return nodes, values
}

func writeTable(scores map[string]*score, nodes, values time.Duration) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(w, "\t tool\t edits\t refused\t wrong values\t no noise\t mean noise\t most\t time: 2 parses\t time: 2 decodes\t")
	for _, tool := range Tools() {
		s := scores[tool.Name]
		sum := 0
		for _, n := range s.noise {
			sum += n
		}
		done := max(len(s.noise), 1)
		fmt.Fprintf(w, "\t %s\t %d\t %d\t %d\t %d%%\t %.1f\t %d\t %.2f\t %.2f\t\n", tool.Name, s.edits, s.refused, s.wrong,
			100*s.quiet/done, float64(sum)/float64(done), slices.Max(append(s.noise, 0)),
			float64(s.spent)/float64(nodes), float64(s.spent)/float64(values))
	}
	w.Flush()
}

// The files are what the comparison claims: many, every style among them, and
// the same each time.
func TestFiles(t *testing.T) {
	all, again := Files(files), Files(files)
	if len(all) < 150 {
		t.Fatalf("%d files", len(all))
	}
	texts := map[string]bool{}
	var joined strings.Builder
	for i, f := range all {
		if string(f.Text) != string(again[i].Text) || f.Name != again[i].Name {
			t.Errorf("%s differs the second time", f.Name)
		}
		texts[string(f.Text)] = true
		joined.Write(f.Text)
		docs, err := f.meaning(f.Text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", f.Name, err, f.Text)
		}
		at := slices.Concat(f.Block, f.Prefix)
		if got := get(docs[f.Document], append(at, "ipv4NativeRoutingCIDR")); got != "10.0.0.0/8" {
			t.Errorf("%s holds the range %v\n%s", f.Name, got, f.Text)
		}
	}
	if len(texts) != len(all) {
		t.Errorf("%d different files of %d", len(texts), len(all))
	}
	for _, style := range []string{
		"\r\n", "\ufeff", "\n---\n", "$schema=", "values.yaml: |\n", "values:\n    { ", "values:\n    {\n", ": &limits\n", "*limits", "<<: &init",
		"extraConfig: |", "description: >", ": '10.0.0.0/8'", ": \"10.0.0.0/8\"", ": 10.0.0.0/8", "\n- ", "enabled: [", "ipMasqAgent: {}",
		"required\tby", "日本語", "{{ not a template }}", "\n\n",
	} {
		if !strings.Contains(joined.String(), style) && !strings.Contains(strings.ReplaceAll(joined.String(), "\r", ""), style) {
			t.Errorf("no file with %q", style)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"a\nb\nc\n", "a\nb\nc\n", 0}, {"a\nb\nc\n", "a\nx\nc\n", 2}, {"a\nc\n", "a\nb\nc\n", 1}, {"a\nb\nc\n", "c\n", 2},
		{"a\r\n", "a\n", 2}, {"", "a\n", 1}, {"a\nb\nc\nd\n", "b\nx\nd\na\n", 4},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
