package observe

import (
	"bytes"
	"strings"
)

// plainToJSON converts YAML as machines write it: block mappings and sequences
// of scalars on one line, in ASCII. It is about ten times as fast as the full
// parser, and gives up (false) at the first thing that is not as plain: quotes
// with escapes, block scalars, anchors, tags, flow collections, comments behind
// values, repeated keys, numbers that are not simple integers. What it converts
// it converts exactly as the full parser does.
func plainToJSON(text []byte) ([]byte, bool) {
	for _, c := range text {
		if c != '\n' && (c < 0x20 || c >= 0x7f) {
			return nil, false
		}
	}
	p := plainParser{text: text}
	if !p.next() || p.indent != 0 {
		return nil, false
	}
	p.out.Grow(len(text) + len(text)/4)
	if !p.block(0, 0) || !p.done {
		return nil, false
	}
	return p.out.Bytes(), true
}

// plainParser stands at one line: its indentation and its content. Within a
// sequence the indentation is that of what follows the dash.
type plainParser struct {
	text   []byte
	pos    int
	indent int
	line   []byte
	done   bool
	broken bool
	out    bytes.Buffer
}

const plainDepth = 50

// next goes to the next line that is neither blank nor a comment; false at the
// end or at a line that is not plain.
func (p *plainParser) next() bool {
	for p.pos < len(p.text) {
		end := bytes.IndexByte(p.text[p.pos:], '\n')
		line := p.text[p.pos:]
		if end >= 0 {
			line = line[:end]
			p.pos += end + 1
		} else {
			p.pos = len(p.text)
		}
		p.line = bytes.TrimLeft(line, " ")
		p.indent = len(line) - len(p.line)
		p.line = bytes.TrimRight(p.line, " ")
		if len(p.line) == 0 || p.line[0] == '#' {
			continue
		}
		if p.indent == 0 && (isMarker(line, "---") || isMarker(line, "...")) {
			p.broken = true
			return false
		}
		return true
	}
	p.done = true
	return false
}

// block reads the mapping or sequence whose first line the parser stands at.
func (p *plainParser) block(indent, depth int) bool {
	if depth > plainDepth || p.indent != indent {
		return false
	}
	if isMarker(p.line, "-") {
		return p.sequence(indent, depth)
	}
	return p.mapping(indent, depth)
}

func (p *plainParser) sequence(indent, depth int) bool {
	p.out.WriteByte('[')
	for first := true; !p.done && p.indent == indent && isMarker(p.line, "-"); first = false {
		if !first {
			p.out.WriteByte(',')
		}
		rest := bytes.TrimLeft(p.line[1:], " ")
		if len(rest) == 0 || isMarker(rest, "-") {
			return false
		}
		p.indent += len(p.line) - len(rest)
		p.line = rest
		if _, _, isEntry := cutEntry(rest); isEntry {
			if !p.mapping(p.indent, depth+1) {
				return false
			}
			continue
		}
		if !p.scalar(rest) || !p.after(indent) {
			return false
		}
	}
	p.out.WriteByte(']')
	return !p.broken && (p.done || p.indent <= indent)
}

func (p *plainParser) mapping(indent, depth int) bool {
	if depth > plainDepth {
		return false
	}
	p.out.WriteByte('{')
	var keys []string
	for first := true; !p.done && p.indent == indent && !isMarker(p.line, "-"); first = false {
		key, value, ok := cutEntry(p.line)
		if !ok {
			return false
		}
		for _, k := range keys {
			if k == string(key) {
				return false
			}
		}
		keys = append(keys, string(key))
		if !first {
			p.out.WriteByte(',')
		}
		p.out.WriteByte('"')
		p.out.Write(key)
		p.out.WriteString(`":`)
		if !p.value(value, indent, depth) {
			return false
		}
	}
	p.out.WriteByte('}')
	return !p.broken && (p.done || p.indent <= indent)
}

// value reads what belongs to a key: a scalar on its line, or a block below it,
// whose dashes may stand as far left as the key.
func (p *plainParser) value(value []byte, indent, depth int) bool {
	if len(value) > 0 {
		return p.scalar(value) && p.after(indent)
	}
	p.next()
	switch {
	case p.broken:
		return false
	case !p.done && (p.indent > indent || p.indent == indent && isMarker(p.line, "-")):
		return p.block(p.indent, depth+1)
	}
	p.out.WriteString("null")
	return true
}

// after goes to the line after a scalar, which must not continue it.
func (p *plainParser) after(indent int) bool {
	p.next()
	return !p.broken && (p.done || p.indent <= indent)
}

// cutEntry splits "key: value" and "key:".
func cutEntry(line []byte) (key, value []byte, ok bool) {
	i := 0
	for i < len(line) && (isWord(line[i]) || line[i] == '/' || line[i] == ':' && i+1 < len(line) && line[i+1] != ' ') {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' || line[0] == '-' || line[0] == ':' {
		return nil, nil, false
	}
	return line[:i], bytes.Trim(line[i+1:], " "), true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

func (p *plainParser) scalar(s []byte) bool {
	switch text := string(s); {
	case text == "{}" || text == "[]" || text == "true" || text == "false" || isPlainInt(text):
		p.out.WriteString(text)
		return true
	case s[0] == '"' || s[0] == '\'':
		return p.quoted(s)
	case isPlainString(text):
		p.quote(text)
		return true
	}
	return false
}

func (p *plainParser) quote(s string) {
	p.out.WriteByte('"')
	p.out.WriteString(s)
	p.out.WriteByte('"')
}

func (p *plainParser) quoted(s []byte) bool {
	if len(s) < 2 || s[len(s)-1] != s[0] {
		return false
	}
	inner := string(s[1 : len(s)-1])
	if strings.ContainsAny(inner, `"'`) || !plain(inner) {
		return false
	}
	p.quote(inner)
	return true
}

// isPlainInt: what YAML and JSON write alike, and a float64 holds exactly.
func isPlainInt(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 15 || digits[0] == '0' && s != "0" {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// isPlainString: certainly a string, by YAML's rules for scalars without quotes.
func isPlainString(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isWord(c) && !strings.ContainsRune("/:@+=, ()", rune(c)) {
			return false
		}
	}
	if strings.Contains(s, ": ") || s[len(s)-1] == ':' {
		return false
	}
	switch c := s[0]; {
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return !isReserved(s)
	case c >= '0' && c <= '9':
		return !mayBeNumber(s)
	}
	return strings.HasPrefix(s, "--") && len(s) > 2 && s[2] != '-'
}

// mayBeNumber: no number has a slash, a colon or two dots, nor, unless it is
// hexadecimal, a letter but e. A time is its text.
func mayBeNumber(s string) bool {
	if strings.ContainsAny(s, "/:") || strings.Count(s, ".") > 1 {
		return false
	}
	if len(s) > 1 && s[0] == '0' && strings.ContainsRune("xXoObB", rune(s[1])) {
		return true
	}
	return !strings.ContainsAny(s, "abcdfghijklmnopqrstuvwxyzABCDFGHIJKLMNOPQRSTUVWXYZ")
}

// isReserved: words that some YAML version reads as something else.
func isReserved(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return true
	}
	return false
}
