package edit_test

import (
	"errors"
	"fmt"
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

// Where aliases, keys and blocks are many, an edit that can be made is made.
func TestManyOfEverything(t *testing.T) {
	const many = 30_000
	var keys, uses, held strings.Builder
	for i := range many {
		fmt.Fprintf(&keys, "key%d: %d\n", i, i)
		fmt.Fprintf(&uses, "use%d: *p\n", i)
		fmt.Fprintf(&held, "    key%d: %d\n", i, i)
	}
	for _, c := range []struct {
		name, in string
		blocks   []edit.Block
		change   edit.Change
		want     string
	}{
		{"a new key", keys.String(), nil, edit.Change{Path: []string{"zz"}, Value: 1}, "\nzz: 1\n"},
		{"a changed key", keys.String(), nil, edit.Change{Path: []string{"key7"}, Value: 1, Comment: "why"}, "\n# why\nkey7: 1\n"},
		{"through one of many aliases", "p: &p {a: 1}\n" + uses.String(), nil, edit.Change{Path: []string{"use9", "a"}, Value: 2, Shared: true}, "p: &p {a: 2}\n"},
		{"in a block", "data:\n  x: |\n" + held.String(), []edit.Block{{Path: []string{"data", "x"}}}, edit.Change{Path: []string{"key8"}, Value: 2}, "\n    key8: 2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := edit.ApplyNested([]byte(c.in), c.blocks, c.change)
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("error %v, or %q is not there", err, c.want)
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
