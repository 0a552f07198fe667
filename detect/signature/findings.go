package signature

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// name is the signature that a verdict is told as.
func (in *Input) name(r *Reach, v *verdict) string {
	switch v.kind {
	case masked:
		return PodSourceMasqueraded
	case denied:
		return PodIdentityUnknown
	case unfiltered:
		return PolicyNotEnforced
	case sizes:
		return MTUMismatch
	case services:
		return ServiceTranslationBroken
	case names:
		return ClusterDNSDown
	case lossy:
		return PacketLoss
	case refuses:
		return ProbeTargetRefuses
	case blocked:
		return ProbesBlocked
	}
	return in.nameCut(r, v)
}

// cutFindings are the findings of one signature that rest on probes alone. What
// does not have its quorum is none: there are no facts behind it.
func (in *Input) cutFindings(id string) []v1alpha1.Finding {
	r := in.reach()
	var out []v1alpha1.Finding
	for i := range r.verdicts {
		v := &r.verdicts[i]
		if in.name(r, v) != id {
			continue
		}
		s, _ := ByID(id)
		if len(s.Quorum.Missing(v.support, len(r.nodes))) > 0 {
			continue
		}
		out = append(out, v1alpha1.Finding{
			Signature: id, Severity: s.Severity, Confidence: v1alpha1.ConfidenceConfirmed, Family: v.family, About: v.about,
			Summary: v.summary(id), Evidence: slices.Clone(v.support.Decided), RuledOut: v.ruledOut(id),
		})
	}
	return out
}

// Support is what the probes say for a finding; ok is false when it does not
// rest on them.
func (in *Input) Support(f *v1alpha1.Finding) (s Support, ok bool) {
	r := in.reach()
	for i := range r.verdicts {
		v := &r.verdicts[i]
		if v.family != f.Family && f.Family != "" {
			continue
		}
		switch f.Signature {
		case NativeRoutingCIDRExcludesPods, IPMasqAgentExcludesPods, NativeRoutingCIDRInServices:
			ok = v.kind == masked
		default:
			ok = in.name(r, v) == f.Signature && (f.About == "" || f.About == v.about)
		}
		if ok {
			return v.support, true
		}
	}
	return Support{}, false
}

// Supported are the signatures, with family and what they are about, that any
// probe speaks for, quorum or not.
func (in *Input) Supported() []v1alpha1.Finding {
	r := in.reach()
	var out []v1alpha1.Finding
	for i := range r.verdicts {
		v := &r.verdicts[i]
		id := in.name(r, v)
		s, ok := ByID(id)
		if !ok {
			continue
		}
		out = append(out, v1alpha1.Finding{
			Signature: id, Severity: s.Severity, Confidence: v1alpha1.ConfidencePossible, Family: v.family, About: v.about,
			Summary: v.summary(id), Evidence: slices.Clone(v.support.Decided), RuledOut: v.ruledOut(id),
			Lacked: s.Quorum.Missing(v.support, len(r.nodes)),
		})
	}
	return out
}

// cutBy names the signature that a family's cut between nodes is told as.
func (in *Input) cutBy(family string) string {
	r := in.reach()
	for i := range r.verdicts {
		if v := &r.verdicts[i]; v.family == family && v.kind <= cutWay {
			return in.name(r, v)
		}
	}
	return ""
}

// Nodes that take part.
func (r *Reach) Nodes() int { return len(r.nodes) }

