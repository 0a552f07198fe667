//go:build !linux

package probe

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

var errLinux = errors.New("probes measure sizes and send pings only on Linux")

func controlListener(_, _ string, _ syscall.RawConn) error { return nil }

func controlWhole(_, _ string, _ syscall.RawConn) error { return errLinux }

func pathMTU(net.Conn) int { return 0 }

func segment(net.Conn) int { return 0 }

func pingSocket(netip.Addr) (net.Conn, error) { return nil, errLinux }
