package collect

import (
	"fmt"
	"time"
)

// Node is what the API server tells of a node.
type Node struct {
	Name string
	// Ready is the condition of that name being True; Cordoned is
	// spec.unschedulable, as a drained node is; Deleted that its end was asked for.
	Ready, Cordoned, Deleted bool
}

// Reason is why nothing is heard of a probe.
type Reason string

// Reasons. Only [ReasonSilent] is a fault of the probe's own.
const (
	// ReasonSilent: its pod runs, its node is ready, its log was read to the end,
	// and three heartbeats are missing.
	ReasonSilent Reason = "silent"
	// ReasonGone: the pod is deleted, moved or never started.
	ReasonGone Reason = "gone"
	// ReasonNotRunning: the pod is there and its container is not up.
	ReasonNotRunning Reason = "not-running"
	// ReasonNodeNotReady and ReasonDrained: the node's affair.
	ReasonNodeNotReady Reason = "node-not-ready"
	ReasonDrained      Reason = "node-drained"
	// ReasonUnread: its log could not be read, so nobody knows.
	ReasonUnread Reason = "unread"
	// ReasonUnknown: the API server does not answer, so nobody knows.
	ReasonUnknown Reason = "api-unreachable"
)

// Silence is a probe of which nothing is heard.
type Silence struct {
	Probe  Probe
	Reason Reason
	// Since is when it was last heard; when it never was, when its pod was seen.
	Since time.Time
	// Text says it for people.
	Text string
}

// Fault says whether the silence is the probe's own: signature probe-silent.
func (s Silence) Fault() bool { return s.Reason == ReasonSilent }

// missed is how many heartbeats must be missing.
const missed = 3

// apiState is whether the API server answers, by what became of the requests.
type apiState struct {
	back  time.Time // when it answered again after it had not
	since time.Time // first failure after it; zero when the last request succeeded
	err   string
}

// APIAnswered and APIFailed note what became of a request to the API server itself.
// An answer that says no is an answer.
func (m *Matrix) APIAnswered(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.api.since.IsZero() {
		m.api = apiState{back: now}
	}
}

// APIFailed is the other.
func (m *Matrix) APIFailed(err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.api.since.IsZero() {
		m.api.since = now
	}
	m.api.err = plain(err.Error())
}

// API says since when the API server does not answer, and how that shows; zero
// when the last request was answered.
func (m *Matrix) API() (since time.Time, err string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.api.since, m.api.err
}

// empty: there is no probe.
func (m *Matrix) empty() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.probes) == 0
}

// PutNode adds or updates a node; DropNode takes it out.
func (m *Matrix) PutNode(n Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[n.Name] = n
}

// DropNode is the other.
func (m *Matrix) DropNode(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.nodes, node)
}

// Read notes that a probe's log was read to its end at that time, or why not.
func (m *Matrix) Read(k Key, wrong error, path Path, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.probes[k]
	if s == nil {
		return
	}
	if wrong != nil {
		s.wrong = plain(wrong.Error())
		return
	}
	s.read, s.wrong, s.path = now, "", path
}

// count adds to what became of a probe's lines.
func (m *Matrix) count(k Key, add func(*Counts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.probes[k]; s != nil {
		add(&s.counts)
	}
}

// Silent lists the probes of which nothing was heard for three heartbeats, in
// order, each with why. A probe counts as silent only when its log was read to the
// end after they were due: while the API server or the kubelet does not answer, no
// probe is.
func (m *Matrix) Silent(now time.Time) []Silence {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Silence
	for _, k := range m.keys() {
		s := m.probes[k]
		since := s.heard
		if since.IsZero() {
			since = s.added
		}
		due := since.Add(missed * m.limits.Beat)
		if now.Before(due) {
			continue
		}
		reason, why := m.why(s, due)
		out = append(out, Silence{Probe: s.view(), Reason: reason, Since: since, Text: why})
	}
	return out
}

// why a probe is not heard whose heartbeat was due.
func (m *Matrix) why(s *state, due time.Time) (Reason, string) {
	t := s.target
	node, known := m.nodes[t.Node]
	pod := fmt.Sprintf("pod %s/%s on node %s", t.Namespace, t.Pod, t.Node)
	switch {
	case !m.api.since.IsZero():
		return ReasonUnknown, "the API server does not answer: " + m.api.err
	case !s.gone.IsZero() || t.Deleted:
		return ReasonGone, pod + " is deleted"
	case known && node.Deleted, !known && t.Node != "" && len(m.nodes) > 0:
		return ReasonGone, "node " + t.Node + " is deleted"
	case known && !node.Ready:
		return ReasonNodeNotReady, "node " + t.Node + " is not ready"
	case t.Phase != "Running" || t.Waiting != "":
		if known && node.Cordoned {
			return ReasonDrained, "node " + t.Node + " is drained"
		}
		return ReasonNotRunning, fmt.Sprintf("%s does not run: %s", pod, notRunning(t))
	case s.wrong != "":
		return ReasonUnread, fmt.Sprintf("the log of %s cannot be read: %s", pod, s.wrong)
	case s.read.Before(due) || s.read.Before(m.api.back):
		return ReasonUnread, fmt.Sprintf("the log of %s was not read yet", pod)
	case s.heard.IsZero():
		return ReasonSilent, pod + " runs and never said anything"
	}
	return ReasonSilent, fmt.Sprintf("%s runs and says nothing since %s", pod, stamp(s.heard))
}

func notRunning(t Target) string {
	if t.Waiting != "" {
		return t.Waiting
	}
	return "phase " + t.Phase
}
