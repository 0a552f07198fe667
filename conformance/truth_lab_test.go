package conformance

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// masqAgentKey is a set's pseudo flag: the CIDRs in the ip-masq-agent file.
const masqAgentKey = "ip-masq-agent:nonMasqueradeCIDRs"

// truthSet is one configuration under which flows were measured.
type truthSet struct {
	Cilium string
	Config map[string]string
	Nodes  []struct {
		Name      string
		Addresses []netip.Addr
		PodCIDRs  []netip.Prefix
	}
	Topology struct {
		Segments            int
		DeviceMTU           int
		PodMTU              int
		PathMTU             int
		PathAnswersTooBig   *bool
		RouterHasPodRoutes  *bool
		KubeAPIServerNodes  []string
		NodeObjectAddresses string
		PerNodeConfig       map[string]map[string]string
		AgentsStopped       []string
	}
}

// labs are the measured clusters, one model per set and policy.
type labs struct {
	sets     map[string]truthSet
	policies map[string]string
	models   map[string]*datapath.Model
	// external are the ExternalIPs of nodes that the flows of a set name.
	external map[string]map[string][]netip.Addr
}

func newLabs(t *testing.T, rows []truthRow) *labs {
	l := &labs{
		sets:     readObjects[truthSet](t, truthSets),
		policies: readObjects[string](t, truthPolicies),
		models:   map[string]*datapath.Model{},
		external: map[string]map[string][]netip.Addr{},
	}
	for _, row := range rows {
		if m := nodeEnd.FindStringSubmatch(row.Flow.To); m != nil && m[2] != "" {
			l.addExternal(row.Set, m[1], netip.MustParseAddr(m[2]))
		}
	}
	return l
}

func (l *labs) addExternal(set, node string, a netip.Addr) {
	if l.external[set] == nil {
		l.external[set] = map[string][]netip.Addr{}
	}
	if !slices.Contains(l.external[set][node], a) {
		l.external[set][node] = append(l.external[set][node], a)
	}
}

func (l *labs) model(row truthRow) (*datapath.Model, error) {
	key := row.Set + "\x00" + row.Policy
	if m, ok := l.models[key]; ok {
		return m, nil
	}
	set, ok := l.sets[row.Set]
	if !ok {
		return nil, fmt.Errorf("set %q is in no file given with -sets", row.Set)
	}
	policies, err := l.policiesOf(row.Policy)
	if err != nil {
		return nil, err
	}
	m, err := datapath.New(set.input(policies, l.external[row.Set]))
	if err != nil {
		return nil, err
	}
	l.models[key] = m
	return m, nil
}

func (l *labs) policiesOf(name string) ([]snapshot.Policy, error) {
	if name == "none" {
		return nil, nil
	}
	text, ok := l.policies[name]
	if !ok {
		return nil, fmt.Errorf("policy %q is in no file given with -policies", name)
	}
	var out []snapshot.Policy
	for _, doc := range strings.Split(text, "\n---\n") {
		p, err := decodePolicy(doc)
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func decodePolicy(doc string) (snapshot.Policy, error) {
	var head struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Spec     map[string]any
	}
	if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
		return snapshot.Policy{}, err
	}
	p := snapshot.Policy{Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
	p.Source = p.Kind + " " + p.Namespace + "/" + p.Name
	if p.Kind != "NetworkPolicy" {
		p.Cilium = []map[string]any{head.Spec}
		return p, nil
	}
	var np networkingv1.NetworkPolicy
	if err := yaml.Unmarshal([]byte(doc), &np); err != nil {
		return snapshot.Policy{}, err
	}
	p.Kubernetes = &np.Spec
	return p, nil
}

// input is the set as the model takes it: its flags, its Node objects and what
// is said of the wire; nothing is read from the set's name.
func (s truthSet) input(policies []snapshot.Policy, external map[string][]netip.Addr) datapath.Input {
	in := datapath.Input{
		Config:   s.config(nil),
		PerNode:  map[string]cilium.Config{},
		Snapshot: s.snapshot(policies, external),
		Topology: s.topology(),
	}
	for node, flags := range s.Topology.PerNodeConfig {
		in.PerNode[node] = s.config(flags)
	}
	return in
}

func (s truthSet) config(over map[string]string) cilium.Config {
	cfg := cilium.Config{Version: s.Cilium, Values: maps.Clone(s.Config)}
	maps.Copy(cfg.Values, over)
	if cidrs, ok := cfg.Values[masqAgentKey]; ok && !strings.Contains(cidrs, "file missing") {
		file := "nonMasqueradeCIDRs: [" + strings.Join(cidrWord.FindAllString(cidrs, -1), ", ") + "]\n"
		cfg.MasqAgent = &file
	}
	delete(cfg.Values, masqAgentKey)
	return cfg
}

var cidrWord = regexp.MustCompile(`[0-9a-fA-F.:]+/[0-9]+`)

func (s truthSet) snapshot(policies []snapshot.Policy, external map[string][]netip.Addr) *snapshot.Snapshot {
	out := &snapshot.Snapshot{Policies: policies, ReadKinds: map[string]bool{"NetworkPolicy": true}}
	for _, ns := range []string{"team-a", "team-b"} {
		labels := map[string]string{"kubernetes.io/metadata.name": ns}
		out.Namespaces = append(out.Namespaces, snapshot.Namespace{Name: ns, Labels: labels})
	}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, snapshot.Node{
			Name: n.Name, PodCIDRs: n.PodCIDRs, ExternalIPs: external[n.Name],
			InternalIPs: s.internalIPs(n.Addresses),
			APIServer:   snapshot.TriOf(slices.Contains(s.Topology.KubeAPIServerNodes, n.Name)),
		})
	}
	return out
}

