// Package plan decides which value changes answer a Finding and proves each:
// the chart renders, no start-up rule refuses the result, the configuration
// differs in the intended keys only, and the datapath breaks no class of flows
// that worked.
//
//	findings ─► proposals ─► render ─► start-up rules ─► datapath ─► order
//	                           │            │               │
//	                           └────────────┴──► rejected ◄─┘
//
// It is given a [Render] function and calls nothing else that reads or writes.
package plan

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
)

// Set is one intended Helm value.
type Set struct {
	Path  string
	Value any
	// Why is a short reason for whoever reads the file, in one line.
	Why string
}

// Render writes sets into the repository's files in memory, rebuilds the values
// and renders the chart with them. Nothing is written to disk.
type Render func(sets []Set) (Rendered, error)

// Rendered is what the changed repository would produce.
type Rendered struct {
	Config cilium.Config
	// Complete: the real chart was rendered, not an approximation.
	Complete bool
	// AgentTemplate identifies the agent DaemonSet's pod template; a change of it
	// rolls the agents.
	AgentTemplate string
	Values        map[string]any
	Changes       []v1alpha1.Change
	Diff          string
	Affects       []string
	// Copies are the places that install Cilium besides Flux and set what changes.
	Copies []v1alpha1.Copy
	// Verify builds the repository again with the change and says what else
	// changes, or why the change cannot be proposed. Nil where nothing is edited.
	Verify func() ([]v1alpha1.Effect, error)
}

// State is a state of the values that Git shows was committed.
type State struct {
	Commit, Date, Subject string
	Values                map[string]any
}

// Input is everything a plan is made of.
type Input struct {
	Facts    *signature.Input
	Findings []v1alpha1.Finding
	// Current is the repository as it is, rendered.
	Current Rendered
	// Default is the chart's own value at a path; nil without a chart.
	Default func(path string) (any, bool)
	// Running: agents are known to run the current configuration.
	Running bool
	Render  Render
	// History, newest first, without the current state.
	History []State
	// Hold, when not empty, is why nothing may be proposed.
	Hold string
}

// Make fills the parts of a Plan that follow from the findings.
func Make(in Input, out *v1alpha1.Plan) {
	p := &planner{in: in}
	p.offer = sync.OnceValue(p.makeOffer)
	proposals := p.proposals()
	p.setGrain(proposals)
	proven := p.proveAll(proposals)
	sort.SliceStable(proven, func(i, j int) bool { return p.better(proven[i], proven[j]) })
	for _, c := range proven {
		out.Candidates = append(out.Candidates, c.candidate)
	}
	out.Rejected = append(out.Rejected, p.rejected...)
	sort.SliceStable(out.Rejected, func(i, j int) bool { return out.Rejected[i].ID < out.Rejected[j].ID })
	out.Order = orderText(proven)
	out.Abstained = p.abstained(proven)
	p.walks(out, proven)
	p.delivery(out)
	p.unexplained(out)
	p.answers(out)
	p.commands(out, proven)
}

type planner struct {
	in       Input
	rejected []v1alpha1.Rejected
	// faults are the families that a critical finding is about.
	faults []string
	// base is what every candidate's model is made of but for its configuration,
	// and before the analysis under the current one.
	base   datapath.Input
	before datapath.Analysis
	// root is the model that the others are derived from.
	root *datapath.Model
	// current is the model under the current configuration, and assumed says that
	// its nodes are not real.
	current *datapath.Model
	assumed bool
	// offer is the restart that several candidates need, written once.
	offer func() *v1alpha1.Offer
}

// proven is a proposal that passed every check.
type proven struct {
	proposal
	candidate v1alpha1.Candidate
	model     *datapath.Model
	removed   bool
	added     rangeSize
}

// proposals collects what could answer the findings, and what people would try.
func (p *planner) proposals() []proposal {
	if p.in.Hold != "" {
		return nil
	}
	var out []proposal
	for _, f := range p.in.Findings {
		switch {
		case !Answers(p.in.Facts, f):
		case f.Signature == signature.AgentRefusesToStart:
			out = append(out, p.startProposals(f)...)
		default:
			p.faults = mergeStrings(p.faults, []string{f.Family})
			out = append(out, p.masqueradeProposals(f)...)
		}
	}
	return p.tidy(merge(out))
}

// Answers says whether [Make] looks for changes of values that end what was found.
func Answers(in *signature.Input, f v1alpha1.Finding) bool {
	if f.Confidence == v1alpha1.ConfidencePossible {
		return false
	}
	switch f.Signature {
	case signature.NativeRoutingCIDRExcludesPods, signature.NativeRoutingCIDRInServices, signature.IPMasqAgentExcludesPods:
		return f.Severity == v1alpha1.SeverityCritical
	case signature.AgentRefusesToStart:
		return slices.ContainsFunc(in.Start.Refusals, func(r cilium.Refusal) bool { return lacksNative(r) != "" })
	}
	return false
}

