package policy

import (
	"encoding/json"
	"errors"
	"fmt"
)

// spec compiles one spec of a CiliumNetworkPolicy into r, with Cilium's own
// checks (pkg/policy/api/rule_validation.go, 1.18.6) and its scoping of
// selectors (pkg/k8s/apis/cilium.io/utils/utils.go:92-130 and 327-380, 1.18.6).
func (c *compiler) spec(raw map[string]any, r *rule) error {
	spec, unknown := decodeSpec(raw)
	if unknown != nil && !errors.Is(unknown, errUnknownField) {
		return unknown
	}
	switch {
	case spec.EndpointSelector == nil && spec.NodeSelector == nil:
		return errors.New("it has neither endpointSelector nor nodeSelector")
	case spec.EndpointSelector != nil && spec.NodeSelector != nil:
		return errors.New("it has both endpointSelector and nodeSelector")
	case len(spec.Ingress)+len(spec.IngressDeny)+len(spec.Egress)+len(spec.EgressDeny) == 0:
		return errors.New("it has no rules")
	case spec.NodeSelector != nil && r.namespace != "":
		return errors.New("nodeSelector belongs in a CiliumClusterwideNetworkPolicy")
	}
	selects := spec.EndpointSelector
	if spec.NodeSelector != nil {
		selects = spec.NodeSelector
	}
	subject, err := newDraft(*selects, extendCilium)
	if err != nil {
		return err
	}
	scope := scope{compiler: c, namespace: r.namespace, init: subject.hasKey(sourceReserved + "." + Init)}
	if r.namespace != "" {
		subject.labels[sourceK8s+"."+labelNamespace] = r.namespace
	}
	r.subject = c.selector(subject)
	if spec.NodeSelector != nil {
		r.subject = selector{reserved(Host)}
	}
	if err := scope.sides(&spec, r); err != nil {
		return err
	}
	return unknown
}

// scope is where selectors of one spec are read.
type scope struct {
	*compiler
	namespace string
	// init: the subject selector names pods that are still being set up.
	init bool
}

func (c scope) sides(spec *ciliumSpec, r *rule) error {
	for i, in := range spec.Ingress {
		l := line{peers: in.ingressPeers.common(), ports: in.ToPorts, icmps: in.ICMPs, auth: in.Authentication, ingress: true}
		if err := c.line(&r.ingress, l); err != nil {
			return fmt.Errorf("ingress[%d]: %w", i, err)
		}
	}
	for i, in := range spec.IngressDeny {
		l := line{deny: true, peers: in.ingressPeers.common(), ports: denyPorts(in.ToPorts), icmps: in.ICMPs, ingress: true}
		if err := c.line(&r.ingress, l); err != nil {
			return fmt.Errorf("ingressDeny[%d]: %w", i, err)
		}
	}
	for i, out := range spec.Egress {
		l := line{peers: out.egressPeers.common(), ports: out.ToPorts, icmps: out.ICMPs, auth: out.Authentication}
		l.peers.fqdns = out.ToFQDNs
		if err := c.line(&r.egress, l); err != nil {
			return fmt.Errorf("egress[%d]: %w", i, err)
		}
	}
	for i, out := range spec.EgressDeny {
		l := line{deny: true, peers: out.egressPeers.common(), ports: denyPorts(out.ToPorts), icmps: out.ICMPs}
		if err := c.line(&r.egress, l); err != nil {
			return fmt.Errorf("egressDeny[%d]: %w", i, err)
		}
	}
	r.ingress.setPresent(len(spec.Ingress)+len(spec.IngressDeny) > 0, spec.EnableDefaultDeny.Ingress)
	r.egress.setPresent(len(spec.Egress)+len(spec.EgressDeny) > 0, spec.EnableDefaultDeny.Egress)
	return nil
}

// setPresent: enableDefaultDeny counts only where the spec has rules
// (pkg/policy/repository.go:409-431, 1.18.6).
func (s *side) setPresent(rules bool, deny *bool) {
	s.present = rules
	s.defaultDeny = rules && (deny == nil || *deny)
}

