package edit_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// meaning is a tree as plain values: scalars with their tag, aliases followed,
// null as nil. budget bounds what aliases expand to.
func meaning(n *yaml.Node, budget *int) any {
	if *budget--; *budget < 0 {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return meaning(n.Alias, budget)
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if n.Content[i].Kind != yaml.ScalarNode {
				key = fmt.Sprintf("?%d %v", i, meaning(n.Content[i], budget))
			}
			out[key] = meaning(n.Content[i+1], budget)
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, meaning(c, budget))
		}
		return out
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			return nil
		case "!!bool":
			return n.ShortTag() + " " + strings.ToLower(n.Value)
		}
		return n.ShortTag() + " " + n.Value
	}
	return nil
}

// meanings gives what each document means; false when that is too much to compare.
func meanings(docs []*yaml.Node) ([]any, bool) {
	var out []any
	budget := 20_000
	for _, d := range docs {
		out = append(out, meaning(d.Content[0], &budget))
	}
	return out, budget > 0
}

// expected is what the documents mean after c.
func expected(docs []any, c edit.Change, value any) []any {
	if len(docs) == 0 {
		docs = []any{nil}
		if c.Remove {
			return nil
		}
	}
	at := c.Document
	for i := 0; at < 0; i++ {
		if docs[i] != nil || len(docs) == 1 {
			at = i
		}
	}
	out := slices.Clone(docs)
	if c.Remove {
		out[at] = modelRemove(out[at], c.Path)
	} else {
		out[at] = modelSet(out[at], c.Path, value)
	}
	return out
}

// modelRemove is Remove on plain values.
func modelRemove(n any, path []string) any {
	switch n := n.(type) {
	case map[string]any:
		below, ok := n[path[0]]
		if !ok {
			return n
		}
		out := maps.Clone(n)
		if delete(out, path[0]); len(path) > 1 {
			out[path[0]] = modelRemove(below, path[1:])
		}
		return out
	case []any:
		var i int
		if fmt.Sscanf(path[0], "[%d]", &i); i >= len(n) {
			return n
		}
		if len(path) == 1 {
			return slices.Delete(slices.Clone(n), i, i+1)
		}
		out := slices.Clone(n)
		out[i] = modelRemove(n[i], path[1:])
		return out
	}
	return n
}

// lineOffsets are where the lines begin, as the parser counts them.
func lineOffsets(src []byte) []int {
	out := []int{0}
	runes := []rune(string(src))
	off := 0
	for i, r := range runes {
		off += len(string(r))
		crlf := r == '\r' && i+1 < len(runes) && runes[i+1] == '\n'
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) && !crlf {
			out = append(out, off)
		}
	}
	return out
}

// mayChange is the first and the last line that an edit at path may touch: from
// the key of the deepest value that exists to the next node behind that value.
func mayChange(doc *yaml.Node, path []string, remove bool) (first, last int) {
	const end = 1 << 30
	n := doc.Content[0]
	first, last = 1, end
	for i, seg := range path {
		if remove && i == len(path)-1 {
			break
		}
		var index int
		next := -1
		switch n.Kind {
		case yaml.MappingNode:
			for j := 0; j < len(n.Content); j += 2 {
				if n.Content[j].Kind == yaml.ScalarNode && n.Content[j].Value == seg {
					next = j + 1
				}
			}
		case yaml.SequenceNode:
			if fmt.Sscanf(seg, "[%d]", &index); index < len(n.Content) {
				next = index
			}
		}
		if next < 0 {
			break
		}
		if next+1 < len(n.Content) {
			last = n.Content[next+1].Line
		}
		switch {
		case n.Kind == yaml.MappingNode:
			first = n.Content[next-1].Line
		case next == 0:
			first = n.Line
		default: // the dash may stand on any line behind the item before
			first = n.Content[next-1].Line
		}
		n = n.Content[next]
	}
	return first, last
}

// checkSpan fails when bytes outside of the lines that may change did change.
func checkSpan(t *testing.T, src, out []byte, first, last int) {
	lines := lineOffsets(src)
	lo, hi := 0, len(src)
	if first <= len(lines) {
		lo = lines[first-1]
	}
	if last <= len(lines) {
		hi = lines[last-1]
	}
	if !bytes.HasPrefix(out, src[:lo]) || !bytes.HasSuffix(out, src[hi:]) {
		t.Fatalf("bytes outside of lines %d to %d changed\n%q\n%q", first, last, src, out)
	}
}