// tidy drops what would change nothing: sets equal to the present value, and
// proposals that say the same as another.
func (p *planner) tidy(ps []proposal) []proposal {
	var out []proposal
	seen := map[string]bool{}
	for _, pr := range ps {
		pr.sets = slices.DeleteFunc(pr.sets, func(s Set) bool { return sameValue(p.effective(p.in.Current.Values, s.Path), s.Value) })
		key := fmt.Sprint(pr.sets)
		if !pr.considered && (len(pr.sets) == 0 || seen[key]) {
			continue
		}
		seen[key] = seen[key] || !pr.considered
		out = append(out, pr)
	}
	return out
}

func sameValue(a, b any) bool { return a != nil && fmt.Sprint(a) == fmt.Sprint(b) }

// merge joins proposals of the same id, which several findings (one for each
// family) bring about.
func merge(ps []proposal) []proposal {
	var out []proposal
	at := map[string]int{}
	for _, p := range ps {
		i, seen := at[p.id]
		if !seen {
			at[p.id] = len(out)
			out = append(out, p)
			continue
		}
		if title := p.title; title != out[i].title {
			out[i].title += "; " + strings.ToLower(title[:1]) + title[1:]
		}
		if p.considered && !out[i].considered {
			out[i].considered, out[i].because = true, p.because
		}
		out[i].sets = mergeSets(out[i].sets, p.sets)
		out[i].notes = mergeStrings(out[i].notes, p.notes)
		out[i].fixes = mergeStrings(out[i].fixes, p.fixes)
		out[i].families = mergeStrings(out[i].families, p.families)
		out[i].observedOnly = out[i].observedOnly || p.observedOnly
	}
	return out
}

func mergeSets(a, b []Set) []Set {
	for _, s := range b {
		found := false
		for i := range a {
			if a[i].Path == s.Path {
				found = true
				a[i].Value = joinLists(a[i].Value, s.Value)
			}
		}
		if !found {
			a = append(a, s)
		}
	}
	return a
}

func joinLists(a, b any) any {
	la, okA := a.([]any)
	lb, okB := b.([]any)
	if !okA || !okB {
		return b
	}
	for _, v := range lb {
		known := false
		for _, w := range la {
			known = known || fmt.Sprint(v) == fmt.Sprint(w)
		}
		if !known {
			la = append(la, v)
		}
	}
	return la
}

func mergeStrings(a, b []string) []string {
	for _, s := range b {
		known := false
		for _, t := range a {
			known = known || s == t
		}
		if !known {
			a = append(a, s)
		}
	}
	return a
}

// abstained says why nothing is proposed although something is wrong.
func (p *planner) abstained(ok []proven) string {
	if len(ok) > 0 || len(p.in.Findings) == 0 {
		return ""
	}
	if p.in.Hold != "" {
		return p.in.Hold
	}
	if p.has(signature.ConfigNotActive) {
		if f := p.writtenFault(); f != nil {
			return "agents run an older configuration, and no change is known that corrects what is written now (" + f.Signature +
				"). Correct it before an agent restarts: " + f.Summary
		}
		return "the values are not what is wrong: agents run an older configuration. Restart them (kubectl -n kube-system rollout restart daemonset/cilium) and look again"
	}
	serious, possible := 0, 0
	for _, f := range p.in.Findings {
		if f.Severity == v1alpha1.SeverityCritical {
			serious++
			if f.Confidence == v1alpha1.ConfidencePossible {
				possible++
			}
		}
	}
	switch {
	case serious == 0:
		return "nothing found drops traffic; these findings are for a person to decide"
	case serious == possible:
		return "what was found is possible, not certain: supply the facts it lacked (a snapshot, probes) and plan again"
	}
	if len(p.rejected) == 0 {
		return "no change of values is known that fixes this"
	}
	return "no change of values is known that fixes this and passes every check; see the rejected ones for what was considered"
}

// writtenFault is the worst finding that rests on what is written; nil without one.
func (p *planner) writtenFault() *v1alpha1.Finding {
	n := slices.IndexFunc(p.in.Findings, func(f v1alpha1.Finding) bool {
		return f.Severity == v1alpha1.SeverityCritical && f.Signature != signature.ConfigNotActive &&
			slices.ContainsFunc(f.Evidence, func(e v1alpha1.Evidence) bool { return e.Kind == "config" || e.Kind == "rule" })
	})
	if n < 0 {
		return nil
	}
	return &p.in.Findings[n]
}

func (p *planner) has(id string) bool {
	return slices.ContainsFunc(p.in.Findings, func(f v1alpha1.Finding) bool { return f.Signature == id })
}
