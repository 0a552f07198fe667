package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

const defaultCluster = "default"

// compiler turns policies into rules that share one table of selectors.
type compiler struct {
	opts    Options
	cluster string
	filter  *labelFilter
	table   *table
	rules   []*rule
}

func newCompiler(opts Options) *compiler {
	c := &compiler{opts: opts, cluster: opts.ClusterName, table: newTable()}
	if c.cluster == "" {
		c.cluster = defaultCluster
	}
	var err error
	if c.filter, err = newLabelFilter(opts.IdentityLabels); err != nil {
		c.filter, _ = newLabelFilter(nil)
	}
	return c
}

func (c *compiler) policy(p *snapshot.Policy) {
	namespace := p.Namespace
	clusterwide := p.Kind == "CiliumClusterwideNetworkPolicy"
	switch {
	case clusterwide:
		namespace = ""
	case namespace == "":
		namespace = "default"
	}
	source := p.Source
	if source == "" {
		source = strings.TrimSuffix(p.Kind+" "+strings.TrimPrefix(namespace+"/"+p.Name, "/"), " ")
	}
	switch {
	case p.Kubernetes != nil:
		c.rules = append(c.rules, c.kubernetes(p.Kubernetes, source, namespace))
	case len(p.Cilium) > 0:
		c.rules = append(c.rules, c.cilium(p.Cilium, source, namespace)...)
	case p.Kind == "NetworkPolicy":
		c.rules = append(c.rules, &rule{source: source, namespace: namespace,
			subject: c.wholeNamespace(namespace), problem: "it has no spec"})
	}
}

// cilium compiles the specs of one object. The agent takes an object whole or
// not at all, so one bad spec makes all of them uncertain
// (pkg/k8s/apis/cilium.io/v2/cnp_types.go:195-218, 1.18.6).
func (c *compiler) cilium(specs []map[string]any, source, namespace string) []*rule {
	rules := make([]*rule, 0, len(specs))
	refused := ""
	for _, raw := range specs {
		r := &rule{source: source, namespace: namespace, subject: c.wholeNamespace(namespace)}
		err := c.spec(raw, r)
		switch {
		case errors.Is(err, errUnknownField):
			r.problem = err.Error()
		case err != nil:
			refused = fmt.Sprintf("the agent would refuse it: %s", err)
		}
		rules = append(rules, r)
	}
	if refused != "" {
		for _, r := range rules {
			r.problem = refused
		}
	}
	return rules
}

func (c *compiler) wholeNamespace(namespace string) selector {
	if namespace == "" {
		return nil
	}
	return c.selector(draft{labels: map[string]string{sourceK8s + "." + labelNamespace: namespace}})
}

// selector finishes a draft. The text before the first dot of a key is its source.
func (c *compiler) selector(d draft) selector {
	s := make(selector, 0, len(d.labels)+len(d.exprs))
	for key, value := range d.labels {
		s = append(s, requirement{key: c.key(key), op: opIn, values: []string{value}})
	}
	for _, e := range d.exprs {
		s = append(s, requirement{key: c.key(e.Key), op: e.Operator, values: e.Values})
	}
	slices.SortFunc(s, func(a, b requirement) int { return strings.Compare(a.String(), b.String()) })
	return s
}

func (c *compiler) key(ext string) labelKey {
	source, name, _ := strings.Cut(ext, ".")
	k := labelKey{source: source, name: name}
	if source == sourceAny || source == sourceK8s {
		k.dropped = !c.filter.keeps(name)
	}
	return k
}

// peerSelectors makes a peer set of selectors; an empty one is everybody.
func (c *compiler) peerSelectors(list ...selector) peerSet {
	var p peerSet
	for _, s := range list {
		if len(s) == 0 {
			return peerSet{all: true}
		}
		p.selectors = append(p.selectors, c.table.add(s))
	}
	return p
}

func (p peerSet) join(other peerSet) peerSet {
	p.all = p.all || other.all
	p.selectors = append(p.selectors, other.selectors...)
	if p.open == "" {
		p.open = other.open
	}
	return p
}

// sorted is the set with its selectors in order and without repeats.
func (p peerSet) sorted() peerSet {
	p.selectors = slices.Compact(slices.Sorted(slices.Values(p.selectors)))
	return p
}

