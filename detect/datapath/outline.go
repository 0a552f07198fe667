package datapath

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/detect/policy"
)

// outline is the classes of flows of a snapshot at one grain, and the ways to
// walk for them. It is the same under every configuration.
type outline struct {
	specs   []spec // in the order of their IDs
	ways    []walk
	classes []podClass
	notes   []string
}

// anyClass stands for an end that has no policy class, being no pod.
const anyClass = -1

// spec is a class with all but its result.
type spec struct {
	Class
	way      int // into ways
	from, to int // policy classes, or anyClass
	port     policy.Port
}

// outliner makes an outline.
type outliner struct {
	*census
	m      *Model
	out    *outline
	fi     int
	onNode pairTable
	onLink pairTable // nil when all nodes share a link
	legs   map[legKey]int
	shared map[[2]int][]int64 // by site and node group
	work   int
	full   bool
}

type legKey struct {
	from, to int
	relation string
}

func (m *Model) newOutline(g grain) *outline {
	a := &outliner{census: m.census(g), m: m, out: &outline{}}
	a.out.classes = a.classes
	if g.dropped > 0 {
		a.note("%d ranges beyond %d were not told apart", g.dropped, maxSets)
	}
	if a.lost > 0 {
		a.note("%d pods were left out: they are in more than %d kinds of places", a.lost, maxSites)
	}
	a.onNode = a.onNodes()
	for fi := range families() {
		if !a.exists(fi) {
			continue
		}
		a.fi, a.onLink, a.legs, a.shared = fi, a.onLinks(fi), map[legKey]int{}, map[[2]int][]int64{}
		a.podsToPods()
		a.podsToServices()
		a.podsToNodes()
		a.nodesToPods()
		a.podsToOutside()
	}
	slices.SortFunc(a.out.specs, func(x, y spec) int { return cmp.Compare(x.ID, y.ID) })
	return a.out
}

func (a *outliner) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(a.out.notes, note) {
		a.out.notes = append(a.out.notes, note)
	}
}

// exists says whether any pod has an address of the family.
func (a *outliner) exists(fi int) bool {
	return slices.ContainsFunc(a.sites, func(s podSite) bool { return s.key.pod[fi] != zoneAbsent })
}

// spend says whether there is work left for n more steps.
func (a *outliner) spend(n int) bool {
	if a.work += n; a.work > maxPairWork || len(a.out.specs) >= maxClasses {
		a.full = true
		a.note("the snapshot has more classes of flows than are analysed: %d sites, %d policy classes", len(a.sites), len(a.classes))
	}
	return !a.full
}

// add finishes a class and keeps it.
func (a *outliner) add(s spec, key ...string) {
	if s.Count <= 0 {
		return
	}
	s.Family = families()[a.fi]
	s.ID = id(strings.ReplaceAll(s.Kind, " ", "-"), s.Family, s.Relation, append(key, s.Protocol, strconv.Itoa(s.Port))...)
	a.out.specs = append(a.out.specs, s)
}

func (a *outliner) addWay(w *walk) int {
	a.out.ways = append(a.out.ways, *w)
	return len(a.out.ways) - 1
}

func anyPort(fi int) policy.Port {
	return policy.Port{Protocol: "TCP", Family: families()[fi], ICMPType: -1}
}

func (a *outliner) flow(port policy.Port) Flow {
	return Flow{Family: families()[a.fi], Protocol: port.Protocol, Port: port.Number}
}

func (a *outliner) podSite(pod int) site {
	p := &a.pods[pod]
	s := site{kind: EndPod, node: a.m.node(p.Node), namespace: p.Namespace, name: p.Name, labels: p.Labels}
	for _, ip := range p.IPs {
		if ip.IsValid() && ip.Unmap().Is4() == (a.fi == 0) {
			s.addr = ip.Unmap()
			break
		}
	}
	return s
}

// apartPods picks a pod of each list, on different nodes when there are such.
func (a *outliner) apartPods(from, to []int) (int, int) {
	for _, x := range from {
		for _, y := range to {
			if a.pods[x].Node != a.pods[y].Node {
				return x, y
			}
		}
	}
	return from[0], to[0]
}

// leg is the way from one site to another; what matters of it is the same for
// all their pods.
func (a *outliner) leg(from, to int, r relation) int {
	key := legKey{from, to, r.name}
	l, ok := a.legs[key]
	if !ok {
		l = a.podLeg(from, to, r)
		a.legs[key] = l
	}
	return l
}

func (a *outliner) podLeg(from, to int, r relation) int {
	x, y := a.apartPods(a.sites[from].reps, a.sites[to].reps)
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, src: a.podSite(x), dst: a.podSite(y), sameNode: r.sameNode, segment: r.segment}
	if r.sameNode {
		w.dst.node = w.src.node
	}
	return a.addWay(w)
}

// podsToPods makes the classes between every two sites.
func (a *outliner) podsToPods() {
	for d := range a.classes {
		for _, port := range a.portsOf(d) {
			if !a.spend(len(a.classes)) {
				return
			}
			parts := a.partition(d, port)
			for from := range a.sites {
				for to := range a.sites {
					if a.has(from, a.fi) && a.has(to, a.fi) && a.total[to][d] > 0 && a.spend(len(a.classes)) {
						a.podPairs(from, to, d, port, parts)
					}
				}
			}
		}
	}
}

func (a *outliner) podPairs(from, to, d int, port policy.Port, parts []part) {
	for _, p := range parts {
		count := a.count3(from, to, d, p.sources)
		for _, r := range a.relations() {
			n := count.of(r)
			if n <= 0 {
				continue
			}
			c := spec{Class: a.podClassOf(from, to, d, p.sources, r), way: a.leg(from, to, r), from: p.sources[0], to: d, port: port}
			c.Kind, c.Relation, c.Count, c.Protocol, c.Port = KindPodPod, r.name, n, port.Protocol, port.Number
			a.add(c, a.sites[from].name, a.sites[to].name, a.classes[d].key.subject, a.classes[d].key.peer, strconv.Itoa(int(p.code)))
		}
	}
}

func (a *outliner) relations() []relation {
	return append([]relation{ownNode()}, a.links[a.fi].across(len(a.hosts))...)
}

// count3 counts pairs on one node, on one link but two nodes, and the rest.
func (a *outliner) count3(from, to, d int, sources []int) acrossCount {
	i := from*len(a.sites) + to
	all, own := a.all(from, to, sources, d), a.onNode[i].sum(sources, d)
	link := all
	if a.onLink != nil {
		link = a.onLink[i].sum(sources, d)
	}
	return acrossCount{own: own, link: link - own, rest: all - link}
}
