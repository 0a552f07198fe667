package datapath

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// maxRanges bounds how many prefixes an analysis tells apart.
const maxRanges = 64

// grain is how finely an analysis tells addresses and nodes apart. Two analyses
// compare class by class only when their grain is the same, whatever the
// configurations say; that is why it is not read from one configuration alone.
type grain struct {
	// ranges are distinct, longest prefix first, then by address.
	ranges []netip.Prefix
	// labels tell nodes with a configuration of their own from others.
	labels map[string]string
	// dropped is how many ranges exceed the bound.
	dropped int
}

// rangeNone and rangeAbsent stand for an address in no range, and for none.
const (
	rangeNone   int8 = -1
	rangeAbsent int8 = -2
)

func newGrain(ranges []netip.Prefix, labels map[string]string) grain {
	set := map[netip.Prefix]bool{}
	for _, p := range ranges {
		if p.IsValid() {
			set[p.Masked()] = true
		}
	}
	g := grain{ranges: slices.Collect(maps.Keys(set)), labels: labels}
	slices.SortFunc(g.ranges, byLength)
	if g.dropped = len(g.ranges) - maxRanges; g.dropped > 0 {
		g.ranges = g.ranges[g.dropped:]
	}
	return g
}

func byLength(a, b netip.Prefix) int {
	if a.Bits() != b.Bits() {
		return b.Bits() - a.Bits()
	}
	return a.Addr().Compare(b.Addr())
}

// grain of one model: the prefixes that its configurations and caller name.
func (m *Model) grain() grain {
	ranges := slices.Clone(m.in.Ranges)
	for _, a := range m.agents() {
		for _, p := range a.NativeRoutingCIDR {
			ranges = append(ranges, p)
		}
		ranges = append(ranges, a.NonMasquerade...)
	}
	return newGrain(ranges, m.nodeLabels())
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
	labels := map[string]string{}
	for name := range g.labels {
		labels[name] = g.labels[name] + "|" + h.labels[name]
	}
	for name := range h.labels {
		labels[name] = g.labels[name] + "|" + h.labels[name]
	}
	out := newGrain(append(slices.Clone(g.ranges), h.ranges...), labels)
	out.dropped += g.dropped + h.dropped
	return out
}

func (g grain) equal(h grain) bool {
	return slices.Equal(g.ranges, h.ranges) && maps.Equal(g.labels, h.labels)
}

// rangeOf is the index of the longest range that holds the address.
func (g grain) rangeOf(a netip.Addr) int8 {
	if !a.IsValid() {
		return rangeAbsent
	}
	for i, p := range g.ranges {
		if p.Contains(a) {
			return int8(i)
		}
	}
	return rangeNone
}

// rangeWords says where an address of the range lies.
func (g grain) rangeWords(i int8) string {
	switch i {
	case rangeAbsent:
		return ""
	case rangeNone:
		return "outside every range"
	}
	return "in " + g.ranges[i].String()
}

// id is a short name of a class that depends on its key alone.
func id(kind, family, relation string, key ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	return fmt.Sprintf("%s/%s/%s/%s", kind, family, strings.ReplaceAll(relation, " ", "-"), hex.EncodeToString(sum[:6]))
}
