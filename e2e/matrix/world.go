package matrix

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Ports that peers answer at.
const (
	TCPPort = 8080
	UDPPort = 8081
)

// PodSpec is a pod of every bed: its namespace, node and labels.
type PodSpec struct {
	Namespace, Name string
	Node            int // from 0
	Labels          map[string]string
}

// Pods are those of every bed.
func Pods() []PodSpec {
	var out []PodSpec
	for n := range Nodes {
		number := strconv.Itoa(n + 1)
		out = append(out,
			PodSpec{"team-a", "a" + number, n, map[string]string{"app": "a"}},
			PodSpec{"team-b", "b" + number, n, map[string]string{"app": "b"}})
	}
	return append(out, PodSpec{"team-a", "c1", 0, map[string]string{"app": "c"}})
}

// Host is outside of the cluster, on the first segment, at the first of its addresses.
// What is beyond the segment is reached by Link.
type Host struct {
	Name        string
	Addrs, Link []netip.Prefix
}

// Hosts are those of every bed. All but the first are on a single segment only.
func Hosts() []Host {
	p := netip.MustParsePrefix
	return []Host{
		{Name: "near", Addrs: []netip.Prefix{p("10.101.0.99/24"), p("fd00:101::99/64")}},
		{Name: "wide", Addrs: []netip.Prefix{p("10.101.200.99/32"), p("fd00:101:500::99/128")}, Link: []netip.Prefix{p("10.101.0.98/24"), p("fd00:101::98/64")}},
		{Name: "far", Addrs: []netip.Prefix{p("203.0.113.99/32"), p("2001:db8:b::99/128")}, Link: []netip.Prefix{p("10.101.0.97/24"), p("fd00:101::97/64")}},
	}
}

// Topology is what the model is told of the bed's wire.
func (b *Bed) Topology() datapath.Topology {
	t := datapath.Topology{
		RouterHasPodRoutes: snapshot.TriOf(b.RouterHasPodRoutes),
		PodMTU:             b.PodMTU, PathMTU: b.uplinkMTU(),
		Devices:            []string{"eth0"},
		DefaultRouteSource: snapshot.TriOf(b.RouteSource),
	}
	if b.PathMTU != 0 {
		t.PathMTU, t.PathAnswersTooBig = b.PathMTU, snapshot.TriOf(b.TooBig)
	}
	for s := range max(1, b.Segments) {
		number := strconv.Itoa(s)
		t.OnLink = append(t.OnLink, netip.MustParsePrefix("10.101."+number+".0/24"), netip.MustParsePrefix("fd00:101:0:"+number+"::/64").Masked())
	}
	return t
}

func (b *Bed) uplinkMTU() int { return cmp.Or(b.MTU, 1500) }

// numberOf is the number at the end of a name, 0 when there is none.
func numberOf(name string) int {
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	number, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return number
}

// NodeOf is the node that an end is or is on; what it says of hosts outside is no
// node's name.
func NodeOf(end string) string { return fmt.Sprintf("node-%d", numberOf(end)) }

// Model is that of the bed in a state, for a snapshot of it and the configurations of
// its nodes by name.
func (b *Bed) Model(st *Stage, s *snapshot.Snapshot, configs map[string]agent.Config) (*datapath.Model, error) {
	for i := range s.Nodes {
		s.Nodes[i].APIServer = snapshot.TriOf(s.Nodes[i].Name == st.APIServer)
		s.Nodes[i].MTU = b.uplinkMTU()
		if b.MoreAddresses {
			list(&s.Nodes[i])
		}
	}
	return datapath.New(datapath.Input{Config: configs["node-1"], PerNode: configs, Snapshot: s, Topology: b.Topology()})
}

// Further are addresses of node-2 besides its own, by the name that they have as ends.
func Further() map[string][]netip.Addr {
	return map[string][]netip.Addr{
		External: {v4(101, 0, 62), v6(0, 0, 0x62)},
		Other:    {v4(101, 0, 72), v6(0, 0, 0x72)},
	}
}

// External is listed as ExternalIP, Other nowhere.
const (
	External = "extern-2"
	Other    = "other-2"
)

// list makes of a node's addresses what [Bed.MoreAddresses] says.
func list(n *snapshot.Node) {
	switch numberOf(n.Name) {
	case 2:
		n.ExternalIPs = Further()[External]
	case 3:
		n.InternalIPs = cidr.AddrsOfFamily(n.InternalIPs, cidr.IPv4)
	}
}

// Traced is a flow as the model takes it, with the ends that a snapshot has. Sizes
// become those of IP packets, but of TCP that of the transfer.
func Traced(s *snapshot.Snapshot, f Flow) (datapath.Flow, error) {
	out := datapath.Flow{Family: f.Family, Protocol: f.Protocol, Port: f.Port, Size: f.Size}
	if out.Port == 0 {
		out.Port = map[string]int{"TCP": TCPPort, "UDP": UDPPort}[f.Protocol]
	}
	if f.Size > 0 && f.Protocol != "TCP" {
		out.Size += map[string]int{cidr.IPv4: 28, cidr.IPv6: 48}[f.Family]
	}
	var err error
	if out.From, err = end(s, f.From, f.Family); err != nil {
		return out, err
	}
	out.To, err = end(s, f.To, f.Family)
	return out, err
}

func end(s *snapshot.Snapshot, name, family string) (datapath.End, error) {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			e, ok := datapath.PodEnd(&s.Pods[i], family)
			return e, need(ok, name, family)
		}
	}
	for _, n := range s.Nodes {
		addrs := append(slices.Clone(n.InternalIPs), nodeAddrs(numberOf(n.Name)-1, 0)...)
		if further, ok := Further()[name]; ok && n.Name == "node-2" {
			addrs = further
		} else if "router-"+strconv.Itoa(numberOf(n.Name)) == name {
			addrs = n.CiliumInternalIPs
		} else if n.Name != name {
			continue
		}
		a, ok := first(addrs, family)
		return datapath.End{Kind: datapath.EndNode, Node: n.Name, Addr: a}, need(ok, name, family)
	}
	for _, h := range Hosts() {
		if h.Name == name {
			a, ok := h.IP(family)
			return datapath.End{Kind: datapath.EndOutside, Addr: a}, need(ok, name, family)
		}
	}
	return serviceEnd(s, name, family)
}

func serviceEnd(s *snapshot.Snapshot, name, family string) (datapath.End, error) {
	for _, svc := range s.Services {
		if svc.Name == name {
			a, ok := first(svc.ClusterIPs, family)
			return datapath.End{Kind: datapath.EndService, Namespace: svc.Namespace, Name: name, Addr: a}, need(ok, name, family)
		}
	}
	return datapath.End{}, fmt.Errorf("the bed has no end %q", name)
}

func need(ok bool, name, family string) error {
	if !ok {
		return fmt.Errorf("%s has no %s address", name, family)
	}
	return nil
}

func first(addrs []netip.Addr, family string) (netip.Addr, bool) {
	list := cidr.AddrsOfFamily(addrs, family)
	if len(list) == 0 {
		return netip.Addr{}, false
	}
	return list[0], true
}

// IP is the host's address of a family.
func (h Host) IP(family string) (netip.Addr, bool) {
	var all []netip.Addr
	for _, p := range h.Addrs {
		all = append(all, p.Addr())
	}
	return first(all, family)
}
