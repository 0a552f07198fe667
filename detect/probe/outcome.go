package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

// verdict is what became of an exchange.
type verdict struct {
	outcome, reason string
	// sent and received count exchanges that were begun and answered.
	sent, received int
	// bytes is the largest packet sent, IP header included; 0 when unknown.
	bytes  int
	local  netip.Addr
	answer *answer
}

func notChecked(format string, args ...any) verdict {
	return verdict{outcome: v1alpha1.OutcomeNotChecked, reason: fmt.Sprintf(format, args...)}
}

// outcomes of the system's errors. What the prober's own machine refuses, because a
// buffer, a table or a policy of its own is in the way, is no answer of the network.
func errnoOutcome(e syscall.Errno) string {
	switch e {
	case syscall.ECONNREFUSED:
		return v1alpha1.OutcomeRefused
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
		syscall.EADDRNOTAVAIL, syscall.EACCES:
		return v1alpha1.OutcomeUnreachable
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE:
		return v1alpha1.OutcomeReset
	case syscall.EMSGSIZE:
		return v1alpha1.OutcomeTooBig
	case syscall.ETIMEDOUT:
		return v1alpha1.OutcomeTimeout
	case syscall.EPERM, syscall.ENOBUFS, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
		syscall.EAGAIN, syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT:
		return v1alpha1.OutcomeNotChecked
	}
	return v1alpha1.OutcomeError
}

// classify says what an error of dialling, sending or receiving means.
func classify(err error) (outcome, reason string) {
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return v1alpha1.OutcomeNotChecked, "the prober was stopped"
	case errors.Is(err, errKey), errors.Is(err, errBusy):
		return v1alpha1.OutcomeNotChecked, err.Error()
	case errors.Is(err, errNotOurs), errors.Is(err, errMAC):
		return v1alpha1.OutcomeError, err.Error()
	case errors.As(err, &errno):
		return errnoOutcome(errno), errnoReason(errno)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return v1alpha1.OutcomeTimeout, ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return v1alpha1.OutcomeError, "the connection ended in the middle of the answer"
	}
	return v1alpha1.OutcomeError, printable(err.Error())
}

func errnoReason(e syscall.Errno) string {
	switch errnoOutcome(e) {
	case v1alpha1.OutcomeNotChecked:
		return "the prober's own node did not let it send: " + e.Error()
	case v1alpha1.OutcomeUnreachable, v1alpha1.OutcomeError:
		return e.Error()
	}
	return ""
}

// fail is a result from an error, after sent exchanges were begun.
func fail(err error, sent int) verdict {
	outcome, reason := classify(err)
	if outcome == v1alpha1.OutcomeNotChecked {
		sent = 0
	}
	return verdict{outcome: outcome, reason: reason, sent: sent}
}

// ok is the result of an exchange that was answered.
func ok(a *answer) verdict {
	return verdict{outcome: v1alpha1.OutcomeOK, sent: 1, received: 1, answer: a}
}
