package collect

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Key names a probe's pod.
type Key struct{ Namespace, Pod string }

// Target is a probe's pod as the API server tells of it.
type Target struct {
	Key
	UID  types.UID
	Node string
	// IPs are status.podIPs.
	IPs         []netip.Addr
	HostNetwork bool
	// Phase of the pod, Waiting is why its container does not run, Deleted that
	// its end was asked for.
	Phase, Waiting string
	Deleted        bool
}

// Path is how a probe was read last.
type Path string

// Paths.
const (
	PathNone   Path = ""
	PathFollow Path = "follow" // a stream of the pod's log
	PathPoll   Path = "poll"   // the pod's log, in rotation
	PathDirect Path = "direct" // the probe itself over the network
)

// Limits bound a [Matrix]. Zero values are the defaults.
type Limits struct {
	// Flows of all probes together; 240,000, about 25 MB. Each probe has its
	// share, at least 32 and at most 1,024.
	Flows int
	// Recent observations that are kept for [Matrix.Since]; 20,000, about 2 MB.
	Recent int
	// Forget is how long a flow is kept that is not spoken of again, and a
	// probe that is gone; 15 minutes.
	Forget time.Duration
	// Beat is how often a probe says that it lives; 10 s.
	Beat time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Flows: cmp.Or(l.Flows, 240_000), Recent: cmp.Or(l.Recent, 20_000),
		Forget: cmp.Or(l.Forget, 15*time.Minute), Beat: cmp.Or(l.Beat, 10*time.Second),
	}
}

// Matrix is the latest of what the probes of a cluster said. Its methods may be
// called at the same time. The zero value is not ready: use [NewMatrix].
type Matrix struct {
	limits Limits

	mu     sync.RWMutex
	probes map[Key]*state
	nodes  map[string]Node
	// recent is a ring; next is the number of observations ever put into it.
	recent []flow
	next   uint64
	api    apiState
}

// NewMatrix makes an empty one.
func NewMatrix(l Limits) *Matrix {
	return &Matrix{limits: l.withDefaults(), probes: map[Key]*state{}, nodes: map[string]Node{}}
}

// Counts are what became of a probe's lines.
type Counts struct {
	Lines      uint64 `json:"lines"`
	Duplicates uint64 `json:"duplicates,omitempty"`
	Missing    uint64 `json:"missing,omitempty"`    // numbers that were never read
	Unparsable uint64 `json:"unparsable,omitempty"` // no line, or longer than a line may be
	Foreign    uint64 `json:"foreign,omitempty"`    // lines and observations in another's name
	Senseless  uint64 `json:"senseless,omitempty"`  // observations that say nothing
	Evicted    uint64 `json:"evicted,omitempty"`    // flows beyond the probe's share
	Restarts   uint64 `json:"restarts,omitempty"`   // boots after the first
	Talkative  uint64 `json:"talkative,omitempty"`  // times it wrote more than is read
}

// state is what is known of one probe.
type state struct {
	target Target
	gone   time.Time // since when there is no such pod

	boots [2]seen // this boot and the one before
	added time.Time
	heard time.Time // our clock, when something new was read
	said  time.Time // its clock, of the newest line
	read  time.Time // our clock, when reading it last succeeded to the end
	wrong string    // why it could not be read; empty when it could
	path  Path

	counts  Counts
	members string
	size    int
	delay   int
	tallies []tally
	beaten  time.Time // its clock, of the last heartbeat
	notes   []string  // of the last line that had any
	noted   time.Time
	flows   []flow
	follows bool // the last line came right after the one before, or is a boot's first
	full    bool // the last line was part of a Full, and whole that none of it is missing
	whole   bool
	fullAt  int64
	skew    skew
}

// Put adds or updates a probe's pod. A pod of the same name with another UID is
// another pod: what its predecessor said is forgotten.
func (m *Matrix) Put(t Target, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.probes[t.Key]
	if s == nil || s.target.UID != t.UID {
		s = &state{added: now}
		m.probes[t.Key] = s
	}
	s.target, s.gone = t, time.Time{}
}

// Gone says that the API server has no such pod any more.
func (m *Matrix) Gone(k Key, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.probes[k]; s != nil && s.gone.IsZero() {
		s.gone, s.flows = now, nil
	}
}

// Expire forgets what is older than [Limits.Forget].
func (m *Matrix) Expire(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := now.Add(-m.limits.Forget)
	for k, s := range m.probes {
		if !s.gone.IsZero() && s.gone.Before(old) {
			delete(m.probes, k)
			continue
		}
		s.flows = slices.DeleteFunc(s.flows, func(f flow) bool { return f.at < old.UnixNano() })
	}
}

// Add takes a line that a probe is said to have written and returns what of it is
// new and its own to say; nil when nothing is. A line counts once, however often and
// in whichever order it is read.
func (m *Matrix) Add(k Key, line probe.Line, path Path, now time.Time) *probe.Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.probes[k]
	if s == nil {
		return nil
	}
	if !s.target.speaksFor(line.From, line.HostNetwork) {
		s.counts.Foreign++
		return nil
	}
	if !s.number(line) {
		s.counts.Duplicates++
		return nil
	}
	s.skew.note(now, line.At, path)
	s.counts.Lines++
	s.heard, s.path, s.wrong = now, path, ""
	if line.At.After(s.said) {
		s.said = line.At
		s.members, s.size, s.delay = unique.Make(line.Members).Value(), line.Nodes, line.Delay
	}
	s.beat(line)
	if len(line.Notes) > 0 {
		s.notes, s.noted = line.Notes, line.At
	}
	m.observe(s, &line, now)
	return &line
}

