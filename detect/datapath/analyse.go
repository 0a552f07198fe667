package datapath

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Kinds of flow classes.
const (
	KindPodPod     = "pod to pod"
	KindPodService = "pod to service"
	KindPodNode    = "pod to node"
	KindNodePod    = "node to pod"
	KindPodOutside = "pod to outside"
)

// maxClasses and maxPairWork bound an analysis of a hostile or very mixed
// snapshot: classes kept, and pairs of policy classes looked at.
const (
	maxClasses  = 200_000
	maxPairWork = 400_000_000
)

// Class is a set of flows that one configuration treats alike, whichever it is,
// with one flow of it walked.
type Class struct {
	// ID is the same in two analyses of one snapshot under two configurations.
	ID   string
	Kind string
	// From and To are one flow's ends, which stand for all.
	From, To End
	// FromNodes and ToNodes describe the nodes that the ends are on.
	FromNodes, ToNodes string
	// Relation of the two nodes: "same node", "same segment", "other segment",
	// "other node" (whether they share a segment is not known), or "outside".
	Relation         string
	Family, Protocol string
	// Port is 0 for a port that no policy names.
	Port int
	// Destination names an outside destination, a host or a range.
	Destination string
	// Hypothetical: no such host is known; the class only shows masquerading and
	// is counted neither as fixed nor as broken.
	Hypothetical bool
	// Count of flows: pod pairs, pods times nodes, pods times services.
	Count  int64
	Result Result
}

// Analysis is all classes of flows of one snapshot under one configuration.
type Analysis struct {
	// Classes in the order of their IDs.
	Classes []Class
	// Assumed: the snapshot has no pods, and assumed ones were analysed.
	Assumed bool
	// Notes say what was left out.
	Notes []string

	model *Model
	grain grain
}

// Analyse walks one flow of every class. Its cost grows with nodes and pods
// linearly, and with the square of the number of policy classes.
func (m *Model) Analyse() Analysis { return m.analyse(m.grain()) }

func (m *Model) analyse(g grain) Analysis {
	a := &analysis{census: m.census(g), out: Analysis{model: m, grain: g}}
	a.out.Assumed = a.assumed
	if g.dropped > 0 {
		a.note("%d ranges beyond %d were not told apart", g.dropped, maxRanges)
	}
	a.ports = m.policyPorts()
	a.onNode = a.onNodes()
	for fi := range families() {
		if !a.exists(fi) {
			continue
		}
		a.fi, a.onLink, a.legs, a.shared = fi, a.onLinks(fi), map[legKey]leg{}, map[[2]int][]int64{}
		a.podsToPods()
		a.podsToServices()
		a.podsToNodes()
		a.nodesToPods()
		a.podsToOutside()
	}
	slices.SortFunc(a.out.Classes, func(x, y Class) int { return cmp.Compare(x.ID, y.ID) })
	return a.out
}

// analysis is one in the making.
type analysis struct {
	*census
	out    Analysis
	fi     int
	ports  map[string][]policy.Port
	onNode pairTable
	onLink pairTable // nil when all nodes share a link
	legs   map[legKey]leg
	shared map[[2]int][]int64 // by site and node group
	work   int
	full   bool
}

func (a *analysis) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(a.out.Notes, note) {
		a.out.Notes = append(a.out.Notes, note)
	}
}

// exists says whether any pod has an address of the family.
func (a *analysis) exists(fi int) bool {
	return slices.ContainsFunc(a.sites, func(s podSite) bool { return s.key.pod[fi] != rangeAbsent })
}

// spend says whether there is work left for n more steps.
func (a *analysis) spend(n int) bool {
	if a.work += n; a.work > maxPairWork || len(a.out.Classes) >= maxClasses {
		a.full = true
		a.note("the snapshot has more classes of flows than are analysed: %d sites, %d policy classes", len(a.sites), len(a.classes))
	}
	return !a.full
}

// add finishes a class and keeps it.
func (a *analysis) add(c Class, key ...string) {
	if c.Count <= 0 {
		return
	}
	c.Family = families()[a.fi]
	c.ID = id(strings.ReplaceAll(c.Kind, " ", "-"), c.Family, c.Relation, append(key, c.Protocol, strconv.Itoa(c.Port))...)
	a.out.Classes = append(a.out.Classes, c)
}

