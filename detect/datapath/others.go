package datapath

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// nodeSite is the group's first node other than the given one, if there is one.
func (a *outliner) nodeSite(group int, not *node) site {
	nodes := a.groups[group].nodes
	n := nodes[0]
	if n == not.host && len(nodes) > 1 {
		n = nodes[1]
	}
	s := site{kind: EndNode, node: &a.m.nodes[n.index], name: n.name, addr: n.first(a.fi)}
	s.role = n.roleOf(s.addr, a.fi)
	return s
}

// count3Nodes counts pairs of a pod in the given classes of a site and a node of
// a group: on one node, on one link, and the rest.
func (a *outliner) count3Nodes(site, group int, classes []int) acrossCount {
	pods, nodes := a.podsIn(site, classes), int64(len(a.groups[group].nodes))
	out := acrossCount{}
	if a.sites[site].key.group == group {
		out.own = pods
	}
	out.link = pods*nodes - out.own
	if a.onLink == nil {
		return out
	}
	out.link = a.sharedLinks(site, group, classes) - out.own
	out.rest = pods*nodes - out.own - out.link
	return out
}

// sharedLinks counts the pairs of a pod and a node of the group that share a link.
func (a *outliner) sharedLinks(site, group int, classes []int) int64 {
	key := [2]int{site, group}
	byClass, ok := a.shared[key]
	if !ok {
		byClass = a.sharedByClass(site, group)
		a.shared[key] = byClass
	}
	var n int64
	for _, k := range classes {
		n += byClass[k]
	}
	return n
}

func (a *outliner) sharedByClass(site, group int) []int64 {
	links, nodes := &a.links[a.fi], map[int]int64{}
	for _, n := range a.groups[group].nodes {
		if link, ok := links.of[n.name]; ok {
			nodes[link]++
		}
	}
	own := a.sites[site].key.group
	byClass := make([]int64, len(a.classes))
	for _, n := range a.groups[own].nodes {
		link, known := links.of[n.name]
		peers := nodes[link]
		if !known {
			peers = 0
			if own == group {
				peers = 1
			}
		}
		for _, c := range a.cells[n.index] {
			if c.site == site {
				byClass[c.class] += c.count * peers
			}
		}
	}
	return byClass
}

func (a *outliner) podsToNodes() {
	for from := range a.sites {
		for group := range a.groups {
			if !a.has(from, a.fi) || !a.spend(len(a.classes)) {
				continue
			}
			for _, r := range a.relations() {
				a.podsToGroup(from, group, r)
			}
		}
	}
}

func (a *outliner) podsToGroup(from, group int, r relation) {
	src := a.podSite(a.sites[from].reps[0])
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, src: src, sameNode: r.sameNode, segment: r.segment}
	w.dst = a.nodeSite(group, src.node)
	if r.sameNode {
		w.dst.node, w.dst.addr = src.node, src.node.first(a.fi)
		w.dst.role, w.dst.name = src.node.roleOf(w.dst.addr, a.fi), src.node.name
	}
	l := a.addWay(w)
	for _, p := range a.byEgress(w.destinationPeers(), anyPort(a.fi)) {
		n := a.count3Nodes(from, group, p.sources).of(r)
		if n <= 0 {
			continue
		}
		a.add(spec{way: l, from: p.sources[0], to: anyClass, port: anyPort(a.fi), Class: Class{
			Kind: KindPodNode, Relation: r.name, Protocol: "TCP", Count: n,
			From: a.exampleOf(from, p.sources), To: w.dst.end(),
			FromNodes: a.words(a.sites[from].key.group), ToNodes: a.words(group),
		}}, a.sites[from].name, a.groupKey(group), strconv.Itoa(int(p.code)))
	}
}

// exampleOf is a pod of the site and of one of the classes.
func (a *outliner) exampleOf(site int, classes []int) End {
	for _, k := range classes {
		if reps := a.reps[[2]int{site, k}]; len(reps) > 0 {
			return a.podSite(reps[0]).end()
		}
	}
	return a.podSite(a.sites[site].reps[0]).end()
}

func (a *outliner) nodesToPods() {
	for to := range a.sites {
		for group := range a.groups {
			for _, r := range a.relations() {
				if a.has(to, a.fi) && a.spend(len(a.classes)) {
					a.groupToPods(group, to, r)
				}
			}
		}
	}
}

func (a *outliner) groupToPods(group, to int, r relation) {
	dst := a.podSite(a.sites[to].reps[0])
	w := &walk{m: a.m, f: a.flow(anyPort(a.fi)), fi: a.fi, dst: dst, sameNode: r.sameNode, segment: r.segment}
	w.src = a.nodeSite(group, dst.node)
	if r.sameNode {
		w.src = site{kind: EndNode, node: dst.node, name: dst.node.name, addr: dst.node.first(a.fi), role: roleInternal}
	}
	l := a.addWay(w)
	for d := range a.classes {
		n := a.count3Nodes(to, group, []int{d}).of(r)
		if n <= 0 {
			continue
		}
		for _, port := range a.portsOf(d) {
			a.add(spec{way: l, from: anyClass, to: d, port: port, Class: Class{
				Kind: KindNodePod, Relation: r.name, Protocol: port.Protocol, Port: port.Number, Count: n,
				From: w.src.end(), To: a.exampleOf(to, []int{d}),
				FromNodes: a.words(group), ToNodes: a.words(a.sites[to].key.group),
			}}, a.groupKey(group), a.sites[to].name, a.classes[d].key.subject, a.classes[d].key.peer)
		}
	}
}

