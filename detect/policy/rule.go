package policy

import (
	"slices"
	"strings"
)

// rule is one spec of a policy, compiled.
type rule struct {
	source    string
	namespace string // "" selects in every namespace
	subject   selector
	ingress   side
	egress    side
	// problem is why nothing certain can be said for the pods that it selects.
	problem string
}

// side is what a rule says for one direction.
type side struct {
	present     bool
	defaultDeny bool
	entries     []entry
	// requires: fromRequires or toRequires stand among the allow (or deny)
	// rules; they narrow the endpoints of every rule that selects the same pod
	// (pkg/policy/rules.go:22-37, 1.18.6).
	requires, requiresDeny bool
}

func (s *side) require(deny bool) {
	s.requires = s.requires || !deny
	s.requiresDeny = s.requiresDeny || deny
}

// entry is one line of a rule: peers and ports, allowed or denied.
type entry struct {
	deny  bool
	peers peerSet
	// byEndpoints: the peers are written as pod selectors.
	byEndpoints bool
	// anyPort also covers protocols without ports.
	anyPort bool
	ports   []l4
	// proxy and auth name what decides beyond layers 3 and 4.
	proxy, auth string
}

// peerSet is who an entry speaks of.
type peerSet struct {
	all       bool
	selectors []int // indexes into the set's selectors, sorted
	// open is why the set's members cannot be known; "" when they can.
	open string
}

func (s *side) add(e entry) {
	if e.peers.all || e.peers.open != "" || len(e.peers.selectors) > 0 {
		s.entries = append(s.entries, e)
	}
}

// portsMatch says whether the entry covers the port.
func (e *entry) portsMatch(p Port) match {
	if e.anyPort {
		return yes
	}
	m := no
	for i := range e.ports {
		m = max(m, e.ports[i].matches(p))
	}
	return m
}

func (e *entry) peersMatch(p *peerInfo) match {
	if e.peers.all {
		return yes
	}
	m := no
	if e.peers.open != "" {
		m = maybe
	}
	if len(p.hits) < len(e.peers.selectors) {
		for _, h := range p.hits {
			if _, ok := slices.BinarySearch(e.peers.selectors, h.selector); ok {
				m = max(m, h.m)
			}
		}
		return m
	}
	for _, id := range e.peers.selectors {
		m = max(m, p.hit(id))
	}
	return m
}

// table holds every distinct peer selector of a set once.
type table struct {
	selectors []selector
	index     map[string]int
	// general selectors can match any identity, scoped ones only pods of a namespace.
	general []int
	scoped  map[string][]int
	// reads are the pod label keys that any selector looks at.
	reads map[string]bool
}

func newTable() *table {
	return &table{index: map[string]int{}, scoped: map[string][]int{}, reads: map[string]bool{}}
}

func (t *table) add(s selector) int {
	key := s.canonical()
	if id, ok := t.index[key]; ok {
		return id
	}
	id := len(t.selectors)
	t.index[key] = id
	t.selectors = append(t.selectors, s)
	t.note(s)
	namespaces, ok := s.namespaces()
	if !ok {
		t.general = append(t.general, id)
	}
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		t.scoped[ns] = append(t.scoped[ns], id)
	}
	return id
}

// note remembers the pod labels that a selector reads.
func (t *table) note(s selector) {
	for i := range s {
		k := &s[i].key
		if (k.source != sourceAny && k.source != sourceK8s) || k.dropped {
			continue
		}
		if k.name == labelNamespace || k.name == labelCluster || strings.HasPrefix(k.name, labelNamespaceMeta) {
			continue
		}
		t.reads[k.name] = true
	}
}
