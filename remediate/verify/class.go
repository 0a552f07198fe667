package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Class is a kind of flow that probes try. It has the fields of a probe's tally
// that say what was counted.
type Class struct {
	Via      string `json:"via"`
	Family   string `json:"family"`
	Protocol string `json:"protocol,omitempty"`
	// Target is open, guarded or empty.
	Target string `json:"target,omitempty"`
	// SameNode: both ends are on one node.
	SameNode bool `json:"sameNode,omitempty"`
}

// podIP is the way of flows that show the source address.
const podIP = "PodIP"

func (c Class) String() string {
	var parts []string
	for _, p := range []string{c.Family, c.Protocol, c.Via, c.Target} {
		if p != "" {
			parts = append(parts, clip(p, 20))
		}
	}
	text := strings.Join(parts, " ")
	switch {
	case c.SameNode:
		return text + ", same node"
	case c.Via == podIP:
		return text + ", other node"
	}
	return text
}

func (c Class) compare(o Class) int { return strings.Compare(c.key(), o.key()) }

// key sorts what crosses nodes first.
func (c Class) key() string {
	return fmt.Sprintf("%t\x00%s\x00%s\x00%s\x00%s", c.SameNode, c.Family, c.Via, c.Target, c.Protocol)
}

// Count is how many exchanges of a class there were, each over a new connection or
// with a packet of its own, and what became of them.
type Count struct {
	// OK were answered; Masked were answered, and the target saw another source
	// address than the prober's; Lost were not answered.
	OK     int `json:"ok,omitempty"`
	Masked int `json:"masked,omitempty"`
	Lost   int `json:"lost,omitempty"`
	// NotChecked could not be tried.
	NotChecked int `json:"notChecked,omitempty"`
	// FirstBad and LastBad are when one was first and last not as it should be,
	// LastOK when one was, by the clock of who listens.
	FirstBad time.Time `json:"-"`
	LastBad  time.Time `json:"-"`
	LastOK   time.Time `json:"-"`
}

func (c Count) String() string {
	if c.OK+c.Masked+c.Lost == 0 {
		if c.NotChecked > 0 {
			return "not checked"
		}
		return "not tried"
	}
	var parts []string
	if c.OK > 0 {
		parts = append(parts, fmt.Sprintf("%d ok", c.OK))
	}
	if c.Masked > 0 {
		parts = append(parts, fmt.Sprintf("%d masqueraded", c.Masked))
	}
	if c.Lost > 0 {
		parts = append(parts, fmt.Sprintf("%d lost", c.Lost))
	}
	return strings.Join(parts, ", ")
}

func (c Count) add(o Count) Count {
	c.OK, c.Masked, c.Lost, c.NotChecked = c.OK+o.OK, c.Masked+o.Masked, c.Lost+o.Lost, c.NotChecked+o.NotChecked
	c.FirstBad = earliest(c.FirstBad, o.FirstBad)
	c.LastBad, c.LastOK = latest(c.LastBad, o.LastBad), latest(c.LastOK, o.LastOK)
	return c
}

// bad are the exchanges that went wrong. Being masqueraded is wrong only where the
// change is to end it.
func (c Count) bad(masquerade bool) int {
	if masquerade {
		return c.Lost + c.Masked
	}
	return c.Lost
}

func (c Count) tried() int { return c.OK + c.Masked + c.Lost }

const (
	// noisePercent is the share of lost exchanges that a healthy network may have.
	noisePercent = 5
	// brokenPercent is the share from which a class counts as broken.
	brokenPercent = 50
	// brokenLeast is how many exchanges of one prober must have gone wrong: one lost
	// packet is none.
	brokenLeast = 3
)

// well: exchanges were answered, and no more failed than noise.
func (c Count) well(masquerade bool) bool {
	return c.tried() > 0 && c.bad(masquerade)*100 <= c.tried()*noisePercent
}

// broken: at least half of them failed, and more than chance.
func (c Count) broken(masquerade bool) bool {
	return c.bad(masquerade) >= brokenLeast && c.bad(masquerade)*100 >= c.tried()*brokenPercent
}

// ClassCount is a class with its count.
type ClassCount struct {
	Class
	Count
}

func (c ClassCount) String() string { return c.Class.String() + ": " + c.Count.String() }

const (
	maxClasses   = 64
	maxBroken    = 20
	maxConfirmed = 16
)

// Baseline is what probes saw before the change: what is to be cured, and what
// must not break. It is a few KiB at most.
type Baseline struct {
	// From and To are when the exchanges were counted.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Nodes is how many nodes' probes were heard.
	Nodes int `json:"nodes"`
	// Confirmed are the findings at its end.
	Confirmed []Cause      `json:"confirmed,omitempty"`
	Classes   []ClassCount `json:"classes,omitempty"`
	// Broken are pairs of nodes between which something failed, the first 20 by
	// name; BrokenPairs is how many there were.
	Broken      []Pair `json:"broken,omitempty"`
	BrokenPairs int    `json:"brokenPairs,omitempty"`
}

// Pair is an ordered pair of nodes with the way that failed between them.
type Pair struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Family string `json:"family"`
	Target string `json:"target,omitempty"`
	// Masked: it was answered, and seen from another address.
	Masked bool `json:"masked,omitempty"`
}

// Bounded is the baseline cut to its bounds, sorted, with names fit to be shown:
// what a status may hold.
func (b Baseline) Bounded() Baseline {
	b.Classes = slices.Clone(b.Classes)
	slices.SortFunc(b.Classes, func(x, y ClassCount) int { return x.compare(y.Class) })
	b.Classes = b.Classes[:min(len(b.Classes), maxClasses)]
	b.Confirmed = slices.Clone(b.Confirmed[:min(len(b.Confirmed), maxConfirmed)])
	for i, c := range b.Confirmed {
		b.Confirmed[i] = Cause{name(c.Signature), clip(c.Family, 10), name(c.About)}
	}
	b.BrokenPairs = max(b.BrokenPairs, len(b.Broken))
	b.Broken = slices.Clone(b.Broken)
	slices.SortFunc(b.Broken, func(x, y Pair) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	b.Broken = b.Broken[:min(len(b.Broken), maxBroken)]
	for i := range b.Broken {
		p := &b.Broken[i]
		p.From, p.To, p.Family, p.Target = name(p.From), name(p.To), clip(p.Family, 10), clip(p.Target, 20)
	}
	return b
}

func (b *Baseline) count(c Class) Count {
	if b == nil {
		return Count{}
	}
	for _, x := range b.Classes {
		if x.Class == c {
			return x.Count
		}
	}
	return Count{}
}

// confirmed: it was confirmed then, as far as the baseline tells one from another.
func (b *Baseline) confirmed(c Cause) bool {
	return b != nil && slices.ContainsFunc(b.Confirmed, func(x Cause) bool { return x.covers(c) })
}

// covers: c is the same finding, where x says more than a signature.
func (x Cause) covers(c Cause) bool {
	return x.Signature == c.Signature && (x.Family == "" || x.Family == c.Family) && (x.About == "" || x.About == c.About)
}
