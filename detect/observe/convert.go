package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	yaml "go.yaml.in/yaml/v3"
)

// lineError is an error at a line of the text that was read, counted from 1.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func onLine(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

// parseYAML reads the first document of text; nil when there is none.
func parseYAML(text []byte) (root *yaml.Node, err error) {
	// The parser reports broken text by error, and by panic where it meets
	// something its authors did not think of. Neither may stop the program.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, yamlError(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// yamlError takes the line out of the parser's message.
func yamlError(err error) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	n, convErr := strconv.Atoi(m[1])
	if convErr != nil {
		return err
	}
	return onLine(n, "%s", m[2])
}

// yamlToJSON converts the first document of text; nil when there is none.
func yamlToJSON(text []byte, lim limits) ([]byte, error) {
	root, err := parseYAML(text)
	if err != nil || root == nil {
		return nil, err
	}
	return nodeToJSON(root, lim)
}

// nodeToJSON writes a YAML node as JSON.
func nodeToJSON(n *yaml.Node, lim limits) ([]byte, error) {
	c := converter{lim: lim}
	return c.convert(n)
}

// converter writes the nodes of one document as JSON. Aliases are followed
// within bounds on depth, which also ends cycles, and on the size of all that
// is written for the document.
type converter struct {
	out   bytes.Buffer
	lim   limits
	spent int // bytes written before, and entries visited
}

func (c *converter) convert(n *yaml.Node) ([]byte, error) {
	c.out.Reset()
	err := c.node(n, 0)
	c.spent += c.out.Len()
	if err != nil {
		return nil, err
	}
	return bytes.Clone(c.out.Bytes()), nil
}

func (c *converter) node(n *yaml.Node, depth int) error {
	if depth > c.lim.depth {
		return onLine(n.Line, "nested more than %d deep", c.lim.depth)
	}
	if c.spent++; c.spent+c.out.Len() > c.lim.expanded {
		return onLine(n.Line, "more than %d bytes once its aliases are followed", c.lim.expanded)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.node(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		return c.sequence(n, depth)
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return onLine(n.Line, "a YAML construct that Kubernetes objects do not have")
}

func (c *converter) sequence(n *yaml.Node, depth int) error {
	c.out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.node(item, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

func (c *converter) mapping(n *yaml.Node, depth int) error {
	pairs, err := c.pairsOf(n, c.lim.depth)
	if err != nil {
		return err
	}
	c.out.WriteByte('{')
	for i, p := range pairs {
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.text(p.key)
		c.out.WriteByte(':')
		if err := c.node(p.value, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

// entryCost is what holding one entry of a mapping costs, in bytes.
const entryCost = 16

type pair struct {
	key   string
	value *yaml.Node
}

// pairsOf lists a mapping's entries with merge keys resolved: a mapping's own
// entries win over merged ones.
func (c *converter) pairsOf(n *yaml.Node, depth int) ([]pair, error) {
	var out, merged []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if c.spent += entryCost; c.spent > c.lim.expanded {
			return nil, onLine(k.Line, "more than %d bytes once its aliases are followed", c.lim.expanded)
		}
		if k.Kind != yaml.ScalarNode {
			return nil, onLine(k.Line, "a key that is not a plain word")
		}
		if k.ShortTag() == "!!merge" {
			more, err := c.mergedPairs(v, depth)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		if seen[k.Value] {
			return nil, onLine(k.Line, "key %q stands twice in one mapping", clip(k.Value))
		}
		seen[k.Value] = true
		out = append(out, pair{k.Value, v})
	}
	for _, p := range merged {
		if !seen[p.key] {
			seen[p.key] = true
			out = append(out, p)
		}
	}
	return out, nil
}

func (c *converter) mergedPairs(v *yaml.Node, depth int) ([]pair, error) {
	if depth <= 0 {
		return nil, onLine(v.Line, "merge keys nested too deep")
	}
	switch v.Kind {
	case yaml.AliasNode:
		return c.mergedPairs(v.Alias, depth-1)
	case yaml.MappingNode:
		return c.pairsOf(v, depth-1)
	case yaml.SequenceNode:
		var out []pair
		for _, item := range v.Content {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if item.Kind != yaml.MappingNode {
				return nil, onLine(item.Line, "a merge key that names no mapping")
			}
			more, err := c.pairsOf(item, depth-1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		return out, nil
	}
	return nil, onLine(v.Line, "a merge key that names no mapping")
}

func (c *converter) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		c.out.WriteString("null")
		return nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return onLine(n.Line, "%q is not what its tag says", clip(n.Value))
		}
		raw, err := json.Marshal(v)
		if err != nil { // .inf and .nan
			c.text(n.Value)
			return nil
		}
		c.out.Write(raw)
		return nil
	}
	c.text(n.Value)
	return nil
}

// text writes a JSON string.
func (c *converter) text(s string) {
	if plain(s) {
		c.out.WriteByte('"')
		c.out.WriteString(s)
		c.out.WriteByte('"')
		return
	}
	raw, err := json.Marshal(s)
	if err != nil {
		raw = []byte(`""`)
	}
	c.out.Write(raw)
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}
