package datapath

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// families in the order in which the package indexes them.
func families() [2]string { return [2]string{cidr.IPv4, cidr.IPv6} }

func familyIndex(family string) int {
	if family == cidr.IPv6 {
		return 1
	}
	return 0
}

// Model answers for one snapshot under one configuration. It is not changed
// after New and may be shared between goroutines.
type Model struct {
	*world
	in      Input
	agent   *agent
	perNode map[string]*agent
	nodes   []node // as world.hosts
}

// agent is one cilium-agent's configuration as the model uses it.
type agent struct {
	cilium.Settings
	devices  []string
	options  policy.Options
	policies *policy.Set
}

// node is one cluster node under one configuration.
type node struct {
	*host
	agent *agent
}

// host is one cluster node as the model uses it; arrays are indexed by family.
type host struct {
	name     string
	index    int
	api      snapshot.Tri
	labels   map[string]string
	internal [2][]netip.Addr
	external [2][]netip.Addr
	router   [2]netip.Addr
	alloc    [2][]netip.Prefix
	mtu      int
}

// New prepares a model. It fails only when there is no snapshot to speak of.
func New(in Input) (*Model, error) {
	if in.Snapshot == nil {
		return nil, errors.New("no snapshot: give the model at least the cluster's nodes")
	}
	m := newModelOf(in)
	m.world = newWorld(in, baseOptions(in), func(name string) string { return m.agentOf(name).IPAM })
	return m.link(), nil
}

// With is the model of the same snapshot under another configuration; nodes with
// a configuration of their own keep it. It shares with m whatever does not
// depend on the configuration (nodes, pods, policies, classes of flows), which
// makes it much cheaper than [New]. It is safe for concurrent use, and so is the
// model that it returns.
func (m *Model) With(cfg cilium.Config) (*Model, error) {
	return m.WithPerNode(cfg, m.in.PerNode)
}

// WithPerNode is [Model.With] with other configurations of single nodes.
func (m *Model) WithPerNode(cfg cilium.Config, perNode map[string]cilium.Config) (*Model, error) {
	in := m.in
	in.Config, in.PerNode = cfg, perNode
	other := newModelOf(in)
	if !samePolicyOptions(baseOptions(in), baseOptions(m.in)) || !m.sameHosts(other) {
		return New(in)
	}
	other.world = m.world
	return other.link(), nil
}

// sameHosts says whether the nodes' pod CIDRs are read from the same objects.
func (m *Model) sameHosts(other *Model) bool {
	for i := range m.in.Snapshot.Nodes {
		n := &m.in.Snapshot.Nodes[i]
		if useCiliumNode(m.agentOf(n.Name).IPAM, n) != useCiliumNode(other.agentOf(n.Name).IPAM, n) {
			return false
		}
	}
	return true
}

// newModelOf reads the configurations.
func newModelOf(in Input) *Model {
	m := &Model{in: in, perNode: map[string]*agent{}}
	m.agent = newAgent(in, in.Config)
	for name, cfg := range in.PerNode {
		m.perNode[name] = newAgent(in, cfg)
	}
	return m
}

// link connects the agents with the world.
func (m *Model) link() *Model {
	for _, a := range m.agents() {
		a.policies = m.compile(a.options)
	}
	m.nodes = make([]node, len(m.hosts))
	for i, h := range m.hosts {
		m.nodes[i] = node{h, m.agentOf(h.name)}
	}
	return m
}

// node of that name, nil when there is none.
func (m *Model) node(name string) *node {
	if i, ok := m.index[name]; ok {
		return &m.nodes[i]
	}
	return nil
}

// Settings of the agent on the node, or of the cluster's configuration when the
// node has none of its own.
func (m *Model) Settings(node string) cilium.Settings { return m.agentOf(node).Settings }

func (m *Model) agentOf(node string) *agent {
	if a, ok := m.perNode[node]; ok {
		return a
	}
	return m.agent
}

func newAgent(in Input, cfg cilium.Config) *agent {
	settings, _ := cilium.Effective(cfg)
	a := &agent{Settings: settings, devices: in.Topology.Devices, options: policyOptions(in, cfg, settings)}
	if a.devices == nil {
		a.devices = strings.FieldsFunc(cfg.Values["devices"], func(r rune) bool { return r == ' ' || r == ',' })
	}
	return a
}

// off says that no agent has the family.
func (m *Model) off(fi int) bool {
	return !slices.ContainsFunc(m.agents(), func(a *agent) bool { return a.has(fi) })
}

