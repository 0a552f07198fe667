package forge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cause is an error with words that are safe to print: one line, bounded,
// without the address, which may hold credentials.
type cause struct {
	text string
	err  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.err }

// said is the status and the message: "HTTP 422 Unprocessable Entity: no commits".
func said(resp *http.Response, message string) string {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	s := "HTTP " + status
	if message != "" && !strings.EqualFold(message, status) && !strings.EqualFold(message, http.StatusText(resp.StatusCode)) {
		s += ": " + message
	}
	return s
}

// maxWords is what is shown of a server's message, in characters.
const maxWords = 400

// plain makes a server's text fit to be shown: one line of printable characters,
// bounded. A page of HTML, as proxies send, says nothing and is left out.
func plain(text string) string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "<") {
		return ""
	}
	var b strings.Builder
	n, space := 0, false
	for _, r := range text {
		if n == maxWords {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsSpace(r):
			space = n > 0
			continue
		case r == utf8.RuneError, !unicode.IsPrint(r):
			continue
		}
		if space {
			b.WriteByte(' ')
			n++
		}
		b.WriteRune(r)
		n, space = n+1, false
	}
	return b.String()
}

// unanswered is the error of a request that got no answer, or none that could be
// read to its end.
func unanswered(op string, err error) *Error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	e := &Error{Kind: Unavailable, Op: op, Err: &cause{plain(err.Error()), err}}
	e.Kind, e.Hint = whyUnanswered(err)
	return e
}

// whyUnanswered goes by the error. One that has a hint of its own was not sent:
// there is no token, or it must not be sent there.
func whyUnanswered(err error) (kind Kind, hint string) {
	var dns *net.DNSError
	var op *net.OpError
	text := err.Error()
	var ours interface {
		Hint() string
		Transient() bool
	}
	switch {
	case errors.As(err, &ours) && !ours.Transient():
		return Unauthorized, ours.Hint()
	case errors.As(err, &ours):
		return Unavailable, ours.Hint()
	case errors.Is(err, context.Canceled):
		return Unavailable, "it was stopped; run it again"
	case isCertificate(err):
		return Untrusted, "put the authority that signed the server's certificate in the Secret as ca.crt"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return Untrusted, "the server speaks plain http on that port: check the scheme and port of the address"
	case strings.Contains(text, "Proxy Authentication Required"):
		return Unauthorized, "the proxy wants credentials: check username and password of the proxy's Secret"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return Unavailable, "the proxy does not answer: check address in the proxy's Secret"
	case errors.As(err, &dns) && dns.IsNotFound:
		return Unavailable, "there is no such host: check the address, and DNS where this runs"
	case isTimeout(err):
		return Unavailable, "the server was too slow: try again later, or allow more time"
	default:
		return Unavailable, "the connection failed or was cut: try again; check that this host reaches the server"
	}
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
