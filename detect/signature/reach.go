package signature

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/natural"
)

// Ways that an observation may have gone.
const (
	viaPodIP     = "PodIP"
	viaClusterIP = "ClusterIP"
	viaNodeIP    = "NodeIP"
	viaDNS       = "DNS"
)

// Sighting is an observation with the moment it was made, by one clock for all.
type Sighting struct {
	snapshot.ProbeObservation
	Time time.Time
}

// Total counts a prober's exchanges with pods of other nodes by their own
// addresses between two moments, the uneventful ones included.
type Total struct {
	Node, Family     string
	From, To         time.Time
	OK, Masked, Lost int
}

// ReachInput is what a [Reach] is made of.
type ReachInput struct {
	Sightings []Sighting
	// Nodes that take part; empty means those that were seen.
	Nodes []string
	// Zones by node, where known.
	Zones  map[string]string
	Totals []Total
	// Twins in the nodes' own network live; false: where none was sighted, there are none.
	Twins bool
}

// Reach is what pods experience between nodes by all probes in view, added up:
// which ways work, which do not, and what shape the failures have. Nothing
// changes it once it is made.
type Reach struct {
	nodes    []string
	zones    map[string]string
	families map[string]*family
	verdicts []verdict
	twins    bool // probes in the nodes' own network live
	// said is when a node's probe last said anything, what it is not sure of as well.
	said map[string]time.Time
}

// family is the evidence of one address family, by ways.
type family struct {
	name  string
	pairs map[pairKey]*pair
	// same are exchanges on one node; cluster those by way of a ClusterIP; by prober's node.
	same, cluster map[string]*run
	dns           map[dnsKey]*run
	totals        []Total
	// heard is when a prober last said anything of the family.
	heard map[string]time.Time
	// cut: pods of some nodes do not reach each other, and in what shape is known.
	cut bool
}

type pairKey struct{ from, to string }

type dnsKey struct{ from, ip string }

// NewReach adds sightings up, and keeps them. Unreliable ones, those that were not checked and
// those of nodes that take no part count for nothing.
func NewReach(in ReachInput) *Reach {
	r := &Reach{zones: in.Zones, families: map[string]*family{}, nodes: in.Nodes, twins: in.Twins, said: map[string]time.Time{}}
	if len(r.nodes) == 0 {
		r.nodes = nodesOf(in.Sightings)
	}
	r.nodes = slices.Sorted(slices.Values(r.nodes))
	order := make([]*Sighting, len(in.Sightings))
	for i := range in.Sightings {
		order[i] = &in.Sightings[i]
	}
	slices.SortStableFunc(order, func(a, b *Sighting) int { return a.Time.Compare(b.Time) })
	for _, s := range order {
		r.add(s)
	}
	for _, t := range in.Totals {
		if t.To.After(r.said[t.Node]) {
			r.said[t.Node] = t.To
		}
		if f := r.families[t.Family]; f != nil && r.has(t.Node) {
			f.totals = append(f.totals, t)
		}
	}
	for _, name := range []string{cidr.IPv6, cidr.IPv4} {
		if f := r.families[name]; f != nil {
			r.judge(f)
		}
	}
	r.compareWays()
	return r
}

// reach of the snapshot's probes, unless it is given.
func (in *Input) reach() *Reach {
	if in.Reach != nil {
		return in.Reach
	}
	if len(in.Snapshot.Probes) == 0 {
		return &Reach{}
	}
	sightings := make([]Sighting, 0, len(in.Snapshot.Probes))
	for _, o := range in.Snapshot.Probes {
		at, _ := time.Parse(time.RFC3339Nano, o.At)
		sightings = append(sightings, Sighting{o, at})
	}
	return NewReach(ReachInput{Sightings: sightings, Zones: Zones(in.Snapshot)})
}

// Zones are the nodes' zones as their labels tell.
func Zones(s *snapshot.Snapshot) map[string]string {
	out := map[string]string{}
	if s == nil {
		return out
	}
	for i := range s.Nodes {
		if zone := s.Nodes[i].Labels["topology.kubernetes.io/zone"]; zone != "" {
			out[s.Nodes[i].Name] = zone
		}
	}
	return out
}