func (a *agent) has(fi int) bool { return [2]bool{a.IPv4, a.IPv6}[fi] }

// baseOptions are those that classes are told apart under.
func baseOptions(in Input) policy.Options {
	s, _ := cilium.Effective(in.Config)
	return policyOptions(in, in.Config, cilium.Settings{
		Version: s.Version, IPv4: true, IPv6: true, PolicyLocalCluster: s.PolicyLocalCluster, PolicyCIDRMatchPods: s.PolicyCIDRMatchPods,
	})
}

func samePolicyOptions(a, b policy.Options) bool {
	return a.Enforcement == b.Enforcement && a.AuditMode == b.AuditMode &&
		a.CIDRMatchNodes == b.CIDRMatchNodes && a.CIDRMatchPods == b.CIDRMatchPods && a.NodeSelectorLabels == b.NodeSelectorLabels &&
		a.SingleStack == b.SingleStack && a.ClusterName == b.ClusterName &&
		a.LocalClusterOnly == b.LocalClusterOnly && a.LocalClusterBlocks == b.LocalClusterBlocks && slices.Equal(a.IdentityLabels, b.IdentityLabels)
}

func policyOptions(in Input, cfg cilium.Config, s cilium.Settings) policy.Options {
	byName := make(map[string]map[string]string, len(in.Snapshot.Namespaces))
	for _, ns := range in.Snapshot.Namespaces {
		byName[ns.Name] = ns.Labels
	}
	return policy.Options{
		Enforcement:        s.PolicyEnforcement,
		CIDRMatchNodes:     s.PolicyCIDRMatchNode,
		CIDRMatchPods:      s.PolicyCIDRMatchPods,
		NodeSelectorLabels: s.NodeSelectorLabels,
		AuditMode:          s.PolicyAuditMode,
		NamespaceLabels:    func(ns string) map[string]string { return byName[ns] },
		SingleStack:        singleStack(s),
		ClusterName:        cfg.Values["cluster-name"],
		LocalClusterOnly:   s.PolicyLocalCluster,
		LocalClusterBlocks: s.LocalClusterBlocks(),
		IdentityLabels:     strings.Fields(cfg.Values["labels"]),
	}
}

// singleStack is the only family in the cluster, empty when there are two.
func singleStack(s cilium.Settings) string {
	switch {
	case s.IPv4 && !s.IPv6:
		return cidr.IPv4
	case s.IPv6 && !s.IPv4:
		return cidr.IPv6
	}
	return ""
}

func newHost(n *snapshot.Node, ipam string) *host {
	out := &host{name: n.Name, api: n.APIServer, labels: n.Labels, mtu: n.MTU}
	prefixes := n.PodCIDRs
	if useCiliumNode(ipam, n) {
		prefixes = n.CiliumPodCIDRs
	}
	for i, family := range families() {
		out.internal[i] = cidr.AddrsOfFamily(n.InternalIPs, family)
		out.external[i] = cidr.AddrsOfFamily(n.ExternalIPs, family)
		out.alloc[i] = cidr.OfFamily(prefixes, family)
		if routers := cidr.AddrsOfFamily(n.CiliumInternalIPs, family); len(routers) > 0 {
			out.router[i] = routers[0]
		}
	}
	return out
}

// useCiliumNode says which object's pod CIDRs count: the Node's in IPAM mode
// kubernetes, the CiliumNode's otherwise, and whichever there is when only one is.
func useCiliumNode(ipam string, n *snapshot.Node) bool {
	if len(n.PodCIDRs) == 0 || len(n.CiliumPodCIDRs) == 0 {
		return len(n.PodCIDRs) == 0
	}
	return ipam != "kubernetes"
}

// first address of the node in the family; invalid when none is known.
func (n *host) first(fi int) netip.Addr {
	if len(n.internal[fi]) == 0 {
		return netip.Addr{}
	}
	return n.internal[fi][0]
}

// reserved identities that other nodes, or the node itself, know it by; more
// than one alternative when its API server role is unknown.
func (n *host) reserved(own bool) [][]string {
	self := policy.RemoteNode
	if own {
		self = policy.Host
	}
	switch n.api {
	case snapshot.Yes:
		return [][]string{{self, policy.KubeAPIServer}}
	case snapshot.No:
		return [][]string{{self}}
	}
	return [][]string{{self}, {self, policy.KubeAPIServer}}
}
