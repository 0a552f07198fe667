package collect

import (
	"bufio"
	"errors"
	"io"
)

// lineReader cuts a stream into lines of at most max bytes. Of a longer line
// nothing is kept; it counts as cut.
type lineReader struct {
	r   *bufio.Reader
	cut int
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, max)}
}

// next is the next line without its newline, valid until the next call. The last
// line of a stream that ends without a newline is no line: it may go on elsewhere.
// Its error is the reader's.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.r.ReadSlice('\n')
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		l.cut++
		if err := l.skip(); err != nil {
			return nil, err
		}
	}
}

// skip passes over the rest of a line.
func (l *lineReader) skip() error {
	for {
		_, err := l.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