func anyPort(fi int) policy.Port {
	return policy.Port{Protocol: "TCP", Family: families()[fi], ICMPType: -1}
}

func (a *analysis) flow(port policy.Port) Flow {
	return Flow{Family: families()[a.fi], Protocol: port.Protocol, Port: port.Number}
}

func (a *analysis) podSite(pod int) site {
	p := &a.pods[pod]
	s := site{kind: EndPod, node: a.m.nodes[p.Node], namespace: p.Namespace, name: p.Name, labels: p.Labels}
	for _, ip := range p.IPs {
		if ip.IsValid() && ip.Unmap().Is4() == (a.fi == 0) {
			s.addr = ip.Unmap()
			break
		}
	}
	return s
}

// apartPods picks a pod of each list, on different nodes when there are such.
func (a *analysis) apartPods(from, to []int) (int, int) {
	for _, x := range from {
		for _, y := range to {
			if a.pods[x].Node != a.pods[y].Node {
				return x, y
			}
		}
	}
	return from[0], to[0]
}

// leg walks from one site to another; what matters of them is the same for all
// their pods.
func (a *analysis) leg(from, to int, r relation) leg {
	key := legKey{from, to, r.name}
	l, ok := a.legs[key]
	if !ok {
		l = a.podLeg(from, to, r)
		a.legs[key] = l
	}
	return l
}

func (a *analysis) podLeg(from, to int, r relation) leg {
	x, y := a.apartPods(a.sites[from].reps, a.sites[to].reps)
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, src: a.podSite(x), dst: a.podSite(y), sameNode: r.sameNode, segment: r.segment}
	if r.sameNode {
		w.dst.node = w.src.node
	}
	return w.result()
}

// result is the leg, also where the family is switched off.
func (w *walk) result() leg {
	if why := w.familyOff(); why != "" {
		none := way{route: routeNone, carried: snapshot.No, why: why}
		return leg{walk: *w, out: none, back: none, masq: keep(why, ""), size: fit{ok: snapshot.Yes}}
	}
	return w.carry()
}

// judged settles a leg between two policy classes.
func (a *analysis) judged(l leg, from, to *podClass, port policy.Port) Result {
	w := &l.walk
	w.f = a.flow(port)
	egress, ingress := policy.Decision{Verdict: policy.Allow}, policy.Decision{Verdict: policy.Allow}
	if from != nil {
		w.src.namespace, w.src.labels = from.rep.Namespace, from.rep.Labels
		l.peers = slices.Clone(l.peers)
		for i := range l.peers {
			if len(l.peers[i].Reserved) == 0 {
				l.peers[i] = w.src.podPeer()
			}
		}
	}
	if to != nil {
		w.dst.namespace, w.dst.labels = to.rep.Namespace, to.rep.Labels
		ingress = l.ingress()
	}
	if from != nil {
		egress = w.egress()
	}
	return l.settle(egress, ingress)
}

// podsToPods makes the classes between every two sites.
func (a *analysis) podsToPods() {
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

func (a *analysis) podPairs(from, to, d int, port policy.Port, parts []part) {
	for _, p := range parts {
		count := a.count3(from, to, d, p.sources)
		for _, r := range a.relations() {
			n := count.of(r)
			if n <= 0 {
				continue
			}
			c := a.podClassOf(from, to, d, p.sources, r)
			c.Kind, c.Relation, c.Count, c.Protocol, c.Port = KindPodPod, r.name, n, port.Protocol, port.Number
			src := &a.classes[p.sources[0]]
			c.Result = a.judged(a.leg(from, to, r), src, &a.classes[d], port)
			a.add(c, a.sites[from].name, a.sites[to].name, a.classes[d].key.subject, a.classes[d].key.peer, strconv.Itoa(int(p.code)))
		}
	}
}

func (a *analysis) relations() []relation {
	return append([]relation{ownNode()}, a.links[a.fi].across(len(a.m.names))...)
}

// count3 counts pairs on one node, on one link but two nodes, and the rest.
func (a *analysis) count3(from, to, d int, sources []int) acrossCount {
	i := from*len(a.sites) + to
	all, own := a.all(from, to, sources, d), a.onNode[i].sum(sources, d)
	link := all
	if a.onLink != nil {
		link = a.onLink[i].sum(sources, d)
	}
	return acrossCount{own: own, link: link - own, rest: all - link}
}
