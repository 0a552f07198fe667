package signature

import (
	"net/netip"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// run is how exchanges of one kind went, in the order of time.
type run struct {
	ok, lost int
	// lastOK and lastLost; since is the first loss after lastOK, tail their number.
	lastOK, lastLost, since time.Time
	tail                    int
	// unreachable of the tail were refused by a router and not swallowed.
	unreachable int
	// losses are the moments of losses and recovered those of answers after one;
	// healed is the last after several.
	losses, recovered []time.Time
	healed            time.Time
	last              *Sighting
}

func (r *run) add(how outcome, s *Sighting) {
	r.last = s
	if how != lost {
		if r.tail > 0 {
			r.recovered = append(r.recovered, s.Time)
		}
		if r.tail > 1 {
			r.healed = s.Time
		}
		r.ok, r.lastOK, r.tail, r.unreachable = r.ok+1, s.Time, 0, 0
		return
	}
	if r.tail == 0 {
		r.since = s.Time
	}
	r.lost, r.tail, r.lastLost = r.lost+1, r.tail+1, s.Time
	r.losses = append(r.losses, s.Time)
	if s.Outcome == v1alpha1.OutcomeUnreachable {
		r.unreachable++
	}
}

// forgive losses of the tail up to a moment.
func (r *run) forgive(at time.Time) {
	for r.tail > 0 && !r.since.After(at) {
		r.tail--
		r.unreachable = min(r.unreachable, r.tail)
		if r.tail > 0 {
			r.since = r.losses[len(r.losses)-r.tail]
		}
	}
}

// works at or after a moment, as far as the last exchange tells.
func (r *run) works(after time.Time) bool { return r.ok > 0 && r.tail == 0 && !r.lastOK.Before(after) }

// pair is what happens from one node to another.
type pair struct {
	open, guarded, big run
	// node is the nodes' own network, told by the host twins; toNode is from a pod
	// to a node's address, whose answer needs a way back to the pod.
	node, toNode run
	refused      int
	// masked and own are when a target last saw another address and the pod's own.
	masked, own  time.Time
	maskedSince  time.Time
	maskedCount  int
	maskedSource string
	// unfiltered is when a guarded target last answered who has no right; admitted is
	// an answer of one that does not say what it saw, until it is known how the pod is
	// seen after it.
	unfiltered, admitted *Sighting
	// heard are moments at which a request is known to have arrived, as the other
	// node's probe says of what it lost itself.
	heard []time.Time
	// asked are losses that the other node's probe could have told to have arrived.
	asked []time.Time
}

// underWay is how long an exchange may last.
const underWay = time.Second

// arrived counts requests that reached the other node since the losses began: if
// none was answered, the answers were lost. What was under way when they began does
// not count: its request may have had a way that its answer had no more.
func (p *pair) arrived() int {
	n := 0
	for _, t := range p.heard {
		if p.open.tail > 0 && !t.Before(p.since().Add(underWay)) {
			n++
		}
	}
	return n
}

// wouldTell: the other node's probe would have told by now of a request since the
// losses began, had it arrived: it lost something itself after it.
func (p *pair) wouldTell(back *pair) bool {
	if back == nil || p.open.tail == 0 {
		return false
	}
	return slices.ContainsFunc(p.asked, func(t time.Time) bool {
		return !t.Before(p.since().Add(underWay)) && back.lastLost().After(t)
	})
}

// hear of the reverse pair's requests from a sighting of a loss.
func (p *pair) hear(s *Sighting) {
	const oldest, newest = -time.Minute, 3 * time.Second
	at, err := time.Parse(time.RFC3339Nano, s.At)
	heard, errHeard := time.Parse(time.RFC3339Nano, s.Heard)
	since := heard.Sub(at)
	if err != nil || errHeard != nil || since < oldest || since > newest {
		return
	}
	if t := s.Time.Add(since); !slices.Contains(p.heard, t) {
		p.heard = append(p.heard, t)
	}
}

func (p *pair) add(how outcome, s *Sighting, small int) {
	switch {
	case how == lost && s.Via == viaPodIP && s.Protocol == "UDP" && s.Target == v1alpha1.TargetOpen && !s.HostNetwork:
		p.asked = append(p.asked, s.Time)
	}
	switch {
	case s.Via == viaNodeIP && s.HostNetwork:
		p.node.add(how, s)
	case s.Via == viaNodeIP:
		p.toNode.add(how, s)
	case s.HostNetwork:
		p.filter(how, s, true)
	case s.Target == "":
	case s.Bytes > small, s.Bytes < 0: // below zero it is full size, whatever that is
		p.big.add(how, s)
		p.source(how, s)
	case s.Outcome == v1alpha1.OutcomeTooBig:
	default:
		p.small(how, s)
	}
}

// small packets tell whether there is a path at all. A lost ping does not: a
// firewall may have its own opinion of those.
func (p *pair) small(how outcome, s *Sighting) {
	if how == lost && s.Protocol == "ICMP" {
		return
	}
	if s.Target == v1alpha1.TargetGuarded {
		p.guarded.add(how, s)
		p.filter(how, s, how == answered && s.SourceSeen != "" && !sameAddress(s.SourceSeen, s.From.IP))
	} else {
		p.open.add(how, s)
	}
	if how == refused {
		p.refused++
	}
	p.source(how, s)
}

// filter judges whether a guarded target's policy is enforced: it drops what comes
// with a node's address.
func (p *pair) filter(how outcome, s *Sighting, nodes bool) {
	switch {
	case s.Target != v1alpha1.TargetGuarded:
	case how == lost:
		p.unfiltered, p.admitted = nil, nil
	case how == answered && nodes:
		p.unfiltered = s
	case how == answered && s.SourceSeen == "" && p.masked.After(p.own):
		p.admitted = s
	}
}

// source judges the address that the target saw.
func (p *pair) source(how outcome, s *Sighting) {
	switch {
	case how != answered || s.SourceSeen == "" || s.From.IP == "":
	case sameAddress(s.SourceSeen, s.From.IP):
		p.own, p.admitted = s.Time, nil
		p.maskedCount, p.maskedSince = 0, time.Time{}
	default:
		if p.admitted != nil {
			p.unfiltered, p.admitted = p.admitted, nil
		}
		if p.maskedCount == 0 {
			p.maskedSince = s.Time
		}
		p.masked, p.maskedSource = s.Time, s.SourceSeen
		p.maskedCount++
	}
}

func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// lost: nothing of what the pair tried since its last answer came back. The two
// targets of a node are pods of their own, so that one that is gone is no
// lost path.
func (p *pair) lost() bool {
	if p.open.tail == 0 || p.guarded.works(p.open.since) || p.big.works(p.open.since) {
		return false
	}
	if p.guarded.ok+p.guarded.lost > 0 && p.guarded.tail == 0 {
		return p.open.tail >= 3 // the answer of the guarded one is older than the losses
	}
	return p.open.tail+p.guarded.tail >= 2
}

func (p *pair) since() time.Time {
	if p.guarded.tail > 0 && p.guarded.since.Before(p.open.since) && p.guarded.since.After(p.open.lastOK) {
		return p.guarded.since
	}
	return p.open.since
}

func (p *pair) lastLost() time.Time {
	if p.guarded.lastLost.After(p.open.lastLost) {
		return p.guarded.lastLost
	}
	return p.open.lastLost
}

// alive is when something last came back; zero when the last did not.
func (p *pair) alive() time.Time {
	var t time.Time
	for _, r := range []*run{&p.open, &p.guarded, &p.big} {
		if r.tail == 0 && r.lastOK.After(t) {
			t = r.lastOK
		}
	}
	return t
}

func (p *pair) tail() int { return p.open.tail + p.guarded.tail }
