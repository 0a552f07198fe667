package source

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// heredoc, fileCall and the like find values in the body of a helm_release.
var (
	helmResource = regexp.MustCompile(`(?m)^[ \t]*(?:resource|data)\s+"helm_(?:release|template)"\s+"[^"\n]*"\s*\{`)
	chartOf      = regexp.MustCompile(`(?m)(?:^|\{)\s*chart\s*=\s*"([^"\n]*)"`)
	heredocOpen  = regexp.MustCompile(`^<<[-~]?[ \t]*"?([A-Za-z_][A-Za-z0-9_]*)"?[^\n]*\n`)
	fileCall     = regexp.MustCompile(`\b(?:file|templatefile)\(\s*"([^"\n]+)"`)
	encodeCall   = regexp.MustCompile(`\b(?:yamlencode|jsonencode)\(`)
	setPair      = regexp.MustCompile(`\bname\s*=\s*"([^"\n]+)"[\s,]*(?:type\s*=\s*"[^"\n]*"[\s,]*)?value\s*=\s*("[^"\n]*"|[A-Za-z0-9_.]+)`)
	hclComment   = regexp.MustCompile(`(?m)^[ \t]*(?:#|//)[^\n]*$`)
)

// terraform reads the helm_release resources of a file. It is never edited.
func (f *finder) terraform(src string) {
	src = hclComment.ReplaceAllString(src, "")
	for at := 0; ; {
		loc := helmResource.FindStringIndex(src[at:])
		if loc == nil {
			return
		}
		from := at + loc[1]
		body := hclBlock(src[from:])
		at = from + len(body)
		if m := chartOf.FindStringSubmatch(body); m != nil && isCilium(m[1]) {
			f.helmResource(body, from, src)
		}
	}
}

// hclBlock is the text up to the brace that closes it, or all of it; strings,
// comments and heredocs are passed over.
func hclBlock(s string) string {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"' && s[i] != '\n'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '#':
			i += lineLength(s[i:])
		case '<':
			if h, ok := heredocAt(s, i); ok {
				i = h.end - 1
			}
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[:i]
			}
		}
	}
	return s
}

func lineLength(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

// heredoc is a text between <<WORD and WORD: from is its first byte, end is
// behind its last.
type heredoc struct{ from, end int }

// heredocAt reads the heredoc that opens at s[at].
func heredocAt(s string, at int) (heredoc, bool) {
	const longest = 256 // of a line that opens one
	if !strings.HasPrefix(s[at:], "<<") {
		return heredoc{}, false
	}
	m := heredocOpen.FindStringSubmatch(s[at:min(len(s), at+longest)])
	if m == nil {
		return heredoc{}, false
	}
	h := heredoc{from: at + len(m[0])}
	h.end = h.from
	for l := range strings.Lines(s[h.from:]) {
		if strings.TrimSpace(l) == m[1] {
			break
		}
		h.end += len(l)
	}
	return h, true
}

// unindent takes the indentation away that all lines have.
func unindent(s string) string {
	lines := strings.Split(s, "\n")
	margin := -1
	for i, l := range lines {
		l = strings.TrimRight(l, "\r")
		lines[i] = l
		if blank := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (margin < 0 || blank < margin) {
			margin = blank
		}
	}
	for i, l := range lines {
		lines[i] = l[min(max(margin, 0), len(l)):]
	}
	return strings.Join(lines, "\n")
}

// helmResource reads one resource; from is where its body begins in src.
func (f *finder) helmResource(body string, from int, src string) {
	lineAt := func(off int) int { return 1 + strings.Count(src[:from+off], "\n") }
	layers := map[int]layer{}
	for at := 0; at < len(body); at++ {
		if h, ok := heredocAt(body, at); ok {
			layers[at] = f.heredocLayer(unindent(body[h.from:h.end]), lineAt(h.from))
			at = h.end
		}
	}
	for _, m := range fileCall.FindAllStringSubmatchIndex(body, maxTexts) {
		if l, ok := f.named(body[m[2]:m[3]]); ok {
			layers[m[0]] = l
		}
	}
	if m := encodeCall.FindStringIndex(body); m != nil && !fileCall.MatchString(body) {
		layers[m[0]] = layer{file: f.file, line: lineAt(m[0]), unreadable: "the values are Terraform expressions", why: handMade}
	}
	var ordered []layer
	for _, at := range slices.Sorted(maps.Keys(layers)) {
		ordered = append(ordered, layers[at])
	}
	set := layer{file: f.file, line: lineAt(0), why: handMade, path: []string{"set"}}
	for _, m := range setPair.FindAllStringSubmatchIndex(body, maxTexts) {
		set.set(setting{path: body[m[2]:m[3]], value: strings.Trim(body[m[4]:m[5]], `"`), line: lineAt(m[4])})
	}
	f.add(CopyTerraform, f.place(lineAt(0)), append(ordered, set)...)
}

const handMade = "Terraform is not edited: change it by hand"

// heredocLayer is a text of values that begins on a line.
func (f *finder) heredocLayer(content string, line int) layer {
	l := layer{file: f.file, line: line, offset: line - 1, why: handMade, path: []string{"heredoc", itoa(line)}}
	docs, err := parse(f.file, []byte(content))
	switch {
	case err != nil:
		l.unreadable = "it is a template"
	case len(docs) > 0 && decode(docs[0].node, &l.values) == nil:
		l.node = docs[0].node
	}
	return l
}
