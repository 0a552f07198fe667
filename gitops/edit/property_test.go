package edit_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// author writes a random YAML file the way people do, and remembers what it means.
type author struct {
	t        *rapid.T
	out      strings.Builder
	eol      string
	width    int
	list     int
	comments int
	// leaves and parents are the paths of scalars and of mappings written.
	leaves, parents [][]string
	lists           [][]string
}

var keyWords = []string{"enabled", "ipv4NativeRoutingCIDR", "ipv6NativeRoutingCIDR", "enableIPv4Masquerade", "bpf", "masquerade",
	"config", "größe", "\"quoted key\"", "'single'", "MTU", "k8sServiceHost", "hubble", "日本", "nonMasqueradeCIDRs", "mode"}

var scalarTexts = []struct {
	text  string
	value any
}{
	{"true", true}, {"false", false}, {"1450", 1450}, {"-1", -1}, {"1.5", 1.5}, {"native", "native"}, {"fd00:101::/48", "fd00:101::/48"},
	{`"10.0.0.0/8"`, "10.0.0.0/8"}, {`'it''s'`, "it's"}, {`"a \"b\" # no comment"`, `a "b" # no comment`}, {"two words", "two words"},
	{"${CLUSTER_CIDR}", "${CLUSTER_CIDR}"}, {`"ünï☃😀"`, "ünï☃😀"}, {"null", nil}, {"~", nil}, {`""`, ""}, {"''", ""}, {"a:b#c", "a:b#c"},
	{`"true"`, "true"}, {`'1450'`, "1450"},
}

func (a *author) pick(n int, label string) int {
	return rapid.IntRange(0, n-1).Draw(a.t, label)
}

func (a *author) chance(of int, label string) bool { return a.pick(of, label) == 0 }

func (a *author) comment() string {
	a.comments++
	return fmt.Sprintf("# c%d é.", a.comments)
}

func (a *author) noise(indent int) {
	if a.chance(8, "blank") {
		a.out.WriteString(a.eol)
	}
	if a.chance(6, "comment") {
		a.out.WriteString(strings.Repeat(" ", indent) + a.comment() + a.eol)
	}
}

func (a *author) endLine() {
	if a.chance(5, "trailing") {
		a.out.WriteString("  " + a.comment())
	}
	a.out.WriteString(a.eol)
}

func (a *author) keys() []string {
	n := 1 + a.pick(4, "keys")
	keys := slices.Clone(keyWords)
	for i := range n {
		j := i + a.pick(len(keys)-i, "key")
		keys[i], keys[j] = keys[j], keys[i]
	}
	return keys[:n]
}

func below(path []string, seg string) []string {
	return append(slices.Clone(path), seg)
}

// mapping writes a block mapping; first means that the cursor stands at its first key.
func (a *author) mapping(path []string, indent, depth int, first bool) map[string]any {
	out := map[string]any{}
	a.parents = append(a.parents, path)
	for _, key := range a.keys() {
		if !first {
			a.noise(indent)
			a.out.WriteString(strings.Repeat(" ", indent))
		}
		first = false
		name := strings.Trim(key, `"'`)
		a.out.WriteString(key + ":")
		out[name] = a.value(below(path, name), indent, depth)
	}
	return out
}

// value writes what stands behind "key:" and below.
func (a *author) value(path []string, indent, depth int) any {
	kind := a.pick(10, "kind")
	switch {
	case depth > 0 && kind < 3:
		a.endLine()
		return a.mapping(path, indent+a.width, depth-1, false)
	case depth > 0 && kind < 5:
		a.endLine()
		return a.sequence(path, indent+a.list, depth-1)
	case kind == 5:
		a.out.WriteString(" ")
		v := a.flow(path, 2)
		a.endLine()
		return v
	case kind == 6:
		a.leaves = append(a.leaves, path)
		margin := strings.Repeat(" ", indent+a.width)
		a.out.WriteString(" |" + a.eol + margin + "one" + a.eol + a.eol + margin + "  # two" + a.eol)
		return "one\n\n  # two\n"
	case kind == 7:
		a.leaves = append(a.leaves, path)
		a.endLine()
		return nil
	}
	a.out.WriteString(" ")
	v := a.scalar(path)
	a.endLine()
	return v
}

func (a *author) scalar(path []string) any {
	a.leaves = append(a.leaves, path)
	s := scalarTexts[a.pick(len(scalarTexts), "scalar")]
	a.out.WriteString(s.text)
	return s.value
}

