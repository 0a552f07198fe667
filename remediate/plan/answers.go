package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// answers are what a person asks next about a masquerade fault.
func (p *planner) answers(out *v1alpha1.Plan) {
	f, ok := p.masqueradeFinding()
	if !ok {
		return
	}
	add := func(question, answer string) {
		if answer != "" {
			out.Answers = append(out.Answers, v1alpha1.Answer{Question: question, Answer: answer})
		}
	}
	add("What breaks it in every mode?", p.everyMode(f))
	add("Why does Cilium say OK, and why are endpoints ready?",
		"cilium status looks at the agent itself, and its health probes start from the host, so their source is a node's address and never a pod's. "+
			"An endpoint is ready when its BPF program is built; that says nothing of traffic. A drop by policy is no error for the agent.")
	add("What is special about ULA with native routing?", p.ula(f))
	add("Why did the changes that were tried do nothing?", p.triedNothing())
	add(fmt.Sprintf("Why did turning %s masquerade off crash the agents?", f.Family), p.crash(f))
}

func (p *planner) masqueradeFinding() (v1alpha1.Finding, bool) {
	for _, f := range p.in.Findings {
		switch f.Signature {
		case signature.NativeRoutingCIDRExcludesPods, signature.IPMasqAgentExcludesPods, signature.NativeRoutingCIDRInServices:
			if f.Severity == v1alpha1.SeverityCritical {
				return f, true
			}
		}
	}
	return v1alpha1.Finding{}, false
}

// everyMode says which settings the fault does not depend on, each tried in the model.
func (p *planner) everyMode(f v1alpha1.Finding) string {
	return f.Summary + ". Both implementations of masquerade, iptables and BPF, test the same prefix, and host routing (legacy or BPF) and socket load balancing " +
		"come into play elsewhere on the way, so the fault is the same in all of their combinations. Packets within one node are never masqueraded, " +
		"which is why only traffic between nodes suffers, and only where a policy asks who is calling."
}

func (p *planner) ula(f v1alpha1.Finding) string {
	if f.Family != cidr.IPv6 {
		return ""
	}
	ranges, _ := p.in.Facts.PodRanges(f.Family)
	native := p.in.Facts.Settings.NativeRoutingCIDR[f.Family]
	if len(ranges) == 0 || !ranges[0].Prefix.Addr().IsPrivate() || !native.IsValid() {
		return ""
	}
	return fmt.Sprintf("Nothing in Cilium treats ULA differently. It is the notation that misleads: %s reads like a prefix of %s and is not. "+
		"Written in full, the first is %s and the pods start with %s: the third group differs. ULA pods do need masquerade (or a router that translates) for the IPv6 internet, "+
		"so turning masquerade off is no cure.", native, ranges[0].Prefix, groups(native.Addr()), groups(ranges[0].Prefix.Addr()))
}

// groups writes the first three hextets of an address in full.
func groups(a netip.Addr) string {
	return strings.Join(strings.Split(a.StringExpanded(), ":")[:3], ":")
}

