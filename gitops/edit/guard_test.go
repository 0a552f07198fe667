package edit_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func TestInspect(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"plain", "a: 1\n", nil},
		{"empty", "", nil},
		{"comments only", "# nothing\n", nil},
		{"duplicate keys are read", "a: 1\na: 2\n", nil},
		{"template in quotes", "a: \"{{ .x }}\"\nb: '{% x %}'\n", nil},
		{"template in a block", "a: |\n  {{ if x }}\n  {% y %}\n", nil},
		{"template in a comment", "# {{ x }}\na: 1 # {% y %}\n", nil},
		{"template within a plain string", "a: pod {{ $labels.pod }} is down\n", nil},
		{"flow in flow", "a: {b: {c: 1}}\n", nil},
		{"Flux variable", "a: ${x:=y}\n", nil},
		{"a comment in braces", "a: 1 # {x}\n#{ not closed\n", nil},
		{"sops deeper down", "spec:\n  decryption: {provider: sops}\n  sops: 1\n", nil},
		{"SOPS rules", "creation_rules:\n  - encrypted_regex: ^(data)$\n", nil},
		{"SOPS in a later document", "a: 1\n---\nb: 1\nsops:\n  version: 3\n", edit.ErrEncrypted},
		{"ENC deep down", "a: [{b: \"ENC[AES256_GCM,data:x]\"}]\n", edit.ErrEncrypted},
		{"template key", "{{ x }}: 1\n", edit.ErrTemplate},
		{"template in a broken file", "a: [\n{{ x }}\n", edit.ErrTemplate},
		{"broken, braces in a comment", "a: [\n# {{ x }}\n", edit.ErrNotYAML},
		{"unknown anchor", "a: *x\n", edit.ErrNotYAML},
		{"thousands of documents", strings.Repeat("---\n", 30_000), edit.ErrTooLarge},
		{"broken second document", "a: 1\n---\nb: [\n", edit.ErrNotYAML},
		{"control character", "a: \x01\n", edit.ErrNotYAML},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := edit.Inspect([]byte(c.in)); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestErrorsKeepValuesToThemselves(t *testing.T) {
	const secret = "hunter2"
	for _, in := range []string{
		"a: " + secret + "\na: 1\n", "a: &x " + secret + "\nb: *x\n", "a: ENC[" + secret + "\n", "a: '" + secret + "\n",
		"a: " + secret + ": " + secret + "\n", "a: {{ " + secret + " }}\n", "a: \"\\q" + secret + "\"\n",
	} {
		_, err := edit.Apply([]byte(in), edit.Change{Path: []string{"a", "b"}, Value: 1})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: error %v", in, err)
		}
	}
}

// Hostile texts of a few MiB: refused or read, within bounded memory.
func TestHostileTexts(t *testing.T) {
	const size = 1 << 20
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, in := range map[string]string{
		"brackets":       repeat("["),
		"braces":         repeat("{"),
		"nested items":   repeat("- "),
		"nested keys":    repeat("? "),
		"empty items":    "[" + repeat(",") + "]",
		"comments":       repeat("#\n"),
		"blank lines":    repeat("\n"),
		"documents":      repeat("---\n"),
		"one long line":  "a: " + repeat("x "),
		"one long key":   repeat("x") + ": 1",
		"one long quote": "a: \"" + repeat("\\\""),
		"anchors":        repeat("&a "),
		"aliases":        "a: &a 1\nb: [" + repeat("*a,") + "]",
		"quotes":         repeat("'"),
		"tabs":           repeat("\t"),
		"colons":         repeat("a: "),
		"percent":        repeat("%x\n"),
		"tags":           repeat("! "),
		"question":       repeat("?\n"),
		"pipes":          repeat("|\n"),
		"deeper":         deeper(size),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := edit.Apply([]byte(in), edit.Change{Path: []string{"zz"}, Value: 1})
			runtime.ReadMemStats(&after)
			var refusal *edit.Error
			if err != nil && !errors.As(err, &refusal) {
				t.Errorf("error of type %T: %v", err, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<30 {
				t.Errorf("%d MiB allocated", used>>20)
			}
		})
	}
}

// deeper is a block mapping with one level per line.
func deeper(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("a: 1 # c\nb:\n  - x\n"), "a", "x", 0)
	f.Add([]byte(configMap), "data.values\\.yaml", "x\ny", 0)
	f.Add([]byte("a: &x {b: [1, *x]}\r\nc: |+\r\n  t\r\n\r\n---\r\n? d\r\n: e"), "a.b[1]", "", -1)
	if seed, err := os.ReadFile("doc.go"); err == nil {
		f.Add(seed, "a", "b", 0)
	}
	f.Fuzz(func(t *testing.T, src []byte, dotted, value string, doc int) {
		path, err := edit.ParsePath(dotted)
		if err != nil {
			return
		}
		for _, c := range []edit.Change{
			{Document: doc, Path: path, Value: value},
			{Document: doc, Path: path, Value: []any{value, []edit.KV{{Key: value, Value: 1}}}},
			{Document: doc, Path: path, Remove: true},
		} {
			out, err := edit.Apply(src, c)
			var refusal *edit.Error
			if err != nil && !errors.As(err, &refusal) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			if !c.Remove && err == nil {
				if again, err := edit.Apply(out, c); err != nil || string(again) != string(out) {
					t.Fatalf("a second time: %v\n%q\n%q", err, out, again)
				}
			}
			if _, err := edit.ApplyBlock(src, doc, path, c); err != nil && !errors.As(err, &refusal) {
				t.Fatalf("error of type %T: %v", err, err)
			}
		}
		if line, column, found, _ := edit.Position(src, doc, path); found && len(path) > 0 && (line < 1 || column < 1) {
			t.Fatalf("position %d:%d", line, column)
		}
	})
}
