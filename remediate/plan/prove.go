package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// model builds the datapath under another configuration, everything else equal.
func (p *planner) model(cfg cilium.Config) (*datapath.Model, error) {
	if p.root == nil {
		in := p.base
		in.Config = cfg
		return datapath.New(in)
	}
	return p.root.WithPerNode(cfg, p.perNode(cfg))
}

// perNode lays what single nodes override today over another configuration.
func (p *planner) perNode(cfg cilium.Config) map[string]cilium.Config {
	out := make(map[string]cilium.Config, len(p.base.PerNode))
	for node, own := range p.base.PerNode {
		next := cfg
		next.Values = maps.Clone(cfg.Values)
		for key, sides := range cilium.Delta(p.base.Config, own) {
			if sides[1] == nil {
				delete(next.Values, key)
				continue
			}
			next.Values[key] = *sides[1]
		}
		out[node] = next
	}
	return out
}

// setGrain tells the analyses every range that a proposal names, so that all of
// them see the same classes and the current configuration is analysed once.
func (p *planner) setGrain(ps []proposal) {
	p.base, p.before, p.current = p.in.Facts.ModelInput, p.in.Facts.Analysis, p.in.Facts.Model
	if p.base.Snapshot, p.assumed = withAssumedNodes(p.in.Facts); p.assumed {
		p.base.Topology.SameSegment = func(a, b string) snapshot.Tri { return snapshot.Yes }
	}
	seen := map[netip.Prefix]bool{}
	for _, pr := range ps {
		for _, s := range pr.sets {
			for _, r := range rangesOf(s.Value) {
				if !seen[r] {
					seen[r] = true
					p.base.Ranges = append(p.base.Ranges, r)
				}
			}
		}
	}
	if len(seen) == 0 && !p.assumed {
		return
	}
	p.base.Config = p.in.Current.Config
	if m, err := p.model(p.in.Current.Config); err == nil {
		p.root, p.current, p.before = m, m, m.Analyse()
	}
}

