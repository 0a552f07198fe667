package confirm

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Limits of a [Tracker]. A probe says at most 20 things a second for 10 seconds
// after a failure and far fewer afterwards, so that its last ones reach back over
// the failure and what came before.
const (
	perProber = 400
	overall   = 60_000
	// beatsKept of each probe are a minute and a half at one in 10 s.
	beatsKept = 9
	// skewed is how far a probe's clock, less the way of its words, may be off
	// before it is corrected.
	skewed = 20 * time.Second
	// clears is how long a confirmed finding outlives its support, so that it does
	// not come and go with each lost packet.
	clears = 15 * time.Second
	// remembered is how long a finding that went counts as the same one.
	remembered = 10 * time.Minute
	// gap is the longest pause between two judgements over which support counts as lasting.
	gap = 30 * time.Second
	// twinsLive is how long a twin's heartbeat says that there are any.
	twinsLive = 30 * time.Second
)

// Tracker keeps a window of observations and the life of findings. The zero
// value is ready. It is not safe for concurrent use.
type Tracker struct {
	// Window is how long an observation counts that is not repeated; 0 means
	// [signature.Window].
	Window time.Duration
	// Most is how many observations of all probes together are kept; 0 means 60,000.
	Most int

	probers map[string]*prober
	kept    int
	members map[string]bool
	lives   map[key]*life
	// twin is when a twin in a node's own network was heard.
	twin time.Time
}

// prober is what the probes of one node said lately.
type prober struct {
	said []saying
	// ahead is the least that arrival was after the time stated: delivery plus
	// the difference of the clocks.
	ahead time.Duration
	timed bool
	// newest time stated: what is newer is no repetition.
	newest time.Time
	beats  []beat
}

type beat struct {
	from, to time.Time
	// families are in order, and few.
	families []familyCount
}

type familyCount struct {
	family           string
	ok, masked, lost int
}

// of is the family's count in a beat, begun when it is missing.
func (b *beat) of(family string) *familyCount {
	i, found := slices.BinarySearchFunc(b.families, family, func(c familyCount, f string) int { return strings.Compare(c.family, f) })
	if !found {
		b.families = slices.Insert(b.families, i, familyCount{family: family})
	}
	return &b.families[i]
}

// Observe adds what probes said, heard at now. What one repeats is kept once.
func (t *Tracker) Observe(now time.Time, observations ...v1alpha1.Observation) {
	for _, o := range observations {
		if o.From.Node == "" || !t.member(o.From.Node) || o.To.Node != "" && !t.member(o.To.Node) {
			continue
		}
		p := t.prober(o.From.Node)
		s := newSaying(o, now)
		if ahead := now.Sub(s.at); s.stated && (!p.timed || ahead < p.ahead) {
			p.ahead, p.timed = ahead, true
		}
		t.keep(p, s)
	}
	t.shrink()
}

func (t *Tracker) prober(node string) *prober {
	if t.probers == nil {
		t.probers = map[string]*prober{}
	}
	p := t.probers[node]
	if p == nil {
		p = &prober{}
		t.probers[node] = p
	}
	return p
}

func (t *Tracker) keep(p *prober, s saying) {
	if s.stated && !s.at.After(p.newest) {
		for i := len(p.said) - 1; i >= 0; i-- {
			if p.said[i].repeats(&s) {
				p.said[i].heard = s.heard
				return
			}
		}
	}
	if len(p.said) >= perProber {
		p.said = slices.Delete(p.said, 0, len(p.said)-perProber+1)
		t.kept = t.count()
	}
	p.said = append(p.said, s)
	if s.stated && s.at.After(p.newest) {
		p.newest = s.at
	}
	t.kept++
}

// Kept is how many observations are remembered at present.
func (t *Tracker) Kept() int { return t.count() }

func (t *Tracker) count() int {
	n := 0
	for _, p := range t.probers {
		n += len(p.said)
	}
	return n
}

