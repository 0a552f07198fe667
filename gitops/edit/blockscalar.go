package edit

import (
	"bytes"
	"errors"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// ApplyBlock makes the changes in the YAML text that the literal block scalar
// at scalarPath of document doc holds: a ConfigMap's data."values.yaml". The
// indentation of the block is kept. Lines in errors are those of src. A value
// that is folded or quoted is refused: its text cannot be edited in place.
func ApplyBlock(src []byte, doc int, scalarPath []string, changes ...Change) ([]byte, error) {
	for _, c := range changes {
		var err error
		if src, err = stepBlock(src, doc, scalarPath, c); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// PositionBlock is [Position] for a path inside the block scalar at scalarPath;
// the line and column are those of src.
func PositionBlock(src []byte, doc int, scalarPath, path []string) (line, column int, found bool, err error) {
	b, err := openBlock(src, doc, scalarPath)
	if err != nil {
		return 0, 0, false, err
	}
	line, column, found, err = Position(b.inner.bytes, -1, path)
	if err != nil || !found {
		return 0, 0, false, b.shift(err)
	}
	return line + b.line, column + b.indent, true, nil
}

// embedded is a block scalar and the text it holds.
type embedded struct {
	outer  *text
	docs   []*yaml.Node
	node   *yaml.Node
	line   int // lines of outer before the content
	indent int
	inner  *text
}

func openBlock(src []byte, number int, path []string) (*embedded, error) {
	docs, err := Documents(src)
	if err != nil {
		return nil, err
	}
	doc, err := document(docs, number)
	if err != nil {
		return nil, err
	}
	if err := duplicate(doc); err != nil {
		return nil, err
	}
	e := &editor{src: newText(src)}
	passed, rest, err := e.walk(doc, path)
	if err != nil {
		return nil, err
	}
	at := passed[len(passed)-1]
	switch {
	case len(rest) > 0:
		return nil, refuse(ErrPath, at.node.Line, "%s is not there", FormatPath(path))
	case at.node.Kind != yaml.ScalarNode || at.node.Style&yaml.LiteralStyle == 0:
		return nil, refuse(ErrPath, at.node.Line, "%s is not a literal block (written with |): turn it into one, or change it by hand", FormatPath(path))
	}
	if err := e.check(doc, passed, []string{""}); err != nil {
		return nil, err
	}
	return e.open(docs, at)
}

func (e *editor) open(docs []*yaml.Node, at slot) (*embedded, error) {
	b := e.blockAt(e.content(at.node), at.indent)
	if e.err != nil {
		return nil, e.err
	}
	if b.first == b.last {
		return nil, refuse(ErrPath, at.node.Line, "the block is empty: write its first value by hand")
	}
	var inner bytes.Buffer
	for off := b.first; off < b.last; off = e.src.nextLine(off) {
		cut := min(off+b.indent, e.src.lineEnd(off))
		inner.Write(e.src.bytes[cut:e.src.nextLine(off)])
	}
	return &embedded{
		outer: e.src, docs: docs, node: at.node,
		line: e.src.line(b.first), indent: b.indent, inner: newText(inner.Bytes()),
	}, nil
}

// shift moves the line of an error from the inner to the outer text.
func (b *embedded) shift(err error) error {
	var refusal *Error
	if errors.As(err, &refusal) && refusal.Line > 0 {
		moved := *refusal
		moved.Line += b.line
		return &moved
	}
	return err
}

func stepBlock(src []byte, doc int, path []string, c Change) ([]byte, error) {
	b, err := openBlock(src, doc, path)
	if err != nil {
		return nil, err
	}
	docs, err := Documents(b.inner.bytes)
	if err != nil {
		return nil, b.shift(err)
	}
	done, err := step(b.inner.bytes, docs, c)
	if err != nil {
		return nil, b.shift(err)
	}
	var splices []splice
	for _, s := range done.splices {
		splices = append(splices, b.outward(s))
	}
	refused := refuse(ErrRefused, b.node.Line, "writing it into the block would change something else: change it by hand")
	out, ok := spliceAll(src, splices)
	if !ok {
		return nil, refused
	}
	after, err := openBlock(out, doc, path)
	if err != nil {
		return nil, refused
	}
	held, err := parse([]byte(after.node.Value))
	if err != nil || !sameDocuments(done.docs, held) {
		return nil, refused
	}
	b.node.Value = after.node.Value
	if !sameDocuments(b.docs, after.docs) {
		return nil, refused
	}
	return out, nil
}

// outward turns a splice of the inner text into one of the outer: offsets
// moved, lines indented.
func (b *embedded) outward(s splice) splice {
	margin := strings.Repeat(" ", b.indent)
	startsLine := s.start == b.inner.lineStart(s.start)
	endsInLine := s.end != b.inner.lineStart(s.end)
	var out strings.Builder
	segments := strings.SplitAfter(s.text, "\n")
	for i, seg := range segments {
		opens := i > 0 || startsLine
		content := strings.Trim(seg, "\r\n") != "" || i == len(segments)-1 && endsInLine
		if opens && content {
			out.WriteString(margin)
		}
		out.WriteString(seg)
	}
	return splice{b.offset(s.start), b.offset(s.end), out.String()}
}

// offset maps the start of an inner line to the start of the outer one, and
// anything else behind the indentation.
func (b *embedded) offset(inner int) int {
	line := b.inner.line(inner)
	within := inner - b.inner.lines[line]
	outer := len(b.outer.bytes)
	if b.line+line < len(b.outer.lines) {
		outer = b.outer.lines[b.line+line]
	}
	if within == 0 {
		return outer
	}
	return outer + b.indent + within
}
