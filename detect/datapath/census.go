package datapath

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// census counts the cluster's pods by where they are and which policies see
// them, so that flows can be analysed in classes.
type census struct {
	m       *Model
	g       grain
	assumed bool

	groups  []nodeGroup
	groupOf map[string]int // by node name
	sites   []podSite
	siteOf  map[siteKey]int
	classes []podClass
	classOf map[classKey]int

	pods []snapshot.Pod
	// cells are the pods of each node: site and class with a count.
	cells map[string][]cell
	// total[site][class], and up to maxReps pods on different nodes, as
	// indexes into pods, that stand for it.
	total [][]int64
	reps  map[[2]int][]int
	// links are the layer-2 links of the nodes, by family.
	links [2]links
}

const maxReps = 4

// nodeKey is what of a node can matter to a packet.
type nodeKey struct {
	label string
	api   snapshot.Tri
	addr  [2]int8 // range of its first address
	extra [2]bool // it has an ExternalIP
}

type nodeGroup struct {
	key   nodeKey
	nodes []*node
}

// siteKey is where a pod is, as far as a packet can tell.
type siteKey struct {
	group   int
	pod     [2]int8 // range of its address
	outside [2]bool // its address is outside its node's pod CIDR
}

type podSite struct {
	key   siteKey
	name  string // in class ids
	count int64
	reps  []int // up to maxReps pods on different nodes
}

type classKey struct{ subject, peer string }

type podClass struct {
	key    classKey
	rep    policy.Subject
	egress bool // some policy selects it for egress
	guard  bool // some policy selects it for ingress
}

// cell is the pods of one site and class on one node; first and second of them
// are indexes into pods.
type cell struct {
	site, class   int
	count         int64
	first, second int
}

func (m *Model) census(g grain) *census {
	c := &census{
		m: m, g: g, pods: m.pods, assumed: m.assumed, groupOf: map[string]int{}, siteOf: map[siteKey]int{}, classOf: map[classKey]int{},
		cells: map[string][]cell{}, reps: map[[2]int][]int{},
	}
	c.groupNodes()
	for fi := range families() {
		c.links[fi] = m.findLinks(fi)
	}
	for _, i := range m.order {
		c.count(i)
	}
	for s := range c.sites {
		c.total[s] = grow(c.total[s], len(c.classes))
	}
	return c
}

func (c *census) groupNodes() {
	index := map[nodeKey]int{}
	for _, name := range c.m.names {
		n := c.m.nodes[name]
		key := nodeKey{label: c.g.labels[name], api: n.api}
		for fi := range families() {
			key.addr[fi] = c.g.rangeOf(n.first(fi))
			key.extra[fi] = len(n.external[fi]) > 0
		}
		i, ok := index[key]
		if !ok {
			i = len(c.groups)
			index[key] = i
			c.groups = append(c.groups, nodeGroup{key: key})
		}
		c.groups[i].nodes = append(c.groups[i].nodes, n)
		c.groupOf[name] = i
	}
}

// podOrder is by namespace and name, so that representatives do not depend on
// the order in which the snapshot was read.
func podOrder(pods []snapshot.Pod) []int {
	order := make([]int, len(pods))
	for i := range order {
		order[i] = i
	}
	compare := func(a, b int) int {
		p, q := &pods[a], &pods[b]
		if n := strings.Compare(p.Namespace, q.Namespace); n != 0 {
			return n
		}
		if n := strings.Compare(p.Name, q.Name); n != 0 {
			return n
		}
		return cmp.Or(strings.Compare(p.Node, q.Node), a-b)
	}
	if !slices.IsSortedFunc(order, compare) {
		slices.SortFunc(order, compare)
	}
	return order
}

func (c *census) count(i int) {
	p := &c.pods[i]
	if p.HostNetwork || p.Node == "" || len(p.IPs) == 0 {
		return
	}
	s, k := c.site(p), c.class(p)
	c.total[s] = grow(c.total[s], len(c.classes))
	c.total[s][k]++
	c.sites[s].count++
	c.sites[s].reps = c.keep(c.sites[s].reps, i)
	key := [2]int{s, k}
	if reps := c.reps[key]; len(reps) < maxReps {
		c.reps[key] = c.keep(reps, i)
	}
	c.cells[p.Node] = addCell(c.cells[p.Node], s, k, i)
}

// keep adds a pod that stands for others, one per node and not too many.
func (c *census) keep(reps []int, i int) []int {
	if len(reps) >= maxReps || slices.ContainsFunc(reps, func(r int) bool { return c.pods[r].Node == c.pods[i].Node }) {
		return reps
	}
	return append(reps, i)
}

func grow(row []int64, n int) []int64 {
	for len(row) < n {
		row = append(row, 0)
	}
	return row
}

func addCell(cells []cell, site, class, pod int) []cell {
	for i := range cells {
		if c := &cells[i]; c.site == site && c.class == class {
			if c.count++; c.count == 2 {
				c.second = pod
			}
			return cells
		}
	}
	return append(cells, cell{site, class, 1, pod, pod})
}

func (c *census) site(p *snapshot.Pod) int {
	n := c.m.nodes[p.Node]
	key := siteKey{group: c.groupOf[p.Node], pod: [2]int8{rangeAbsent, rangeAbsent}}
	for _, a := range p.IPs {
		fi := familyIndex(cidr.Family(a))
		if key.pod[fi] != rangeAbsent || !a.IsValid() {
			continue
		}
		key.pod[fi] = c.g.rangeOf(a.Unmap())
		key.outside[fi] = len(n.alloc[fi]) > 0 && !cidr.InAny(a.Unmap(), n.alloc[fi])
	}
	if i, ok := c.siteOf[key]; ok {
		return i
	}
	c.siteOf[key] = len(c.sites)
	c.sites = append(c.sites, podSite{key: key, name: c.siteName(key)})
	c.total = append(c.total, nil)
	return len(c.sites) - 1
}

func (c *census) class(p *snapshot.Pod) int {
	subject := policy.Subject{Namespace: p.Namespace, Labels: p.Labels}
	key := classKey{
		subject: c.m.base.Class(subject),
		peer:    c.m.base.PeerClass(policy.Peer{Namespace: p.Namespace, Labels: p.Labels}),
	}
	if i, ok := c.classOf[key]; ok {
		return i
	}
	c.classOf[key] = len(c.classes)
	c.classes = append(c.classes, podClass{
		key: key, rep: subject,
		egress: len(c.m.base.SelectedBy(subject, false)) > 0,
		guard:  len(c.m.base.SelectedBy(subject, true)) > 0,
	})
	return len(c.classes) - 1
}

// has says whether pods of the site have an address of the family.
func (c *census) has(site, fi int) bool { return c.sites[site].key.pod[fi] != rangeAbsent }

// siteName is the same under every configuration.
func (c *census) siteName(k siteKey) string {
	return fmt.Sprintf("%s pod %s %s %v", c.groupKey(k.group), c.g.rangeWords(k.pod[0]), c.g.rangeWords(k.pod[1]), k.outside)
}

func (c *census) groupKey(group int) string {
	k := c.groups[group].key
	return fmt.Sprintf("%s %s %s %s %v", k.label, k.api, c.g.rangeWords(k.addr[0]), c.g.rangeWords(k.addr[1]), k.extra)
}

// words describe a node group to a reader.
func (c *census) words(group int) string {
	g := &c.groups[group]
	what := "node"
	if len(g.nodes) != 1 {
		what += "s"
	}
	if g.key.api == snapshot.Yes {
		what = "API server " + what
	}
	return fmt.Sprintf("%d %s", len(g.nodes), what)
}
