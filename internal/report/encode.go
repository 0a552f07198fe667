package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// JSON writes doc, indented, with a final line break. Lists of the contract's
// documents are never null. Characters that act on a terminal are written as
// JSON escapes, which every reader turns back into the same string.
func JSON(w io.Writer, doc any) error {
	text, err := marshal(doc)
	if err != nil {
		return err
	}
	return write(w, "JSON", text)
}

// YAML writes the document that JSON writes, as YAML, keys in the same order.
func YAML(w io.Writer, doc any) error {
	text, err := marshal(doc)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	node, err := yamlNode(decoder)
	if err != nil {
		return fmt.Errorf("failed to convert the document to YAML: %w", err)
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(node), encoder.Close()); err != nil {
		return fmt.Errorf("failed to write YAML: %w", err)
	}
	return write(w, "YAML", escapeRunes(b.Bytes(), yamlEscape))
}

func marshal(doc any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(normal(doc)); err != nil {
		return nil, fmt.Errorf("failed to write JSON: %w", err)
	}
	return escapeRunes(b.Bytes(), jsonEscape), nil
}

// escapeRunes replaces the unprintable runes of an encoded document. They only
// stand inside quoted strings, so an escape there means the same.
func escapeRunes(text []byte, escape func(rune) string) []byte {
	var b bytes.Buffer
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r != '\n' && r != '\t' && unprintable(r) {
			b.WriteString(escape(r))
		} else {
			b.Write(text[:n])
		}
		text = text[n:]
	}
	return b.Bytes()
}

func jsonEscape(r rune) string {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

func yamlEscape(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08X`, r)
	}
	return fmt.Sprintf(`\u%04X`, r)
}

// yamlNode reads one JSON value and keeps the order of its keys.
func yamlNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return yamlChildren(decoder, yaml.MappingNode)
	case json.Delim('['):
		return yamlChildren(decoder, yaml.SequenceNode)
	}
	return yamlScalar(token)
}

func yamlChildren(decoder *json.Decoder, kind yaml.Kind) (*yaml.Node, error) {
	node := &yaml.Node{Kind: kind}
	for decoder.More() {
		child, err := yamlNode(decoder)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle
	}
	_, err := decoder.Token()
	return node, err
}

func yamlScalar(token json.Token) (*yaml.Node, error) {
	switch v := token.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v, Style: yamlStyle(v)}, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil
	}
	node := &yaml.Node{}
	return node, node.Encode(token)
}

// yaml11 finds strings that a YAML 1.1 reader takes for booleans or for numbers
// to the base of 60; the encoder only knows those of YAML 1.2.
var yaml11 = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$|^[-+]?[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?$`)

// yamlStyle is a block for lines that a block holds exactly, quotes for what
// could be read as something else, and the encoder's choice for the rest.
func yamlStyle(s string) yaml.Style {
	switch {
	case !plain(s), strings.Contains(s, "\t"), yaml11.MatchString(s):
		return yaml.DoubleQuotedStyle
	case !strings.Contains(s, "\n"):
		return 0
	case s[0] == ' ', s[0] == '\n':
		return yaml.DoubleQuotedStyle
	}
	return yaml.LiteralStyle
}

func write(w io.Writer, what string, text []byte) error {
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("failed to write the %s report: %w", what, err)
	}
	return nil
}
