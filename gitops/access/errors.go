package access

import "fmt"

// Error is a fault of a Secret, or a token that could not be had.
type Error struct {
	text, hint string
	transient  bool
	err        error
}

func fail(text, hint string) *Error { return &Error{text: text, hint: hint} }

func failf(hint, format string, args ...any) *Error {
	return &Error{text: fmt.Sprintf(format, args...), hint: hint}
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *Error) Hint() string { return e.hint }

// Transient says that the same may work later: the server was busy or out of reach.
func (e *Error) Transient() bool { return e.transient }
