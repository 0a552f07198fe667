package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
)

func TestClassify(t *testing.T) {
	dial := func(e syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)}
	}
	tests := []struct {
		err            error
		outcome, wants string
	}{
		{dial(syscall.ECONNREFUSED), v1alpha1.OutcomeRefused, ""},
		{dial(syscall.EHOSTUNREACH), v1alpha1.OutcomeUnreachable, "no route to host"},
		{dial(syscall.ENETUNREACH), v1alpha1.OutcomeUnreachable, "network is unreachable"},
		{dial(syscall.EADDRNOTAVAIL), v1alpha1.OutcomeUnreachable, "address"},
		{dial(syscall.EACCES), v1alpha1.OutcomeUnreachable, "permission denied"},
		{dial(syscall.ECONNRESET), v1alpha1.OutcomeReset, ""},
		{dial(syscall.EPIPE), v1alpha1.OutcomeReset, ""},
		{dial(syscall.EMSGSIZE), v1alpha1.OutcomeTooBig, ""},
		{dial(syscall.ETIMEDOUT), v1alpha1.OutcomeTimeout, ""},
		{os.ErrDeadlineExceeded, v1alpha1.OutcomeTimeout, ""},
		{context.DeadlineExceeded, v1alpha1.OutcomeTimeout, ""},
		{&net.DNSError{IsTimeout: true}, v1alpha1.OutcomeTimeout, ""},
		{context.Canceled, v1alpha1.OutcomeNotChecked, "stopped"},
		// A blocked socket is no packet loss.
		{dial(syscall.EPERM), v1alpha1.OutcomeNotChecked, "own node"},
		{dial(syscall.ENOBUFS), v1alpha1.OutcomeNotChecked, "own node"},
		{dial(syscall.EMFILE), v1alpha1.OutcomeNotChecked, "too many open files"},
		{dial(syscall.EAGAIN), v1alpha1.OutcomeNotChecked, "own node"},
		{dial(syscall.EAFNOSUPPORT), v1alpha1.OutcomeNotChecked, "own node"},
		{dial(syscall.EINVAL), v1alpha1.OutcomeError, "invalid argument"},
		{errKey, v1alpha1.OutcomeNotChecked, "key"},
		{errBusy, v1alpha1.OutcomeNotChecked, "connections"},
		{fmt.Errorf("%w: garbage", errNotOurs), v1alpha1.OutcomeError, "garbage"},
		{errMAC, v1alpha1.OutcomeError, "not signed"},
		{io.ErrUnexpectedEOF, v1alpha1.OutcomeError, "ended in the middle"},
		{errors.New("\x1b[2J\nhello"), v1alpha1.OutcomeError, "hello"},
	}
	for _, tt := range tests {
		outcome, reason := classify(tt.err)
		if outcome != tt.outcome || !strings.Contains(reason, tt.wants) || (tt.wants == "" && reason != "") {
			t.Errorf("%v: got %s %q, want %s %q", tt.err, outcome, reason, tt.outcome, tt.wants)
		}
		if strings.ContainsAny(reason, "\x1b\n") {
			t.Errorf("%v: control characters in %q", tt.err, reason)
		}
	}
}

func TestFailCountsWhatWasSent(t *testing.T) {
	if r := fail(syscall.EPERM, 1); r.sent != 0 {
		t.Errorf("a packet that was not sent counts: %+v", r)
	}
	if r := fail(os.ErrDeadlineExceeded, 1); r.sent != 1 || r.received != 0 {
		t.Errorf("a lost packet: %+v", r)
	}
}

func TestTCPSize(t *testing.T) {
	tests := []struct{ mss, header, want, size, packet int }{
		{1448, 52, -1, 2896, 1500},
		{1448, 52, 1500, 2896, 1500},
		{1448, 52, 9000, 2896, 1500},
		{1448, 52, 1400, 1348, 1400},
		{1428, 72, -1, 2856, 1500},
		{65483, 52, -1, MaxMessage, 65535},
		{1448, 52, 10, 1, 53},
	}
	for _, tt := range tests {
		if size, packet := tcpSize(tt.mss, tt.header, tt.want); size != tt.size || packet != tt.packet {
			t.Errorf("%+v: got %d, %d", tt, size, packet)
		}
	}
}