// shrink takes from those who said most when all together said too much: a fifth
// more than it must, so that it need not look at all of them for each line.
func (t *Tracker) shrink() {
	most := cmp.Or(t.Most, overall)
	if t.kept <= most {
		return
	}
	share := max(1, most*4/5/len(t.probers))
	for _, p := range t.probers {
		if len(p.said) > share {
			p.said = thin(p.said, share)
		}
	}
	t.kept = t.count()
}

// Beat adds a heartbeat's counts of the probe on a node, heard at now. They are of
// the time since its last heartbeat.
func (t *Tracker) Beat(now time.Time, node string, counts ...Count) {
	if !t.member(node) {
		return
	}
	p := t.prober(node)
	b := beat{from: now.Add(-10 * time.Second), to: now}
	if n := len(p.beats); n > 0 && now.Sub(p.beats[n-1].to) < time.Minute {
		b.from = p.beats[n-1].to
	}
	for _, c := range counts {
		if c.Via != "PodIP" || c.SameNode {
			continue
		}
		total := b.of(c.Family)
		total.ok, total.masked, total.lost = total.ok+max(0, c.OK), total.masked+max(0, c.Masked), total.lost+max(0, c.Lost)
	}
	if len(p.beats) >= beatsKept {
		p.beats = slices.Delete(p.beats, 0, 1)
	}
	p.beats = append(p.beats, b)
}

// Twin notes a heartbeat of a probe in a node's own network, heard at now. Where
// twins live, what they are about to say of the nodes' path is waited for.
func (t *Tracker) Twin(now time.Time) { t.twin = now }

// Members says which nodes take part; what concerns others is forgotten. Nil
// means all that are heard of.
func (t *Tracker) Members(nodes []string) {
	if nodes == nil {
		t.members = nil
		return
	}
	t.members = make(map[string]bool, len(nodes))
	for _, n := range nodes {
		t.members[n] = true
	}
	maps.DeleteFunc(t.probers, func(node string, _ *prober) bool { return !t.members[node] })
	for _, p := range t.probers {
		p.said = slices.DeleteFunc(p.said, func(s saying) bool { to := s.to.Value().Node; return to != "" && !t.members[to] })
	}
	t.kept = t.count()
}

func (t *Tracker) member(node string) bool { return t.members == nil || t.members[node] }

// forget drops what is older than the window and was not repeated.
func (t *Tracker) forget(now time.Time) {
	old := now.Add(-t.window())
	for node, p := range t.probers {
		p.said = slices.DeleteFunc(p.said, func(s saying) bool { return s.heard.Before(old) })
		p.beats = slices.DeleteFunc(p.beats, func(b beat) bool { return b.to.Before(old) })
		if len(p.said) == 0 && len(p.beats) == 0 {
			delete(t.probers, node)
		}
	}
	t.kept = t.count()
}

func (t *Tracker) window() time.Duration {
	if t.Window > 0 {
		return t.Window
	}
	return signature.Window
}

// sightings are all that counts, on one clock.
func (t *Tracker) sightings() []signature.Sighting {
	out := make([]signature.Sighting, 0, t.kept)
	for _, node := range slices.Sorted(maps.Keys(t.probers)) {
		p := t.probers[node]
		var shift time.Duration
		if p.ahead > skewed || p.ahead < 0 {
			shift = p.ahead
		}
		for _, s := range p.said {
			at := s.at
			if s.stated {
				at = at.Add(shift)
			}
			out = append(out, signature.Sighting{Time: at, ProbeObservation: snapshot.ProbeObservation{Observation: s.observation(), Source: "probe on " + node}})
		}
	}
	return out
}

func (t *Tracker) totals() []signature.Total {
	var out []signature.Total
	for _, node := range slices.Sorted(maps.Keys(t.probers)) {
		for _, b := range t.probers[node].beats {
			for _, c := range b.families {
				out = append(out, signature.Total{Node: node, Family: c.family, From: b.from, To: b.to, OK: c.ok, Masked: c.masked, Lost: c.lost})
			}
		}
	}
	return out
}
