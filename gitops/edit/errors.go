package edit

import (
	"errors"
	"fmt"
	"strings"
)

// Reasons for a refusal. They are wrapped in an [*Error]; test with [errors.Is].
var (
	// ErrNotYAML: the text does not parse, or is not UTF-8.
	ErrNotYAML = errors.New("not valid YAML")
	// ErrNotEnv: a line of an env file that kustomize would not read.
	ErrNotEnv = errors.New("not a valid env file")
	// ErrTemplate: the file is a Go or Jinja template, or the value that would
	// be replaced is templated.
	ErrTemplate = errors.New("template, not YAML")
	// ErrEncrypted: SOPS encrypted the file; a change would break its MAC.
	ErrEncrypted = errors.New("encrypted by SOPS")
	// ErrTooLarge: beyond one of the bounds on size, depth or expanded aliases.
	ErrTooLarge = errors.New("too large")
	// ErrAliased: the change would also change what an alias or a merge key
	// elsewhere stands for.
	ErrAliased = errors.New("shared through an anchor")
	// ErrDuplicateKey: a mapping of the document has the same key twice.
	ErrDuplicateKey = errors.New("duplicate key")
	// ErrPath: the path does not fit the document.
	ErrPath = errors.New("path does not fit the document")
	// ErrValue: the value cannot be written as YAML.
	ErrValue = errors.New("value cannot be written")
	// ErrRefused: the text after the edit would not mean what was intended.
	ErrRefused = errors.New("edit refused")
)

// Error is one refusal. It knows no file: the caller adds it.
type Error struct {
	// Line is the 1-based line in the text given, 0 when there is none.
	Line int
	// Err is one of this package's Err values.
	Err error
	// Detail says what and what to do.
	Detail string
}

// Error renders as "line 12: duplicate key: …".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(err error, line int, format string, args ...any) *Error {
	return &Error{Line: line, Err: err, Detail: fmt.Sprintf(format, args...)}
}
