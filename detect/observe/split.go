package observe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// opener opens a file for one pass; it may be called again for another.
type opener func() (io.ReadCloser, error)

// splitYAML cuts a stream into documents, and a list that is longer than one
// object may be into its items, and hands each to emit. Only one piece is held
// at a time.
func splitYAML(open opener, lim limits, emit func(chunk) error) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	s := splitter{lim: lim, emit: emit, open: open}
	lines := lineReader{r: bufio.NewReaderSize(f, 64<<10), most: lim.object}
	for {
		line, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) > 0 {
			if err := s.add(line, lines.number); err != nil {
				return err
			}
		}
		if err != nil {
			return s.endDocument()
		}
	}
}

// lineReader reads lines with their ends, none longer than most bytes.
type lineReader struct {
	r      *bufio.Reader
	most   int
	number int
	buf    []byte
}

// next is valid until it is called again.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if len(l.buf) > l.most {
			return nil, onLine(l.number, "a line of more than %d bytes", l.most)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.buf, err
		}
	}
}

// splitter holds the document that is being read: whole while it is small, and
// from then on one item of its list at a time.
type splitter struct {
	lim  limits
	emit func(chunk) error
	open opener

	document int // counted from 0
	buf      []byte
	start    int // line at which buf starts

	cutting bool // a long list is being cut
	items   bool // within its items
	found   bool // its items were met
	indent  int  // of its dashes, -1 before the first
	list    typeMeta
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')
}

func (s *splitter) add(line []byte, number int) error {
	if number == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if isMarker(line, "---") || isMarker(line, "...") {
		if err := s.endDocument(); err != nil {
			return err
		}
		s.document++
		if rest := bytes.TrimSpace(line[3:]); len(rest) == 0 || rest[0] == '#' {
			return nil
		}
		line = append([]byte("   "), line[3:]...)
	}
	if s.cutting {
		return s.cut(line, number)
	}
	s.hold(line, number)
	if len(s.buf) <= s.lim.object {
		return nil
	}
	return s.startCutting()
}

func (s *splitter) hold(line []byte, number int) {
	if len(s.buf) == 0 {
		s.start = number
	}
	s.buf = append(s.buf, line...)
}

// flush hands out what is held, unless it is blank.
func (s *splitter) flush(item bool) error {
	text := s.buf
	s.buf = nil
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	c := chunk{text: text, line: s.start, item: item}
	if item {
		c.list = s.list
	}
	return s.emit(c)
}

func (s *splitter) endDocument() error {
	if s.cutting && !s.found {
		return onLine(s.start, "a list of more than %d bytes without a line \"items:\" at its top level", s.lim.object)
	}
	err := s.flush(s.cutting)
	s.cutting, s.items, s.found, s.indent, s.list = false, false, false, -1, typeMeta{}
	return err
}

// startCutting turns to cutting a document that became too long to be one
// object: it must be a list. Its kind may stand after the items, so the
// document's top level is read ahead.
func (s *splitter) startCutting() error {
	list, err := s.topLevel()
	if err != nil {
		return err
	}
	if !strings.HasSuffix(list.Kind, "List") {
		return onLine(s.start, "an object of more than %d bytes", s.lim.object)
	}
	held, number := s.buf, s.start
	s.buf, s.cutting, s.items, s.indent, s.list = nil, true, false, -1, list
	for len(held) > 0 {
		end := bytes.IndexByte(held, '\n') + 1
		if end == 0 {
			end = len(held)
		}
		if err := s.cut(held[:end], number); err != nil {
			return err
		}
		held = held[end:]
		number++
	}
	return nil
}

// topLevel reads apiVersion and kind at the top level of the document.
func (s *splitter) topLevel() (typeMeta, error) {
	f, err := s.open()
	if err != nil {
		return typeMeta{}, err
	}
	defer f.Close()
	var t typeMeta
	document := 0
	lines := lineReader{r: bufio.NewReaderSize(f, 64<<10), most: s.lim.object}
	for {
		line, err := lines.next()
		if isMarker(line, "---") || isMarker(line, "...") {
			document++
		}
		if document == s.document {
			t.read(line)
		}
		if document > s.document || errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return typeMeta{}, err
		}
	}
}

func (t *typeMeta) read(line []byte) {
	if v, ok := topLevelValue(line, "apiVersion"); ok {
		t.APIVersion = v
	}
	if v, ok := topLevelValue(line, "kind"); ok {
		t.Kind = v
	}
}

func topLevelValue(line []byte, key string) (string, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(key+":"))
	if !ok {
		return "", false
	}
	v, _, _ := strings.Cut(string(rest), " #")
	return strings.Trim(strings.TrimSpace(v), `"'`), true
}

// cut takes one line of a long list. An item starts at a dash of the list's
// indentation and holds everything that is indented deeper.
func (s *splitter) cut(line []byte, number int) error {
	text := bytes.TrimLeft(line, " ")
	blank := len(bytes.TrimSpace(text)) == 0
	if blank || text[0] == '#' {
		if s.items && len(s.buf) > 0 {
			s.hold(line, number)
		}
		return nil
	}
	indent := len(line) - len(text)
	if !s.items {
		v, ok := topLevelValue(line, "items")
		s.items = ok && v == ""
		s.found = s.found || s.items
		return nil
	}
	dash := isMarker(text, "-")
	if s.indent < 0 && dash {
		s.indent = indent
	}
	switch {
	case dash && indent == s.indent:
		if err := s.flush(true); err != nil {
			return err
		}
	case indent == 0:
		s.items = false
		return s.flush(true)
	case indent <= s.indent || s.indent < 0:
		return onLine(number, "an indentation that fits neither the list nor its items")
	}
	s.hold(line, number)
	if len(s.buf) > s.lim.object {
		return onLine(s.start, "an object of more than %d bytes", s.lim.object)
	}
	return nil
}
