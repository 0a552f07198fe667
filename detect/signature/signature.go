// Package signature is the catalogue of known failures: one file for each, with
// how it shows, what it depends on, what evidence confirms or refutes it, and how
// it is told from its neighbours.
//
// A [Signature] is a value. Its Detect function is pure: it reads an [Input] and
// returns findings; it never reads a cluster, a file or a clock.
package signature

import (
	"net/netip"
	"slices"
	"sort"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// Signature is one known failure.
type Signature struct {
	// ID is stable and kebab-case; scripts depend on it.
	ID    string
	Title string
	// Explanation is the mechanism, for people.
	Explanation string
	// Severity at worst; a finding may be milder.
	Severity v1alpha1.Severity
	// Shows lists what a person notices.
	Shows []string
	// DependsOn names the facts without which nothing can be said.
	DependsOn []string
	// Confirms and Refutes name observations.
	Confirms, Refutes []string
	// Neighbours look alike; each with what tells them apart.
	Neighbours []Neighbour
	// Effects are signatures that this one brings about: a confirmed cause
	// suppresses them or marks them as caused by it.
	Effects []string
	// Quorum is what confirms it from live observations.
	Quorum Quorum
	// Versions of Cilium that the statement was checked for.
	Versions string
	// Sources of the facts.
	Sources []string
	Detect  func(*Input) []v1alpha1.Finding
}

// Neighbour is a failure that looks alike.
type Neighbour struct{ ID, ToldApartBy string }

// Input is what signatures judge. All of it is read-only.
type Input struct {
	Snapshot *snapshot.Snapshot
	// Config is the configuration under judgement: rendered from the
	// repository, or the live one where nothing could be rendered.
	Config   cilium.Config
	Settings cilium.Settings
	Start    cilium.Start
	// Live is the cluster's cilium-config; nil when unknown.
	Live *cilium.Config
	// Rendered says that Config comes from the repository through the chart.
	Rendered bool
	// RenderFailure is the chart's own refusal of the values, empty when it rendered.
	RenderFailure string
	// ModelInput is what Model was made of, for modelling a changed configuration.
	ModelInput datapath.Input
	Model      *datapath.Model
	Analysis   datapath.Analysis
	// DeadKeys are values that no template reads.
	DeadKeys []DeadKey
	// Copies are the values that installations besides Flux set as well.
	Copies []CopyValue
	// Where tells the file:line that decides a Helm value; it may return "".
	Where func(helmPath string) string
	// Reach is what the probes in Snapshot add up to; nil means that it is worked
	// out when it is needed.
	Reach *Reach
	// Silent are the probes that should be heard and are not.
	Silent []Silence
}

// Silence is a probe that was heard once and is not any more, while the API
// server answers.
type Silence struct {
	Node, Pod string
	// Since is when it was last heard.
	Since time.Time
	// Running: its pod is said to run on a node that is said to be ready.
	Running bool
	// Why is what the API server says about the pod or the node.
	Why string
}

// DeadKey is a Helm value that no template of the chart reads.
type DeadKey struct {
	Path, Value, Source string
	// RightKey is the key that was probably meant; empty when there is none.
	RightKey string
}

// Families that the configuration enables, IPv6 first as clusters with both
// families break there first.
func (in *Input) Families() []string {
	var out []string
	if in.Settings.IPv6 {
		out = append(out, cidr.IPv6)
	}
	if in.Settings.IPv4 {
		out = append(out, cidr.IPv4)
	}
	return out
}

// PodRanges is what pods of a family live in: the stated pool where there is
// one, together with nodes' ranges outside of it.
func (in *Input) PodRanges(family string) (ranges []snapshot.CIDR, observedOnly bool) {
	return podRanges(in, family)
}

// where is Where with a fallback to the flag itself.
func (in *Input) where(helmPath, flag string) string {
	if in.Where != nil {
		if s := in.Where(helmPath); s != "" {
			return s
		}
	}
	if in.Config.Source != "" {
		return in.Config.Source + " " + flag
	}
	return flag
}

// All signatures, by id.
func All() []Signature {
	out := append([]Signature{
		nativeRoutingCIDR(), ipMasqAgent(), serviceRange(),
		agentRefuses(), chartRefuses(), keyWithoutEffect(), liveDiffers(),
		configNotActive(), directRouteSkipped(), noRoute(), nodeMask(),
		fluxVictim(), mtuMismatch(), bootstrapCopy(),
		changeBreaksFlows(), faultOnlyMasked(), valueOverridden(), releaseDoesNotBuild(), releaseRemoved(),
	}, slices.Concat(cutSignatures(), qualitySignatures())...)
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// ByID finds a signature of the catalogue.
func ByID(id string) (Signature, bool) {
	for _, s := range All() {
		if s.ID == id {
			return s, true
		}
	}
	return Signature{}, false
}

func prefixes(cs []snapshot.CIDR) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(cs))
	for _, c := range cs {
		out = append(out, c.Prefix)
	}
	return out
}

func podRanges(in *Input, family string) (ranges []snapshot.CIDR, observedOnly bool) {
	pool, observed := in.Snapshot.Pool(in.Settings.IPAM, family)
	if observed {
		return pool, true
	}
	ranges = append(ranges, pool...)
	for _, c := range in.Snapshot.PodCIDRs(in.Settings.IPAM, family) {
		if !cidr.CoveredBy(c.Prefix, prefixes(pool)) {
			ranges = append(ranges, c)
		}
	}
	return ranges, false
}
