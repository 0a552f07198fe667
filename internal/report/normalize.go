package report

import (
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Normalize makes every list that the contract shows a list, never null, and
// fills in apiVersion and kind. The slices that p shares with others are left alone.
func Normalize(p *v1alpha1.Plan) {
	p.APIVersion, p.Kind = orElse(p.APIVersion, v1alpha1.APIVersion), orElse(p.Kind, "Plan")
	p.Subject.Values = list(p.Subject.Values)
	p.Facts.PodCIDRs = list(p.Facts.PodCIDRs)
	p.Facts.PodPool = list(p.Facts.PodPool)
	p.Facts.ServiceCIDRs = list(p.Facts.ServiceCIDRs)
	p.Facts.NodeAddresses = list(p.Facts.NodeAddresses)
	p.Facts.Unknown = list(p.Facts.Unknown)
	p.Findings = normalFindings(p.Findings)
	p.Candidates = list(slices.Clone(p.Candidates))
	for i := range p.Candidates {
		normalCandidate(&p.Candidates[i])
	}
	p.Rejected = list(p.Rejected)
	p.Unexplained = list(p.Unexplained)
	p.Walks = slices.Clone(p.Walks)
	for i := range p.Walks {
		p.Walks[i].Steps = list(p.Walks[i].Steps)
	}
}

func normalFindings(findings []v1alpha1.Finding) []v1alpha1.Finding {
	findings = list(slices.Clone(findings))
	for i := range findings {
		findings[i].Evidence = list(findings[i].Evidence)
		findings[i].RuledOut = list(findings[i].RuledOut)
	}
	return findings
}

func normalCandidate(c *v1alpha1.Candidate) {
	c.Fixes = list(c.Fixes)
	c.Changes = list(slices.Clone(c.Changes))
	for i := range c.Changes {
		c.Changes[i].Chain = list(c.Changes[i].Chain)
	}
	if c.Proof.ConfigDelta == nil {
		c.Proof.ConfigDelta = map[string]v1alpha1.ConfigDelta{}
	}
	c.Proof.Flows.Examples = list(c.Proof.Flows.Examples)
	c.Rollout.Restart = list(c.Rollout.Restart)
	c.SideEffects = list(c.SideEffects)
	c.Affects = list(c.Affects)
	c.Effects = slices.Clone(c.Effects)
	for i := range c.Effects {
		c.Effects[i].Changes = list(c.Effects[i].Changes)
	}
}

func normalCheck(r *v1alpha1.CheckResult) {
	r.APIVersion, r.Kind = orElse(r.APIVersion, v1alpha1.APIVersion), orElse(r.Kind, "CheckResult")
	r.Problems = list(slices.Clone(r.Problems))
	for i := range r.Problems {
		r.Problems[i].Evidence = list(r.Problems[i].Evidence)
	}
	r.Repairs = list(r.Repairs)
	r.Releases = list(slices.Clone(r.Releases))
	for i := range r.Releases {
		r.Releases[i].Changed = list(r.Releases[i].Changed)
		if f := r.Releases[i].Flows; f != nil {
			counts := *f
			counts.Examples = list(counts.Examples)
			r.Releases[i].Flows = &counts
		}
	}
	r.Unknown = list(r.Unknown)
}

func normalDetect(r *v1alpha1.DetectResult) {
	r.APIVersion, r.Kind = orElse(r.APIVersion, v1alpha1.APIVersion), orElse(r.Kind, "DetectResult")
	r.Reports = list(slices.Clone(r.Reports))
	for i := range r.Reports {
		r.Reports[i].Observations = list(r.Reports[i].Observations)
	}
	r.Findings = normalFindings(r.Findings)
}

// normal returns doc with its lists normalized, as a copy, when it is a
// document of the contract; anything else is returned as it is.
func normal(doc any) any {
	switch d := doc.(type) {
	case *v1alpha1.Plan:
		if d != nil {
			return normal(*d)
		}
	case v1alpha1.Plan:
		Normalize(&d)
		return d
	case *v1alpha1.CheckResult:
		if d != nil {
			return normal(*d)
		}
	case v1alpha1.CheckResult:
		normalCheck(&d)
		return d
	case *v1alpha1.DetectResult:
		if d != nil {
			return normal(*d)
		}
	case v1alpha1.DetectResult:
		normalDetect(&d)
		return d
	}
	return doc
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