// internalIPs are those of the node's addresses that its Node object lists.
func (s truthSet) internalIPs(all []netip.Addr) []netip.Addr {
	family, _, limited := strings.Cut(s.Topology.NodeObjectAddresses, " InternalIP only")
	if !limited {
		return all
	}
	var out []netip.Addr
	for _, a := range all {
		if a.Is4() == (family == "IPv4") {
			out = append(out, a)
		}
	}
	return out
}

// topology adds what was the same for every set: each segment is a /64 and a
// /24, uplinks are called eth0, and no default route names a source address.
func (s truthSet) topology() datapath.Topology {
	t := datapath.Topology{
		SameSegment:        s.sameSegment,
		DeviceMTU:          s.Topology.DeviceMTU,
		PodMTU:             s.Topology.PodMTU,
		PathMTU:            s.Topology.PathMTU,
		PathAnswersTooBig:  tri(s.Topology.PathAnswersTooBig),
		RouterHasPodRoutes: tri(s.Topology.RouterHasPodRoutes),
		Devices:            []string{"eth0"},
		DefaultRouteSource: snapshot.No,
	}
	for _, n := range s.Nodes {
		for _, a := range n.Addresses {
			bits := 64
			if a.Is4() {
				bits = 24
			}
			if p := netip.PrefixFrom(a, bits).Masked(); !slices.Contains(t.OnLink, p) {
				t.OnLink = append(t.OnLink, p)
			}
		}
	}
	return t
}

func (s truthSet) sameSegment(a, b string) snapshot.Tri {
	return snapshot.TriOf(a == b || s.Topology.Segments <= 1)
}

func tri(b *bool) snapshot.Tri {
	if b == nil {
		return snapshot.Unknown
	}
	return snapshot.TriOf(*b)
}

var (
	podEnd     = regexp.MustCompile(`^pod (\w+)@(\w+)(?: \(namespace ([\w-]+)\))?$`)
	nodeEnd    = regexp.MustCompile(`^node (\w+)(?: \(ExternalIP ([0-9a-f.:]+)\))?$`)
	serviceEnd = regexp.MustCompile(`^service (\w+) \(ClusterIP\) backed by (\w+)@(\w+)$`)
	outsideEnd = regexp.MustCompile(`^outside \w+ ([0-9a-f.:]+)$`)
)

// flow turns the row's words into a flow; sizes become those of IP packets.
func (l *labs) flow(row truthRow) (datapath.Flow, error) {
	f := datapath.Flow{Family: row.Flow.Family, Protocol: row.Flow.Protocol}
	var err error
	if f.From, err = l.end(row, row.Flow.From); err != nil {
		return f, err
	}
	if f.To, err = l.end(row, row.Flow.To); err != nil {
		return f, err
	}
	f.Port = map[string]int{"TCP": 8080, "UDP": 8081}[f.Protocol]
	if row.Flow.Size == nil {
		return f, nil
	}
	f.Size = *row.Flow.Size
	if f.Protocol != "TCP" {
		f.Size += map[string]int{"IPv4": 28, "IPv6": 48}[f.Family]
	}
	return f, nil
}

func (l *labs) end(row truthRow, words string) (datapath.End, error) {
	if m := podEnd.FindStringSubmatch(words); m != nil {
		return podOf(m[1], m[2]), nil
	}
	if m := nodeEnd.FindStringSubmatch(words); m != nil {
		return l.nodeOf(row, m[1], m[2])
	}
	if m := serviceEnd.FindStringSubmatch(words); m != nil {
		backend := podOf(m[2], m[3])
		return datapath.End{Kind: datapath.EndService, Namespace: "team-a", Name: m[1], Backend: &backend}, nil
	}
	if m := outsideEnd.FindStringSubmatch(words); m != nil {
		a, err := netip.ParseAddr(m[1])
		return datapath.End{Kind: datapath.EndOutside, Addr: a}, err
	}
	return datapath.End{}, fmt.Errorf("flow end %q is of no known form", words)
}

// podOf is a pod of the tables' topology: a3 and b2 are in namespace team-b.
func podOf(name, node string) datapath.End {
	namespace := "team-a"
	if name == "a3" || name == "b2" {
		namespace = "team-b"
	}
	return datapath.End{Kind: datapath.EndPod, Namespace: namespace, Name: name, Node: node}
}

// nodeOf names the address that the flow went to, which the Node object may lack.
func (l *labs) nodeOf(row truthRow, name, external string) (datapath.End, error) {
	e := datapath.End{Kind: datapath.EndNode, Node: name}
	if external != "" {
		a, err := netip.ParseAddr(external)
		e.Addr = a
		return e, err
	}
	for _, n := range l.sets[row.Set].Nodes {
		for _, a := range n.Addresses {
			if n.Name == name && a.Is4() == (row.Flow.Family == "IPv4") {
				e.Addr = a
			}
		}
	}
	return e, nil
}
