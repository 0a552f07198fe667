package observe

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

type podKey struct{ namespace, name string }

// endpointFacts are what a CiliumEndpoint adds to its pod.
type endpointFacts struct {
	identity int64
	ips      []netip.Addr
	labels   map[string]string
	nodeIP   string
}

// builder collects objects in any order and makes one snapshot of them. An
// object that comes twice counts once, the later one.
type builder struct {
	snap *snapshot.Snapshot

	nodes        map[string]*snapshot.Node
	ciliumNodes  map[string]*ciliumNode
	pods         map[podKey]int
	namespaces   map[string]snapshot.Namespace
	services     map[string]snapshot.Service
	slices       map[string]map[string][]string // service → slice → addresses
	serviceCIDRs map[string]*serviceCIDR
	policies     map[string]snapshot.Policy
	nodeConfigs  map[string]snapshot.NodeConfig
	podIPPools   map[string]*podIPPool
	endpoints    map[podKey]endpointFacts
	identities   map[string]map[string]string
	configMaps   map[string]*configMap
	daemonSets   map[string]*daemonSet
	deployments  map[string]*deployment
	flux         map[string]snapshot.FluxObject
	events       map[string]snapshot.Event
	probes       map[string]*probeReport
	agents       map[string]*podObject
	components   map[string]*podObject
	kubelets     votes
	hasBGP       bool
	readBGP      bool

	strings map[string]string
	labels  map[string]map[string]string
}

func newBuilder(origin string) *builder {
	return &builder{
		snap: &snapshot.Snapshot{
			Origin:       origin,
			ReadKinds:    map[string]bool{},
			NodeMaskSize: map[string]snapshot.Fact[int]{},
		},
		nodes:        map[string]*snapshot.Node{},
		ciliumNodes:  map[string]*ciliumNode{},
		pods:         map[podKey]int{},
		namespaces:   map[string]snapshot.Namespace{},
		services:     map[string]snapshot.Service{},
		slices:       map[string]map[string][]string{},
		serviceCIDRs: map[string]*serviceCIDR{},
		policies:     map[string]snapshot.Policy{},
		nodeConfigs:  map[string]snapshot.NodeConfig{},
		podIPPools:   map[string]*podIPPool{},
		endpoints:    map[podKey]endpointFacts{},
		identities:   map[string]map[string]string{},
		configMaps:   map[string]*configMap{},
		daemonSets:   map[string]*daemonSet{},
		deployments:  map[string]*deployment{},
		flux:         map[string]snapshot.FluxObject{},
		events:       map[string]snapshot.Event{},
		probes:       map[string]*probeReport{},
		agents:       map[string]*podObject{},
		components:   map[string]*podObject{},
		kubelets:     votes{},
		strings:      map[string]string{},
		labels:       map[string]map[string]string{},
	}
}

// read notes that objects of the kind were looked for and could be read.
func (b *builder) read(kind string) {
	b.snap.ReadKinds[kind] = true
	if strings.HasPrefix(kind, "CiliumBGP") {
		b.readBGP = true
	}
}

func (b *builder) node(name string) *snapshot.Node {
	if b.nodes[name] == nil {
		b.nodes[name] = &snapshot.Node{Name: name}
	}
	return b.nodes[name]
}

func (b *builder) addPod(p snapshot.Pod) {
	key := podKey{p.Namespace, p.Name}
	if i, ok := b.pods[key]; ok {
		b.snap.Pods[i] = p
		return
	}
	b.pods[key] = len(b.snap.Pods)
	b.snap.Pods = append(b.snap.Pods, p)
}

// shared is s, held once however often it comes.
func (b *builder) shared(s string) string {
	if have, ok := b.strings[s]; ok {
		return have
	}
	b.strings[s] = s
	return s
}

// sharedLabels is a map equal to labels, held once: the pods of one workload
// have the same labels.
func (b *builder) sharedLabels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	var key strings.Builder
	for _, k := range sortedKeys(labels) {
		fmt.Fprintf(&key, "%s\x00%s\x00", k, labels[k])
	}
	if have, ok := b.labels[key.String()]; ok {
		return have
	}
	b.labels[key.String()] = labels
	return labels
}

// finish makes the snapshot. The builder is used up.
func (b *builder) finish() *snapshot.Snapshot {
	for _, name := range sortedKeys(b.ciliumNodes) {
		b.ciliumNodes[name].merge(b.node(name))
	}
	b.snap.Services = b.joinServices()
	b.snap.Nodes = b.finishNodes()
	b.finishPods()
	b.readFlags()
	b.readConfigMaps()
	b.readPodIPPools()
	b.readServiceCIDRs()
	b.readWorkloads()
	b.snap.Namespaces = sortedValues(b.namespaces)
	b.snap.Policies = sortedValues(b.policies)
	b.snap.NodeConfigs = sortedValues(b.nodeConfigs)
	b.snap.Flux = sortedValues(b.flux)
	b.snap.Events = b.distinctEvents()
	for _, r := range sortedValues(b.probes) {
		b.snap.Probes = append(b.snap.Probes, r.observations()...)
	}
	b.snap.HasBGP = b.bgp()
	if v, source := b.kubelets.winner(); v != "" {
		b.snap.KubernetesVersion = snapshot.Known(v, source)
	}
	slices.Sort(b.snap.Unreadable)
	return b.snap.Indexed()
}

