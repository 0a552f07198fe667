package datapath

import (
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// maxDense is the number of policy classes up to which pairs of them are counted
// in a plain array.
const maxDense = 1500

// pairs counts ordered pairs of different pods by their policy classes.
type pairs struct {
	k      int
	dense  []int64
	sparse map[uint64]int64
}

func newPairs(k int) *pairs {
	if k <= maxDense {
		return &pairs{k: k, dense: make([]int64, k*k)}
	}
	return &pairs{k: k, sparse: map[uint64]int64{}}
}

func (p *pairs) add(from, to int, n int64) {
	if p.dense != nil {
		p.dense[to*p.k+from] += n
		return
	}
	p.sparse[uint64(to)<<32|uint64(from)] += n
}

// sum over the source classes, to one destination class.
func (p *pairs) sum(from []int, to int) int64 {
	var n int64
	if p == nil {
		return 0
	}
	if p.dense != nil {
		row := p.dense[to*p.k : (to+1)*p.k]
		for _, f := range from {
			n += row[f]
		}
		return n
	}
	for _, f := range from {
		n += p.sparse[uint64(to)<<32|uint64(f)]
	}
	return n
}

// pairTable holds the pairs of every two sites, index from*sites+to.
type pairTable []*pairs

func (c *census) newTable() pairTable { return make(pairTable, len(c.sites)*len(c.sites)) }

func (t pairTable) add(c *census, a, b *cell) {
	i, n := a.site*len(c.sites)+b.site, a.count*b.count
	if a.site == b.site && a.class == b.class {
		n -= a.count
	}
	if n == 0 {
		return
	}
	if t[i] == nil {
		t[i] = newPairs(len(c.classes))
	}
	t[i].add(a.class, b.class, n)
}

// onNodes counts the pairs of pods that share a node.
func (c *census) onNodes() pairTable {
	t := c.newTable()
	for _, cells := range c.cells {
		c.addPairs(t, cells)
	}
	return t
}

func (c *census) addPairs(t pairTable, cells []cell) {
	for i := range cells {
		for j := range cells {
			t.add(c, &cells[i], &cells[j])
		}
	}
}

// onLinks counts the pairs of pods whose nodes share a link, node or not; nil
// when all of them do.
func (c *census) onLinks(fi int) pairTable {
	l := &c.links[fi]
	if l.single(len(c.hosts)) {
		return nil
	}
	t, perLink := c.newTable(), make([]map[[2]int]int, l.n)
	merged := make([][]cell, l.n)
	for _, h := range c.hosts {
		link, known := l.of[h.name]
		if !known {
			c.addPairs(t, c.cells[h.index])
			continue
		}
		if perLink[link] == nil {
			perLink[link] = map[[2]int]int{}
		}
		for _, x := range c.cells[h.index] {
			key := [2]int{x.site, x.class}
			i, ok := perLink[link][key]
			if !ok {
				i = len(merged[link])
				perLink[link][key] = i
				merged[link] = append(merged[link], cell{site: x.site, class: x.class})
			}
			merged[link][i].count += x.count
		}
	}
	for _, cells := range merged {
		c.addPairs(t, cells)
	}
	return t
}

// all pairs of different pods from the source classes of one site to a class of
// another.
func (c *census) all(from, to int, sources []int, class int) int64 {
	var n int64
	for _, k := range sources {
		n += c.total[from][k]
	}
	n *= c.total[to][class]
	if from == to && containsInt(sources, class) {
		n -= c.total[to][class]
	}
	return n
}

func containsInt(list []int, v int) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// part is the source classes that a destination's policies, and their own, treat
// alike under default enforcement.
type part struct {
	code    uint8
	sources []int
}

// partition groups all source classes by what policies decide about packets to
// the class's pods. It depends on the policies alone, not on the configuration.
func (c *census) partition(class int, port policy.Port) []part {
	k := c.classing()
	key := partitionKey{class, port}
	k.mu.Lock()
	p, ok := k.partitions[key]
	k.mu.Unlock()
	if ok {
		return p
	}
	p = c.newPartition(class, port)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept += len(c.classes); k.kept <= maxKept {
		k.partitions[key] = p
	}
	return p
}

// maxKept bounds the cache of partitions, in classes.
const maxKept = 4 << 20

type partitionKey struct {
	class int
	port  policy.Port
}

func (c *census) newPartition(class int, port policy.Port) []part {
	var codes [64][]int
	d := &c.classes[class]
	fixed, varies := c.ingressCode(class, 0, port), d.guard
	peer := policy.Peer{Namespace: d.rep.Namespace, Labels: d.rep.Labels}
	for k := range c.classes {
		n := fixed
		if varies {
			n = c.ingressCode(class, k, port)
		}
		n |= c.egressCode(k, peer, port) << 3
		codes[n] = append(codes[n], k)
	}
	return parts(codes)
}

func parts(codes [64][]int) []part {
	var out []part
	for code, sources := range codes {
		if len(sources) > 0 {
			out = append(out, part{uint8(code), sources})
		}
	}
	return out
}

func (c *census) ingressCode(class, source int, port policy.Port) uint8 {
	from := c.classes[source].rep
	return code(c.base.Ingress(c.classes[class].rep, policy.Peer{Namespace: from.Namespace, Labels: from.Labels}, port))
}

func (c *census) egressCode(source int, to policy.Peer, port policy.Port) uint8 {
	if !c.classes[source].egress {
		return code(policy.Decision{Verdict: policy.Allow})
	}
	return code(c.base.Egress(c.classes[source].rep, to, port))
}

// code packs a decision into three bits.
func code(d policy.Decision) uint8 {
	n := uint8(d.Verdict)
	if d.Enforced {
		n |= 4
	}
	return n
}

// byEgress groups all source classes by their egress policies' decision on a
// destination that is no pod.
func (c *census) byEgress(peers []policy.Peer, port policy.Port) []part {
	var codes [64][]int
	for k := range c.classes {
		n := c.egressCode(k, peers[0], port)
		codes[n] = append(codes[n], k)
	}
	return parts(codes)
}

// pods in the given classes of a site.
func (c *census) podsIn(site int, classes []int) int64 {
	var n int64
	for _, k := range classes {
		n += c.total[site][k]
	}
	return n
}

// acrossCount splits a count over links in proportion that the caller counted.
type acrossCount struct{ own, link, rest int64 }

func (a acrossCount) of(r relation) int64 {
	switch {
	case r.sameNode:
		return a.own
	case r.segment == snapshot.Yes:
		return a.link
	}
	return a.rest
}
