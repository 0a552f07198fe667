package edit

import (
	"bytes"
	"errors"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Block is where a literal block scalar stands that holds YAML text.
type Block struct {
	// Document counts from 0 within the text around it; -1 when only one is expected.
	Document int
	// Path as the package comment describes it.
	Path []string
}

// ApplyBlock makes the changes in the YAML text that the literal block scalar
// at scalarPath of document doc holds: a ConfigMap's data."values.yaml". The
// Document of a change counts within that text. The indentation of the block is
// kept. Lines in errors are those of src. A value that is folded or quoted is
// refused: its text cannot be edited in place.
func ApplyBlock(src []byte, doc int, scalarPath []string, changes ...Change) ([]byte, error) {
	return ApplyNested(src, []Block{{doc, scalarPath}}, changes...)
}

// ApplyNested is [ApplyBlock] for a text inside several blocks, the outermost
// first: the values of a ConfigMap in a manifest of a machine configuration.
// Without blocks it is [Apply].
func ApplyNested(src []byte, blocks []Block, changes ...Change) ([]byte, error) {
	for _, c := range changes {
		done, err := stepNested(src, blocks, c)
		if err != nil {
			return nil, err
		}
		src = done.src
	}
	return src, nil
}

// PositionBlock is [Position] for a path inside the block scalar at scalarPath,
// in the only document there; the line and column are those of src.
func PositionBlock(src []byte, doc int, scalarPath, path []string) (line, column int, found bool, err error) {
	return PositionNested(src, []Block{{doc, scalarPath}}, -1, path)
}

// PositionNested is [Position] for a path in document doc of the text inside
// the blocks, the outermost first.
func PositionNested(src []byte, blocks []Block, doc int, path []string) (line, column int, found bool, err error) {
	if len(blocks) == 0 {
		return Position(src, doc, path)
	}
	b, err := openBlock(src, blocks[0], false)
	if err != nil {
		return 0, 0, false, err
	}
	line, column, found, err = PositionNested(b.inner.bytes, blocks[1:], doc, path)
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

func openBlock(src []byte, block Block, shared bool) (*embedded, error) {
	docs, err := Documents(src)
	if err != nil {
		return nil, err
	}
	path := block.Path
	doc, err := document(docs, block.Document)
	if err != nil {
		return nil, err
	}
	if err := duplicate(doc); err != nil {
		return nil, err
	}
	if shared {
		if path, err = unshare(doc, path, true); err != nil {
			return nil, err
		}
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
	if err := e.check(doc, passed, []string{""}, shared); err != nil {
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

// stepNested makes one change inside the blocks.
func stepNested(src []byte, blocks []Block, c Change) (result, error) {
	if len(blocks) == 0 {
		docs, err := Documents(src)
		if err != nil {
			return result{}, err
		}
		return step(src, docs, c)
	}
	b, err := openBlock(src, blocks[0], c.Shared)
	if err != nil {
		return result{}, err
	}
	done, err := stepNested(b.inner.bytes, blocks[1:], c)
	switch {
	case err != nil:
		return result{}, b.shift(err)
	case len(done.splices) == 0:
		return result{src: src, docs: b.docs}, nil
	}
	return b.carry(src, done)
}

// carry makes the change of the inner text in the outer one, and verifies that
// the block holds what it must and that nothing around it has changed.
func (b *embedded) carry(src []byte, done result) (result, error) {
	var splices []splice
	for _, s := range done.splices {
		splices = append(splices, b.outward(s))
	}
	refused := refuse(ErrRefused, b.node.Line, "writing it into the block would change something else: change it by hand")
	out, ok := spliceAll(src, splices)
	if !ok {
		return result{}, refused
	}
	docs, err := Documents(out)
	if err != nil {
		return result{}, refused
	}
	held, ok := twin(b.docs, docs, b.node)
	if !ok {
		return result{}, refused
	}
	if !holds(held.Value, done.docs) {
		return result{}, refused
	}
	b.node.Value = held.Value
	if !sameDocuments(b.docs, docs) {
		return result{}, refused
	}
	return result{splices, out, docs}, nil
}

// holds reports whether a block's text is what the inner text was to become. A
// block that is written with |- loses its last line break, and with it a block
// at its end: that was so before the edit too.
func holds(value string, want []*yaml.Node) bool {
	for _, end := range []string{"", "\n"} {
		got, err := parse([]byte(value + end))
		if err == nil && sameDocuments(want, got) {
			return true
		}
	}
	return false
}

// twin finds in b the node that stands where n stands in a.
func twin(a, b []*yaml.Node, n *yaml.Node) (*yaml.Node, bool) {
	if len(a) != len(b) {
		return nil, false
	}
	for i := range a {
		if a[i] == n {
			return b[i], b[i].Kind == yaml.ScalarNode && b[i].Style&yaml.LiteralStyle != 0
		}
		if found, ok := twin(a[i].Content, b[i].Content, n); ok {
			return found, true
		}
	}
	return nil, false
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