func (a *author) sequence(path []string, indent, depth int) any {
	out := []any{}
	for i := range 1 + a.pick(3, "items") {
		a.noise(indent)
		a.out.WriteString(strings.Repeat(" ", indent) + "- ")
		at := below(path, fmt.Sprintf("[%d]", i))
		if depth > 0 && a.chance(3, "mapping item") {
			out = append(out, a.mapping(at, indent+2, depth-1, true))
			continue
		}
		out = append(out, a.scalar(at))
		a.endLine()
	}
	a.lists = append(a.lists, path)
	return out
}

var flowTexts = []struct {
	text  string
	value any
}{{"1", 1}, {"true", true}, {`"x, y"`, "x, y"}, {"'z'", "z"}, {"plain", "plain"}, {`"ü"`, "ü"}}

func (a *author) flow(path []string, depth int) any {
	pad := []string{"", " "}[a.pick(2, "pad")]
	switch kind := a.pick(3, "flow"); {
	case depth > 0 && kind == 0:
		out := map[string]any{}
		var parts []string
		at := a.out.String()
		for _, key := range a.keys() {
			name := strings.Trim(key, `"'`)
			a.out.Reset()
			out[name] = a.flow(below(path, name), depth-1)
			parts = append(parts, key+": "+a.out.String())
		}
		a.out.Reset()
		a.out.WriteString(at + "{" + pad + strings.Join(parts, ", ") + pad + "}")
		a.parents = append(a.parents, path)
		return out
	case depth > 0 && kind == 1:
		out := []any{}
		var parts []string
		at := a.out.String()
		for i := range a.pick(3, "items") {
			a.out.Reset()
			out = append(out, a.flow(below(path, fmt.Sprintf("[%d]", i)), depth-1))
			parts = append(parts, a.out.String())
		}
		a.out.Reset()
		a.out.WriteString(at + "[" + strings.Join(parts, ", ") + "]")
		a.lists = append(a.lists, path)
		return out
	}
	a.leaves = append(a.leaves, path)
	s := flowTexts[a.pick(len(flowTexts), "flow scalar")]
	a.out.WriteString(s.text)
	return s.value
}

// write gives a file, what it means, and the author's memory.
func write(t *rapid.T) (string, map[string]any, *author) {
	a := &author{t: t, eol: "\n", width: 2 + 2*rapid.IntRange(0, 1).Draw(t, "width")}
	a.list = []int{0, a.width}[a.pick(2, "list")]
	if a.chance(4, "CRLF") {
		a.eol = "\r\n"
	}
	if a.chance(6, "BOM") {
		a.out.WriteString("\xef\xbb\xbf")
	}
	if a.chance(3, "marker") {
		a.out.WriteString("---" + a.eol)
	}
	tree := a.mapping(nil, 0, 3, false)
	src := a.out.String()
	// A literal block at a bare end has no last line break to lose.
	if literal := strings.HasSuffix(src, "  # two"+a.eol); !literal && a.chance(6, "bare end") {
		src = strings.TrimSuffix(src, a.eol)
	}
	return src, tree, a
}

// modelSet is Set on plain values: an implementation that shares nothing with the editor.
func modelSet(n any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	switch n := n.(type) {
	case map[string]any:
		out := maps.Clone(n)
		out[path[0]] = modelSet(n[path[0]], path[1:], v)
		return out
	case []any:
		var i int
		fmt.Sscanf(path[0], "[%d]", &i)
		out := slices.Clone(n)
		if i == len(out) {
			out = append(out, nil)
		}
		out[i] = modelSet(out[i], path[1:], v)
		return out
	}
	var i int
	if n, _ := fmt.Sscanf(path[0], "[%d]", &i); n == 1 && strings.HasSuffix(path[0], "]") {
		return []any{modelSet(nil, path[1:], v)}
	}
	return map[string]any{path[0]: modelSet(nil, path[1:], v)}
}

func decode(t interface{ Fatalf(string, ...any) }, src []byte) any {
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatalf("cannot parse: %v\n%s", err, src)
	}
	return v
}

var newValues = []any{true, 1500, "fd00:101::/38", "two words", "on", "x # y", nil, "ünï", "", "- x", "'", "a\nb", "1e3", "fd00::", "key: v"}

// checkEdit verifies one Set on a generated file.
func checkEdit(t *rapid.T, src string, tree map[string]any, path []string, v, meaning any) []byte {
	out, err := edit.Apply([]byte(src), edit.Change{Path: path, Value: v})
	if err != nil {
		t.Fatalf("%s = %v: %v\n%s", edit.FormatPath(path), v, err, src)
	}
	if got, want := decode(t, out), modelSet(tree, path, meaning); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s = %v:\nmeans %v\nwant  %v\nbefore:\n%s\nafter:\n%s", edit.FormatPath(path), v, got, want, src, out)
	}
	return out
}

