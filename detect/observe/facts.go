package observe

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Kinds of [StatedFact].
const (
	StatedPodPool      = "podPool"
	StatedServiceCIDR  = "serviceCIDR"
	StatedNodeCIDR     = "nodeCIDR"
	StatedNodeMaskIPv4 = "nodeMaskIPv4"
	StatedNodeMaskIPv6 = "nodeMaskIPv6"
)

// StatedFact is a fact that a person or a repository states: a CIDR, or for the
// mask kinds a prefix length. Source is file:line or a flag. IPAM limits a pool
// to one IPAM mode; empty means any.
type StatedFact struct {
	Kind   string
	Value  string
	Source string
	IPAM   string
}

// FromFacts is a snapshot in which only what is stated is known: the start when
// there is no cluster and no folder. Origin is "repository" or the like.
func FromFacts(origin string) *snapshot.Snapshot {
	return newBuilder(origin).finish()
}

// Merge adds stated facts to a snapshot and leaves base as it was. What base
// knows already keeps its own source, because an observation outweighs a
// statement; a stated range that differs stands beside the observed ones.
func Merge(base *snapshot.Snapshot, stated []StatedFact) (*snapshot.Snapshot, error) {
	out := *base
	out.PodPools = slices.Clone(base.PodPools)
	out.ServiceCIDRs = slices.Clone(base.ServiceCIDRs)
	out.NodeCIDRs = slices.Clone(base.NodeCIDRs)
	out.NodeMaskSize = maps.Clone(base.NodeMaskSize)
	if out.NodeMaskSize == nil {
		out.NodeMaskSize = map[string]snapshot.Fact[int]{}
	}
	for _, f := range stated {
		if err := mergeFact(&out, f); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Source, f.Kind, err)
		}
	}
	return out.Indexed(), nil
}

func mergeFact(s *snapshot.Snapshot, f StatedFact) error {
	switch f.Kind {
	case StatedNodeMaskIPv4:
		return mergeMask(s, cidr.IPv4, 32, f)
	case StatedNodeMaskIPv6:
		return mergeMask(s, cidr.IPv6, 128, f)
	}
	p, err := parseStated(f.Value)
	if err != nil {
		return err
	}
	c := snapshot.CIDR{Prefix: p, Source: f.Source, IPAM: f.IPAM}
	switch f.Kind {
	case StatedPodPool:
		s.PodPools = addCIDR(s.PodPools, c)
	case StatedServiceCIDR:
		s.ServiceCIDRs = addCIDR(s.ServiceCIDRs, c)
	case StatedNodeCIDR:
		s.NodeCIDRs = addCIDR(s.NodeCIDRs, c)
	default:
		return fmt.Errorf("unknown kind of fact; known are %s, %s, %s, %s and %s",
			StatedPodPool, StatedServiceCIDR, StatedNodeCIDR, StatedNodeMaskIPv4, StatedNodeMaskIPv6)
	}
	return nil
}

// parseStated refuses host bits, which a person who states a range did not mean.
func parseStated(value string) (netip.Prefix, error) {
	p, err := parsePrefix(value)
	if err != nil {
		return netip.Prefix{}, err
	}
	if written, err := netip.ParsePrefix(value); err == nil && written != p {
		return netip.Prefix{}, fmt.Errorf("%s has bits set beyond its length: write %s", clip(value), p)
	}
	return p, nil
}

func mergeMask(s *snapshot.Snapshot, family string, most int, f StatedFact) error {
	n, err := strconv.Atoi(f.Value)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%q is not a prefix length from 1 to %d", clip(f.Value), most)
	}
	if !s.NodeMaskSize[family].Known {
		s.NodeMaskSize[family] = snapshot.Known(n, f.Source)
	}
	return nil
}
