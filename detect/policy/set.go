package policy

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// maxCached bounds each cache of a Set; beyond it answers are computed anew.
const maxCached = 1 << 18

// Set is a compiled set of policies. It is safe for concurrent use.
type Set struct {
	opts    Options
	cluster string
	rules   []*rule
	// byNamespace lists rules by the namespace that they select in.
	byNamespace map[string][]int
	table       *table
	// hostKey and initKey are label keys that change how a pod is treated.
	hostKey, initKey labelKey

	mu       sync.RWMutex
	subjects map[string]*subjectInfo
	peers    map[string]*peerInfo
}

// subjectInfo is what the set makes of one kind of subject.
type subjectInfo struct {
	class           string
	ingress, egress []selected
	// exempt: no policy is enforced. initial: all traffic is, as for pods that
	// are still being set up.
	exempt, initial bool
}

// selected is a rule that selects a subject, for certain or perhaps.
type selected struct {
	rule *rule
	side *side
	m    match
}

// peerInfo is what the set makes of one kind of peer.
type peerInfo struct {
	class string
	name  string
	host  bool
	hits  []hit // by selector
}

type hit struct {
	selector int
	m        match
}

func (p *peerInfo) hit(selector int) match {
	i, ok := slices.BinarySearchFunc(p.hits, selector, func(h hit, s int) int { return h.selector - s })
	if !ok {
		return no
	}
	return p.hits[i].m
}

// Compile never fails: a policy that cannot be decoded, or that the agent would
// refuse, makes verdicts about the pods that it may select Unknown. The order of
// the policies does not matter.
func Compile(policies []snapshot.Policy, opts Options) *Set {
	c := newCompiler(opts)
	for _, i := range order(policies) {
		c.policy(&policies[i])
	}
	s := &Set{opts: opts, cluster: c.cluster, rules: c.rules, table: c.table, byNamespace: map[string][]int{},
		subjects: map[string]*subjectInfo{}, peers: map[string]*peerInfo{}}
	s.hostKey, s.initKey = c.key(sourceAny+"."+Host), c.key(sourceAny+"."+Init)
	s.table.note(selector{{key: s.hostKey}, {key: s.initKey}})
	for i, r := range c.rules {
		s.table.note(r.subject)
		s.byNamespace[r.namespace] = append(s.byNamespace[r.namespace], i)
	}
	return s
}

func order(policies []snapshot.Policy) []int {
	index := make([]int, len(policies))
	for i := range index {
		index[i] = i
	}
	slices.SortStableFunc(index, func(a, b int) int {
		p, q := &policies[a], &policies[b]
		for _, pair := range [][2]string{{p.Namespace, q.Namespace}, {p.Kind, q.Kind}, {p.Name, q.Name}, {p.Source, q.Source}} {
			if d := strings.Compare(pair[0], pair[1]); d != 0 {
				return d
			}
		}
		return 0
	})
	return index
}

// ReadsLabels lists, sorted, the pod label keys that any selector of the set
// looks at. Two pods of a namespace that agree on them are the same to the set.
func (s *Set) ReadsLabels() []string {
	return slices.Sorted(maps.Keys(s.table.reads))
}

// Class is equal for two subjects exactly when the same policies select them in
// both directions.
func (s *Set) Class(subject Subject) string { return s.subject(subject).class }

// PeerClass is equal for two peers only when every policy of the set gives them
// equal answers.
func (s *Set) PeerClass(peer Peer) string { return s.peer(peer).class }

// SelectedBy lists the sources of the policies that select the subject in the
// direction, or may do so, without repeats.
func (s *Set) SelectedBy(subject Subject, ingress bool) []string {
	var sources []string
	for _, sel := range s.subject(subject).direction(ingress) {
		if !slices.Contains(sources, sel.rule.source) {
			sources = append(sources, sel.rule.source)
		}
	}
	return sources
}

func (i *subjectInfo) direction(ingress bool) []selected {
	if ingress {
		return i.ingress
	}
	return i.egress
}

func (s *Set) subject(subject Subject) *subjectInfo {
	buf := make([]byte, 0, 128)
	buf = s.fingerprint(buf, subject.Namespace, subject.Labels)
	s.mu.RLock()
	info := s.subjects[string(buf)]
	s.mu.RUnlock()
	if info != nil {
		return info
	}
	info = s.selectSubject(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subjects) < maxCached {
		s.subjects[string(buf)] = info
	}
	return info
}

