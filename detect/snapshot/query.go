package snapshot

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// IPAM modes in which pods get their addresses from per-node CIDRs
// (pkg/ipam/option/option.go, 1.18.6). In the other modes a node has no pod CIDR.
const (
	IPAMKubernetes  = "kubernetes"
	IPAMClusterPool = "cluster-pool"
	IPAMMultiPool   = "multi-pool"
)

// NamespaceNameLabel is the label that every namespace carries, written or not
// (KEP-2161, since Kubernetes 1.22).
const NamespaceNameLabel = "kubernetes.io/metadata.name"

type podKey struct{ namespace, name string }

// index finds objects by name. It counts only for the slices it was built from,
// so that a copied and extended Snapshot is never answered from the old one.
type index struct {
	nodes  map[string]int
	pods   map[podKey]int
	labels map[string]map[string]string

	ofNodes      []Node
	ofPods       []Pod
	ofNamespaces []Namespace
}

// Indexed is the same snapshot with its objects indexed by name. Call it once,
// when the snapshot is complete; without it every look-up walks all objects.
func (s *Snapshot) Indexed() *Snapshot {
	out := *s
	out.index = &index{
		nodes:        indexBy(s.Nodes, func(n *Node) string { return n.Name }),
		pods:         indexBy(s.Pods, func(p *Pod) podKey { return podKey{p.Namespace, p.Name} }),
		labels:       make(map[string]map[string]string, len(s.Namespaces)),
		ofNodes:      s.Nodes,
		ofPods:       s.Pods,
		ofNamespaces: s.Namespaces,
	}
	for _, ns := range s.Namespaces {
		out.index.labels[ns.Name] = namespaceLabels(ns.Name, ns.Labels)
	}
	return &out
}

func indexBy[T any, K comparable](items []T, key func(*T) K) map[K]int {
	out := make(map[K]int, len(items))
	for i := range items {
		k := key(&items[i])
		if _, taken := out[k]; !taken {
			out[k] = i
		}
	}
	return out
}

// same says whether an index over indexed answers for items.
func same[T any](items, indexed []T) bool {
	return len(items) == len(indexed) && (len(items) == 0 || &items[0] == &indexed[0])
}

// find looks a key up in an index that was built over indexed, or walks items
// when it was not built over them.
func find[T any, K comparable](items, indexed []T, byKey map[K]int, want K, key func(*T) K) *T {
	if same(items, indexed) {
		if i, ok := byKey[want]; ok {
			return &items[i]
		}
		return nil
	}
	for i := range items {
		if key(&items[i]) == want {
			return &items[i]
		}
	}
	return nil
}

func (s *Snapshot) indexOrEmpty() *index {
	if s.index == nil {
		return &index{}
	}
	return s.index
}

// NodeByName is the node, or nil when none of that name is known.
func (s *Snapshot) NodeByName(name string) *Node {
	if s == nil {
		return nil
	}
	x := s.indexOrEmpty()
	return find(s.Nodes, x.ofNodes, x.nodes, name, func(n *Node) string { return n.Name })
}

// PodByName is the pod, or nil when none of that name is known.
func (s *Snapshot) PodByName(namespace, name string) *Pod {
	if s == nil {
		return nil
	}
	x := s.indexOrEmpty()
	return find(s.Pods, x.ofPods, x.pods, podKey{namespace, name},
		func(p *Pod) podKey { return podKey{p.Namespace, p.Name} })
}

// NamespaceLabels are the labels that policies see on a namespace, with
// [NamespaceNameLabel], which is implied even for a namespace that was not read.
// The map may be shared: do not change it.
func (s *Snapshot) NamespaceLabels(name string) map[string]string {
	if s == nil {
		return namespaceLabels(name, nil)
	}
	if x := s.indexOrEmpty(); same(s.Namespaces, x.ofNamespaces) && x.labels[name] != nil {
		return x.labels[name]
	}
	for _, ns := range s.Namespaces {
		if ns.Name == name {
			return namespaceLabels(name, ns.Labels)
		}
	}
	return namespaceLabels(name, nil)
}

