package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// network feigns exchanges: verdict says what becomes of a check, took how long it
// lasts. It keeps when each began.
type network struct {
	mu      sync.Mutex
	verdict func(c mesh.Check) v1alpha1.Observation
	took    time.Duration
	deaf    bool // to the end of the context
	flying  int
	most    int
	began   []time.Time
	checks  []mesh.Check
}

func (n *network) Do(ctx context.Context, c mesh.Check) v1alpha1.Observation {
	n.mu.Lock()
	n.began, n.checks = append(n.began, time.Now()), append(n.checks, c)
	n.flying++
	n.most = max(n.most, n.flying)
	o := v1alpha1.Observation{
		From: c.From, To: c.To, Via: c.Via, Family: c.Family, Protocol: c.Protocol, Target: c.Target,
		Bytes: c.Bytes, Outcome: v1alpha1.OutcomeOK, SourceSeen: c.From.IP,
	}
	if n.verdict != nil {
		if v := n.verdict(c); v.Outcome != "" {
			o.Outcome, o.Reason, o.Unreliable, o.SourceSeen = v.Outcome, v.Reason, v.Unreliable, v.SourceSeen
		}
	}
	took, deaf := n.took, n.deaf
	n.mu.Unlock()
	select {
	case <-time.After(took):
	case <-done(ctx, deaf):
	}
	n.mu.Lock()
	n.flying--
	n.mu.Unlock()
	return o
}

func done(ctx context.Context, deaf bool) <-chan struct{} {
	if deaf {
		return nil
	}
	return ctx.Done()
}

func (n *network) set(verdict func(c mesh.Check) v1alpha1.Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.verdict = verdict
}

// rate is the most exchanges that began within any second.
func (n *network) rate(since time.Time) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	most := 0
	for i, a := range n.began {
		if a.Before(since) {
			continue
		}
		j := i
		for j < len(n.began) && n.began[j].Sub(a) < time.Second {
			j++
		}
		most = max(most, j-i)
	}
	return most
}

func (n *network) count(from, to time.Time) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := 0
	for _, b := range n.began {
		if !b.Before(from) && b.Before(to) {
			c++
		}
	}
	return c
}

func always(outcome string) func(mesh.Check) v1alpha1.Observation {
	return func(mesh.Check) v1alpha1.Observation { return v1alpha1.Observation{Outcome: outcome} }
}

// state is a membership source that a test sets.
type state struct {
	mu  sync.Mutex
	m   *mesh.Membership
	err error
}

func (s *state) set(m *mesh.Membership, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m, s.err = m, err
}

func (s *state) Poll() (*mesh.Membership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.m, s.err
	s.m, s.err = nil, nil
	return m, err
}

// output is a standard output whose reader can be stopped.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	stop chan struct{} // closed when reading goes on
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	stop := o.stop
	o.mu.Unlock()
	if stop != nil {
		<-stop
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// told are the lines so far, each within its bounds.
func told(t *testing.T, text string) []Line {
	t.Helper()
	var out []Line
	for s := range strings.Lines(text) {
		var l Line
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			t.Fatalf("%q is no line: %v", s, err)
		}
		if len(s) > MaxLine || !strings.HasSuffix(s, "\n") {
			t.Errorf("a line of %d bytes, at most %d", len(s), MaxLine)
		}
		if l.Version != 1 || l.From.Node == "" || l.At.IsZero() || l.Boot == "" {
			t.Errorf("a line without its head: %+v", l)
		}
		out = append(out, l)
	}
	return out
}

func observed(lines []Line) []v1alpha1.Observation {
	var out []v1alpha1.Observation
	for _, l := range lines {
		out = append(out, l.Observations...)
	}
	return out
}

func addrs(format string, args ...any) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, args...))
}

func meshMember(n int) mesh.Member {
	ips := func(last int) []netip.Addr {
		return []netip.Addr{addrs("fd00:101:224:%x::%x", n, last), addrs("10.%d.%d.%d", 101+n>>8, n&255, last)}
	}
	return mesh.Member{
		Node:    fmt.Sprintf("node-%d", n),
		Open:    &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("open-%d", n), IPs: ips(10)},
		Guarded: &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("guarded-%d", n), IPs: ips(11)},
		NodeIPs: []netip.Addr{addrs("fd00:101::%x", n+1), addrs("192.168.%d.%d", n>>8, n&255)},
	}
}

func membership(n int) *mesh.Membership {
	m := mesh.Membership{
		Version: 1, Services: []netip.Addr{addrs("fd00:102::9"), addrs("10.96.0.9")},
		DNS: mesh.DNS{Services: []netip.Addr{addrs("fd00:102::a"), addrs("10.96.0.10")}, Name: "kubernetes.default.svc.cluster.local."},
	}
	for i := range n {
		m.Members = append(m.Members, meshMember(i))
	}
	return &m
}

// rig is an agent in feigned time.
type rig struct {
	net    *network
	state  *state
	out    *output
	agent  *Agent
	cancel context.CancelFunc
	done   chan error
}

func newRig(n int) *rig {
	r := &rig{net: &network{took: time.Millisecond}, state: &state{m: membership(n)}, out: &output{}, done: make(chan error, 1)}
	self := meshMember(0)
	r.agent = &Agent{
		Self:   mesh.Self{Namespace: "remediate-probe", Pod: self.Open.Pod, Node: self.Node, IPs: self.Open.IPs, MTU: 1500},
		Prober: r.net, Members: r.state, Out: r.out,
	}
	return r
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.agent.Run(ctx) }()
}

// end stops the agent and says how long that took.
func (r *rig) end() (time.Duration, error) {
	at := time.Now()
	r.cancel()
	err := <-r.done
	return time.Since(at), err
}

func (r *rig) stop(t *testing.T) []Line {
	t.Helper()
	if _, err := r.end(); err != nil {
		t.Error(err)
	}
	return told(t, r.out.text())
}
