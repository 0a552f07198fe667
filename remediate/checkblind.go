package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// unseen says of a native routing CIDR that the change moves off addresses while
// nobody states where the pods of that family live, that it cannot be judged.
func (x *comparison) unseen() {
	if !x.baseJudged() || x.base.run.facts == nil || x.head.run.facts == nil || len(x.head.run.doubts) > 0 {
		return
	}
	before, after := x.base.run.facts, x.head.run.facts
	for _, family := range after.Families() {
		was, is := before.Settings.NativeRoutingCIDR[family], after.Settings.NativeRoutingCIDR[family]
		ranges, _ := after.PodRanges(family)
		switch {
		case was == is, !was.IsValid(), !is.IsValid(), cidr.Contains(is, was), len(ranges) > 0:
			continue
		case after.Settings.Masquerade[family] == cilium.MasqueradeOff, x.judgedAlready(family):
			continue
		}
		key := "ipv" + strings.TrimPrefix(family, "IPv") + "NativeRoutingCIDR"
		p := v1alpha1.Problem{Signature: signature.NativeRoutingCIDRExcludesPods, Severity: v1alpha1.SeverityInfo, Confidence: v1alpha1.ConfidencePossible,
			Introduced: true, Family: family,
			Summary: fmt.Sprintf("%s changes from %s to %s, and where the %s pods live is not known, so nobody can say whether they are inside", key, was, is, family),
			Advice:  "state the pods' range: facts.podCIDRs in .remediate.yaml, --pod-cidr, or a snapshot"}
		p.Evidence = []v1alpha1.Evidence{{Kind: "config", Text: fmt.Sprintf("%s: %s", key, is), Source: x.written[key]}}
		x.sign(&p)
		p.File, p.Line = x.place(&v1alpha1.Finding{Evidence: p.Evidence})
		x.problems = append(x.problems, p)
	}
}

// judgedAlready: a finding of the family says what the change does to it.
func (x *comparison) judgedAlready(family string) bool {
	return slices.ContainsFunc(x.problems, func(p v1alpha1.Problem) bool { return p.Introduced && p.Family == family })
}