func nodesOf(sightings []Sighting) []string {
	seen := map[string]bool{}
	var out []string
	for i := range sightings {
		for _, n := range []string{sightings[i].From.Node, sightings[i].To.Node} {
			if n != "" && !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

func (r *Reach) has(node string) bool {
	_, ok := slices.BinarySearch(r.nodes, node)
	return ok
}

func (r *Reach) family(name string) *family {
	f := r.families[name]
	if f == nil {
		f = &family{name: name, pairs: map[pairKey]*pair{}, same: map[string]*run{}, cluster: map[string]*run{},
			dns: map[dnsKey]*run{}, heard: map[string]time.Time{}}
		r.families[name] = f
	}
	return f
}

// add sorts one sighting into the way that it went.
func (r *Reach) add(s *Sighting) {
	if s.Time.After(r.said[s.From.Node]) {
		r.said[s.From.Node] = s.Time
	}
	how := outcomeOf(s)
	if how == nothing || (s.Family != cidr.IPv4 && s.Family != cidr.IPv6) || !r.has(s.From.Node) {
		return
	}
	f := r.family(s.Family)
	f.heard[s.From.Node] = s.Time
	r.twins = r.twins || s.HostNetwork
	switch {
	case s.Via == viaClusterIP && !s.HostNetwork:
		entry(f.cluster, s.From.Node).add(how, s)
	case s.Via == viaDNS && !s.HostNetwork:
		if how == refused { // then nobody answers there
			how = lost
		}
		entry(f.dns, dnsKey{s.From.Node, s.To.IP}).add(how, s)
	case !r.has(s.To.Node) || (s.Via != viaPodIP && s.Via != viaNodeIP):
	case s.From.Node == s.To.Node:
		if s.Via == viaPodIP && s.Target != "" && !s.HostNetwork {
			entry(f.same, s.From.Node).add(how, s)
		}
	default:
		entry(f.pairs, pairKey{s.From.Node, s.To.Node}).add(how, s, smallest(s.Family))
		if s.Heard != "" && how == lost && !s.HostNetwork {
			entry(f.pairs, pairKey{s.To.Node, s.From.Node}).hear(s)
		}
	}
}

func entry[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// outcome is what an observation says about a path.
type outcome int

const (
	nothing outcome = iota
	answered
	refused // by the target, so the path works
	lost
)

// outcomeOf: garbage, resets and what was not tried say nothing about a path.
func outcomeOf(s *Sighting) outcome {
	if s.Unreliable {
		return nothing
	}
	switch s.Outcome {
	case v1alpha1.OutcomeOK:
		return answered
	case v1alpha1.OutcomeRefused:
		return refused
	case v1alpha1.OutcomeTimeout, v1alpha1.OutcomeUnreachable, v1alpha1.OutcomeTooBig:
		return lost
	}
	return nothing
}

func sortedKeys(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.SortFunc(out, natural.Compare)
	return out
}

func byPair(a, b pairKey) int {
	return cmp.Or(natural.Compare(a.from, b.from), natural.Compare(a.to, b.to))
}

// Current are the newest sightings of each flow. Answers that are older than the
// time from which most of a family's failures date say nothing about now, and are
// left out.
func (r *Reach) Current(sightings []Sighting) []snapshot.ProbeObservation {
	type flow struct {
		from, to, ip, via, family, protocol, target string
		host                                        bool
		bytes                                       int
	}
	newest := map[flow]int{}
	for i := range sightings {
		s := &sightings[i]
		k := flow{s.From.Node, s.To.Node, s.To.IP, s.Via, s.Family, s.Protocol, s.Target, s.HostNetwork, s.Bytes}
		if have, ok := newest[k]; !ok || !s.Time.Before(sightings[have].Time) {
			newest[k] = i
		}
	}
	onset := map[string]time.Time{}
	for i := range r.verdicts {
		v := &r.verdicts[i]
		if v.kind <= masked && v.support.First.After(onset[v.family]) {
			onset[v.family] = v.support.First
		}
	}
	var out []snapshot.ProbeObservation
	for _, i := range slices.Sorted(maps.Values(newest)) {
		s := &sightings[i]
		if outcomeOf(s) != answered || !s.Time.Before(onset[s.Family]) {
			out = append(out, s.ProbeObservation)
		}
	}
	return out
}
