package probe

import (
	"fmt"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

func (l *loop) notChecked(now time.Time, c mesh.Check, why string) {
	l.take(ended{c, v1alpha1.Observation{
		From: c.From, To: c.To, Via: c.Via, Family: c.Family, Protocol: c.Protocol, Target: c.Target,
		HostNetwork: c.HostNetwork, Bytes: c.Bytes, Outcome: v1alpha1.OutcomeNotChecked, Reason: why,
	}, now, 0})
}

// take judges a result, counts it, and has it told and looked into.
func (l *loop) take(r ended) {
	o := r.seen
	o.At, o.Reason, o.Heard = stamp(r.started), printable(o.Reason), l.heard(o)
	l.tally.add(o, r.took)
	if l.plan == nil || !l.plan.Holds(r.check) && r.check.To.IP != "" {
		return // it began under a membership that is no more
	}
	tell, failed, healed := l.flows.note(r.check, o)
	now := l.Now()
	if tell {
		if len(l.pending) == 0 {
			l.pendingSince = now
		}
		l.pending = append(l.pending, o)
	}
	if r.check.Differential {
		return
	}
	what := o.Outcome
	if Masked(o) {
		what = "another source"
	}
	switch {
	case failed && l.bursts.Failed(now, r.check, what):
		l.bursts.Add(l.plan.Differential(r.check))
	case healed && len(l.flows.wrong) > 0 && l.bursts.Recovered(now):
		l.bursts.Add(l.flows.checks())
	}
}

// heard is when the target's node was last heard of, if the exchange was lost.
func (l *loop) heard(o v1alpha1.Observation) string {
	if l.Heard == nil || l.plan == nil || !Lost(o) || o.To.Node == "" || o.To.Node == o.From.Node {
		return ""
	}
	ago, ok := l.Heard(o.To.Node, l.plan.Prober(o.To.Node), o.Family)
	if !ok {
		return ""
	}
	return stamp(l.Now().Add(-ago))
}

// flush writes what waits to be told.
func (l *loop) flush(now time.Time) {
	if len(l.pending) == 0 {
		return
	}
	line := l.line(now)
	line.Observations, l.pending = l.pending, nil
	l.lines.write(line)
}

// beat writes a heartbeat, in full when that is due.
func (l *loop) beat(now time.Time) {
	l.flush(now)
	line := l.line(now)
	line.Beat = true
	line.Tallies = l.tally.take()
	if due(now, l.nextFull, FullEvery) {
		line.Full, l.nextFull = true, now.Add(FullEvery)
		line.Observations = l.flows.all()
	}
	line.Notes = l.notes(line.Full)
	if l.Delay != nil {
		line.Delay = int(l.Delay().Milliseconds())
	}
	l.nextBeat = now.Add(Heartbeat)
	if !l.begun { // beats of nodes that start together spread
		l.begun, l.nextBeat = true, now.Add(l.phase*(Heartbeat/mesh.Slot))
	}
	l.lines.write(line)
}

// notes are told when they change, and in every full heartbeat.
func (l *loop) notes(full bool) []string {
	var out []string
	for _, n := range []string{l.memberNote, l.ringNote} {
		if n != "" {
			out = append(out, n)
		}
	}
	if l.flows.more > 0 && full {
		out = append(out, fmt.Sprintf("%d failures are beyond the %d flows that a probe remembers", l.flows.more, maxFlows))
		l.flows.more = 0
	}
	now := l.memberNote + "\n" + l.ringNote
	if now == l.told && !full {
		return nil
	}
	l.told = now
	return out
}

func (l *loop) line(now time.Time) Line {
	from := v1alpha1.Endpoint{Namespace: l.Self.Namespace, Pod: l.Self.Pod, Node: l.Self.Node}
	if len(l.Self.IPs) > 0 {
		from.IP = l.Self.IPs[0].String()
	}
	line := Line{Version: 1, Boot: l.Boot, At: now.UTC().Truncate(time.Millisecond), From: from, HostNetwork: l.Self.HostNetwork, Members: l.hash}
	if l.plan != nil {
		line.Nodes = l.plan.Nodes()
	}
	return line
}
