package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
	"github.com/remediate-dev/remediate/detect/signature"
)

// listener takes the probes' lines and hands them to the tracker. Its methods may be
// called at the same time.
type listener struct {
	now    func() time.Time
	matrix *collect.Matrix

	mu      sync.Mutex
	tracker confirm.Tracker
	// heard are the probes that know who takes part.
	heard map[collect.Key]*hearing
	// known are the last memberships that were written, by hash; order are the
	// hashes, the latest last.
	known  map[string]mesh.Membership
	order  []string
	latest mesh.Membership
	// write is why the members could not be written.
	write error
	// first is when the first probe was heard.
	first time.Time
}

// hearing is what was heard of one probe.
type hearing struct {
	target collect.Target
	// spans are the last times that it worked with one membership.
	spans []span
	// sums are its checks by kind, all heartbeats together: few, each kind once.
	sums []probe.Tally
}

// span is a time, by the probe's own clock, with one membership. Its lines lie at most
// [spanGap] apart.
type span struct {
	members     string
	first, last time.Time
}

const (
	// mostSpans and mostMemberships are kept of what a run meets: what is older does
	// not count as tried. A change of members is written every few seconds at most.
	mostSpans       = 32
	mostMemberships = 32
	// spanGap of a probe's clock passes without a line of it when lines are lost, or
	// when the clock was set.
	spanGap = 3 * probe.Heartbeat
)

func newListener(now func() time.Time) *listener {
	return &listener{now: now, heard: map[collect.Key]*hearing{}, known: map[string]mesh.Membership{}}
}

// line takes one line of a probe.
func (l *listener) line(t collect.Target, line probe.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.tracker.Observe(now, line.Observations...)
	switch {
	case line.Beat && t.HostNetwork:
		l.tracker.Twin(now)
	case line.Beat:
		l.tracker.Beat(now, t.Node, countsOf(line.Tallies)...)
	}
	if line.Nodes == 0 {
		return
	}
	h := l.heard[t.Key]
	if h == nil {
		h = &hearing{}
		l.heard[t.Key] = h
	}
	h.target = t
	h.span(line)
	h.count(line.Tallies)
	if l.first.IsZero() {
		l.first = now
	}
}

// observe takes what others than the probes saw.
func (l *listener) observe(seen []v1alpha1.Observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracker.Observe(l.now(), seen...)
}

func countsOf(tallies []probe.Tally) []confirm.Count {
	out := make([]confirm.Count, len(tallies))
	for i, t := range tallies {
		out[i] = confirm.Count(t)
	}
	return out
}

func (h *hearing) span(line probe.Line) {
	if n := len(h.spans); n > 0 && h.spans[n-1].goesOn(line) {
		h.spans[n-1].last = line.At
		return
	}
	h.spans = append(h.spans, span{line.Members, line.At, line.At})
	h.spans = h.spans[max(len(h.spans)-mostSpans, 0):]
}

func (s span) goesOn(line probe.Line) bool {
	passed := line.At.Sub(s.last)
	return s.members == line.Members && passed >= 0 && passed <= spanGap
}

// count adds up tallies of one kind, which is all but their numbers.
func (h *hearing) count(tallies []probe.Tally) {
	for _, t := range tallies {
		i := slices.IndexFunc(h.sums, func(s probe.Tally) bool { return kindOf(s) == kindOf(t) })
		if i < 0 {
			i, h.sums = len(h.sums), append(h.sums, kindOf(t))
		}
		h.sums[i] = addTally(h.sums[i], t)
	}
}

func kindOf(t probe.Tally) probe.Tally {
	return probe.Tally{Via: t.Via, Family: t.Family, Protocol: t.Protocol, Target: t.Target, SameNode: t.SameNode}
}

// membership notes who takes part from now on.
func (l *listener) membership(m mesh.Membership) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := m.Hash()
	l.known[hash], l.latest = m, m
	l.order = append(slices.DeleteFunc(l.order, func(h string) bool { return h == hash }), hash)
	if len(l.order) > mostMemberships {
		delete(l.known, l.order[0])
		l.order = l.order[1:]
	}
	var nodes []string
	for _, member := range m.Members {
		nodes = append(nodes, member.Node)
	}
	l.tracker.Members(nodes)
}

func (l *listener) writeFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write = err
}

func (l *listener) judge(in *signature.Input) confirm.Judgement {
	now, given := l.now(), *in
	given.Silent = silences(l.matrix.Silent(now))
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tracker.Judge(now, given)
}

// silences are the probes that were heard once and are not any more.
func silences(all []collect.Silence) []signature.Silence {
	var out []signature.Silence
	for _, s := range all {
		if !s.Probe.Heard.IsZero() {
			out = append(out, signature.Silence{Node: s.Probe.Node, Pod: s.Probe.Namespace + "/" + s.Probe.Pod, Since: s.Since, Running: s.Fault(), Why: s.Text})
		}
	}
	return out
}

func (l *listener) state() (heard int, first time.Time, write error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probes(), l.first, l.write
}

// probes are those heard, their twins in the nodes' own network left out.
func (l *listener) probes() int {
	n := 0
	for key := range l.heard {
		if !l.heard[key].target.HostNetwork {
			n++
		}
	}
	return n
}

const (
	// hearWithin is how long the first probe may take to say that it knows the
	// members: a kubelet carries a changed ConfigMap to a pod within 90 s.
	hearWithin = 100 * time.Second
	// judgeEvery is how often it is judged what was heard, and judgeShare how many
	// times as long as the judgement took it is left alone: with thousands of nodes
	// it takes seconds.
	judgeEvery = time.Second
	judgeShare = 4
	// settleFor is how long a run goes on after something was confirmed, so that a
	// cause can still claim what it brings about.
	settleFor = 3 * time.Second
)

// awaitVerdict listens until something is confirmed or the time is over. The time
// begins when the first probe is heard.
func (p *probing) awaitVerdict(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	p.listener.observe(p.hubble)
	begun := p.opts.Now()
	var confirmed, judge time.Time
	for {
		now := p.opts.Now()
		heard, first, write := p.listener.state()
		if confirmed.IsZero() && heard > 0 && !now.Before(judge) {
			if p.listener.judge(p.in).Confirmed() {
				confirmed = now
			}
			took := p.opts.Now().Sub(now)
			judge = now.Add(max(judgeEvery, judgeShare*took))
		}
		end := p.end(begun, first, confirmed)
		p.opts.Status(Status{Stage: "listening to the probes", Ready: p.progress.Ready, Want: runningProbes(p.watch.Facts()), Heard: heard, Left: end.Sub(now)})
		if !now.Before(end) {
			return p.heardAny(heard, write)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// end is when the run is over: begun when listening began, first when a probe was
// heard, confirmed when something was; zero when not.
func (p *probing) end(begun, first, confirmed time.Time) time.Time {
	end := begun.Add(hearWithin)
	if !first.IsZero() {
		end = first.Add(p.opts.For)
	}
	if settled := confirmed.Add(settleFor); !confirmed.IsZero() && settled.Before(end) {
		return settled
	}
	return end
}

// heardAny: a run that heard nobody checked nothing.
func (p *probing) heardAny(heard int, write error) error {
	if heard > 0 {
		return nil
	}
	err := fmt.Errorf("%w: the probes run, and none of them said that it knows the members within %s", ErrNothingChecked, hearWithin)
	if write != nil {
		err = errors.Join(err, write)
	}
	return withHint(err, "kubectl logs -n "+p.at.Namespace+" daemonset/remediate-probe says what they wait for")
}
