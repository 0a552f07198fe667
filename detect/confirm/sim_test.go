package confirm_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// step of the simulation's clock: the least time between two exchanges of a probe.
const step = 50 * time.Millisecond

// hop is an exchange as a fault sees it. Nodes are numbers; to is -1 outside of
// the cluster's nodes.
type hop struct {
	from, to              int
	via, family, protocol string
	target, ip            string
	host                  bool
	big                   bool
}

func (h hop) between(a, b int) bool { return h.from == a && h.to == b || h.from == b && h.to == a }
func (h hop) touches(n int) bool    { return h.from == n || h.to == n }
func (h hop) cross() bool           { return h.to >= 0 && h.from != h.to }

// pods: at least the target is a pod.
func (h hop) pods() bool { return h.via != mesh.ViaNodeIP }

// effect is what a fault does to an exchange.
type effect struct {
	outcome string // empty: it is answered
	masked  bool
	arrived bool // the request, if it was a datagram; with TCP nobody gets to ask
	why     string
	starved bool
}

// fault says what becomes of an exchange at a time since it began.
type fault func(w *world, at time.Duration, h hop) effect

// world is a virtual cluster with the real mesh and probes that behave as the
// agent of detect/probe does.
type world struct {
	rng      *rand.Rand
	start    time.Time
	now      time.Time
	nodes    []*simNode
	fault    fault
	began    time.Time // of the fault; zero while there is none
	zones    int
	twins    bool
	tracker  *confirm.Tracker
	members  mesh.Membership
	heard    func(node int, at time.Duration) bool
	skew     map[int]time.Duration
	lie      func(w *world, node int, o *v1alpha1.Observation)
	exchange int
	arrivals map[arrival]time.Time
}

// arrival is of requests of a node at another.
type arrival struct {
	from, to int
	family   string
}

// hear has the target note a request that arrived, and the prober tell when it last
// heard of a node that it lost.
func (w *world) hear(o *v1alpha1.Observation, h hop, e effect) {
	if w.arrivals == nil {
		w.arrivals = map[arrival]time.Time{}
	}
	if h.target == v1alpha1.TargetOpen && (e.outcome == "" || e.arrived && h.protocol == mesh.UDP) {
		w.arrivals[arrival{h.from, h.to, h.family}] = w.now
	}
	at, ok := w.arrivals[arrival{h.to, h.from, h.family}]
	if o.Outcome != v1alpha1.OutcomeOK && ok && w.now.Sub(at) < time.Minute {
		o.Heard = at.Add(w.skew[h.from]).UTC().Format(time.RFC3339Nano)
	}
}

type simNode struct {
	w        *world
	at       int
	name     string
	plans    []*prober // the pod's, and the host twin's
	nextBeat time.Time
	full     int
}

type prober struct {
	node      *simNode
	self      mesh.Self
	plan      *mesh.Plan
	slot      int64
	lastStart time.Time
	phase     time.Duration
	bursts    mesh.Bursts
	wrong     map[mesh.Check]v1alpha1.Observation
	flying    []result
	tally     map[confirm.Count]*confirm.Count
}

type result struct {
	check mesh.Check
	o     v1alpha1.Observation
	ends  time.Time
}

func newWorld(n int, seed uint64, zones int, twins bool) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, uint64(n))), zones: zones, twins: twins, tracker: &confirm.Tracker{}}
	w.start = time.Date(2026, 2, 12, 10, 0, int(seed%60), int(seed%1000)*1e6, time.UTC)
	w.now = w.start
	for i := range n {
		w.nodes = append(w.nodes, &simNode{w: w, at: i, name: fmt.Sprintf("node-%02d", i)})
	}
	w.join(func(int) bool { return true })
	return w
}

func addr(kind byte, family string, node, pod int) netip.Addr {
	if family == "IPv4" {
		return netip.AddrFrom4([4]byte{10, kind<<4 | byte(node>>8), byte(node), byte(pod)})
	}
	return netip.AddrFrom16([16]byte{0xfd, 0, 1, 1, 0, kind, byte(node >> 8), byte(node), 15: byte(pod)})
}

func both(kind byte, node, pod int) []netip.Addr {
	return []netip.Addr{addr(kind, "IPv6", node, pod), addr(kind, "IPv4", node, pod)}
}

const (
	podKind  = 1
	nodeKind = 2
	svcKind  = 3
)

func (w *world) member(i int) mesh.Member {
	m := mesh.Member{
		Node: w.nodes[i].name, NodeIPs: both(nodeKind, i, 1),
		Open:    &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("probe-%d", i), IPs: both(podKind, i, 1)},
		Guarded: &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("guard-%d", i), IPs: both(podKind, i, 2)},
	}
	if w.zones > 0 {
		m.Zone = fmt.Sprintf("zone-%d", i%w.zones)
	}
	if w.twins {
		m.Host = &mesh.Target{Namespace: "remediate-probe-host", Pod: fmt.Sprintf("host-%d", i), IPs: m.NodeIPs}
	}
	return m
}

// join makes a membership of the chosen nodes and gives it to all probes.
func (w *world) join(in func(int) bool) {
	m := mesh.Membership{Version: 1, Services: both(svcKind, 0, 1),
		DNS: mesh.DNS{Services: both(svcKind, 0, 10), Pods: append(both(podKind, 0, 53), both(podKind, 1, 53)...), Name: "kubernetes.default.svc.cluster.local."}}
	var names []string
	for i := range w.nodes {
		if in(i) {
			m.Members = append(m.Members, w.member(i))
			names = append(names, w.nodes[i].name)
		}
	}
	w.members = m
	ring := mesh.NewRing(m)
	w.tracker.Members(names)
	for _, n := range w.nodes {
		n.adopt(ring)
	}
}

