package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// proposal is a change that is considered.
type proposal struct {
	id, title string
	fixes     []string
	families  []string
	sets      []Set
	// considered only: people try it, and the plan says why not. The reason is
	// computed from the model when it is empty.
	considered bool
	because    string
	// observedOnly: it holds just what was seen, and the pool is not known.
	observedOnly bool
	// notes are side effects that the ranges do not show.
	notes []string
}

// situation is what a masquerade proposal starts from.
type situation struct {
	finding      v1alpha1.Finding
	family       string
	native       netip.Prefix
	pods         []netip.Prefix
	observedOnly bool
	masquerade   cilium.Masquerade
	settings     cilium.Settings
	// written is the ip-masq-agent's list in the repository, and dropped what of
	// it is no CIDR.
	written []netip.Prefix
	dropped []string
}

// masqueradeProposals answers a family whose masquerade does not spare the pods.
func (p *planner) masqueradeProposals(f v1alpha1.Finding) []proposal {
	in := p.in.Facts
	ranges, observed := in.PodRanges(f.Family)
	s := situation{finding: f, family: f.Family, native: in.Settings.NativeRoutingCIDR[f.Family],
		observedOnly: observed, masquerade: in.Settings.Masquerade[f.Family], settings: in.Settings}
	for _, r := range ranges {
		s.pods = append(s.pods, r.Prefix)
	}
	if s.masquerade == cilium.MasqueradeOff {
		return nil
	}
	if p.closes(proposal{families: []string{f.Family}}, in.Settings) {
		// The values are right: an override of some nodes is what breaks them.
		return nil
	}
	s.written, s.dropped = p.writtenList()
	var out []proposal
	out = append(out, s.widen()...)
	out = append(out, s.exactlyThePods()...)
	out = append(out, s.masqAgent())
	out = append(out, s.whatPeopleTry()...)
	for i := range out {
		out[i].fixes = []string{f.Signature}
		out[i].families = []string{f.Family}
		s.giveReasons(out[i].sets)
	}
	return out
}

// giveReasons says for each value what it is for, as a comment would.
func (s situation) giveReasons(sets []Set) {
	for i := range sets {
		switch sets[i].Path {
		case s.nativeKey():
			sets[i].Why = fmt.Sprintf("must hold the pods' ranges (%s), or nodes masquerade what pods send to each other", joined(few(s.pods)))
		case "bpf.masquerade":
			sets[i].Why = "the ip-masq-agent needs it"
		case "ipMasqAgent.config.nonMasqueradeCIDRs":
			sets[i].Why = fmt.Sprintf("pods keep their own address towards these; must hold the pods' ranges (%s)", joined(few(s.pods)))
		}
	}
}

// writtenList is the ip-masq-agent's list as the repository states it. An entry
// that is no CIDR makes the agent reject the whole list, so it cannot stay.
func (p *planner) writtenList() (valid []netip.Prefix, dropped []string) {
	list, _ := p.effective(p.in.Current.Values, masqAgentPath+".nonMasqueradeCIDRs").([]any)
	for _, v := range list {
		if pr, err := netip.ParsePrefix(fmt.Sprint(v)); err == nil {
			valid = append(valid, pr)
		} else {
			dropped = append(dropped, fmt.Sprint(v))
		}
	}
	return valid, dropped
}

func fam(family string) string { return strings.ToLower(family[2:]) }

func (s situation) nativeKey() string { return "ip" + fam(s.family) + "NativeRoutingCIDR" }

// Ids of the two widenings: where both families need one they are one change.
const (
	widenID   = "widen-native-routing-cidr"
	alignedID = "widen-native-routing-cidr-aligned"
)

