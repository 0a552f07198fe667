//go:build linux

package cilium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Flow is a first packet of a new connection, and its answer.
type Flow struct {
	From, To *Host
	// Service: it is sent to the service's ClusterIP, and To is the backend.
	Service *Service
	// Addr is where it is sent to; invalid for the service's or To's address of the
	// family.
	Addr netip.Addr
	// Family is cidr.IPv4 or cidr.IPv6; Protocol ICMP, TCP or UDP.
	Family, Protocol string
	// Port is 0 for the one that peers answer at.
	Port int
	// Size is the payload in bytes, sent with don't-fragment.
	Size int
}

// Observation is what became of a flow.
type Observation struct {
	// Result is [Reached], [TurnedAway] or [Lost]; Error says what the sender was told.
	Result, Error string
	// SourceSeen is the source address that arrived at the receiver; when the packet
	// did not get there, the one that the receiver's node dropped.
	SourceSeen netip.Addr
	Source     datapath.SourceKind
	// Arrived: the receiver got the packet, whether or not its answer came back.
	Arrived bool
	// Identity of the sender on the receiver's node: "pod" for that of its own pod,
	// or a reserved name; empty when nothing says it.
	Identity string
	// Verdict at the receiver and Egress at the sender are "allow", "deny" and so on,
	// empty without a verdict event.
	Verdict, Egress string
	// DropReason is Cilium's name, wherever it was dropped; DroppedAt is the node.
	DropReason, DroppedAt string
	// MasqueradeBy is off when the source is the sender's own, and empty when nothing
	// says it or the sender is no pod.
	MasqueradeBy cilium.Masquerade
	// Evidence are lines of monitors, NAT and connection tracking.
	Evidence []string
}

const (
	// answerTime is how long an answer may take, and streamTime that to more bytes than
	// one packet holds, of which some may have to be sent again.
	answerTime = 1500 * time.Millisecond
	streamTime = 15 * time.Second
	onePacket  = 10000
	// eventTime is how long a monitor may take to print what the kernel did.
	eventTime = time.Second
	// firstSource is the first source port; node ports begin at 30000, which is above
	// what a test uses.
	firstSource = 10000
	lastSource  = 29999
	maxEvidence = 6
)

// Send sends a flow and says what became of it. Calls may run at the same time.
func (c *Cluster) Send(ctx context.Context, f Flow) (Observation, error) {
	switch {
	case f.Addr.IsValid():
	case f.Service != nil:
		f.Addr = f.Service.IP(f.Family)
	default:
		f.Addr = f.To.IP(f.Family)
	}
	if f.Port == 0 {
		f.Port = map[string]int{"TCP": TCPPort, "UDP": UDPPort}[f.Protocol]
	}
	from := f.From.IP(f.Family)
	if !from.IsValid() || !f.Addr.IsValid() || cidr.Family(f.Addr) != f.Family {
		return Observation{}, fmt.Errorf("flow from %s to %s: one of them has no %s address", f.From.Name, f.To.Name, f.Family)
	}
	// What arrives is told apart by receiver, protocol and family.
	turn := c.turn(f)
	turn.Lock()
	defer turn.Unlock()
	if _, err := f.To.talk(ctx); err != nil { // it answers, and it watches
		return Observation{}, err
	}
	s := &sent{Flow: f, cluster: c, from: from, source: c.nextSource(), began: time.Now()}
	local := from
	if n := c.nodeOf(f.From); n != nil && n.Host == f.From {
		local = netip.Addr{} // a node has several addresses, and the kernel chooses
	}
	q := question{Protocol: f.Protocol, From: local, To: f.Addr, Port: f.Port, Source: s.source, Size: f.Size, Within: answerTime}
	if f.Size > onePacket {
		q.Within = streamTime
	}
	a, err := f.From.ask(ctx, q)
	if err != nil {
		return Observation{}, err
	}
	s.out.Result, s.out.Error = a.Result, a.Error
	return s.observe(ctx)
}

