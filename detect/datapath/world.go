package datapath

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// world is what models of one snapshot share, whatever their configurations. Its
// tables are made when first asked for and not changed after.
type world struct {
	in       Input // without configurations
	policies []snapshot.Policy
	// base has the policies under default enforcement: its decisions are the same
	// for every configuration and therefore what classes are told apart by.
	base *policy.Set

	hosts []*host // nodes sorted by name
	index map[string]int

	// pods to analyse, assumed when the snapshot has none, and their order.
	pods    []snapshot.Pod
	order   []int
	assumed bool

	classing func() *classing
	ports    func() map[string][]policy.Port
	ranges   func() []rangeSet // the input's
	outlines outlineCache

	mu sync.Mutex
	// sets are the policies compiled under the options met so far.
	sets []compiled
}

// compiled is a set of policies with the options that it was compiled under.
type compiled struct {
	options policy.Options
	set     *policy.Set
}

// maxCompiled bounds how many compiled sets a world keeps.
const maxCompiled = 8

// compile returns the policies under the options, from an earlier call when the
// options are the same.
func (w *world) compile(opts policy.Options) *policy.Set {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.sets {
		if samePolicyOptions(c.options, opts) {
			return c.set
		}
	}
	set := policy.Compile(w.policies, opts)
	if len(w.sets) < maxCompiled {
		w.sets = append(w.sets, compiled{opts, set})
	}
	return set
}

// classing sorts pods into policy classes.
type classing struct {
	classes []podClass
	// pods that are analysed, in order of namespace and name.
	pods []counted
	// of is the class of each pod, by its index; -1 for one that is not analysed.
	of []int32

	mu         sync.Mutex
	partitions map[partitionKey][]part
	kept       int // ints in partitions
}

type classKey struct{ subject, peer string }

type podClass struct {
	key    classKey
	rep    policy.Subject
	egress bool // some policy selects it for egress
	guard  bool // some policy selects it for ingress
}

// counted is a pod whose flows are analysed.
type counted struct {
	pod, class, host int32
	addr             [2]netip.Addr // its first of each family
	outside          [2]bool       // that is outside its node's pod CIDR
}

func (w *world) counted(i int, class int32) counted {
	p := &w.pods[i]
	h := w.hosts[w.index[p.Node]]
	out := counted{pod: int32(i), class: class, host: int32(h.index)}
	for _, a := range p.IPs {
		fi := familyIndex(cidr.Family(a))
		if !a.IsValid() || out.addr[fi].IsValid() {
			continue
		}
		out.addr[fi] = a.Unmap()
		out.outside[fi] = len(h.alloc[fi]) > 0 && !cidr.InAny(a.Unmap(), h.alloc[fi])
	}
	return out
}

func (w *world) classify() *classing {
	c := &classing{of: make([]int32, len(w.pods)), partitions: map[partitionKey][]part{}}
	index := map[classKey]int32{}
	for i := range c.of {
		c.of[i] = -1
	}
	for _, i := range w.order {
		p := &w.pods[i]
		if p.HostNetwork || p.Node == "" || len(p.IPs) == 0 {
			continue
		}
		subject := policy.Subject{Namespace: p.Namespace, Labels: p.Labels}
		key := classKey{w.base.Class(subject), w.base.PeerClass(policy.Peer{Namespace: p.Namespace, Labels: p.Labels})}
		k, ok := index[key]
		if !ok {
			k = int32(len(c.classes))
			index[key] = k
			c.classes = append(c.classes, podClass{
				key: key, rep: subject,
				egress: len(w.base.SelectedBy(subject, false)) > 0,
				guard:  len(w.base.SelectedBy(subject, true)) > 0,
			})
		}
		c.of[i] = k
		c.pods = append(c.pods, w.counted(i, k))
	}
	return c
}

// maxOutlines is how many outlines a world keeps: the candidates of one plan
// need one or two.
const maxOutlines = 6

// outlineCache keeps the last outlines by their grains' keys.
type outlineCache struct {
	mu  sync.Mutex
	all map[string]*lazyOutline
	// recent are the keys, oldest first.
	recent []string
}

type lazyOutline struct {
	once    sync.Once
	outline *outline
}

// outline of all flows at a grain; the model only serves to make it.
func (m *Model) outline(g grain) *outline {
	c := &m.world.outlines
	c.mu.Lock()
	lazy := c.all[g.key]
	if lazy == nil {
		lazy = &lazyOutline{}
		c.all[g.key] = lazy
	}
	c.recent = append(slices.DeleteFunc(c.recent, func(k string) bool { return k == g.key }), g.key)
	if len(c.recent) > maxOutlines {
		delete(c.all, c.recent[0])
		c.recent = c.recent[1:]
	}
	c.mu.Unlock()
	lazy.once.Do(func() { lazy.outline = m.newOutline(g) })
	return lazy.outline
}

func newWorld(in Input, base policy.Options, ipam func(node string) string) *world {
	w := &world{in: Input{Snapshot: in.Snapshot, Topology: in.Topology, Ranges: in.Ranges}}
	w.outlines.all = map[string]*lazyOutline{}
	w.policies = policiesOf(in.Snapshot)
	w.base = policy.Compile(w.policies, base)
	w.findHosts(ipam)
	w.pods, w.assumed = w.podsOf()
	w.order = podOrder(w.pods)
	w.classing = sync.OnceValue(w.classify)
	w.ports = sync.OnceValue(w.policyPorts)
	w.ranges = sync.OnceValue(func() []rangeSet { return rangeSets(in.Ranges) })
	return w
}

// findHosts lists the nodes, those that only pods name included.
func (w *world) findHosts(ipam func(node string) string) {
	byName := map[string]*host{}
	for i := range w.in.Snapshot.Nodes {
		n := &w.in.Snapshot.Nodes[i]
		byName[n.Name] = newHost(n, ipam(n.Name))
	}
	for i := range w.in.Snapshot.Pods {
		if name := w.in.Snapshot.Pods[i].Node; name != "" && byName[name] == nil {
			byName[name] = &host{name: name}
		}
	}
	w.index = make(map[string]int, len(byName))
	for i, name := range slices.Sorted(maps.Keys(byName)) {
		byName[name].index = i
		w.index[name] = i
		w.hosts = append(w.hosts, byName[name])
	}
}
