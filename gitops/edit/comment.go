package edit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// comment renders the text of a comment as lines in the way of the file; none
// for JSON, which has no comments.
func (e *editor) comment(text string, root *yaml.Node) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if !utf8.ValidString(text) {
		return nil, refuse(ErrValue, 0, "the comment is not UTF-8")
	}
	if root.Style&yaml.FlowStyle != 0 && json.Valid(e.src.bytes) {
		return nil, nil
	}
	mark := e.commentMark()
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if !printable(line) {
			return nil, refuse(ErrValue, 0, "the comment holds a character that cannot be printed")
		}
		lines = append(lines, strings.TrimRight(mark+line, " "))
	}
	return lines, nil
}

// commentMark is "#" where most comments of the file follow it closely, else "# ".
func (e *editor) commentMark() string {
	apart, close := 0, 0
	for _, start := range e.src.lines {
		switch at := e.src.skip(start, " \t"); {
		case e.src.at(at) != '#':
		case e.src.at(at+1) == ' ':
			apart++
		case e.src.at(at+1) > ' ' && !strings.ContainsRune("#!-=", rune(e.src.at(at+1))):
			close++
		}
	}
	if close > apart {
		return "#"
	}
	return "# "
}

// explain writes the comment above the line of the innermost of the passed
// slots that begins a line.
func (e *editor) explain(passed []slot) {
	if len(e.note) == 0 {
		return
	}
	for _, s := range slices.Backward(passed) {
		if off, ok := e.opening(s); ok {
			e.noteAbove(off)
			return
		}
	}
}

// opening is where the entry, item or root in s begins, if that begins a line.
func (e *editor) opening(s slot) (int, bool) {
	off := 0
	switch {
	case s.flow || s.key == nil && s.parent.Kind == yaml.DocumentNode && empty(s.node):
		return 0, false
	case s.key != nil:
		off = e.start(s.key)
	case s.parent.Kind == yaml.DocumentNode:
		off = e.start(s.node)
	default:
		off = e.dash(s.parent, s.index)
	}
	return off, e.src.leads(off)
}

// noteAbove writes the comment above the line that begins at off, unless it
// stands there.
func (e *editor) noteAbove(off int) {
	start := e.src.lineStart(off)
	if e.noted(start) {
		return
	}
	eol := e.src.ending(off)
	if breakAt(e.src.bytes, e.src.lineEnd(off)) == 0 {
		eol = e.src.eol
	}
	margin := string(e.src.bytes[start:e.src.skip(start, " \t")])
	e.splice(start, start, margin+strings.Join(e.note, eol+margin)+eol)
}

// noted reports that the lines above start are the comment already.
func (e *editor) noted(start int) bool {
	line := e.src.line(start) - len(e.note)
	if line < 0 {
		return false
	}
	for i, want := range e.note {
		at := e.src.lines[line+i]
		have := bytes.TrimLeft(bytes.TrimSpace(e.src.bytes[at:e.src.lineEnd(at)]), "#")
		if !bytes.HasPrefix(bytes.TrimSpace(e.src.bytes[at:e.src.lineEnd(at)]), []byte("#")) ||
			string(bytes.TrimSpace(have)) != strings.TrimSpace(strings.TrimLeft(want, "#")) {
			return false
		}
	}
	return true
}
