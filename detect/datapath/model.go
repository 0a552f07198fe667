package datapath

import (
	"errors"
	"maps"
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
	in       Input
	agent    *agent
	perNode  map[string]*agent
	nodes    map[string]*node
	names    []string // of nodes, sorted
	policies []snapshot.Policy
	// base has the policies under default enforcement, whatever the
	// configuration says: its decisions are the same for every configuration
	// and therefore what classes are told apart by.
	base *policy.Set

	// pods to analyse, assumed when the snapshot has none, and their order.
	pods    []snapshot.Pod
	order   []int
	assumed bool
}

// agent is one cilium-agent's configuration as the model uses it.
type agent struct {
	cilium.Settings
	devices  []string
	options  policy.Options
	policies *policy.Set
}

// node is one cluster node as the model uses it; arrays are indexed by family.
type node struct {
	name     string
	agent    *agent
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
	m := &Model{in: in, perNode: map[string]*agent{}, nodes: map[string]*node{}}
	m.policies = policiesOf(in.Snapshot)
	m.base = policy.Compile(m.policies, m.options(in.Config, cilium.Settings{IPv4: true, IPv6: true}))
	m.agent = m.newAgent(in.Config)
	for _, name := range slices.Sorted(maps.Keys(in.PerNode)) {
		m.perNode[name] = m.newAgent(in.PerNode[name])
	}
	for i := range in.Snapshot.Nodes {
		m.addNode(&in.Snapshot.Nodes[i])
	}
	for i := range in.Snapshot.Pods {
		if name := in.Snapshot.Pods[i].Node; name != "" {
			m.ensureNode(name)
		}
	}
	m.names = slices.Sorted(maps.Keys(m.nodes))
	m.pods, m.assumed = m.podsOf()
	m.order = podOrder(m.pods)
	return m, nil
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

func (m *Model) newAgent(cfg cilium.Config) *agent {
	settings, _ := cilium.Effective(cfg)
	a := &agent{Settings: settings, devices: m.in.Topology.Devices}
	if a.devices == nil {
		a.devices = strings.FieldsFunc(cfg.Values["devices"], func(r rune) bool { return r == ' ' || r == ',' })
	}
	opts := m.options(cfg, settings)
	if m.agent != nil && samePolicyOptions(m.agent.options, opts) {
		a.options, a.policies = m.agent.options, m.agent.policies
		return a
	}
	a.options, a.policies = opts, policy.Compile(m.policies, opts)
	return a
}

func samePolicyOptions(a, b policy.Options) bool {
	return a.Enforcement == b.Enforcement && a.AuditMode == b.AuditMode &&
		a.CIDRMatchNodes == b.CIDRMatchNodes && a.NodeSelectorLabels == b.NodeSelectorLabels &&
		a.SingleStack == b.SingleStack && a.ClusterName == b.ClusterName &&
		a.LocalClusterOnly == b.LocalClusterOnly && slices.Equal(a.IdentityLabels, b.IdentityLabels)
}

func (m *Model) options(cfg cilium.Config, s cilium.Settings) policy.Options {
	byName := make(map[string]map[string]string, len(m.in.Snapshot.Namespaces))
	for _, ns := range m.in.Snapshot.Namespaces {
		byName[ns.Name] = ns.Labels
	}
	return policy.Options{
		Enforcement:        s.PolicyEnforcement,
		CIDRMatchNodes:     s.PolicyCIDRMatchNode,
		NodeSelectorLabels: s.NodeSelectorLabels,
		AuditMode:          s.PolicyAuditMode,
		NamespaceLabels:    func(ns string) map[string]string { return byName[ns] },
		SingleStack:        singleStack(s),
		ClusterName:        cfg.Values["cluster-name"],
		LocalClusterOnly:   cfg.Values["policy-default-local-cluster"] == "true",
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

func (m *Model) addNode(n *snapshot.Node) {
	out := &node{name: n.Name, agent: m.agentOf(n.Name), api: n.APIServer, labels: n.Labels, mtu: n.MTU}
	prefixes := n.PodCIDRs
	if useCiliumNode(out.agent.IPAM, n) {
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
	m.nodes[n.Name] = out
}

// useCiliumNode says which object's pod CIDRs count: the Node's in IPAM mode
// kubernetes, the CiliumNode's otherwise, and whichever there is when only one is.
func useCiliumNode(ipam string, n *snapshot.Node) bool {
	if len(n.PodCIDRs) == 0 || len(n.CiliumPodCIDRs) == 0 {
		return len(n.PodCIDRs) == 0
	}
	return ipam != "kubernetes"
}

func (m *Model) ensureNode(name string) *node {
	if n, ok := m.nodes[name]; ok {
		return n
	}
	n := &node{name: name, agent: m.agentOf(name)}
	m.nodes[name] = n
	return n
}

// first address of the node in the family; invalid when none is known.
func (n *node) first(fi int) netip.Addr {
	if len(n.internal[fi]) == 0 {
		return netip.Addr{}
	}
	return n.internal[fi][0]
}

// reserved identities that other nodes, or the node itself, know it by; more
// than one alternative when its API server role is unknown.
func (n *node) reserved(own bool) [][]string {
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
