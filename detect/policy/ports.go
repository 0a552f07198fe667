package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

const (
	protoTCP    = "TCP"
	protoUDP    = "UDP"
	protoSCTP   = "SCTP"
	protoICMP   = "ICMP"
	protoICMPv6 = "ICMPV6"
	protoAny    = "ANY"

	familyIPv4 = "IPv4"
	familyIPv6 = "IPv6"
)

// maxPorts in one list (pkg/policy/api/rule_validation.go:20, 1.18.6).
const maxPorts = 40

// l4 is one protocol with a range of ports, or of ICMP types.
type l4 struct {
	proto  string
	lo, hi int
	all    bool
	// named is a port name; which number it has is not known here.
	named string
}

// newL4 reads a range as Cilium's policy map does: 0 is every port, an end at or
// below the start is ignored (pkg/policy/portrange.go:40-50, 1.18.6).
func newL4(proto string, lo, hi int) l4 {
	l := l4{proto: proto, lo: lo, hi: hi}
	switch {
	case lo == 0 && (hi == 0 || hi == math.MaxUint16):
		l.all = true
	case hi <= lo:
		l.hi = lo
	}
	return l
}

func (l *l4) matches(p Port) match {
	if l.proto == protoICMP || l.proto == protoICMPv6 {
		return l.matchesICMP(p)
	}
	switch {
	case l.proto != strings.ToUpper(p.Protocol):
		return no
	case l.named != "":
		return min(matchOf(p.Number != 0), maybe)
	case l.all:
		return yes
	case p.Number == 0:
		return matchOf(l.lo <= 1 && l.hi == math.MaxUint16)
	}
	return matchOf(l.lo <= p.Number && p.Number <= l.hi)
}

func (l *l4) matchesICMP(p Port) match {
	m := no
	switch strings.ToUpper(p.Protocol) {
	case protoICMPv6:
		m = matchOf(l.proto == protoICMPv6)
	case protoICMP:
		switch p.Family {
		case "":
			m = maybe
		default:
			m = matchOf((l.proto == protoICMPv6) == (p.Family == familyIPv6))
		}
	}
	switch {
	case l.all:
		return m
	case p.ICMPType < 0:
		return min(m, maybe)
	}
	return min(m, matchOf(l.lo == p.ICMPType))
}

// portProtocol is an entry of toPorts[].ports.
type portProtocol struct {
	Port     string `json:"port"`
	EndPort  int64  `json:"endPort"`
	Protocol string `json:"protocol"`
}

// serviceName is the form of a port name (RFC 6335; pkg/iana/svcname.go, 1.18.6).
var serviceName = regexp.MustCompile(`^([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*$`)

// l4s is the entry as matches; ANY stands for TCP, UDP and SCTP, not for ICMP
// (pkg/policy/rule.go:418-438, 1.18.6).
func (p portProtocol) l4s() ([]l4, error) {
	protos := []string{strings.ToUpper(p.Protocol)}
	switch protos[0] {
	case "", protoAny:
		protos = []string{protoTCP, protoUDP, protoSCTP}
	case protoTCP, protoUDP, protoSCTP:
	default:
		return nil, fmt.Errorf("protocol %q is none of TCP, UDP, SCTP, ANY", p.Protocol)
	}
	if p.EndPort < 0 || p.EndPort > math.MaxUint16 {
		return nil, fmt.Errorf("endPort %d is not a port", p.EndPort)
	}
	one := l4{named: strings.ToLower(p.Port)}
	if len(p.Port) > 15 || !serviceName.MatchString(p.Port) {
		number, err := strconv.ParseUint(p.Port, 0, 16)
		if err != nil {
			return nil, fmt.Errorf("port %q is neither a number nor a port name", p.Port)
		}
		one = newL4("", int(number), int(p.EndPort))
	}
	list := make([]l4, len(protos))
	for i, proto := range protos {
		list[i] = one
		list[i].proto = proto
	}
	return list, nil
}

// icmpField is an entry of icmps[].fields; type is a number or a name.
type icmpField struct {
	Family string          `json:"family"`
	Type   json.RawMessage `json:"type"`
}

// l4 is the field as a match. Type 0 is read as every type, because Cilium
// keeps the type where a port would stand (pkg/policy/api/icmp.go:199-219 and
// pkg/policy/portrange.go:42, 1.18.6).
func (f icmpField) l4() (l4, error) {
	proto, names := protoICMP, icmpTypes
	switch f.Family {
	case "", familyIPv4:
	case familyIPv6:
		proto, names = protoICMPv6, icmpv6Types
	default:
		return l4{}, fmt.Errorf("ICMP family %q is neither IPv4 nor IPv6", f.Family)
	}
	text := strings.Trim(string(f.Type), `"`)
	if number, ok := names[text]; ok {
		return newL4(proto, number, 0), nil
	}
	number, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return l4{}, fmt.Errorf("ICMP type %q is no type of %s", text, proto)
	}
	return newL4(proto, int(number), 0), nil
}

// Names of ICMP types (pkg/policy/api/icmp.go:18-66, 1.18.6).
var (
	icmpTypes = map[string]int{
		"EchoReply": 0, "DestinationUnreachable": 3, "Redirect": 5, "Echo": 8, "EchoRequest": 8,
		"RouterAdvertisement": 9, "RouterSelection": 10, "TimeExceeded": 11, "ParameterProblem": 12,
		"Timestamp": 13, "TimestampReply": 14, "Photuris": 40, "ExtendedEchoRequest": 42, "ExtendedEchoReply": 43,
	}
	icmpv6Types = map[string]int{
		"DestinationUnreachable": 1, "PacketTooBig": 2, "TimeExceeded": 3, "ParameterProblem": 4,
		"EchoRequest": 128, "EchoReply": 129, "MulticastListenerQuery": 130, "MulticastListenerReport": 131,
		"MulticastListenerDone": 132, "RouterSolicitation": 133, "RouterAdvertisement": 134,
		"NeighborSolicitation": 135, "NeighborAdvertisement": 136, "RedirectMessage": 137, "RouterRenumbering": 138,
		"ICMPNodeInformationQuery": 139, "ICMPNodeInformationResponse": 140,
		"InverseNeighborDiscoverySolicitation": 141, "InverseNeighborDiscoveryAdvertisement": 142,
		"HomeAgentAddressDiscoveryRequest": 144, "HomeAgentAddressDiscoveryReply": 145,
		"MobilePrefixSolicitation": 146, "MobilePrefixAdvertisement": 147,
		"DuplicateAddressRequestCodeSuffix": 157, "DuplicateAddressConfirmationCodeSuffix": 158,
		"ExtendedEchoRequest": 160, "ExtendedEchoReply": 161,
	}
)