func namespaceLabels(name string, labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[NamespaceNameLabel] = name
	return out
}

// NodePodCIDRs are the ranges that the node's pods get their addresses from
// under the IPAM mode: the Node's for "kubernetes", the CiliumNode's for
// "cluster-pool" and "multi-pool". In mode "kubernetes" the agent copies the
// Node's to the CiliumNode (pkg/nodediscovery/nodediscovery.go:338, 1.18.6), so
// either object will do. With an unknown mode ("") the CiliumNode's come first,
// because they hold in every mode. Other modes have none.
func (s *Snapshot) NodePodCIDRs(n *Node, ipam string) []netip.Prefix {
	prefixes, _ := nodePodCIDRs(n, ipam)
	return prefixes
}

func nodePodCIDRs(n *Node, ipam string) (prefixes []netip.Prefix, source string) {
	if n == nil {
		return nil, ""
	}
	switch ipam {
	case IPAMKubernetes:
		if len(n.PodCIDRs) > 0 {
			return n.PodCIDRs, n.Source
		}
		return n.CiliumPodCIDRs, "CiliumNode " + n.Name
	case IPAMClusterPool, IPAMMultiPool:
		return n.CiliumPodCIDRs, "CiliumNode " + n.Name
	case "":
		if len(n.CiliumPodCIDRs) > 0 {
			return n.CiliumPodCIDRs, "CiliumNode " + n.Name
		}
		return n.PodCIDRs, n.Source
	}
	return nil, ""
}

// PodCIDRs are all nodes' pod CIDRs of one family, in the nodes' order, each
// with the object it was read from.
func (s *Snapshot) PodCIDRs(ipam, family string) []CIDR {
	if s == nil {
		return nil
	}
	var out []CIDR
	for i := range s.Nodes {
		prefixes, source := nodePodCIDRs(&s.Nodes[i], ipam)
		for _, p := range cidr.OfFamily(prefixes, family) {
			out = append(out, CIDR{Prefix: p, Source: source})
		}
	}
	return out
}

// Pool is what the nodes' pod CIDRs of one family are cut from under the IPAM
// mode, each range once. When no pool is stated it is the list of the observed pod CIDRs, each
// marked ObservedOnly; when those are unknown too it is empty.
func (s *Snapshot) Pool(ipam, family string) (cidrs []CIDR, observedOnly bool) {
	if s == nil {
		return nil, false
	}
	for _, c := range ofFamily(s.PodPools, family) {
		known := slices.ContainsFunc(cidrs, func(have CIDR) bool { return have.Prefix == c.Prefix })
		if !known && (c.IPAM == "" || ipam == "" || c.IPAM == ipam) {
			cidrs = append(cidrs, c)
		}
	}
	if len(cidrs) > 0 {
		return cidrs, false
	}
	for _, c := range s.PodCIDRs(ipam, family) {
		c.ObservedOnly = true
		cidrs = append(cidrs, c)
	}
	return cidrs, len(cidrs) > 0
}

// NodeAddresses are the nodes' internal and external addresses of one family
// as prefixes of full length, each with the object it was read from.
func (s *Snapshot) NodeAddresses(family string) []CIDR {
	if s == nil {
		return nil
	}
	var out []CIDR
	for i := range s.Nodes {
		n := &s.Nodes[i]
		for _, a := range cidr.AddrsOfFamily(slices.Concat(n.InternalIPs, n.ExternalIPs), family) {
			out = append(out, CIDR{Prefix: netip.PrefixFrom(a, a.BitLen()), Source: n.Source})
		}
	}
	return out
}

// ServiceRange are the stated service CIDRs of one family; empty means unknown.
func (s *Snapshot) ServiceRange(family string) []CIDR {
	if s == nil {
		return nil
	}
	return ofFamily(s.ServiceCIDRs, family)
}

func ofFamily(cs []CIDR, family string) []CIDR {
	var out []CIDR
	for _, c := range cs {
		if c.Prefix.IsValid() && cidr.Family(c.Prefix.Addr()) == family {
			out = append(out, c)
		}
	}
	return out
}