// line is one element of ingress, ingressDeny, egress or egressDeny.
type line struct {
	deny, ingress bool
	peers         peers
	ports         []portRule
	icmps         []icmpRule
	auth          *authentication
}

// peers are the members of a line that name the other side.
type peers struct {
	endpoints, requires, nodes []labelSelector
	cidrs                      []string
	cidrSets                   []cidrRule
	entities                   []string
	groups, services, fqdns    []json.RawMessage
}

func (p *ingressPeers) common() peers {
	return peers{endpoints: p.FromEndpoints, requires: p.FromRequires, nodes: p.FromNodes, cidrs: p.FromCIDR,
		cidrSets: p.FromCIDRSet, entities: p.FromEntities, groups: p.FromGroups}
}

func (p *egressPeers) common() peers {
	return peers{endpoints: p.ToEndpoints, requires: p.ToRequires, nodes: p.ToNodes, cidrs: p.ToCIDR,
		cidrSets: p.ToCIDRSet, entities: p.ToEntities, groups: p.ToGroups, services: p.ToServices}
}

func denyPorts(list []portDeny) []portRule {
	if list == nil {
		return nil
	}
	out := make([]portRule, len(list))
	for i := range list {
		out[i].Ports = list[i].Ports
	}
	return out
}

func (c scope) line(s *side, l line) error {
	if len(l.icmps) > 0 && len(l.ports) > 0 {
		return errors.New("icmps and toPorts do not go together")
	}
	peers, named, err := c.peers(&l.peers)
	if err != nil {
		return err
	}
	if len(l.peers.requires) > 0 {
		s.require(l.deny)
	}
	base := entry{deny: l.deny, peers: peers.sorted(), byEndpoints: len(l.peers.endpoints) > 0}
	if l.auth != nil && l.auth.Mode != "disabled" {
		base.auth = fmt.Sprintf("mutual authentication (mode %s)", l.auth.Mode)
	}
	if len(l.ports) == 0 && len(l.icmps) == 0 {
		base.anyPort = true
		s.add(base)
		return nil
	}
	if !named {
		base.peers = peerSet{all: true} // ports without peers are open to everybody
	}
	for i := range l.ports {
		e := base
		if e.ports, err = rulePorts(&l.ports[i], l.ingress); err != nil {
			return err
		}
		e.proxy = l.ports[i].throughProxy()
		s.add(e)
	}
	for _, rule := range l.icmps {
		e := base
		if e.ports, err = rule.l4s(); err != nil {
			return err
		}
		s.add(e)
	}
	return nil
}

