package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Edit is one change of the values, as remediate proposes them.
type Edit struct {
	Name   string
	Path   []string
	Value  any
	Remove bool
}

// Edits are made on each file, each on its own.
var Edits = []Edit{
	{Name: "change an address range", Path: []string{"ipv4NativeRoutingCIDR"}, Value: "10.0.0.0/9"},
	{Name: "flip a nested boolean", Path: []string{"bpf", "masquerade"}, Value: true},
	{Name: "add a mapping with a list", Path: []string{"ipMasqAgent", "config"}, Value: map[string]any{"nonMasqueradeCIDRs": []any{"10.0.0.0/8", "fd00::/8"}}},
	{Name: "replace a list", Path: []string{"hubble", "metrics", "enabled"}, Value: []any{"dns", "policy"}},
	{Name: "remove a key", Path: []string{"mtu"}, Remove: true},
}

// decode reads every document of a text into plain values.
func decode(src []byte) ([]any, error) {
	var out []any
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var v any
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		out = append(out, v)
	}
}

// Intended is what the documents of the file mean after the edit; what the
// block holds stands there decoded.
func (f *File) Intended(e Edit) ([]any, error) {
	docs, err := f.meaning(f.Text)
	if err != nil {
		return nil, err
	}
	path := append(append(append([]string{}, f.Block...), f.Prefix...), e.Path...)
	docs[f.Document] = set(docs[f.Document], path, e)
	return docs, nil
}

// Holds reports whether the text means what was intended.
func (f *File) Holds(text []byte, e Edit) (bool, error) {
	want, err := f.Intended(e)
	if err != nil {
		return false, err
	}
	got, broken := f.meaning(text)
	return broken == nil && reflect.DeepEqual(got, want), nil
}

func (f *File) meaning(text []byte) ([]any, error) {
	docs, err := decode(text)
	if err != nil || f.Block == nil {
		return docs, err
	}
	if f.Document >= len(docs) {
		return nil, errors.New("documents are missing")
	}
	held, err := decode([]byte(fmt.Sprint(get(docs[f.Document], f.Block))))
	if err != nil || len(held) != 1 {
		return nil, fmt.Errorf("the block holds %d documents: %w", len(held), err)
	}
	docs[f.Document] = set(docs[f.Document], f.Block, Edit{Value: held[0]})
	return docs, nil
}

func get(n any, path []string) any {
	for _, seg := range path {
		m, _ := n.(map[string]any)
		n = m[seg]
	}
	return n
}

// set is the edit on plain values.
func set(n any, path []string, e Edit) any {
	if len(path) == 0 {
		return e.Value
	}
	m, _ := n.(map[string]any)
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	if len(path) == 1 && e.Remove {
		delete(out, path[0])
		return out
	}
	out[path[0]] = set(out[path[0]], path[1:], e)
	return out
}

// Least is the smallest number of lines to delete and to add for the edit in
// the style of the file.
func (f *File) Least(e Edit) (int, error) {
	root, err := f.valuesNode()
	if err != nil {
		return 0, err
	}
	inFlow, parent := false, root
	for _, seg := range e.Path[:len(e.Path)-1] {
		inFlow = inFlow || parent.Style&yaml.FlowStyle != 0
		if parent = child(parent, seg); parent == nil {
			return 0, fmt.Errorf("%s: %v is not there", f.Name, e.Path)
		}
	}
	inFlow = inFlow || parent.Style&yaml.FlowStyle != 0 && len(parent.Content) > 0
	added := 4 // the key, the list's key and two items
	if f.hand.inline == someFlow {
		added = 2
	}
	switch {
	case e.Remove && inFlow && f.hand.inline == manyLines, e.Remove && !inFlow:
		return 1, nil
	case inFlow, e.Value == nil, len(e.Path) == 1, e.Value == true:
		return 2, nil
	case e.Path[0] == "ipMasqAgent" && !f.ranges:
		return 2 + added, nil
	case e.Path[0] == "ipMasqAgent":
		return added, nil
	case f.hand.inline == someFlow:
		return 2, nil
	}
	return f.metrics + 2, nil
}

// valuesNode is the tree of the values.
func (f *File) valuesNode() (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(f.Text))
	var doc yaml.Node
	for range f.Document + 1 {
		doc = yaml.Node{}
		if err := dec.Decode(&doc); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	n := doc.Content[0]
	for _, seg := range append(append([]string{}, f.Block...), f.Prefix...) {
		if n = child(n, seg); n == nil {
			return nil, fmt.Errorf("%s: %s is not there", f.Name, seg)
		}
	}
	if f.Block == nil {
		return n, nil
	}
	var held yaml.Node
	if err := yaml.Unmarshal([]byte(n.Value), &held); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return held.Content[0], nil
}

func child(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// Distance is the number of lines deleted and added between two texts.
func Distance(a, b string) int {
	before, after := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	row := make([]int, len(after)+1)
	for _, line := range before {
		diagonal := 0
		for j := range after {
			above := row[j+1]
			switch {
			case line == after[j]:
				row[j+1] = diagonal + 1
			default:
				row[j+1] = max(row[j+1], row[j])
			}
			diagonal = above
		}
	}
	return len(before) + len(after) - 2*row[len(after)]
}