func reserved(name string) requirement {
	return requirement{key: labelKey{source: sourceReserved, name: name}, op: opExists}
}

// entity is the selectors behind an entity's name
// (pkg/policy/api/entity.go:92-146, 1.18.6).
func (c *compiler) entity(name string) (peerSet, error) {
	switch name {
	case "all":
		return peerSet{all: true}, nil
	case World:
		anyFamily := requirement{key: labelKey{source: sourceWorld}, op: opExists}
		return c.peerSelectors(selector{anyFamily}), nil
	case worldIPv4, worldIPv6, Host, Init, Ingress, RemoteNode, Health, Unmanaged, KubeAPIServer, "none":
		return c.peerSelectors(selector{reserved(name)}), nil
	case "cluster":
		list := []selector{{{key: labelKey{source: sourceK8s, name: labelCluster}, op: opIn, values: []string{c.cluster}}}}
		for _, member := range []string{Host, RemoteNode, Init, Ingress, Health, Unmanaged, KubeAPIServer} {
			list = append(list, selector{reserved(member)})
		}
		return c.peerSelectors(list...), nil
	}
	return peerSet{}, fmt.Errorf("entity %q does not exist", name)
}

// cidr is an entry of fromCIDR: a prefix or a single address. Of the whole
// address space it also means the world of that family.
func (c *compiler) cidr(text string) (peerSet, error) {
	prefix, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); err != nil && addrErr == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return peerSet{}, fmt.Errorf("%q is neither a CIDR nor an address", text)
	}
	peers := c.peerSelectors(selector{inPrefix(prefix)})
	single := c.opts.SingleStack
	switch {
	case text != "0.0.0.0/0" && text != "::/0":
	case single == "":
		peers = peers.join(c.peerSelectors(selector{reserved(worldOf(prefix))}))
	case (single == familyIPv4) == (text == "0.0.0.0/0"):
		peers = peers.join(c.peerSelectors(selector{reserved(World)}))
	}
	return peers, nil
}

func worldOf(prefix netip.Prefix) string {
	if prefix.Addr().Is4() {
		return worldIPv4
	}
	return worldIPv6
}

func inPrefix(p netip.Prefix) requirement {
	return requirement{key: labelKey{source: sourceCIDR, prefix: p.Masked()}, op: opExists}
}

// cidrSet is an entry of fromCIDRSet or an ipBlock. A prefix of length 0 is also
// the world of its family; with one family in the cluster, of either
// (pkg/policy/api/cidr.go:154-226, 1.18.6).
func (c *compiler) cidrSet(r cidrRule) (peerSet, error) {
	kinds := 0
	for _, set := range []bool{r.CIDR != "", r.CIDRGroupRef != "", r.CIDRGroupSelector != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return peerSet{}, errors.New("a CIDR entry needs one of cidr, cidrGroupRef, cidrGroupSelector")
	case r.CIDRGroupRef != "":
		return c.peerSelectors(selector{derived()}), nil
	case r.CIDRGroupSelector != nil:
		return peerSet{open: "CIDR groups are not modelled"}, nil
	}
	prefix, err := netip.ParsePrefix(r.CIDR)
	if err != nil {
		return peerSet{}, fmt.Errorf("%q is no CIDR", r.CIDR)
	}
	var except selector
	for _, text := range r.Except {
		hole, err := netip.ParsePrefix(text)
		if err != nil || !prefix.Contains(hole.Addr()) {
			return peerSet{}, fmt.Errorf("except %q is no CIDR inside %s", text, r.CIDR)
		}
		out := inPrefix(hole)
		out.op = opDoesNotExist
		except = append(except, out)
	}
	peers := c.peerSelectors(append(selector{inPrefix(prefix)}, except...))
	if prefix.Bits() == 0 {
		world := worldOf(prefix)
		if c.opts.SingleStack != "" {
			world = World
		}
		peers = peers.join(c.peerSelectors(append(selector{reserved(world)}, except...)))
	}
	return peers, nil
}

func derived() requirement {
	return requirement{key: labelKey{source: sourceDerived}, op: opExists}
}
