package datapath

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// addrRole says what kind of address of a node an end has.
type addrRole int8

const (
	roleNone addrRole = iota
	roleInternal
	// roleAdded is an address of the node's device in a family that the Node
	// object does not list: the agent adds it to its CiliumNode as InternalIP
	// (pkg/node/address.go:84, measured with 1.18.6).
	roleAdded
	roleExternal
	roleRouter
	// roleOther is an address of a node that Kubernetes does not know.
	roleOther
)

// site is an end of a flow, resolved against the snapshot.
type site struct {
	kind      EndKind
	node      *node // nil for outside
	addr      netip.Addr
	role      addrRole
	namespace string
	name      string
	labels    map[string]string
}

func (s site) subject() policy.Subject {
	return policy.Subject{Namespace: s.namespace, Labels: s.labels}
}

func (s site) podPeer() policy.Peer {
	return policy.Peer{Namespace: s.namespace, Labels: s.labels, IP: s.addr}
}

func (s site) String() string {
	switch s.kind {
	case EndPod:
		return fmt.Sprintf("pod %s/%s", s.namespace, s.name)
	case EndNode:
		return "node " + s.node.name
	}
	return s.addr.String()
}

// resolve finds the end in the snapshot; the error says what is missing.
func (m *Model) resolve(e End, fi int) (site, error) {
	switch e.Kind {
	case EndPod:
		return m.resolvePod(e, fi)
	case EndNode:
		return m.resolveNode(e, fi)
	case EndService:
		return m.resolveService(e, fi)
	case EndOutside:
		if !e.Addr.IsValid() {
			return site{}, fmt.Errorf("an outside end needs an address")
		}
		return site{kind: EndOutside, addr: e.Addr.Unmap()}, nil
	}
	return site{}, fmt.Errorf("unknown kind of end %q", e.Kind)
}

func (m *Model) resolvePod(e End, fi int) (site, error) {
	s := site{kind: EndPod, namespace: e.Namespace, name: e.Name, labels: e.Labels, addr: e.Addr.Unmap()}
	if e.Addr.IsValid() && familyIndex(cidr.Family(e.Addr)) != fi {
		return s, fmt.Errorf("pod %s/%s: address %s is not of the flow's family", e.Namespace, e.Name, e.Addr)
	}
	s.node = m.node(e.Node)
	if s.node == nil {
		s.node = m.ownerOf(e.Addr, fi)
	}
	if s.node == nil {
		return s, fmt.Errorf("pod %s/%s: its node %q is not in the snapshot", e.Namespace, e.Name, e.Node)
	}
	if !s.addr.IsValid() && len(s.node.alloc[fi]) > 0 {
		s.addr = within(s.node.alloc[fi][0])
	}
	return s, nil
}

// within picks an address of the prefix that no router uses by convention.
func within(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	for range 10 {
		if next := a.Next(); p.Contains(next) {
			a = next
		}
	}
	return a
}

// ownerOf finds the node whose pod CIDR holds the address.
func (m *Model) ownerOf(a netip.Addr, fi int) *node {
	for i := range m.nodes {
		if cidr.InAny(a, m.nodes[i].alloc[fi]) {
			return &m.nodes[i]
		}
	}
	return nil
}

func (m *Model) resolveNode(e End, fi int) (site, error) {
	n := m.node(e.Node)
	if n == nil {
		return site{kind: EndNode}, fmt.Errorf("node %q is not in the snapshot", e.Node)
	}
	s := site{kind: EndNode, node: n, name: n.name, addr: e.Addr.Unmap()}
	if !s.addr.IsValid() {
		s.addr = n.first(fi)
	}
	s.role = n.roleOf(s.addr, fi)
	return s, nil
}

func (n *host) roleOf(a netip.Addr, fi int) addrRole {
	switch {
	case slices.Contains(n.internal[fi], a):
		return roleInternal
	case slices.Contains(n.external[fi], a):
		return roleExternal
	case a.IsValid() && n.router[fi] == a:
		return roleRouter
	case len(n.internal[fi]) == 0:
		return roleAdded
	}
	return roleOther
}

func (m *Model) resolveService(e End, fi int) (site, error) {
	if e.Backend != nil {
		return m.resolve(*e.Backend, fi)
	}
	for i := range m.in.Snapshot.Services {
		svc := &m.in.Snapshot.Services[i]
		if svc.Namespace == e.Namespace && svc.Name == e.Name {
			return m.resolveEndpoint(svc, fi)
		}
	}
	return site{}, fmt.Errorf("service %s/%s is not in the snapshot", e.Namespace, e.Name)
}

func (m *Model) resolveEndpoint(svc *snapshot.Service, fi int) (site, error) {
	endpoints := cidr.AddrsOfFamily(svc.Endpoints, families()[fi])
	if len(endpoints) == 0 {
		return site{}, fmt.Errorf("service %s/%s has no known %s endpoint", svc.Namespace, svc.Name, families()[fi])
	}
	a := slices.MinFunc(endpoints, netip.Addr.Compare)
	for i := range m.in.Snapshot.Pods {
		p := &m.in.Snapshot.Pods[i]
		if !p.HostNetwork && slices.Contains(p.IPs, a) {
			return m.resolvePod(podEnd(p, a), fi)
		}
	}
	for _, h := range m.hosts {
		if slices.Contains(h.internal[fi], a) {
			return m.resolveNode(End{Kind: EndNode, Node: h.name, Addr: a}, fi)
		}
	}
	return site{kind: EndOutside, addr: a}, nil
}

// PodEnd is a pod as the end of flows of one family, by its first address of it;
// ok is false when it has none.
func PodEnd(p *snapshot.Pod, family string) (end End, ok bool) {
	addrs := cidr.AddrsOfFamily(p.IPs, family)
	if len(addrs) == 0 {
		return End{}, false
	}
	return podEnd(p, addrs[0]), true
}

func podEnd(p *snapshot.Pod, a netip.Addr) End {
	return End{Kind: EndPod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Node: p.Node, Addr: a}
}

func (s site) end() End {
	e := End{Kind: s.kind, Namespace: s.namespace, Name: s.name, Labels: s.labels, Addr: s.addr}
	if s.node != nil {
		e.Node = s.node.name
	}
	return e
}