func (v *verdict) summary(id string) string {
	where := v.where()
	switch id {
	case NoRouteBetweenNodes:
		return fmt.Sprintf("pods of different nodes do not reach each other over %s: %s", v.family, where)
	case DirectRouteSkipped:
		return fmt.Sprintf("pods of nodes in different %s networks do not reach each other: %s", v.family, where)
	case TunnelBlocked:
		return fmt.Sprintf("no tunnel between nodes carries %s: %s", v.family, where)
	case FamilyDown:
		return fmt.Sprintf("nothing of %s passes between nodes: %s", v.family, where)
	case NodePathDown:
		return fmt.Sprintf("nodes do not reach each other over %s, and so do not their pods: %s", v.family, where)
	case NodeDown:
		return fmt.Sprintf("%s answers on no path over %s and its probe is not heard", v.about, v.family)
	case NodePodsUnreachable:
		return fmt.Sprintf("pods of %s are cut off over %s", v.about, v.family)
	case RouteToPeerMissing, PairDown, ZoneCut:
		return fmt.Sprintf("over %s %s", v.family, where)
	case OneDirectionDown:
		return fmt.Sprintf("over %s packets %s are lost, and those of the other direction are not", v.family, v.about)
	case PodSourceMasqueraded:
		return fmt.Sprintf("%s packets of pods arrive on other nodes with another source address (%s, for one): %s", v.family, v.seen, where)
	case MTUMismatch:
		return fmt.Sprintf("%s packets of full size do not fit the path between nodes", v.family)
	}
	return v.otherSummary(id)
}

func (v *verdict) otherSummary(id string) string {
	switch id {
	case PodIdentityUnknown:
		return fmt.Sprintf("targets behind a policy that admits the probes do not answer them over %s, though packets arrive with the pods' own addresses: %s", v.family, v.where())
	case PolicyNotEnforced:
		return fmt.Sprintf("targets behind a policy answer who is not admitted over %s: %s", v.family, v.where())
	case ServiceTranslationBroken:
		return fmt.Sprintf("ClusterIPs do not work over %s and the pods behind them do, from %s", v.family, shorten(v.support.Probers, 4))
	case ClusterDNSDown:
		return fmt.Sprintf("the cluster's DNS does not answer at %s, from %s", shorten(v.groups[0], 4), shorten(v.support.Probers, 4))
	case PacketLoss:
		where := "between nodes"
		if v.about != "" {
			where = "from and to " + v.about
		}
		return fmt.Sprintf("%.0f %% of exchanges %s over %s are lost", v.share*100, where, v.family)
	case ProbeTargetRefuses:
		return fmt.Sprintf("a probe target on %s refuses connections over %s; the path to it works", v.about, v.family)
	case ProbesBlocked:
		return "probes reach nothing, on their own node neither: " + v.where()
	}
	return id
}

// where counts and names the pairs.
func (v *verdict) where() string {
	if v.kind == cutGroups {
		return fmt.Sprintf("the nodes %s and the nodes %s are cut off from each other", shorten(v.groups[0], 6), shorten(v.groups[1], 6))
	}
	if v.kind == cutPair {
		return v.groups[0][0] + " and " + v.groups[1][0] + " do not reach each other, and both reach others"
	}
	var list []string
	for _, k := range v.pairs[:min(len(v.pairs), 3)] {
		list = append(list, k.from+" → "+k.to)
	}
	if n := len(v.pairs) - len(list); n > 0 {
		list = append(list, fmt.Sprintf("and %d more pairs", n))
	}
	return strings.Join(list, ", ")
}

func (v *verdict) ruledOut(id string) []v1alpha1.RuledOut {
	out := []v1alpha1.RuledOut{}
	add := func(id, because string) { out = append(out, v1alpha1.RuledOut{Signature: id, Because: because}) }
	if v.kind <= cutWay {
		add(PodSourceMasqueraded, "open targets are lost as well; a masqueraded packet reaches those")
		if v.kind != cutAll {
			add(NoRouteBetweenNodes, "other pairs of nodes work")
		}
		switch v.nodePath {
		case snapshot.Yes:
			add(NodePathDown, onlyPodPath)
		case snapshot.No:
			add(RouteToPeerMissing, "the nodes do not reach each other by their own network either")
		}
	}
	if v.kind == masked {
		add(NoRouteBetweenNodes, "packets arrive, so a route exists")
		add(PodIdentityUnknown, "the source is not the pod's own address")
	}
	if v.kind == services || v.kind == names {
		add(NoRouteBetweenNodes, "pods of other nodes answer by their own addresses")
	}
	out = slices.DeleteFunc(out, func(r v1alpha1.RuledOut) bool { return r.Signature == id })
	slices.SortFunc(out, func(a, b v1alpha1.RuledOut) int { return cmp.Compare(a.Signature, b.Signature) })
	return out
}
