//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// forwarding are the keys that routers and nodes need: no duplicate address
// detection (its second would be the lab's start), no redirects, replies that take
// another way than requests.
func forwarding() map[string]string {
	return map[string]string{
		"ipv4/ip_forward":                  "1",
		"ipv4/conf/all/rp_filter":          "0",
		"ipv4/conf/default/rp_filter":      "0",
		"ipv4/conf/all/send_redirects":     "0",
		"ipv4/conf/default/send_redirects": "0",
		"ipv6/conf/all/forwarding":         "1",
		"ipv6/conf/default/accept_dad":     "0",
		"ipv6/conf/all/accept_dad":         "0",
		"ipv6/conf/default/accept_ra":      "0",
	}
}

// buildWire makes the bridges, one per segment, and the router with a leg in each.
func (l *Lab) buildWire() (err error) {
	if l.wire, err = newSpace("wire", map[string]string{"ipv6/conf/default/disable_ipv6": "1"}); err != nil {
		return err
	}
	if l.Router, err = newSpace("router", forwarding()); err != nil {
		return err
	}
	snooping := false
	for segment := range l.spec.Segments {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName(segment), MTU: l.spec.MTU}, MulticastSnooping: &snooping}
		if err := l.wire.link.LinkAdd(bridge); err != nil {
			return fmt.Errorf("failed to make a bridge: %w", err)
		}
		if err := l.wire.up(bridge.Name); err != nil {
			return err
		}
		if err := l.plug(l.Router, bridgeName(segment), segment, fmt.Sprintf("router%d", segment)); err != nil {
			return err
		}
		for _, family := range l.spec.families() {
			if err := l.Router.addAddr(bridgeName(segment), gatewayPrefix(family, segment)); err != nil {
				return err
			}
		}
	}
	return l.outside()
}

// outside joins the internet to the router. It has the way to the nodes and to no
// other private address; the router drops in silence what it has no route for.
func (l *Lab) outside() (err error) {
	if l.Internet, err = newSpace("internet", forwarding()); err != nil {
		return err
	}
	const device = "out"
	if err := l.Router.veth(device, l.Internet, uplink, l.spec.MTU); err != nil {
		return err
	}
	if err := errors.Join(l.Router.up(device), l.Internet.up(uplink)); err != nil {
		return err
	}
	for _, host := range Outside() {
		link := netip.PrefixFrom(host, map[int]int{32: 24, 128: 64}[host.BitLen()])
		edge := netip.PrefixFrom(host.Next(), link.Bits())
		if err := errors.Join(l.Internet.addAddr(uplink, link), l.Router.addAddr(device, edge)); err != nil {
			return err
		}
		family := cidr.Family(host)
		if err := l.Router.addBlackhole(everywhere(family)); err != nil {
			return err
		}
		for segment := range l.spec.Segments {
			if err := l.Internet.addRoute(gatewayPrefix(family, segment).Masked(), edge.Addr(), uplink, netip.Addr{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func bridgeName(segment int) string { return fmt.Sprintf("br%d", segment) }

// plug joins a namespace to a segment: device in it, port on the bridge.
func (l *Lab) plug(s *Space, device string, segment int, port string) error {
	if err := l.wire.vethAt(l.nextPort(), port, s, device, l.spec.MTU); err != nil {
		return err
	}
	if err := l.enslave(port, segment); err != nil {
		return err
	}
	if err := l.wire.up(port); err != nil {
		return err
	}
	return s.up(device)
}

func (l *Lab) enslave(port string, segment int) error {
	bridge, err := l.wire.link.LinkByName(bridgeName(segment))
	if err != nil {
		return fmt.Errorf("failed to find the bridge: %w", err)
	}
	return l.wire.set(port, func(p netlink.Link) error { return l.wire.link.LinkSetMaster(p, bridge) })
}

// veth makes a pair with one end here and the other in another namespace. Packets
// in it have the size that they have on a wire: nothing is segmented later.
func (s *Space) veth(name string, peer *Space, peerName string, mtu int) error {
	return s.vethAt(0, name, peer, peerName, mtu)
}

// vethAt gives this end its number; 0 lets the kernel choose.
func (s *Space) vethAt(index int, name string, peer *Space, peerName string, mtu int) error {
	v := netlink.NewVeth(netlink.LinkAttrs{Index: index, Name: name, MTU: mtu, TxQLen: -1})
	v.PeerName, v.PeerNamespace, v.PeerMTU = peerName, netlink.NsFd(int(peer.handle)), uint32(mtu)
	if err := s.link.LinkAdd(v); err != nil {
		return fmt.Errorf("failed to join %s and %s: %w", s.Name, peer.Name, err)
	}
	if err := s.set(name, s.wholePackets); err != nil {
		return err
	}
	return peer.set(peerName, peer.wholePackets)
}

func (s *Space) wholePackets(l netlink.Link) error { return s.link.LinkSetGSOMaxSegs(l, 1) }

func (s *Space) index(device string) (int, error) {
	l, err := s.link.LinkByName(device)
	if err != nil {
		return 0, fmt.Errorf("failed to find %s in %s: %w", device, s.Name, err)
	}
	return l.Attrs().Index, nil
}

func (s *Space) addAddr(device string, p netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return s.set(device, func(l netlink.Link) error { return s.link.AddrAdd(l, addr) })
}

// addRoute adds a route; via and src may be missing.
func (s *Space) addRoute(dst netip.Prefix, via netip.Addr, device string, src netip.Addr) error {
	r, err := s.route(dst, via, device, src)
	if err != nil {
		return err
	}
	if err := s.link.RouteReplace(r); err != nil {
		return fmt.Errorf("failed to add the route to %s in %s: %w", dst, s.Name, err)
	}
	return nil
}

func (s *Space) route(dst netip.Prefix, via netip.Addr, device string, src netip.Addr) (*netlink.Route, error) {
	index, err := s.index(device)
	if err != nil {
		return nil, err
	}
	r := &netlink.Route{Dst: ipNet(dst), LinkIndex: index}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if src.IsValid() {
		r.Src = src.AsSlice()
	}
	return r, nil
}

func (s *Space) addBlackhole(dst netip.Prefix) error {
	if err := s.link.RouteReplace(&netlink.Route{Dst: ipNet(dst), Type: unix.RTN_BLACKHOLE, Priority: 9999}); err != nil {
		return fmt.Errorf("failed to add the blackhole for %s in %s: %w", dst, s.Name, err)
	}
	return nil
}

// addNeighbour tells who has an address, so that nobody needs to ask.
func (s *Space) addNeighbour(device string, addr netip.Addr, mac net.HardwareAddr) error {
	return s.set(device, func(l netlink.Link) error {
		return s.link.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, Family: familyNumber(addr), State: netlink.NUD_PERMANENT,
			IP: addr.AsSlice(), HardwareAddr: mac,
		})
	})
}

func (s *Space) mac(device string) (net.HardwareAddr, error) {
	l, err := s.link.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("failed to find %s in %s: %w", device, s.Name, err)
	}
	return l.Attrs().HardwareAddr, nil
}

func familyNumber(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = netip.PrefixFrom(p.Addr(), p.Bits())
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// everywhere is the default route's destination.
func everywhere(family string) netip.Prefix {
	if family == cidr.IPv4 {
		return netip.MustParsePrefix("0.0.0.0/0")
	}
	return netip.MustParsePrefix("::/0")
}
