package edit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

func TestSameDocuments(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"styles and comments", "a: [1, 'x'] # c\n", "# d\na:\n- 1\n- \"x\"\n", true},
		{"order of keys", "a: 1\nb: 2\n", "b: 2\na: 1\n", true},
		{"spellings of null", "a: ~\n", "a:\n", true},
		{"spellings of true", "a: True\n", "a: true\n", true},
		{"type", "a: 1\n", "a: '1'\n", false},
		{"value", "a: 1\n", "a: 2\n", false},
		{"one key more", "a: 1\n", "a: 1\nb: 1\n", false},
		{"another key", "a: 1\n", "b: 1\n", false},
		{"order of items", "[1, 2]\n", "[2, 1]\n", false},
		{"documents", "a: 1\n", "a: 1\n---\na: 1\n", false},
		{"tag of a mapping", "a: {}\n", "a: !x {}\n", false},
		{"alias for a value", "a: &x 1\nb: *x\n", "a: &x 1\nb: 1\n", false},
		{"anchor", "a: &x 1\n", "a: &y 1\n", false},
		{"the same aliases", "a: &x 1\nb: *x\n", "b: &x 1\na: *x\n", false},
		{"an alias to another anchor of that name", "a: &x 1\nb: &x 1\nc: *x\n", "a: &x 1\nc: *x\nb: &x 1\n", false},
		{"mapping keys", "? {a: 1}\n: 1\n", "? {a: 1}\n: 1\n", true},
		{"other mapping keys", "? {a: 1}\n: 1\n", "? {a: 2}\n: 1\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, errA := parse([]byte(c.a))
			b, errB := parse([]byte(c.b))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if got := sameDocuments(a, b); got != c.want {
				t.Errorf("same: %v, want %v", got, c.want)
			}
			if !sameDocuments(a, a) {
				t.Error("not the same as itself")
			}
		})
	}
}

// expand gives a document as plain values, with aliases and merge keys followed.
func expand(t *rapid.T, src []byte) map[string]any {
	var v map[string]any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return v
}

// With anchors, aliases and merge keys about, a change touches its own path
// only, or is refused because of the alias.
func TestAliasesAreNeverCarriedAlong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		var names []string
		for i := range rapid.IntRange(2, 6).Draw(t, "entries") {
			name := fmt.Sprintf("k%d", i)
			switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
			case kind == 0:
				fmt.Fprintf(&b, "%s: &a%d {x: 1, y: {z: 1}}\n", name, i)
			case kind == 1:
				fmt.Fprintf(&b, "%s: &a%d\n  x: 1\n  y:\n    z: &s%d 2\n", name, i, i)
			case kind == 2 && len(names) > 0:
				fmt.Fprintf(&b, "%s: *%s\n", name, rapid.SampledFrom(names).Draw(t, "alias"))
				continue
			case kind == 3 && len(names) > 0:
				fmt.Fprintf(&b, "%s:\n  <<: *%s\n  own: 1\n", name, rapid.SampledFrom(names).Draw(t, "base"))
				continue
			default:
				fmt.Fprintf(&b, "%s: {x: 1, y: {z: 1}}\n", name)
				continue
			}
			names = append(names, fmt.Sprintf("a%d", i))
		}
		top := fmt.Sprintf("k%d", rapid.IntRange(0, 3).Draw(t, "target"))
		path := append([]string{top}, rapid.SampledFrom([][]string{nil, {"x"}, {"y"}, {"y", "z"}, {"new"}, {"y", "new"}}).Draw(t, "below")...)
		src := []byte(b.String())
		before := expand(t, src)
		out, err := Apply(src, Change{Path: path, Value: "changed"})
		if err != nil {
			if !errors.Is(err, ErrAliased) {
				t.Fatalf("%v: %v\n%s", path, err, src)
			}
			return
		}
		after := expand(t, out)
		if got := dig(after, path); got != "changed" {
			t.Fatalf("%v is %v\n%s", path, got, out)
		}
		prune(before, path)
		prune(after, path)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("%v: more changed than that\nbefore %v\nafter  %v\n%s\n%s", path, before, after, src, out)
		}
	})
}

func dig(v any, path []string) any {
	for _, seg := range path {
		m, _ := v.(map[string]any)
		v = m[seg]
	}
	return v
}

// prune takes the entry at path out, and parents that it leaves empty.
func prune(m map[string]any, path []string) {
	if len(path) > 1 {
		if below, ok := m[path[0]].(map[string]any); ok {
			copied := map[string]any{}
			for k, v := range below {
				copied[k] = v
			}
			prune(copied, path[1:])
			m[path[0]] = copied
			if len(copied) > 0 {
				return
			}
		}
	}
	delete(m, path[0])
}
