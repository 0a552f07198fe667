//go:build linux

package cilium

import (
	"context"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Translation is an entry of the kernel's connection tracking or of the agent's BPF
// NAT map for a flow that leaves with another source.
type Translation struct {
	By   cilium.Masquerade
	Text string
	// Source is what the receiver sees.
	Source netip.Addr
}

// noNATMap is what cilium-dbg says where the agent translates nothing by BPF.
const noNATMap = "cilium_snat_v4_external: no such file or directory"

// masqueraded looks on the node for the translation of a flow by its source address,
// destination and source port or ICMP identifier. There may be none.
func (n *Node) masqueraded(ctx context.Context, protocol string, from, to netip.Addr, source int) (*Translation, error) {
	tracked, err := n.Run(ctx, "conntrack", "-L", "-f", strings.ToLower(cidr.Family(from)))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(tracked) {
		if t := trackedSource(line, protocol, from, to, source); t != nil {
			return t, nil
		}
	}
	translated, err := n.Debug(ctx, "bpf", "nat", "list")
	if err != nil && strings.Contains(err.Error(), noNATMap) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(translated) {
		if t := mappedSource(line, protocol, from, source); t != nil {
			return t, nil
		}
	}
	return nil, nil
}

var trackField = regexp.MustCompile(`\b(src|dst|sport|id)=(\S+)`)

// trackedSource reads a line of conntrack -L: the original direction's fields, then
// the reply's.
func trackedSource(line, protocol string, from, to netip.Addr, source int) *Translation {
	if !strings.Contains(line, strings.ToLower(protocol)) {
		return nil
	}
	fields := map[string][]string{}
	for _, m := range trackField.FindAllStringSubmatch(line, -1) {
		fields[m[1]] = append(fields[m[1]], m[2])
	}
	port := append(fields["sport"], fields["id"]...)
	if len(fields["src"]) < 2 || len(fields["dst"]) < 2 || len(port) == 0 {
		return nil
	}
	number := strconv.Itoa(source)
	if fields["src"][0] != from.String() || fields["dst"][0] != to.String() || port[0] != number {
		return nil
	}
	reply, err := netip.ParseAddr(fields["dst"][1])
	if err != nil || reply == from {
		return nil
	}
	return &Translation{By: cilium.MasqueradeIPTables, Text: strings.TrimSpace(line), Source: reply}
}

var mapLine = regexp.MustCompile(`^(\S+) OUT (\S+) -> (\S+) XLATE_SRC (\S+)`)

// mappedSource reads a line of cilium-dbg bpf nat list
// (pkg/maps/nat/types.go, 1.18.6).
func mappedSource(line, protocol string, from netip.Addr, source int) *Translation {
	m := mapLine.FindStringSubmatch(line)
	if m == nil || !strings.HasPrefix(strings.ToUpper(m[1]), protocol) {
		return nil
	}
	original, ok := parseEnd(m[2])
	now, translated := parseEnd(m[4])
	if !ok || !translated || original.Addr() != from || int(original.Port()) != source || now.Addr() == from {
		return nil
	}
	return &Translation{By: cilium.MasqueradeBPF, Text: strings.TrimSpace(line), Source: now.Addr()}
}