// bgp: without BGP objects to look at, an agent that has the BGP control plane
// off has none that count.
func (b *builder) bgp() snapshot.Tri {
	switch {
	case b.hasBGP:
		return snapshot.Yes
	case b.readBGP:
		return snapshot.No
	case b.snap.AgentConfig.Known && b.snap.AgentConfig.Value["enable-bgp-control-plane"] != "true":
		return snapshot.No
	}
	return snapshot.Unknown
}

// finishNodes tells API servers from other nodes by the endpoints of
// default/kubernetes; without those it stays unknown.
func (b *builder) finishNodes() []snapshot.Node {
	servers := map[netip.Addr]bool{}
	for _, a := range sortedAddrs(b.endpointsOf("default/kubernetes")) {
		servers[a] = true
	}
	out := make([]snapshot.Node, 0, len(b.nodes))
	for _, name := range sortedKeys(b.nodes) {
		n := *b.nodes[name]
		if len(servers) > 0 {
			n.APIServer = snapshot.TriOf(slices.ContainsFunc(slices.Concat(n.InternalIPs, n.ExternalIPs),
				func(a netip.Addr) bool { return servers[a] }))
		}
		out = append(out, n)
	}
	return out
}

func (b *builder) endpointsOf(service string) []string {
	var out []string
	for _, name := range sortedKeys(b.slices[service]) {
		out = append(out, b.slices[service][name]...)
	}
	return out
}

func (b *builder) joinServices() []snapshot.Service {
	out := make([]snapshot.Service, 0, len(b.services))
	for _, key := range sortedKeys(b.services) {
		s := b.services[key]
		s.Endpoints = sortedAddrs(b.endpointsOf(key))
		out = append(out, s)
	}
	return out
}

func sortedAddrs(values []string) []netip.Addr {
	var out []netip.Addr
	for _, v := range values {
		if a, err := parseAddr(v); err == nil {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// finishPods gives pods their identities. An endpoint without a Pod object is
// a pod all the same.
func (b *builder) finishPods() {
	byAddr := map[string]string{}
	for name, n := range b.nodes {
		for _, a := range slices.Concat(n.InternalIPs, n.ExternalIPs) {
			byAddr[a.String()] = name
		}
	}
	for key, e := range b.endpoints {
		if i, ok := b.pods[key]; ok {
			b.snap.Pods[i].Identity = e.identity
			continue
		}
		b.snap.Pods = append(b.snap.Pods, snapshot.Pod{
			Namespace: key.namespace, Name: key.name,
			Node: byAddr[e.nodeIP], IPs: e.ips, Identity: e.identity, Labels: b.labelsOf(e),
			Source: "CiliumEndpoint " + key.namespace + "/" + key.name,
		})
	}
	slices.SortFunc(b.snap.Pods, func(x, y snapshot.Pod) int {
		return cmp.Or(strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
	})
}

func (b *builder) labelsOf(e endpointFacts) map[string]string {
	if len(e.labels) > 0 {
		return e.labels
	}
	return b.identities[fmt.Sprint(e.identity)]
}

func (b *builder) readPodIPPools() {
	for _, name := range sortedKeys(b.podIPPools) {
		p := b.podIPPools[name]
		for _, f := range []*poolFamily{p.Spec.IPv4, p.Spec.IPv6} {
			if f != nil {
				b.addPools(strings.Join(f.CIDRs, ","), p.source(), snapshot.IPAMMultiPool)
			}
		}
	}
}

func (b *builder) readServiceCIDRs() {
	for _, name := range sortedKeys(b.serviceCIDRs) {
		o := b.serviceCIDRs[name]
		b.addServiceCIDRs(strings.Join(o.Spec.CIDRs, ","), o.source())
	}
}

func (b *builder) readWorkloads() {
	versions := votes{}
	var agents []snapshot.AgentPod
	for _, key := range sortedKeys(b.agents) {
		a := b.agents[key].agent()
		agents = append(agents, a)
		if a.ImageVersion != "" {
			versions.add(a.ImageVersion, "Pod "+key)
		}
	}
	if v, source := versions.winner(); v != "" {
		b.snap.AgentImageVersion = snapshot.Known(v, source)
	}
	if keys := sortedKeys(b.deployments); len(keys) > 0 {
		d := b.deployments[keys[0]]
		b.snap.Operator = snapshot.Known(d.state(), d.source())
	}
	if keys := sortedKeys(b.daemonSets); len(keys) > 0 {
		d := b.daemonSets[keys[0]]
		state := d.state()
		state.Agents = agents
		b.snap.AgentDaemonSet = snapshot.Known(state, d.source())
		if v := d.version(); v != "" && !b.snap.AgentImageVersion.Known {
			b.snap.AgentImageVersion = snapshot.Known(v, d.source())
		}
		return
	}
	if len(agents) > 0 {
		b.snap.AgentDaemonSet = snapshot.Known(snapshot.DaemonSet{Name: "cilium", Agents: agents}, "Pods of DaemonSet cilium")
	}
}

func (b *builder) distinctEvents() []snapshot.Event {
	seen := map[snapshot.Event]bool{}
	var out []snapshot.Event
	for _, e := range sortedValues(b.events) {
		key := e
		key.Source = ""
		if !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	return out
}

// votes count how many objects state a value.
type votes map[string][]string

func (v votes) add(value, source string) { v[value] = append(v[value], source) }

// winner is the value that most state, of equals the first in order, and the
// first object that states it.
func (v votes) winner() (value, source string) {
	most := 0
	for _, candidate := range sortedKeys(v) {
		if len(v[candidate]) > most {
			most, value, source = len(v[candidate]), candidate, slices.Min(v[candidate])
		}
	}
	return value, source
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

func sortedValues[V any](m map[string]V) []V {
	out := make([]V, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out
}
