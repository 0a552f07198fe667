package probe

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlListener lets a socket be bound while duplicate address detection of the
// pod's IPv6 address still runs (IP_FREEBIND), and keeps datagrams whole: an
// answer that is too big for the path must be lost, not fragmented.
func controlListener(network, _ string, raw syscall.RawConn) error {
	return control(raw, func(fd int) error {
		v6 := strings.HasSuffix(network, "6")
		level, name := unix.IPPROTO_IP, unix.IP_FREEBIND
		if v6 {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		}
		if err := unix.SetsockoptInt(fd, level, name, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		if strings.HasPrefix(network, "udp") {
			return dontFragment(fd, v6)
		}
		return nil
	})
}

func controlWhole(network, _ string, raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return dontFragment(fd, strings.HasSuffix(network, "6")) })
}

func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// dontFragment sets the don't-fragment bit and has the kernel send up to the
// device's MTU whatever it has learned of the path (ip(7), IP_PMTUDISC_PROBE).
func dontFragment(fd int, v6 bool) error {
	if !v6 {
		return os.NewSyscallError("setsockopt",
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1))
}

// option reads an integer option of a connected socket; 0 when it has none.
func option(conn net.Conn, level, name int) int {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	value := 0
	if control(raw, func(fd int) (err error) {
		value, err = unix.GetsockoptInt(fd, level, name)
		return err
	}) != nil {
		return 0
	}
	return value
}

// pathMTU is what the kernel believes the path of a connected socket carries, in
// bytes with the IP header: the route's or device's MTU, or less where a router
// said so. 0 when unknown.
func pathMTU(conn net.Conn) int {
	if isV6(conn) {
		return option(conn, unix.IPPROTO_IPV6, unix.IPV6_MTU)
	}
	return option(conn, unix.IPPROTO_IP, unix.IP_MTU)
}

// segment is the most payload of one TCP segment, in bytes; 0 when unknown.
func segment(conn net.Conn) int { return option(conn, unix.IPPROTO_TCP, unix.TCP_MAXSEG) }

// pingSocket opens a connected ICMP socket that needs no rights where the kernel
// lets the process's group have one (icmp(7), net.ipv4.ping_group_range).
func pingSocket(to netip.Addr) (net.Conn, error) {
	domain, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	if to.Is4() {
		sa = &unix.SockaddrInet4{Addr: to.As4()}
	} else {
		domain, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	if err := dontFragment(fd, !to.Is4()); err != nil {
		return nil, err
	}
	if !to.Is4() {
		// Without it the kernel keeps "packet too big" from ping sockets.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Connect(fd, sa); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	return net.FileConn(f)
}
