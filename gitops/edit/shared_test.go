package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// What an alias would carry elsewhere is refused, and done when it is wanted.
func TestSharedThroughAnAnchor(t *testing.T) {
	for _, c := range []struct {
		name, path string
		in, want   string
		refusal    string
	}{
		{"the anchored value", "a", "a: &x 1\nb: *x\n", "a: &x 2\nb: *x\n", "line 1: shared through an anchor: &x is used on line 2 as well"},
		{"below an anchor", "p.a", "p: &probes\n  a: 1\nq: *probes\nr: *probes\n", "p: &probes\n  a: 2\nq: *probes\nr: *probes\n", "lines 3 and 4"},
		{"a new key below an anchor", "p.b", "p: &probes\n  a: 1\nq: *probes\n", "p: &probes\n  a: 1\n  b: 2\nq: *probes\n", "line 3"},
		{"a base of a merge key", "base.k", "base: &b\n  k: 1\nm:\n  <<: *b\n", "base: &b\n  k: 2\nm:\n  <<: *b\n", "line 4"},
		{"through an alias", "q.a", "p: &probes {a: 1}\nq: *probes\n", "p: &probes {a: 2}\nq: *probes\n", "change it where &probes stands, line 1"},
		{"through two aliases", "r.q.a", "p: &p {a: 1}\nx: &x\n  q: *p\nr: *x\n", "p: &p {a: 2}\nx: &x\n  q: *p\nr: *x\n", "line 2"},
		{"through an alias in a list", "l[0].a", "p:\n  - &p\n    a: 1\nl: [*p]\n", "p:\n  - &p\n    a: 2\nl: [*p]\n", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := edit.ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			change := edit.Change{Path: path, Value: 2}
			if _, err := edit.Apply([]byte(c.in), change); !errors.Is(err, edit.ErrAliased) || !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("error %v does not say %q", err, c.refusal)
			}
			change.Shared = true
			got, err := edit.Apply([]byte(c.in), change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSharedKeepsRefusing(t *testing.T) {
	for _, c := range []struct{ name, path, in string }{
		{"an anchor inside what goes", "a", "a: [&x 1, 2]\nb: *x\n"},
		{"a mapping that would hide a merged one", "m.k.x", "b: &b\n  k: {x: 1}\nm:\n  <<: *b\n"},
		{"an anchor in a key", "q.a", "? &k {a: 1}\n: 1\nq: *k\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := edit.ParsePath(c.path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = edit.Apply([]byte(c.in), edit.Change{Path: path, Value: 2, Shared: true})
			if !errors.Is(err, edit.ErrAliased) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestManyAliasesAreCounted(t *testing.T) {
	in := "a: &x 1\n" + strings.Repeat("b: [*x]\n", 1)
	for i := range 9 {
		in += string(rune('c'+i)) + ": *x\n"
	}
	_, err := edit.Apply([]byte(in), edit.Change{Path: []string{"a"}, Value: 2})
	if err == nil || !strings.Contains(err.Error(), "lines 2, 3, 4, 5, 6 and 5 others") {
		t.Errorf("error %v", err)
	}
}

func TestSharedBlock(t *testing.T) {
	const in = "data:\n  values.yaml: &v |\n    a: 1\n  copy: *v\n"
	change := edit.Change{Path: []string{"a"}, Value: 2, Shared: true}
	got, err := edit.ApplyBlock([]byte(in), 0, valuesPath, change)
	if want := strings.Replace(in, "a: 1", "a: 2", 1); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	got, err = edit.ApplyBlock([]byte(in), 0, []string{"data", "copy"}, change)
	if want := strings.Replace(in, "a: 1", "a: 2", 1); err != nil || string(got) != want {
		t.Errorf("through the alias: %v\n%s", err, got)
	}
}