func removedLines(diff string) int {
	n := 0
	for line := range strings.SplitSeq(diff, "\n") {
		if strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "--- ") {
			n++
		}
	}
	return n
}

func keepsComments(t *rapid.T, src string, out []byte, comments int) {
	for i := 1; i <= comments; i++ {
		if c := fmt.Sprintf("# c%d é.", i); !strings.Contains(string(out), c) {
			t.Fatalf("comment %s is lost\nbefore:\n%s\nafter:\n%s", c, src, out)
		}
	}
}

// The text means what it must, comments stay, and no more lines change than
// the value had.
func TestSetKeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, tree, a := write(t)
		if got := decode(t, []byte(src)); !reflect.DeepEqual(got, any(tree)) {
			t.Fatalf("the generator is wrong: %v, want %v\n%s", got, tree, src)
		}
		v := newValues[a.pick(len(newValues), "value")]
		var path []string
		allowed := 1
		switch kind := a.pick(3, "edit"); {
		case kind == 0 && len(a.leaves) > 0:
			path = a.leaves[a.pick(len(a.leaves), "leaf")]
			allowed = 4 // a literal block of the generator
		case kind == 1 && len(a.lists) > 0:
			path = a.lists[a.pick(len(a.lists), "list")]
			path = below(path, fmt.Sprintf("[%d]", reflect.ValueOf(modelGet(tree, path)).Len()))
		default:
			path = below(a.parents[a.pick(len(a.parents), "parent")], []string{"ipv6Extra", "zz", "a.b"}[a.pick(3, "new")])
		}
		out := checkEdit(t, src, tree, path, v, v)
		keepsComments(t, src, out, a.comments)
		if n := removedLines(edit.Diff("f", []byte(src), out)); n > allowed {
			t.Fatalf("%d lines changed\nbefore:\n%s\nafter:\n%s", n, src, out)
		}
		again, err := edit.Apply(out, edit.Change{Path: path, Value: v})
		if err != nil || string(again) != string(out) {
			t.Fatalf("a second time: %v\n%s\n%s", err, out, again)
		}
	})
}

func modelGet(n any, path []string) any {
	for _, seg := range path {
		switch m := n.(type) {
		case map[string]any:
			n = m[seg]
		case []any:
			var i int
			fmt.Sscanf(seg, "[%d]", &i)
			n = m[i]
		}
	}
	return n
}

// Any value in place of any other, collections included, and new ones below
// paths that do not exist.
func TestSetMeansWhatWasAsked(t *testing.T) {
	collections := []any{
		map[string]any{"enabled": true, "config": map[string]any{"cidrs": []any{"fd00::/8", "x"}}},
		map[string]any{}, []any{}, []any{"x", 1, "fd00::/8"}, []any{map[string]any{"k": "v", "l": []any{1}}, []any{"x"}},
	}
	rapid.Check(t, func(t *rapid.T) {
		src, tree, a := write(t)
		paths := slices.Concat(a.leaves, a.parents, a.lists)
		path := paths[a.pick(len(paths), "path")]
		switch modelGet(tree, path).(type) {
		case nil, map[string]any:
			if len(path) == 0 || a.chance(2, "deeper") {
				path = append(below(path, "new"), "deep")
			}
		}
		v := collections[a.pick(len(collections), "value")]
		checkEdit(t, src, tree, path, v, v)
	})
}

func TestRemoveMeansWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, tree, a := write(t)
		if len(a.leaves) == 0 {
			return
		}
		at := a.leaves[a.pick(len(a.leaves), "leaf")]
		out, err := edit.Apply([]byte(src), edit.Change{Path: at, Remove: true})
		if err != nil {
			t.Fatalf("%s: %v\n%s", edit.FormatPath(at), err, src)
		}
		parent, last := at[:len(at)-1], at[len(at)-1]
		var want any
		switch p := modelGet(tree, parent).(type) {
		case map[string]any:
			m := maps.Clone(p)
			delete(m, last)
			want = modelSet(tree, parent, m)
		case []any:
			var i int
			fmt.Sscanf(last, "[%d]", &i)
			want = modelSet(tree, parent, slices.Delete(slices.Clone(p), i, i+1))
		}
		if got := decode(t, out); !reflect.DeepEqual(got, want) {
			t.Fatalf("without %s:\nmeans %v\nwant  %v\nbefore:\n%s\nafter:\n%s", edit.FormatPath(at), got, want, src, out)
		}
	})
}
