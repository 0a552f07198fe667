package remediate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// broken compares the datapath. Flows that worked and are lost are a problem of
// their own unless a named one explains them.
func (x *comparison) broken() {
	if !x.baseJudged() || x.base.run.facts == nil || !x.canModel() {
		return
	}
	before, after := x.base.run.facts, x.head.run.facts
	delta, err := plan.Flows(before, after)
	if err != nil {
		return
	}
	counts := delta.Counts()
	if counts.Examples == nil {
		counts.Examples = []v1alpha1.FlowExample{}
	}
	x.flows = &counts
	if delta.Broken > 0 && enforces(after) && !enforces(before) {
		// What policies deny once they are enforced again is what they are for.
		if delta, err = plan.Flows(x.enforced(before), after); err != nil {
			return
		}
	}
	if delta.Broken == 0 || x.explained(delta.BrokenExamples) {
		return
	}
	p := v1alpha1.Problem{Signature: signature.ChangeBreaksFlows, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted, Introduced: true,
		Summary: fmt.Sprintf("%d %s of flows that arrived before are lost after this change", delta.Broken, plural("class", "classes", delta.Broken))}
	x.sign(&p)
	for _, e := range delta.BrokenExamples {
		p.Evidence = append(p.Evidence, v1alpha1.Evidence{Kind: "model", Source: "datapath",
			Text: fmt.Sprintf("%s → %s, %s: %s; before: %s", e.From, e.To, e.Family, e.After, e.Before)})
	}
	p.File, p.Line = x.firstChange()
	x.problems = append(x.problems, p)
}

// enforces: policies drop what they do not admit, as by default.
func enforces(in *signature.Input) bool {
	return in.Settings.PolicyEnforcement != "never" && !in.Settings.PolicyAuditMode
}

// enforced is a state with policies enforced as by default.
func (x *comparison) enforced(facts *signature.Input) *signature.Input {
	cfg := facts.Config
	cfg.Values = maps.Clone(cfg.Values)
	cfg.Values["enable-policy"], cfg.Values["policy-audit-mode"] = "default", "false"
	out := *facts
	out.Config = cfg
	out.ModelInput.PerNode = perNode(cfg, facts.Snapshot)
	return &out
}

// canModel: both configurations are known and can be run.
func (x *comparison) canModel() bool {
	for _, j := range []*judged{x.base, x.head} {
		if j.run.facts == nil || j.run.renderError != "" || len(j.run.doubts) > 0 {
			return false
		}
	}
	return x.head.run.facts.Start.Starts != snapshot.No
}

// explained: every family that loses flows has a named problem that is new.
func (x *comparison) explained(broken []v1alpha1.FlowExample) bool {
	for _, e := range broken {
		named := slices.ContainsFunc(x.problems, func(p v1alpha1.Problem) bool {
			return p.Introduced && p.Severity == v1alpha1.SeverityCritical && (p.Family == "" || p.Family == e.Family)
		})
		if !named && !x.masked[e.Family] {
			return false
		}
	}
	return true
}

// firstChange is the place of the first changed value, else the release's.
func (x *comparison) firstChange() (string, int) {
	for _, v := range x.changed {
		for _, f := range cilium.FlagsOfHelm(v.Path) {
			for _, part := range packetParts {
				if matters, _ := cilium.Influences(f.Name, part); !matters {
					continue
				}
				if file, line, ok := x.inRepository(v.Source); ok {
					return file, line
				}
			}
		}
	}
	return x.head.run.release.File, x.head.run.release.Line
}

func plural(one, many string, n int) string {
	if n == 1 {
		return one
	}
	return many
}