// checkApply makes one change and holds it to its promises.
func checkApply(t *testing.T, src []byte, c edit.Change, value any) {
	out, err := edit.Apply(src, c)
	var refusal *edit.Error
	if err != nil {
		if !errors.As(err, &refusal) || out != nil {
			t.Fatalf("error of type %T beside %q: %v", err, out, err)
		}
		return
	}
	if again, err := edit.Apply(out, c); !c.Remove && (err != nil || string(again) != string(out)) {
		t.Fatalf("a second time: %v\n%q\n%q", err, out, again)
	}
	before, err := edit.Documents(src)
	if err != nil {
		t.Fatalf("edited, but not readable: %v", err)
	}
	after, err := edit.Documents(out)
	if err != nil {
		t.Fatalf("not readable after the edit: %v\n%q", err, out)
	}
	have, ok := meanings(before)
	got, _ := meanings(after)
	if want := expected(have, c, value); ok && !c.Shared && !reflect.DeepEqual(got, want) && len(want)+len(got) > 0 {
		t.Fatalf("means %v\nwant  %v\n%q\n%q", got, want, src, out)
	}
	if len(before) == 1 && c.Comment == "" && !c.Shared {
		first, last := mayChange(before[0], c.Path, c.Remove)
		checkSpan(t, src, out, first, last)
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("a: 1 # c\nb:\n  - x\n"), "a", "x", 0)
	f.Add([]byte(configMap), "data.values\\.yaml", "x\ny", 0)
	f.Add([]byte("a: &x {b: [1, *x]}\r\nc: |+\r\n  t\r\n\r\n---\r\n? d\r\n: e"), "a.b[1]", "", -1)
	f.Add([]byte("\xef\xbb\xbfb: &b {k: 1}\nm:\n  <<: *b\n  l:\n  - - 1\n    # c\n  -\n    n: 'é' # d\n"), "m.l[1].n", "fd00::/8", 0)
	if seed, err := os.ReadFile("doc.go"); err == nil {
		f.Add(seed, "a", "b", 0)
	}
	f.Fuzz(func(t *testing.T, src []byte, dotted, value string, doc int) {
		path, err := edit.ParsePath(dotted)
		if err != nil || len(path) == 0 {
			return
		}
		text := "!!str " + value
		checkApply(t, src, edit.Change{Document: doc, Path: path, Value: value}, text)
		checkApply(t, src, edit.Change{Document: doc, Path: path, Value: value, Comment: "why"}, text)
		checkApply(t, src, edit.Change{Document: doc, Path: path, Value: value, Shared: true}, text)
		checkApply(t, src, edit.Change{Document: doc, Path: path, Value: []any{value, []edit.KV{{Key: value, Value: 1}}}},
			[]any{text, map[string]any{value: "!!int 1"}})
		checkApply(t, src, edit.Change{Document: doc, Path: path, Remove: true}, nil)
		var refusal *edit.Error
		if _, err := edit.ApplyBlock(src, doc, path, edit.Change{Path: []string{"a"}, Value: value}); err != nil && !errors.As(err, &refusal) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if line, column, found, _ := edit.Position(src, doc, path); found && (line < 1 || column < 1) {
			t.Fatalf("position %d:%d", line, column)
		}
	})
}

// inBlock writes text as a literal block behind "key: |".
func inBlock(text, key string, margin int) string {
	out := key + ": |\n"
	for line := range strings.SplitAfterSeq(text, "\n") {
		if strings.Trim(line, "\r\n") != "" {
			line = strings.Repeat(" ", margin) + line
		}
		out += line
	}
	if !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out
}

