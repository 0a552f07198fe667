package edit

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// writer renders new values in the style of the document.
type writer struct {
	editor    *editor
	look      *style // instead of the editor's
	quoteKeys yaml.Style
	noLiteral bool // the text would end the file without a line break
}

func (w *writer) style() *style {
	if w.look == nil {
		w.look = w.editor.style()
	}
	return w.look
}

// entry renders "key: value" and the lines below it, indented from the key.
func (w *writer) entry(key string, v *yaml.Node, hint yaml.Style) []string {
	inline, below := w.value(v, hint)
	head := w.key(key, false) + ":"
	if inline != "" {
		head += " " + inline
	}
	return append([]string{head}, below...)
}

// value renders v as the value of a block mapping: what stands behind the
// colon, and the lines below, indented from the key.
func (w *writer) value(v *yaml.Node, hint yaml.Style) (inline string, below []string) {
	switch {
	case w.literal(v):
		return w.literalBlock(v.Value, w.style().width)
	case w.inline(v):
		return w.line(v, hint), nil
	case v.Kind == yaml.MappingNode:
		return "", indented(w.block(v), w.style().width)
	}
	return "", indented(w.block(v), w.style().list)
}

// inline reports that v is written on the line of its key or dash.
func (w *writer) inline(v *yaml.Node) bool {
	return v.Kind == yaml.ScalarNode || len(v.Content) == 0 || w.style().flowList && scalars(v)
}

func (w *writer) line(v *yaml.Node, hint yaml.Style) string {
	if v.Kind == yaml.ScalarNode {
		return w.scalar(v, hint, false)
	}
	return w.flow(v)
}

func scalars(v *yaml.Node) bool {
	for _, c := range v.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
	}
	return v.Kind == yaml.SequenceNode
}

// block renders the entries of a mapping or the items of a sequence.
func (w *writer) block(v *yaml.Node) []string {
	var out []string
	if v.Kind == yaml.SequenceNode {
		for _, c := range v.Content {
			out = append(out, w.item(c, w.style().hint(c.Value))...)
		}
		return out
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		c := v.Content[i+1]
		out = append(out, w.entry(v.Content[i].Value, c, w.style().hint(c.Value))...)
	}
	return out
}

// item renders "- value" and the lines below it, indented from the dash.
func (w *writer) item(v *yaml.Node, hint yaml.Style) []string {
	lines := w.body(v, hint)
	rest := indented(lines[1:], 2)
	return append([]string{"- " + lines[0]}, rest...)
}

// body renders v as it stands behind a dash.
func (w *writer) body(v *yaml.Node, hint yaml.Style) []string {
	switch {
	case w.literal(v):
		head, below := w.literalBlock(v.Value, 0)
		return append([]string{head}, below...)
	case w.inline(v):
		return []string{w.line(v, hint)}
	}
	return w.block(v)
}

func indented(lines []string, by int) []string {
	for i, l := range lines {
		if l != "" {
			lines[i] = strings.Repeat(" ", by) + l
		}
	}
	return lines
}

// flow renders v on one line.
func (w *writer) flow(v *yaml.Node) string {
	var parts []string
	switch v.Kind {
	case yaml.ScalarNode:
		return w.scalar(v, w.style().hint(v.Value), true)
	case yaml.SequenceNode:
		for _, c := range v.Content {
			parts = append(parts, w.flow(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		parts = append(parts, w.pair(v.Content[i].Value, v.Content[i+1], w.style().hint(v.Content[i+1].Value)))
	}
	if w.style().pad && len(parts) > 0 {
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// pair renders "key: value" inside a flow mapping.
func (w *writer) pair(key string, v *yaml.Node, hint yaml.Style) string {
	value := ""
	if v.Kind == yaml.ScalarNode {
		value = w.scalar(v, hint, true)
	} else {
		value = w.flow(v)
	}
	return w.key(key, true) + ": " + value
}

func (w *writer) key(key string, flow bool) string {
	return w.scalar(scalar("!!str", key), w.quoteKeys, flow)
}

// scalar renders v on one line, in the style of hint where that can hold it.
func (w *writer) scalar(v *yaml.Node, hint yaml.Style, flow bool) string {
	if v.Tag != "!!str" {
		return v.Value
	}
	quotes := hint & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle)
	if quotes == 0 {
		if plainSafe(v.Value, flow) {
			return v.Value
		}
		quotes = w.style().quotes()
	}
	if quotes == yaml.SingleQuotedStyle && printable(v.Value) {
		return "'" + strings.ReplaceAll(v.Value, "'", "''") + "'"
	}
	return doubleQuoted(v.Value)
}

// printable reports that s can stand between single quotes on one line.
func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainSafe reports that s means the same string without quotes to YAML 1.1 and
// 1.2 readers alike. The encoder knows the words and numbers of both.
func plainSafe(s string, flow bool) bool {
	if s == "" || !printable(s) || s == "=" || flow && strings.ContainsAny(s, ",[]{}:#?") ||
		strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") || strings.Contains(s, "{{") {
		return false
	}
	if clearly(s) {
		return true
	}
	out, err := yaml.Marshal(s)
	return err == nil && string(out) == s+"\n"
}

// clearly reports what no reader takes for anything but a string: a word that
// is none of YAML's, or with a slash in it, which no number or time holds. It
// spares the encoder, which costs as much as parsing a small file.
func clearly(s string) bool {
	letter, slash := false, false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = letter || i == 0
		case c >= '0' && c <= '9':
		case i == 0 || i == len(s)-1:
			return false
		case c == '/':
			slash = true
		case c != '.' && c != '-' && c != '_' && (c != ':' || !slash && !strings.Contains(s[i:], "/")):
			return false
		}
	}
	return slash || letter && !slices.Contains(yamlWords, strings.ToLower(s))
}

// yamlWords are those that YAML 1.1 or 1.2 does not take for strings.
var yamlWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

// literal reports that v is best written as a literal block.
func (w *writer) literal(v *yaml.Node) bool {
	s := v.Value
	if v.Kind != yaml.ScalarNode || v.Tag != "!!str" || w.noLiteral || !strings.Contains(s, "\n") ||
		strings.HasSuffix(s, "\n\n") || strings.ContainsAny(s[:1], " \t\n") {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimRight(line, " \t") != line {
			return false
		}
	}
	return true
}

func (w *writer) literalBlock(s string, indent int) (string, []string) {
	head := "|-"
	if strings.HasSuffix(s, "\n") {
		head, s = "|", strings.TrimSuffix(s, "\n")
	}
	return head, indented(strings.Split(s, "\n"), indent)
}