// widen proposes the smallest prefix that holds the old one and the pods, and
// the one that a person would write.
func (s situation) widen() []proposal {
	if !s.native.IsValid() {
		return nil
	}
	smallest, err := cidr.Supernet(append([]netip.Prefix{s.native}, s.pods...)...)
	if err != nil {
		return nil
	}
	aligned := cidr.Align(smallest)
	var out []proposal
	add := func(id string, to netip.Prefix) {
		pr := proposal{id: id, title: fmt.Sprintf("Widen %s from %s to %s", s.nativeKey(), s.native, to),
			sets: []Set{{Path: s.nativeKey(), Value: to.String()}}}
		if why := unreasonable(to); why != "" {
			pr.considered, pr.because = true, fmt.Sprintf("one prefix for %s and %s would be %s: %s", s.native, joined(s.pods), to, why)
		}
		out = append(out, pr)
	}
	add(widenID, smallest)
	add(alignedID, aligned)
	return out
}

// unreasonable says why a prefix is too wide to be spared from masquerade: it
// must stay inside one private block (RFC 1918, RFC 6598, RFC 4193), and an
// IPv6 prefix must not be wider than /32.
func unreasonable(p netip.Prefix) string {
	if cidr.Family(p.Addr()) == cidr.IPv6 {
		if p.Bits() < 32 {
			return "it reaches far beyond one site's addresses"
		}
		return ""
	}
	for _, block := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} {
		if cidr.Contains(netip.MustParsePrefix(block), p) {
			return ""
		}
	}
	if p.Bits() >= 16 {
		return ""
	}
	return "it would spare public addresses from masquerade, which then never answer"
}

// exactlyThePods: nodes are exempt anyway and services are translated first.
func (s situation) exactlyThePods() []proposal {
	pods, err := cidr.Supernet(s.pods...)
	if err != nil || pods == s.native {
		return nil
	}
	if s.native.IsValid() {
		if all, err := cidr.Supernet(pods, s.native); err == nil && all == pods {
			return nil // it holds the old prefix: the widening says the same
		}
	}
	pr := proposal{id: "set-native-routing-cidr-to-pods", observedOnly: s.observedOnly, sets: []Set{{Path: s.nativeKey(), Value: pods.String()}},
		title: fmt.Sprintf("Set %s to the pods' own range %s", s.nativeKey(), pods)}
	if why := unreasonable(pods); why != "" {
		pr.considered, pr.because = true, fmt.Sprintf("one prefix for the pods' ranges %s would be %s: %s", joined(s.pods), pods, why)
	}
	return []proposal{pr}
}

// masqAgent spares several ranges at once, which one native routing CIDR cannot.
func (s situation) masqAgent() proposal {
	var sets []Set
	if s.masquerade != cilium.MasqueradeBPF {
		sets = append(sets, Set{Path: "bpf.masquerade", Value: true})
	}
	if !s.settings.IPMasqAgent {
		sets = append(sets, Set{Path: "ipMasqAgent.enabled", Value: true})
	}
	sets = append(sets, Set{Path: "ipMasqAgent.config.nonMasqueradeCIDRs", Value: s.sparedList()})
	id, title := "use-ip-masq-agent", "Spare the pods with the ip-masq-agent's list"
	if s.settings.IPMasqAgent {
		id, title = "extend-ip-masq-agent", "Add the pods to the ip-masq-agent's list"
	}
	pr := proposal{id: id, title: title, sets: sets, observedOnly: s.observedOnly}
	for _, d := range s.dropped {
		pr.notes = append(pr.notes, fmt.Sprintf("the list loses the entry %s, which is no CIDR and makes the agent reject the whole list", d))
	}
	return pr
}

// sparedList is the list as it is written, plus what is spared today and the
// pods, where the list does not hold them yet: of every family that would be
// masqueraded, because a list that is given replaces the agent's built-in one.
func (s situation) sparedList() []any {
	held := cidr.NewSet(s.written)
	seen := map[netip.Prefix]bool{}
	var out []any
	for _, p := range s.written {
		out = append(out, p.String())
	}
	add := func(p netip.Prefix) {
		if p.IsValid() && !held.Covers(p.Masked()) && !seen[p] {
			seen[p] = true
			out = append(out, p.String())
		}
	}
	if s.settings.IPMasqAgent && len(s.written) == 0 {
		for _, p := range s.settings.NonMasquerade {
			if !p.Addr().IsLinkLocalUnicast() {
				add(p)
			}
		}
	}
	for _, family := range []string{cidr.IPv6, cidr.IPv4} {
		if s.settings.Masquerade[family] == cilium.MasqueradeOff {
			continue
		}
		add(s.settings.NativeRoutingCIDR[family])
		if family == s.family {
			for _, p := range few(s.pods) {
				add(p)
			}
		}
	}
	return out
}

