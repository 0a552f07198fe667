//go:build linux

// Package labtest confirms faults in a kernel's own network: real packets, the real
// probes, what they write read as a collector reads it, and the real judgement.
package labtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Labs wait most of the time, so that many go at once on few processors.
const sideBySide = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", sideBySide)
	}
	lab.Main(m)
}

// cluster is a lab with probes on all nodes, and what is concluded from them.
type cluster struct {
	t    *testing.T
	lab  *lab.Lab
	dns  *lab.DNS
	keys *probe.Keyring
	// config is what the repository renders: the judgement knows it.
	config cilium.Config
	// skew is how far the clocks of nodes are ahead.
	skew       map[string]time.Duration
	starvation *probe.Starvation
	members    mesh.Membership
	reflectors map[string]*probe.Reflector

	mu      sync.Mutex
	matrix  *collect.Matrix
	tracker confirm.Tracker
	// off are nodes whose kubelets cannot be read.
	off map[string]bool
	// beats counts heartbeats with exchanges in them, by pod.
	beats map[string]int
	wrong []string
	said  int
	// flux is the message of a Flux object that is not ready, if there is one.
	flux string
}

const namespace = "remediate-probe"

func newCluster(t *testing.T, r row) *cluster {
	t.Helper()
	keys, err := probe.NewKeyring([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	spec := r.spec
	if spec.Nodes == 0 {
		spec.Nodes = 5
	}
	spec.Daemons = lab.Probes()
	if spec.Config == nil {
		cfg := lab.Healthy()
		spec.Config = &cfg
	}
	c := &cluster{
		t: t, lab: lab.New(t, spec), keys: keys, config: *spec.Config, skew: r.skew, starvation: &probe.Starvation{},
		reflectors: map[string]*probe.Reflector{}, matrix: collect.NewMatrix(collect.Limits{}), off: map[string]bool{}, beats: map[string]int{},
	}
	c.dns = c.lab.StartDNS(c.lab.Nodes[0])
	svc := c.lab.AddService(service(c.lab))
	c.members = c.lab.Membership(c.dns, svc)
	var names []string
	for i, n := range c.lab.Nodes {
		names = append(names, n.Name)
		c.matrix.PutNode(collect.Node{Name: n.Name, Ready: true})
		if r.twins {
			c.members.Members[i].Host = &mesh.Target{Namespace: namespace + "-host", Pod: "host-" + n.Name, IPs: n.IPs()}
		}
	}
	if r.denied {
		c.deny()
	}
	c.tracker.Members(names)
	c.start(r.twins)
	return c
}

// service is the probes'.
func service(l *lab.Lab) lab.Service {
	s := lab.Service{Namespace: namespace, Name: namespace, Ports: []lab.ServicePort{
		{Protocol: mesh.TCP, Port: mesh.Port, TargetPort: mesh.BackendPort},
		{Protocol: mesh.UDP, Port: mesh.Port, TargetPort: mesh.BackendPort},
		{Protocol: mesh.TCP, Port: mesh.HTTPPort, TargetPort: mesh.BackendHTTPPort},
	}}
	for _, p := range l.Pods() {
		if p.Labels[lab.TargetLabel] == v1alpha1.TargetGuarded {
			s.Endpoints = append(s.Endpoints, p.IPs()...)
		}
	}
	return s
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// deny adds a pod of somebody else, whom probes are not allowed to reach, to what
// they try.
func (c *cluster) deny() {
	p := c.lab.Nodes[3].AddPod(lab.PodSpec{Namespace: "shop", Name: "db", Guarded: true})
	c.reflect(p.Space, mesh.Self{Namespace: p.Namespace, Pod: p.Name, Node: p.Node.Name, IPs: p.IPs()}, v1alpha1.TargetGuarded)
	for _, a := range p.IPs() {
		c.members.External = append(c.members.External, netip.AddrPortFrom(a, mesh.Port))
	}
}

// start runs all probes until the test ends.
func (c *cluster) start(twins bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	c.t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { c.starvation.Run(ctx) })
	for _, p := range c.lab.Pods() {
		target := p.Labels[lab.TargetLabel]
		if target == "" {
			continue
		}
		self := mesh.Self{Namespace: p.Namespace, Pod: p.Name, Node: p.Node.Name, IPs: p.IPs(), MTU: p.MTU}
		r := c.reflect(p.Space, self, target)
		if target == v1alpha1.TargetOpen {
			wg.Go(func() { c.probe(ctx, p.Space, self, r) })
		} else {
			c.answer(p.Space, self, v1alpha1.TargetOpen, mesh.BackendPort, mesh.BackendHTTPPort)
		}
	}
	for i, n := range c.lab.Nodes {
		if twins {
			host := c.members.Members[i].Host
			self := mesh.Self{Namespace: host.Namespace, Pod: host.Pod, Node: n.Name, IPs: host.IPs, MTU: 1500, HostNetwork: true}
			r := c.reflect(n.Space, self, collect.TargetHost)
			wg.Go(func() { c.probe(ctx, n.Space, self, r) })
		}
	}
}

func (c *cluster) within(s *lab.Space) func(func()) {
	return func(open func()) {
		if err := s.Do(func() error { open(); return nil }); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *cluster) reflect(s *lab.Space, self mesh.Self, target string) *probe.Reflector {
	c.t.Helper()
	r := c.answer(s, self, target, mesh.Port, mesh.HTTPPort)
	c.reflectors[self.Pod] = r
	return r
}

func (c *cluster) answer(s *lab.Space, self mesh.Self, target string, port, httpPort uint16) *probe.Reflector {
	c.t.Helper()
	r := &probe.Reflector{
		Identity: probe.Identity{Node: self.Node, Namespace: self.Namespace, Pod: self.Pod, Target: target},
		Keys:     c.keys, Addrs: self.IPs, Port: port, HTTPPort: httpPort, Within: c.within(s),
	}
	if err := r.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Close)
	return r
}

// once gives the members once, as files that never change do.
type once struct{ m *mesh.Membership }

func (o *once) Poll() (*mesh.Membership, error) {
	m := o.m
	o.m = nil
	return m, nil
}

func (c *cluster) probe(ctx context.Context, s *lab.Space, self mesh.Self, r *probe.Reflector) {
	now := func() time.Time { return time.Now().Add(c.skew[self.Node]) }
	key := collect.Key{Namespace: self.Namespace, Pod: self.Pod}
	target := collect.Target{Key: key, UID: "1", Node: self.Node, IPs: self.IPs, HostNetwork: self.HostNetwork, Phase: "Running"}
	c.matrix.Put(target, time.Now())
	a := &probe.Agent{
		Self: self, Now: now, Members: &once{&c.members}, Out: &log{c, target}, Heard: r.Heard,
		Prober: &probe.Prober{Keys: c.keys, Starvation: c.starvation, Now: now, Within: c.within(s)},
	}
	// Once the test has what it wants, nobody may read the last lines in time.
	if err := a.Run(ctx); err != nil && ctx.Err() == nil {
		c.t.Error(err)
	}
}

// log is a probe's standard output, read as a collector does.
type log struct {
	c      *cluster
	target collect.Target
}

func (l *log) Write(b []byte) (int, error) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off[l.target.Node] {
		return len(b), nil
	}
	now := time.Now()
	for text := range bytes.Lines(b) {
		line, dropped, err := collect.Parse(text)
		if err != nil || dropped > 0 {
			c.wrong = append(c.wrong, fmt.Sprintf("line of %s: %v, %d observations dropped: %s", l.target.Node, err, dropped, text))
			continue
		}
		c.matrix.Read(l.target.Key, nil, collect.PathFollow, now)
		if own := c.matrix.Add(l.target.Key, line, collect.PathFollow, now); own != nil {
			c.hear(now, l.target, *own)
		}
	}
	return len(b), nil
}

func (c *cluster) hear(now time.Time, from collect.Target, line probe.Line) {
	c.said += len(line.Observations)
	c.tracker.Observe(now, line.Observations...)
	if !line.Beat {
		return
	}
	if len(line.Tallies) > 0 {
		c.beats[from.Pod]++
	}
	if from.HostNetwork {
		c.tracker.Twin(now)
	} else {
		counts := make([]confirm.Count, len(line.Tallies))
		for i, t := range line.Tallies {
			counts[i] = confirm.Count(t)
		}
		c.tracker.Beat(now, from.Node, counts...)
	}
}

func (c *cluster) switchOff(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off[node] = true
}

// input is what else is known: the cluster's objects and what its repository renders.
func (c *cluster) input(now time.Time) signature.Input {
	var err error
	in := signature.Input{Snapshot: c.lab.Snapshot(), Config: c.config, Rendered: true}
	if c.flux != "" {
		in.Snapshot.Flux = append(in.Snapshot.Flux, snapshot.FluxObject{Kind: "Kustomization", Namespace: "flux-system", Name: "apps", Ready: snapshot.No, Message: c.flux, Source: "Kustomization flux-system/apps"})
	}
	in.Settings, _ = cilium.Effective(c.config)
	in.Start = cilium.CheckStart(c.config)
	in.ModelInput = datapath.Input{Config: in.Config, Snapshot: in.Snapshot}
	if in.Model, err = datapath.New(in.ModelInput); err != nil {
		c.t.Fatal(err)
	}
	in.Analysis = in.Model.Analyse()
	for _, s := range c.matrix.Silent(now) {
		if !s.Probe.Heard.IsZero() {
			in.Silent = append(in.Silent, signature.Silence{Node: s.Probe.Node, Pod: s.Probe.Namespace + "/" + s.Probe.Pod, Since: s.Since, Running: s.Fault(), Why: s.Text})
		}
	}
	return in
}

func (c *cluster) judge() confirm.Judgement {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.tracker.Judge(now, c.input(now))
}

// ready waits until each probe told of exchanges that it made.
func (c *cluster) ready() {
	c.t.Helper()
	for begun := time.Now(); ; time.Sleep(look) {
		c.mu.Lock()
		n, said := len(c.beats), c.said
		c.mu.Unlock()
		if n >= len(c.lab.Nodes) {
			return
		}
		if time.Since(begun) > patience {
			c.t.Fatalf("after %s %d of %d probes told of exchanges; %d observations", patience, n, len(c.lab.Nodes), said)
		}
	}
}

// confirmed are the signatures at fault, each once, and those that are none.
func confirmed(j confirm.Judgement) (faults, mild []string) {
	for _, f := range j.Findings {
		switch {
		case f.Confidence != v1alpha1.ConfidenceConfirmed:
		case f.Severity == v1alpha1.SeverityInfo:
			mild = append(mild, f.Signature)
		default:
			faults = append(faults, f.Signature)
		}
	}
	slices.Sort(faults)
	slices.Sort(mild)
	return slices.Compact(faults), slices.Compact(mild)
}

// explain is what is thought at present, for failures.
func explain(j confirm.Judgement) string {
	var b strings.Builder
	for _, f := range j.Findings {
		fmt.Fprintf(&b, "  %s %s %s %s: %s; lacked %s\n", f.Confidence, f.Signature, f.Family, f.About, f.Summary, strings.Join(f.Lacked, ", "))
		for _, e := range f.Evidence[:min(len(f.Evidence), 3)] {
			fmt.Fprintf(&b, "      %s\n", e.Text)
		}
	}
	for _, f := range j.Pending {
		fmt.Fprintf(&b, "  pending %s %s %s: %s; lacked %s\n", f.Signature, f.Family, f.About, f.Summary, strings.Join(f.Lacked, ", "))
	}
	for _, f := range j.Suppressed {
		fmt.Fprintf(&b, "  suppressed %s %s %s, caused by %s\n", f.Signature, f.Family, f.About, f.CausedBy)
	}
	return b.String()
}
