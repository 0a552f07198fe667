package verify

import (
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Probes are what probes said since a moment.
type Probes struct {
	// Listening: somebody listens to them.
	Listening bool
	// From is since when exchanges are counted.
	From time.Time
	// Senders, one for each node that was heard or should be, by name.
	Senders []Sender
	// Confirmed are the findings that probes confirm now.
	Confirmed []Confirmed
}

// Sender is one node's probe, as the one that makes connections: a cure takes
// effect at the sender.
type Sender struct {
	Node string
	// Heard is when it last said something; zero when never.
	Heard time.Time
	// Silent is why nothing is heard of it; empty when it is heard.
	Silent string
	Counts []ClassCount
}

// Confirmed is a finding with when observations supported it.
type Confirmed struct {
	Cause
	Summary string
	// Critical: traffic is dropped, and no other finding explains it.
	Critical bool
	// Since and Last are the times of the oldest and the newest observation.
	Since, Last time.Time
	// Nodes that it concerns, senders and targets.
	Nodes []string
}

// Recorder adds up what probes say: for a [Baseline] before a change, for
// [Probes] after it. It keeps sums, no lines, so that 5,000 probes cost a few
// megabytes. The zero value is ready. It is not safe for concurrent use.
type Recorder struct {
	from    time.Time
	senders map[string]*sender
	pairs   map[Pair]bool
	// more counts pairs beyond maxPairs.
	more int
}

type sender struct {
	// heard at all, and the last heartbeat: its counts are of the time since then.
	heard, beat time.Time
	counts      map[Class]*Count
}

const (
	// maxPairs bounds how many broken pairs are told apart.
	maxPairs = 4096
	// maxSenders is how many members a mesh has at most.
	maxSenders = 20_000
	// late is how long a line may take from the probe to here.
	late = 2 * time.Minute
)

// Reset begins to count anew from at on. What a probe counted over that moment is
// left out.
func (r *Recorder) Reset(at time.Time) {
	r.from, r.pairs, r.more = at, nil, 0
	for _, s := range r.senders {
		s.counts = nil
	}
}

// From is since when it counts.
func (r *Recorder) From() time.Time { return r.from }

// Members says which nodes take part; the others are forgotten.
func (r *Recorder) Members(nodes []string) {
	keep := map[string]bool{}
	for _, n := range nodes {
		keep[n] = true
	}
	maps.DeleteFunc(r.senders, func(n string, _ *sender) bool { return !keep[n] })
	maps.DeleteFunc(r.pairs, func(p Pair, _ bool) bool { return !keep[p.From] || !keep[p.To] })
}

func (r *Recorder) sender(node string) *sender {
	s := r.senders[node]
	if s == nil && node != "" && len(r.senders) < maxSenders {
		if r.senders == nil {
			r.senders = map[string]*sender{}
		}
		s = &sender{}
		r.senders[node] = s
	}
	return s
}

// Beat takes a heartbeat of the probe of a node in the pod network, said at a time of
// the node's clock and heard at now: what it counted since its last one. What was said
// before counting began and is heard late, as all is that was said while the API server
// was away, does not count.
func (r *Recorder) Beat(now, at time.Time, node string, counts ...ClassCount) {
	s := r.sender(node)
	if s == nil {
		return
	}
	last, said := s.beat, now
	if r.early(now, at) {
		said = at
	}
	s.heard, s.beat = latest(s.heard, now), latest(s.beat, said)
	if said.Before(r.from) || last.IsZero() || last.Before(r.from) {
		return
	}
	for _, c := range counts {
		if c.OK < 0 || c.Masked < 0 || c.Lost < 0 || c.NotChecked < 0 {
			continue
		}
		if n := s.of(c.Class); n != nil {
			*n = n.add(Count{OK: c.OK, Masked: c.Masked, Lost: c.Lost, NotChecked: c.NotChecked})
			n.note(now, c.OK > 0, c.Lost+c.masked() > 0)
		}
	}
}

// masked are those whose source address says something: that of a flow by way of a
// Service may be translated.
func (c ClassCount) masked() int {
	if c.Via != podIP {
		return 0
	}
	return c.Masked
}

func (s *sender) of(c Class) *Count {
	n := s.counts[c]
	if n == nil && len(s.counts) < maxClasses {
		if s.counts == nil {
			s.counts = map[Class]*Count{}
		}
		n = &Count{}
		s.counts[c] = n
	}
	return n
}

func (c *Count) note(now time.Time, ok, bad bool) {
	if ok {
		c.LastOK = latest(c.LastOK, now)
	}
	if bad {
		c.FirstBad, c.LastBad = earliest(c.FirstBad, now), latest(c.LastBad, now)
	}
}

// Observe takes what probes told at once, heard at now: failures and recoveries.
// They are counted by the next heartbeat; here they only date it.
func (r *Recorder) Observe(now time.Time, observations ...v1alpha1.Observation) {
	for _, o := range observations {
		s := r.sender(o.From.Node)
		if s == nil || o.HostNetwork || o.Unreliable || o.Outcome == v1alpha1.OutcomeNotChecked {
			continue
		}
		s.heard = latest(s.heard, now)
		if now.Before(r.from) || r.before(now, o) {
			continue
		}
		masked := o.Via == podIP && o.SourceSeen != "" && o.SourceSeen != o.From.IP
		bad := o.Outcome != v1alpha1.OutcomeOK || masked
		if n := s.of(ClassOf(o)); n != nil {
			n.note(now, !bad, bad)
		}
		r.pair(o, bad, masked)
	}
}

// before: it was seen before counting began and told late. A clock that is further
// off than a line takes on its way is not believed.
func (r *Recorder) before(now time.Time, o v1alpha1.Observation) bool {
	at, err := time.Parse(time.RFC3339Nano, o.At)
	return err == nil && r.early(now, at)
}

func (r *Recorder) early(now, at time.Time) bool { return at.Before(r.from) && now.Sub(at) < late }

func (r *Recorder) pair(o v1alpha1.Observation, bad, masked bool) {
	if o.Via != podIP || o.To.Node == "" || o.To.Node == o.From.Node {
		return
	}
	p := Pair{From: o.From.Node, To: o.To.Node, Family: o.Family, Target: o.Target}
	if !bad {
		delete(r.pairs, p)
		p.Masked = true
		delete(r.pairs, p)
		return
	}
	p.Masked = masked
	switch {
	case r.pairs[p]:
	case len(r.pairs) >= maxPairs:
		r.more++
	default:
		if r.pairs == nil {
			r.pairs = map[Pair]bool{}
		}
		r.pairs[p] = true
	}
}

// ClassOf is the class of one exchange.
func ClassOf(o v1alpha1.Observation) Class {
	return Class{Via: o.Via, Family: o.Family, Protocol: o.Protocol, Target: o.Target, SameNode: o.To.Node != "" && o.From.Node == o.To.Node}
}

// Probes are what was counted. Silent says by node why nothing is heard of it: of
// nodes that should be heard and are not.
func (r *Recorder) Probes(silent map[string]string, confirmed []Confirmed) Probes {
	out := Probes{Listening: true, From: r.from, Confirmed: confirmed}
	nodes := map[string]bool{}
	for n := range r.senders {
		nodes[n] = true
	}
	for n := range silent {
		nodes[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(nodes)) {
		x := Sender{Node: n, Silent: silent[n]}
		if s := r.senders[n]; s != nil {
			x.Heard, x.Counts = s.heard, s.sums()
		}
		out.Senders = append(out.Senders, x)
	}
	return out
}

func (s *sender) sums() []ClassCount {
	out := make([]ClassCount, 0, len(s.counts))
	for c, n := range s.counts {
		out = append(out, ClassCount{c, *n})
	}
	slices.SortFunc(out, func(a, b ClassCount) int { return a.compare(b.Class) })
	return out
}

// Baseline is what was counted until now, with the findings that are confirmed.
func (r *Recorder) Baseline(now time.Time, confirmed []Cause) Baseline {
	b := Baseline{From: r.from, To: now, Confirmed: confirmed, BrokenPairs: len(r.pairs) + r.more}
	sums := map[Class]Count{}
	for _, s := range r.senders {
		b.Nodes++
		for _, c := range s.sums() {
			sums[c.Class] = sums[c.Class].add(c.Count)
		}
	}
	for c, n := range sums {
		if n.tried() == 0 && !n.LastBad.IsZero() {
			n.Lost = 1 // told of, and not counted by a heartbeat yet
		}
		b.Classes = append(b.Classes, ClassCount{c, n})
	}
	for p := range r.pairs {
		b.Broken = append(b.Broken, p)
	}
	return b.Bounded()
}

// total adds up a class over all senders.
func (p Probes) total(c Class) Count {
	var out Count
	for _, s := range p.Senders {
		out = out.add(s.count(c))
	}
	return out
}

func (s Sender) count(c Class) Count {
	for _, x := range s.Counts {
		if x.Class == c {
			return x.Count
		}
	}
	return Count{}
}

// classes are all that any sender tried.
func (p Probes) classes() []Class {
	seen := map[Class]bool{}
	for _, s := range p.Senders {
		for _, c := range s.Counts {
			seen[c.Class] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), Class.compare)
}