func rulePorts(r *portRule, ingress bool) ([]l4, error) {
	if len(r.Ports) > maxPorts {
		return nil, fmt.Errorf("%d ports in one list, the limit is %d", len(r.Ports), maxPorts)
	}
	if ingress && r.Rules != nil && len(r.Rules.DNS) > 0 {
		return nil, errors.New("DNS rules are for egress only")
	}
	var list []l4
	for _, p := range r.Ports {
		some, err := p.l4s()
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

func (r *icmpRule) l4s() ([]l4, error) {
	if len(r.Fields) > maxPorts {
		return nil, fmt.Errorf("%d ICMP fields in one list, the limit is %d", len(r.Fields), maxPorts)
	}
	var list []l4
	for _, f := range r.Fields {
		one, err := f.l4()
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// peers compiles the members that name the other side; named is false when
// there are none at all, which is not the same as a list that is empty.
func (c scope) peers(p *peers) (set peerSet, named bool, err error) {
	if err := p.check(c.opts.NodeSelectorLabels); err != nil {
		return set, false, err
	}
	list, err := c.peerSets(p)
	if err != nil {
		return set, false, err
	}
	for _, one := range list {
		set = set.join(one)
	}
	if p.nobody() {
		return peerSet{}, true, nil
	}
	return set, len(list) > 0, nil
}

// nobody: an empty list of peers, as opposed to none, selects no identity
// (pkg/policy/api/ingress.go:235-240 and egress.go:281-287, 1.18.6).
func (p *peers) nobody() bool {
	return p.endpoints != nil && len(p.endpoints) == 0 || p.nodes != nil && len(p.nodes) == 0 ||
		len(p.fqdns) == 0 && (p.cidrs != nil && len(p.cidrs) == 0 ||
			p.cidrSets != nil && len(p.cidrSets) == 0 || p.entities != nil && len(p.entities) == 0)
}

// check refuses what Cilium's Sanitize refuses: two kinds of peers in one line,
// and nodes by label without the option for it.
func (p *peers) check(nodesByLabel bool) error {
	first := ""
	for _, kind := range []struct {
		name string
		n    int
	}{
		{"endpoints", len(p.endpoints)}, {"CIDR", len(p.cidrs)}, {"CIDRSet", len(p.cidrSets)},
		{"entities", len(p.entities)}, {"nodes", len(p.nodes)}, {"groups", len(p.groups)},
		{"services", len(p.services)}, {"FQDNs", len(p.fqdns)},
	} {
		switch {
		case kind.n == 0:
		case first != "":
			return fmt.Errorf("one rule names peers by %s and by %s", first, kind.name)
		default:
			first = kind.name
		}
	}
	if len(p.nodes) > 0 && !nodesByLabel {
		return errors.New("nodes by label need the option enable-node-selector-labels")
	}
	return nil
}

func (c scope) peerSets(p *peers) ([]peerSet, error) {
	var list []peerSet
	add := func(set peerSet, err error) error {
		list = append(list, set)
		return err
	}
	var errs []error
	for _, ls := range p.endpoints {
		errs = append(errs, add(c.endpoints(ls)))
	}
	for _, ls := range p.requires {
		_, err := newDraft(ls, extendCilium)
		errs = append(errs, err)
	}
	for _, ls := range p.nodes {
		errs = append(errs, add(c.nodes(ls)))
	}
	for _, text := range p.cidrs {
		errs = append(errs, add(c.cidr(text)))
	}
	for _, r := range p.cidrSets {
		errs = append(errs, add(c.cidrSet(r)))
	}
	for _, name := range p.entities {
		errs = append(errs, add(c.entity(name)))
	}
	if len(p.groups) > 0 {
		list = append(list, peerSet{open: "groups of a cloud provider are not modelled"})
	}
	if len(p.services) > 0 {
		list = append(list, peerSet{open: "toServices is not modelled"})
	}
	if len(p.fqdns) > 0 {
		list = append(list, c.peerSelectors(selector{derived()}))
	}
	return list, errors.Join(errs...)
}

func (c scope) nodes(ls labelSelector) (peerSet, error) {
	d, err := newDraft(ls, extendCilium)
	if err != nil {
		return peerSet{}, err
	}
	d.require(sourceReserved+"."+RemoteNode, opExists)
	c.scopeToCluster(&d)
	return c.peerSelectors(c.selector(d)), nil
}

// endpoints scopes a selector: to the policy's namespace unless it names
// namespaces itself or reserved identities, and in a clusterwide policy to
// identities that have a namespace.
func (c scope) endpoints(ls labelSelector) (peerSet, error) {
	d, err := newDraft(ls, extendCilium)
	if err != nil {
		return peerSet{}, err
	}
	if d.hasPrefix(sourceReserved + ".") {
		return c.peerSelectors(c.selector(d)), nil
	}
	if !d.hasKey(sourceK8s+"."+labelNamespace) && !d.hasKey(sourceAny+"."+labelNamespace) {
		byNamespaceLabel := d.hasPrefix(sourceK8s+"."+labelNamespaceMeta) || d.hasPrefix(sourceAny+"."+labelNamespaceMeta)
		switch {
		case c.namespace == "" && !c.init:
			d.require(sourceK8s+"."+labelNamespace, opExists)
		case c.namespace != "" && !byNamespaceLabel:
			d.labels[sourceK8s+"."+labelNamespace] = c.namespace
		}
	}
	c.scopeToCluster(&d)
	return c.peerSelectors(c.selector(d)), nil
}
