//go:build linux

package cilium

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Options of a cluster. The zero value is three nodes on one segment with Cilium's
// chart's default values and native routing.
type Options struct {
	// Nodes, 1 to 15; 0 is 3.
	Nodes int
	// Segments of layer 2, which nodes are dealt to in turn; 0 is 1.
	Segments int
	// RouterHasPodRoutes: the router knows the way to every pod CIDR.
	RouterHasPodRoutes bool
	// MTU of the nodes' uplinks in bytes; 0 is 1500.
	MTU int
	// Release is one of [testbed.CiliumReleases], "1.20"; empty is the version that the
	// chart and [Render] are of.
	Release string
	// Operator has an operator built, for [Node.TryOperator].
	Operator bool
	// Config is what every agent starts with; see [Render]. PerNode is for single
	// nodes, by name.
	Config  cilium.Config
	PerNode map[string]cilium.Config
	// WithoutAgents leaves their start to the test ([Node.Restart]).
	WithoutAgents bool
	// WithoutNodes leaves their objects to the test, which makes them before it starts
	// an agent.
	WithoutNodes bool
	// APIServer are flags to add to the API server's.
	APIServer []string
}

// Cluster is nodes with real agents. Everything ends with the test. Its methods may be
// called from any goroutine, but those of one node from one at a time.
type Cluster struct {
	// Lab is the network between the nodes: routes, faults and hosts outside.
	Lab *lab.Lab
	// Nodes in order: node-1, node-2 and so on.
	Nodes []*Node
	// Version of Cilium, "1.18.6".
	Version string

	// Server is the API server, API the administrator's access to it from the test's own
	// namespace.
	Server *testbed.Server
	API    *rest.Config
	Kube   kubernetes.Interface
	Client client.Client

	dir, bin, source, kubeconfig, group string

	agent, dbg, cni, operator string

	began time.Time
	mu    sync.Mutex
	pods  []*Pod
	ports int // source ports and ICMP identifiers that were given out
	hosts []*Host
	// hears serialises the flows to one receiver, by its name, protocol and family.
	hears map[string]*sync.Mutex
}

// Start builds a cluster whose agents are ready: about ten seconds on an idle machine
// with the binaries built. The test binary must run under [Main].
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{dir: t.TempDir(), began: time.Now(), hears: map[string]*sync.Mutex{}}
	tools := map[string]*string{"cilium-agent": &c.agent, "cilium-dbg": &c.dbg, "cilium-cni": &c.cni}
	if o.Operator {
		tools["cilium-operator"] = &c.operator
	}
	for name, path := range tools {
		*path = testbed.Tool(t, strings.TrimSuffix(name+"@"+o.Release, "@"))
	}
	c.source, c.Version = testbed.CiliumSource(t, o.Release)
	must(t, c.linkCompiler())
	var err error
	c.group, err = newGroup()
	must(t, err)
	t.Cleanup(func() {
		if err := removeGroup(c.group); err != nil {
			t.Error(err)
		}
	})
	c.Lab = lab.New(t, lab.Spec{
		Nodes: o.Nodes, Segments: o.Segments, RouterHasPodRoutes: o.RouterHasPodRoutes, MTU: o.MTU, Bare: true,
	})
	t.Cleanup(c.stop)
	c.Log(t, "the network is there")
	c.controlPlane(t, o.APIServer)
	must(t, c.addNodes(!o.WithoutNodes))
	c.Log(t, "the nodes are there")
	if !o.WithoutAgents {
		must(t, c.startAgents(o))
		c.Log(t, "the agents run")
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Log writes what has been reached, with the seconds since the start.
func (c *Cluster) Log(t testing.TB, what string) {
	t.Helper()
	t.Logf("%5.1f s: %s", time.Since(c.began).Seconds(), what)
}

// linkCompiler names the compiler as the agent calls it
// (pkg/datapath/loader/compile.go:36, 1.18.6).
func (c *Cluster) linkCompiler() error {
	c.bin = filepath.Join(c.dir, "bin")
	if err := os.Mkdir(c.bin, 0o755); err != nil {
		return err
	}
	clang, err := exec.LookPath(compiler)
	if err != nil {
		return err
	}
	return os.Symlink(clang, filepath.Join(c.bin, "clang"))
}

func (c *Cluster) addNodes(register bool) error {
	for _, n := range c.Lab.Nodes {
		node, err := c.newNode(n)
		if node != nil {
			c.Nodes = append(c.Nodes, node)
		}
		if err == nil && register {
			err = c.registerNode(node)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

func (c *Cluster) startAgents(o Options) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		cfg, ok := o.PerNode[n.Name]
		if !ok {
			cfg = o.Config
		}
		wg.Go(func() { errs[i] = n.start(cfg) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Node returns the node of a name, nil when there is none.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Restart starts the agents of all nodes again with a configuration, all at once, and
// returns when they are ready. Pods stay.
func (c *Cluster) Restart(t testing.TB, cfg cilium.Config) {
	t.Helper()
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = n.restart(cfg) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
}

// AddHost makes a host outside of the cluster on a segment; it answers like a pod
// does. Addresses beyond the segment's range need routes: [Cluster.Reach].
func (c *Cluster) AddHost(t testing.TB, name string, segment int, addresses ...netip.Prefix) *Host {
	t.Helper()
	space, err := c.Lab.AddHost(name, segment, addresses...)
	must(t, err)
	h := &Host{Name: name, Space: space, cluster: c}
	for _, a := range addresses {
		h.Addrs = append(h.Addrs, a.Addr())
	}
	c.mu.Lock()
	c.hosts = append(c.hosts, h)
	c.mu.Unlock()
	return h
}

// stop ends the agents and everything else that runs; the lab's end takes the rest.
func (c *Cluster) stop() {
	c.mu.Lock()
	hosts := c.hosts
	for _, p := range c.pods {
		hosts = append(hosts, p.Host)
	}
	c.mu.Unlock()
	for _, h := range hosts {
		h.hangUp()
	}
	var wg sync.WaitGroup
	for _, n := range c.Nodes {
		wg.Go(n.close)
	}
	wg.Wait()
}