func (p *planner) triedNothing() string {
	var parts []string
	for _, r := range p.rejected {
		if r.Tried != nil && r.Tried.Outcome == sameFlowsFail {
			day, _, _ := strings.Cut(r.Tried.Date, "T")
			parts = append(parts, fmt.Sprintf("%s (the other value was live at %s, %s): %s", r.ID, short(r.Tried.Commit), day, r.Because))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ". ") + "."
}

func short(commit string) string {
	if len(commit) > 8 {
		return commit[:8]
	}
	return commit
}

// crash explains the refusal that turning masquerade off runs into.
func (p *planner) crash(f v1alpha1.Finding) string {
	off := []Set{{Path: "bpf.masquerade", Value: true}, {Path: "enable" + f.Family + "Masquerade", Value: false}}
	start := p.start(Overlay(p.in.Current.Config, off))
	if start.Starts != snapshot.No {
		return ""
	}
	r := start.First()
	text := fmt.Sprintf("While bpf.masquerade is true and no family is masqueraded the agent refuses to start (%s, %s): %s.", r.ID, r.Source, r.Message)
	if t := p.triedKeys(off); t != nil {
		return text + fmt.Sprintf(" Git shows that state at %s (%s).", short(t.Commit), t.Date)
	}
	return text + " That bpf.masquerade was true at that moment is an inference; Git shows no commit with both."
}

// commands verify the datapath by hand, with the output expected now and after.
func (p *planner) commands(out *v1alpha1.Plan, cs []proven) {
	f, ok := p.masqueradeFinding()
	if !ok {
		return
	}
	n := strings.TrimPrefix(f.Family, "IPv")
	exclusion := p.in.Facts.Settings.NativeRoutingCIDR[f.Family].String()
	after := exclusion
	if len(cs) > 0 {
		if c := cs[0].model.Settings("").NativeRoutingCIDR[f.Family]; c.IsValid() {
			after = c.String()
		}
	}
	add := func(what, command, now, then string) {
		out.Commands = append(out.Commands, v1alpha1.Command{What: what, Command: command, Now: now, After: then})
	}
	var changed *datapath.Model
	if len(cs) > 0 {
		changed = cs[0].model
	}
	if flow, ok := p.exampleFlow(changed); ok && !assumed(flow) {
		add("the failing pair itself", p.ping(flow, flow.Family, flow.To.Addr), "3 packets transmitted, 0 received", "3 packets transmitted, 3 received")
		p.otherFamilyCommand(out, flow)
	}
	add("what is spared from masquerade", "kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium-dbg status -o json | jq .masquerading",
		"snat-exclusion-cidr-v"+n+": "+exclusion, "snat-exclusion-cidr-v"+n+": "+after)
	if p.in.Facts.Settings.Masquerade[f.Family] == cilium.MasqueradeIPTables {
		tables := map[string]string{"4": "iptables", "6": "ip6tables"}[n]
		add("the rule on the sending node", fmt.Sprintf("kubectl -n kube-system exec ds/cilium -c cilium-agent -- %s -t nat -nvL CILIUM_POST_nat", tables),
			fmt.Sprintf("a MASQUERADE rule for !%s whose counter grows with each attempt", exclusion), fmt.Sprintf("the rule names !%s and its counter stays", after))
	} else {
		add("the translation on the sending node", "kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium-dbg bpf nat list",
			"entries with the pod's address and XLATE_SRC to the node's", "no entry for traffic to other pods")
	}
	add("the drop on the receiving node", "kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium-dbg monitor --type drop",
		"xx drop (Policy denied) … identity remote-node->…: the source is a node's address", "no such line")
	add("that every agent runs the change", "kubectl -n kube-system rollout status daemonset/cilium && kubectl -n kube-system get pods -l k8s-app=cilium -o wide",
		"agents older than the change", "every agent is younger than the change")
}

// otherFamilyCommand is the cheapest proof: the same two pods over the family
// that is not broken.
func (p *planner) otherFamilyCommand(out *v1alpha1.Plan, f datapath.Flow) {
	to := p.in.Facts.Snapshot.PodByName(f.To.Namespace, f.To.Name)
	for _, family := range p.in.Facts.Families() {
		if to == nil || family == f.Family || p.familyBroken(family) {
			continue
		}
		if end, ok := datapath.PodEnd(to, family); ok {
			out.Commands = append(out.Commands, v1alpha1.Command{What: "the same two pods over " + family,
				Command: p.ping(f, family, end.Addr), Now: "3 packets transmitted, 3 received", After: "3 packets transmitted, 3 received"})
		}
	}
}

// assumed flows stand for pods that nobody has seen; they have no command.
func assumed(f datapath.Flow) bool {
	return strings.HasPrefix(f.From.Namespace, "(") || strings.HasPrefix(f.To.Namespace, "(")
}

func (p *planner) ping(f datapath.Flow, family string, to netip.Addr) string {
	return fmt.Sprintf("kubectl -n %s exec deploy/%s -- ping -%s -c 3 %s", f.From.Namespace, workload(f.From.Name), strings.TrimPrefix(family, "IPv"), to)
}

// workload guesses the Deployment of a pod's name: name-hash-suffix.
func workload(pod string) string {
	parts := strings.Split(pod, "-")
	if len(parts) > 2 {
		return strings.Join(parts[:len(parts)-2], "-")
	}
	return pod
}