func rangesOf(v any) []netip.Prefix {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []netip.Prefix
	for _, x := range list {
		if p, err := netip.ParsePrefix(fmt.Sprint(x)); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// verdict is a proposal judged.
type verdict struct {
	ok      *proven
	because string
	tried   *v1alpha1.Tried
}

// proveAll judges proposals side by side: rendering takes the time.
func (p *planner) proveAll(ps []proposal) []proven {
	verdicts := make([]verdict, len(ps))
	var wg sync.WaitGroup
	for i := range ps {
		wg.Go(func() {
			if ps[i].considered {
				verdicts[i] = p.consider(ps[i])
			} else {
				verdicts[i] = p.prove(ps[i])
			}
		})
	}
	wg.Wait()
	var out []proven
	for i, v := range verdicts {
		if v.ok != nil {
			out = append(out, *v.ok)
			continue
		}
		p.rejected = append(p.rejected, v1alpha1.Rejected{ID: ps[i].id, Because: v.because, Tried: v.tried})
	}
	return out
}

// prove renders a proposal and checks everything that a candidate must pass.
func (p *planner) prove(pr proposal) verdict {
	r, err := p.in.Render(pr.sets)
	if err != nil {
		return verdict{because: "it cannot be written: " + err.Error()}
	}
	start := p.start(r.Config)
	if start.Starts == snapshot.No {
		return verdict{because: p.refused(start)}
	}
	m, err := p.model(r.Config)
	if err != nil {
		return verdict{because: "the datapath cannot be modelled with it: " + err.Error()}
	}
	delta := datapath.Compare(p.before, m.Analyse())
	if why := p.strayKeys(pr, r); why != "" {
		return verdict{because: why}
	}
	if why := p.unfit(pr, delta, m.Settings("")); why != "" {
		return verdict{because: why}
	}
	effects, err := r.verify()
	if err != nil {
		return verdict{because: err.Error()}
	}
	delta.FixedExamples = p.withExample(m, delta.FixedExamples)
	c := v1alpha1.Candidate{ID: pr.id, Title: pr.title, Fixes: pr.fixes, Changes: r.Changes, Diff: r.Diff, Affects: r.Affects, Effects: effects, Copies: r.Copies,
		Proof: p.proof(r, start, delta), Tried: p.tried(r.Values)}
	out := proven{proposal: pr, model: m}
	p.sideEffects(&c, &out, m.Settings(""))
	if delta.Fixed == 0 && len(pr.families) > 0 {
		c.Proof.Notes = append(c.Proof.Notes, p.nothingFollowed())
	}
	c.Rollout = p.rollout(pr, r)
	out.candidate = c
	return verdict{ok: &out}
}

func (r Rendered) verify() ([]v1alpha1.Effect, error) {
	if r.Verify == nil {
		return nil, nil
	}
	return r.Verify()
}

// consider judges an idea that stands near, without rendering it.
func (p *planner) consider(pr proposal) verdict {
	v := verdict{because: pr.because, tried: p.triedKeys(pr.sets)}
	if len(pr.sets) > 0 {
		after := Overlay(p.in.Current.Config, pr.sets)
		if v.tried == nil {
			v.tried = p.triedKeys(pr.sets)
		}
		if v.because == "" {
			v.because = p.judgeIdea(pr, after)
		}
	}
	return v
}

func (p *planner) judgeIdea(pr proposal, after cilium.Config) string {
	if start := p.start(after); start.Starts == snapshot.No {
		return p.refused(start)
	}
	m, err := p.model(after)
	if err != nil {
		return "the datapath cannot be modelled with it: " + err.Error()
	}
	delta := datapath.Compare(p.before, m.Analyse())
	settings := m.Settings("")
	switch {
	case delta.Broken > 0:
		return brokenText(delta) + p.crashNote(pr)
	case delta.Fixed == 0 && !p.closes(pr, settings):
		return p.whyNoEffect(pr, settings)
	}
	return "it fixes the flows, and is not proposed because it changes more than the fault needs" + p.crashNote(pr)
}

// whyNoEffect explains an idea that leaves every failing flow failing.
func (p *planner) whyNoEffect(pr proposal, after cilium.Settings) string {
	var parts []string
	for _, s := range pr.sets {
		for _, f := range cilium.FlagsOfHelm(s.Path) {
			touches, _ := cilium.Influences(f.Name, cilium.PartMasquerade)
			if !touches {
				parts = append(parts, fmt.Sprintf("%s is not in this path; it cannot change which packets are masqueraded", s.Path))
				break
			}
		}
	}
	if len(parts) > 0 {
		return strings.Join(parts, "; ")
	}
	if after.IPMasqAgent {
		return "the same arithmetic, the same drops: the list leaves the pods out just as the native routing CIDR does"
	}
	for _, family := range pr.families {
		if !slices.Equal(spared(after, family), spared(p.in.Facts.Settings, family)) {
			return "pods would still be masqueraded towards pods of other nodes"
		}
	}
	return "the same packets are rewritten: iptables and BPF masquerade test the same native routing CIDR"
}

// closes: with it no pod of the families is masqueraded towards another.
func (p *planner) closes(pr proposal, after cilium.Settings) bool {
	for _, family := range pr.families {
		ranges, _ := p.in.Facts.PodRanges(family)
		if after.Masquerade[family] != cilium.MasqueradeOff && len(cidr.Difference(prefixes(ranges), spared(after, family))) > 0 {
			return false
		}
	}
	return len(pr.families) > 0
}

// nothingFollowed says what a proof without a repaired flow rests on.
func (p *planner) nothingFollowed() string {
	if len(p.before.Classes) == 0 {
		return "no flow could be followed, because no pods and no nodes are known: proven is that the spared range holds the pods"
	}
	return "no class of flows in view fails by the model today, so none is seen to be repaired: proven is that the spared range holds the pods"
}

// crashNote recalls that turning a family's masquerade off is refused beside BPF masquerade.
func (p *planner) crashNote(pr proposal) string {
	if !strings.HasPrefix(pr.id, "disable-ip") {
		return ""
	}
	with := Overlay(p.in.Current.Config, append([]Set{{Path: "bpf.masquerade", Value: true}}, pr.sets...))
	start := p.start(with)
	if start.Starts != snapshot.No {
		return ""
	}
	return fmt.Sprintf("; together with bpf.masquerade: true agents would refuse to start (%s: %s)", start.First().ID, start.First().Message)
}

// start checks the start-up rules. Where agents run today, a rule that hangs on
// an unknown fact of the node and that the change does not touch holds as before.
// A datapath that never initialises counts as a refusal.
func (p *planner) start(cfg cilium.Config) cilium.Start {
	out := cilium.CheckStart(cfg)
	if p.in.Running {
		out = cilium.CheckChange(p.in.Current.Config, cfg)
	}
	if len(out.Datapath) > 0 {
		out.Refusals = append(out.Refusals, out.Datapath...)
		out.Starts = snapshot.No
	}
	return out
}

// refused is refusalText, and says when it is no fault of the change.
func (p *planner) refused(s cilium.Start) string {
	now := p.in.Facts.Start.First()
	if now != nil && now.ID == s.First().ID {
		return "agents refuse today's configuration already, and would refuse it with this change: " + refusalText(s)
	}
	return refusalText(s)
}

func refusalText(s cilium.Start) string {
	r := s.First()
	who := "the agent"
	if r.Operator {
		who = "the operator"
	}
	return fmt.Sprintf("%s would refuse to start (%s): %s", who, r.ID, r.Message)
}

func brokenText(d datapath.Delta) string {
	var what []string
	for _, x := range d.BrokenExamples[:min(2, len(d.BrokenExamples))] {
		what = append(what, fmt.Sprintf("%s → %s (%s): %s", x.From, x.To, x.Family, x.After))
	}
	classes := "flow classes that work"
	if d.Broken == 1 {
		classes = "flow class that works"
	}
	return fmt.Sprintf("it breaks %d %s today. %s", d.Broken, classes, strings.Join(what, "; "))
}

// strayKeys says which keys of the configuration change that no set value stands for.
func (p *planner) strayKeys(pr proposal, r Rendered) string {
	intended := map[string]bool{}
	for _, s := range pr.sets {
		for _, f := range cilium.FlagsOfHelm(s.Path) {
			intended[f.Name] = true
		}
		intended["ip-masq-agent"] = intended["ip-masq-agent"] || strings.HasPrefix(s.Path, "ipMasqAgent.")
	}
	var stray []string
	for key := range configDelta(p.in.Current.Config, r.Config) {
		if !intended[key] {
			stray = append(stray, key)
		}
	}
	if len(stray) == 0 {
		return ""
	}
	slices.Sort(stray)
	return "the chart would change more of cilium-config than is intended: " + strings.Join(stray, ", ")
}

// unfit says why a change that renders and starts is still no candidate.
func (p *planner) unfit(pr proposal, d datapath.Delta, after cilium.Settings) string {
	repairsStart := p.in.Facts.Start.Starts == snapshot.No
	switch {
	case d.Broken > 0:
		return brokenText(d)
	case d.Fixed == 0 && !repairsStart && !p.closes(pr, after):
		return "no failing flow class works with it: " + p.whyNoEffect(pr, p.in.Facts.Settings)
	}
	return ""
}

func (p *planner) proof(r Rendered, start cilium.Start, d datapath.Delta) v1alpha1.Proof {
	out := v1alpha1.Proof{Rendered: r.Complete, ConfigDelta: configDelta(p.in.Current.Config, r.Config)}
	if start.Starts != snapshot.Unknown {
		yes := start.Starts == snapshot.Yes
		out.AgentStarts = &yes
	}
	for _, u := range start.Unknown {
		out.Notes = append(out.Notes, "start-up: "+u)
	}
	if !r.Complete {
		out.Notes = append(out.Notes, "no chart was to be had: the configuration is derived from the values that the model knows, "+
			"so a value with another effect on the manifests would go unnoticed; give --chart for the full proof")
	}
	if p.assumed {
		out.Notes = append(out.Notes, "no nodes are known: the flows are those of two assumed nodes of one segment, whose pods live in the stated ranges")
	}
	const mostExamples = 6
	out.Flows = d.Counts()
	out.Flows.Examples = out.Flows.Examples[:min(mostExamples, len(out.Flows.Examples))]
	return out
}

// withExample puts the flow that the walk draws first among the examples.
func (p *planner) withExample(after *datapath.Model, examples []v1alpha1.FlowExample) []v1alpha1.FlowExample {
	flow, ok := p.exampleFlow(after)
	if !ok {
		return examples
	}
	was, is := p.current.Trace(flow), after.Trace(flow)
	if was.Delivered != snapshot.No || is.Delivered != snapshot.Yes {
		return examples
	}
	own := v1alpha1.FlowExample{From: endText(flow.From), To: endText(flow.To), Family: flow.Family, Before: was.Outcome(), After: is.Outcome(), Flows: 1}
	return append([]v1alpha1.FlowExample{own}, examples...)
}

func configDelta(before, after cilium.Config) map[string]v1alpha1.ConfigDelta {
	out := map[string]v1alpha1.ConfigDelta{}
	for key, sides := range cilium.Delta(before, after) {
		out[key] = v1alpha1.ConfigDelta{From: orNull(sides[0]), To: orNull(sides[1])}
	}
	if a, b := before.MasqAgent, after.MasqAgent; (a == nil) != (b == nil) || (a != nil && *a != *b) {
		out["ip-masq-agent"] = v1alpha1.ConfigDelta{From: orNull(a), To: orNull(b)}
	}
	return out
}

func orNull(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// rollout says what restarts, from what the render changes.
func (p *planner) rollout(pr proposal, r Rendered) v1alpha1.Rollout {
	keys := configDelta(p.in.Current.Config, r.Config)
	hot := len(keys) > 0
	for key := range keys {
		f, ok := cilium.FlagByName(key)
		hot = hot && (key == "ip-masq-agent" || ok && f.HotReload)
	}
	out := v1alpha1.Rollout{Restart: []string{}, HotReload: hot}
	if !hot {
		out.Restart = []string{"DaemonSet/cilium"}
	}
	rolls := r.AgentTemplate != "" && r.AgentTemplate != p.in.Current.AgentTemplate
	switch {
	case rolls && p.rollsByItself(r):
		out.Restart = []string{"DaemonSet/cilium"}
		out.Note = "rollOutCiliumPods is on: the agents restart, node by node, as soon as Flux has reconciled; the cure takes effect on each sending node as its agent restarts"
	case rolls:
		out.Restart = []string{"DaemonSet/cilium"}
		out.Note = "the change alters the agent's pod template, so the agents restart as soon as Flux has reconciled; the cure takes effect on each sending node as its agent restarts"
	case hot:
		out.Note = "the agents reload it without a restart, within about a minute"
	default:
		out.Note = "nothing happens until the agents restart, because rollOutCiliumPods is off. Set it in the same values " +
			"(from then on every change of cilium-config restarts them), or run kubectl -n kube-system rollout restart daemonset/cilium after the reconcile. " +
			"The cure takes effect on each sending node as its agent restarts; established connections keep their old address translation until they end"
		out.Offer = p.offer()
	}
	return out
}

// offer is the value that lets the chart restart the agents. It is offered
// beside the fix and never bundled with it.
func (p *planner) makeOffer() *v1alpha1.Offer {
	r, err := p.in.Render([]Set{{Path: "rollOutCiliumPods", Value: true, Why: "agents read their configuration only when they start"}})
	if err != nil || len(r.Changes) == 0 {
		return nil
	}
	return &v1alpha1.Offer{Title: "Restart the agents on every change of their configuration", Changes: r.Changes, Diff: r.Diff}
}

func (p *planner) rollsByItself(r Rendered) bool {
	return p.effective(r.Values, "rollOutCiliumPods") == true
}

// better is the order of candidates of the contract: complete proof, nothing
// becomes masqueraded, fewest keys, smallest added range, id; what fits only
// observed ranges ranks last.
func (p *planner) better(a, b proven) bool {
	if fa, fb := p.answersAll(a), p.answersAll(b); fa != fb {
		return fa
	}
	if a.observedOnly != b.observedOnly {
		return !a.observedOnly
	}
	if ca, cb := complete(a), complete(b); ca != cb {
		return ca
	}
	if a.removed != b.removed {
		return !a.removed
	}
	if len(a.sets) != len(b.sets) {
		return len(a.sets) < len(b.sets)
	}
	if c := a.added.compare(b.added); c != 0 {
		return c < 0
	}
	return a.id < b.id
}

// answersAll: it leaves no critical finding of another family open.
func (p *planner) answersAll(c proven) bool {
	for _, family := range p.faults {
		if !slices.Contains(c.families, family) {
			return false
		}
	}
	return true
}

func complete(c proven) bool {
	return c.candidate.Proof.Flows.Fixed > 0 && c.candidate.Proof.Rendered && c.candidate.Proof.AgentStarts != nil && *c.candidate.Proof.AgentStarts
}

func orderText(cs []proven) string {
	if len(cs) < 2 {
		return ""
	}
	var parts []string
	for _, c := range cs {
		keys := "1 key"
		if len(c.sets) != 1 {
			keys = fmt.Sprintf("%d keys", len(c.sets))
		}
		masq := "nothing becomes masqueraded"
		if c.removed {
			masq = "some destinations become masqueraded"
		}
		parts = append(parts, fmt.Sprintf("%s (%s, %s, adds %s)", c.id, masq, keys, c.added))
	}
	return "ranked by complete proof, nothing newly masqueraded, fewest keys, smallest added range, id (what holds only observed ranges comes last): " +
		strings.Join(parts, " > ")
}
