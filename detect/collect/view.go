package collect

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/internal/natural"
)

// Probe is what is known of one probe.
type Probe struct {
	Target
	// Boot of the probe as it runs now; empty when it was never heard.
	Boot string
	// Added is when its pod was first seen, Heard when something new was last read
	// of it, Read when reading last succeeded, by our clock; Said is the time of
	// its newest line by its own clock. Zero when it never happened.
	Added, Heard, Read, Said time.Time
	// Gone is since when its pod is no more; zero while it is.
	Gone time.Time
	// Path is how it is read; Wrong says why it could not be.
	Path  Path
	Wrong string
	// Members is the hash of the membership that it uses and Nodes their number.
	Members string
	Nodes   int
	// Delay is its own worst scheduling delay between its last lines, in milliseconds.
	Delay int
	// Skew is how far its clock is behind ours, the line's way included, as far as it
	// is known; negative when it is ahead.
	Skew time.Duration
	// Tallies are those of its last heartbeat.
	Tallies []probe.Tally
	// Notes are what it last said of itself, at Noted by its clock.
	Notes  []string
	Noted  time.Time
	Counts Counts
}

// Probes lists all that are known, by namespace and name of the pod.
func (m *Matrix) Probes() []Probe {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]Probe, 0, len(m.probes))
	for _, k := range m.keys() {
		out = append(out, m.probes[k].view())
	}
	return out
}

// Probe is one of them.
func (m *Matrix) Probe(k Key) (Probe, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.probes[k]
	if s == nil {
		return Probe{}, false
	}
	return s.view(), true
}

func (s *state) view() Probe {
	t := s.target
	t.IPs = slices.Clone(t.IPs)
	return Probe{
		Target: t, Boot: s.boots[0].boot, Added: s.added, Heard: s.heard, Read: s.read, Said: s.said, Gone: s.gone,
		Path: s.path, Wrong: s.wrong, Members: s.members, Nodes: s.size, Delay: s.delay, Skew: s.skew.off,
		Tallies: unpackTallies(s.tallies), Notes: slices.Clone(s.notes), Noted: s.noted, Counts: s.counts,
	}
}

// keys in order.
func (m *Matrix) keys() []Key {
	return slices.SortedFunc(maps.Keys(m.probes), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod))
	})
}

// Observations are the latest of every flow that was spoken of and not forgotten:
// those that deviate, those that changed and those of differentials. Flows that were
// well from the start are in the tallies only. In order of prober and flow.
func (m *Matrix) Observations() []v1alpha1.Observation {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []v1alpha1.Observation
	for _, k := range m.keys() {
		s := m.probes[k]
		for _, f := range s.flows {
			out = append(out, f.observation())
		}
	}
	return out
}

// Since gives the observations that were read after a cursor, oldest first, and
// the cursor for the next call; 0 is the first. Lost is how many fell out of the
// window between.
func (m *Matrix) Since(cursor uint64) (out []v1alpha1.Observation, next, lost uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	oldest := m.next - uint64(len(m.recent))
	if cursor > m.next {
		cursor = m.next
	}
	if cursor < oldest {
		lost, cursor = oldest-cursor, oldest
	}
	for i := cursor; i < m.next; i++ {
		out = append(out, m.recent[i%uint64(len(m.recent))].observation())
	}
	return out, m.next, lost
}

// Reports are the observations as the contract has them: one [v1alpha1.ProbeReport]
// for each node that was heard of, in natural order; a node's own network and its pods' are
// in the same one. The same state gives the same bytes.
func (m *Matrix) Reports() []v1alpha1.ProbeReport {
	m.mu.RLock()
	defer m.mu.RUnlock()
	byNode := map[string][]v1alpha1.Observation{}
	for _, k := range m.keys() {
		s := m.probes[k]
		if s.heard.IsZero() || !s.gone.IsZero() || s.target.Node == "" {
			continue
		}
		list := byNode[s.target.Node]
		if list == nil {
			list = []v1alpha1.Observation{}
		}
		for _, f := range s.flows {
			list = append(list, f.observation())
		}
		byNode[s.target.Node] = list
	}
	out := make([]v1alpha1.ProbeReport, 0, len(byNode))
	for _, node := range slices.SortedFunc(maps.Keys(byNode), natural.Compare) {
		out = append(out, v1alpha1.ProbeReport{
			APIVersion: "remediate.dev/v1alpha1", Kind: "ProbeReport",
			Metadata: v1alpha1.ObjectMeta{Name: node}, Observations: byNode[node],
		})
	}
	return out
}