func (n *simNode) adopt(ring *mesh.Ring) {
	selves := []mesh.Self{{Namespace: "remediate-probe", Pod: fmt.Sprintf("probe-%d", n.at), Node: n.name, IPs: both(podKind, n.at, 1), MTU: 1500}}
	if n.w.twins {
		selves = append(selves, mesh.Self{Namespace: "remediate-probe-host", Pod: fmt.Sprintf("host-%d", n.at), Node: n.name, IPs: both(nodeKind, n.at, 1), HostNetwork: true, MTU: 1500})
	}
	for i, self := range selves {
		if i == len(n.plans) {
			n.plans = append(n.plans, &prober{node: n, self: self, phase: mesh.Phase(n.name + self.Pod), wrong: map[mesh.Check]v1alpha1.Observation{}, tally: map[confirm.Count]*confirm.Count{}})
		}
		p := n.plans[i]
		p.plan = ring.Plan(self)
		p.bursts.Forget()
		for c := range p.wrong {
			if !p.plan.Holds(c) {
				delete(p.wrong, c)
			}
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for _, n := range w.nodes {
			for _, p := range n.plans {
				p.step()
			}
			if !w.now.Before(n.nextBeat) {
				n.beat()
			}
		}
	}
}

func (p *prober) step() {
	w := p.node.w
	done := 0
	for done < len(p.flying) && !w.now.Before(p.flying[done].ends) {
		p.take(p.flying[done])
		done++
	}
	p.flying = p.flying[done:]
	slot := mesh.SlotAt(w.now.Add(-p.phase))
	switch {
	case slot != p.slot:
		p.slot = slot
		turn := p.plan.At(slot)
		if own, nth, pass := mesh.IsOwn(slot); own && nth == pass%5 {
			if c, ok := p.oldest(); ok {
				turn = mesh.Turn{Check: c}
			}
		}
		if !turn.Idle() && turn.NotChecked == "" {
			p.begin(turn.Check)
		}
	default:
		if c, ok := p.bursts.Next(w.now); ok {
			p.begin(c)
		}
	}
}

func (p *prober) oldest() (mesh.Check, bool) {
	limit := p.node.w.now.Add(-5 * time.Second).UTC().Format(time.RFC3339Nano)
	var best mesh.Check
	at := ""
	for c, o := range p.wrong {
		if o.At < limit && (at == "" || o.At < at || o.At == at && fmt.Sprint(c) < fmt.Sprint(best)) {
			best, at = c, o.At
		}
	}
	return best, at != ""
}

func (p *prober) begin(c mesh.Check) {
	w := p.node.w
	w.exchange++
	p.lastStart = w.now
	o, h := w.outcome(p, c)
	took := step
	if o.Outcome == v1alpha1.OutcomeTimeout {
		took = time.Second
	}
	if w.lie != nil {
		w.lie(w, h.from, &o)
	}
	r := result{c, o, w.now.Add(took)}
	at, _ := slices.BinarySearchFunc(p.flying, r, func(a, b result) int { return a.ends.Compare(b.ends) })
	for at < len(p.flying) && p.flying[at].ends.Equal(r.ends) {
		at++
	}
	p.flying = slices.Insert(p.flying, at, r)
}

// outcome asks the fault.
func (w *world) outcome(p *prober, c mesh.Check) (v1alpha1.Observation, hop) {
	h := hop{from: p.node.at, to: -1, via: c.Via, family: c.Family, protocol: c.Protocol, target: c.Target, ip: c.To.IP, host: c.HostNetwork, big: c.Bytes > 1280}
	switch c.Via {
	case mesh.ViaClusterIP:
		h.to = w.rng.IntN(len(w.members.Members))
		h.to = slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.name == w.members.Members[h.to].Node })
	case mesh.ViaDNS:
		h.to = w.rng.IntN(2)
		for i := range 2 {
			if c.To.IP == addr(podKind, c.Family, i, 53).String() {
				h.to = i
			}
		}
	default:
		h.to = slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.name == c.To.Node })
	}
	o := v1alpha1.Observation{From: c.From, To: c.To, Via: c.Via, Family: c.Family, Protocol: c.Protocol, Target: c.Target, HostNetwork: c.HostNetwork,
		Outcome: v1alpha1.OutcomeOK, Bytes: c.Bytes, At: w.now.Add(w.skew[p.node.at]).UTC().Format(time.RFC3339Nano)}
	var e effect
	if w.fault != nil && !w.began.IsZero() && !w.now.Before(w.began) {
		e = w.fault(w, w.now.Sub(w.began), h)
	}
	if c.HostNetwork && c.Target == v1alpha1.TargetGuarded && h.cross() && e.outcome == "" {
		e.outcome = v1alpha1.OutcomeTimeout // its policy denies nodes
	}
	own := c.Target != "" && c.Via != mesh.ViaNodeIP
	switch {
	case e.masked && c.Target == v1alpha1.TargetGuarded:
		o.Outcome = v1alpha1.OutcomeTimeout
	case e.masked && own:
		o.SourceSeen = addr(nodeKind, c.Family, h.from, 1).String()
	case own:
		o.SourceSeen = c.From.IP
	}
	if e.outcome != "" {
		o.Outcome, o.SourceSeen, o.Reason = e.outcome, "", e.why
	}
	w.hear(&o, h, e)
	o.Unreliable = e.starved
	if o.Outcome == v1alpha1.OutcomeOK && c.Via == mesh.ViaClusterIP {
		o.To.Node = w.nodes[h.to].name
	}
	return o, h
}