// backend is what the services of one class lead to.
type backend struct {
	site, class int
	services    int64
	name        *snapshot.Service // the first by name
	pod         int               // behind it
	port        policy.Port
}

// backends groups the services that have a ClusterIP of the family by where
// their first endpoint is. Services without a pod behind them are left out.
func (a *outliner) backends() []backend {
	pods := a.endpointPods()
	index, out := map[[2]int]int{}, []backend(nil)
	for _, svc := range a.sortedServices() {
		pod, ok := firstEndpoint(svc, pods, a.fi)
		if !ok {
			continue
		}
		key, ok := a.placeOf(pod)
		if !ok {
			continue
		}
		i, seen := index[key]
		if !seen {
			i = len(out)
			index[key] = i
			out = append(out, backend{site: key[0], class: key[1], name: svc, pod: pod, port: a.portOf(svc, key[1])})
		}
		out[i].services++
	}
	return out
}

// placeOf is the site and class of a pod that is analysed.
func (a *outliner) placeOf(pod int) ([2]int, bool) {
	class := a.classing().of[pod]
	if class < 0 {
		return [2]int{}, false
	}
	p := a.counted(pod, class)
	site := a.site(&p)
	return [2]int{site, int(class)}, site >= 0
}

// portOf is the service's first target port when the backend's policies name it.
func (a *outliner) portOf(svc *snapshot.Service, class int) policy.Port {
	ports := a.portsOf(class)
	for _, sp := range svc.Ports {
		for _, p := range ports {
			if p.Number == sp.TargetPort && p.Protocol == sp.Protocol {
				return p
			}
		}
	}
	return ports[0]
}

func (a *outliner) sortedServices() []*snapshot.Service {
	var out []*snapshot.Service
	for i := range a.in.Snapshot.Services {
		svc := &a.in.Snapshot.Services[i]
		if slices.ContainsFunc(svc.ClusterIPs, func(ip netip.Addr) bool { return ip.IsValid() && ip.Unmap().Is4() == (a.fi == 0) }) {
			out = append(out, svc)
		}
	}
	slices.SortFunc(out, func(x, y *snapshot.Service) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return out
}

// endpointPods maps the addresses of services' endpoints to pods.
func (a *outliner) endpointPods() map[netip.Addr]int {
	out := map[netip.Addr]int{}
	for i := range a.in.Snapshot.Services {
		for _, ip := range a.in.Snapshot.Services[i].Endpoints {
			out[ip.Unmap()] = -1
		}
	}
	if len(out) == 0 {
		return out
	}
	for i := range a.pods {
		p := &a.pods[i]
		for _, ip := range p.IPs {
			if _, wanted := out[ip.Unmap()]; wanted && !p.HostNetwork && p.Node != "" {
				out[ip.Unmap()] = i
			}
		}
	}
	return out
}

func firstEndpoint(svc *snapshot.Service, pods map[netip.Addr]int, fi int) (int, bool) {
	best, found := netip.Addr{}, -1
	for _, ip := range svc.Endpoints {
		ip = ip.Unmap()
		if pod, ok := pods[ip]; ok && pod >= 0 && ip.Is4() == (fi == 0) && (found < 0 || ip.Less(best)) {
			best, found = ip, pod
		}
	}
	return found, found >= 0
}

// podsToServices makes classes from every site to the services of every backend
// class, on another node: a service's local backends are as pods of one node are.
func (a *outliner) podsToServices() {
	for _, b := range a.backends() {
		if !a.spend(len(a.classes)) {
			return
		}
		parts := a.partition(b.class, b.port)
		for from := range a.sites {
			for _, r := range a.links[a.fi].across(len(a.hosts)) {
				if a.has(from, a.fi) && a.spend(len(a.classes)) {
					a.serviceClasses(from, b, parts, r)
				}
			}
		}
	}
}

// clientOf is a pod of the site and classes on another node than the backend.
func (a *outliner) clientOf(site int, classes []int, backend int, other End) End {
	for _, k := range classes {
		for _, x := range a.reps[[2]int{site, k}] {
			if a.pods[x].Node != a.pods[backend].Node {
				return a.podSite(x).end()
			}
		}
	}
	return other
}

func (a *outliner) serviceClasses(from int, b backend, parts []part, r relation) {
	for _, p := range parts {
		if a.count3(from, b.site, b.class, p.sources).of(r) <= 0 {
			continue
		}
		c := spec{Class: a.podClassOf(from, b.site, b.class, p.sources, r), way: a.leg(from, b.site, r), from: p.sources[0], to: b.class, port: b.port}
		c.From, c.To = a.clientOf(from, p.sources, b.pod, c.From), a.podSite(b.pod).end()
		to := c.To
		c.To = End{Kind: EndService, Namespace: b.name.Namespace, Name: b.name.Name, Backend: &to}
		c.Kind, c.Relation, c.Protocol, c.Port = KindPodService, r.name, b.port.Protocol, b.port.Number
		c.Count = a.podsIn(from, p.sources) * b.services
		a.add(c, a.sites[from].name, a.sites[b.site].name, a.classes[b.class].key.subject, a.classes[b.class].key.peer, strconv.Itoa(int(p.code)))
	}
}
