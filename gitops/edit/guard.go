package edit

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Bounds on what is read. The largest YAML files seen in Flux repositories are
// bundles of custom resource definitions of about 2 MiB, 30 levels deep.
const (
	// MaxBytes is the largest text that is read, in bytes.
	MaxBytes = 8 << 20
	// maxDepth is how many collections may be nested.
	maxDepth = 200
	// maxTokens bounds the nodes that the parser could allocate (about 200 bytes each).
	maxTokens = 1_000_000
	// maxDocuments bounds the documents of one file.
	maxDocuments = 20_000
	// maxExpanded bounds the nodes of one document once its aliases are followed.
	maxExpanded = 2_000_000
)

// Inspect says whether src may be read as plain YAML: UTF-8, within the bounds,
// parsable, neither a template nor encrypted by SOPS. The error is an [*Error].
// Duplicate keys are not its business: Flux reads such files, [Apply] refuses them.
func Inspect(src []byte) error {
	_, err := Documents(src)
	return err
}

// Documents parses src under the guards of [Inspect]. A document that holds
// nothing but comments between two markers counts, as a null scalar; a text
// without any content has no documents. Each node is of kind DocumentNode.
func Documents(src []byte) ([]*yaml.Node, error) {
	if err := checkBytes(src); err != nil {
		return nil, err
	}
	docs, err := parse(src)
	if err != nil {
		return nil, err
	}
	if line := makejinjaLine(src); line > 0 {
		return nil, refuse(ErrTemplate, line, "it holds #{ }# or #%% %%# markers: edit the template's source data instead")
	}
	for _, doc := range docs {
		if err := checkTree(src, doc); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

func checkBytes(src []byte) error {
	if len(src) > MaxBytes {
		return refuse(ErrTooLarge, 0, "%d bytes, at most %d are read", len(src), MaxBytes)
	}
	if !utf8.Valid(src) {
		return refuse(ErrNotYAML, invalidUTF8Line(src), "the text is not UTF-8")
	}
	if n := tokens(src); n > maxTokens {
		return refuse(ErrTooLarge, 0, "about %d values, at most %d are read", n, maxTokens)
	}
	return nil
}

func invalidUTF8Line(src []byte) int {
	line := 1
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		src = src[n:]
	}
	return line
}

// tokens counts what can begin a node: an upper bound taken before the parser
// allocates anything.
func tokens(src []byte) int {
	n := 0
	for i, c := range src {
		switch c {
		case '\n', '\r', ',', '[', '{':
			n++
		case '-', '?', ':':
			if i+1 < len(src) && (src[i+1] == ' ' || src[i+1] == '\t') {
				n++
			}
		}
	}
	return n
}

func parse(src []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		doc := &yaml.Node{}
		err := dec.Decode(doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, parseError(src, err)
		}
		if docs = append(docs, doc); len(docs) > maxDocuments {
			return nil, refuse(ErrTooLarge, doc.Line, "more than %d documents", maxDocuments)
		}
	}
}

var (
	errorLine    = regexp.MustCompile(`line (\d+): (.*)`)
	templateLine = regexp.MustCompile(`^[^#"']*(\{\{|\{%|\{#)`)
	makejinja    = regexp.MustCompile(`(?m)^(?:[^\n"'#]*[:\-] |\s*)#(?:\{[^\n]*\}|%[^\n]*%)#\s*$`)
)

// parseError tells a template from broken YAML: its first tag stands on a line
// of its own or as an unquoted value.
func parseError(src []byte, err error) error {
	for i, line := range bytes.Split(src, []byte("\n")) {
		if tagged(line) && templateLine.Match(line) {
			return refuse(ErrTemplate, i+1, "it holds {{ }} or {%% %%} outside of a string: edit the template's source data instead")
		}
	}
	line, detail := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := errorLine.FindStringSubmatch(detail); m != nil {
		line, _ = strconv.Atoi(m[1])
		detail = m[2]
	}
	return refuse(ErrNotYAML, line, "%s", detail)
}

// tagged is the cheap part of templateLine.
func tagged(line []byte) bool {
	i := bytes.IndexByte(line, '{')
	return i >= 0 && i+1 < len(line)
}

func makejinjaLine(src []byte) int {
	if !bytes.Contains(src, []byte("}#")) && !bytes.Contains(src, []byte("%#")) {
		return 0
	}
	loc := makejinja.FindIndex(src)
	if loc == nil {
		return 0
	}
	return 1 + bytes.Count(bytes.TrimRight(src[:loc[1]], " \t\r\n"), []byte("\n"))
}

// checkTree looks for what parses and still must not be taken for plain YAML.
func checkTree(src []byte, doc *yaml.Node) error {
	if root := doc.Content[0]; root.Kind == yaml.MappingNode {
		if i := find(root, "sops"); i >= 0 {
			return refuse(ErrEncrypted, root.Content[i].Line, "change it with sops, or move the value out of the encrypted file")
		}
	}
	if err := checkNode(src, doc, 0); err != nil {
		return err
	}
	_, err := expanded(doc, map[*yaml.Node]int{})
	return err
}

func checkNode(src []byte, n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return refuse(ErrTooLarge, n.Line, "more than %d levels deep", maxDepth)
	case n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, "ENC["):
		return refuse(ErrEncrypted, n.Line, "change it with sops, or move the value out of the encrypted file")
	case doubleBrace(n):
		return refuse(ErrTemplate, n.Line, "it holds {{ }} outside of a string: edit the template's source data instead")
	}
	for _, child := range n.Content {
		if err := checkNode(src, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// doubleBrace reports an unquoted "{{ x }}": a flow mapping whose key is a flow mapping.
func doubleBrace(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 &&
		n.Content[0].Kind == yaml.MappingNode && n.Content[0].Style&yaml.FlowStyle != 0
}

const unfinished = -1

// expanded counts the nodes of n with aliases followed, each anchor once.
func expanded(n *yaml.Node, seen map[*yaml.Node]int) (int, error) {
	if n.Kind == yaml.AliasNode {
		size, ok := seen[n.Alias]
		if !ok || size == unfinished {
			return 0, refuse(ErrNotYAML, n.Line, "anchor %q contains itself", n.Value)
		}
		return size, nil
	}
	if n.Anchor != "" {
		seen[n] = unfinished
	}
	total := 1
	for _, child := range n.Content {
		size, err := expanded(child, seen)
		if err != nil {
			return 0, err
		}
		if total += size; total > maxExpanded {
			return 0, refuse(ErrTooLarge, n.Line, "aliases expand to more than %d values", maxExpanded)
		}
	}
	if n.Anchor != "" {
		seen[n] = total
	}
	return total, nil
}

// find gives the index of key in the Content of mapping m, or -1.
func find(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := m.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
			return i
		}
	}
	return -1
}
