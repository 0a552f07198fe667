package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// identity is a peer or subject as the labels that Cilium would give it.
type identity struct {
	reserved  []string
	pod       bool
	namespace string
	cluster   string
	labels    map[string]string
	// nsLabels is nil when the namespace's labels are not known.
	nsLabels map[string]string
	// nodeLabels: labels are those of a node, and identities carry some of them.
	nodeLabels bool
	// addr is what CIDR rules see; byCIDR says whether they apply at all.
	addr   netip.Addr
	byCIDR bool
	world  bool
	// singleStack: the cluster has one family, so world has no family either.
	singleStack bool
}

// worldLabel answers for one of the labels of an address outside the cluster:
// with both families on they differ by family (pkg/labels/cidr.go:117-126, 1.18.6).
func (id *identity) worldLabel(name string) match {
	switch {
	case !id.world:
		return no
	case id.singleStack:
		return matchOf(name == World)
	case name == World:
		return no
	case !id.addr.IsValid():
		return maybe
	}
	return matchOf(id.addr.Is4() == (name == worldIPv4))
}

func (id *identity) label(k *labelKey) (string, match) {
	switch k.source {
	case sourceK8s:
		return id.podLabel(k)
	case sourceAny:
		if value, has := id.podLabel(k); has != no {
			return value, has
		}
		if has := id.reservedLabel(k.name); has != no {
			return "", has
		}
		return id.nodeLabel()
	case sourceNode:
		return id.nodeLabel()
	case sourceReserved:
		return "", id.reservedLabel(k.name)
	case sourceWorld:
		return "", matchOf(id.world)
	case sourceCIDR:
		return "", id.inCIDR(k.prefix)
	case sourceDerived:
		return "", min(matchOf(id.byCIDR), maybe)
	}
	return "", no
}

func (id *identity) reservedLabel(name string) match {
	switch name {
	case World, worldIPv4, worldIPv6:
		return id.worldLabel(name)
	}
	return matchOf(slices.Contains(id.reserved, name))
}

func (id *identity) inCIDR(prefix netip.Prefix) match {
	switch {
	case !id.byCIDR:
		return no
	case id.pod:
		return id.podInCIDR(prefix)
	case slices.Contains(id.reserved, Host):
		return id.hostInCIDR(prefix)
	case !id.addr.IsValid():
		return maybe
	}
	return matchOf(prefix.Contains(id.addr))
}

// podInCIDR: a pod's identity has labels of both its addresses
// (pkg/endpoint/endpoint.go:2325-2360, 1.20.2), of which the peer's is one.
func (id *identity) podInCIDR(prefix netip.Prefix) match {
	switch {
	case prefix.Bits() == 0 && !id.singleStack:
		return yes
	case id.addr.IsValid() && prefix.Addr().Is4() == id.addr.Is4():
		return matchOf(prefix.Contains(id.addr))
	}
	return maybe
}

// hostInCIDR: the one identity of an agent's own node has labels of all its addresses,
// of both families and those of cilium_host (pkg/node/manager/manager.go:612 and
// pkg/ipcache/metadata.go:817, 1.18.6; measured), of which the peer's is one.
func (id *identity) hostInCIDR(prefix netip.Prefix) match {
	if id.addr.IsValid() && prefix.Contains(id.addr) {
		return yes
	}
	return maybe
}

// podLabel: the agent sets some labels itself and strips what a pod brings along
// under Cilium's prefix (pkg/k8s/utils/utils.go:226-258, 1.18.6).
func (id *identity) podLabel(k *labelKey) (string, match) {
	switch {
	case !id.pod && k.name == labelCluster:
		return id.nodeLabel()
	case !id.pod || k.dropped:
		return "", no
	}
	switch k.name {
	case labelNamespace:
		return id.namespace, matchOf(id.namespace != "")
	case labelCluster:
		return id.cluster, yes
	case labelServiceAccount:
		return "", maybe
	}
	if name, ok := strings.CutPrefix(k.name, labelNamespaceMeta); ok {
		return id.namespaceLabel(name)
	}
	if strings.HasPrefix(k.name, labelPrefix) {
		return "", no
	}
	value, ok := id.labels[k.name]
	return value, matchOf(ok)
}

func (id *identity) namespaceLabel(name string) (string, match) {
	if value, ok := id.nsLabels[name]; ok {
		return value, yes
	}
	if id.nsLabels != nil {
		return "", no
	}
	if name == labelMetadataName {
		return id.namespace, matchOf(id.namespace != "")
	}
	return "", maybe
}

// nodeLabel is never a yes: which labels of a node its identity carries depends
// on the agent's node-labels option.
func (id *identity) nodeLabel() (string, match) {
	return "", min(matchOf(id.nodeLabels), maybe)
}

// name is how a reason speaks of the identity.
func (id *identity) name() string {
	switch {
	case len(id.reserved) > 0:
		return strings.Join(id.reserved, "+")
	case id.world && id.addr.IsValid():
		return "world " + id.addr.String()
	case id.world:
		return "world"
	case id.namespace != "":
		return "pods of namespace " + id.namespace + " with the peer's labels"
	}
	return "the peer"
}
