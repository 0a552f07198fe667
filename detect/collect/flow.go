package collect

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
	"unique"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// The words of the contract, by their number in a record.
var (
	vias      = []string{"PodIP", "ClusterIP", "NodeIP", "DNS", "External"}
	families  = []string{"IPv4", "IPv6"}
	protocols = []string{"ICMP", "TCP", "UDP", "HTTP"}
	targets   = []string{"", v1alpha1.TargetOpen, v1alpha1.TargetGuarded, "host"}
	outcomes  = []string{
		v1alpha1.OutcomeOK, v1alpha1.OutcomeTimeout, v1alpha1.OutcomeRefused, v1alpha1.OutcomeUnreachable,
		v1alpha1.OutcomeReset, v1alpha1.OutcomeTooBig, v1alpha1.OutcomeError, v1alpha1.OutcomeNotChecked,
	}
)

func indexOf(words []string, word string) int { return slices.Index(words, word) }

// kind is the sort of a check: via, family, protocol and target.
type kind struct{ via, family, protocol, target uint8 }

func kindOf(via, family, protocol, target string) (kind, bool) {
	v, f, p, t := indexOf(vias, via), indexOf(families, family), indexOf(protocols, protocol), indexOf(targets, target)
	if min(v, f, p, t) < 0 {
		return kind{}, false
	}
	return kind{uint8(v), uint8(f), uint8(p), uint8(t)}, true
}

// place is an end of a flow, and who is there.
type place struct {
	ip                   netip.Addr
	namespace, pod, node string
}

func placeOf(e v1alpha1.Endpoint) unique.Handle[place] {
	return unique.Make(place{addr(e.IP), e.Namespace, e.Pod, e.Node})
}

func endpoint(h unique.Handle[place], port uint16) v1alpha1.Endpoint {
	p := h.Value()
	return v1alpha1.Endpoint{Namespace: p.namespace, Pod: p.pod, Node: p.node, IP: text(p.ip), Port: int(port)}
}

// flowKey tells the flows of one probe apart.
type flowKey struct {
	to    netip.Addr
	port  uint16
	bytes uint16
	kind  kind
}

func (k flowKey) compare(o flowKey) int {
	if c := k.to.Compare(o.to); c != 0 {
		return c
	}
	for _, d := range []int{
		int(k.kind.via) - int(o.kind.via), int(k.kind.target) - int(o.kind.target), int(k.kind.protocol) - int(o.kind.protocol),
		int(k.port) - int(o.port), int(k.bytes) - int(o.bytes), int(k.kind.family) - int(o.kind.family),
	} {
		if d != 0 {
			return d
		}
	}
	return 0
}

// flow is the latest of one flow, in 88 bytes: what many flows share is kept once.
type flow struct {
	key                  flowKey
	outcome              uint8
	unreliable, deviates bool
	full                 bool // told again by the Full that is being read
	host                 bool
	sent, received       uint16
	heard                int32 // milliseconds from at, 0 for never
	from, to             unique.Handle[place]
	seen                 unique.Handle[netip.Addr]
	reason               unique.Handle[string]
	at                   int64 // Unix nanoseconds
}

// flowOf takes an observation that [Parse] let pass.
func flowOf(o v1alpha1.Observation, at time.Time) flow {
	k, _ := kindOf(o.Via, o.Family, o.Protocol, o.Target)
	f := flow{
		key:        flowKey{to: addr(o.To.IP), port: uint16(o.To.Port), bytes: uint16(o.Bytes), kind: k},
		outcome:    uint8(indexOf(outcomes, o.Outcome)),
		unreliable: o.Unreliable,
		deviates:   o.Outcome == v1alpha1.OutcomeNotChecked || probe.Lost(o) || probe.Masked(o),
		host:       o.HostNetwork,
		sent:       uint16(o.Sent), received: uint16(o.Received),
		from: placeOf(o.From), to: placeOf(o.To),
		seen: unique.Make(addr(o.SourceSeen)), reason: unique.Make(o.Reason),
		at: at.UnixNano(),
	}
	began, err := time.Parse(time.RFC3339Nano, o.At)
	heard, errHeard := time.Parse(time.RFC3339Nano, o.Heard)
	if err == nil && errHeard == nil {
		f.heard = heardAfter(heard.Sub(began))
	}
	return f
}

// heardAfter is a time from an observation to when its prober last heard of the
// target's node, as it is kept: not 0, which is never, and at most an hour.
func heardAfter(d time.Duration) int32 {
	const most = int64(time.Hour / time.Millisecond)
	return int32(cmp.Or(min(max(d.Milliseconds(), -most), most), 1))
}

// addr of a text that was checked; the zero address for none.
func addr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// observation is the flow in the words of the contract.
func (f flow) observation() v1alpha1.Observation {
	o := v1alpha1.Observation{
		From: endpoint(f.from, 0), To: endpoint(f.to, f.key.port),
		Via: vias[f.key.kind.via], Family: families[f.key.kind.family],
		Protocol: protocols[f.key.kind.protocol], Target: targets[f.key.kind.target],
		HostNetwork: f.host,
		Outcome:     outcomes[f.outcome], Reason: f.reason.Value(), Unreliable: f.unreliable,
		Sent: int(f.sent), Received: int(f.received), Bytes: int(f.key.bytes),
		SourceSeen: text(f.seen.Value()), At: stamp(time.Unix(0, f.at)),
	}
	if f.heard != 0 {
		o.Heard = stamp(time.Unix(0, f.at).Add(time.Duration(f.heard) * time.Millisecond))
	}
	return o
}

// stamp is a time as the contract writes it, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// tally is a [probe.Tally] in 20 bytes.
type tally struct {
	kind                                     kind
	same                                     bool
	ok, masked, lost, unreliable, notChecked uint16
	slowest                                  uint16
}

func packTallies(in []probe.Tally) []tally {
	if len(in) == 0 {
		return nil
	}
	out := make([]tally, 0, len(in))
	for _, t := range in {
		k, ok := kindOf(t.Via, t.Family, t.Protocol, t.Target)
		if !ok {
			continue
		}
		out = append(out, tally{
			kind: k, same: t.SameNode, ok: count(t.OK), masked: count(t.Masked), lost: count(t.Lost),
			unreliable: count(t.Unreliable), notChecked: count(t.NotChecked), slowest: count(t.SlowestMs),
		})
	}
	return out
}

func count(n int) uint16 { return uint16(min(max(n, 0), 1<<16-1)) }

func unpackTallies(in []tally) []probe.Tally {
	out := make([]probe.Tally, 0, len(in))
	for _, t := range in {
		out = append(out, probe.Tally{
			Via: vias[t.kind.via], Family: families[t.kind.family],
			Protocol: protocols[t.kind.protocol], Target: targets[t.kind.target], SameNode: t.same,
			OK: int(t.ok), Masked: int(t.masked), Lost: int(t.lost),
			Unreliable: int(t.unreliable), NotChecked: int(t.notChecked), SlowestMs: int(t.slowest),
		})
	}
	return out
}
