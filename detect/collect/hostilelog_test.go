package collect_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/detect/signature"
)

// judge is what a tracker makes of a collector's lines.
type judge struct {
	now     func() time.Time
	mu      sync.Mutex
	tracker confirm.Tracker
}

func (j *judge) sink(_ collect.Target, l probe.Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tracker.Observe(j.now(), l.Observations...)
}

func (j *judge) confirmed(m *collect.Matrix) (out []string) {
	now := j.now()
	var in signature.Input
	for _, s := range m.Silent(now) {
		in.Silent = append(in.Silent, signature.Silence{Node: s.Probe.Node, Pod: s.Probe.Pod, Since: s.Since, Running: s.Fault(), Why: s.Text})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range j.tracker.Judge(now, in).Findings {
		out = append(out, f.Signature+": "+f.Summary)
	}
	return out
}

// tell is a line in any probe's name about a masqueraded exchange.
func (c *cluster) tell(by *speaker, from, to int, now, at time.Time) string {
	source, target := c.on(from), c.on(to)
	o := v1alpha1.Observation{
		From: v1alpha1.Endpoint{Namespace: namespace, Pod: source.pod.Name, Node: source.pod.Spec.NodeName, IP: source.ip.String()},
		To:   v1alpha1.Endpoint{Namespace: namespace, Pod: target.pod.Name, Node: target.pod.Spec.NodeName, IP: target.ip.String(), Port: mesh.Port},
		Via:  "PodIP", Family: "IPv4", Protocol: "TCP", Target: "open", Outcome: "OK", SourceSeen: "192.0.2.1", At: at.UTC().Format(time.RFC3339Nano),
	}
	return by.line(func(l *probe.Line) { l.At, l.From, l.Observations = now, o.From, []v1alpha1.Observation{o} })
}

// One probe's log is full of lies, in its own name and in those of all others; it is
// rotated in the middle of them; then the API server is away for ten minutes. At
// no moment is anything confirmed; what all probes say themselves is.
func TestHostileLogsConfirmNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nodes)
	w, cfg := newWire(t, c.server.Config)
	var ahead atomic.Int64
	j := judge{now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	o := fast(j.sink)
	o.Now = j.now
	o.Limits.Beat = time.Minute
	col, _ := run(t, cfg, o)
	lines := func(node int) collect.Counts { p, _ := col.Matrix().Probe(key(c.on(node))); return p.Counts }
	calm := func(when string) {
		t.Helper()
		if got := j.confirmed(col.Matrix()); len(got) > 0 {
			t.Fatalf("%s: %q", when, got)
		}
	}
	// all has everybody's exchanges of the last six seconds told, by one or by each.
	all := func(by func(node int) *speaker) {
		at := o.Now().UTC().Add(-6 * time.Second)
		for n := range 60 {
			at = at.Add(100 * time.Millisecond)
			for from := range nodes {
				by(from).write(c.tell(by(from), from, (from+1+n%3)%nodes, o.Now().UTC(), at))
			}
		}
	}
	lie := func() { all(func(int) *speaker { return c.on(1) }) }
	for i := range nodes {
		c.on(i).say(nil)
	}
	lie()
	eventually(t, "the lies are read", func() bool { calm("lies"); return lines(1).Foreign >= 180 })
	half := c.tell(c.on(1), 0, 2, o.Now(), o.Now())
	c.on(1).write(half[:len(half)/2])
	c.kubelet.Rotate(t, namespace, c.on(1).pod.Name)
	c.on(1).write(half[len(half)/2:])
	lie()
	eventually(t, "the rest after the rotation", func() bool { calm("rotation"); return lines(1).Foreign >= 360 })

	w.set("cut")
	eventually(t, "the API server is away", func() bool { since, _ := col.Matrix().API(); calm("cut"); return !since.IsZero() })
	ahead.Store(int64(10 * time.Minute))
	calm("ten minutes later")
	lie()
	w.set("")
	eventually(t, "what was written meanwhile", func() bool { calm("back"); return lines(1).Foreign >= 540 })

	all(c.on)
	eventually(t, "what all say is confirmed", func() bool { return len(j.confirmed(col.Matrix())) > 0 })
}
