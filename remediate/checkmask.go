package remediate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// mask is a switch of cilium-config that hides what masquerade does to policies
// without curing it, the Helm value that sets it, and what it costs.
type mask struct {
	flag, on, helm, shown string
	family                string // empty for both
	cost                  func(in *signature.Input, family string) string
}

func masks() []mask {
	out := []mask{
		{"enable-policy", "never", "policyEnforcementMode", "never", "", func(*signature.Input, string) string { return "network policies are no longer enforced anywhere" }},
		{"policy-audit-mode", "true", "policyAuditMode", "true", "", func(*signature.Input, string) string { return "network policies are only logged, and enforced nowhere" }},
	}
	for _, f := range []string{cidr.IPv6, cidr.IPv4} {
		low := strings.ToLower(f)
		out = append(out,
			mask{"enable-" + low + "-masquerade", "false", "enable" + f + "Masquerade", "false", f, withoutMasquerade},
			mask{"enable-" + low, "false", low + ".enabled", "false", f, func(_ *signature.Input, family string) string { return "pods lose " + family + " altogether" }})
	}
	return out
}

func withoutMasquerade(in *signature.Input, family string) string {
	ranges, _ := in.PodRanges(family)
	for _, r := range ranges {
		if r.Prefix.Addr().IsPrivate() {
			return fmt.Sprintf("pods keep their private addresses (%s) towards the internet, which nothing there answers: they lose %s internet unless another router translates", r.Prefix, family)
		}
	}
	return fmt.Sprintf("pods reach everything outside with their own %s addresses, which the network has to route back", family)
}

// sameFault are signatures that are forms of one fault: to go from one to the
// other repairs nothing.
func sameFault(a, b string) bool {
	forms := []string{signature.NativeRoutingCIDRExcludesPods, signature.IPMasqAgentExcludesPods, signature.NativeRoutingCIDRInServices}
	return a == b || slices.Contains(forms, a) && slices.Contains(forms, b)
}

// repaired lists findings of the base that are gone, or no longer matter, and
// says of which the change only hides the effect.
func (x *comparison) repaired(ctx context.Context) {
	if !x.baseJudged() || len(x.head.run.doubts) > 0 {
		return
	}
	for i := range x.base.findings {
		f := &x.base.findings[i]
		if f.Confidence == v1alpha1.ConfidencePossible || !x.wouldShow(f) {
			continue
		}
		now := x.severityNow(f)
		if now.Rank() >= f.Severity.Rank() {
			continue
		}
		r := v1alpha1.Repair{Signature: f.Signature, Severity: f.Severity, Summary: f.Summary}
		if m := x.maskOf(f); m != nil {
			r.MaskedBy = m.helm + ": " + m.shown
			x.onlyMasked(ctx, f, m)
		} else if now != "" {
			continue
		}
		x.repair(r)
	}
}

// wouldShow: the checked state would show the finding if it had it.
func (x *comparison) wouldShow(f *v1alpha1.Finding) bool {
	switch f.Signature {
	case signature.ValuesKeyHasNoEffect:
		_, still := lookupPath(x.head.run.release.Values, f.About)
		return !still || x.head.run.chart != nil && x.head.run.renderError == ""
	case signature.AgentRefusesToStart:
		return x.head.run.renderError == ""
	case signature.ChartRefusesValues:
		return x.head.run.chart != nil
	}
	return true
}

func lookupPath(values map[string]any, path string) (any, bool) {
	var at any = values
	for _, k := range strings.Split(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = m[k]; !ok {
			return nil, false
		}
	}
	return at, true
}

// severityNow is the worst severity of the same fault in the checked state, and
// empty when it is gone.
func (x *comparison) severityNow(f *v1alpha1.Finding) v1alpha1.Severity {
	return worst(x.head.findings, f)
}

func worst(fs []v1alpha1.Finding, f *v1alpha1.Finding) v1alpha1.Severity {
	var out v1alpha1.Severity
	for i := range fs {
		g := &fs[i]
		if sameFault(f.Signature, g.Signature) && f.Family == g.Family && f.About == g.About && g.Severity.Rank() > out.Rank() {
			out = g.Severity
		}
	}
	return out
}

// maskOf is the switch without which the fault would be back; nil when it is
// cured. All switches that the change turned are set back one by one, then
// together.
func (x *comparison) maskOf(f *v1alpha1.Finding) *mask {
	if x.head.run.facts == nil || x.base.run.facts == nil {
		return nil
	}
	was, is := x.base.run.current.Config, x.head.run.current.Config
	var turned []mask
	for _, m := range masks() {
		if is.Values[m.flag] == m.on && was.Values[m.flag] != m.on && (m.family == "" || f.Family == "" || m.family == f.Family) {
			turned = append(turned, m)
		}
	}
	for i := range turned {
		if x.returns(f, turned[i:i+1]) {
			return &turned[i]
		}
	}
	if len(turned) > 1 && x.returns(f, turned) {
		return &turned[0]
	}
	return nil
}

// returns: with the switches set back the checked state has the fault again.
func (x *comparison) returns(f *v1alpha1.Finding, back []mask) bool {
	was, cfg := x.base.run.current.Config, x.head.run.current.Config
	cfg.Values = maps.Clone(cfg.Values)
	for _, m := range back {
		if v, ok := was.Values[m.flag]; ok {
			cfg.Values[m.flag] = v
		} else {
			delete(cfg.Values, m.flag)
		}
	}
	in, err := underConfig(x.head.run.facts, cfg)
	return err == nil && worst(detect.Run(in), f).Rank() >= f.Severity.Rank()
}

// underConfig is the input of signatures under another configuration.
func underConfig(facts *signature.Input, cfg cilium.Config) (*signature.Input, error) {
	in := *facts
	in.Config = cfg
	in.Settings, _ = cilium.Effective(cfg)
	in.Start = cilium.CheckStart(cfg)
	in.ModelInput.Config, in.ModelInput.PerNode = cfg, perNode(cfg, in.Snapshot)
	var err error
	if in.Model, err = datapath.New(in.ModelInput); err != nil {
		return nil, fmt.Errorf("model the datapath: %w", err)
	}
	in.Analysis = in.Model.Analyse()
	return &in, nil
}

// onlyMasked reports that the change hides a fault.
func (x *comparison) onlyMasked(ctx context.Context, f *v1alpha1.Finding, m *mask) {
	set := m.helm + ": " + m.shown
	if f.Family != "" {
		x.masked[f.Family] = true
	}
	p := v1alpha1.Problem{Signature: signature.FaultOnlyMasked, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidencePredicted, Introduced: true, Family: f.Family,
		Summary: fmt.Sprintf("%s only hides %s; the price: %s", set, f.Signature, m.cost(x.base.run.facts, f.Family)),
		Evidence: []v1alpha1.Evidence{
			{Kind: "config", Text: set, Source: x.sourceOf(m)},
			{Kind: "model", Text: "with the former value the fault is back: " + f.Summary, Source: "model"},
		}}
	x.sign(&p)
	var ok bool
	if p.File, p.Line, ok = x.inRepository(x.sourceOf(m)); !ok {
		p.File, p.Line = x.firstChange()
	}
	p.Advice = x.planned(ctx, x.base, f)
	x.problems = append(x.problems, p)
}

func (x *comparison) sourceOf(m *mask) string {
	if at := placeOf(x.head.run.release.Where(m.helm)); at != "" {
		return at
	}
	return m.helm
}
