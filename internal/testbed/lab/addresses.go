//go:build linux

package lab

import (
	"net/netip"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// The addresses are the bundled incident's (examples/incidents/talos-ipv6-ula):
// nodes from fd00:101::10 and 10.101.0.10 on, pods in a /64 of fd00:101:224::/60
// and a /27 of 10.101.224.0/19 per node, services in fd00:101:96::/108. Further
// segments, which the incident has not, are fd00:101:0:1::/64 and 10.101.1.0/24 and
// so on. IPv4 services, which it has not either, are in 10.96.0.0/12.

func v4(b ...byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }

// v6 is fd00:101:: with further hextets and the last one set.
func v6(second, third, last int) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfd, 2: 0x01, 3: 0x01,
		4: byte(second >> 8), 5: byte(second), 6: byte(third >> 8), 7: byte(third),
		14: byte(last >> 8), 15: byte(last),
	})
}

func segmentAddr(family string, segment, host int) netip.Prefix {
	if family == cidr.IPv4 {
		return netip.PrefixFrom(v4(10, 101, byte(segment), byte(host)), 24)
	}
	return netip.PrefixFrom(v6(0, segment, host), 64)
}

// gatewayPrefix is the router's address in a segment.
func gatewayPrefix(family string, segment int) netip.Prefix { return segmentAddr(family, segment, 1) }

// nodePrefix is a node's address: 10.101.0.10 and fd00:101::10 for the first.
func nodePrefix(family string, segment, number int) netip.Prefix {
	if family == cidr.IPv4 {
		return segmentAddr(family, segment, 9+number)
	}
	return segmentAddr(family, segment, 0xf+number)
}

func podCIDR(family string, number int) netip.Prefix {
	if family == cidr.IPv4 {
		return netip.PrefixFrom(v4(10, 101, 224+byte(number*32>>8), byte(number*32)), 27)
	}
	return netip.PrefixFrom(v6(0x224, number, 0), 64)
}

// routerAddr is cilium_host's, CiliumInternalIP.
func routerAddr(family string, number int) netip.Addr {
	if family == cidr.IPv4 {
		return podCIDR(family, number).Addr().Next().Next().Next().Next()
	}
	return v6(0x224, number, 0x4d1)
}

// podAddr is the address of a node's pod of a number from 1; a /27 has room for
// [podsPerNode].
func podAddr(family string, node, pod int) netip.Addr {
	if family == cidr.IPv4 {
		base := podCIDR(family, node).Addr().As4()
		base[3] += byte(4 + pod)
		return netip.AddrFrom4(base)
	}
	return v6(0x224, node, 0x100+pod)
}

const podsPerNode = 26

// serviceAddr is the ClusterIP of a number; 10 is cluster DNS.
func serviceAddr(family string, number int) netip.Addr {
	if family == cidr.IPv4 {
		return v4(10, 96, 0, byte(number))
	}
	return v6(0x96, 0, number)
}
