package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// splitJSON reads JSON values from a stream and hands each object, or each item
// of a list, to emit.
func splitJSON(open opener, lim limits, emit func(chunk) error) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	s := newJSONStream(f, lim)
	for {
		if err := s.value(open, emit); err != nil {
			if errors.Is(err, io.EOF) && s.depth == 0 {
				return nil
			}
			return s.explain(err)
		}
	}
}

// jsonStream is a JSON decoder that knows its line and lets no value grow
// beyond the bound on an object.
type jsonStream struct {
	dec   *json.Decoder
	count *lineCounter
	lim   limits
	depth int
	// values read so far at the top level.
	values int
}

func newJSONStream(r io.Reader, lim limits) *jsonStream {
	// The decoder reads ahead by at most its buffer, which grows with the
	// value it holds; twice the bound leaves room for both.
	c := &lineCounter{r: r, most: 2 * lim.object}
	return &jsonStream{dec: json.NewDecoder(c), count: c, lim: lim}
}

// value reads one top-level value.
func (s *jsonStream) value(open opener, emit func(chunk) error) error {
	s.count.release(s.dec.InputOffset())
	t, err := s.dec.Token()
	if err != nil {
		return err
	}
	line := s.count.lineAt(s.dec.InputOffset())
	switch t {
	case json.Delim('{'):
		s.depth = 1
		err = s.object(line, open, emit)
	case json.Delim('['):
		s.depth = 1
		_, err = s.array(typeMeta{}, nil, emit)
	}
	if err == nil {
		s.depth = 0
		s.values++
	}
	return err
}

// object reads the members of a top-level object. The items of a list are
// handed out one by one; any other object is put together again.
func (s *jsonStream) object(line int, open opener, emit func(chunk) error) error {
	var members bytes.Buffer
	members.WriteByte('{')
	listed := false
	var t typeMeta
	for s.dec.More() {
		key, err := s.dec.Token()
		if err != nil {
			return err
		}
		if key == "items" && !listed {
			listed = true
			if t, err = s.items(t, open, emit); err != nil {
				return err
			}
			continue
		}
		raw, err := s.raw()
		if err != nil {
			return err
		}
		if err := appendMember(&members, key, raw, s.lim.object); err != nil {
			return onLine(line, "%w", err)
		}
		t.readMember(key, raw)
	}
	if _, err := s.dec.Token(); err != nil {
		return err
	}
	members.WriteByte('}')
	if listed {
		return emit(chunk{json: true, line: line, list: t})
	}
	return emit(chunk{text: members.Bytes(), line: line, json: true})
}

func (t *typeMeta) readMember(key json.Token, raw json.RawMessage) {
	switch key {
	case "apiVersion":
		_ = json.Unmarshal(raw, &t.APIVersion)
	case "kind":
		_ = json.Unmarshal(raw, &t.Kind)
	}
}

func appendMember(out *bytes.Buffer, key json.Token, raw []byte, most int) error {
	if out.Len() > 1 {
		out.WriteByte(',')
	}
	name, err := json.Marshal(key)
	if err != nil {
		return err
	}
	out.Write(name)
	out.WriteByte(':')
	out.Write(raw)
	if out.Len() > most {
		return fmt.Errorf("an object of more than %d bytes", most)
	}
	return nil
}

// items hands out the elements of "items".
func (s *jsonStream) items(t typeMeta, open opener, emit func(chunk) error) (typeMeta, error) {
	tok, err := s.dec.Token()
	if err != nil {
		return t, err
	}
	if tok != json.Delim('[') {
		return t, errors.New("items is not a list")
	}
	return s.array(t, open, emit)
}

// array hands out the elements of an array whose bracket was read. When they do
// not say what they are and the list's kind stands after them, the file is read
// ahead through open.
func (s *jsonStream) array(list typeMeta, open opener, emit func(chunk) error) (typeMeta, error) {
	for first := true; s.dec.More(); first = false {
		raw, err := s.raw()
		if err != nil {
			return list, err
		}
		line := s.count.lineAt(s.dec.InputOffset() - int64(len(raw)))
		if first && open != nil && list.Kind == "" && !saysKind(raw) {
			if list, err = s.readAhead(open); err != nil {
				return list, err
			}
		}
		if err := emit(chunk{text: raw, line: line, json: true, item: true, list: list}); err != nil {
			return list, err
		}
	}
	_, err := s.dec.Token()
	return list, err
}

func saysKind(raw []byte) bool {
	var t typeMeta
	return json.Unmarshal(raw, &t) != nil || t.Kind != ""
}

func (s *jsonStream) raw() (json.RawMessage, error) {
	s.count.release(s.dec.InputOffset())
	var raw json.RawMessage
	err := s.dec.Decode(&raw)
	return raw, err
}

// readAhead finds apiVersion and kind of the first top-level object.
func (s *jsonStream) readAhead(open opener) (typeMeta, error) {
	if s.values > 0 {
		return typeMeta{}, errors.New("items without a kind, in a list whose kind stands after them: put kind first")
	}
	f, err := open()
	if err != nil {
		return typeMeta{}, err
	}
	defer f.Close()
	ahead := newJSONStream(f, s.lim)
	var t typeMeta
	if _, err := ahead.dec.Token(); err != nil {
		return t, err
	}
	for ahead.dec.More() {
		key, err := ahead.dec.Token()
		if err != nil {
			return t, err
		}
		if key == "items" {
			if err := ahead.skipArray(); err != nil {
				return t, err
			}
			continue
		}
		raw, err := ahead.raw()
		if err != nil {
			return t, err
		}
		t.readMember(key, raw)
	}
	return t, nil
}

func (s *jsonStream) skipArray() error {
	tok, err := s.dec.Token()
	if err != nil || tok != json.Delim('[') {
		return err
	}
	_, err = s.array(typeMeta{}, nil, func(chunk) error { return nil })
	return err
}

func (s *jsonStream) explain(err error) error {
	var le *lineError
	if errors.As(err, &le) {
		return err
	}
	offset := s.dec.InputOffset()
	var se *json.SyntaxError
	if errors.As(err, &se) {
		offset = se.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends within a value")
	}
	return onLine(s.count.lineAt(offset), "%w", err)
}

// lineCounter counts lines while it is read. It remembers where lines start
// only from the last released offset on, and reads no further than most bytes
// beyond it.
type lineCounter struct {
	r        io.Reader
	most     int
	read     int64
	released int64
	line     int     // lines that end before released
	starts   []int64 // offsets of line ends since
}

var errTooLong = errors.New("a value that is longer than an object may be")

func (c *lineCounter) Read(p []byte) (int, error) {
	if c.read-c.released > int64(c.most) {
		return 0, errTooLong
	}
	n, err := c.r.Read(p)
	for i := range n {
		if p[i] == '\n' {
			c.starts = append(c.starts, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

func (c *lineCounter) release(offset int64) {
	i := 0
	for i < len(c.starts) && c.starts[i] < offset {
		i++
	}
	c.line += i
	c.starts = append(c.starts[:0], c.starts[i:]...)
	c.released = offset
}

func (c *lineCounter) lineAt(offset int64) int {
	line := c.line + 1
	for _, s := range c.starts {
		if s >= offset {
			break
		}
		line++
	}
	return line
}
