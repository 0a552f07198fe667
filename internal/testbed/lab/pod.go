//go:build linux

package lab

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/remediate-dev/remediate/internal/cidr"
)

const errNoRoute = unix.ESRCH

// PodSpec is a pod to make.
type PodSpec struct {
	Namespace, Name string
	// Node by name; empty for a daemon of [Spec].
	Node   string
	Labels map[string]string
	// Guarded: a NetworkPolicy selects the pod, and admits pods of its own namespace only.
	Guarded bool
	// OpenPorts are those, TCP and UDP, to which the policy admits everybody.
	OpenPorts []int
}

// Pod is a pod with a network of its own.
type Pod struct {
	*Space
	Namespace, Name string
	Node            *Node
	Labels          map[string]string
	Guarded         bool
	OpenPorts       []int
	// MTU of its device in bytes: that of the agent when the pod was made.
	MTU int

	number int // on its node
}

// AddPods makes pods and tells every node's agent of them.
func (l *Lab) AddPods(specs ...PodSpec) []*Pod {
	l.t.Helper()
	pods, err := l.addPods(specs)
	l.must(err)
	l.must(l.program(l.Nodes...))
	return pods
}

// AddPod makes a pod on the node.
func (n *Node) AddPod(spec PodSpec) *Pod {
	n.lab.t.Helper()
	spec.Node = n.Name
	return n.lab.AddPods(spec)[0]
}

func (l *Lab) addPods(specs []PodSpec) ([]*Pod, error) {
	var out []*Pod
	for _, spec := range specs {
		p, err := l.newPod(spec)
		if p != nil {
			l.mu.Lock()
			l.pods = append(l.pods, p)
			l.mu.Unlock()
			out = append(out, p)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// newPod returns a pod also with an error when there is one to close.
func (l *Lab) newPod(spec PodSpec) (*Pod, error) {
	n := l.Node(spec.Node)
	switch {
	case n == nil:
		return nil, fmt.Errorf("pod %s/%s is to run on %q, and there is no such node", spec.Namespace, spec.Name, spec.Node)
	case n.pods == podsPerNode:
		return nil, fmt.Errorf("%s has no address left for pod %s/%s", n.Name, spec.Namespace, spec.Name)
	}
	s, err := newSpace(spec.Namespace+"/"+spec.Name, map[string]string{
		"ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/accept_ra": "0",
	})
	if err != nil {
		return nil, err
	}
	s.resolver = l.resolverFile
	n.pods++
	p := &Pod{
		Space: s, Namespace: spec.Namespace, Name: spec.Name, Node: n, Labels: maps.Clone(spec.Labels),
		Guarded: spec.Guarded, OpenPorts: slices.Clone(spec.OpenPorts), MTU: l.spec.MTU, number: n.pods,
	}
	if n.settings.MTU > 0 {
		p.MTU = n.settings.MTU
	}
	if !l.spec.NoPing {
		// The only group that a user namespace of one user knows.
		if err := s.Sysctl(map[string]string{"ipv4/ping_group_range": "0 0"}); err != nil {
			return p, err
		}
	}
	return p, p.attach()
}

// Device is the node's end of the pod's veth.
func (p *Pod) Device() string { return fmt.Sprintf("lxc%d", p.number) }

// attach joins the pod to its node as Cilium does: one address per family with a
// full-length prefix, the node's router address as gateway, and a route per pod.
func (p *Pod) attach() error {
	if err := p.Node.veth(p.Device(), p.Space, uplink, p.MTU); err != nil {
		return err
	}
	if err := p.Node.up(p.Device()); err != nil {
		return err
	}
	if err := p.up(uplink); err != nil {
		return err
	}
	host, err := p.Node.mac(p.Device())
	if err != nil {
		return err
	}
	own, err := p.mac(uplink)
	if err != nil {
		return err
	}
	for _, family := range p.Node.lab.spec.families() {
		if p.Node.has(family) {
			if err := p.address(family, host, own); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pod) address(family string, host, own net.HardwareAddr) error {
	addr, router := podAddr(family, p.Node.Number, p.number), p.Node.RouterIP(family)
	full := netip.PrefixFrom(addr, addr.BitLen())
	if err := p.addAddr(uplink, full); err != nil {
		return err
	}
	if err := p.addRoute(netip.PrefixFrom(router, router.BitLen()), netip.Addr{}, uplink, netip.Addr{}); err != nil {
		return err
	}
	if err := p.addRoute(everywhere(family), router, uplink, netip.Addr{}); err != nil {
		return err
	}
	if err := p.addNeighbour(uplink, router, host); err != nil {
		return err
	}
	if err := p.Node.addRoute(full, netip.Addr{}, p.Device(), p.Node.sourceToPods(family)); err != nil {
		return err
	}
	return p.Node.addNeighbour(p.Device(), addr, own)
}

// sourceToPods is what the node's own packets to its pods have as source: the
// router's address, but with endpoint routes the node's for IPv4 (measured, 1.18.6).
func (n *Node) sourceToPods(family string) netip.Addr {
	if n.settings.EndpointRoutes && family == cidr.IPv4 {
		return n.IP(family)
	}
	return n.RouterIP(family)
}

// IP is the pod's address of a family, invalid when it has none.
func (p *Pod) IP(family string) netip.Addr {
	i := slices.IndexFunc(p.IPs(), func(a netip.Addr) bool { return cidr.Family(a) == family })
	if i < 0 {
		return netip.Addr{}
	}
	return p.IPs()[i]
}

// IPs are the pod's addresses, at most one per family.
func (p *Pod) IPs() []netip.Addr {
	var out []netip.Addr
	for _, family := range p.Node.lab.spec.families() {
		if p.Node.has(family) {
			out = append(out, podAddr(family, p.Node.Number, p.number))
		}
	}
	return out
}
