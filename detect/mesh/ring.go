package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	// Peers is how many nodes a node probes in one round: k of the ring.
	Peers = 10
	// Slot is the time of one exchange: a node starts at most one in each, which
	// makes two a second.
	Slot = 500 * time.Millisecond
	// passSlots is a pass over the peers of a round: ten exchanges with peers and
	// four of the node's own (same node, services, DNS, outside).
	passSlots = Peers + 4
	// roundSlots is a round: two passes, so that each peer is met once per family.
	roundSlots = 2 * passSlots
	// Round is the time that a node stays with the same peers: 14 s.
	Round = roundSlots * Slot
)

// CoverTime is how long it takes, from any moment, until each ordered pair of n
// nodes had an exchange in each address family, timeouts not counted.
//
// Peer slot j of round r goes to the offset ((r·k+j) mod (n-1))+1 in the ring. Any
// n-1 successive values of r·k+j are all offsets, and ceil((n-1)/k) rounds hold at
// least that many, wherever they begin. Each of the two passes of a round goes over
// the same offsets, with the families swapped. Hence ceil((n-1)/10) · 14 s.
func CoverTime(n int) time.Duration {
	if n < 2 {
		return 0
	}
	return time.Duration((n-1+Peers-1)/Peers) * Round
}

// KindsCoverTime is how long it takes until each ordered pair of n nodes had an
// exchange of each kind (protocol, target and size) in each family: a pair that is
// met again is met with the next of nine kinds. Where a pass meets each peer more
// than once (up to six nodes), the families swap within it, which costs a round.
func KindsCoverTime(n int) time.Duration {
	if n < 2 {
		return 0
	}
	visits := len(kinds) * (n - 1)
	rounds := (visits + Peers - 1) / Peers
	if oftenMet(n) {
		rounds++
	}
	return time.Duration(rounds) * Round
}

// Ring is a membership in the order in which nodes probe each other: by a hash of
// the node's name, so that racks mix and a node that comes or goes moves few
// others' turns. A Ring is not changed after it was made.
type Ring struct {
	members Membership
	nodes   []Member
	twice   []netip.Addr
}

// NewRing orders m's members. Two members of one name count once.
func NewRing(m Membership) *Ring {
	type keyed struct {
		key   uint64
		index int
	}
	all := make([]keyed, len(m.Members))
	for i := range m.Members {
		sum := sha256.Sum256([]byte(m.Members[i].Node))
		all[i] = keyed{binary.BigEndian.Uint64(sum[:]), i}
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	all = slices.CompactFunc(all, func(a, b keyed) bool { return m.Members[a.index].Node == m.Members[b.index].Node })
	r := &Ring{members: m, nodes: make([]Member, len(all))}
	r.members.Members = nil
	for i, k := range all {
		r.nodes[i] = m.Members[k.index]
	}
	r.twice = duplicates(r.nodes)
	return r
}

// Len is the number of nodes.
func (r *Ring) Len() int { return len(r.nodes) }

// Nodes are the names in the ring's order.
func (r *Ring) Nodes() []string {
	out := make([]string, len(r.nodes))
	for i, m := range r.nodes {
		out[i] = m.Node
	}
	return out
}

// index of a node in the ring, -1 when it is not in it.
func (r *Ring) index(node string) int {
	return slices.IndexFunc(r.nodes, func(m Member) bool { return m.Node == node })
}

// duplicates are the addresses that two members, or two pods of one, claim.
func duplicates(nodes []Member) []netip.Addr {
	all := make([]netip.Addr, 0, 6*len(nodes))
	for _, m := range nodes {
		all = append(all, m.NodeIPs...)
		if m.Host != nil {
			for _, a := range m.Host.IPs {
				if !slices.Contains(m.NodeIPs, a) {
					all = append(all, a)
				}
			}
		}
		for _, t := range []*Target{m.Open, m.Guarded} {
			if t != nil {
				all = append(all, t.IPs...)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	var out []netip.Addr
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] && (len(out) == 0 || out[len(out)-1] != all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}

func (r *Ring) isTwice(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(r.twice, a, netip.Addr.Compare)
	return found
}

// SlotAt is the slot that t lies in. Slots are counted from the Unix epoch, so all
// nodes agree on them as far as their clocks do; a clock that is off only shifts
// that node's turns.
func SlotAt(t time.Time) int64 { return floorDiv(t.UnixNano(), int64(Slot)) }

// SlotTime is when a slot begins.
func SlotTime(slot int64) time.Time { return time.Unix(0, slot*int64(Slot)) }

// Phase is how far into each slot a node begins its exchange: nodes spread over
// the slot by a hash of their name, so that a cluster does not act in step.
func Phase(node string) time.Duration {
	sum := sha256.Sum256([]byte("phase " + node))
	return time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(Slot))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// turn is what a slot is for, the same for all nodes.
type turn struct {
	pass int64
	// own: number is that of the own slot since the epoch; else it is that of the
	// peer slot, r·k+j.
	own    bool
	number int64
}

// ownSlots are a pass's places for the node's own checks, spread over it.
var ownSlots = [...]int64{2, 6, 9, 13}

func turnAt(slot int64) turn {
	round := floorDiv(slot, roundSlots)
	in := slot - round*roundSlots
	pass, pos := in/passSlots, in%passSlots
	j := pos
	for i, own := range ownSlots {
		if pos == own {
			return turn{pass, true, (2*round+pass)*int64(len(ownSlots)) + int64(i)}
		}
		if pos > own {
			j--
		}
	}
	return turn{pass, false, round*Peers + j}
}

// oftenMet says whether each pass of n nodes' rounds meets each peer at least twice.
func oftenMet(n int) bool { return 2*(n-1) <= Peers }

// meeting is one visit of a peer: which offset of the ring, for the how many-th time.
func meeting(peer int64, n int) (offset int, visit int64) {
	others := int64(n - 1)
	visit = floorDiv(peer, others)
	return int(peer-visit*others) + 1, visit
}
