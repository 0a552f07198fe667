//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Spec says what to build. The zero value is three nodes on one segment with both
// families and the configuration [Healthy].
type Spec struct {
	// Nodes, 1 to 15; 0 is 3.
	Nodes int
	// IPv4 and IPv6 are the families of nodes and pods; neither is both.
	IPv4, IPv6 bool
	// Segments of layer 2, which nodes are dealt to in turn, joined by the router; 0 is 1.
	Segments int
	// RouterHasPodRoutes: the router knows the way to every pod CIDR, as BGP or
	// static routes would make it.
	RouterHasPodRoutes bool
	// MTU of all devices in bytes; 0 is 1500.
	MTU int
	// Config is applied on every node; nil is Healthy().
	Config *cilium.Config
	// Daemons are pods that every node gets, as a DaemonSet makes them: their names
	// get the node's number.
	Daemons []PodSpec
	// NoPing keeps unprivileged ping sockets off in pods, as kernels have it by default.
	NoPing bool
	// Bare: nodes have their uplink, addresses and default routes, and nothing that
	// Cilium would make, for real agents to make it. There are no pods then, and
	// Config is nobody's.
	Bare bool
}

const maxNodes = 15

func (s Spec) withDefaults() (Spec, error) {
	if s.Nodes == 0 {
		s.Nodes = 3
	}
	if s.Nodes < 1 || s.Nodes > maxNodes {
		return s, fmt.Errorf("a lab has 1 to %d nodes, not %d", maxNodes, s.Nodes)
	}
	if !s.IPv4 && !s.IPv6 {
		s.IPv4, s.IPv6 = true, true
	}
	if s.Segments == 0 {
		s.Segments = 1
	}
	if s.Segments < 1 || s.Segments > s.Nodes {
		return s, fmt.Errorf("%d nodes do not fill %d segments", s.Nodes, s.Segments)
	}
	if s.MTU == 0 {
		s.MTU = 1500
	}
	if s.Config == nil {
		cfg := Healthy()
		s.Config = &cfg
	}
	return s, nil
}

func (s Spec) families() []string {
	var out []string
	if s.IPv4 {
		out = append(out, cidr.IPv4)
	}
	if s.IPv6 {
		out = append(out, cidr.IPv6)
	}
	return out
}

// Lab is a cluster's network. What changes it (agents, pods, services, faults and
// their undoing) is called by one goroutine at a time, and ends the test when the
// kernel refuses; what sends packets may be called by many meanwhile.
type Lab struct {
	// Nodes in order: node-1, node-2 and so on.
	Nodes []*Node
	// Router is the nodes' default gateway. Internet, behind it, has the addresses
	// [Outside], and answers nodes only.
	Router, Internet *Space

	t    testing.TB
	spec Spec
	dir  string
	// wire holds the bridges.
	wire *Space

	mu       sync.Mutex
	pods     []*Pod
	spaces   []*Space
	services []Service
	// resolver is the pods' /etc/resolv.conf; empty without DNS.
	resolver string
	// names counts fault tables, relay devices and hosts; ports those on bridges.
	names  int
	ports  int
	relays []*relay
}

// Outside are addresses beyond the cluster, one per family.
func Outside() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}
}

// New builds a lab that ends with the test. The test binary must run under [Main].
func New(t testing.TB, spec Spec) *Lab {
	t.Helper()
	spec, err := spec.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{t: t, spec: spec, dir: t.TempDir()}
	t.Cleanup(l.close)
	if err := l.build(); err != nil {
		t.Fatalf("failed to build the lab: %v", err)
	}
	return l
}

func (l *Lab) build() error {
	if err := alone(); err != nil {
		return err
	}
	if err := l.buildWire(); err != nil {
		return err
	}
	for i := range l.spec.Nodes {
		n, err := l.newNode(i + 1)
		if n != nil {
			l.Nodes = append(l.Nodes, n)
		}
		if err != nil {
			return err
		}
	}
	if err := l.routePods(); err != nil {
		return err
	}
	var specs []PodSpec
	if l.spec.Bare {
		return nil
	}
	for _, n := range l.Nodes {
		if err := n.configure(*l.spec.Config); err != nil {
			return err
		}
		for _, d := range l.spec.Daemons {
			d.Name = fmt.Sprintf("%s-%d", d.Name, n.Number)
			d.Node = n.Name
			specs = append(specs, d)
		}
	}
	if _, err := l.addPods(specs); err != nil {
		return err
	}
	return l.program(l.Nodes...)
}

// alone says whether this process has a network of its own, which has only lo, and
// the tunnel devices that some kernels put into every namespace.
func alone() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("failed to list devices: %w", err)
	}
	for _, link := range links {
		if link.Type() == "veth" || link.Type() == "device" && link.Attrs().Name != "lo" {
			return errors.New("the test is not in a network of its own: the package's TestMain must call lab.Main")
		}
	}
	return nil
}

// routePods tells the router where the pods are.
func (l *Lab) routePods() error {
	if !l.spec.RouterHasPodRoutes {
		return nil
	}
	for _, n := range l.Nodes {
		for _, family := range l.spec.families() {
			if err := l.Router.addRoute(n.PodCIDR(family), n.IP(family), bridgeName(n.Segment), netip.Addr{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Node returns the node of a name, nil when there is none.
func (l *Lab) Node(name string) *Node {
	if i := slices.IndexFunc(l.Nodes, func(n *Node) bool { return n.Name == name }); i >= 0 {
		return l.Nodes[i]
	}
	return nil
}

// Pods are all pods in the order of their creation.
func (l *Lab) Pods() []*Pod {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pods)
}

// Pod returns the pod of a name, nil when there is none.
func (l *Lab) Pod(namespace, name string) *Pod {
	for _, p := range l.Pods() {
		if p.Namespace == namespace && p.Name == name {
			return p
		}
	}
	return nil
}

// Apply starts every node's agent again with a configuration. What the agent would
// refuse at its start is an error and changes nothing.
func (l *Lab) Apply(cfg cilium.Config) error {
	for _, n := range l.Nodes {
		if err := n.Apply(cfg); err != nil {
			return err
		}
	}
	return nil
}

// program writes the nodes' rules, all of them at once.
func (l *Lab) program(nodes ...*Node) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.nft(n.ruleset()) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// must ends the test on an error.
func (l *Lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *Lab) nextName(prefix string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names++
	return fmt.Sprintf("%s%d", prefix, l.names)
}

func (l *Lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *Lab) resolverFile() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resolver
}

func (l *Lab) close() {
	l.mu.Lock()
	relays := slices.Clone(l.relays)
	l.mu.Unlock()
	for _, r := range relays {
		r.stop()
	}
	for _, p := range l.Pods() {
		p.close()
	}
	l.mu.Lock()
	spaces := l.spaces
	l.mu.Unlock()
	for _, s := range spaces {
		s.close()
	}
	for _, n := range l.Nodes {
		n.close()
	}
	for _, s := range []*Space{l.Internet, l.Router, l.wire} {
		if s != nil {
			s.close()
		}
	}
}