// An edit inside a block is the edit of its text; nothing around it changes,
// however deep the block lies.
func FuzzApplyBlock(f *testing.F) {
	f.Add("a: 1 # c\n\nb:\n  - x\n", "b[1]", "y", 0, uint8(4))
	f.Add("# only\r\na: {b: 1}\r\n---\r\nc: |\r\n  d\r\n", "c", "x\ny\n", 1, uint8(129))
	f.Add("kind: x\ndata:\n  k: \"v\"\n  # end\n---\nkind: y\n", "data.l", "é", 0, uint8(2))
	f.Fuzz(func(t *testing.T, text, dotted, value string, doc int, layout uint8) {
		path, err := edit.ParsePath(dotted)
		if err != nil || len(path) == 0 || len(text) > 1<<16 {
			return
		}
		head, tail := "x: 1 # é\n", "z: [x] # end\n"
		blocks := []edit.Block{{Path: []string{"k"}}}
		src := inBlock(text, "k", 1+int(layout%8))
		if layout >= 128 {
			blocks = append(blocks, edit.Block{Path: []string{"k"}})
			src = inBlock(src, "k", 2)
		}
		src = head + src + tail
		c := edit.Change{Document: doc, Path: path, Value: value}
		out, err := edit.ApplyNested([]byte(src), blocks, c)
		var refusal *edit.Error
		if err != nil {
			if !errors.As(err, &refusal) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if !bytes.HasPrefix(out, []byte(head)) || !bytes.HasSuffix(out, []byte(tail)) {
			t.Fatalf("bytes around the block changed\n%q\n%q", src, out)
		}
		if again, err := edit.ApplyNested(out, blocks, c); err != nil || string(again) != string(out) {
			t.Fatalf("a second time: %v\n%q\n%q", err, out, again)
		}
		checkHeld(t, []byte(src), out, len(blocks), c, "!!str "+value)
	})
}

// checkHeld compares what the blocks hold before and after.
func checkHeld(t *testing.T, src, out []byte, depth int, c edit.Change, value any) {
	for range depth {
		var before, after map[string]any
		if yaml.Unmarshal(src, &before) != nil || yaml.Unmarshal(out, &after) != nil {
			t.Fatalf("not readable\n%q\n%q", src, out)
		}
		src, out = []byte(before["k"].(string)), []byte(after["k"].(string))
		delete(before, "k")
		delete(after, "k")
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("around the block: %v, before %v", after, before)
		}
	}
	had, err := edit.Documents(src)
	if err != nil {
		t.Fatalf("edited, but not readable: %v", err)
	}
	has, err := edit.Documents(out)
	if err != nil {
		t.Fatalf("not readable after the edit: %v\n%q", err, out)
	}
	have, ok := meanings(had)
	got, _ := meanings(has)
	if want := expected(have, c, value); ok && !reflect.DeepEqual(got, want) {
		t.Fatalf("means %v\nwant  %v\n%q\n%q", got, want, src, out)
	}
}

// readEnv reads an env file as kustomize does.
func readEnv(src []byte) map[string]string {
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))))
	for lines.Scan() {
		line := strings.TrimLeftFunc(lines.Text(), unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		out[key] = value
	}
	return out
}

func FuzzApplyEnv(f *testing.F) {
	f.Add([]byte("# c\nA=1\r\n\n B= x \nC"), "B", "fd00::/8")
	f.Add([]byte("\xef\xbb\xbfA=1"), "NEW_A", "")
	f.Add([]byte("CLUSTER_POD_IPV4_CIDR=10.0.0.0/8\nZ=\n"), "CLUSTER_POD_IPV6_CIDR", "x=y")
	f.Fuzz(func(t *testing.T, src []byte, key, value string) {
		out, err := edit.ApplyEnv(src, key, value)
		var refusal *edit.Error
		if err != nil {
			if !errors.As(err, &refusal) || out != nil {
				t.Fatalf("error of type %T beside %q: %v", err, out, err)
			}
			return
		}
		want := readEnv(src)
		want[key] = value
		if got := readEnv(out); !maps.Equal(got, want) {
			t.Fatalf("means %q\nwant  %q\n%q\n%q", got, want, src, out)
		}
		if again, err := edit.ApplyEnv(out, key, value); err != nil || string(again) != string(out) {
			t.Fatalf("a second time: %v\n%q\n%q", err, out, again)
		}
		before, after := strings.SplitAfter(string(src), "\n"), strings.SplitAfter(string(out), "\n")
		head, tail := 0, 0
		for head < min(len(before), len(after)) && before[head] == after[head] {
			head++
		}
		for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
			tail++
		}
		if changed := len(before) - head - tail; changed > 1 {
			t.Fatalf("%d lines changed\n%q\n%q", changed, src, out)
		}
	})
}
