package datapath

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// maxSets bounds how many sets of prefixes an analysis tells apart; a zone's
// mask has one bit for each.
const maxSets = 64

// maxSimilar is how many further ranges of one length are told apart one by one;
// more of them, such as the pod CIDRs of all nodes, count as one set.
const maxSimilar = 8

// rangeSet is prefixes that a rule treats as one: a native routing CIDR, or the
// whole list of the ip-masq-agent.
type rangeSet struct {
	name     string
	prefixes []netip.Prefix // distinct, masked, longest first, then by address
}

func newRangeSet(prefixes []netip.Prefix) (rangeSet, bool) {
	distinct := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		if p.IsValid() {
			distinct[p.Masked()] = true
		}
	}
	s := rangeSet{prefixes: slices.SortedFunc(maps.Keys(distinct), byLength)}
	switch len(s.prefixes) {
	case 0:
		return s, false
	case 1:
		s.name = s.prefixes[0].String()
	default:
		h := sha256.New()
		for _, p := range s.prefixes {
			fmt.Fprintln(h, p)
		}
		s.name = "list " + hex.EncodeToString(h.Sum(nil)[:6])
	}
	return s, true
}

// bySet puts single prefixes before lists, the longest first.
func bySet(a, b rangeSet) int {
	return cmp.Or(cmp.Compare(min(len(a.prefixes), 2), min(len(b.prefixes), 2)),
		byLength(a.prefixes[0], b.prefixes[0]), cmp.Compare(a.name, b.name))
}

func byLength(a, b netip.Prefix) int {
	return cmp.Or(b.Bits()-a.Bits(), a.Addr().Compare(b.Addr()))
}

// sortSets sorts and takes doubles out.
func sortSets(sets []rangeSet) []rangeSet {
	slices.SortFunc(sets, bySet)
	return slices.CompactFunc(sets, func(a, b rangeSet) bool { return a.name == b.name })
}

// grain is how finely an analysis tells addresses and nodes apart. Two analyses
// compare class by class only when their grain is the same, whatever the
// configurations say; that is why it is not read from one configuration alone.
type grain struct {
	// config are the sets that configurations test addresses against, more what
	// the caller names beside them.
	config, more []rangeSet
	// sets are those of both that are told apart.
	sets []rangeSet
	// labels tell nodes with a configuration of their own from others.
	labels map[string]string
	// dropped is how many sets exceed the bound.
	dropped int
	// key is equal for grains that tell the same apart.
	key string
	*zones
}

func newGrain(config, more []rangeSet, labels map[string]string) grain {
	g := grain{config: sortSets(config), more: sortSets(more), labels: labels}
	g.sets = slices.Clone(g.config)
	for _, s := range g.more {
		if !slices.ContainsFunc(g.config, func(c rangeSet) bool { return c.name == s.name }) {
			g.sets = append(g.sets, s)
		}
	}
	if g.dropped = len(g.sets) - maxSets; g.dropped > 0 {
		g.sets = g.sets[:maxSets]
	}
	g.dropped = max(g.dropped, 0)
	g.sets = sortSets(g.sets)
	g.zones = newZones(g.sets)
	g.key = g.makeKey()
	return g
}

func (g *grain) makeKey() string {
	h := sha256.New()
	for _, s := range g.sets {
		fmt.Fprintln(h, s.name)
	}
	for _, name := range slices.Sorted(maps.Keys(g.labels)) {
		fmt.Fprintf(h, "%q=%q", name, g.labels[name])
	}
	return string(h.Sum(nil))
}

// rangeSets makes a set of each range, and one of all that have one length where
// there are many of them.
func rangeSets(ranges []netip.Prefix) []rangeSet {
	type shape struct {
		is4  bool
		bits int
	}
	all, _ := newRangeSet(ranges)
	byShape := map[shape][]netip.Prefix{}
	for _, p := range all.prefixes {
		key := shape{p.Addr().Is4(), p.Bits()}
		byShape[key] = append(byShape[key], p)
	}
	var out []rangeSet
	for _, ps := range byShape {
		if len(ps) > maxSimilar {
			s, _ := newRangeSet(ps)
			out = append(out, s)
			continue
		}
		for _, p := range ps {
			out = append(out, rangeSet{p.String(), []netip.Prefix{p}})
		}
	}
	return sortSets(out)
}

// grain of one model: what its configurations and caller name, and more.
func (m *Model) grain(more ...netip.Prefix) grain {
	var config []rangeSet
	add := func(prefixes ...netip.Prefix) {
		if s, ok := newRangeSet(prefixes); ok {
			config = append(config, s)
		}
	}
	for _, a := range m.agents() {
		for _, family := range families() {
			add(a.NativeRoutingCIDR[family])
		}
		add(a.NonMasquerade...)
	}
	ranges := m.ranges()
	if len(more) > 0 {
		ranges = rangeSets(slices.Concat(m.in.Ranges, more))
	}
	return newGrain(config, slices.Clone(ranges), m.nodeLabels())
}

func (m *Model) agents() []*agent {
	out := []*agent{m.agent}
	for _, name := range slices.Sorted(maps.Keys(m.perNode)) {
		out = append(out, m.perNode[name])
	}
	return out
}

func (m *Model) nodeLabels() map[string]string {
	out := make(map[string]string, len(m.in.PerNode))
	for name, cfg := range m.in.PerNode {
		out[name] = fingerprint(cfg)
	}
	return out
}

// fingerprint of a configuration, equal for equal ones.
func fingerprint(cfg cilium.Config) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", cfg.Version)
	for _, key := range slices.Sorted(maps.Keys(cfg.Values)) {
		fmt.Fprintf(h, "%q=%q", key, cfg.Values[key])
	}
	if cfg.MasqAgent != nil {
		fmt.Fprintf(h, "masq %q", *cfg.MasqAgent)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// join is the coarsest grain at least as fine as both.
func (g grain) join(h grain) grain {
	labels := g.labels
	if !maps.Equal(g.labels, h.labels) {
		labels = map[string]string{}
		for _, one := range []map[string]string{g.labels, h.labels} {
			for name := range one {
				labels[name] = g.labels[name] + "|" + h.labels[name]
			}
		}
	}
	return newGrain(slices.Concat(g.config, h.config), slices.Concat(g.more, h.more), labels)
}

func (g grain) equal(h grain) bool { return g.key == h.key }

// id is a short name of a class that depends on its key alone.
func id(kind, family, relation string, key ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	return fmt.Sprintf("%s/%s/%s/%s", kind, family, strings.ReplaceAll(relation, " ", "-"), hex.EncodeToString(sum[:6]))
}