// whatPeopleTry are the ideas that stand near: each is judged by the model.
func (s situation) whatPeopleTry() []proposal {
	toggle := func(id, path string, now bool, title string) proposal {
		return proposal{id: id, title: title, sets: []Set{{Path: path, Value: !now}}, considered: true}
	}
	bpf := s.masquerade == cilium.MasqueradeBPF
	out := []proposal{
		{id: "disable-ip" + fam(s.family) + "-masquerade", title: "Turn " + s.family + " masquerade off", considered: true,
			sets: []Set{{Path: "enable" + s.family + "Masquerade", Value: false}}},
		toggle("toggle-host-legacy-routing", "bpf.hostLegacyRouting", s.settings.HostLegacyRouting, "Switch bpf.hostLegacyRouting"),
		toggle("toggle-socket-lb-hostns-only", "socketLB.hostNamespaceOnly", s.settings.SocketLBHostNSOnly, "Switch socketLB.hostNamespaceOnly"),
		{id: "allow-remote-node-by-policy", title: "Admit remote-node with a CiliumNetworkPolicy", considered: true,
			because: "it hides the fault: every pod of every other node would be let in. With fromEntities: [remote-node] the namespace no longer matters, " +
				"because all of them look like their node"},
	}
	if !s.settings.IPMasqAgent {
		out = append(out, toggle("toggle-bpf-masquerade", "bpf.masquerade", bpf, "Switch bpf.masquerade"))
	}
	if s.native.IsValid() && !s.settings.IPMasqAgent {
		out = append(out, proposal{id: "ip-masq-agent-with-native-cidr-only", considered: true,
			title: fmt.Sprintf("ip-masq-agent with nonMasqueradeCIDRs: [%s]", s.native),
			sets: []Set{{Path: "bpf.masquerade", Value: true}, {Path: "ipMasqAgent.enabled", Value: true},
				{Path: "ipMasqAgent.config.nonMasqueradeCIDRs", Value: []any{s.native.String()}}}})
	}
	return out
}

// startProposals answers rules whose cure is one value and changes nothing that
// worked: a native routing CIDR that is missing.
func (p *planner) startProposals(f v1alpha1.Finding) []proposal {
	in := p.in.Facts
	var out []proposal
	for _, r := range in.Start.Refusals {
		for _, family := range in.Families() {
			if lacksNative(r) != family {
				continue
			}
			ranges, observed := in.PodRanges(family)
			pods, err := cidr.Supernet(prefixes(ranges)...)
			if err != nil || unreasonable(pods) != "" {
				continue
			}
			key := "ip" + fam(family) + "NativeRoutingCIDR"
			out = append(out, proposal{id: "set-" + fam(family) + "-native-routing-cidr", title: fmt.Sprintf("Set %s to the pods' range %s", key, pods),
				sets: []Set{{Path: key, Value: pods.String(), Why: "the agent does not start without it; must hold the pods' ranges"}}, fixes: []string{signature.AgentRefusesToStart}, families: []string{family}, observedOnly: observed})
		}
	}
	return out
}

// lacksNative is the family whose native routing CIDR an agent refuses to start
// without; empty for other refusals.
func lacksNative(r cilium.Refusal) string {
	return map[string]string{"V1": cidr.IPv4, "V2": cidr.IPv6}[r.ID]
}

func prefixes(cs []snapshot.CIDR) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(cs))
	for _, c := range cs {
		out = append(out, c.Prefix)
	}
	return out
}

func joined(ps []netip.Prefix) string {
	s := make([]string, 0, len(ps))
	for _, p := range ps {
		s = append(s, p.String())
	}
	return strings.Join(s, ", ")
}