func (s *Set) selectSubject(subject Subject) *subjectInfo {
	id := s.podIdentity(subject.Namespace, subject.Labels)
	info := &subjectInfo{}
	var class []byte
	var candidates []int
	candidates = append(candidates, s.byNamespace[""]...)
	if subject.Namespace != "" {
		candidates = append(candidates, s.byNamespace[subject.Namespace]...)
	}
	slices.Sort(candidates)
	for _, i := range candidates {
		r := s.rules[i]
		m := r.subject.matches(id)
		if m == no {
			continue
		}
		class = appendHit(class, i, m)
		if r.ingress.present || r.problem != "" {
			info.ingress = append(info.ingress, selected{r, &r.ingress, m})
		}
		if r.egress.present || r.problem != "" {
			info.egress = append(info.egress, selected{r, &r.egress, m})
		}
	}
	_, host := id.label(&s.hostKey)
	_, initial := id.label(&s.initKey)
	if info.exempt = host == yes && !s.opts.HostFirewall; info.exempt {
		class = append(class, Host...)
	}
	if info.initial = initial == yes; info.initial {
		class = append(class, Init...)
	}
	info.class = string(class)
	return info
}

func appendHit(class []byte, i int, m match) []byte {
	class = strconv.AppendInt(class, int64(i), 36)
	if m == maybe {
		class = append(class, '?')
	}
	return append(class, ' ')
}

func (s *Set) peer(peer Peer) *peerInfo {
	buf := make([]byte, 0, 128)
	for _, name := range peer.Reserved {
		buf = appendText(buf, name)
	}
	buf = append(buf, 0)
	if len(peer.Reserved) > 0 || s.opts.CIDRMatchPods {
		ip, _ := peer.IP.Unmap().MarshalBinary()
		buf = append(append(buf, byte(len(ip))), ip...)
	}
	buf = s.fingerprint(buf, peer.Namespace, peer.Labels)
	s.mu.RLock()
	info := s.peers[string(buf)]
	s.mu.RUnlock()
	if info != nil {
		return info
	}
	info = s.matchPeer(s.peerIdentity(peer))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peers) < maxCached {
		s.peers[string(buf)] = info
	}
	return info
}

func (s *Set) matchPeer(id *identity) *peerInfo {
	info := &peerInfo{name: id.name(), host: slices.Contains(id.reserved, Host)}
	try := func(list []int) {
		for _, i := range list {
			if m := s.table.selectors[i].matches(id); m != no {
				info.hits = append(info.hits, hit{i, m})
			}
		}
	}
	try(s.table.general)
	if id.namespace != "" {
		try(s.table.scoped[id.namespace])
	}
	slices.SortFunc(info.hits, func(a, b hit) int { return a.selector - b.selector })
	var class []byte
	if info.host {
		class = append(class, "host "...)
	}
	for _, h := range info.hits {
		class = appendHit(class, h.selector, h.m)
	}
	info.class = string(class)
	return info
}

// fingerprint appends the namespace and the labels that any selector reads,
// each with its length, so that equal keys mean equal inputs.
func (s *Set) fingerprint(buf []byte, namespace string, labels map[string]string) []byte {
	buf = appendText(buf, namespace)
	var few [8]string
	keys := few[:0]
	for key := range labels {
		if s.table.reads[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		buf = appendText(appendText(buf, key), labels[key])
	}
	return buf
}

func appendText(buf []byte, text string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text)+1)), text...)
}

func (s *Set) podIdentity(namespace string, labels map[string]string) *identity {
	id := &identity{pod: true, namespace: namespace, cluster: s.cluster, labels: labels, singleStack: s.opts.SingleStack != ""}
	if s.opts.NamespaceLabels != nil && namespace != "" {
		id.nsLabels = s.opts.NamespaceLabels(namespace)
	}
	return id
}

func (s *Set) peerIdentity(p Peer) *identity {
	if len(p.Reserved) == 0 {
		id := s.podIdentity(p.Namespace, p.Labels)
		if id.byCIDR = s.opts.CIDRMatchPods; id.byCIDR {
			id.addr = p.IP.Unmap()
		}
		return id
	}
	id := &identity{cluster: s.cluster, labels: p.Labels, addr: p.IP.Unmap(), singleStack: s.opts.SingleStack != ""}
	for _, name := range p.Reserved {
		switch name {
		case World, worldIPv4, worldIPv6:
			id.world = true
		default:
			id.reserved = append(id.reserved, name)
		}
	}
	node := slices.Contains(id.reserved, Host) || slices.Contains(id.reserved, RemoteNode)
	id.byCIDR = id.world || (node && s.opts.CIDRMatchNodes)
	id.nodeLabels = s.opts.NodeSelectorLabels && slices.Contains(id.reserved, RemoteNode)
	return id
}
