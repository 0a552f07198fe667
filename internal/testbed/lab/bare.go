//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// What follows is for those who build pods and hosts of their own out of a bare lab.

// Path is the namespace as a file, which whoever shares this process's /proc may open
// as long as the lab lives.
func (s *Space) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(s.handle)) }

// NewSpace makes an empty namespace that ends with the lab.
func (l *Lab) NewSpace(name string, sysctls map[string]string) (*Space, error) {
	s, err := newSpace(name, sysctls)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.spaces = append(l.spaces, s)
	l.mu.Unlock()
	return s, nil
}

// SetResolver has processes that start in the namespace find cluster DNS at addresses.
func (l *Lab) SetResolver(s *Space, servers ...netip.Addr) error {
	if err := l.writeResolver(servers); err != nil {
		return err
	}
	s.resolver = l.resolverFile
	return nil
}

// Remove ends a namespace of [Lab.NewSpace] and what runs in it.
func (l *Lab) Remove(s *Space) { s.close() }

// AddHost makes a host that is no node on a segment, with addresses of its own
// (full-length ones lie beyond the segment: the nodes need routes to them) and the
// router as default gateway.
func (l *Lab) AddHost(name string, segment int, addresses ...netip.Prefix) (*Space, error) {
	s, err := l.NewSpace(name, forwarding())
	if err != nil {
		return nil, err
	}
	if err := l.plug(s, uplink, segment, l.nextName("host")); err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addresses {
		errs = append(errs, s.addAddr(uplink, a))
	}
	for _, a := range addresses {
		gateway := gatewayPrefix(cidr.Family(a.Addr()), segment)
		if gateway.Masked().Contains(a.Addr()) {
			errs = append(errs, s.addRoute(everywhere(cidr.Family(a.Addr())), gateway.Addr(), uplink, netip.Addr{}))
		}
	}
	return s, errors.Join(errs...)
}

// AddRoute adds a route in the namespace; device is that of via's segment.
func (s *Space) AddRoute(dst netip.Prefix, via netip.Addr, device string) error {
	return s.addRoute(dst, via, device, netip.Addr{})
}

// DelRoute takes routes to a prefix away, whoever made them.
func (s *Space) DelRoute(dst netip.Prefix) error {
	err := s.link.RouteDel(&netlink.Route{Dst: ipNet(dst)})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("failed to take the route to %s in %s away: %w", dst, s.Name, err)
	}
	return nil
}

// Gateway is the router's address on a segment.
func (l *Lab) Gateway(family string, segment int) netip.Addr {
	return gatewayPrefix(family, segment).Addr()
}

// firstPort is the number of the first port on a bridge. Cilium's agent takes a veth
// whose number and peer's number are those of one of its pods' for a leftover, and
// deletes it (daemon/cmd/datapath.go:60, clearCiliumVeths, 1.18.6): with small numbers
// that can be the node's uplink.
const firstPort = 1 << 16

func (l *Lab) nextPort() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports++
	return firstPort + l.ports
}
