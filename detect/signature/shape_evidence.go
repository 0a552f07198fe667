package signature

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// mostEvidence of one finding; more would say the same again.
const mostEvidence = 8

func few(es []v1alpha1.Evidence) []v1alpha1.Evidence {
	sortEvidence(es)
	es = slices.Compact(es)
	return es[:min(len(es), mostEvidence)]
}

// told is an observation as evidence.
func told(s *Sighting) v1alpha1.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.Protocol, s.Via)
	if s.Bytes > 0 {
		fmt.Fprintf(&b, " of %d bytes", s.Bytes)
	}
	fmt.Fprintf(&b, " from %s to %s", cmp.Or(s.From.Node, s.From.IP), target(s))
	switch {
	case s.Outcome != v1alpha1.OutcomeOK:
		fmt.Fprintf(&b, ": %s", s.Outcome)
	case s.SourceSeen != "" && s.SourceSeen != s.From.IP:
		fmt.Fprintf(&b, ": answered, and seen with the source %s, not the pod's %s", s.SourceSeen, s.From.IP)
	default:
		b.WriteString(": answered")
	}
	if s.Outcome != v1alpha1.OutcomeOK && s.Heard != "" {
		fmt.Fprintf(&b, "; a request from there last arrived at %s", s.Heard)
	}
	return v1alpha1.Evidence{Kind: "probe", Text: b.String(), Source: s.Source}
}

func target(s *Sighting) string {
	where := cmp.Or(s.To.Node, s.To.IP)
	switch {
	case s.HostNetwork && s.Via == viaNodeIP:
		return where + " by the nodes' own network"
	case s.Target != "":
		return "the " + s.Target + " target on " + where
	}
	return where
}

// differential is what was lost beside what worked of the same nodes since.
func (f *family) differential(lost []pairKey) []v1alpha1.Evidence {
	var bad, good []v1alpha1.Evidence
	ends, among := map[string]bool{}, setOf(lost)
	var since time.Time
	for _, k := range lost {
		p := f.pairs[k]
		ends[k.from], ends[k.to] = true, true
		if since.IsZero() || p.since().Before(since) {
			since = p.since()
		}
		for _, r := range []*run{&p.open, &p.guarded, &p.node} {
			if r.tail > 0 {
				bad = append(bad, told(r.last))
			}
		}
		for _, r := range []*run{&p.node, &p.toNode} {
			if r.works(p.since()) {
				good = append(good, told(r.last))
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		p := f.pairs[k]
		if (ends[k.from] || ends[k.to]) && !among[k] && p.open.works(since) {
			good = append(good, told(p.open.last))
		}
	}
	for node := range ends {
		if s := f.same[node]; s != nil && s.works(since) {
			good = append(good, told(s.last))
		}
	}
	bad, good = few(bad), few(good)
	return append(bad[:min(len(bad), mostEvidence/2)], good[:min(len(good), mostEvidence/2)]...)
}

func (f *family) maskedEvidence(pairs []pairKey) []v1alpha1.Evidence {
	var out []v1alpha1.Evidence
	for _, k := range pairs {
		p := f.pairs[k]
		for _, r := range []*run{&p.open, &p.big} {
			if r.tail == 0 && r.last != nil && r.last.SourceSeen == p.maskedSource {
				out = append(out, told(r.last))
				break
			}
		}
		if p.guarded.tail > 0 {
			out = append(out, told(p.guarded.last))
		}
	}
	return few(out)
}

// aPodAnswers is a pod of another node that answered by its own address since.
func (f *family) aPodAnswers(since time.Time) []v1alpha1.Evidence {
	for _, k := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		if p := f.pairs[k]; p.open.works(since) {
			return []v1alpha1.Evidence{told(p.open.last)}
		}
	}
	return nil
}