func (c *Cluster) turn(f Flow) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := f.To.Space.Name + " " + f.Protocol + " " + f.Family
	if c.hears[key] == nil {
		c.hears[key] = &sync.Mutex{}
	}
	return c.hears[key]
}

func (c *Cluster) nextSource() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ports++
	return firstSource + c.ports%(lastSource-firstSource)
}

// sent is a flow that is being looked at.
type sent struct {
	Flow
	cluster *Cluster
	from    netip.Addr
	source  int
	began   time.Time
	out     Observation
}

func (s *sent) observe(ctx context.Context) (Observation, error) {
	if err := s.arrival(ctx); err != nil {
		return s.out, err
	}
	// The receiver's node has something to say of every flow that got that far.
	for deadline := time.Now().Add(eventTime); ; time.Sleep(pollEvery) {
		s.readEvents()
		if s.out.Identity != "" || time.Now().After(deadline) {
			break
		}
	}
	s.out.Source = s.kind(s.out.SourceSeen)
	return s.out, s.masquerade(ctx)
}

// arrival asks the receiver what came.
func (s *sent) arrival(ctx context.Context) error {
	// The packet may have been answered before it is captured.
	for deadline := time.Now().Add(eventTime); ; time.Sleep(pollEvery) {
		a, err := s.To.ask(ctx, question{Since: s.began})
		if err != nil {
			return err
		}
		s.captured(a.Seen)
		if s.out.Arrived || s.out.Result != Reached || time.Now().After(deadline) {
			return nil
		}
	}
}

func (s *sent) captured(seen []packet) {
	for _, p := range seen {
		if p.Protocol == s.Protocol && (s.Protocol == "ICMP" || s.toPort() == p.ToPort) && p.To == s.finalAddr() && s.kind(p.From) != datapath.SourceUnknown {
			s.out.Arrived, s.out.SourceSeen = true, p.From
			return
		}
	}
}

// toPort is the receiver's: behind a service it is that of the peer.
func (s *sent) toPort() int {
	if s.Service == nil {
		return s.Port
	}
	return map[string]int{"TCP": TCPPort, "UDP": UDPPort}[s.Protocol]
}

// kind says whose an address is.
func (s *sent) kind(a netip.Addr) datapath.SourceKind {
	p, n := s.cluster.podOf(s.From), s.cluster.nodeOf(s.From)
	switch {
	case !a.IsValid():
	case p != nil && slices.Contains(s.From.Addrs, a):
		return datapath.SourcePod
	case n != nil && slices.Contains(n.Addrs, a):
		return datapath.SourceNode
	case n != nil && slices.Contains(n.routers, a):
		return datapath.SourceRouter
	case n == nil && slices.Contains(s.From.Addrs, a):
		return datapath.SourceOutside
	}
	return datapath.SourceUnknown
}

// readEvents takes identity, verdicts and drops from the monitors.
func (s *sent) readEvents() {
	from, to := s.cluster.nodeOf(s.From), s.cluster.nodeOf(s.To)
	s.out.Evidence = nil
	if from != nil {
		for _, e := range s.events(from) {
			if e.Kind == "verdict" && e.Direction == "egress" {
				s.out.Egress = e.Action
			}
			s.dropped(from, e)
		}
	}
	if to == nil || to == from && s.out.Egress == "deny" {
		return // it did not get as far as the receiver
	}
	for _, e := range s.events(to) {
		s.dropped(to, e)
		if e.Kind == "verdict" && e.Direction == "ingress" {
			s.out.Verdict = e.Action
		}
		if !s.out.SourceSeen.IsValid() && e.Kind != "trace" {
			s.out.SourceSeen = e.From.Addr()
		}
		if s.tells(e) {
			s.out.Identity = s.identity(to, e.Identity)
		}
		if len(s.out.Evidence) < maxEvidence {
			s.out.Evidence = append(s.out.Evidence, to.Name+": "+e.Text)
		}
	}
}

