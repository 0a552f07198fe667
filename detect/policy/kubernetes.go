package policy

import (
	"errors"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubernetes compiles a NetworkPolicy as pkg/k8s/network_policy.go:162-302
// (1.18.6) does. Rules count even in a direction that policyTypes leaves out.
func (c *compiler) kubernetes(spec *networkingv1.NetworkPolicySpec, source, namespace string) *rule {
	r := &rule{source: source, namespace: namespace, subject: c.wholeNamespace(namespace)}
	err := c.networkPolicy(spec, r)
	if err != nil {
		r.problem = fmt.Sprintf("the agent would refuse it: %s", err)
	}
	return r
}

func (c *compiler) networkPolicy(spec *networkingv1.NetworkPolicySpec, r *rule) error {
	subject, err := c.podSelector(&spec.PodSelector, r.namespace)
	if err != nil {
		return fmt.Errorf("podSelector: %w", err)
	}
	r.subject = c.selector(subject)
	for i, in := range spec.Ingress {
		if err := c.networkRule(&r.ingress, in.From, in.Ports, r); err != nil {
			return fmt.Errorf("ingress[%d]: %w", i, err)
		}
	}
	for i, out := range spec.Egress {
		if err := c.networkRule(&r.egress, out.To, out.Ports, r); err != nil {
			return fmt.Errorf("egress[%d]: %w", i, err)
		}
	}
	toEgress := slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	toIngress := slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress) || !toEgress
	r.ingress.enable(toIngress || len(spec.Ingress) > 0)
	r.egress.enable(toEgress || len(spec.Egress) > 0)
	return nil
}

func (s *side) enable(on bool) { s.present, s.defaultDeny = on, on }

func (c *compiler) networkRule(s *side, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, r *rule) error {
	list, err := networkPorts(ports)
	if err != nil {
		return err
	}
	e := entry{anyPort: len(ports) == 0, ports: list, peers: peerSet{all: len(peers) == 0}, byEndpoints: true}
	for i := range peers {
		if peers[i].IPBlock != nil && c.opts.LocalClusterOnly && !c.opts.LocalClusterBlocks && s == &r.ingress {
			return errors.New("ipBlock under ingress clashes with policy-default-local-cluster")
		}
		p, err := c.networkPeer(&peers[i], r.namespace)
		if err != nil {
			return err
		}
		if len(p.selectors) == 0 && !p.all && len(ports) > 0 {
			p.all = true // a peer that names nothing is no limit to a list of ports
		}
		e.peers = e.peers.join(p)
	}
	e.peers = e.peers.sorted()
	s.add(e)
	return nil
}

func networkPorts(ports []networkingv1.NetworkPolicyPort) ([]l4, error) {
	var list []l4
	for _, port := range ports {
		p := portProtocol{Port: "0", Protocol: protoTCP}
		if port.Protocol != nil {
			p.Protocol = string(*port.Protocol)
		}
		if port.Port != nil {
			p.Port = port.Port.String()
		}
		if port.EndPort != nil {
			p.EndPort = int64(*port.EndPort)
		}
		some, err := p.l4s()
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

func (c *compiler) networkPeer(p *networkingv1.NetworkPolicyPeer, namespace string) (peerSet, error) {
	labelled := p.PodSelector != nil || p.NamespaceSelector != nil
	switch {
	case p.IPBlock != nil && labelled:
		return peerSet{}, errors.New("a peer has both ipBlock and a selector")
	case p.IPBlock != nil:
		return c.cidrSet(cidrRule{CIDR: p.IPBlock.CIDR, Except: p.IPBlock.Except})
	case !labelled:
		return peerSet{}, nil
	case p.NamespaceSelector == nil:
		d, err := c.podSelector(p.PodSelector, namespace)
		if err != nil {
			return peerSet{}, err
		}
		c.scopeToCluster(&d)
		return c.peerSelectors(c.selector(d)), nil
	}
	d, err := newDraft(selectorOf(p.NamespaceSelector), extendNamespace)
	if err != nil {
		return peerSet{}, err
	}
	if len(d.labels)+len(d.exprs) == 0 {
		d.require(sourceK8s+"."+labelNamespace, opExists)
	}
	if p.PodSelector != nil {
		pods, err := newDraft(selectorOf(p.PodSelector), extendK8s)
		if err != nil {
			return peerSet{}, err
		}
		d.merge(pods)
	}
	c.scopeToCluster(&d)
	return c.peerSelectors(c.selector(d)), nil
}

// podSelector is bound to the policy's namespace.
func (c *compiler) podSelector(ls *metav1.LabelSelector, namespace string) (draft, error) {
	d, err := newDraft(selectorOf(ls), extendK8s)
	if err != nil {
		return draft{}, err
	}
	d.labels[sourceK8s+"."+labelNamespace] = namespace
	return d, nil
}

func selectorOf(ls *metav1.LabelSelector) labelSelector {
	out := labelSelector{MatchLabels: ls.MatchLabels}
	for _, e := range ls.MatchExpressions {
		out.MatchExpressions = append(out.MatchExpressions, expression{Key: e.Key, Operator: operator(e.Operator), Values: e.Values})
	}
	return out
}

// scopeToCluster adds the local cluster to a peer selector that names none, when
// the agent runs with policy-default-local-cluster.
func (c *compiler) scopeToCluster(d *draft) {
	if c.opts.LocalClusterOnly && !d.hasKey(sourceK8s+"."+labelCluster) && !d.hasKey(sourceAny+"."+labelCluster) {
		d.labels[sourceK8s+"."+labelCluster] = c.cluster
	}
}
