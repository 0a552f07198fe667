package remediate

import (
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// lately is how long the counts of an unnamed [Watcher.Baseline] reach back at least,
// once the watcher has run for that long, and at most twice that.
const lately = time.Minute

// counting is what a [Watcher] counts, each by a name.
type counting struct {
	named map[string]*verify.Recorder
	// now and was are the counts of this minute and of the one before.
	now, was *verify.Recorder
}

func (c *counting) each(do func(*verify.Recorder)) {
	for _, r := range c.named {
		do(r)
	}
	if c.now != nil {
		do(c.now)
	}
}

// turn begins a new minute when the old one is over.
func (c *counting) turn(now time.Time) {
	if c.now == nil || now.Sub(c.now.From()) >= lately {
		c.was, c.now = c.now, &verify.Recorder{}
		c.now.Reset(now)
	}
}

// count takes one line of a probe.
func (w *Watcher) count(t collect.Target, line probe.Line) {
	w.counts.Lock()
	defer w.counts.Unlock()
	now := w.now()
	w.counted.turn(now)
	w.counted.each(func(r *verify.Recorder) {
		if line.Beat && !t.HostNetwork {
			r.Beat(now, line.At, t.Node, classesOf(line.Tallies)...)
		}
		r.Observe(now, line.Observations...)
	})
}

// joined forgets nodes that do not take part any more.
func (w *Watcher) joined(m mesh.Membership) {
	var nodes []string
	for _, member := range m.Members {
		nodes = append(nodes, member.Node)
	}
	w.counts.Lock()
	defer w.counts.Unlock()
	w.counted.each(func(r *verify.Recorder) { r.Members(nodes) })
}

func classesOf(tallies []probe.Tally) []verify.ClassCount {
	out := make([]verify.ClassCount, len(tallies))
	for i, t := range tallies {
		out[i] = verify.ClassCount{
			Class: verify.Class{Via: t.Via, Family: t.Family, Protocol: t.Protocol, Target: t.Target, SameNode: t.SameNode},
			Count: verify.Count{OK: t.OK, Masked: t.Masked, Lost: t.Lost, NotChecked: t.NotChecked},
		}
	}
	return out
}

// CountFrom counts exchanges from at on, under a name. Counting that goes on already
// from the same moment goes on.
func (w *Watcher) CountFrom(name string, at time.Time) {
	w.counts.Lock()
	defer w.counts.Unlock()
	if r := w.counted.named[name]; r != nil && r.From().Equal(at) {
		return
	}
	if w.counted.named == nil {
		w.counted.named = map[string]*verify.Recorder{}
	}
	r := &verify.Recorder{}
	r.Reset(at)
	w.counted.named[name] = r
}

// StopCounting forgets what was counted under a name.
func (w *Watcher) StopCounting(name string) {
	w.counts.Lock()
	defer w.counts.Unlock()
	delete(w.counted.named, name)
}

// Baseline is what was counted under a name until now; ok is false when nothing
// was. An empty name stands for the last one or two minutes.
func (w *Watcher) Baseline(name string) (b verify.Baseline, ok bool) {
	var causes []verify.Cause
	for _, f := range w.Sight().Confirmed() {
		causes = append(causes, verify.Cause{Signature: f.Signature, Family: f.Family, About: f.About})
	}
	w.counts.Lock()
	defer w.counts.Unlock()
	r := w.counted.named[name]
	if name == "" {
		if r = w.counted.now; r != nil && w.counted.was != nil && w.now().Sub(r.From()) < lately/2 {
			r = w.counted.was
		}
	}
	if r == nil {
		return verify.Baseline{}, false
	}
	b = r.Baseline(w.now(), causes)
	return b, len(b.Classes) > 0
}

// Probes are what was counted under a name, with who is silent and what is confirmed
// now. Without counting under that name nobody listens.
func (w *Watcher) Probes(name string) verify.Probes {
	s := w.Sight()
	silent := map[string]string{}
	for _, x := range s.Silent {
		if !x.Probe.HostNetwork {
			silent[x.Probe.Node] = x.Text
		}
	}
	w.counts.Lock()
	defer w.counts.Unlock()
	r := w.counted.named[name]
	if r == nil || s.Err != nil || s.At.IsZero() {
		return verify.Probes{}
	}
	return r.Probes(silent, standing(s.Judgement))
}

// standing are the confirmed findings with the observations behind them.
func standing(j confirm.Judgement) []verify.Confirmed {
	var out []verify.Confirmed
	for _, r := range j.Records {
		c := verify.Confirmed{Cause: verify.Cause{Signature: r.Signature, Family: r.Family, About: r.About},
			Since: r.Support.First, Last: r.Support.Last, Nodes: append(append([]string{}, r.Support.Probers...), r.Support.Targets...)}
		for _, f := range j.Findings {
			if f.Signature == r.Signature && f.Family == r.Family && f.About == r.About {
				c.Summary, c.Critical = f.Summary, f.Severity == v1alpha1.SeverityCritical && f.CausedBy == ""
			}
		}
		out = append(out, c)
	}
	return out
}