// tells says whether an event states the identity that the receiver's node took the
// sender for: at the receiver's own end, or, for a node, anywhere.
func (s *sent) tells(e Event) bool {
	switch e.Kind {
	case "verdict":
		return e.Direction == "ingress"
	case "drop":
		return true
	}
	if s.cluster.podOf(s.To) == nil {
		return e.Identity != "unknown" && e.Identity != "0"
	}
	return e.Point == "-> endpoint"
}

func (s *sent) dropped(n *Node, e Event) {
	if e.Kind == "drop" {
		s.out.DropReason, s.out.DroppedAt = e.Reason, n.Name
	}
}

// events are those of this flow's first direction on a node.
func (s *sent) events(n *Node) (out []Event) {
	for _, e := range n.Events(s.began) {
		toPort := s.Protocol == "ICMP" || int(e.To.Port()) == s.toPort()
		fromPort := s.Protocol == "ICMP" || int(e.From.Port()) == s.source || e.From.Addr() != s.from
		if e.Protocol == s.Protocol && toPort && fromPort && e.To.Addr() == s.finalAddr() && s.kind(e.From.Addr()) != datapath.SourceUnknown {
			out = append(out, e)
		}
	}
	return out
}

// identity is "pod" for the sender's own, whose number says nothing to a model.
// Several numbers may stand for the same labels. What a policy names by its CIDR has a
// number of its own, and is called by its reserved label.
func (s *sent) identity(at *Node, text string) string {
	p := s.cluster.podOf(s.From)
	number, err := strconv.ParseInt(text, 10, 64)
	if err == nil && p != nil && (number == p.Identity || p.Node.sameLabels(number, p.Identity) || p.Node.sameLabels(number, p.Node.identityOf(p))) {
		return "pod"
	}
	if err == nil {
		text = cmp.Or(at.reserved(number), text)
	}
	if strings.HasPrefix(text, "world-") { // the family is the flow's
		return "world"
	}
	return text
}

// masquerade says who changed the source, if anybody did.
func (s *sent) masquerade(ctx context.Context) error {
	n := s.cluster.nodeOf(s.From)
	switch {
	case n == nil, n.Host == s.From:
		return nil
	case s.out.Source == datapath.SourcePod:
		s.out.MasqueradeBy = cilium.MasqueradeOff
		return nil
	}
	t, err := n.masqueraded(ctx, s.Protocol, s.from, s.finalAddr(), s.source)
	if t == nil || err != nil {
		return err
	}
	s.out.MasqueradeBy = t.By
	if !s.out.SourceSeen.IsValid() {
		s.out.SourceSeen, s.out.Source = t.Source, s.kind(t.Source)
	}
	s.out.Evidence = append(s.out.Evidence, n.Name+": "+t.Text)
	return nil
}

// finalAddr is the receiver's address, behind a service that of the backend.
func (s *sent) finalAddr() netip.Addr {
	if s.Service == nil {
		return s.Addr
	}
	return s.To.IP(s.Family)
}

// podOf is the pod whose end this is, nil for others.
func (c *Cluster) podOf(h *Host) *Pod {
	for _, p := range c.Pods() {
		if p.Host == h {
			return p
		}
	}
	return nil
}

// nodeOf is the node that an end is or is on, nil for hosts outside.
func (c *Cluster) nodeOf(h *Host) *Node {
	for _, n := range c.Nodes {
		if n.Host == h {
			return n
		}
	}
	if p := c.podOf(h); p != nil {
		return p.Node
	}
	return nil
}

// SendAll sends flows at the same time, as many as the machine takes well, and returns
// what became of each.
func (c *Cluster) SendAll(ctx context.Context, flows ...Flow) ([]Observation, error) {
	const together = 16
	out := make([]Observation, len(flows))
	errs := make([]error, len(flows))
	gate := make(chan struct{}, together)
	var wg sync.WaitGroup
	for i, f := range flows {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			out[i], errs[i] = c.Send(ctx, f)
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}