// again counts a line that was read before.
func (m *Matrix) again(k Key, boot string, seq uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.probes[k]
	if s == nil {
		return false
	}
	at := slices.IndexFunc(s.boots[:], func(b seen) bool { return b.boot == boot })
	if at < 0 || !s.boots[at].has(seq) {
		return false
	}
	s.counts.Duplicates++
	return true
}

// beat keeps the tallies of the last heartbeat. A long one is several lines of one time.
func (s *state) beat(line probe.Line) {
	if !line.Beat || line.At.Before(s.beaten) {
		return
	}
	if line.At.After(s.beaten) {
		s.tallies, s.beaten = nil, line.At
	}
	s.tallies = append(s.tallies, packTallies(line.Tallies)...)
	s.tallies = slices.Clip(s.tallies[:min(len(s.tallies), maxTally)])
}

// number says whether the line was not read before.
func (s *state) number(line probe.Line) bool {
	at := slices.IndexFunc(s.boots[:], func(b seen) bool { return b.boot == line.Boot })
	if at < 0 {
		if s.boots[0].boot != "" {
			s.counts.Restarts++
		}
		s.boots[1], s.boots[0] = s.boots[0], seen{boot: unique.Make(line.Boot).Value()}
		at, s.full = 0, false
	}
	late := line.Seq < s.boots[at].top
	s.follows = line.Seq == s.boots[at].top+1
	fresh, skipped := s.boots[at].add(line.Seq)
	s.counts.Missing += skipped
	if fresh && late && s.counts.Missing > 0 {
		s.counts.Missing--
	}
	return fresh
}

// observe keeps the line's observations, and sets what they leave open.
func (m *Matrix) observe(s *state, line *probe.Line, now time.Time) {
	current := line.Boot == s.boots[0].boot
	if current {
		s.fullLine(line, now)
	}
	kept := line.Observations[:0]
	for _, o := range line.Observations {
		if o.HostNetwork != s.target.HostNetwork || !s.target.speaksFor(o.From, s.target.HostNetwork) {
			s.counts.Foreign++
			continue
		}
		at := s.skew.correct(said(o, line.At), now)
		o.From = v1alpha1.Endpoint{Namespace: s.target.Namespace, Pod: s.target.Pod, Node: s.target.Node, IP: s.target.from(o)}
		f := flowOf(o, at)
		f.full = line.Full
		if current && !m.keep(s, f) {
			s.counts.Evicted++
		}
		m.remember(f)
		kept = append(kept, f.observation())
	}
	line.Observations = kept
}

// said is when the observation was made by the prober's clock: not after the line.
func said(o v1alpha1.Observation, line time.Time) time.Time {
	at, err := time.Parse(time.RFC3339Nano, o.At)
	if err != nil || at.After(line) {
		return line
	}
	return at
}

// fullLine: what a Full did not tell again, although it was wrong before, is over,
// if every line of it was read.
func (s *state) fullLine(line *probe.Line, now time.Time) {
	whole := s.follows
	switch {
	case line.Full && !s.full:
		s.whole = whole
		s.fullAt = s.skew.correct(line.At, now).UnixNano()
		for i := range s.flows {
			s.flows[i].full = false
		}
	case line.Full:
		s.whole = s.whole && whole
	case s.full && s.whole && whole:
		s.flows = slices.DeleteFunc(s.flows, func(f flow) bool { return f.deviates && !f.full && f.at < s.fullAt })
	}
	s.full = line.Full
}

// keep puts the flow in its place. It is false when a flow had to go for it.
func (m *Matrix) keep(s *state, f flow) bool {
	at, found := slices.BinarySearchFunc(s.flows, f.key, func(f flow, k flowKey) int { return f.key.compare(k) })
	if found {
		if s.flows[at].at <= f.at {
			s.flows[at] = f
		}
		return true
	}
	room := len(s.flows) < m.share()
	if !room {
		drop := leastWorth(s.flows)
		s.flows = slices.Delete(s.flows, drop, drop+1)
		if drop < at {
			at--
		}
	}
	if len(s.flows) == cap(s.flows) {
		s.flows = append(make([]flow, 0, len(s.flows)+8), s.flows...)
	}
	s.flows = slices.Insert(s.flows, at, f)
	return room
}

// share is how many flows a probe may have.
func (m *Matrix) share() int {
	return min(max(m.limits.Flows/max(len(m.probes), 1), 32), 1024)
}

// leastWorth is the flow to give up first: one that is well before one that is not,
// the older first.
func leastWorth(flows []flow) int {
	worst := 0
	for i, f := range flows {
		w := flows[worst]
		if f.deviates != w.deviates && !f.deviates || f.deviates == w.deviates && f.at < w.at {
			worst = i
		}
	}
	return worst
}

func (m *Matrix) remember(f flow) {
	if len(m.recent) < m.limits.Recent {
		m.recent = append(m.recent, f)
	} else {
		m.recent[m.next%uint64(len(m.recent))] = f
	}
	m.next++
}

// speaksFor says whether an end of a flow is this pod. What is left out is no claim.
func (t Target) speaksFor(e v1alpha1.Endpoint, host bool) bool {
	own := func(said, is string) bool { return said == "" || said == is }
	if host != t.HostNetwork || !own(e.Namespace, t.Namespace) || !own(e.Pod, t.Pod) || !own(e.Node, t.Node) {
		return false
	}
	return e.IP == "" || len(t.IPs) == 0 || slices.Contains(t.IPs, addr(e.IP))
}

// from is the prober's address: said, or the one of the family.
func (t Target) from(o v1alpha1.Observation) string {
	if o.From.IP != "" {
		return o.From.IP
	}
	for _, ip := range t.IPs {
		if ip.Is4() == (o.Family == cidr.IPv4) {
			return ip.String()
		}
	}
	return ""
}
