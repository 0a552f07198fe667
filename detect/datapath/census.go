package datapath

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// census counts the cluster's pods by where they are and which policies see
// them, so that flows can be analysed in classes.
type census struct {
	*world
	g grain

	groups  []nodeGroup
	groupOf []int // by the node's index
	sites   []podSite
	siteOf  map[siteKey]int
	last    []int // site of the last pod on each node, plus one
	classes []podClass

	// cells are the pods of each node, by its index: site and class with a count.
	cells [][]cell
	// total[site][class], and up to maxReps pods on different nodes, as
	// indexes into pods, that stand for it.
	total [][]int64
	reps  map[[2]int][]int
	// links are the layer-2 links of the nodes, by family.
	links [2]links
	// lost are pods beyond maxSites.
	lost int
}

const (
	maxReps = 4
	// maxSites bounds the tables over pairs of sites.
	maxSites = 1024
)

// nodeKey is what of a node can matter to a packet.
type nodeKey struct {
	label string
	api   snapshot.Tri
	addr  [2]zone // of its first address
	extra [2]bool // it has an ExternalIP
}

type nodeGroup struct {
	key   nodeKey
	nodes []*host
}

// siteKey is where a pod is, as far as a packet can tell.
type siteKey struct {
	group   int
	pod     [2]zone // of its address
	outside [2]bool // its address is outside its node's pod CIDR
}

type podSite struct {
	key   siteKey
	name  string // in class ids
	count int64
	reps  []int // up to maxReps pods on different nodes
}

// cell is the pods of one site and class on one node; first and second of them
// are indexes into pods.
type cell struct {
	site, class   int
	count         int64
	first, second int
}

func (w *world) census(g grain) *census {
	classing := w.classing()
	c := &census{
		world: w, g: g, classes: classing.classes, groupOf: make([]int, len(w.hosts)), siteOf: map[siteKey]int{},
		cells: make([][]cell, len(w.hosts)), last: make([]int, len(w.hosts)), reps: map[[2]int][]int{},
	}
	c.groupNodes()
	for fi := range families() {
		c.links[fi] = w.findLinks(fi)
	}
	for i := range classing.pods {
		c.count(&classing.pods[i])
	}
	return c
}

func (c *census) groupNodes() {
	index := map[nodeKey]int{}
	for _, n := range c.hosts {
		key := nodeKey{label: c.g.labels[n.name], api: n.api}
		for fi := range families() {
			key.addr[fi] = c.g.zoneOf(n.first(fi))
			key.extra[fi] = len(n.external[fi]) > 0
		}
		i, ok := index[key]
		if !ok {
			i = len(c.groups)
			index[key] = i
			c.groups = append(c.groups, nodeGroup{key: key})
		}
		c.groups[i].nodes = append(c.groups[i].nodes, n)
		c.groupOf[n.index] = i
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

func (c *census) count(p *counted) {
	s, k, i := c.site(p), int(p.class), int(p.pod)
	if s < 0 {
		c.lost++
		return
	}
	c.total[s][k]++
	c.sites[s].count++
	if len(c.sites[s].reps) < maxReps {
		c.sites[s].reps = c.keep(c.sites[s].reps, i)
	}
	if c.total[s][k] <= maxLooked {
		key := [2]int{s, k}
		c.reps[key] = c.keep(c.reps[key], i)
	}
	c.cells[p.host] = addCell(c.cells[p.host], s, k, i)
}

// maxLooked is among how many pods of a class those that stand for it are sought.
const maxLooked = 512

// keep adds a pod that stands for others, one per node and not too many.
func (c *census) keep(reps []int, i int) []int {
	if len(reps) >= maxReps || slices.ContainsFunc(reps, func(r int) bool { return c.pods[r].Node == c.pods[i].Node }) {
		return reps
	}
	return append(reps, i)
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

// site of a pod, -1 when there are too many.
func (c *census) site(p *counted) int {
	key := siteKey{group: c.groupOf[p.host], outside: p.outside}
	for fi := range families() {
		key.pod[fi] = c.g.zoneOf(p.addr[fi])
	}
	if last := c.last[p.host] - 1; last >= 0 && c.sites[last].key == key {
		return last
	}
	i, ok := c.siteOf[key]
	if !ok {
		if len(c.sites) >= maxSites {
			return -1
		}
		i = len(c.sites)
		c.siteOf[key] = i
		c.sites = append(c.sites, podSite{key: key, name: c.siteName(key)})
		c.total = append(c.total, make([]int64, len(c.classes)))
	}
	c.last[p.host] = i + 1
	return i
}

// has says whether pods of the site have an address of the family.
func (c *census) has(site, fi int) bool { return c.sites[site].key.pod[fi] != zoneAbsent }

// siteName is the same under every configuration.
func (c *census) siteName(k siteKey) string {
	return fmt.Sprintf("%s pod %s %s %v", c.groupKey(k.group), c.g.zoneName(k.pod[0]), c.g.zoneName(k.pod[1]), k.outside)
}

func (c *census) groupKey(group int) string {
	k := c.groups[group].key
	return fmt.Sprintf("%s %s %s %s %v", k.label, k.api, c.g.zoneName(k.addr[0]), c.g.zoneName(k.addr[1]), k.extra)
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
