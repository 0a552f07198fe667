package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	goccy "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/mikefarah/yq/v4/pkg/yqlib"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
)

// Tool makes an edit in a file, in the way that its documentation shows.
type Tool struct {
	Name string
	Edit func(f *File, e Edit) ([]byte, error)
}

// Tools are those compared, remediate's first.
func Tools() []Tool {
	yqlib.GetLogger().SetLevel(slog.LevelError)
	return []Tool{
		{"gitops/edit", splice},
		{"goccy/go-yaml", withGoccy},
		{"kyaml", withKyaml},
		{"yq", withYq},
	}
}

func splice(f *File, e Edit) ([]byte, error) {
	c := edit.Change{Document: f.Document, Path: slices.Concat(f.Prefix, e.Path), Value: e.Value, Remove: e.Remove}
	if f.Block == nil {
		return edit.Apply(f.Text, c)
	}
	c.Document = 0
	return edit.ApplyBlock(f.Text, f.Document, f.Block, c)
}

func withGoccy(f *File, e Edit) ([]byte, error) {
	if f.Block == nil {
		return goccyEdit(f.Text, f.Document, slices.Concat(f.Prefix, e.Path), e)
	}
	file, err := parser.ParseBytes(f.Text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	path, err := goccyPath(f.Block)
	if err != nil {
		return nil, err
	}
	var held string
	if err := path.Read(bytes.NewReader(f.Text), &held); err != nil {
		return nil, err
	}
	out, err := goccyEdit([]byte(held), 0, e.Path, e)
	if err != nil {
		return nil, err
	}
	node, err := goccy.ValueToNode(string(out), goccy.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, err
	}
	if err := path.ReplaceWithNode(file, node); err != nil {
		return nil, err
	}
	return []byte(file.String()), nil
}

func goccyPath(path []string) (*goccy.Path, error) {
	s := "$"
	for _, seg := range path {
		if strings.Contains(seg, ".") {
			seg = "'" + seg + "'"
		}
		s += "." + seg
	}
	return goccy.PathString(s)
}

func goccyEdit(src []byte, number int, path []string, e Edit) ([]byte, error) {
	file, err := parser.ParseBytes(src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	if number >= len(file.Docs) {
		return nil, fmt.Errorf("%d documents", len(file.Docs))
	}
	doc := &ast.File{Docs: file.Docs[number : number+1]}
	whole, err := goccyPath(path)
	if err != nil {
		return nil, err
	}
	parent, err := goccyPath(path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	value, err := goccy.Marshal(e.Value)
	if err != nil {
		return nil, err
	}
	switch _, missing := whole.FilterFile(doc); {
	case e.Remove:
		err = goccyRemove(doc, parent, path[len(path)-1])
	case missing == nil:
		err = whole.ReplaceWithReader(doc, bytes.NewReader(value))
	default:
		if value, err = goccy.Marshal(map[string]any{path[len(path)-1]: e.Value}); err == nil {
			err = parent.MergeFromReader(doc, bytes.NewReader(value))
		}
	}
	if err != nil {
		return nil, err
	}
	return []byte(file.String()), nil
}

// goccyRemove takes an entry out of the tree; paths of the library cannot.
func goccyRemove(doc *ast.File, parent *goccy.Path, key string) error {
	n, err := parent.FilterFile(doc)
	if err != nil {
		return err
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return fmt.Errorf("a %s stands there", n.Type())
	}
	m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool { return v.Key.String() == key })
	return nil
}

func withKyaml(f *File, e Edit) ([]byte, error) {
	if f.Block == nil {
		return kyamlEdit(f.Text, f.Document, func(n *yaml.RNode) error { return kyamlSet(n, slices.Concat(f.Prefix, e.Path), e) })
	}
	return kyamlEdit(f.Text, f.Document, func(n *yaml.RNode) error {
		held, err := n.Pipe(yaml.Lookup(f.Block...))
		if err != nil {
			return err
		}
		out, err := kyamlEdit([]byte(held.YNode().Value), 0, func(n *yaml.RNode) error { return kyamlSet(n, e.Path, e) })
		held.YNode().Value = string(out)
		return err
	})
}

func kyamlSet(n *yaml.RNode, path []string, e Edit) error {
	parent, key := path[:len(path)-1], path[len(path)-1]
	if e.Remove {
		return n.PipeE(yaml.Lookup(parent...), yaml.Clear(key))
	}
	value, err := yaml.Marshal(e.Value)
	if err != nil {
		return err
	}
	node, err := yaml.Parse(string(value))
	if err != nil {
		return err
	}
	return n.PipeE(yaml.LookupCreate(yaml.MappingNode, parent...), yaml.FieldSetter{Name: key, Value: node})
}

func kyamlEdit(src []byte, number int, change func(*yaml.RNode) error) ([]byte, error) {
	var out bytes.Buffer
	style := yaml.SequenceIndentStyle(yaml.DeriveSeqIndentStyle(string(src)))
	enc := yaml.NewEncoderWithOptions(&out, &yaml.EncoderOptions{SeqIndent: style})
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for i := 0; ; i++ {
		doc := &yaml.Node{}
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if i == number {
			if err := change(yaml.NewRNode(doc)); err != nil {
				return nil, err
			}
		}
		if err := enc.Encode(doc); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), enc.Close()
}

func withYq(f *File, e Edit) ([]byte, error) {
	doc := "select(di == " + strconv.Itoa(f.Document) + ") | "
	expression := yqEdit(doc, slices.Concat(f.Prefix, e.Path), e)
	if f.Block != nil {
		expression = "(" + doc + yqPath(f.Block) + ") |= (from_yaml | " + yqEdit("", e.Path, e) + " | to_yaml)"
	}
	prefs := yqlib.NewDefaultYamlPreferences()
	prefs.CompactSequenceIndent = yaml.DeriveSeqIndentStyle(string(f.Text)) == string(yaml.CompactSequenceStyle)
	out, err := yqlib.NewStringEvaluator().Evaluate(expression, string(f.Text), yqlib.NewYamlEncoder(prefs), yqlib.NewYamlDecoder(prefs))
	return []byte(out), err
}

func yqPath(path []string) string {
	var b strings.Builder
	for _, seg := range path {
		b.WriteString("." + strconv.Quote(seg))
	}
	return b.String()
}

func yqEdit(doc string, path []string, e Edit) string {
	at := "(" + doc + yqPath(path) + ")"
	if e.Remove {
		return "del" + at
	}
	return at + " = " + yqValue(e.Value)
}

// yqValue writes a value as an expression, which is JSON here.
func yqValue(v any) string {
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			parts = append(parts, strconv.Quote(k)+": "+yqValue(item))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, yqValue(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}
